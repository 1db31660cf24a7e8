"""The cache's settings."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import CacheLayer, InMemoryCache, RateWiseTransport, options
from ratewise.cache import CacheConfig


def test_config() -> None:
    """The defaults are those of a private cache; field names are case-insensitive and keep their order."""
    config = CacheConfig()
    assert (config.mode, config.shared, config.partition, config.targeted) == ("rfc9111", False, None, ())
    assert (config.stale_while_revalidate, config.stale_if_error, config.keep_stale) == (0.0, 0.0, 86400.0)
    assert (config.max_body_size, config.max_wait) == (5 * 1024 * 1024, 10.0)
    config = CacheConfig("force", partition=["X-B", "X-A"], targeted=iter(["B-Cache-Control", "A-Cache-Control"]))
    assert (config.partition, config.targeted) == ({b"x-a", b"x-b"}, (b"b-cache-control", b"a-cache-control"))
    assert repr(config) == "CacheConfig(mode='force', shared=False)"
    assert CacheConfig(partition=()).partition == frozenset()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "FORCE"}, ValueError),
        ({"mode": None}, ValueError),
        ({"shared": 1}, TypeError),
        ({"partition": "X-User"}, TypeError),
        ({"partition": b"X-User"}, TypeError),
        ({"partition": 1}, TypeError),
        ({"partition": [b"X-User"]}, TypeError),
        ({"partition": [1]}, TypeError),
        ({"partition": [""]}, ValueError),
        ({"targeted": ["a b"]}, ValueError),
        ({"targeted": ["caf\xe9"]}, ValueError),
        ({"targeted": ["a\n"]}, ValueError),
        ({"targeted": None}, TypeError),
        ({"stale_while_revalidate": -1}, ValueError),
        ({"stale_if_error": "1"}, TypeError),
        ({"stale_if_error": float("nan")}, ValueError),
        ({"max_body_size": -1}, ValueError),
        ({"max_body_size": 1.5}, TypeError),
        ({"max_wait": -1}, ValueError),
        ({"keep_stale": None}, TypeError),
    ],
)
def test_config_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    """An invalid value is refused, with the name of the setting."""
    with pytest.raises(error, match=next(iter(arguments))):
        CacheConfig(**arguments)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"cache": "never"}, ValueError, 'cache must be "bypass", "refresh" or None, not \'never\''),
        ({"cache_ttl": -1}, ValueError, "cache_ttl must be a finite number of seconds of at least 0, not -1"),
    ],
)
def test_options_are_checked(settings: Any, error: type[Exception], words: str) -> None:
    """An invalid option of a request is refused, with its name, its value and what is allowed."""
    with pytest.raises(error, match=words):
        options(**settings)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: InMemoryCache(ttl=-1), ValueError, "ttl must be a finite number of seconds of at least 0, not -1"),
        (lambda: InMemoryCache(ttl="5"), TypeError, "ttl must be"),  # type: ignore[arg-type]
        (lambda: InMemoryCache(max_size=0), ValueError, "max_size must be a whole number of at least 1, not 0"),
        (lambda: InMemoryCache(max_bytes=0), ValueError, "max_bytes must be"),
        (lambda: InMemoryCache(namespace=b"x"), TypeError, "namespace must be a string, not b'x'"),  # type: ignore[arg-type]
        (lambda: InMemoryCache(secret="x" * 16), TypeError, "secret must be 16 to 64 bytes, not a str"),  # type: ignore[arg-type]
        (lambda: InMemoryCache(secret=b"planted"), ValueError, "secret must be 16 to 64 bytes, not 7 bytes"),
        (lambda: CacheConfig("forced"), ValueError, 'mode must be "rfc9111" or "force", not \'forced\''),  # type: ignore[arg-type]
        (lambda: CacheConfig(shared=1), TypeError, "shared must be True or False, not 1"),  # type: ignore[arg-type]
        (
            lambda: CacheConfig(partition="Cookie"),
            TypeError,
            "partition must be a list of strings that are not",
        ),
        (lambda: CacheConfig(partition=[5]), TypeError, r"partition must be a list of strings .*, not \[5\]"),  # type: ignore[list-item]
        (lambda: CacheConfig(targeted=["a b"]), ValueError, "targeted must be names of header fields, not \\['a b'\\]"),
        (lambda: CacheConfig(targeted=5), TypeError, "targeted must be a list"),  # type: ignore[arg-type]
        (lambda: CacheConfig(stale_if_error=-1), ValueError, "stale_if_error must be"),
        (lambda: CacheConfig(stale_while_revalidate=-1), ValueError, "stale_while_revalidate must be"),
        (lambda: CacheConfig(max_body_size=1.5), TypeError, "max_body_size must be"),  # type: ignore[arg-type]
        (lambda: CacheConfig(max_wait=float("nan")), ValueError, "max_wait must be"),
        (lambda: CacheConfig(keep_stale=-1), ValueError, "keep_stale must be"),
        (lambda: CacheLayer({}), TypeError, "cache must be an InMemoryCache, a SQLiteCache, a RedisCache or another"),  # type: ignore[arg-type]
        (lambda: CacheLayer(None, {}), TypeError, "cache_config must be a CacheConfig, not {}"),  # type: ignore[arg-type]
        (
            lambda: CacheLayer(None, CacheConfig("force")),
            ValueError,
            'ttl must be a number of seconds for a cache with the mode "force"',
        ),
        (lambda: RateWiseTransport(cache_config=CacheConfig()), TypeError, "cache_config was given without a cache"),
    ],
)
def test_settings_are_checked(make: Any, error: type[Exception], words: str) -> None:
    """An invalid setting of a store is refused, with its name, its value and what is allowed; a secret is not shown."""
    with pytest.raises(error, match=words) as caught:
        make()
    assert "planted" not in str(caught.value)

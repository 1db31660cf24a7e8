"""The public names and their guarantees."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

import ratewise
import ratewise.exceptions
import ratewise.httpx2
import ratewise.retry

NAMES = """
AsyncBulkheadTransport AsyncCacheTransport AsyncCircuitBreakerTransport AsyncLayerTransport AsyncLoggingTransport
AsyncRateLimitTransport AsyncRateWiseClient AsyncRateWiseTransport AsyncRetryTransport Attempt Bulkhead BulkheadFull
BulkheadLayer BulkheadTransport CacheBackend CacheConfig CacheLayer CacheStats CacheTransport Call CircuitBreaker
CircuitBreakerLayer CircuitBreakerOpen CircuitBreakerTransport ClientStats Clock DeadlineExceeded Exchange ExponentialBackoff
Failure InMemoryCache Layer LayerTransport LogConfig LoggingLayer LoggingTransport RateLimitExceeded RateLimitLayer
RateLimitTransport RateLimiter RateWiseClient RateWiseError RateWiseTransport RedactionFilter RedactionProcessor Redactor
RedisCache RetryBudget RetryConfig RetryDecision RetryLayer RetryTransport SQLiteCache TooManyRequests WaitTooLong Waiter
Watcher exchange_of install_redaction options setup_logging
""".split()


def test_public_names() -> None:
    """The public names are exactly these: adding or removing one is a decision."""
    assert ratewise.__all__ == NAMES
    assert set(dir(ratewise)) == {*NAMES, "__version__"}
    for name in NAMES:
        assert getattr(ratewise, name).__name__ == name
    assert ratewise.httpx2.__all__ == [name for name in NAMES if getattr(ratewise, name).__module__.startswith("ratewise._httpx")]
    assert ratewise.retry.__all__ == [
        "Backoff",
        "ExponentialBackoff",
        "RetryBudget",
        "RetryConfig",
        "RetryDecision",
        "RetryLayer",
    ]


def test_unknown_names() -> None:
    """A misspelt name raises the usual AttributeError."""
    with pytest.raises(AttributeError, match="module 'ratewise' has no attribute 'RateWiseclient'"):
        _ = ratewise.RateWiseclient  # type: ignore[attr-defined]


def test_everything_public_is_documented() -> None:
    """Each public class and function, and each public method that its bases do not have, has a docstring."""
    for name in NAMES:
        thing = getattr(ratewise, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing) and not issubclass(thing, tuple):
            for method, value in vars(thing).items():
                inherited = any(hasattr(base, method) for base in thing.__mro__[1:])
                if callable(value) and not method.startswith("_") and not inherited:
                    assert inspect.getdoc(value), f"{name}.{method}"


@pytest.mark.parametrize(
    "name", ["BulkheadFull", "CircuitBreakerOpen", "RateLimitExceeded", "TooManyRequests", "DeadlineExceeded"]
)
@pytest.mark.parametrize(("ours", "library", "other"), [(ratewise, httpx, httpx2), (ratewise.httpx2, httpx2, httpx)])
def test_errors_are_ours_and_the_librarys(ours: Any, library: Any, other: Any, name: str) -> None:
    """An error is caught as RateWise's and as its library's, not as the other library's; `ratewise.exceptions` catches both."""
    kind = getattr(ours, name)
    assert issubclass(kind, library.HTTPError)
    assert not issubclass(kind, other.HTTPError)
    assert issubclass(kind, ratewise.RateWiseError)
    assert issubclass(kind, getattr(ratewise.exceptions, name))


@pytest.mark.parametrize(("package", "library"), [("_httpx", httpx), ("httpx2", httpx2)])
def test_clients_take_every_keyword_of_the_library(package: str, library: Any) -> None:
    """Each keyword of the library's clients and transports is in our signatures, or in the typed options."""
    source = Path(import_module(f"ratewise.{package}.clients").__file__ or "").read_text()
    transports = Path(import_module(f"ratewise.{package}.transports").__file__ or "").read_text()
    for kind in (library.Client, library.AsyncClient):
        for name in set(inspect.signature(kind).parameters) - {"base_url", "timeout"}:
            assert f"        {name}: " in source
    for kind in (library.HTTPTransport, library.AsyncHTTPTransport):
        for name in inspect.signature(kind).parameters:
            assert f"        {name}: " in transports


def test_sync_and_async_have_the_same_parameters() -> None:
    """The async classes have the same parameters as the sync ones, in the same order, with the same defaults."""
    for name in NAMES:
        if f"Async{name}" not in NAMES:
            continue
        ours, theirs = (inspect.signature(getattr(ratewise, prefix + name)) for prefix in ("", "Async"))
        assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
            (p.name, p.default, p.kind) for p in theirs.parameters.values()
        ]


def test_typed() -> None:
    """The package has a `py.typed` file."""
    assert (Path(ratewise.__file__).parent / "py.typed").exists()


def test_version_is_in_one_place() -> None:
    """The installed version is the imported version."""
    from importlib.metadata import version

    assert version("ratewise") == ratewise.__version__


def test_optimised_python(tmp_path: Path) -> None:
    """Retries work under `python -OO`: nothing depends on `assert` or on docstrings."""
    script = tmp_path / "run.py"
    script.write_text(
        "import httpx, ratewise\n"
        "steps = [503, 200]\n"
        "wire = httpx.MockTransport(lambda request: httpx.Response(steps.pop(0)))\n"
        "config = ratewise.RetryConfig(initial_delay=0)\n"
        "client = ratewise.RateWiseClient('https://x.example', transport=wire, retry_config=config)\n"
        "print(client.get('/').status_code, client.get_retry_delays())\n"
    )
    done = subprocess.run([sys.executable, "-OO", str(script)], check=True, capture_output=True, text=True)
    assert done.stdout == "200 [0.0]\n"

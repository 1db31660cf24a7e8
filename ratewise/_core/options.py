"""Settings of one request."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, Literal

from .._keywords import explained
from .._util.packages import OURS, package_of
from .._validation import flag, refusal, seconds, whole
from .call_state import KEY, Options


@explained()
def options(
    *,
    retry: bool | None = None,
    max_attempts: int | None = None,
    idempotency_key: str | None = None,
    cache: Literal["bypass", "refresh"] | None = None,
    cache_ttl: float | None = None,
) -> dict[str, Any]:
    """Settings for one request, as an httpx `extensions` dict: `client.get(url, extensions=ratewise.options(retry=False))`.

    - `retry`: False sends the request once, whatever its outcome.
    - `max_attempts`: how often it is sent at most, the first time included; at least 1.
    - `idempotency_key`: the value of its `Idempotency-Key` header, which makes a POST or PATCH safe to retry.
    - `cache`: "bypass" leaves the cache alone; "refresh" asks the server, and stores what it says.
    - `cache_ttl`: seconds of at least 0, instead of the `ttl` of the cache.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """
    if max_attempts is not None:
        whole("max_attempts", max_attempts, least=1)
    if retry is not None and not flag("retry", retry):
        if max_attempts not in (None, 1):
            raise ValueError(refusal("max_attempts", max_attempts, "1 or left out where retry=False is given"))
        max_attempts = 1
    if idempotency_key is not None:
        allowed = "a string of 1 to 255 printable ASCII characters, without blanks at its ends"
        if not isinstance(idempotency_key, str):
            raise TypeError(refusal("idempotency_key", idempotency_key, allowed))
        key = idempotency_key
        if not (0 < len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip()):
            raise ValueError(refusal("idempotency_key", idempotency_key, allowed))
    if cache not in (None, "bypass", "refresh"):
        raise ValueError(refusal("cache", cache, '"bypass", "refresh" or None'))
    if cache_ttl is not None:
        cache_ttl = seconds("cache_ttl", cache_ttl)
    return {KEY: Options(max_attempts, idempotency_key, cache, cache_ttl)}


OPTIONS = frozenset(signature(options).parameters)
"""The names of all options of a request."""

RETRIES = frozenset(("max_retries", "max_retry", "num_retries"))
"""Other names of the number of attempts, without the first one. No library is known to have an extension of such a name."""

CLIENT_SETTINGS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("connect_timeout", "total_timeout"), (int, float)),
    **dict.fromkeys(("raise_on_rate_limit", "rate_limiter", "redact_httpx_logs", "verify_ssl"), (bool,)),
    **dict.fromkeys(("backoff_strategy", "bulkhead", "cache", "cache_config"), ()),
    **dict.fromkeys(("circuit_breaker", "log_config", "retry_config"), ()),
    "default_headers": (dict,),
}
"""The settings of a client that a request does not have, and the types that they take beside objects of ours."""

MISPLACED = OPTIONS | RETRIES | CLIENT_SETTINGS.keys()
"""What has no effect in `extensions`."""


def accepted(option: str, value: Any) -> bool:
    """Whether `options()` takes this value."""
    try:
        options(**{option: value})
    except (TypeError, ValueError):
        return False
    return True


def refuse_misplaced(extensions: Mapping[str, Any]) -> None:
    """Raise `TypeError` if one of `MISPLACED` is there with a value that it takes. Other values are other libraries'."""
    for name in sorted(MISPLACED & extensions.keys()):
        value = extensions[name]
        option, given = name, value
        if name in RETRIES:
            option, given = "max_attempts", value + 1 if type(value) is int else None
        if option in OPTIONS and given is not None and accepted(option, given):
            written = f"ratewise.options({option}={given!r})"
            raise TypeError(
                f'extensions["{name}"] has no effect: give extensions={written}, '
                f"or extensions={{**{written}, ...}} beside other extensions"
            )
        if name in CLIENT_SETTINGS and (type(value) in CLIENT_SETTINGS[name] or _is_ours(value)):
            shown = repr(value) if isinstance(value, (bool, int, float)) else "..."
            raise TypeError(f'extensions["{name}"] has no effect: {name} belongs to the client: RateWiseClient({name}={shown})')


def _is_ours(value: object) -> bool:
    return any(package_of(kind.__module__) == OURS for kind in type(value).__mro__)

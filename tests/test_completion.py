"""Completion in an editor: each public class offers exactly its documented names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Callable

import httpx
import httpx2
import pytest

import ratewise
import ratewise.httpx2
from ratewise._core.call_state import CallState
from ratewise.circuit_breaker.breaker import Refusal

CACHE = "aclear aclose clear close get_stats namespace ttl"
BACKEND = f"{CACHE} adelete aget aset delete get set"
CLIENT = "cache circuit_breaker get_retry_delays get_retry_stats get_stats rate_limiter"
REFUSED = "attempts response retry_after"

NAMES = {
    "Attempt": "number outcome reason wait",
    "Bulkhead": "get_state key max_in_flight max_queue max_wait",
    "BulkheadFull": "attempts key waited",
    "BulkheadLayer": "bulkhead handle",
    "CacheBackend": BACKEND,
    "CacheConfig": "keep_stale max_body_size max_wait mode partition shared stale_if_error stale_while_revalidate targeted",
    "CacheLayer": "cache config handle",
    "CacheStats": "errors evictions hit_rate hits misses revalidated size stores",
    "Call": "clock close current_task http park runtime send sleep spawn tap via",
    "CircuitBreaker": "dry_run failure_on force_closed force_open get_state key on_state_change reset slow_call_duration",
    "CircuitBreakerLayer": "circuit_breaker handle",
    "CircuitBreakerOpen": "attempts failure_count key retry_after",
    "ClientStats": "avg_retries circuit_breaker_trips failed successful total_requests total_retries",
    "Clock": "apark asleep monotonic park sleep time within",
    "DeadlineExceeded": "attempts",
    "Exchange": "attempts deadline history id idempotency_key retry_after streamed waits",
    "ExponentialBackoff": "delay initial_delay jitter jitter_ratio max_delay multiplier",
    "Failure": "BROKEN IMPOSSIBLE NOT_CONNECTED NO_FREE_CONNECTION TIMED_OUT UNPROCESSED never_sent",
    "InMemoryCache": f"{CACHE} max_bytes max_size",
    "Layer": "handle",
    "LogConfig": "bodies level redactor response_headers",
    "LoggingLayer": "config handle",
    "RateLimitExceeded": REFUSED,
    "RateLimitLayer": "handle rate_limiter",
    "RateLimiter": "burst cautious concurrency key max_wait opening pace per rate restore route snapshot",
    "RateWiseError": "request",
    "RedactionFilter": "redactor",
    "RedactionProcessor": "redactor",
    "Redactor": "header headers mask_style text url",
    "RedisCache": f"{BACKEND} timeout",
    "RetryBudget": "min_per_second ratio",
    "RetryConfig": (
        "backoff budget decide idempotency_key max_attempts max_retry_after methods respect_retry_after retry_on_status"
    ),
    "RetryDecision": "delay reason should_retry",
    "RetryLayer": "config handle",
    "SQLiteCache": f"{BACKEND} max_bytes max_size path timeout",
    "TooManyRequests": REFUSED,
    "WaitTooLong": REFUSED,
    "Waiter": "await_ wait wake woken",
    "Watcher": "chunk closed complete failed",
    "install_redaction": "undo",
    "RateWiseClient": CLIENT,
    "AsyncRateWiseClient": f"{CLIENT} close",
    **{name: "" for name in ratewise.__all__ if name.endswith("Transport")},
}
"""For each public class, the public names of its instances besides those of the HTTP library and of Python."""


class Store(ratewise.CacheBackend):
    def get(self, key: str) -> bytes | None: ...
    def set(self, key: str, value: bytes, ttl: float) -> None: ...
    def delete(self, key: str) -> None: ...
    def clear(self) -> None: ...


class Plain(ratewise.Layer[Any, Any]):
    async def handle(self, request: Any, call: Any, /) -> Any: ...


STATE, ORIGIN = CallState(), ("https", "api.example.com", None)

MADE: dict[str, Callable[[Any, Any, Path], object]] = {
    "Attempt": lambda ours, library, path: ours.Attempt(1, "503", None, "backoff"),
    "BulkheadFull": lambda ours, library, path: ours.BulkheadFull(request(library), STATE, ORIGIN, 1, 0.0),
    "CacheBackend": lambda ours, library, path: Store(),
    "CacheStats": lambda ours, library, path: ours.InMemoryCache().get_stats(),
    "Call": lambda ours, library, path: ours.Call.__new__(ours.Call),  # all its names are declared in its slots
    "CircuitBreakerOpen": lambda ours, library, path: ours.CircuitBreakerOpen(
        request(library), STATE, Refusal(ORIGIN, "open", 1, 1.0)
    ),
    "ClientStats": lambda ours, library, path: ours.ClientStats(0, 0, 0, 0),
    "DeadlineExceeded": lambda ours, library, path: ours.DeadlineExceeded(request(library), STATE),
    "Failure": lambda ours, library, path: ours.Failure.BROKEN,
    "Layer": lambda ours, library, path: Plain(),
    "RateLimitExceeded": lambda ours, library, path: ours.RateLimitExceeded("refused", request(library)),
    "RateWiseError": lambda ours, library, path: ours.RateWiseError("failed", None),
    "RedisCache": lambda ours, library, path: ours.RedisCache("redis://localhost"),
    "RetryDecision": lambda ours, library, path: ours.RetryDecision(True),
    "SQLiteCache": lambda ours, library, path: ours.SQLiteCache(path / "responses.db"),
    "TooManyRequests": lambda ours, library, path: ours.TooManyRequests(request(library), library.Response(429), STATE),
    "WaitTooLong": lambda ours, library, path: ours.WaitTooLong(request(library), STATE, ORIGIN, 0.0, 1.0, "full", "max_wait"),
    "RateWiseClient": lambda ours, library, path: ours.RateWiseClient(redact_httpx_logs=False),
    "AsyncRateWiseClient": lambda ours, library, path: ours.AsyncRateWiseClient(redact_httpx_logs=False),
    "LayerTransport": lambda ours, library, path: ours.LayerTransport(library.HTTPTransport()),
    "AsyncLayerTransport": lambda ours, library, path: ours.AsyncLayerTransport(library.AsyncHTTPTransport()),
}
"""How to create an instance of a class that needs arguments."""


def request(library: Any) -> Any:
    return library.Request("GET", "https://api.example.com/users")


def public(names: Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def own(thing: object, library: Any) -> set[str]:
    """The public names of an instance, without those inherited from other packages."""
    plain: dict[str, object] = {
        "RateWiseClient": library.Client(),
        "AsyncRateWiseClient": library.AsyncClient(),
        "RedactionFilter": logging.Filter(),
    }
    names = {*getattr(thing, "__dict__", ()), *dir(type(thing))}
    for kind in type(thing).__mro__:
        if kind.__module__.startswith("ratewise"):
            names |= {*vars(kind), *vars(kind).get("__annotations__", ())}  # members of enums are not in `dir`
    others = {name for kind in type(thing).__mro__ if not kind.__module__.startswith(("ratewise", "tests")) for name in dir(kind)}
    return public(names) - others - {*dir(plain.get(type(thing).__name__, object))}


@pytest.mark.parametrize(("ours", "library"), [(ratewise, httpx), (ratewise.httpx2, httpx2)], ids=["httpx", "httpx2"])
def test_what_is_internal_is_not_offered(ours: Any, library: Any, tmp_path: Path) -> None:
    """Adding or removing a name is a decision; all other names of the package begin with an underscore."""
    found = {}
    for name in ours.__all__:
        kind = getattr(ours, name)
        if isinstance(kind, type):
            thing: Any = MADE[name](ours, library, tmp_path) if name in MADE else kind()
            found[name] = own(thing, library)
            if name == "install_redaction":
                thing.undo()
    assert found == {name: {*names.split()} for name, names in NAMES.items() if name in ours.__all__}

"""The whole stack: its layers, in order, from the settings of a client or transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._core.exchange import state_of
from ._deadline import DeadlineLayer, WireDeadlineLayer
from ._validation import flag, refusal, whole
from .bulkhead.bulkhead import Bulkhead
from .bulkhead.layer import BulkheadLayer
from .circuit_breaker.breaker import CircuitBreaker
from .circuit_breaker.layer import CircuitBreakerLayer, CircuitRecheckLayer
from .layer import Call, Q, R
from .rate_limit.layer import RateLimitLayer
from .rate_limit.limiter import RateLimiter
from .retry.backoff import Backoff
from .retry.config import RetryConfig, checked_backoff
from .retry.layer import RetryLayer

if TYPE_CHECKING:
    from .cache.config import CacheConfig
    from .cache.stores.base import Cache
    from .logging.config import LogConfig


class RaiseOnRateLimit:
    """The outermost layer of a stack with `raise_on_rate_limit=True`: raises `RateLimitExceeded` for a last 429."""

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        response = await call.send(request)
        if response.status_code == 429:
            raise call.http.TooManyRequests(request, await call.http.load(response), state_of(request))
        return response


def assemble(
    *,
    max_retries: int,
    retry_config: RetryConfig | None,
    backoff_strategy: Backoff | None,
    total_timeout: float | None,
    cache: Cache | None,
    cache_config: CacheConfig | None,
    circuit_breaker: CircuitBreaker | None,
    rate_limiter: RateLimiter | bool | None,
    bulkhead: Bulkhead | None,
    log_config: LogConfig | None,
    raise_on_rate_limit: bool,
) -> tuple[Any, ...]:
    """Return the layers of the whole stack, outermost first."""
    layers: list[Any] = [RaiseOnRateLimit()] if flag("raise_on_rate_limit", raise_on_rate_limit) else []
    if log_config is not None:
        from .logging.layer import LoggingLayer  # loaded only where it is used

        layers.append(LoggingLayer(log_config))
    if total_timeout is not None:
        layers.append(DeadlineLayer(total_timeout))
    if cache is not None:
        from .cache.layer import CacheLayer  # as above

        layers.append(CacheLayer(cache, cache_config))
    elif cache_config is not None:
        raise TypeError("cache_config was given without a cache: give cache=InMemoryCache(), or another store, as well")
    layers.append(RetryLayer(retry_rules(max_retries, retry_config, backoff_strategy)))
    rate_limiter = given_limiter(rate_limiter)
    waits = rate_limiter is not None or bulkhead is not None
    if circuit_breaker is not None:
        layers.append(CircuitBreakerLayer(circuit_breaker, rechecked=waits))
    if rate_limiter is not None:
        layers.append(RateLimitLayer(rate_limiter))
    if bulkhead is not None:
        layers.append(BulkheadLayer(bulkhead))
    if circuit_breaker is not None and waits:
        layers.append(CircuitRecheckLayer(circuit_breaker))
    if total_timeout is not None:
        layers.append(WireDeadlineLayer())
    return tuple(layers)


def given_limiter(rate_limiter: RateLimiter | bool | None) -> RateLimiter | None:
    """Return the limiter that was given, a new one for True, or None."""
    if isinstance(rate_limiter, bool):
        return RateLimiter() if rate_limiter else None
    if not (rate_limiter is None or isinstance(rate_limiter, RateLimiter)):
        raise TypeError(refusal("rate_limiter", rate_limiter, "a RateLimiter, True or None"))
    return rate_limiter


def retry_rules(max_retries: int, retry_config: RetryConfig | None, backoff_strategy: Backoff | None) -> RetryConfig:
    """Return the retry rules: `retry_config` wins over `max_retries`, and `backoff_strategy` replaces the backoff of either."""
    whole("max_retries", max_retries, least=0)
    if retry_config is None:
        retry_config = RetryConfig(max_retries + 1)
    elif not isinstance(retry_config, RetryConfig):
        raise TypeError(refusal("retry_config", retry_config, "a RetryConfig"))
    if backoff_strategy is None:
        return retry_config
    return retry_config._with_backoff(checked_backoff("backoff_strategy", backoff_strategy))

"""The whole stack: its layers, in order, from the settings of a client or transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Settings(NamedTuple):
    """The settings of the whole stack, as the constructors of clients and transports are given them."""

    max_retries: int
    retry_config: RetryConfig | None
    backoff_strategy: Backoff | None
    total_timeout: float | None
    cache: Cache | None
    cache_config: CacheConfig | None
    circuit_breaker: CircuitBreaker | None
    rate_limiter: RateLimiter | None
    bulkhead: Bulkhead | None
    log_config: LogConfig | None
    raise_on_rate_limit: bool
    width: int | None = None
    """Connections of the wire at most, if `limits` says so."""

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Settings:
        """Take the settings from all arguments of a constructor, and make the limiter that they ask for."""
        limits = arguments["options"].get("limits")
        given = cls(**{name: arguments[name] for name in cls._fields[:-1]}, width=getattr(limits, "max_connections", None))
        flag("raise_on_rate_limit", given.raise_on_rate_limit)
        return given._replace(rate_limiter=given_limiter(given.rate_limiter))


def assemble(settings: Settings, *, raises: bool) -> tuple[Any, ...]:
    """Return the layers of the whole stack, outermost first. `raises`: a layer raises for a last 429."""
    breaker, limiter, bulkhead = settings.circuit_breaker, settings.rate_limiter, settings.bulkhead
    layers: list[Any] = [RaiseOnRateLimit()] if raises else []
    if settings.log_config is not None:
        from .logging.layer import LoggingLayer  # loaded only where it is used

        layers.append(LoggingLayer(settings.log_config))
    if settings.total_timeout is not None:
        layers.append(DeadlineLayer(settings.total_timeout))
    if settings.cache is not None:
        from .cache.layer import CacheLayer  # as above

        layers.append(CacheLayer(settings.cache, settings.cache_config))
    elif settings.cache_config is not None:
        raise TypeError("cache_config was given without a cache: give cache=InMemoryCache(), or another store, as well")
    layers.append(RetryLayer(retry_rules(settings.max_retries, settings.retry_config, settings.backoff_strategy)))
    if breaker is not None:
        layers.append(CircuitBreakerLayer(breaker))
    if limiter is not None:
        layers.append(RateLimitLayer(limiter, width=settings.width))
    if bulkhead is not None:
        layers.append(BulkheadLayer(bulkhead))
    if breaker is not None:
        layers.append(CircuitRecheckLayer(breaker))
    if settings.total_timeout is not None:
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

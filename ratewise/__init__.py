"""Retries, rate limits, caching, circuit breaking and redacted logging, as transports around httpx."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core.call_state import Attempt
    from ._core.clock import Clock, Waiter
    from ._core.exchange import Exchange, exchange_of
    from ._core.failure import Failure
    from ._core.options import options
    from ._core.stats import ClientStats
    from ._httpx import (
        AsyncBulkheadTransport,
        AsyncCacheTransport,
        AsyncCircuitBreakerTransport,
        AsyncLayerTransport,
        AsyncLoggingTransport,
        AsyncRateLimitTransport,
        AsyncRateWiseClient,
        AsyncRateWiseTransport,
        AsyncRetryTransport,
        BulkheadFull,
        BulkheadTransport,
        CacheTransport,
        CircuitBreakerOpen,
        CircuitBreakerTransport,
        DeadlineExceeded,
        LayerTransport,
        LoggingTransport,
        RateLimitExceeded,
        RateLimitTransport,
        RateWiseClient,
        RateWiseTransport,
        RetryTransport,
        TooManyRequests,
        WaitTooLong,
    )
    from .bulkhead import Bulkhead, BulkheadLayer
    from .cache import CacheBackend, CacheConfig, CacheLayer, CacheStats, InMemoryCache, RedisCache, SQLiteCache
    from .circuit_breaker import CircuitBreaker, CircuitBreakerLayer
    from .exceptions import RateWiseError
    from .layer import Call, Layer, Watcher
    from .logging import LogConfig, LoggingLayer, RedactionFilter, RedactionProcessor, Redactor, install_redaction, setup_logging
    from .rate_limit import RateLimiter, RateLimitLayer
    from .retry import ExponentialBackoff, RetryBudget, RetryConfig, RetryDecision, RetryLayer

__version__ = "0.1.0"

_HOME = {
    "_httpx": (
        "AsyncBulkheadTransport",
        "AsyncCacheTransport",
        "AsyncCircuitBreakerTransport",
        "AsyncLayerTransport",
        "AsyncLoggingTransport",
        "AsyncRateLimitTransport",
        "AsyncRateWiseClient",
        "AsyncRateWiseTransport",
        "AsyncRetryTransport",
        "BulkheadFull",
        "BulkheadTransport",
        "CacheTransport",
        "CircuitBreakerOpen",
        "CircuitBreakerTransport",
        "DeadlineExceeded",
        "LayerTransport",
        "LoggingTransport",
        "RateLimitExceeded",
        "RateLimitTransport",
        "RateWiseClient",
        "RateWiseTransport",
        "RetryTransport",
        "TooManyRequests",
        "WaitTooLong",
    ),
    "bulkhead": ("Bulkhead", "BulkheadLayer"),
    "cache": ("CacheBackend", "CacheConfig", "CacheLayer", "CacheStats", "InMemoryCache", "RedisCache", "SQLiteCache"),
    "circuit_breaker": ("CircuitBreaker", "CircuitBreakerLayer"),
    "_core.clock": ("Clock", "Waiter"),
    "exceptions": ("RateWiseError",),
    "_core.call_state": ("Attempt",),
    "_core.exchange": ("Exchange", "exchange_of"),
    "_core.failure": ("Failure",),
    "_core.options": ("options",),
    "layer": ("Call", "Layer", "Watcher"),
    "logging": (
        "LogConfig",
        "LoggingLayer",
        "RedactionFilter",
        "RedactionProcessor",
        "Redactor",
        "install_redaction",
        "setup_logging",
    ),
    "rate_limit": ("RateLimitLayer", "RateLimiter"),
    "retry": ("ExponentialBackoff", "RetryBudget", "RetryConfig", "RetryDecision", "RetryLayer"),
    "_core.stats": ("ClientStats",),
}
"""The public names, by the module that they are loaded from."""

_MODULES = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AsyncBulkheadTransport",
    "AsyncCacheTransport",
    "AsyncCircuitBreakerTransport",
    "AsyncLayerTransport",
    "AsyncLoggingTransport",
    "AsyncRateLimitTransport",
    "AsyncRateWiseClient",
    "AsyncRateWiseTransport",
    "AsyncRetryTransport",
    "Attempt",
    "Bulkhead",
    "BulkheadFull",
    "BulkheadLayer",
    "BulkheadTransport",
    "CacheBackend",
    "CacheConfig",
    "CacheLayer",
    "CacheStats",
    "CacheTransport",
    "Call",
    "CircuitBreaker",
    "CircuitBreakerLayer",
    "CircuitBreakerOpen",
    "CircuitBreakerTransport",
    "ClientStats",
    "Clock",
    "DeadlineExceeded",
    "Exchange",
    "ExponentialBackoff",
    "Failure",
    "InMemoryCache",
    "Layer",
    "LayerTransport",
    "LogConfig",
    "LoggingLayer",
    "LoggingTransport",
    "RateLimitExceeded",
    "RateLimitLayer",
    "RateLimitTransport",
    "RateLimiter",
    "RateWiseClient",
    "RateWiseError",
    "RateWiseTransport",
    "RedactionFilter",
    "RedactionProcessor",
    "Redactor",
    "RedisCache",
    "RetryBudget",
    "RetryConfig",
    "RetryDecision",
    "RetryLayer",
    "RetryTransport",
    "SQLiteCache",
    "TooManyRequests",
    "WaitTooLong",
    "Waiter",
    "Watcher",
    "exchange_of",
    "install_redaction",
    "options",
    "setup_logging",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `import ratewise` alone loads nothing, httpx neither."""
    if name not in _MODULES:
        raise AttributeError(f"module 'ratewise' has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

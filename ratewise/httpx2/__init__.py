# Generated from ratewise/_httpx by `nox -s twin`: change the files there.
"""RateWise for httpx2: the transports, the clients and the errors that they raise. Contains no decisions."""

from importlib.util import find_spec

if find_spec("httpx2") is None:
    raise ImportError("these transports and clients are for httpx2, which is not installed: pip install httpx2", name="httpx2")

from .base import AsyncLayerTransport, LayerTransport
from .clients import AsyncRateWiseClient, RateWiseClient
from .errors import BulkheadFull, CircuitBreakerOpen, DeadlineExceeded, RateLimitExceeded, TooManyRequests, WaitTooLong
from .transports import (
    AsyncBulkheadTransport,
    AsyncCacheTransport,
    AsyncCircuitBreakerTransport,
    AsyncLoggingTransport,
    AsyncRateLimitTransport,
    AsyncRateWiseTransport,
    AsyncRetryTransport,
    BulkheadTransport,
    CacheTransport,
    CircuitBreakerTransport,
    LoggingTransport,
    RateLimitTransport,
    RateWiseTransport,
    RetryTransport,
)

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
]

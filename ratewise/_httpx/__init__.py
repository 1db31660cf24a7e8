"""The flavour for httpx. The files of this folder are the only ones that import httpx, and contain no decisions."""

from .clients import AsyncRateWiseClient, RateWiseClient
from .errors import DeadlineExceeded, RateLimitExceeded, TooManyRequests
from .transports import (
    AsyncLayerTransport,
    AsyncRateWiseTransport,
    AsyncRetryTransport,
    LayerTransport,
    RateWiseTransport,
    RetryTransport,
)

__all__ = [
    "AsyncLayerTransport",
    "AsyncRateWiseClient",
    "AsyncRateWiseTransport",
    "AsyncRetryTransport",
    "DeadlineExceeded",
    "LayerTransport",
    "RateLimitExceeded",
    "RateWiseClient",
    "RateWiseTransport",
    "RetryTransport",
    "TooManyRequests",
]

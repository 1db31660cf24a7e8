"""The exceptions of RateWise as exceptions of httpx."""

from __future__ import annotations

import httpx

from .. import exceptions


class BulkheadFull(exceptions.BulkheadFull, httpx.TransportError):
    """All slots of the bulkhead are in use, and the queue is full or `max_wait` is exceeded."""


class CircuitBreakerOpen(exceptions.CircuitBreakerOpen, httpx.TransportError):
    """The circuit is open: the server has failed, and nothing is sent to it for a while."""


class RateLimitExceeded(exceptions.RateLimitExceeded, httpx.HTTPError):
    """The limit is used up, and the call does not wait for it."""

    response: httpx.Response | None


class WaitTooLong(exceptions.WaitTooLong, RateLimitExceeded, httpx.RequestError):
    """The request was not sent: its slot opens only after the limiter's `max_wait`, or after the call's deadline."""


class TooManyRequests(exceptions.TooManyRequests, RateLimitExceeded, httpx.HTTPStatusError):
    """The last attempt was answered with 429 (RFC 6585, section 4)."""

    response: httpx.Response  # pyright: ignore[reportIncompatibleVariableOverride]  # here there always is one


class DeadlineExceeded(exceptions.DeadlineExceeded, httpx.TimeoutException):
    """The call did not finish within its `total_timeout`."""

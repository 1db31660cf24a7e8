"""What RateWise raises around httpx: its own errors and httpx's at once."""

from __future__ import annotations

import httpx

from .. import exceptions


class BulkheadFull(exceptions.BulkheadFull, httpx.TransportError):
    """Too many requests are in flight, and waiting for a place was not possible or not allowed."""


class CircuitBreakerOpen(exceptions.CircuitBreakerOpen, httpx.TransportError):
    """The server has failed so often that nothing is sent to it for a while."""


class RateLimitExceeded(exceptions.RateLimitExceeded, httpx.HTTPError):
    """The limit is used up, and waiting for it was not possible or not allowed."""

    response: httpx.Response | None


class WaitTooLong(exceptions.WaitTooLong, RateLimitExceeded, httpx.RequestError):
    """The request was not sent: its turn would come only after the limiter's `max_wait`, or after the call's deadline."""


class TooManyRequests(exceptions.TooManyRequests, RateLimitExceeded, httpx.HTTPStatusError):
    """The server answered 429 (RFC 6585, section 4) to the end."""

    response: httpx.Response  # pyright: ignore[reportIncompatibleVariableOverride]  # here there always is one


class DeadlineExceeded(exceptions.DeadlineExceeded, httpx.TimeoutException):
    """The call was not done within its `total_timeout`."""

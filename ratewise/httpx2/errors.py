# Generated from ratewise/_httpx by `nox -s twin`: change the files there.
"""What RateWise raises around httpx2: its own errors and httpx2's at once."""

from __future__ import annotations

import httpx2

from .. import exceptions


class BulkheadFull(exceptions.BulkheadFull, httpx2.TransportError):
    """Too many requests are in flight, and waiting for a place was not possible or not allowed."""


class CircuitBreakerOpen(exceptions.CircuitBreakerOpen, httpx2.TransportError):
    """The server has failed so often that nothing is sent to it for a while."""


class RateLimitExceeded(exceptions.RateLimitExceeded, httpx2.HTTPError):
    """The limit is used up, and waiting for it was not possible or not allowed."""

    response: httpx2.Response | None


class WaitTooLong(exceptions.WaitTooLong, RateLimitExceeded, httpx2.RequestError):
    """The request was not sent: its turn would come only after the limiter's `max_wait`, or after the call's deadline."""


class TooManyRequests(exceptions.TooManyRequests, RateLimitExceeded, httpx2.HTTPStatusError):
    """The server answered 429 (RFC 6585, section 4) to the end."""

    response: httpx2.Response  # pyright: ignore[reportIncompatibleVariableOverride]  # here there always is one


class DeadlineExceeded(exceptions.DeadlineExceeded, httpx2.TimeoutException):
    """The call was not done within its `total_timeout`."""

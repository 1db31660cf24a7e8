# Generated from ratewise/_httpx by `nox -s twin`: change the files there.
"""The exceptions of RateWise as exceptions of httpx2."""

from __future__ import annotations

import httpx2

from .. import exceptions


class BulkheadFull(exceptions.BulkheadFull, httpx2.TransportError):
    """All slots of the bulkhead are in use, and the queue is full or `max_wait` is exceeded."""


class CircuitBreakerOpen(exceptions.CircuitBreakerOpen, httpx2.TransportError):
    """The circuit is open: the server has failed, and nothing is sent to it for a while."""


class RateLimitExceeded(exceptions.RateLimitExceeded, httpx2.HTTPError):
    """The limit is used up, and the call does not wait for it."""

    response: httpx2.Response | None


class WaitTooLong(exceptions.WaitTooLong, RateLimitExceeded, httpx2.RequestError):
    """The request was not sent: its slot opens only after the limiter's `max_wait`, or after the call's deadline."""


class TooManyRequests(exceptions.TooManyRequests, RateLimitExceeded, httpx2.HTTPStatusError):
    """The last attempt was answered with 429 (RFC 6585, section 4)."""

    response: httpx2.Response  # pyright: ignore[reportIncompatibleVariableOverride]  # here there always is one


class DeadlineExceeded(exceptions.DeadlineExceeded, httpx2.TimeoutException):
    """The call did not finish within its `total_timeout`."""

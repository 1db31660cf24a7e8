"""What RateWise raises around httpx: its own errors and httpx's at once."""

from __future__ import annotations

import httpx

from .. import exceptions
from ..exchange import Exchange
from ..redact import DEFAULT as REDACTOR


class RateLimitExceeded(exceptions.RateLimitExceeded, httpx.HTTPError):
    """The limit is used up, and waiting for it was not possible or not allowed."""

    response: httpx.Response | None
    """The last 429, read and closed; None if the server was not asked."""

    def __init__(
        self,
        message: str,
        *,
        request: httpx.Request,
        response: httpx.Response | None = None,
        attempts: int,
        retry_after: float | None,
    ) -> None:
        httpx.HTTPError.__init__(self, message)
        self.request = request
        self.response = response
        self.attempts = attempts
        self.retry_after = retry_after


class TooManyRequests(RateLimitExceeded, httpx.HTTPStatusError):
    """The server answered 429 (RFC 6585, section 4) to the end."""

    response: httpx.Response  # pyright: ignore[reportIncompatibleVariableOverride]  # here there always is one

    def __init__(self, request: httpx.Request, response: httpx.Response, exchange: Exchange) -> None:
        asked = exchange.retry_after
        then = "The server does not say how long to wait" if asked is None else f"The server asks to wait {asked:.6g} s"
        why = f"; {exchange.history[-1].reason}" if exchange.history else ""
        shown = f"{request.method} {REDACTOR.url(request.url)}"
        super().__init__(
            f"429 Too Many Requests for {shown} (requests sent: {exchange.attempts}{why}). {then}",
            request=request,
            response=response,
            attempts=exchange.attempts,
            retry_after=asked,
        )
        self.ratewise = exchange
        response.request = request


class DeadlineExceeded(exceptions.DeadlineExceeded, httpx.TimeoutException):
    """The call was not done within its `total_timeout`."""

    def __init__(self, request: httpx.Request, exchange: Exchange) -> None:
        history = "".join(f"; {attempt}" for attempt in exchange.history)
        shown = f"{request.method} {REDACTOR.url(request.url)}"
        message = f"total_timeout is over for {shown} (requests sent: {exchange.attempts}{history})"
        httpx.TimeoutException.__init__(self, message, request=request)
        self.ratewise = exchange
        self.attempts = exchange.attempts

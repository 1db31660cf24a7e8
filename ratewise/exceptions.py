"""The exceptions of RateWise.

The classes here know no HTTP library. `ratewise` and `ratewise.httpx2` make them exceptions of their library too: both
`except ratewise.RateLimitExceeded` and `except httpx.HTTPError` catch what a client of `ratewise` raises, and the classes here
catch it from clients of either library.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, cast

from ._util.durations import in_seconds
from ._util.escapes import escaped

if TYPE_CHECKING:
    from ._core.call_state import CallState
    from .circuit_breaker.breaker import Refusal


class RateWiseError(Exception):
    """Base of all that RateWise itself raises while a request is handled. `request` is the library's `Request`."""

    def __init__(self, message: str, request: Any) -> None:
        # Past the constructors of the libraries' errors, which set only what is set here, each in its own way.
        Exception.__init__(self, message)
        cast(Any, self).request = request  # a property of theirs

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments are lost on the way through pickle, and a process pool with them.
        return _restored, (type(self), self.args, self.__dict__)


class BulkheadFull(RateWiseError):  # noqa: N818  (named by what happened, as httpx names its own)
    """All slots of the bulkhead are in use, and the queue is full or `max_wait` is exceeded."""

    attempts: int
    """Requests sent for this call before."""
    key: Hashable
    """The origin (scheme, host, port), or what the bulkhead's `key=` returned."""
    waited: float
    """Seconds that the request waited. 0 if the queue was full too."""

    def __init__(self, request: Any, state: CallState, key: Hashable, max_in_flight: int, waited: float) -> None:
        why = f"waited {in_seconds(waited)}" if waited else "queue full"
        full = f"bulkhead full for {state.redactor.key(key)} ({max_in_flight} in flight, {why})"
        super().__init__(f"{_unsent(request, state)}: {full}", request)
        self.attempts = state.attempts
        self.key = key
        self.waited = waited


class CircuitBreakerOpen(RateWiseError):  # noqa: N818  (as above)
    """The circuit is open: the server has failed, and nothing is sent to it for a while."""

    attempts: int
    """Requests sent for this call before."""
    key: Hashable
    """The origin (scheme, host, port), or what the breaker's `key=` returned."""
    failure_count: int
    """Failures that opened the circuit."""
    retry_after: float | None
    """Seconds, at most, until a request is let through. None if the circuit is held open by hand."""

    def __init__(self, request: Any, state: CallState, refusal: Refusal) -> None:
        after = refusal.retry_after
        if after is None:
            why = "held open by force_open(); reset() or force_closed() closes it"
        else:
            is_open = "open" if refusal.state == "open" else "half-open, with a probe in flight,"
            failures = f"{refusal.failure_count} failure{'s' * (refusal.failure_count != 1)}"
            why = f"{is_open} after {failures}; the next request is let through in {in_seconds(after)}"
        super().__init__(f"{_unsent(request, state)}: circuit of {state.redactor.key(refusal.key)} is {why}", request)
        self.attempts = state.attempts
        self.key = refusal.key
        self.failure_count = refusal.failure_count
        self.retry_after = after


class RateLimitExceeded(RateWiseError):  # noqa: N818  (as above)
    """The limit is used up, and the call does not wait for it."""

    response: Any = None
    """The last 429, read and closed. Of a request that was not sent: status code and rate-limit fields of the last refusal of its
    kind; None if there was none."""
    attempts: int
    """Requests sent for this call. 0 if it was refused before any was."""
    retry_after: float | None
    """Seconds that the server asked to wait, or until the next slot; None if unknown."""


class WaitTooLong(RateLimitExceeded):
    """The request was not sent: its slot opens only after the limiter's `max_wait`, or after the call's deadline."""

    def __init__(
        self,
        request: Any,
        state: CallState,
        key: Hashable,
        waited: float,
        left: float,
        reason: str,
        setting: str,
        refusal: Any = None,
    ) -> None:
        opens = f"opens in {in_seconds(left)}" if left > 0 else "opens only when others are answered"
        until = f"the next slot for {state.redactor.key(key)} {opens} ({reason})"
        after = f" after {in_seconds(waited)}" if waited >= 0.001 else ""
        super().__init__(f"{_unsent(request, state)}: {setting} exceeded{after}: {until}", request)
        self.attempts = state.attempts
        self.retry_after = left
        self.response = refusal
        if refusal is not None:
            refusal.request = request
            refusal.read()  # it has no body


class TooManyRequests(RateLimitExceeded):
    """The last attempt was answered with 429 (RFC 6585, section 4)."""

    def __init__(self, request: Any, response: Any, state: CallState) -> None:
        asked = state.retry_after
        then = "the server does not say how long to wait" if asked is None else f"the server asks to wait {in_seconds(asked)}"
        why = f"; {state.history[-1].reason}" if state.history else ""
        super().__init__(f"429 Too Many Requests for {_request_line(request, state)} ({_attempts(state)}{why}): {then}", request)
        self.response = response
        self.attempts = state.attempts
        self.retry_after = asked
        response.request = request


class DeadlineExceeded(RateWiseError):  # noqa: N818  (as above)
    """The call did not finish within its `total_timeout`."""

    attempts: int
    """Requests sent for this call."""

    def __init__(self, request: Any, state: CallState) -> None:
        super().__init__(
            f"total_timeout exceeded for {_request_line(request, state)} ({_attempts(state)}{_history(state)})", request
        )
        self.attempts = state.attempts


def _request_line(request: Any, state: CallState) -> str:
    return f"{escaped(request.method)} {state.redactor.url(request.url)}"


def _attempts(state: CallState) -> str:
    return f"{state.attempts} attempt{'s' * (state.attempts != 1)}"


def _history(state: CallState) -> str:
    return "".join(f"; {attempt}" for attempt in state.history)


def _unsent(request: Any, state: CallState) -> str:
    """That it was not sent or, of a call that has been tried before, not sent again."""
    if not state.attempts:
        return f"{_request_line(request, state)} was not sent"
    return f"{_request_line(request, state)} was not sent again ({_attempts(state)}{_history(state)})"


def _restored(kind: type[RateWiseError], args: tuple[Any, ...], state: dict[str, Any]) -> RateWiseError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error

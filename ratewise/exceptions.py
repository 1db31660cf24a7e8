"""What RateWise raises of its own.

The classes here know no HTTP library. Each flavour makes them errors of its library too: `except ratewise.RateLimitExceeded` and
`except httpx.HTTPError` both catch what a client of `ratewise` raises, and the classes here catch it from either flavour.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, cast

from ._util.escapes import escaped

if TYPE_CHECKING:
    from ._core.call_state import CallState
    from .circuit_breaker.breaker import Refusal


class RateWiseError(Exception):
    """Base of everything that RateWise itself raises while a request is handled. `request` is the library's `Request`."""

    def __init__(self, message: str, request: Any) -> None:
        # Past the constructors of the libraries' errors, which set only what is set here, each in its own way.
        Exception.__init__(self, message)
        cast(Any, self).request = request  # a property of theirs

    def __reduce__(self) -> tuple[Any, ...]:
        # Arguments by keyword are lost on the way through pickle, and a process pool with them.
        return _restored, (type(self), self.args, self.__dict__)


class BulkheadFull(RateWiseError):  # noqa: N818  (named by what happened, as httpx names its own)
    """Too many requests are in flight, and waiting for a place was not possible or not allowed."""

    attempts: int
    """How many requests were sent for this call before."""
    key: Hashable
    """The origin (scheme, host, port), or what the bulkhead's `key=` gave."""
    waited: float
    """Seconds that the request waited. 0 if the queue was full too."""

    def __init__(self, request: Any, state: CallState, key: Hashable, max_in_flight: int, waited: float) -> None:
        why = f"it waited {waited:.3g} s for one of them" if waited else "the queue for them is full"
        shown = f"{_unsent(request, state)}: {max_in_flight} requests at a time may be in flight to {state.redactor.key(key)}"
        super().__init__(f"{shown}, and {why}", request)
        self.attempts = state.attempts
        self.key = key
        self.waited = waited


class CircuitBreakerOpen(RateWiseError):  # noqa: N818  (as above)
    """The server has failed so often that nothing is sent to it for a while."""

    attempts: int
    """How many requests were sent for this call before."""
    key: Hashable
    """The origin (scheme, host, port), or what the breaker's `key=` gave."""
    failure_count: int
    """How many failures opened the circuit."""
    retry_after: float | None
    """Seconds, at most, until a request will be let through. None if the circuit is held open by hand."""

    def __init__(self, request: Any, state: CallState, refusal: Refusal) -> None:
        after = refusal.retry_after
        if after is None:
            why, then = "is held open by hand", "reset() or force_closed() closes it"
        else:
            failures = f"{refusal.failure_count} failure{'s' * (refusal.failure_count != 1)}"
            why = f"is open after {failures}" if refusal.state == "open" else f"is being probed after {failures}"
            then = f"A request is let through in {after:.3g} s"
        super().__init__(
            f"{_unsent(request, state)}: the circuit of {state.redactor.key(refusal.key)} {why}. {then}",
            request,
        )
        self.attempts = state.attempts
        self.key = refusal.key
        self.failure_count = refusal.failure_count
        self.retry_after = after


class RateLimitExceeded(RateWiseError):  # noqa: N818  (as above)
    """The limit is used up, and waiting for it was not possible or not allowed."""

    response: Any = None
    """The last 429, read and closed; None if the server was not asked."""
    attempts: int
    """How many requests were sent for this call. 0 if it was refused before any was."""
    retry_after: float | None
    """Seconds that the server asked to wait, or until its turn would have come; None if nobody knows."""


class WaitTooLong(RateLimitExceeded):
    """The request was not sent: its turn would come only after the limiter's `max_wait`, or after the call's deadline."""

    def __init__(
        self, request: Any, state: CallState, key: Hashable, waited: float, left: float, reason: str, setting: str
    ) -> None:
        waiting = f" It has waited {waited:.3g} s." if waited else ""
        then = f"its turn at {state.redactor.key(key)} would come in {round(left, 2):g} s: {reason}.{waiting}"
        super().__init__(f"{_unsent(request, state)}: {then} A higher {setting} would let it wait", request)
        self.attempts = state.attempts
        self.retry_after = left


class TooManyRequests(RateLimitExceeded):
    """The server answered 429 (RFC 6585, section 4) to the end."""

    def __init__(self, request: Any, response: Any, state: CallState) -> None:
        asked = state.retry_after
        then = "The server does not say how long to wait" if asked is None else f"The server asks to wait {asked:.6g} s"
        why = f"; {state.history[-1].reason}" if state.history else ""
        shown = f"429 Too Many Requests for {_shown(request, state)}"
        super().__init__(f"{shown} (requests sent: {state.attempts}{why}). {then}", request)
        self.response = response
        self.attempts = state.attempts
        self.retry_after = asked
        response.request = request


class DeadlineExceeded(RateWiseError):  # noqa: N818  (as above)
    """The call was not done within its `total_timeout`."""

    attempts: int
    """How many requests were sent for this call."""

    def __init__(self, request: Any, state: CallState) -> None:
        history = "".join(f"; {attempt}" for attempt in state.history)
        super().__init__(
            f"total_timeout is over for {_shown(request, state)} (requests sent: {state.attempts}{history})", request
        )
        self.attempts = state.attempts


def _shown(request: Any, state: CallState) -> str:
    return f"{escaped(request.method)} {state.redactor.url(request.url)}"


def _unsent(request: Any, state: CallState) -> str:
    """That it was not sent or, of a call that has been tried before, not sent again."""
    if not state.attempts:
        return f"{_shown(request, state)} was not sent"
    history = "".join(f"; {attempt}" for attempt in state.history)
    return f"{_shown(request, state)} was not sent again (requests sent: {state.attempts}{history})"


def _restored(kind: type[RateWiseError], args: tuple[Any, ...], state: dict[str, Any]) -> RateWiseError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error

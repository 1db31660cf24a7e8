"""One call of a client, or of a bare transport, as users see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._validation import refusal
from .call_state import KEY, NO_OPTIONS, Attempt, CallState, Options
from .options import OPTIONS, refuse_misplaced


class Exchange:
    """One call, with the redirects and authentication round trips that belong to it: `exchange_of(response)`. Read-only.

    Holds no request and no response.
    """

    __slots__ = ("_state",)

    def __init__(self, state: CallState | None = None) -> None:
        self._state = CallState() if state is None else state

    @property
    def id(self) -> str:
        """The same in all log lines of this call, and in those of no other: `call_id` of a log record."""
        return self._state.id

    @property
    def attempts(self) -> int:
        """How many requests were sent, with those of redirects and of authentication."""
        return self._state.attempts

    @property
    def history(self) -> Sequence[Attempt]:
        """The attempts that failed, in order."""
        return self._state.history

    @property
    def waits(self) -> list[float]:
        """Seconds waited before each retry, in order."""
        return [attempt.wait for attempt in self._state.history if attempt.wait is not None]

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked to wait with the last failed attempt, None if it did not say."""
        return self._state.retry_after

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key` of all its attempts, None if they have none of ours."""
        return self._state.idempotency_key

    @property
    def deadline(self) -> float | None:
        """When the call must be done, in seconds on the monotonic clock; None without a `total_timeout`."""
        return self._state.deadline

    @property
    def streamed(self) -> bool:
        """Whether the caller reads the body as it pleases (`client.stream()`, a bare transport), maybe never."""
        return self._state.streamed

    def __repr__(self) -> str:
        return f"<Exchange attempts={self.attempts} history={[str(attempt) for attempt in self.history]}>"


def begin(request: Any, *, streamed: bool) -> Exchange:
    """Begin a call with this request, with the options that its caller gave. One that is sent again begins another call."""
    state, given = CallState(), request.extensions.get(KEY)
    if not OPTIONS.isdisjoint(request.extensions):
        refuse_misplaced(request.extensions)
    if not streamed:
        state.streamed = False
    if given is not None:
        if not isinstance(given, (Options, Exchange)):
            raise TypeError(refusal(f'extensions["{KEY}"]', given, "made with ratewise.options(...)"))
        state.options = given if isinstance(given, Options) else given._state.options
        state.idempotency_key = state.options.idempotency_key
    exchange = Exchange(state)
    request.extensions = extensions = request.extensions.copy()  # the caller's own may serve other requests
    extensions[KEY] = exchange
    return exchange


def ongoing(request: Any) -> Exchange | None:
    """The call that a request belongs to, unless it is finished."""
    exchange = request.extensions.get(KEY)
    return exchange if type(exchange) is Exchange and not exchange._state.finished else None


def finish(exchange: Exchange) -> None:
    """Its outcome goes to the caller: what is sent from now on is another call."""
    exchange._state.finished = True


def release(exchange: Exchange, request: Any, *others: Any) -> None:
    """Leave a request as it was given, and nothing on `others` that came of it (None for none)."""
    for one in (request, *others):
        if one is not None:
            one.extensions.pop(KEY, None)
    if exchange._state.options is not NO_OPTIONS:
        request.extensions[KEY] = exchange._state.options


def state_of(request: Any) -> CallState:
    """The state of the call that a request belongs to. One that a layer made by itself may belong to none: a new one."""
    exchange = request.extensions.get(KEY)
    return exchange._state if type(exchange) is Exchange else CallState()


def exchange_of(outcome: object) -> Exchange:
    """Return the call that a response, an exception or a request belongs to.

    A request and a response have it in `extensions["ratewise"]` too. Raises `LookupError` for what did not come through a
    RateWise transport.
    """
    found = getattr(outcome, KEY, None)
    # The error of `raise_for_status()` has a response, and that of a body that breaks off a request.
    for source in (outcome, getattr(outcome, "response", None), _request_of(outcome)):
        found = found or getattr(source, "extensions", {}).get(KEY)
    if type(found) is not Exchange:
        raise LookupError(f"this {type(outcome).__name__} did not come through a RateWise transport")
    return found


def _request_of(outcome: object) -> object:
    try:
        return getattr(outcome, "request", None)
    except RuntimeError:  # a property of the library's, which nobody has set
        return None

"""One call of a client, or of a bare transport, as users see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._validation import refusal
from .call_state import KEY, NO_OPTIONS, Attempt, CallState, Options
from .options import MISPLACED, refuse_misplaced


class Exchange:
    """One call, with the redirects and authentication round trips that belong to it: `exchange_of(response)`. Read-only.

    Holds no request and no response.
    """

    __slots__ = ("_state",)

    def __init__(self, state: CallState | None = None) -> None:
        self._state = CallState() if state is None else state

    @property
    def id(self) -> str:
        """Identifies the call in log lines: the `call_id` of a log record."""
        return self._state.id

    @property
    def attempts(self) -> int:
        """Requests sent, or that got no connection of the pool, including those of redirects and authentication."""
        return self._state.attempts

    @property
    def history(self) -> Sequence[Attempt]:
        """The failed attempts, in order."""
        return self._state.history

    @property
    def waits(self) -> list[float]:
        """Seconds waited before each retry, in order."""
        return [attempt.wait for attempt in self._state.history if attempt.wait is not None]

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked to wait after the last failed attempt; None if it did not say."""
        return self._state.retry_after

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key` that RateWise sends with every attempt; None if it sends none."""
        return self._state.idempotency_key

    @property
    def deadline(self) -> float | None:
        """When `total_timeout` expires, in seconds on the monotonic clock; None if there is none."""
        return self._state.deadline

    @property
    def streamed(self) -> bool:
        """Whether the caller reads the body itself, or never does (`client.stream()`, a bare transport)."""
        return self._state.streamed

    def __repr__(self) -> str:
        return f"<Exchange attempts={self.attempts} history={[str(attempt) for attempt in self.history]}>"


def begin(request: Any, *, streamed: bool) -> Exchange:
    """Begin a call with this request and the options given with it. A request that is sent again begins another call."""
    state = CallState()
    exchange = Exchange(state)
    if not streamed:
        state.streamed = False
    request.extensions = extensions = request.extensions.copy()  # the dict of the caller may serve other requests
    if not MISPLACED.isdisjoint(extensions):
        refuse_misplaced(extensions)
    given = extensions.get(KEY)
    if given is not None:
        options = given._state.options if type(given) is Exchange else given
        if not isinstance(options, Options):
            raise TypeError(refusal(f'extensions["{KEY}"]', given, "made with ratewise.options(...)"))
        if options is not NO_OPTIONS:
            state.options = options
            state.idempotency_key = options.idempotency_key
    extensions[KEY] = exchange
    return exchange


def release(exchange: Exchange, request: Any, *others: Any) -> None:
    """Leave only the caller's options in the extensions of a request and of the `others` made of it (None is skipped)."""
    options = exchange._state.options
    for one in (request, *others):
        if one is not None:
            one.extensions.pop(KEY, None)
            if options is not NO_OPTIONS:
                one.extensions[KEY] = options


def state_of(request: Any) -> CallState:
    """Return the state of the call that a request belongs to; a new one if a layer made the request without its extensions."""
    exchange = request.extensions.get(KEY)
    return exchange._state if type(exchange) is Exchange else CallState()


def exchange_of(outcome: object) -> Exchange:
    """Return the call that a response or an exception came of, or that a request belongs to while it is handled.

    A response has it in `extensions["ratewise"]` too. Raises `LookupError` for what did not come through a RateWise transport.
    """
    found = getattr(outcome, KEY, None) or getattr(outcome, "extensions", {}).get(KEY)
    if isinstance(outcome, BaseException):
        # The error of `raise_for_status()` has a response, and that of a body that breaks off a request.
        for source in (getattr(outcome, "response", None), _request_of(outcome)):
            found = found or getattr(source, "extensions", {}).get(KEY)
    if type(found) is not Exchange:
        raise LookupError(f"this {type(outcome).__name__} did not come through a RateWise transport")
    return found


def _request_of(outcome: object) -> object:
    try:
        return getattr(outcome, "request", None)
    except RuntimeError:  # raised by the property of the library if there is no request
        return None

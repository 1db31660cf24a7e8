"""The total time of an exchange: its waits, attempts, redirects and body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from ._core.call_state import CallState
from ._core.clock import TimeoutExpired
from ._core.exchange import state_of
from ._core.step import step
from ._validation import seconds
from .exceptions import RateWiseError
from .layer import Call, Q, R

T = TypeVar("T")

CANCEL_MARGIN = 0.01
"""Seconds after the deadline at which all is cancelled: the wire's own time-outs come first, and say what they waited for."""


class DeadlineLayer:
    """The outermost layer: sets the deadline of an exchange, and raises `DeadlineExceeded` when it has passed.

    Exact to a hundredth of a second under asyncio and trio. In sync code, which cannot be interrupted, late by at most one
    blocking read or write or, with a transport that is not httpx's own, by one blocking operation of it.
    `total_timeout`: seconds above 0. Raises `TypeError` or `ValueError` for another value.
    """

    def __init__(self, total_timeout: float) -> None:
        self.total_timeout = seconds("total_timeout", total_timeout, above_zero=True)

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request, within the time left of its exchange."""
        state = state_of(request)
        if state.deadline is None:  # else a redirect, or another round trip of the same exchange
            state.deadline = call.clock.monotonic() + self.total_timeout
        deadline = _Deadline(state.deadline, state, request, call)
        try:
            return await call.via(_call_sync, call.clock.within, deadline.remaining() + CANCEL_MARGIN, call.send, request)
        except RateWiseError:
            raise
        except (TimeoutExpired, call.http.TransportError) as error:
            if deadline.caused(error):
                raise deadline.exceeded() from error
            raise


class WireDeadlineLayer:
    """The innermost layer, below a `DeadlineLayer`: shortens the time-outs of each attempt and its body to the time left."""

    _helper = True

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request with time-outs that end no later than its exchange."""
        state = state_of(request)
        if state.deadline is None:  # another layer made this request
            return await call.send(request)
        deadline = _Deadline(state.deadline, state, request, call)
        response = await call.send(call.http.with_timeout(request, deadline.remaining()))
        return call.http.pace(response, deadline)


class _Deadline:
    """The deadline of an exchange; waits for the chunks of its body, as a `Pace`."""

    def __init__(self, ends_at: float, state: CallState, request: Any, call: Call[Any, Any]) -> None:
        self._ends_at, self._state, self._request, self._call = ends_at, state, request, call

    def remaining(self) -> float:
        """Return the seconds left, above 0. Raises `DeadlineExceeded` if there are none."""
        remaining = self._ends_at - self._call.clock.monotonic()
        if remaining <= 0:
            raise self.exceeded()
        return remaining

    def next(self, chunks: Iterator[bytes]) -> bytes:
        self.remaining()
        try:
            return next(chunks)
        except self._call.http.TransportError as error:
            if self.caused(error):
                raise self.exceeded() from error
            raise

    async def anext(self, chunks: AsyncIterator[bytes]) -> bytes:
        remaining = self.remaining()
        try:
            return await self._call.clock.within(remaining, chunks.__anext__)
        except (TimeoutExpired, self._call.http.TransportError) as error:
            if self.caused(error):
                raise self.exceeded() from error
            raise

    def caused(self, error: Exception) -> bool:
        """Whether the deadline has passed, so that it and not `error` is why the exchange failed."""
        return isinstance(error, TimeoutExpired) or self._call.clock.monotonic() >= self._ends_at

    def exceeded(self) -> Exception:
        return self._call.http.DeadlineExceeded(self._request, self._state)


def _call_sync(seconds: float, function: Callable[..., Awaitable[T]], *args: Any) -> T:
    return step(function(*args))

"""The total time of a call: its waits, attempts, redirects and body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from ._core.clock import TimeoutExpired
from ._core.exchange import state_of
from ._core.step import step
from ._validation import seconds
from .exceptions import RateWiseError
from .layer import Call, Q, R

T = TypeVar("T")

CANCEL_MARGIN = 0.01
"""Seconds by which the wire's own time-outs, which tell what was waited for, come before everything is cancelled."""


class DeadlineLayer:
    """Outermost: sets the deadline of a call, and gives up when it has come.

    To a hundredth of a second in asyncio and trio. In the sync world, where nothing can be interrupted, late by one blocking read
    or write at most; with a transport that is not httpx's own, by one of its steps.
    `total_timeout`: seconds above 0. Raises `TypeError` or `ValueError` for another value.
    """

    def __init__(self, total_timeout: float) -> None:
        self.total_timeout = seconds("total_timeout", total_timeout, above_zero=True)

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request, within what is left of its call's time."""
        state = state_of(request)
        if state.deadline is None:  # else a redirect, or another round trip of the same call
            state.deadline = call.clock.monotonic() + self.total_timeout
        deadline = _Deadline(state.deadline, request, call)
        try:
            return await call.via(_call_sync, call.clock.within, deadline.remaining() + CANCEL_MARGIN, call.send, request)
        except RateWiseError:
            raise
        except (TimeoutExpired, call.http.TransportError) as error:
            if deadline.caused(error):
                raise deadline.exceeded() from error
            raise


class WireDeadlineLayer:
    """Innermost, below a `DeadlineLayer`: shortens the time-outs of each attempt, and of its body, to what is left."""

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request with time-outs that end no later than its call."""
        ends_at = state_of(request).deadline
        if ends_at is None:  # another layer made the request by itself
            return await call.send(request)
        deadline = _Deadline(ends_at, request, call)
        response = await call.send(call.http.with_timeout(request, deadline.remaining()))
        return call.http.pace(response, deadline)


class _Deadline:
    """The deadline of a call, and how the chunks of its body are waited for."""

    def __init__(self, ends_at: float, request: Any, call: Call[Any, Any]) -> None:
        self._ends_at, self._request, self._call = ends_at, request, call
        self._state = state_of(request)

    def remaining(self) -> float:
        """Seconds, above 0."""
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
        """The deadline has come: it, and not `error`, is why the call failed."""
        return isinstance(error, TimeoutExpired) or self._call.clock.monotonic() >= self._ends_at

    def exceeded(self) -> Exception:
        return self._call.http.DeadlineExceeded(self._request, self._state)


def _call_sync(seconds: float, function: Callable[..., Awaitable[T]], *args: Any) -> T:
    return step(function(*args))

"""Composes the layers of a stack into one chain of coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Coroutine, Hashable, Iterator, Sequence
from inspect import isawaitable
from typing import Any, Callable, cast

from .._util.packages import OURS, package_of
from .._validation import described, full_name
from ..layer import Call, Layer, Q, R, Send
from .call_state import KEY
from .clock import CallTracker
from .exchange import Exchange, begin
from .own_clock import own_clock_of


def compose(layers: Sequence[Layer[Q, R]], wire: Call[Q, R]) -> Callable[[Q], Coroutine[Any, Any, R]]:
    """Return one chain of coroutines: the first layer outermost, the wire innermost. It begins the `Exchange` of each call."""
    call = _call_of(layers[-1], wire.send, wire) if layers else wire
    for layer, below in zip(layers[-2::-1], layers[:0:-1]):
        call = _call_of(layer, _bind(below, call), wire)
    handle = _handle(layers[0]) if layers else _hand_on
    clock, current_task = wire.clock, wire.current_task

    async def opened(request: Any) -> R:
        exchange = request.extensions.get(KEY)
        begins = type(exchange) is not Exchange or exchange._state.finished  # else a client, or a transport around, began it
        if begins:
            exchange = begin(request, streamed=True)
        tracker, owner = clock._tracker, None
        if tracker is not None:
            tracker._begin(owner := current_task())
        try:
            response: Any = await handle(request, call)
        except Exception as error:
            cast(Any, error).ratewise = exchange
            exchange._state.redactor.clean(error)
            raise
        finally:
            if begins:
                exchange._state.finished = True  # what is sent from now on is another call
            if tracker is not None:
                tracker._end(owner)
        response.extensions[KEY] = exchange
        if tracker is not None:
            response = wire.http.pace(response, _WorkingReader(tracker, current_task))
        return response  # type: ignore[no-any-return]

    return opened


def _call_of(layer: Layer[Q, R], send: Send[Q, R], wire: Call[Q, R]) -> Call[Q, R]:
    """Return what a layer acts by: with the clock of its stack, unless it has been given one of its own."""
    own = own_clock_of(layer)
    return Call(send, wire.http, wire.runtime, wire.clock if own is None else own.given or wire.clock)


class _WorkingReader:
    """A reader of a body, which is at work while it waits for a chunk: see `CallTracker`. A `Pace`."""

    def __init__(self, tracker: CallTracker, current_task: Callable[[], Hashable]) -> None:
        self._tracker, self._current_task = tracker, current_task

    def next(self, chunks: Iterator[bytes]) -> bytes:
        self._tracker._begin(owner := self._current_task())
        try:
            return next(chunks)
        finally:
            self._tracker._end(owner)

    async def anext(self, chunks: AsyncIterator[bytes]) -> bytes:
        self._tracker._begin(owner := self._current_task())
        try:
            return await chunks.__anext__()
        finally:
            self._tracker._end(owner)


def _hand_on(request: Q, call: Call[Q, R]) -> Awaitable[R]:
    """Send the request: a stack without layers."""
    return call.send(request)


def _bind(layer: Layer[Q, R], call: Call[Q, R]) -> Send[Q, R]:
    handle = _handle(layer)

    def send(request: Q) -> Awaitable[R]:
        return handle(request, call)

    return send


def _handle(layer: Layer[Q, R]) -> Callable[[Q, Call[Q, R]], Awaitable[R]]:
    """Return the `handle` of a layer. What a layer of the user's returns is checked."""
    handle = layer.handle
    if package_of(type(layer).__module__) == OURS:
        return handle

    name = f"{type(layer).__name__}.handle"

    async def checked(request: Q, call: Call[Q, R]) -> R:
        returned = handle(request, call)
        try:
            response = await returned
        except TypeError:
            if isawaitable(returned):
                raise
            wanted = "it must be a coroutine function: async def handle(self, request, call)"
            raise TypeError(f"{name} returned {described(returned)}, which cannot be awaited: {wanted}") from None
        if not isinstance(response, call.http.Response):
            wanted = f"it must return an {full_name(call.http.Response)}, such as that of `await call.send(request)`"
            raise TypeError(f"{name} returned {described(response)}: {wanted}")
        return response

    return checked

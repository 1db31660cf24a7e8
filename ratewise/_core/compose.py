"""Composes the layers of a stack into one chain of coroutines."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from inspect import isawaitable
from typing import Any, Callable, cast

from .._util.packages import OURS, package_of
from .._validation import described, full_name
from ..layer import Call, Layer, Q, R, Send
from .call_state import KEY
from .exchange import Exchange, begin


def compose(layers: Sequence[Layer[Q, R]], wire: Call[Q, R]) -> Callable[[Q], Coroutine[Any, Any, R]]:
    """Return one chain of coroutines: the first layer outermost, the wire innermost. It begins the `Exchange` of each call."""
    call = wire
    for layer in reversed(layers[1:]):
        call = Call(_bind(layer, call), wire.http, wire.runtime, wire.clock)
    handle = _handle(layers[0]) if layers else _hand_on

    async def opened(request: Any) -> R:
        exchange = request.extensions.get(KEY)
        begins = type(exchange) is not Exchange or exchange._state.finished  # else a client, or a transport around, began it
        if begins:
            exchange = begin(request, streamed=True)
        try:
            response: Any = await handle(request, call)
        except Exception as error:
            cast(Any, error).ratewise = exchange
            exchange._state.redactor.clean(error)
            raise
        finally:
            if begins:
                exchange._state.finished = True  # what is sent from now on is another call
        response.extensions[KEY] = exchange
        return response  # type: ignore[no-any-return]

    return opened


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

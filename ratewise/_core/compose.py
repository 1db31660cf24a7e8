"""A stack: its layers composed into one chain of coroutines."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Callable, cast

from ..layer import Call, Layer, Q, R, Send
from .exchange import KEY, Exchange


def compose(layers: Sequence[Layer[Q, R]], wire: Call[Q, R]) -> Callable[[Q], Coroutine[Any, Any, R]]:
    """One chain of coroutines, the first layer outermost, with the wire at its end; it opens each call's `Exchange`."""
    call = wire
    for layer in reversed(layers[1:]):
        call = Call(_bind(layer, call), wire.http, wire.clock)
    handle = layers[0].handle if layers else _hand_on

    async def opened(request: Any) -> R:
        given = request.extensions
        exchange = given.get(KEY)
        begins = type(exchange) is not Exchange  # else a client of ours opened it, or a transport around this one
        if begins:
            exchange = Exchange() if exchange is None else Exchange.begin(given, streamed=True)
            request.extensions = own = given.copy()
            own[KEY] = exchange
        try:
            response: Any = await handle(request, call)
        except Exception as error:
            cast(Any, error).ratewise = exchange
            exchange.redactor.clean(error)
            raise
        finally:
            if begins:  # a redirect copies them: it would go on with this call's state
                request.extensions = given
        response.extensions[KEY] = exchange
        return response  # type: ignore[no-any-return]

    return opened


def _hand_on(request: Q, call: Call[Q, R]) -> Awaitable[R]:
    """What a stack without layers does."""
    return call.send(request)


def _bind(layer: Layer[Q, R], call: Call[Q, R]) -> Send[Q, R]:
    handle = layer.handle

    def send(request: Q) -> Awaitable[R]:
        return handle(request, call)

    return send

"""Layers around a transport of httpx."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from .._adapter.chain import AsyncChain, Chain, SyncChain, wrong_library
from .._adapter.handshake import close_cancelled_handshakes
from .._adapter.http_library import AsyncLibrary, Library, SyncLibrary
from .._adapter.pool import before_pool
from .._adapter.private import pool_size, renew_pool
from .._adapter.runtime import AsyncRuntime, SyncRuntime
from .._adapter.socket_deadline import enforce_deadlines
from .._core.call_state import KEY
from .._core.clock import Clock
from .._core.compose import compose
from .._core.exchange import Exchange
from .._core.forks import renew_after_fork
from .._core.step import step
from .._deadline import WireDeadlineLayer
from .._keywords import explained
from .._pool import PoolLayer
from ..layer import Call, Layer
from . import errors

if TYPE_CHECKING:
    from typing_extensions import Self

LIBRARY = Library(httpx, errors)
"""What is the same for sync and async."""

_Request = httpx.Request
_Send = Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]]


def _queue_of(wire: object) -> PoolLayer | None:
    """Return the queue in front of the pool of httpx's own transport; None for another one, and for a pool without a limit."""
    size = pool_size(wire) if type(wire) in (httpx.HTTPTransport, httpx.AsyncHTTPTransport) else None
    return PoolLayer.of(wire, size) if size else None


@explained(transport=httpx.HTTPTransport, client=httpx.Client)
class LayerTransport(SyncChain, httpx.BaseTransport):
    """A transport with layers around it, the first one outermost: `LayerTransport(httpx.HTTPTransport(), MyLayer())`.

    Around another RateWise transport it takes over that one's layers, and closing it closes that one. `clock` is for tests.
    Raises `TypeError` if `transport` is not a sync httpx transport.
    """

    def __init__(self, transport: httpx.BaseTransport, *layers: Layer[Any, Any], clock: Clock | None = None) -> None:
        self._take(transport, layers, clock, httpx.BaseTransport, "handle_request", _queue_of)
        self._http, self._runtime = SyncLibrary(LIBRARY), SyncRuntime()
        wire: httpx.BaseTransport = before_pool(self._wire, LIBRARY, httpx.HTTPTransport)
        counted, now = not isinstance(wire, Chain), self._clock.time

        async def send(request: httpx.Request) -> httpx.Response:
            exchange = request.extensions.get(KEY)
            if counted and type(exchange) is Exchange:
                state = exchange._state
                state.attempts += 1
                state.sent_at = now()
            return wire.handle_request(request)  # looked up now: a mock may have patched it

        self._send: _Send = compose(self._layers, Call(send, self._http, self._runtime, self._clock))
        if type(self._wire) is httpx.HTTPTransport and any(isinstance(layer, WireDeadlineLayer) for layer in self._layers):
            enforce_deadlines(self._wire)
        if type(transport) is httpx.HTTPTransport:  # a wire of the user's own is the user's
            renew_after_fork(self)

    def _after_fork(self) -> None:
        renew_pool(self._wire)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if type(request) is not _Request and not isinstance(request, _Request):
            raise wrong_library(self, request, _Request)
        return step(self._send(request))

    def close(self) -> None:
        try:
            self._runtime.background.close()
        finally:
            self._given.close()

    def __enter__(self) -> Self:
        self._given.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            self._runtime.background.close()
        finally:
            self._given.__exit__(exc_type, exc_value, traceback)


@explained(transport=httpx.AsyncHTTPTransport, client=httpx.AsyncClient)
class AsyncLayerTransport(AsyncChain, httpx.AsyncBaseTransport):
    """A transport with layers around it, the first one outermost: `AsyncLayerTransport(httpx.AsyncHTTPTransport(), MyLayer())`.

    Around another RateWise transport it takes over that one's layers, and closing it closes that one. `clock` is for tests.
    Raises `TypeError` if `transport` is not an async httpx transport.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, *layers: Layer[Any, Any], clock: Clock | None = None) -> None:
        self._take(transport, layers, clock, httpx.AsyncBaseTransport, "handle_async_request", _queue_of)
        self._http, self._runtime = AsyncLibrary(LIBRARY), AsyncRuntime()
        wire: httpx.AsyncBaseTransport = before_pool(self._wire, LIBRARY, httpx.AsyncHTTPTransport)
        if wire is not self._wire:
            close_cancelled_handshakes(self._wire)
        counted, now = not isinstance(wire, Chain), self._clock.time

        def send(request: httpx.Request) -> Awaitable[httpx.Response]:
            exchange = request.extensions.get(KEY)
            if counted and type(exchange) is Exchange:
                state = exchange._state
                state.attempts += 1
                state.sent_at = now()
            return wire.handle_async_request(request)  # looked up now, as above

        self._send: _Send = compose(self._layers, Call(send, self._http, self._runtime, self._clock))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if type(request) is not _Request and not isinstance(request, _Request):
            raise wrong_library(self, request, _Request)
        return await self._send(request)

    async def aclose(self) -> None:
        try:
            await self._runtime.background.aclose()
        finally:
            await self._given.aclose()

    async def __aenter__(self) -> Self:
        await self._given.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            await self._runtime.background.aclose()
        finally:
            await self._given.__aexit__(exc_type, exc_value, traceback)

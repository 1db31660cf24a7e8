"""The connection pool of a library's own transport: what sends over it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .pooled_request import PooledRequest
from .private import pool_of


class Pool:
    """Sends over the pool of the library's own transport `wire`, in its place."""

    def __init__(self, wire: Any, library: Any) -> None:
        self._wire = wire
        self._abandoned: list[PooledRequest] = []
        """Requests whose responses nobody has closed: sync ones, as an event loop closes what the garbage collector finds."""
        self._Body, self._ByteStream = library.Body, library.module.ByteStream
        self._TransportError, self._PoolTimeout = library.module.TransportError, library.module.PoolTimeout

    def handle_request(self, request: Any) -> Any:
        while self._abandoned:
            with suppress(IndexError):  # another thread was faster
                self._abandoned.pop().mend(interrupted=False)
        sent = self._sent(request, self._abandoned)
        try:
            response = self._wire.handle_request(request)  # looked up now: a mock may have patched it
        except BaseException as error:
            if self._interrupts(error):
                sent.mend()
            raise
        return self._followed(response, sent)

    async def handle_async_request(self, request: Any) -> Any:
        sent = self._sent(request)
        try:
            response = await self._wire.handle_async_request(request)  # looked up now, as above
        except BaseException as error:
            if self._interrupts(error):
                await sent.amend()
            raise
        return self._followed(response, sent)

    def _sent(self, request: Any, abandoned: list[PooledRequest] | None = None) -> PooledRequest:
        request.extensions = extensions = {**request.extensions}  # by which the pool knows this attempt from all others
        return PooledRequest(self._wire._pool, extensions, abandoned)

    def _interrupts(self, error: BaseException) -> bool:
        """Whether an error may come from any line of httpcore: so may the time-out of the pool, which cancels a wait."""
        return not isinstance(error, self._TransportError) or isinstance(error, self._PoolTimeout)

    def _followed(self, response: Any, sent: PooledRequest) -> Any:
        """Return the response with a body that mends the pool if reading or closing it is interrupted."""
        if response.status_code == 101:
            sent.abandon = None  # its connection is the caller's
        if type(response.stream) is not self._ByteStream:  # a mock has answered
            response.stream = self._Body(response.stream, pooled=sent)
        return response


def before_pool(wire: Any, library: Any, own: type) -> Any:
    """Return what sends over `wire` and mends its pool; `wire` itself if that is not one of the library's `own` transports."""
    return Pool(wire, library) if isinstance(wire, own) and pool_of(wire) is not None else wire

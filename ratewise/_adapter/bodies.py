"""The bodies of an HTTP library's requests and responses: `ratewise.layer.Bodies`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..layer import Pace, Watcher
from .drain import MAX_READ, adiscard, aread_beginning, is_short, read_beginning
from .streams import NestedPace, close_iterator, no_rewind, rewinder

DECODE_SIZE = 1024
"""Bytes that are decoded at a time: decompressing may make a thousand times as many of them."""


class _Bodies:
    """What the sync and the async form share."""

    def __init__(self, library: Any) -> None:
        self._module = library.module
        self._TransportError = library.module.TransportError
        self._ByteStream, self._Body, self._Buffer = library.module.ByteStream, library.Body, library.Buffer
        self._in_memory = frozenset({self._ByteStream, self._Buffer})

    def in_memory(self, response: Any) -> bool:
        return type(response.stream) in self._in_memory or response.status_code == 101 or response.is_closed

    def buffered_body(self, message: Any) -> bytes | None:
        stream = message.stream
        if type(stream) is self._ByteStream:
            return b"".join(stream)
        return stream.ready if type(stream) is self._Buffer else None

    def decoded(self, response: Any, data: bytes, most: int) -> bytes:
        pieces = (data[start : start + DECODE_SIZE] for start in range(0, len(data), DECODE_SIZE))
        plain = b""
        with suppress(self._module.DecodingError):
            for piece in self._module.Response(200, headers=response.headers, content=pieces).iter_bytes():
                plain += piece
                if len(plain) >= most:
                    break
        return plain[:most]

    def rewinder(self, request: Any) -> Callable[[], object] | None:
        stream = request.stream
        return no_rewind if type(stream) is self._ByteStream else rewinder(stream, self._module.__name__)

    def tap(self, response: Any, watcher: Watcher) -> Any:
        watchable = self._watchable(response)
        if watchable is None:
            watcher.closed()
            return response
        watchable.stream.watchers.append(watcher)
        return watchable

    def watch(self, response: Any, watcher: Watcher) -> bool:
        stream = response.stream
        follows = type(stream) is self._Body
        if follows:
            stream.watchers.append(watcher)
        return follows

    def pace(self, response: Any, pace: Pace) -> Any:
        watchable = None if self.in_memory(response) else self._watchable(response)
        if watchable is None:
            return response
        body = watchable.stream
        body.pace = pace if body.pace is None else NestedPace(pace, body.pace)
        return watchable

    def _watchable(self, response: Any) -> Any:
        """Return the response with a body that can be watched; None for an upgraded connection and for a body that was read."""
        stream = response.stream
        if response.status_code == 101:
            return None
        if type(stream) is self._Body and not response.is_stream_consumed:
            return response
        if response.is_stream_consumed and type(stream) is not self._ByteStream:
            return None
        if not self.in_memory(response):
            response.stream = self._Body(stream)
            return response
        return self._module.Response(  # a new one: a mock may return the same response again
            response.status_code, headers=response.headers, stream=self._Body(stream), extensions=response.extensions
        )

    def _unseen(self, response: Any) -> bool:
        """Whether nothing of the body is in memory, and the Content-Length is not above `MAX_READ`."""
        peeked_at = type(response.stream) is self._Body and response.stream.ready
        return not self.in_memory(response) and not peeked_at and is_short(response)

    def _peeked(self, response: Any, stream: Any, read: list[bytes], rest: Any) -> None:
        """Put what was read ahead of a body before the rest of it."""
        ready = b"".join(read)
        response.stream = self._Buffer(ready) if rest is None else self._Body(stream, rest, ready)

    def _beginning(self, response: Any) -> bytes:
        """Return what is in memory of the body, decoded."""
        with suppress(self._module.ResponseNotRead):
            return response.content[:MAX_READ]  # type: ignore[no-any-return]
        stream, ready = response.stream, b""
        if type(stream) is self._ByteStream:
            ready = b"".join(stream)
        elif isinstance(stream, (self._Body, self._Buffer)):
            ready = stream.ready
        return self.decoded(response, ready, MAX_READ) if "content-encoding" in response.headers else ready[:MAX_READ]

    def _bodiless(self, response: Any) -> Any:
        """Return the response without its body, which broke off."""
        return self._module.Response(
            response.status_code, headers=response.headers, extensions=response.extensions, history=response.history
        )


class SyncBodies(_Bodies):
    """Bodies in sync code: everything that is awaited blocks."""

    async def buffer(self, response: Any, *, tolerant: bool = False) -> None:
        if not self.in_memory(response):
            stream = response.stream
            try:
                data = b"".join(stream)
            except self._TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                stream.close()
            response.stream = self._Buffer(data)

    async def peek(self, response: Any, request: Any) -> bytes:
        if self._unseen(response):
            stream = response.stream
            read: list[bytes] = []
            rest = None
            try:
                rest = read_beginning(stream, request, read)
            except self._TransportError:
                pass  # what has arrived is its body
            finally:
                self._peeked(response, stream, read, rest)
                if rest is None:
                    stream.close()
        return self._beginning(response)

    async def close(self, response: Any, request: Any = None) -> None:
        try:
            if is_short(response):
                read_beginning(response.stream, request, [])
        except self._TransportError:
            pass  # it is discarded anyway
        finally:
            response.close()

    async def load(self, response: Any) -> Any:
        given = response
        try:
            response.read()
        except self._module.HTTPError:
            response = self._bodiless(response)
        finally:
            given.close()
        return response


class AsyncBodies(_Bodies):
    """Bodies under asyncio and trio."""

    async def buffer(self, response: Any, *, tolerant: bool = False) -> None:
        if not self.in_memory(response):
            stream = response.stream
            chunks = stream.__aiter__()
            try:
                data = b"".join([chunk async for chunk in chunks])
            except self._TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                try:
                    await close_iterator(chunks)
                finally:
                    await stream.aclose()
            response.stream = self._Buffer(data)

    async def peek(self, response: Any, request: Any) -> bytes:
        if self._unseen(response):
            stream = response.stream
            read: list[bytes] = []
            rest = None
            try:
                rest = await aread_beginning(stream, read)
            except self._TransportError:
                pass  # what has arrived is its body
            finally:
                self._peeked(response, stream, read, rest)
                if rest is None:
                    await stream.aclose()
        return self._beginning(response)

    async def close(self, response: Any, request: Any = None) -> None:
        try:
            if is_short(response):
                await adiscard(response.stream)
        except self._TransportError:
            pass  # it is discarded anyway
        finally:
            await response.aclose()

    async def load(self, response: Any) -> Any:
        given = response
        try:
            await response.aread()
        except self._module.HTTPError:
            response = self._bodiless(response)
        finally:
            await given.aclose()
        return response

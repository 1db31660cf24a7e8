"""httpx for the layers: its errors by their neutral names, its bodies, and how they wait."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from ..background import Background
from ..exchange import Exchange
from ..failure import Failure
from ..layer import Watcher, step, via_async, via_sync
from .errors import TooManyRequests

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

_FAILURES = (
    (httpx.PoolTimeout, Failure.NO_FREE_CONNECTION),
    (httpx.ConnectTimeout, Failure.NOT_CONNECTED),
    (httpx.ConnectError, Failure.NOT_CONNECTED),
    (httpx.ProxyError, Failure.NOT_CONNECTED),
    (httpx.TimeoutException, Failure.TIMED_OUT),
    (httpx.UnsupportedProtocol, Failure.IMPOSSIBLE),
    (httpx.LocalProtocolError, Failure.IMPOSSIBLE),
)


def _distrusted(error: BaseException) -> bool:
    """A TLS certificate was refused: only the end of the chain of causes tells. httpcore breaks the explicit chain."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


class _Tap(httpx.SyncByteStream, httpx.AsyncByteStream, AsyncIterator[bytes]):
    """A body that passes by its watchers. The world in which it is read decides which half runs."""

    def __init__(self, stream: Any, watcher: Watcher) -> None:
        self._stream = stream
        self.watchers = [watcher]
        self._chunks: Any = None
        self._released = self._reported = False

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            self._chunk(data)
            yield data
        self._release()
        for watcher in self.watchers:
            step(watcher.complete())

    def __aiter__(self) -> AsyncIterator[bytes]:
        # No generator: one that its reader leaves half read would end when the garbage collector comes by.
        self._chunks = self._stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            data: bytes = await self._chunks.__anext__()
        except StopAsyncIteration:
            await self._arelease()
            for watcher in self.watchers:
                await watcher.complete()
            raise
        self._chunk(data)
        return data

    def close(self) -> None:
        try:
            self._release()
        finally:
            self._report()

    async def aclose(self) -> None:
        try:
            await self._arelease()
        finally:
            self._report()

    def _chunk(self, data: bytes) -> None:
        for watcher in self.watchers:
            watcher.chunk(data)

    def _release(self) -> None:
        if not self._released:
            self._released = True
            self._stream.close()

    async def _arelease(self) -> None:
        if not self._released:
            self._released = True
            try:
                await _aclose(self._chunks)
            finally:
                await self._stream.aclose()

    def _report(self) -> None:
        if not self._reported:
            self._reported = True
            for watcher in self.watchers:
                watcher.closed()


async def _aclose(chunks: AsyncIterator[bytes] | None) -> None:
    """End an iteration now, and not when the garbage collector comes by."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


DRAIN = 64 * 1024
"""Bytes of a discarded body that are read at most, so that its connection can be used again."""


def _nothing() -> None:
    """What a body in memory needs before it is sent again."""


def _rewinder(stream: Any) -> Callable[[], object] | None:
    if not type(stream).__module__.startswith(f"{httpx.__name__}."):
        return None  # a stream class of the user's own: nothing says that it can be read twice
    if hasattr(stream, "fields"):  # multipart: httpx rewinds each file itself, where it can
        files = [field.file for field in stream.fields if hasattr(field, "file")]
        return _nothing if all(isinstance(file, (str, bytes)) or _position(file) is not None for file in files) else None
    source: Any = getattr(stream, "_stream", None)
    if hasattr(source, "aread") or (hasattr(source, "read") and hasattr(source, "__aiter__")):
        return None  # an asynchronous file: it can be brought back only by awaiting
    if hasattr(source, "read"):
        position = _position(source)
        return None if position is None else partial(source.seek, position)
    return None if source is None or isinstance(source, (Iterator, AsyncIterator)) else _nothing


def _position(file: Any) -> int | None:
    """Where a file stands, None if it cannot be brought back there."""
    try:
        return cast(int, file.tell()) if getattr(file, "seekable", lambda: True)() else None
    except (AttributeError, OSError, ValueError):
        return None


class _Flavour:
    """httpx for the layers: what is the same in both worlds."""

    TransportError: type[Exception] = httpx.TransportError

    def __init__(self) -> None:
        self.background = Background()

    def failure(self, error: Exception) -> Failure:
        for kind, failure in _FAILURES:
            if isinstance(error, kind):
                hopeless = kind is httpx.ConnectError and _distrusted(error)
                hopeless = hopeless or (kind is httpx.ProxyError and str(error).startswith("407"))
                return Failure.IMPOSSIBLE if hopeless else failure
        return Failure.BROKEN

    def with_header(self, request: httpx.Request, name: str, value: str) -> httpx.Request:
        headers = [*request.headers.raw, (name.encode("ascii"), value.encode("ascii"))]
        return httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)

    def rewinder(self, request: httpx.Request) -> Callable[[], object] | None:
        return _nothing if type(request.stream) is httpx.ByteStream else _rewinder(request.stream)

    def tap(self, response: httpx.Response, watcher: Watcher) -> httpx.Response:
        stream = response.stream
        if type(stream) is _Tap:
            stream.watchers.append(watcher)
            return response
        if response.status_code == 101 or (response.is_stream_consumed and type(stream) is not httpx.ByteStream):
            watcher.closed()  # an upgraded connection is no body, and a body already read passes nobody
            return response
        return httpx.Response(
            response.status_code,
            headers=response.headers.raw,
            stream=_Tap(stream, watcher),
            extensions=response.extensions,
        )


class SyncFlavour(_Flavour):
    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        return via_sync(sync, asynchronous, *args, **kwargs)

    async def close(self, response: httpx.Response) -> None:
        try:
            if not response.is_closed:
                left = DRAIN
                for data in cast(httpx.SyncByteStream, response.stream):
                    left -= len(data)
                    if left < 0:
                        break
        except httpx.TransportError:
            pass  # it is thrown away anyway
        finally:
            response.close()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_thread(lambda: step(work()))

    async def rate_limit_exceeded(self, request: httpx.Request, response: httpx.Response) -> Exception:
        try:
            response.read()
        except httpx.HTTPError:
            response.close()  # the news is the 429, not that its body broke off
        return TooManyRequests(request, response, Exchange.of(request.extensions))


class AsyncFlavour(_Flavour):
    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        return via_async(sync, asynchronous, *args, **kwargs)

    async def close(self, response: httpx.Response) -> None:
        try:
            if not response.is_closed:
                left = DRAIN
                stream = cast(httpx.AsyncByteStream, response.stream).__aiter__()
                try:
                    async for data in stream:
                        left -= len(data)
                        if left < 0:
                            break
                finally:
                    await _aclose(stream)
        except httpx.TransportError:
            pass  # it is thrown away anyway
        finally:
            await response.aclose()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_task(work)

    async def rate_limit_exceeded(self, request: httpx.Request, response: httpx.Response) -> Exception:
        try:
            await response.aread()
        except httpx.HTTPError:
            await response.aclose()  # the news is the 429, not that its body broke off
        return TooManyRequests(request, response, Exchange.of(request.extensions))

"""Byte streams: watched as they pass, buffered, or rewound to be sent again. `Library` makes them streams of its library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

from .._core.cancellation import defer_cancellation
from .._core.step import step
from ..layer import Pace, Watcher
from .private import source_of


class Body(Iterator[bytes], AsyncIterator[bytes]):
    """A body that passes by its watchers, at its pace. The world in which it is read decides which half runs.

    No generators: one that its reader leaves half read would end when the garbage collector comes by.
    """

    def __init__(self, stream: Any, rest: Any = None, ready: bytes = b"") -> None:
        self._stream = stream
        self._chunks = rest
        self.ready = ready
        """What was read of it beforehand: comes first, and then the `rest` of the chunks."""
        self.watchers: list[Watcher] = []
        self.pace: Pace | None = None
        self._released = self._reported = False

    def __iter__(self) -> Iterator[bytes]:
        if self._chunks is None:
            self._chunks = iter(self._stream)
        return self

    def __next__(self) -> bytes:
        try:
            if self.ready:
                data, self.ready = self.ready, b""
            else:
                data = next(self._chunks) if self.pace is None else self.pace.next(self._chunks)
        except StopIteration:
            self._release()
            for watcher in self.watchers:
                step(watcher.complete())
            raise
        except BaseException as error:
            self._fail(error)
            raise
        for watcher in self.watchers:
            watcher.chunk(data)
        return data

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._chunks is None:
            self._chunks = self._stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        try:
            if self.ready:
                data, self.ready = self.ready, b""
            else:
                data = await (self._chunks.__anext__() if self.pace is None else self.pace.anext(self._chunks))
        except StopAsyncIteration:
            await self._arelease()
            for watcher in self.watchers:
                await watcher.complete()
            raise
        except BaseException as error:
            self._fail(error)
            raise
        for watcher in self.watchers:
            watcher.chunk(data)
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

    def _release(self) -> None:
        if not self._released:
            self._released = True
            self._stream.close()

    async def _arelease(self) -> None:
        if not self._released:
            try:
                await close_iterator(self._chunks)
            finally:
                await self._stream.aclose()
            self._released = True  # only now: where this was cancelled, whoever closes the response must do it

    def __del__(self) -> None:
        """A body that its reader forgot half read: its connection closes itself, and nobody is to wait for the rest."""
        self._report()

    def _fail(self, error: BaseException) -> None:
        for watcher in self.watchers:
            watcher.failed(error)

    def _report(self) -> None:
        if not self._reported:
            self._reported = True
            for watcher in self.watchers:
                watcher.closed()


class DeferredCancellationStream(AsyncIterator[bytes]):
    """A body that is read and closed without losing its connection to a cancellation: see `defer_cancellation`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._chunks: Any = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = self._stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        return await defer_cancellation(_next(self._chunks))

    async def aclose(self) -> None:
        try:
            await defer_cancellation(close_iterator(self._chunks))
        finally:
            await defer_cancellation(self._stream.aclose())


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    return await chunks.__anext__()


class Buffer:
    """A body in memory, let go once read: the caller keeps its own, decoded."""

    def __init__(self, data: bytes) -> None:
        self.ready = data

    def __iter__(self) -> Iterator[bytes]:
        data, self.ready = self.ready, b""
        yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in self:
            yield data


async def close_iterator(chunks: AsyncIterator[bytes] | None) -> None:
    """End an iteration now, and not when the garbage collector comes by."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        with suppress(RuntimeError):  # another task is reading: it will find the connection closed
            await close()


def no_rewind() -> None:
    """What a body in memory needs before it is sent again."""


def rewinder(stream: Any, library: str) -> Callable[[], object] | None:
    """`Bodies.rewinder` for a stream that is not in memory."""
    if not type(stream).__module__.startswith(f"{library}."):
        return None  # a stream class of the user's own: nothing says that it can be read twice
    if hasattr(stream, "fields"):  # multipart: the library rewinds each file itself, where it can
        files = [field.file for field in stream.fields if hasattr(field, "file")]
        return no_rewind if all(isinstance(file, (str, bytes)) or _position(file) is not None for file in files) else None
    source = source_of(stream)
    if hasattr(source, "aread") or (hasattr(source, "read") and hasattr(source, "__aiter__")):
        return None  # an asynchronous file: it can be brought back only by awaiting
    if hasattr(source, "read"):
        position = _position(source)
        return None if position is None else partial(source.seek, position)
    # Of anything else that can be iterated nothing says that it begins anew: it may read a file as it goes.
    return no_rewind if isinstance(source, Collection) else None


def _position(file: Any) -> int | None:
    """Where a file stands, None if it cannot be brought back there."""
    try:
        return cast(int, file.tell()) if getattr(file, "seekable", lambda: True)() else None
    except (AttributeError, OSError, ValueError):
        return None

"""Byte streams: with watchers, in memory, or rewound to be sent again. `Library` makes byte streams of its library of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

from .._core.step import step
from ..layer import Pace, Watcher
from .pooled_request import PooledRequest
from .private import source_of


class Body(Iterator[bytes], AsyncIterator[bytes]):
    """A body that reports what is read to its watchers, and waits for chunks as its `pace` does. Sync and async in one class.

    Not a generator: one that is left half read would end only when the garbage collector finds it.
    """

    _released = _reported = True
    """Until it is made: a signal may interrupt that."""

    def __init__(self, stream: Any, rest: Any = None, ready: bytes = b"", pooled: PooledRequest | None = None) -> None:
        self._stream = stream
        self._chunks = rest
        self._pooled = pooled
        self.ready = ready
        """What was read ahead: is returned first, before the `rest` of the chunks."""
        self.watchers: list[Watcher] = []
        self.pace: Pace | None = None
        self._interrupted = False
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
                finishing = watcher.complete()
                if finishing is not None:  # a plain function has done its work
                    step(finishing)
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
                finishing = watcher.complete()
                if finishing is not None:
                    await finishing
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
            try:
                self._stream.close()
            except BaseException:
                self._interrupted = True
                raise
            finally:
                if self._interrupted and self._pooled is not None:
                    self._pooled.mend()

    async def _arelease(self) -> None:
        if not self._released:
            try:
                try:
                    await close_iterator(self._chunks)
                finally:
                    await self._stream.aclose()
                self._released = True  # only now: if this was cancelled, closing the response must repeat it
            except BaseException:
                self._interrupted = True
                raise
            finally:
                if self._interrupted and self._pooled is not None:
                    await self._pooled.amend()

    def __del__(self) -> None:
        """Report the end of a body that was abandoned: nothing must wait for the rest."""
        self._report()
        if not self._released and self._pooled is not None and self._pooled.abandon is not None:
            self._pooled.abandon(self._pooled)

    def _fail(self, error: BaseException) -> None:
        self._interrupted = self._interrupted or not isinstance(error, Exception)
        for watcher in self.watchers:
            watcher.failed(error)

    def _report(self) -> None:
        if not self._reported:
            self._reported = True
            for watcher in self.watchers:
                watcher.closed()


class NestedPace:
    """The `outer` pace waits for the chunks for which the `inner` one waits."""

    def __init__(self, outer: Pace, inner: Pace) -> None:
        self._outer, self._inner = outer, inner

    def next(self, chunks: Iterator[bytes]) -> bytes:
        return self._outer.next(_Paced(self._inner, chunks))

    async def anext(self, chunks: AsyncIterator[bytes]) -> bytes:
        return await self._outer.anext(_Paced(self._inner, chunks))


class _Paced(Iterator[bytes], AsyncIterator[bytes]):
    def __init__(self, pace: Pace, chunks: Any) -> None:
        self._pace, self._chunks = pace, chunks

    def __next__(self) -> bytes:
        return self._pace.next(self._chunks)

    async def __anext__(self) -> bytes:
        return await self._pace.anext(self._chunks)


class Buffer:
    """A body in memory, released once it is read: the caller keeps the decoded one."""

    def __init__(self, data: bytes) -> None:
        self.ready = data

    def __iter__(self) -> Iterator[bytes]:
        data, self.ready = self.ready, b""
        yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in self:
            yield data


async def close_iterator(chunks: AsyncIterator[bytes] | None) -> None:
    """Close an async iterator now, not when the garbage collector finds it."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        with suppress(RuntimeError):  # another task is reading, and will find the connection closed
            await close()


def no_rewind() -> None:
    """Rewind a body that needs no rewinding."""


def rewinder(stream: Any, library: str) -> Callable[[], object] | None:
    """Return what rewinds a stream that is not in memory; None if it can be sent only once. As `Bodies.rewinder`."""
    if not type(stream).__module__.startswith(f"{library}."):
        return None  # a stream class of the user: it need not be readable twice
    if hasattr(stream, "fields"):  # multipart: the library rewinds each file itself, where it can
        files = [field.file for field in stream.fields if hasattr(field, "file")]
        return no_rewind if all(isinstance(file, (str, bytes)) or _position(file) is not None for file in files) else None
    source = source_of(stream)
    if hasattr(source, "aread") or (hasattr(source, "read") and hasattr(source, "__aiter__")):
        return None  # an async file: it could be rewound only by awaiting
    if hasattr(source, "read"):
        position = _position(source)
        return None if position is None else partial(source.seek, position)
    # Any other iterable need not begin anew: it may read a file as it goes.
    return no_rewind if isinstance(source, Collection) else None


def _position(file: Any) -> int | None:
    """Return the position of a file; None if it cannot seek."""
    try:
        return cast(int, file.tell()) if getattr(file, "seekable", lambda: True)() else None
    except (AttributeError, OSError, ValueError):
        return None

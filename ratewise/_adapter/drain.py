"""Bodies that are read a little way: to see what they say, or to be rid of them and use their connection again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .streams import close_iterator

MAX_READ = 64 * 1024
"""Bytes of a body that are read at most."""

READ_TIMEOUT = 1.0
"""Seconds that this may take."""


def is_short(response: Any) -> bool:
    """There is something to be read, and it does not say that it is too long."""
    length = response.headers.get("content-length", "")
    too_long = length.isdecimal() and (len(length) > 15 or int(length) > MAX_READ)
    return not (response.is_closed or too_long)


def read_beginning(stream: Iterable[bytes], request: Any, read: list[bytes]) -> Iterator[bytes] | None:
    """Read a body into `read`. What is left of it, if it is too long or takes too long; else None.

    With the request that it answers, no step of it takes longer than all of it may.
    """
    left = MAX_READ
    chunks = iter(stream)
    with _read_timeout(request) as until:
        for data in chunks:
            read.append(data)
            left -= len(data)
            if left < 0 or time.monotonic() > until:
                return chunks
    return None


async def aread_beginning(stream: AsyncIterable[bytes], read: list[bytes]) -> AsyncIterator[bytes] | None:
    """The same under asyncio and trio, where a body that takes too long is cancelled: nothing is left of it then."""
    import anyio

    left = MAX_READ
    chunks = stream.__aiter__()
    with anyio.move_on_after(READ_TIMEOUT):
        async for data in chunks:
            read.append(data)
            left -= len(data)
            if left < 0:
                return chunks
    return None


async def adiscard(stream: AsyncIterable[bytes]) -> None:
    """Read a body that nobody wants, and leave what is left of it for good."""
    import anyio

    rest = await aread_beginning(stream, [])
    if rest is not None:
        try:
            with anyio.CancelScope() as scope:
                scope.cancel()  # ends httpcore's generators where they next wait; `end` leaves the inner ones half read
                await aread_beginning(rest, [])
        finally:
            await close_iterator(rest)


@contextmanager
def _read_timeout(request: Any) -> Iterator[float]:
    """Until when a body is read; meanwhile no step of it may take longer than that.

    httpcore reads the time-out of a body from the extensions when the body is first read. They are a dict of the call's own.
    """
    extensions = {} if request is None else request.extensions
    given = extensions.get("timeout")
    timeout = given or {}
    extensions["timeout"] = {**timeout, "read": min(timeout.get("read") or READ_TIMEOUT, READ_TIMEOUT)}
    try:
        yield time.monotonic() + READ_TIMEOUT
    finally:
        if given is None:
            del extensions["timeout"]
        else:
            extensions["timeout"] = given

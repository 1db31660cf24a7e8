"""Bodies that are read a little way: to see what they say, or to be rid of them and use their connection again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .streams import end

LONGEST = 64 * 1024
"""Bytes of a body that are read at most."""

WITHIN = 1.0
"""Seconds that this may take."""


def short(response: Any) -> bool:
    """There is something to be read, and it does not say that it is too long."""
    length = response.headers.get("content-length", "")
    too_long = length.isdecimal() and (len(length) > 15 or int(length) > LONGEST)
    return not (response.is_closed or too_long)


def begin(stream: Iterable[bytes], request: Any, read: list[bytes]) -> Iterator[bytes] | None:
    """Read a body into `read`. What is left of it, if it is too long or takes too long; else None.

    With the request that it answers, no step of it takes longer than all of it may.
    """
    left = LONGEST
    chunks = iter(stream)
    with _hurried(request) as until:
        for data in chunks:
            read.append(data)
            left -= len(data)
            if left < 0 or time.monotonic() > until:
                return chunks
    return None


async def abegin(stream: AsyncIterable[bytes], read: list[bytes]) -> AsyncIterator[bytes] | None:
    """The same under asyncio and trio, where a body that takes too long is cancelled: nothing is left of it then."""
    import anyio

    left = LONGEST
    chunks = stream.__aiter__()
    with anyio.move_on_after(WITHIN):
        async for data in chunks:
            read.append(data)
            left -= len(data)
            if left < 0:
                return chunks
    return None


async def adrain(stream: AsyncIterable[bytes]) -> None:
    """Read a body that nobody wants, and leave what is left of it for good."""
    import anyio

    rest = await abegin(stream, [])
    if rest is not None:
        try:
            with anyio.CancelScope() as scope:
                scope.cancel()  # ends httpcore's generators where they next wait; `end` leaves the inner ones half read
                await abegin(rest, [])
        finally:
            await end(rest)


@contextmanager
def _hurried(request: Any) -> Iterator[float]:
    """Until when a body is read; meanwhile no step of it may take longer than that.

    httpcore reads the time-out of a body from the extensions when the body is first read. They are a dict of the call's own.
    """
    extensions = {} if request is None else request.extensions
    given = extensions.get("timeout")
    timeout = given or {}
    extensions["timeout"] = {**timeout, "read": min(timeout.get("read") or WITHIN, WITHIN)}
    try:
        yield time.monotonic() + WITHIN
    finally:
        if given is None:
            del extensions["timeout"]
        else:
            extensions["timeout"] = given

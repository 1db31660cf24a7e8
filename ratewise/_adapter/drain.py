"""Reading the beginning of a body: to inspect it, or to discard the response and reuse its connection."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .streams import close_iterator

MAX_READ = 64 * 1024
"""Bytes of a body that are read, at most."""

READ_TIMEOUT = 1.0
"""Seconds for which such a body is read, at most."""


def is_short(response: Any) -> bool:
    """Whether the response is open and has no Content-Length above `MAX_READ`."""
    length = response.headers.get("content-length", "")
    too_long = length.isdecimal() and (len(length) > 15 or int(length) > MAX_READ)
    return not (response.is_closed or too_long)


def read_beginning(stream: Iterable[bytes], request: Any, read: list[bytes]) -> Iterator[bytes] | None:
    """Append the chunks of a body to `read`; return None at its end, or the rest if it is too long or takes too long.

    `request`: the request of the response; with it no single read takes longer than `READ_TIMEOUT`.
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
    """The same under asyncio and trio, where a body that takes too long is cancelled: there is no rest then."""
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
    """Read the beginning of a body that is not needed, and end its iterators."""
    import anyio

    rest = await aread_beginning(stream, [])
    if rest is not None:
        try:
            with anyio.CancelScope() as scope:
                scope.cancel()  # ends httpcore's generators at their next wait; `close_iterator` ends only the outer one
                await aread_beginning(rest, [])
        finally:
            await close_iterator(rest)


@contextmanager
def _read_timeout(request: Any) -> Iterator[float]:
    """Shorten the request's read time-out to `READ_TIMEOUT` meanwhile; yield the time when that is over, on `time.monotonic`.

    httpcore takes the time-out of a body from the request's extensions at the first read. Each attempt has a dict of its own.
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

"""The rest of a body that nobody wants: what of it is read, so that its connection can be used again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .bodies import end

LONGEST = 64 * 1024
"""Bytes of a discarded body that are read at most."""

WITHIN = 1.0
"""Seconds that this may take."""


def worth_draining(response: Any) -> bool:
    """There is a rest, and it does not say that it is too long."""
    length = response.headers.get("content-length", "")
    too_long = length.isdecimal() and (len(length) > 15 or int(length) > LONGEST)
    return not (response.is_closed or too_long)


def drain(stream: Iterable[bytes], request: Any) -> None:
    """Read the rest. With the request that it answers, no step of it takes longer than all of it may."""
    with _hurried(request) as until:
        left = LONGEST
        for data in stream:
            left -= len(data)
            if left < 0 or time.monotonic() > until:
                break


async def adrain(stream: AsyncIterable[bytes]) -> None:
    """Read the rest, under asyncio and trio."""
    import anyio

    left = LONGEST
    chunks = stream.__aiter__()
    try:
        with anyio.move_on_after(WITHIN) as scope:
            async for data in chunks:
                left -= len(data)
                if left < -LONGEST:
                    break  # it never waits: nothing can end it from within
                if left < 0:
                    scope.cancel()  # ends httpcore's generators at their next step; `break` leaves them half read
    finally:
        await end(chunks)


@contextmanager
def _hurried(request: Any) -> Iterator[float]:
    """Until when the rest of a body is read; meanwhile no step of it may take longer than that.

    httpcore reads the time-out of a body from the extensions when the body is first read. They are a dict of the call's own.
    """
    extensions = {} if request is None else request.extensions
    timeout = extensions.get("timeout")
    if timeout is not None:
        extensions["timeout"] = {**timeout, "read": min(timeout.get("read") or WITHIN, WITHIN)}
    try:
        yield time.monotonic() + WITHIN
    finally:
        if timeout is not None:
            extensions["timeout"] = timeout

"""Running a coroutine without an event loop: how a sync transport runs the chain of its layers."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Generator, Iterator
from typing import Any, TypeVar, cast

from .._util.packages import package_of

T = TypeVar("T")

LOOPS = ("asyncio", "anyio", "sniffio", "trio")
"""Packages that raise `RuntimeError` where no event loop runs."""


def step(awaitable: Awaitable[T]) -> T:
    """Run a coroutine that never suspends, and return its result.

    Raises `RuntimeError` if it suspends, or looks for an event loop.
    """
    result: list[T] = []
    running: Any = _into(result, awaitable)
    try:
        for _ in running:
            frames = list(_waiting(awaitable))
            running.close()
            raise RuntimeError(_said(frames))
    except RuntimeError as error:
        frames = list(_raising(error))
        if _package(frames[-1]) in LOOPS:  # it looked for an event loop, and found none
            raise RuntimeError(_said(frames)) from error
        raise
    return result[0]


def _waiting(awaitable: Any) -> Iterator[types.FrameType]:
    """The frames of a chain of coroutines that waits, outermost first."""
    while isinstance(awaitable, types.CoroutineType):
        yield cast(types.FrameType, awaitable.cr_frame)
        awaitable = awaitable.cr_await


def _raising(error: BaseException) -> Iterator[types.FrameType]:
    """The frames that an error came through, outermost first."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _package(frame: types.FrameType) -> str:
    return package_of(str(frame.f_globals.get("__name__", "")))


def _said(frames: list[types.FrameType]) -> str:
    """Which layer waits, if its `handle` is a method, and for what, if that is a coroutine."""
    layer, awaited = "a layer", ""
    for number, frame in enumerate(frames, 1):
        if frame.f_code.co_name == "handle":
            owner = frame.f_locals.get("self")
            layer = "a layer" if owner is None else f"{type(owner).__name__}.handle"
            awaited = "".join(f" ({_package(inner)}.{inner.f_code.co_name})" for inner in frames[number : number + 1])
    return (
        f"{layer} awaited something that `call` did not provide{awaited}, which cannot work in a sync transport: "
        "wait with call.sleep() or call.park(), and do I/O with call.via()"
    )


@types.coroutine
def _into(result: list[T], awaitable: Any) -> Generator[Any, Any, None]:
    # A `for` loop over this ends without an exception; `coroutine.send(None)` raises StopIteration, which is slower.
    result.append((yield from awaitable))

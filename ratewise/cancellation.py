"""Cancellation under asyncio that leaves a connection pool whole."""

from __future__ import annotations

import sys
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def steady(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await `coroutine`, but put a cancellation off that comes where it waits for nothing, until it waits for something.

    httpcore is safe against anyio's cancellation, which spares shielded sections. asyncio's own `task.cancel()` does not: at the
    bare checkpoint within a lock that httpcore takes on its way in and out, it loses the connection to its pool for good.
    Those checkpoints are the only places where a coroutine under asyncio yields nothing. Under trio this changes nothing.
    """
    put_off = False
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration as done:
            if put_off:
                _cancel_again()
            return done.value  # type: ignore[no-any-return]
        value = error = None
        if put_off and awaited is not None:
            put_off = False
            awaited.cancel()
        try:
            value = yield awaited
        except BaseException as raised:
            if awaited is None and _is_native(raised):
                put_off = True
            else:
                error = raised


def _is_native(error: BaseException) -> bool:
    """From `task.cancel()`. anyio's own, which come only where they may, have a message."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError) and not error.args


def _cancel_again() -> None:
    """There was nothing more to wait for: the task is cancelled at the next thing that it waits for."""
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    if sys.version_info >= (3, 11):  # pragma: no branch
        task.uncancel()  # it is the same cancellation, and counts once
    task.cancel()

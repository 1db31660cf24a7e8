"""Cancellation under asyncio that leaves a connection pool whole."""

from __future__ import annotations

import sys
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

MAX_CHECKPOINTS = 10
"""Bare checkpoints in a row that a cancellation is put off for at most."""


@types.coroutine
def defer_cancellation(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await `coroutine`, but put a cancellation off that comes where it waits for nothing, until it waits for something.

    httpcore is safe against anyio's cancellation, which spares shielded sections. asyncio's own `task.cancel()` does not: at the
    bare checkpoint within a lock that httpcore takes on its way in and out, it loses the connection to its pool for good.
    Those checkpoints are the only places where a coroutine under asyncio yields nothing. Under trio this changes nothing.
    """
    deferred = 0  # how many bare checkpoints ago the cancellation came
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration as done:
            if deferred:
                _repeat_cancellation()
            return done.value  # type: ignore[no-any-return]
        except Exception:
            if deferred:
                _repeat_cancellation()
            raise
        value = error = None
        if deferred and awaited is not None and awaited.cancel():
            deferred = 0
        try:
            value = yield awaited
        except BaseException as raised:
            if awaited is None and not deferred and _is_native(raised):
                deferred = 1
            else:
                error = raised
        else:
            if deferred:
                deferred += 1
                if deferred > MAX_CHECKPOINTS:  # this one never waits for anything: it is no lock
                    deferred, error = 0, sys.modules["asyncio"].CancelledError()


def _is_native(error: BaseException) -> bool:
    """From `task.cancel()`, and not from anyio, whose own come only where they may, and say who sent them."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    return not (error.args and str(error.args[0]).startswith(("Cancelled via cancel scope ", "Cancelled by cancel scope ")))


def _repeat_cancellation() -> None:
    """There was nothing more to wait for: the task is cancelled at the next thing that it waits for."""
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    if sys.version_info >= (3, 11):  # pragma: no branch
        task.uncancel()  # it is the same cancellation, and counts once
    task.cancel()

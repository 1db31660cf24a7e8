"""Cancellation under asyncio that loses no connection of a pool."""

from __future__ import annotations

import sys
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

MAX_CHECKPOINTS = 10
"""Bare checkpoints in a row over which a cancellation is deferred, at most."""


@types.coroutine
def defer_cancellation(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await `coroutine`, but defer a cancellation that arrives at a bare checkpoint until the coroutine waits for something.

    httpcore is safe against anyio's cancellation, which respects shielded sections. asyncio's own `task.cancel()` does not: if it
    hits the bare checkpoint of a lock that httpcore takes as a request begins and ends, the pool never gets the connection back.
    These checkpoints are the only places where a coroutine under asyncio yields None. Under trio this has no effect.
    """
    deferred = 0  # bare checkpoints passed since the cancellation, this one included
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
                if deferred > MAX_CHECKPOINTS:  # a coroutine that never waits: this is no lock
                    deferred, error = 0, sys.modules["asyncio"].CancelledError()


def _is_native(error: BaseException) -> bool:
    """Whether a cancellation comes from `task.cancel()`, not from anyio, which spares shielded sections and names its scope."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    return not (error.args and str(error.args[0]).startswith(("Cancelled via cancel scope ", "Cancelled by cancel scope ")))


def _repeat_cancellation() -> None:
    """Cancel the task at its next wait, because the coroutine ended before it waited for anything."""
    import asyncio

    task = asyncio.current_task()
    assert task is not None
    if sys.version_info >= (3, 11):  # pragma: no branch
        task.uncancel()  # the same cancellation counts once
    task.cancel()

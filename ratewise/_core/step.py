"""How a sync transport runs the chain of its layers: see `ratewise.layer`."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def step(awaitable: Awaitable[T]) -> T:
    """Run to its end a coroutine that never really waits: how a sync transport runs its chain."""
    result: list[T] = []
    running: Any = _into(result, awaitable)
    for _ in running:
        running.close()
        raise RuntimeError(
            "a layer awaited something else than its call gave it, which cannot work in a sync transport: "
            "wait with call.sleep() or call.park(), and do I/O with call.via()"
        )
    return result[0]


@types.coroutine
def _into(result: list[T], awaitable: Any) -> Generator[Any, Any, None]:
    # A loop over this ends without an exception; `coroutine.send(None)` makes a StopIteration, which costs more.
    result.append((yield from awaitable))

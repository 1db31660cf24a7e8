"""Cancelling a call at one of its suspensions, in each of the ways that asyncio, anyio and trio have."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import types
from collections.abc import Coroutine, Generator, Iterator
from functools import partial
from typing import Any, Callable

import anyio
import anyio.lowlevel
import trio

from ratewise._core.clock import current_task, running_trio

NEVER = 3600.0
"""Seconds of the time-outs that expire only when a test says so."""


class Moment:
    """The suspension, from 0 on, at which a call is cancelled: as it begins or, with `late`, as what it waits for is done."""

    def __init__(self, at: int, *, late: bool) -> None:
        self.at, self.late = at, late
        self.count = 0
        """How often the call was suspended."""
        self.cancel: Callable[[], object] = lambda: None
        self.over = False
        """Whether the call has ended."""

    @property
    def reached(self) -> bool:
        return self.count > self.at

    @types.coroutine
    def watch(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Await a coroutine, and cancel at the moment."""
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                try:
                    awaited = coroutine.send(value) if error is None else coroutine.throw(error)
                except StopIteration as done:
                    return done.value
                if self.count == self.at:
                    if self.late and asyncio.isfuture(awaited):
                        awaited.add_done_callback(lambda _: self.cancel())  # before the task's own callback, which resumes it
                    else:
                        self.cancel()
                self.count += 1
                value = error = None
                try:
                    value = yield awaited
                except BaseException as raised:
                    error = raised
        finally:
            self.over = True
            self.cancel = lambda: None


Way = Callable[[Coroutine[Any, Any, None], Moment], Coroutine[Any, Any, bool]]
"""Awaits a call that is cancelled at a moment; returns whether it ended because of that."""


async def _by_task(call: Coroutine[Any, Any, None], moment: Moment) -> bool:
    async def watched() -> None:
        await moment.watch(call)

    task = asyncio.ensure_future(watched())
    moment.cancel = task.cancel
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task.cancelled()


async def _by_timeout(call: Coroutine[Any, Any, None], moment: Moment) -> bool:
    with _first_timer() as expire:
        moment.cancel = expire
        try:
            async with asyncio.timeout(NEVER):  # Python 3.11 and later
                await moment.watch(call)
        except TimeoutError:
            return True
    return False


async def _by_wait_for(call: Coroutine[Any, Any, None], moment: Moment) -> bool:
    async def watched() -> None:
        await moment.watch(call)

    with _first_timer() as expire:
        moment.cancel = expire
        try:
            await asyncio.wait_for(watched(), NEVER)
        except asyncio.TimeoutError:
            return True
    return False


async def _by_scope(kind: Callable[[], Any], call: Coroutine[Any, Any, None], moment: Moment) -> bool:
    with kind() as scope:
        moment.cancel = scope.cancel
        await moment.watch(call)
    return bool(scope.cancelled_caught)


@contextlib.contextmanager
def _first_timer() -> Iterator[Callable[[], object]]:
    """Return what makes the first timer that is set from now on expire at once."""
    loop: Any = asyncio.get_running_loop()
    call_at, expiring = loop.call_at, list[Callable[[], object]]()

    def noting(when: float, callback: Any, *args: Any, **kwargs: Any) -> Any:
        timer = call_at(when, callback, *args, **kwargs)

        def expire() -> None:
            timer.cancel()
            callback(*args)

        expiring.append(expire)
        return timer

    loop.call_at = noting
    try:
        yield lambda: expiring[0]()
    finally:
        del loop.call_at


WAYS: dict[str, Way] = {
    "asyncio-task": _by_task,
    **({"asyncio-timeout": _by_timeout} if sys.version_info >= (3, 11) else {}),
    "asyncio-wait_for": _by_wait_for,
    "asyncio-anyio": partial(_by_scope, anyio.CancelScope),
    "trio-trio": partial(_by_scope, trio.CancelScope),
    "trio-anyio": partial(_by_scope, anyio.CancelScope),
}
"""The ways, each with the event loop that it is for."""


async def check_clean() -> None:
    """Check that no cancellation is left for this task: its next waits are undisturbed, and it counts none."""
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    await anyio.sleep(1e-6)
    task: Any = current_task()
    assert not hasattr(task, "cancelling") or task.cancelling() == 0


def tasks() -> int:
    """Return how many tasks there are in the running event loop."""
    return len(asyncio.all_tasks()) if running_trio() is None else trio.lowlevel.current_statistics().tasks_living

"""When an event loop, asyncio's or trio's, has nothing left to do but wait. Any thread may ask."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, Callable

from .._core.clock import running_trio

LOOKS = 20
"""Rounds of an asyncio loop after which only its tasks are asked whether they wait, not what else it has to do."""


class AsyncioLoop:
    """A running event loop of asyncio."""

    def __init__(self, loop: Any) -> None:
        self.key, self.thread = loop, threading.get_ident()

    @property
    def running(self) -> bool:
        """Whether it can still do anything."""
        return self.key.is_running()  # type: ignore[no-any-return]

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` in the loop, after all that is ready there now. Raises `RuntimeError` if the loop is closed."""
        if threading.get_ident() == self.thread:
            self.key.call_soon(function)
        else:
            self.key.call_soon_threadsafe(function)

    def when_idle(self, function: Callable[[], object]) -> None:
        """Call `function` in the loop as soon as all of its tasks wait for something, and nothing is about to wake one."""
        self.call(_Look(self.key, function))


class _Look:
    """Calls `function` in a round of an asyncio loop in which nothing else is ready."""

    __slots__ = ("_function", "_looks", "_loop")

    def __init__(self, loop: Any, function: Callable[[], object]) -> None:
        self._loop, self._function, self._looks = loop, function, 0

    def __call__(self) -> None:
        if self._busy():
            self._looks += 1
            self._loop.call_soon(self)
        else:
            self._function()

    def _busy(self) -> bool:
        ready = getattr(self._loop, "_ready", None)  # a loop of another package may not show it
        if ready is not None and all(type(getattr(handle, "_callback", None)) is _Look for handle in ready.copy()):
            return False
        return self._looks < LOOKS or _any_works(self._loop)


class TrioLoop:
    """A run of trio."""

    running = True
    """It calls back as it ends, too."""

    def __init__(self, trio: Any) -> None:
        self._trio, self.key, self.thread = trio, trio.lowlevel.current_trio_token(), threading.get_ident()

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` in the run, after all that is ready there now. Raises `RuntimeError` if it has ended."""
        self.key.run_sync_soon(function)

    def when_idle(self, function: Callable[[], object]) -> None:
        """Call `function` in the run as soon as all of its tasks wait for something, or it ends."""
        self.call(partial(self._spawn, function))

    def _spawn(self, function: Callable[[], object]) -> None:
        try:
            self._trio.lowlevel.spawn_system_task(self._look, function)
        except RuntimeError:  # the run is ending: all of its tasks have
            function()

    async def _look(self, function: Callable[[], object]) -> None:
        from trio.testing import wait_all_tasks_blocked

        try:
            await wait_all_tasks_blocked()
        finally:
            function()


def running_loop() -> AsyncioLoop | TrioLoop | None:
    """Return the event loop that runs in this thread; None if there is none."""
    trio = running_trio()
    if trio is not None:
        return TrioLoop(trio)
    import asyncio

    try:
        return AsyncioLoop(asyncio.get_running_loop())
    except RuntimeError:
        return None


def _any_works(loop: Any) -> bool:
    """Whether a task of this asyncio loop waits for nothing. One that does not say counts as waiting."""
    import asyncio

    waiters = [getattr(task, "_fut_waiter", loop) for task in asyncio.all_tasks(loop)]
    return any(waiter is None or (waiter is not loop and waiter.done()) for waiter in waiters)

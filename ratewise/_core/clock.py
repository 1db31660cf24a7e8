"""The time, waiting for it, and waiting for another thread or task. The one module that asks which event loop is running."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Protocol, TypeVar

T = TypeVar("T")


class TimeoutExpired(Exception):  # noqa: N818  (as asyncio names its own)
    """A time limit was reached: see `Clock.within`."""


class Clock:
    """The real time. Tests replace it by a clock that they control."""

    _tracker: CallTracker | None = None
    """What must know which calls are at work, because time passes only where none is; None if time passes by itself."""

    if TYPE_CHECKING:

        def time(self) -> float:
            """Return the seconds since the epoch; only for what outlives the process, and for HTTP dates."""
            ...

        def monotonic(self) -> float:
            """Return the seconds on a monotonic clock; for waits and deadlines."""
            ...

    else:  # called several times per request: no function of ours in between
        time, monotonic = staticmethod(time.time), staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> None:
        """Block this thread for `seconds`."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Suspend this task, of asyncio or trio, for `seconds`."""
        trio = running_trio()
        if trio is not None:
            await trio.sleep(seconds)
        else:
            import asyncio

            await asyncio.sleep(seconds)

    async def within(self, seconds: float, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await `function(*args)` under asyncio or trio; after `seconds` cancel it and raise `TimeoutExpired`."""
        import anyio

        with anyio.move_on_after(seconds):
            return await function(*args)
        raise TimeoutExpired

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        """Block this thread until `waiter` is woken (return True) or `timeout` seconds have passed (return False)."""
        return waiter.wait(timeout)

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        """Suspend this task until `waiter` is woken (return True) or `timeout` seconds have passed (return False)."""
        return await waiter.await_(timeout)


class CallTracker(Protocol):
    """Virtual time, which passes by itself only while no call is at work."""

    def _begin(self, owner: Hashable) -> None:
        """The thread or task `owner` begins to work on a call, or on a part of one."""
        ...

    def _end(self, owner: Hashable) -> None:
        """It has ended what it began."""
        ...

    def _park_for_call(self, waiter: Waiter, timeout: float) -> bool:
        """Block this thread as `park` does, in the place of a call that waits for what this thread does."""
        ...


def running_trio() -> Any:
    """Return the trio module if a trio task is running, else None."""
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    if hasattr(trio.lowlevel, "in_trio_task"):
        return trio if trio.lowlevel.in_trio_task() else None
    try:  # trio before 0.29
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
    return trio


def current_task() -> Hashable:
    """Return the running task, of asyncio or trio."""
    trio = running_trio()
    if trio is not None:
        return trio.lowlevel.current_task()  # type: ignore[no-any-return]
    import asyncio

    return asyncio.current_task()


class Waiter:
    """Blocks one thread, or suspends one task, until `wake()` is called from any thread or event loop. For one use."""

    __slots__ = ("_lock", "_notify", "_woken")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._woken = False
        self._notify: Callable[[], object] | None = None

    @property
    def woken(self) -> bool:
        """Whether `wake` was called."""
        return self._woken

    def wake(self) -> None:
        """Resume the waiting thread or task, now or as soon as it waits. Never raises, never blocks."""
        with self._lock:
            self._woken, notify = True, self._notify
        if notify is not None:
            # RuntimeError: the loop is closed (asyncio), the run has ended (trio), or the thread was woken before: nothing waits
            # there any more.
            with suppress(RuntimeError):
                notify()

    def wait(self, timeout: float | None = None) -> bool:
        """Block this thread until woken, at most `timeout` seconds; return whether it was woken."""
        gate = threading.Lock()  # not an Event: that has a lock of its own, which a signal may leave locked
        gate.acquire()
        if not self._on_wake(gate.release):
            gate.acquire(timeout=-1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX))
        return self._woken

    async def await_(self, timeout: float | None = None) -> bool:
        """Suspend this task until woken, at most `timeout` seconds; return whether it was woken."""
        trio = running_trio()
        await (self._in_asyncio(timeout) if trio is None else self._in_trio(trio, timeout))
        return self._woken

    async def _in_trio(self, trio: Any, timeout: float | None) -> None:
        parked, token = trio.Event(), trio.lowlevel.current_trio_token()
        if not self._on_wake(lambda: token.run_sync_soon(parked.set, idempotent=True)):
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                await parked.wait()

    async def _in_asyncio(self, timeout: float | None) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        parked = loop.create_future()

        def finish() -> None:
            if not parked.done():
                parked.set_result(None)

        if not self._on_wake(lambda: loop.call_soon_threadsafe(finish)):
            timer = None if timeout is None else loop.call_later(timeout, finish)
            try:
                await parked
            finally:
                if timer is not None:
                    timer.cancel()

    def _on_wake(self, notify: Callable[[], object]) -> bool:
        """Have `wake` call `notify`, in place of what was given before; return True if it has been called already."""
        with self._lock:
            self._notify = notify
            return self._woken

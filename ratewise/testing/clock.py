"""Virtual time for sync code, threads, asyncio and trio."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, TypeVar

from .._core.clock import Waiter, current_task
from .._validation import flag, seconds, whole
from .attendance import Wait
from .idle import running_loop
from .switches import Installation
from .virtual_clock import GRACE, VirtualClock, nanoseconds

T = TypeVar("T")

PATIENCE = 10.0
"""Real seconds for which `FakeClock` waits for what others have to do, before it raises `TimeoutError`."""

STALLED = 0.5
"""Real seconds without any change after which `advance` no longer waits for those that do something else than wait."""

ADVANCE = "call advance() in another thread, or make it FakeClock(auto=True)"
"""What to do about a thread that waits for ever."""


class FakeClock(VirtualClock):
    """Virtual time: it passes when a test advances it or, with `auto`, by itself whenever everyone waits.

    ```python
    clock = FakeClock(auto=True)
    with RateWiseClient("https://api.example.com", clock=clock) as client:
        client.get("/users")  # waits for retries and rate limits take no real time
    assert clock.elapsed < 60
    ```

    Everything of RateWise that takes a `clock` takes this one, and a stack that has it hands it to its parts. `installed()` makes
    it the clock of all that have none of their own. Sleepers and waiters wake in the order of their times, those of the same time
    in the order in which they began, each after those before it have gone on to wait or to end.

    "Everyone" is every call in progress: one that waits for a real server is at work, and time stands still meanwhile; one that
    has begun tasks waits while one of them does. In an event loop it is every task, too. Threads between two calls cannot be
    watched: they are given a millisecond of real time. `run()` watches its threads from beginning to end.

    - `auto`: whether time passes by itself.
    - `start`: what `time()` returns first, in seconds since the epoch. None: the present, in whole seconds.
    """

    def __init__(self, *, auto: bool = False, start: float | None = None) -> None:
        super().__init__(flag("auto", auto), math.floor(time.time()) if start is None else seconds("start", start))
        self._target = 0
        """Until when it is being advanced, in nanoseconds since it was made."""

    def advance(self, seconds: float) -> None:
        """Let `seconds` (at least 0) pass, and wake those whose time comes, in order, each at its time.

        Between two of them, and at the end, it waits until those that were woken wait again, or have ended: until nothing has
        happened for half a real second, if somebody goes on for longer. In an event loop, where it would block them, it does not
        wait: see `aadvance`.
        """
        until, waits = self._until(seconds), running_loop() is None
        if waits:
            self._settle()
        while self._wake_next(until):
            if waits:
                self._settle()

    async def aadvance(self, seconds: float) -> None:
        """As `advance`, for asyncio and trio: the other tasks run meanwhile."""
        until = self._until(seconds)
        await self._asettle()
        while self._wake_next(until):
            await self._asettle()

    def wait_for(self, waiting: int = 1, timeout: float = PATIENCE) -> None:
        """Block until at least `waiting` threads and tasks wait on this clock.

        Raises `TimeoutError` after `timeout` real seconds, and `RuntimeError` in an event loop, which it would block.
        """
        least, most = whole("waiting", waiting, least=1), seconds("timeout", timeout)
        if running_loop() is not None:
            raise RuntimeError("wait_for() would block the event loop: await await_for() there")
        with self._lock:
            if not self._changed.wait_for(lambda: self._waiting >= least, most):
                raise TimeoutError(self._too_few(least, most))

    async def await_for(self, waiting: int = 1, timeout: float = PATIENCE) -> None:
        """As `wait_for`, for asyncio and trio."""
        least, most = whole("waiting", waiting, least=1), seconds("timeout", timeout)
        until = time.monotonic() + most
        while self._waiting < least:
            if time.monotonic() > until:
                raise TimeoutError(self._too_few(least, most))
            await _pause()

    def _too_few(self, least: int, timeout: float) -> str:
        return f"after {timeout:g} s {self._waiting} wait on the FakeClock, not {least}"

    def run(self, *functions: Callable[[], T]) -> list[T]:
        """Call the functions at the same time, each in a thread, and return what they return, in order.

        Time passes by itself when all of them wait, or have ended. Raises the first exception of theirs, when all have ended, and
        `RuntimeError` if the clock is not `auto`.
        """
        if not (self._auto or self._hurried):
            raise RuntimeError("FakeClock.run() needs FakeClock(auto=True): nobody else could advance the time")
        results: list[Any] = [None] * len(functions)
        errors: list[BaseException | None] = [None] * len(functions)
        starting = [object() for _ in functions]

        def thread(number: int) -> None:
            self._begin(owner := threading.get_ident())
            self._end(starting[number])
            try:
                results[number] = functions[number]()
            except BaseException as error:
                errors[number] = error
            finally:
                self._end(owner)

        threads = [threading.Thread(target=thread, args=(number,), daemon=True) for number in range(len(functions))]
        for each in starting:  # all are at work before the first of them can wait
            copy_context().run(self._begin, each)
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        for error in errors:
            if error is not None:
                raise error
        return results

    def installed(self) -> AbstractContextManager[FakeClock]:
        """Return a context manager in which this is the clock of all clients and transports that have none of their own.

        They may be older than it. It holds for the whole process; where several are installed, the latest counts. Waits end
        when it is left. Afterwards `Clock.monotonic` is never less than it was meanwhile.
        """
        return Installation(self)

    def _hold(self, wait: Wait) -> None:
        alone = threading.current_thread() is threading.main_thread()
        changes = -1
        while not wait.resume.wait(PATIENCE if alone else None):
            if changes == self._changes and not (self._auto or self._hurried):
                raise TimeoutError(f"the FakeClock was not advanced for {PATIENCE:g} s: {ADVANCE}")
            changes = self._changes

    def _until(self, length: float) -> int:
        """Return when `length` seconds have passed, after those of others that are just advancing it."""
        with self._lock:
            self._target = max(self._target, self._now()) + nanoseconds(seconds("seconds", length))
            return self._target

    def _wake_next(self, until: int) -> bool:
        """Set the time to that of the next wait, and end it, unless `until` comes before; return whether there was one."""
        with self._lock:
            wait = self._next()
            if wait is None or wait.at > until:
                self._set(until)
                self._change()
                return False
            self._end_wait(wait)
            return True

    def _settle(self) -> None:
        me = threading.get_ident()
        with self._lock:
            while True:
                changes, quiet = self._changes, self._quiet(me)
                if quiet and threading.active_count() == 1:
                    return
                self._changed.wait(GRACE if quiet else STALLED)
                if changes == self._changes:
                    return

    async def _asettle(self) -> None:
        loop, me = running_loop(), current_task()
        assert loop is not None

        async def settled() -> bool:
            idle = Waiter()
            loop.when_idle(idle.wake)
            await idle.await_()
            return self._quiet(me)

        changes, since = self._changes, time.monotonic()
        while not await settled():
            if changes != self._changes:
                changes, since = self._changes, time.monotonic()
            elif time.monotonic() > since + STALLED:
                return
            await _pause()


async def _pause() -> None:
    import anyio

    await anyio.sleep(GRACE)

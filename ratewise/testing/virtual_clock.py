"""A clock on which sync code, threads, asyncio and trio wait in virtual time."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Awaitable
from functools import partial
from itertools import count
from typing import Any, Callable, TypeVar, cast

from .._core.clock import Clock, TimeoutExpired, Waiter, current_task
from .._core.forks import renew_after_fork
from .._validation import refusal
from .attendance import Attendance, Wait, running_work
from .idle import running_loop

T = TypeVar("T")

GRACE = 0.001
"""Real seconds without any change after which threads that are between two calls, and cannot be watched, count as waiting."""

SECOND = 10**9
"""Nanoseconds."""


class VirtualClock(Attendance, Clock):
    """The waits of `FakeClock` and `no_waiting`, and when their time comes.

    A thread or task that has begun a call is at work until it waits on this clock, or the call has ended. Time passes by itself,
    where it does, to the end of the next wait, once nobody is at work and no event loop has anything to do but wait.
    """

    def __init__(self, auto: bool, start: float) -> None:
        super().__init__()
        self.sleeps: list[float] = []
        """The sleeps that were begun, in seconds, in order. Waits for a turn are not sleeps: see `Exchange.waits`."""
        self._start, self._auto = start, auto
        self._origin: float = math.ceil(Clock().monotonic())
        self._passed = 0
        """In nanoseconds: sums of them are exact."""
        self._hurried = False
        """Whether time passes by itself because of `no_waiting()`."""
        self._numbers = count()
        self._waits: list[tuple[float, int, Wait]] = []
        """A heap, which may still have waits that are over."""
        self._waiting = self._blocked = 0
        """The waits, and those of them that block a thread."""
        self._tracker = self
        renew_after_fork(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.elapsed:g} s elapsed, {self._waiting} waiting>"

    # -- the time

    @property
    def elapsed(self) -> float:
        """The virtual seconds since the clock was made."""
        return self._now() / SECOND

    @property
    def waiting(self) -> int:
        """How many threads and tasks wait on this clock."""
        return self._waiting

    def time(self) -> float:
        return self._start + self.elapsed

    def monotonic(self) -> float:
        return self._origin + self.elapsed

    # -- waiting

    def sleep(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(refusal("seconds", seconds, "at least 0"))
        self.sleeps.append(seconds)
        if seconds > 0:
            self._block(Wait(self._after(seconds), threading.get_ident(), None))

    async def asleep(self, seconds: float) -> None:
        if math.isnan(seconds):
            raise ValueError(refusal("seconds", seconds, "a number"))
        self.sleeps.append(seconds)
        if seconds > 0:
            await self._suspend(Wait(self._after(seconds), current_task(), running_loop()))
        else:
            await _checkpoint()

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        wait = Wait(self._after(timeout), threading.get_ident(), None)
        if not waiter._on_wake(partial(self._release, wait)) and (timeout is None or timeout > 0):
            self._block(wait)
        return waiter.woken

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        wait = Wait(self._after(timeout), current_task(), running_loop())
        if waiter._on_wake(partial(self._release, wait)):
            pass
        elif timeout is None or timeout > 0:
            await self._suspend(wait)
        else:
            await _checkpoint()
        return waiter.woken

    async def within(self, seconds: float, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        import anyio

        loop = running_loop()
        assert loop is not None
        limit = Wait(self._after(seconds), None, loop)
        with anyio.move_on_after(self._real(limit.at)) as scope:
            limit.resume._on_wake(lambda: loop.call(scope.cancel))
            self._enter(limit)
            try:
                return await function(*args)
            finally:
                self._leave(limit)
        raise TimeoutExpired

    def _now(self) -> int:
        return self._passed

    def _after(self, seconds: float | None) -> float:
        """Return the time after `seconds`, at least a nanosecond: who waits for the rest of a time must get there."""
        return math.inf if seconds is None or seconds == math.inf else self._now() + max(1, nanoseconds(seconds))

    def _block(self, wait: Wait) -> None:
        self._enter(wait)
        try:
            self._hold(wait)
        finally:
            self._leave(wait)

    def _hold(self, wait: Wait) -> None:
        wait.resume.wait(self._real(wait.at))

    async def _suspend(self, wait: Wait) -> None:
        self._enter(wait)
        try:
            await wait.resume.await_(self._real(wait.at))
        finally:
            self._leave(wait)

    def _real(self, at: float) -> float | None:
        """Return after how many real seconds a wait until `at` ends by itself; None: never."""
        return None

    def _park_for_call(self, waiter: Waiter, timeout: float) -> bool:
        wait = Wait(self._after(timeout), threading.get_ident(), None)
        wait.answers = True
        if not waiter._on_wake(partial(self._release, wait)):
            self._block(wait)
        return waiter.woken

    # -- the waits

    def _enter(self, wait: Wait) -> None:
        with self._lock:
            if wait.released:  # woken already
                return
            wait.entered, wait.work = True, self._works.get(wait.owner) or running_work(self)
            self._count(wait, 1)
            if len(self._waits) > 2 * self._waiting + 100:
                self._waits = [one for one in self._waits if not one[2].released]
                heapq.heapify(self._waits)
            heapq.heappush(self._waits, (wait.at, next(self._numbers), wait))
            self._change()
            self._watch(wait.loop)
            self._proceed()

    def _leave(self, wait: Wait) -> None:
        with self._lock:
            if not wait.entered:
                return
            if not wait.released:  # cancelled, or ended by real time
                wait.released = True
                self._count(wait, -1)
            self._resuming.discard(wait)
            self._change()
            self._watch(wait.loop)
            self._proceed()

    def _release(self, wait: Wait) -> None:
        """End a wait."""
        with self._lock:
            if wait.released:
                return
            wait.released = True
            if wait.entered:
                self._count(wait, -1)
                if wait.owner is not None:
                    self._resuming.add(wait)
                self._change()
            wait.resume.wake()
            if wait.entered:
                self._watch(wait.loop)

    def _count(self, wait: Wait, change: int) -> None:
        if wait.owner is not None:
            self._waiting += change
            self._answering += change * wait.answers
            self._shift(wait.work, waits=change)
            if wait.loop is None:
                self._blocked += change
                self._hold_thread(cast(int, wait.owner), change)

    def _next(self) -> Wait | None:
        """Return the wait that ends next."""
        while self._waits and self._waits[0][2].released:
            heapq.heappop(self._waits)
        return self._waits[0][2] if self._waits else None

    def _end_wait(self, wait: Wait) -> None:
        """Let the time of a wait come. Tasks wake in order by themselves: those of the same time are woken together."""
        self._set(wait.at)
        self._release(wait)
        following = self._next()
        while wait.loop is not None and following is not None and following.loop is not None and following.at == wait.at:
            self._release(following)
            following = self._next()

    def _set(self, now: float) -> None:
        self._passed += max(0, int(now) - self._now())

    def _let_go(self) -> None:
        """End all waits, in order: nobody would advance this clock for them."""
        with self._lock:
            waits = [wait for _, _, wait in sorted(self._waits) if wait.owner is not None and not wait.released]
            for wait in waits:
                if wait.at < math.inf:
                    self._end_wait(wait)

    def _after_fork(self) -> None:
        here = threading.get_ident()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._works = {owner: work for owner, work in self._works.items() if here in (owner, work.loop and work.loop.thread)}
        for work in self._works.values():
            work.waits = 0
        self._working = len(self._works)
        self._waiting = self._blocked = self._answering = 0
        for others in (self._waits, self._resuming, self._loops, self._idle, self._held):
            others.clear()

    # -- when time passes by itself

    def _hurry(self, hurried: bool) -> None:
        with self._lock:
            self._hurried = hurried
            self._proceed()

    def _proceed(self) -> None:
        """Let the time of the next wait come if everyone waits."""
        if not self._may_proceed():
            return
        if self._blocked and threading.active_count() > 1:
            threading.Thread(target=self._proceed_after_grace, args=(self._changes,), daemon=True).start()
        else:
            self._jump()

    def _proceed_after_grace(self, changes: int) -> None:
        time.sleep(GRACE)
        with self._lock:
            if changes == self._changes:
                self._jump()

    def _jump(self) -> None:
        while self._may_proceed():  # more than once only past those whose event loop does not run
            self._end_wait(self._waits[0][2])

    def _may_proceed(self) -> bool:
        wait = self._next() if (self._auto or self._hurried) and self._quiet() else None
        return wait is not None and wait.at < math.inf


def nanoseconds(seconds: float) -> int:
    """Round to whole nanoseconds."""
    return round(seconds * SECOND)


async def _checkpoint() -> None:
    import anyio.lowlevel

    await anyio.lowlevel.checkpoint()

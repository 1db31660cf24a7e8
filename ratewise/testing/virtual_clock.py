"""A clock on which sync code, threads, asyncio and trio wait in virtual time."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Hashable
from contextvars import ContextVar
from functools import partial
from itertools import count
from typing import Any, Callable, TypeVar, cast

from .._core.clock import Clock, TimeoutExpired, Waiter, current_task
from .._validation import refusal
from .idle import AsyncioLoop, TrioLoop, running_loop

T = TypeVar("T")

GRACE = 0.001
"""Real seconds without any change after which threads that are between two calls, and cannot be watched, count as waiting."""


SECOND = 10**9
"""Nanoseconds."""


class _Work:
    """The calls that a thread or task has begun, one inside the other, and has not ended."""

    __slots__ = ("around", "calls", "clock", "outer", "waits")

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.calls, self.waits = clock, 0, 0
        """`waits`: the waits of the thread or task, and the waits and calls of those that it has begun meanwhile."""
        self.around = _running()
        self.outer = _running(clock)
        """The work in which this one was begun, whose thread or task waits for it, or may."""

    @property
    def goes_on(self) -> bool:
        """Whether its thread or task is at work."""
        return self.calls > 0 and not self.waits


_within: ContextVar[_Work | None] = ContextVar("ratewise.testing.virtual_clock", default=None)


def _running(clock: VirtualClock | None = None) -> _Work | None:
    """Return the work, by this clock or by any, in which this thread or task is or was begun; None if it has ended."""
    work = _within.get()
    while work is not None and not (work.calls and clock in (None, work.clock)):
        work = work.around
    return work


class Wait:
    """One wait of a thread or task; without an `owner` the time limit of one, which holds nobody."""

    __slots__ = ("at", "counted", "entered", "loop", "owner", "released", "resume", "resuming", "work")

    def __init__(self, at: float, owner: Hashable, loop: AsyncioLoop | TrioLoop | None) -> None:
        self.at = at
        """When it ends by itself, in nanoseconds since the clock was made; inf: never."""
        self.owner, self.loop = owner, loop
        self.resume = Waiter()
        self.work: _Work | None = None
        """The work that waits meanwhile."""
        self.counted = False
        """Whether another call waits meanwhile, instead of working: one that is not known."""
        self.entered = self.released = self.resuming = False


class VirtualClock(Clock):
    """The waits of `FakeClock` and `no_waiting`, and when their time comes.

    A thread or task that has begun a call is at work until it waits on this clock, or the call has ended. Time passes by itself,
    where it does, to the end of the next wait, once nobody is at work and no event loop has anything to do but wait.
    """

    def __init__(self, auto: bool, start: float) -> None:
        self.sleeps: list[float] = []
        """The sleeps that were begun, in seconds, in order. Waits for a turn are not sleeps: see `Exchange.waits`."""
        self._start, self._auto = start, auto
        self._origin: float = math.ceil(Clock().monotonic())
        self._passed = 0
        """In nanoseconds: sums of them are exact."""
        self._hurried = False
        """Whether time passes by itself because of `no_waiting()`."""
        self._lock = threading.RLock()  # reentrant: the garbage collector may end an abandoned call at any line
        self._changed = threading.Condition(self._lock)
        self._changes = 0
        self._numbers = count()
        self._waits: list[tuple[float, int, Wait]] = []
        """A heap, which may still have waits that are over."""
        self._works: dict[Hashable, _Work] = {}
        """By thread or task."""
        self._working = 0
        """The threads and tasks that have begun a call and do not wait."""
        self._resuming = 0
        """Waits that are over, but have not returned."""
        self._waiting = self._blocked = 0
        """The waits, and those of them that block a thread."""
        self._loops: dict[Any, AsyncioLoop | TrioLoop] = {}
        """The event loops whose tasks may have something to do."""
        self._idle_threads: set[int] = set()
        """The threads whose event loops wait."""
        self._held: Counter[int] = Counter()
        """The threads that wait, whose event loops cannot do anything."""
        self._tracker = self

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
        wait.counted = True
        if not waiter._on_wake(partial(self._release, wait)):
            self._block(wait)
        return waiter.woken

    # -- which calls are at work

    def _begin(self, owner: Hashable) -> None:
        with self._lock:
            work = self._works.get(owner)
            if work is None:
                work = self._works[owner] = _Work(self)
                _within.set(work)
                self._shift(work.outer, waits=1)
            self._shift(work, calls=1)
            self._change()

    def _end(self, owner: Hashable) -> None:
        with self._lock:
            work = self._works[owner]
            self._shift(work, calls=-1)
            if not work.calls:
                del self._works[owner]
                self._shift(work.outer, waits=-1)
                if _within.get() is work:
                    _within.set(work.around)
                work.around = work.outer = None
            self._change()
            if type(owner) is not int:
                self._watch(running_loop())
            self._proceed()

    def _shift(self, work: _Work | None, calls: int = 0, waits: int = 0) -> None:
        if work is not None:
            before = work.goes_on
            work.calls += calls
            work.waits += waits
            self._working += work.goes_on - before

    # -- the waits

    def _enter(self, wait: Wait) -> None:
        with self._lock:
            if wait.released:  # woken already
                return
            wait.entered, wait.work = True, self._works.get(wait.owner) or _running(self)
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
            self._resuming -= wait.resuming
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
                wait.resuming = wait.owner is not None and (wait.loop is None or wait.loop.running)
                self._resuming += wait.resuming
                self._change()
            wait.resume.wake()
            if wait.entered:
                self._watch(wait.loop)

    def _count(self, wait: Wait, change: int) -> None:
        if wait.owner is not None:
            self._waiting += change
            self._working -= change * wait.counted
            self._shift(wait.work, waits=change)
            if wait.loop is None:
                self._blocked += change
                self._held[cast(int, wait.owner)] += change

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
            for wait in [wait for at, _, wait in sorted(self._waits) if at < math.inf and wait.owner is not None]:
                self._end_wait(wait)

    def _change(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    # -- when time passes by itself

    def _hurry(self, hurried: bool) -> None:
        with self._lock:
            self._hurried = hurried
            self._proceed()

    def _watch(self, loop: AsyncioLoop | TrioLoop | None) -> None:
        """Let no time pass until all tasks of this event loop wait."""
        if loop is not None and loop.key not in self._loops:
            self._loops[loop.key] = loop
            self._idle_threads.discard(loop.thread)
            try:
                loop.when_idle(partial(self._idle, loop))
            except RuntimeError:  # it is closed
                del self._loops[loop.key]

    def _idle(self, loop: AsyncioLoop | TrioLoop) -> None:
        with self._lock:
            self._loops.pop(loop.key, None)
            self._idle_threads.add(loop.thread)
            self._change()
            self._proceed()

    def _quiet(self, me: Hashable = None) -> bool:
        """Whether everyone waits, `me` apart."""
        apart = [self._works.get(owner) for owner in {me, *self._idle_threads}]
        if self._working > sum(work is not None and work.goes_on for work in apart) or self._resuming:
            return False
        here = threading.get_ident()
        for key, loop in list(self._loops.items()):
            if not loop.running:
                del self._loops[key]
            elif not self._held[loop.thread] and (me is None or loop.thread != here):
                return False
        return True

    def _proceed(self) -> None:
        """Let the time of the next wait come if everyone waits."""
        if not self._may_proceed():
            return
        if self._blocked and threading.active_count() > 1:
            threading.Thread(target=self._proceed_after_grace, args=(self._changes,), daemon=True).start()
        else:
            self._end_wait(self._waits[0][2])

    def _proceed_after_grace(self, changes: int) -> None:
        time.sleep(GRACE)
        with self._lock:
            if changes == self._changes and self._may_proceed():
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

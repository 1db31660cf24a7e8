"""Which threads and tasks are at work, so that virtual time must not pass."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable
from contextvars import ContextVar
from functools import partial
from typing import Any

from .._core.clock import Waiter
from .idle import AsyncioLoop, TrioLoop, running_loop


class Work:
    """The calls that a thread or task has begun, one inside the other, and has not ended."""

    __slots__ = ("around", "calls", "clock", "loop", "outer", "waits")

    def __init__(self, clock: Attendance, loop: AsyncioLoop | TrioLoop | None) -> None:
        self.clock, self.loop, self.calls, self.waits = clock, loop, 0, 0
        """`waits`: the waits of the thread or task, and the waits and calls of those that it has begun meanwhile."""
        self.around = running_work()
        self.outer = running_work(clock)
        """The work in which this one was begun, whose thread or task waits for it, or may."""

    @property
    def goes_on(self) -> bool:
        """Whether its thread or task is at work."""
        return self.calls > 0 and not self.waits


_within: ContextVar[Work | None] = ContextVar("ratewise.testing.virtual_clock", default=None)


def running_work(clock: Attendance | None = None) -> Work | None:
    """Return the work, by this clock or by any, in which this thread or task is or was begun; None if it has ended."""
    work = _within.get()
    while work is not None and not (work.calls and clock in (None, work.clock)):
        work = work.around
    return work


class Wait:
    """One wait of a thread or task; without an `owner` the time limit of one, which holds nobody."""

    __slots__ = ("answers", "at", "entered", "loop", "owner", "released", "resume", "work")

    def __init__(self, at: float, owner: Hashable, loop: AsyncioLoop | TrioLoop | None) -> None:
        self.at = at
        """When it ends by itself, in nanoseconds since the clock was made; inf: never."""
        self.owner, self.loop = owner, loop
        self.resume = Waiter()
        self.work: Work | None = None
        """The work that waits meanwhile."""
        self.answers = False
        """Whether it is in the place of a call that is at work: see `CallTracker._park_for_call`."""
        self.entered = self.released = False


class Attendance(ABC):
    """Who is at work on a call: a thread or task that has begun one, and does not wait on the clock, until the call has ended."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # reentrant: the garbage collector may end an abandoned call at any line
        self._changed = threading.Condition(self._lock)
        self._changes = 0
        self._works: dict[Hashable, Work] = {}
        """By thread or task."""
        self._working = 0
        """The threads and tasks that have begun a call and do not wait."""
        self._answering = 0
        """The waits in the place of a call."""
        self._resuming: set[Wait] = set()
        """Waits that are over, but have not returned."""
        self._loops: dict[Any, AsyncioLoop | TrioLoop] = {}
        """The event loops whose tasks may have something to do."""
        self._idle: dict[Hashable, AsyncioLoop | TrioLoop] = {}
        """The threads whose event loops wait, and these."""
        self._held: Counter[int] = Counter()
        """The threads that wait, whose event loops cannot do anything."""

    @abstractmethod
    def _proceed(self) -> None:
        """Let time pass if nobody is at work any more."""

    def _begin(self, owner: Hashable) -> None:
        with self._lock:
            work = self._works.get(owner)
            if work is None:
                work = self._works[owner] = Work(self, None if type(owner) is int else running_loop())
                self._idle.pop(owner, None)
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

    def _shift(self, work: Work | None, calls: int = 0, waits: int = 0) -> None:
        if work is not None:
            before = work.goes_on
            work.calls += calls
            work.waits += waits
            self._working += work.goes_on - before

    def _hold_thread(self, thread: int, change: int) -> None:
        self._held[thread] += change
        if not self._held[thread]:
            del self._held[thread]

    def _change(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _watch(self, loop: AsyncioLoop | TrioLoop | None) -> None:
        """Let no time pass until all tasks of this event loop wait."""
        if loop is not None and loop.key not in self._loops:
            self._loops[loop.key] = loop
            self._idle.pop(loop.thread, None)
            try:
                loop.when_idle(partial(self._is_idle, loop))
            except RuntimeError:  # it is closed
                del self._loops[loop.key]

    def _is_idle(self, loop: AsyncioLoop | TrioLoop) -> None:
        with self._lock:
            self._loops.pop(loop.key, None)
            self._idle[loop.thread] = loop
            self._change()
            self._proceed()

    def _quiet(self, me: Hashable = None) -> bool:
        """Whether everyone waits, `me` apart."""
        if any(self._can_act(wait.loop) for wait in self._resuming):
            return False
        if self._working > self._answering and sum(self._is_at_work(owner, me) for owner in self._works) > self._answering:
            return False
        here = threading.get_ident()
        for key, loop in list(self._loops.items()):
            if not loop.running:
                del self._loops[key]
            elif not self._held[loop.thread] and (me is None or loop.thread != here):
                return False
        return True

    def _is_at_work(self, owner: Hashable, me: Hashable) -> bool:
        """Whether a thread or task does anything else than wait."""
        work, idle = self._works[owner], self._idle.get(owner)
        runs_idle_loop = idle is not None and idle.running
        return work.goes_on and owner != me and not runs_idle_loop and self._can_act(work.loop)

    def _can_act(self, loop: AsyncioLoop | TrioLoop | None) -> bool:
        """Whether a task of this loop can do anything now; None: a thread."""
        return loop is None or (loop.running and not self._held[loop.thread])

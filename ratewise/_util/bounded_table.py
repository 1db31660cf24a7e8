"""Bounded tables of what is known about each server or key."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Callable, Protocol, TypeVar

from .._core.forks import renew_after_fork


class Forgettable(Protocol):
    """An entry of a `Table`."""

    def idle(self, now: float) -> bool:
        """Whether the entry may be forgotten. A full table asks the oldest entry first; one that says no is asked last again."""
        ...


class Monotonic(Protocol):
    """A clock."""

    def monotonic(self) -> float:
        """Return the seconds on a monotonic clock."""
        ...


E = TypeVar("E", bound=Forgettable)

MAX_ASKED = 50
"""Entries that are asked for each new one, at most. If none is idle, the new one is not kept; the next search asks others."""


class Table(OrderedDict[Hashable, E]):
    """A dict that makes missing entries with `make(key)` and, when it holds `most` entries, forgets an idle one for each new one.

    `clock` tells the time that the entries are asked with.
    Reading needs no lock. If no entry is idle, a new one is returned but not kept: the table never grows beyond `most`.
    """

    def __init__(self, make: Callable[[Hashable], E], most: int, clock: Monotonic = time) -> None:
        super().__init__()
        self.lock = threading.RLock()
        """Also protects the entries themselves. Reentrant: at any line of ours the garbage collector may close an abandoned
        response, whose watchers take the same lock."""
        self._make, self._most, self._clock = make, most, clock
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()

    def __missing__(self, key: Hashable) -> E:
        with self.lock:
            if key in self:
                return self[key]
            entry = self._make(key)
            if len(self) < self._most or self._forget_one():
                self[key] = entry
            return entry

    def _forget_one(self) -> bool:
        now = self._clock.monotonic()
        for _ in range(min(2 * len(self), MAX_ASKED)):  # an entry that was used since it was asked last answers no once
            oldest = next(iter(self))
            if self[oldest].idle(now):
                del self[oldest]
                return True
            self.move_to_end(oldest)  # in one step: no entry is lost if an exception out of a signal handler comes in between
        return False

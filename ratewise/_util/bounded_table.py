"""Bounded tables: what is remembered of each server, or of each key."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from time import monotonic
from typing import Callable, Protocol, TypeVar


class Entry(Protocol):
    """What a `Table` holds."""

    def idle(self, now: float) -> bool:
        """It may be forgotten. Asked when there is no more room, of the oldest first; one that says no is asked last again."""
        ...


E = TypeVar("E", bound=Entry)

TRIES = 50
"""Entries that are asked at most before a new one is not remembered. The others are asked the next time."""


class Table(dict[Hashable, E]):
    """Makes the entry that is missing, and forgets an idle one when there are too many.

    Reading needs no lock. When every entry is needed, a new one is made and not remembered: the table never grows beyond `most`.
    """

    def __init__(self, make: Callable[[Hashable], E], most: int) -> None:
        super().__init__()
        self.lock = threading.RLock()
        """For whoever changes the entries too. Reentrant: the garbage collector may close a forgotten response at any line of
        ours, and what that has to tell is told under the same lock."""
        self._make, self._most = make, most

    def __missing__(self, key: Hashable) -> E:
        with self.lock:
            if key in self:
                return self[key]
            entry = self._make(key)
            if len(self) < self._most or self._forget_one():
                self[key] = entry
            return entry

    def _forget_one(self) -> bool:
        now = monotonic()
        for _ in range(min(2 * len(self), TRIES)):  # an entry that was used since the last time says no once
            oldest = next(iter(self))
            entry = self.pop(oldest)
            if entry.idle(now):
                return True
            self[oldest] = entry
        return False

"""A sliding time window of calls and their outcomes."""

from __future__ import annotations

import math
from collections import deque

BUCKETS = 10
"""Slices of a window. Old calls are forgotten slice by slice, so that memory does not grow with traffic."""


class Window:
    """Counts the calls of the last `seconds`."""

    __slots__ = ("_at", "_bucket", "_buckets", "_until", "_width", "good")

    def __init__(self, seconds: float) -> None:
        self._width = max(seconds / BUCKETS, 1e-6)
        self._at = -1
        self._until = -math.inf
        self._buckets = [[0, 0, 0] for _ in range(BUCKETS)]
        self._bucket = self._buckets[0]
        """The current slice: calls, failures, slow calls."""
        self.good: deque[float] = deque()
        """Times of successful calls that are noted and not yet counted: noting one takes no lock."""

    @property
    def calls(self) -> int:
        return sum([bucket[0] for bucket in self._buckets])

    @property
    def failures(self) -> int:
        return sum([bucket[1] for bucket in self._buckets])

    @property
    def slow(self) -> int:
        return sum([bucket[2] for bucket in self._buckets])

    def add(self, failed: bool, slow: bool, now: float) -> None:
        self.count()
        self.forget(now)
        bucket = self._bucket
        bucket[0] += 1
        bucket[1] += failed
        bucket[2] += slow

    def count(self) -> None:
        """Count the noted calls."""
        good = self.good
        while good:
            self.forget(good.popleft())
            self._bucket[0] += 1

    def forget(self, now: float) -> None:
        """Forget the calls that are older than the window."""
        if now >= self._until:
            self._turn(int(now / self._width))

    def _turn(self, at: int) -> None:
        for passed in range(max(self._at + 1, at + 1 - BUCKETS), at + 1):
            self._bucket = bucket = self._buckets[passed % BUCKETS]
            bucket[:] = 0, 0, 0
        self._at = at
        self._until = (at + 1) * self._width

"""A sliding time window of calls and their outcomes."""

from __future__ import annotations

import math
from collections import deque

BUCKETS = 10
"""Slices of a window. Old calls are forgotten slice by slice, so that memory does not grow with traffic."""


class Window:
    """Counts the calls of the last `seconds`."""

    __slots__ = ("_at", "_bucket", "_buckets", "_until", "_width", "calls", "failures", "good", "slow")

    def __init__(self, seconds: float) -> None:
        self._width = max(seconds / BUCKETS, 1e-6)
        self._at = -1
        self._until = -math.inf
        self._buckets = [[0, 0, 0] for _ in range(BUCKETS)]
        self._bucket = self._buckets[0]
        """The current slice: calls, failures, slow calls."""
        self.calls = self.failures = self.slow = 0
        self.good: deque[float] = deque()
        """Times of successful calls that are noted and not yet counted: noting one takes no lock."""

    def add(self, failed: bool, slow: bool, now: float) -> None:
        self.count()
        self.forget(now)
        bucket = self._bucket
        bucket[0] += 1
        self.calls += 1
        if failed:
            bucket[1] += 1
            self.failures += 1
        if slow:
            bucket[2] += 1
            self.slow += 1

    def count(self) -> None:
        """Count the noted calls."""
        good = self.good
        while good:
            self.forget(good.popleft())
            self._bucket[0] += 1
            self.calls += 1

    def forget(self, now: float) -> None:
        """Forget the calls that are older than the window."""
        if now >= self._until:
            self._turn(int(now / self._width))

    def _turn(self, at: int) -> None:
        for passed in range(max(self._at + 1, at + 1 - BUCKETS), at + 1):
            self._bucket = bucket = self._buckets[passed % BUCKETS]
            self.calls -= bucket[0]
            self.failures -= bucket[1]
            self.slow -= bucket[2]
            bucket[:] = 0, 0, 0
        self._at = at
        self._until = (at + 1) * self._width

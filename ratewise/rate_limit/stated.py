"""A limit that the user states. No I/O, no clock: times are arguments, in seconds, monotonic."""

from __future__ import annotations

import math

ROUNDING_ERROR = 1e-6
"""Seconds that make no difference: more than the clock loses by rounding."""


class StatedLimit:
    """A limit that was stated: the generic cell rate algorithm. In any t seconds it lets burst + t * rate / per requests go."""

    def __init__(self, rate: float, per: float, burst: int) -> None:
        self._every = per / rate
        self._slack = (burst - 1) * self._every
        self._since, self._count = -math.inf, 0
        """Since when they have come without a break, and how many: added up one by one, times would lose their precision."""

    @property
    def _due(self) -> float:
        """When the next request would be due if they came evenly."""
        return self._since + self._count * self._every

    def free(self, now: float) -> int:
        """Return how many requests may be sent now."""
        behind = max(self._count * self._every - (now - self._since), 0.0)  # small numbers: nothing is lost to rounding
        room = self._slack - behind + ROUNDING_ERROR
        return int(room / self._every) + 1 if room >= 0 else 0

    def opens(self, now: float, ahead: int) -> float:
        """Return the seconds until a request with `ahead` others before it may be sent."""
        return max(self._due + ahead * self._every - self._slack - now, 0.0)

    def send(self, now: float) -> None:
        """Count a request that is sent now."""
        if now >= self._due:
            self._since, self._count = now, 0
        self._count += 1

    def idle(self, now: float) -> bool:
        """Return whether the limit can be forgotten without a loss."""
        return now >= self._due

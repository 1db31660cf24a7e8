"""Raises of a discovered limit: whether more is allowed is tried again and again. Times: seconds, monotonic."""

from __future__ import annotations

import math

HOLD, HOLD_GROWTH, LONGEST_HOLD = 2.0, 1.2, 4.0
"""Seconds without a refusal until more is tried; by what each failed trial makes that longer; and the longest."""

STEP_TIME, STEPS = 0.25, (1.05, 1.1, 1.2, 1.3)
"""Seconds from one raise to the next, at least, and the factors; the last one is repeated."""


class Raises:
    """How often a limit was raised in a row, and when the next raise is due."""

    def __init__(self) -> None:
        self.number = 0
        self.hold = HOLD
        """Seconds without a refusal until the first raise."""
        self.base = self.good = math.inf
        """The limit before the first and before the last of these raises."""
        self.bound = False
        """Whether somebody had to wait since the limit was changed: else it was not tried."""
        self._changed_at = -math.inf

    def end(self, now: float) -> None:
        """Begin anew, after a hold that is longer if a raise has failed."""
        if self.number:
            self.hold = min(self.hold * HOLD_GROWTH, LONGEST_HOLD)
        self.number, self.bound, self._changed_at = 0, False, now

    def due(self, now: float, trip: float, least: float) -> bool:
        """Return whether to raise. `trip`: seconds that an answer takes. `least`: seconds between raises at least."""
        wait = max(STEP_TIME, trip) if self.number else self.hold
        return self.bound and now - self._changed_at >= max(wait, least)

    def step(self, limit: float, now: float) -> float:
        """Return the factor by which to raise this limit."""
        factor = STEPS[min(self.number, len(STEPS) - 1)]
        self.good = limit
        if not self.number:
            self.base = limit
        self.number, self.bound, self._changed_at = self.number + 1, False, now
        return factor

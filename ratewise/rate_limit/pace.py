"""The pace of requests: a token bucket, with a rate that may change. Times: seconds, monotonic."""

from __future__ import annotations

import math

BURST_TIME = 0.1
"""Seconds: what the rate allows in them may be sent at once, so that a busy machine can catch up."""

ROUNDING_ERROR = 1e-9
"""Requests that make no difference: more than sums of times lose by rounding."""


class Pace:
    """Requests a second, and how many may be sent at once."""

    def __init__(self) -> None:
        self._rate = math.inf
        self._level, self._at = 1.0, -math.inf
        """Requests that may be sent at once, and when that was so."""

    @property
    def rate(self) -> float:
        """Requests a second; inf for no limit."""
        return self._rate

    def change(self, rate: float, now: float) -> None:
        """Change the rate. What was saved up before is kept."""
        if self._rate < math.inf:
            self._level = self._fill(now)
        self._rate = rate

    def start(self, level: float, now: float) -> None:
        """Let so many go at once."""
        self._level, self._at = level, now

    def free(self, now: float) -> float:
        """Return how many requests may be sent now."""
        return math.inf if self._rate == math.inf else math.floor(self._fill(now) + ROUNDING_ERROR)

    def opens(self, now: float, ahead: int) -> float:
        """Return the seconds until a request with `ahead` others before it may be sent."""
        if self._rate == math.inf:
            return 0.0
        lacking = ahead + 1 - self._fill(now)
        return lacking / self._rate if lacking > ROUNDING_ERROR else 0.0

    def send(self, now: float) -> None:
        """Take a request that is sent."""
        if self._rate < math.inf:
            self._level = self._fill(now) - 1

    def _fill(self, now: float) -> float:
        most = max(1.0, self._rate * BURST_TIME)
        if self._level < most:
            self._level = min(most, self._level + self._rate * (now - self._at))
        self._at = now
        return self._level

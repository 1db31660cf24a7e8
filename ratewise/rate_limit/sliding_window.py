"""A sliding window of the server's, of which responses tell. Times: seconds, monotonic."""

from __future__ import annotations

import math
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING

from .server_limit import ANSWER_TIMEOUT, ROUNDING_ERROR, ServerLimit, likely_lengths

if TYPE_CHECKING:
    from .._http.rate_limit_headers import Quota

LOGGED = 1000
"""Requests whose times of sending are remembered, at most."""


class SlidingWindow(ServerLimit):
    """A log of the server's: a request counts for a fixed time. It is followed by the times of one's own requests."""

    def __init__(self, quota: Quota, log: deque[float]) -> None:
        super().__init__(quota)
        self.limit = quota.limit or 0.0
        self._log = log
        self._length = quota.reset or 0.0
        self._guess = min(likely_lengths(self._length, quota.resolution))
        """Its length if the server rounds up."""
        self._guessed_at = -math.inf
        """When a request was sent to find that out, if it is not answered."""
        self._trip = 0.0
        self._foreign = 0.0
        """Requests of others that count, about."""

    def _room(self, now: float, length: float) -> int:
        since = now - length - self._trip
        gone = sum(1 for _ in takewhile(lambda at: at <= since, self._log))
        return int(self.limit / self.cost.each - self._foreign) - len(self._log) + gone

    def free(self, now: float, in_flight: int, waiting: int) -> int:
        room = self._room(now, self._length)
        if room < 1 and self._guess < self._length and now >= self._guessed_at + ANSWER_TIMEOUT:
            return int(self._room(now, self._guess) > 0)
        return max(room, 0)

    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        over = ahead + 1 - self._room(now, self._length)
        if over <= 0 or self.free(now, in_flight, waiting) > ahead:
            return 0.0
        length = self._length if self._guessed_at > now - ANSWER_TIMEOUT else self._guess
        counted = [at for at in self._log if at > now - self._length - self._trip]
        # how many requests others will make after those that count now is unknown: none, for the forecast
        rounds, at = divmod(over - 1, max(int(self.limit / self.cost.each), len(counted), 1))
        left = counted[at] + length + self._trip - now if at < len(counted) else length
        return max(left, 0.0) + rounds * length + ROUNDING_ERROR

    def come(self, now: float) -> None:
        if self._room(now, self._length) < 1:
            self._guessed_at = now
        while self._log and self._log[0] <= now - self._length - self._trip:
            self._log.popleft()
        self._log.append(now)

    def idle(self, now: float) -> bool:
        return not self._log or self._log[-1] + self._length + self._trip < now

    def spent(self, now: float, in_flight: int) -> bool:
        return self._room(now, self._length) < 1

    def told(self, quota: Quota, sent: float, now: float, others: int, refused: bool = False) -> None:
        assert quota.remaining is not None
        self.limit = quota.limit or self.limit
        self._trip = max(now - sent, self._trip * 0.9)
        used = (self.limit - quota.remaining) / self.cost.each
        if self._guess < self._length and sent >= self._guessed_at > -math.inf:
            longer, shorter = (sum(sent - length < at <= sent for at in self._log) for length in (self._length, self._guess))
            if refused:
                self._guess = self._length
            elif used < (longer + shorter) / 2:
                self._length = self._guess
            self._guessed_at = -math.inf
        elif quota.reset is not None and 0 < quota.reset < self._guess:
            self._length = self._guess = quota.reset
        self._foreign = max(used - sum(sent - self._length < at <= now for at in self._log), 0.0)

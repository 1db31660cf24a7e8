"""A bucket of the server's, of which responses tell. Times: seconds, monotonic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .server_limit import ROUNDING_ERROR, ServerLimit, roundest_time

if TYPE_CHECKING:
    from .._http.rate_limit_headers import Quota


class QuotaBucket(ServerLimit):
    """A bucket of the server's that fills at a steady rate: its reset says when it will be full, if nothing more is taken.

    When that is can only grow with each request, so that of all answers the one that tells the latest time knows of the most
    requests. The rate is narrowed down from how long it takes to fill from where it is.
    """

    def __init__(self, quota: Quota, pace: bool = False) -> None:
        super().__init__(quota)
        self._full_at = -math.inf
        self._fill = 0.0
        """Seconds in which an empty one fills; between `_least` and `_most`."""
        self._least, self._most = 0.0, math.inf

    def free(self, now: float, in_flight: int, waiting: int) -> int:
        return int(max(self._level(now) / self.cost.each - in_flight + ROUNDING_ERROR, 0.0))

    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        lacking = (in_flight + ahead + 1) * self.cost.each - self._level(now)
        return max(lacking, 0.0) * self._fill / self.limit if lacking > ROUNDING_ERROR else 0.0

    def come(self, now: float) -> None:
        """Nothing to count: the level follows from the responses and the requests in flight."""

    def idle(self, now: float) -> bool:
        return now >= self._full_at

    def spent(self, now: float, in_flight: int) -> bool:
        return self._level(now) / self.cost.each - in_flight < 1 - ROUNDING_ERROR

    def _level(self, now: float) -> float:
        """What is in it, without those in flight."""
        if self._fill <= 0:
            return self.limit
        return self.limit * (1 - max(self._full_at - now, 0.0) / self._fill)

    def told(self, quota: Quota, sent: float, now: float, others: int, refused: bool = False) -> None:
        assert quota.limit is not None  # see `kind_of`
        assert quota.remaining is not None
        assert quota.reset is not None
        missing = quota.limit - quota.remaining
        if quota.limit != self.limit:
            self.limit, self._least, self._most, self._full_at = quota.limit, 0.0, math.inf, -math.inf
        if missing > 0:
            self._narrow(quota.reset, quota.resolution, missing, refused)
        fine = quota.resolution * self.limit < self._fill  # finer than one unit
        before, full = self._full_at, now + (quota.reset if fine else missing * self._fill / self.limit)
        self._full_at = min(before, full + others * self.cost.each * self._fill / self.limit)  # what was told before was odd
        if full > before:
            self._full_at = full
            taken = (full - max(before, now)) * self.limit / self._fill if self._fill else missing
            self.cost.spent(taken, self.limit)

    def _narrow(self, reset: float, resolution: float, missing: float, refused: bool) -> None:
        """`reset` is the time for more than `missing` - 1 units, and not more than `missing`."""
        owing = refused and missing >= self.limit and self._fill > 0  # more is missing, perhaps: refusals may count too
        least = 0.0 if owing else self.limit * max(reset - 2 * resolution, 0.0) / missing
        most = self.limit * (reset + resolution) / (missing - 1) if missing > 1 else math.inf
        low, high = max(least, self._least), min(most, self._most)
        self._least, self._most = (low, high) if low <= high else (least, most)
        guess = min(max(self.limit * reset / missing, self._least), self._most)
        near = roundest_time(self._least, min(self._most, 1.1 * guess)) if self._least > guess / 2 else None
        self._fill = near or guess

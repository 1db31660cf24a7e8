"""The limits that may hold a request back: one that the user stated, and those that the server states. Time is an argument.

All times are seconds on a monotonic clock. `in_flight`: requests that were sent and are not answered. The server may have
counted each of them or not, and what it told before they come is as much as is known for certain.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .._http.rate_limit_headers import Quota


ROUNDING_ERROR = 1e-6
"""Seconds that make no difference: more than the clock loses by rounding."""

PROBES = 8
"""Requests of a window that are kept to see when it turns, at most."""

MIN_PROBED_SIZE = 3
"""Requests: a window of fewer has none to spare for that."""

RESERVE_FOR = 0.25
"""Seconds for which requests are kept, at most, while fewer are waiting than the window has left."""

FINE = 0.02
"""Seconds: the turn of a window is not measured more exactly than this plus the time that a request takes."""

ANSWER_TIMEOUT = 1.0
"""Seconds that other requests wait for the response to a probe, at most."""

LONGEST_WINDOW = 40 * 86_400.0
"""Seconds: the length of a window, at most. Longer ones are ignored."""

_STEPS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds between probes, so that instants which are a round time apart are among them."""

_LIKELY_LENGTHS = (86_400.0, 3600.0, 1800.0, 900.0, 600.0, 300.0, 60.0, 30.0, 15.0, 10.0, 5.0)
"""Seconds: usual lengths of windows and of refills, and their multiples; the likeliest first."""


class Limit(Protocol):
    """What a limiter uses of any limit. `now`: seconds, monotonic. `in_flight`: requests sent and not answered."""

    def free(self, now: float, in_flight: int, waiting: int) -> int:
        """Return how many requests may be sent now, while `waiting` requests are in the queue."""
        ...

    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        """Return the seconds until a request with `ahead` others before it may be sent, as far as is known."""
        ...

    def come(self, now: float) -> None:
        """Count a request that is sent now."""
        ...

    def idle(self, now: float) -> bool:
        """Whether the limit can be forgotten without a loss."""
        ...


class ServerLimit(Limit, Protocol):
    """What a limiter also uses of a limit that the server states."""

    def spent(self, now: float, in_flight: int) -> bool:
        """Whether no request is left for the time being."""
        ...

    def told(self, quota: Quota, sent: float, now: float, others: int, refused: bool = False) -> None:
        """Learn from the response to a request that was sent at `sent`, and perhaps refused.

        `others`: requests that the server may have counted after that one.
        """
        ...


class KnownLimit:
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

    def free(self, now: float, in_flight: int, waiting: int) -> int:
        behind = max(self._count * self._every - (now - self._since), 0.0)  # small numbers: nothing is lost to rounding
        room = self._slack - behind + ROUNDING_ERROR
        return int(room / self._every) + 1 if room >= 0 else 0

    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        return max(self._due + ahead * self._every - self._slack - now, 0.0)

    def come(self, now: float) -> None:
        if now >= self._due:
            self._since, self._count = now, 0
        self._count += 1

    def idle(self, now: float) -> bool:
        return now >= self._due


class Bucket:
    """A bucket of the server's that fills at a steady rate: its reset says when it will be full, if nothing more is taken.

    When that is can only grow with each request, so that of all answers the one that tells the latest time knows of the most
    requests. The rate is narrowed down from how long it takes to fill from where it is.
    """

    def __init__(self, quota: Quota, pace: bool = False) -> None:
        self._size = 0.0
        self._full_at = -math.inf
        self._fill = 0.0
        """Seconds in which an empty one fills; between `_least` and `_most`."""
        self._least, self._most = 0.0, math.inf
        self._cost = _Cost(quota)

    def free(self, now: float, in_flight: int, waiting: int) -> int:
        return int(max(self._level(now) / self._cost.each - in_flight + ROUNDING_ERROR, 0.0))

    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        lacking = (in_flight + ahead + 1) * self._cost.each - self._level(now)
        return max(lacking, 0.0) * self._fill / self._size if lacking > ROUNDING_ERROR else 0.0

    def come(self, now: float) -> None:
        """Nothing to count: the level follows from the responses and the requests in flight."""

    def idle(self, now: float) -> bool:
        return now >= self._full_at

    def spent(self, now: float, in_flight: int) -> bool:
        return self._level(now) / self._cost.each - in_flight < 1 - ROUNDING_ERROR

    def _level(self, now: float) -> float:
        """What is in it, without those in flight."""
        if self._fill <= 0:
            return self._size
        return self._size * (1 - max(self._full_at - now, 0.0) / self._fill)

    def told(self, quota: Quota, sent: float, now: float, others: int, refused: bool = False) -> None:
        assert quota.limit is not None  # see `kind_of`
        assert quota.remaining is not None
        assert quota.reset is not None
        missing = quota.limit - quota.remaining
        if quota.limit != self._size:
            self._size, self._least, self._most, self._full_at = quota.limit, 0.0, math.inf, -math.inf
        if missing > 0:
            self._narrow(quota.reset, quota.resolution, missing)
        fine = quota.resolution * self._size < self._fill  # finer than one unit
        before, full = self._full_at, now + (quota.reset if fine else missing * self._fill / self._size)
        self._full_at = min(before, full + others * self._cost.each * self._fill / self._size)  # what was told before was odd
        if full > before:
            self._full_at = full
            taken = (full - max(before, now)) * self._size / self._fill if self._fill else missing
            self._cost.spent(taken, self._size)

    def _narrow(self, reset: float, resolution: float, missing: float) -> None:
        """`reset` is the time for more than `missing` - 1 units, and not more than `missing`."""
        least = self._size * max(reset - 2 * resolution, 0.0) / missing
        most = self._size * (reset + resolution) / (missing - 1) if missing > 1 else math.inf
        low, high = max(least, self._least), min(most, self._most)
        self._least, self._most = (low, high) if low <= high else (least, most)
        guess = min(max(self._size * reset / missing, self._least), self._most)
        near = _roundest_time(self._least, min(self._most, 1.1 * guess)) if self._least > guess / 2 else None
        self._fill = near or guess


class QuotaWindow:
    """A counter of the server's that begins anew at each turn of a window. When it turns is narrowed down turn by turn.

    It is known to turn between `_from` and `_to`. Where requests must wait anyway, some that the window still allows are kept and
    sent in that time, one by one: an answer that knows of more than was left tells that it has turned since the one before.
    """

    def __init__(self, quota: Quota, pace: bool = False) -> None:
        self._pace = pace
        self._limit = 0.0
        self._left = math.inf
        """What the answers leave. All that is not answered yet may have been counted besides."""
        self._began = -math.inf, math.inf
        """Between these the window began."""
        self._length = 0.0, math.inf
        """Between these is its length."""
        self._from, self._to = -math.inf, -math.inf
        self._latest = -math.inf
        """When it has turned even if its length is not what it seems."""
        self._seen_at, self._empty_at = -math.inf, math.inf
        """When the answer came that knew of this window first, and the one that knew that nothing is left."""
        self._trip = 0.0
        """Seconds that the last request took of which this is known."""
        self._refused = False
        """What was asked last."""
        self._probes, self._step = 0, math.inf
        """How many requests are kept to see when it turns, and the seconds between them."""
        self._probed_at = -math.inf
        self._held_since = math.inf
        self._next_at = -math.inf
        """When the next one may go, if they are paced."""
        self._cost = _Cost(quota)

    # -- what may go

    def free(self, now: float, in_flight: int, waiting: int) -> int:
        left = self._rest(now, in_flight)
        if self._pace and now < self._next_at and now < self._to:
            return 0
        spare = left - self._kept(now, left, waiting)
        if spare >= 1:
            return 1 if self._pace else int(spare)
        return 1 if now >= self._probe_at(now, in_flight, left >= 1) else 0

    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        left = self._rest(now, in_flight)
        kept = self._kept(now, left, waiting)
        if self._pace and now < self._next_at and now < self._to:
            return self._next_at - now + ahead * self._gap(now)
        if left - kept >= ahead + 1:
            return ahead * self._gap(now) if self._pace else 0.0
        wait = max(self._probe_at(now, in_flight, left >= 1) - now, 0.0)
        if kept and waiting <= left:
            wait = min(wait, self._held_since + RESERVE_FOR - now)
        each = max(self._limit / self._cost.each, 1.0)
        return wait + max(math.ceil((ahead + 1 - max(left, 0.0)) / each) - 1, 0) * _only_whole(*self._length)[0]

    def come(self, now: float) -> None:
        self._next_at = now + self._gap(now)
        if now >= self._from:
            self._probed_at = now

    def idle(self, now: float) -> bool:
        return now >= self._latest

    def spent(self, now: float, in_flight: int) -> bool:
        return now < self._to and self._left / self._cost.each - in_flight < 1

    def _rest(self, now: float, in_flight: int) -> float:
        """How many requests are left. All, if it has turned for sure and the server has believed that until now."""
        turned = now >= self._latest + ANSWER_TIMEOUT and not self._refused
        return max(self._left, self._limit if turned else 0.0) / self._cost.each - in_flight

    def _gap(self, now: float) -> float:
        """Seconds between two that are paced."""
        return max(self._to - now, 0.0) / max(self._left / self._cost.each, 1.0) if self._left < math.inf else 0.0

    def _kept(self, now: float, left: float, waiting: int) -> float:
        """How many are kept of those that may go."""
        if self._to - max(self._from, now) <= FINE + self._trip or left < 1:
            return 0
        kept = min(self._probes, math.ceil((self._to - max(self._from, self._probed_at)) / self._step - 1))
        if waiting > left:
            return kept
        if left - max(waiting, 1) >= kept:
            return 0  # whoever is here may go
        self._held_since = min(self._held_since, now)
        return kept if now < self._held_since + RESERVE_FOR else 0

    def _probe_at(self, now: float, in_flight: int, left: bool) -> float:
        """When the next probe is due."""
        if in_flight and self._probed_at >= self._from and self._to < math.inf:
            return self._probed_at + ANSWER_TIMEOUT  # there is one
        if not left or now >= self._to:
            return self._to
        first = max(self._from, self._probed_at + ROUNDING_ERROR, self._to - (self._probes + 0.5) * self._step)
        return min(self._to - math.floor((self._to - first) / self._step) * self._step, self._to)

    # -- what is learnt

    def told(self, quota: Quota, sent: float, now: float, others: int, refused: bool = False) -> None:
        left = quota.remaining
        assert left is not None  # see `kind_of`
        if quota.reset is None:
            span = sent, now + (quota.window or 0.0)
        else:
            late = 0.0 if quota.kind == "effective" else quota.resolution  # rounded up, or down: only the draft says which
            span = sent + quota.reset - 2 * quota.resolution, now + quota.reset + late
        self._trip, self._refused = now - sent, refused
        there = (sent + now) / 2  # when it came there, about: the next one takes as long
        self._limit = quota.limit or max(self._limit, left)
        if self._left == math.inf:
            fresh = quota.limit is not None and left >= quota.limit - 1
            self._begin((sent if fresh else -math.inf, there), left, now, span, quota)
        elif sent >= self._from and (
            left > self._left + others * self._cost.each
            or span[0] > self._to
            or (sent >= self._empty_at and not refused)  # of a limit of 1 nothing is left in the new window either
            or (left == self._left and not others and not refused)  # in the same window it would have taken one
        ):
            began = min(self._from, there), there
            self._length = _both(self._length, (began[0] - self._began[1], began[1] - self._began[0]))
            self._begin(began, left, now, span, quota)
        elif sent < self._seen_at:
            self._left -= self._cost.each  # whether it was counted in this window or in the last, nobody knows
        else:
            if self._left > left:
                self._cost.spent(self._left - left, self._limit)
                self._left = left
                self._empty_at = now if left < self._cost.each else math.inf
            self._not_yet(sent, now, span)

    def _begin(self, began: tuple[float, float], left: float, now: float, span: tuple[float, float], quota: Quota) -> None:
        """An answer knows of a new window: when does it turn?"""
        self._began, self._left, self._seen_at = began, left, now
        self._probed_at, self._held_since = -math.inf, math.inf
        self._empty_at = now if left < self._cost.each else math.inf
        if quota.window is not None:
            self._length = quota.window, quota.window
        self._latest = span[1]
        shortest, longest = _only_whole(*self._length)
        expected = began[0] + shortest, began[1] + longest
        self._from, self._to = max(span[0], expected[0]), min(span[1], expected[1])
        if self._from > self._to:  # its length is another one now
            self._length = 0.0, math.inf
            self._from, self._to = span
        size = self._limit / self._cost.each
        self._probes = min(PROBES, max(int(size / 10), 1)) if size >= MIN_PROBED_SIZE else 0
        if quota.reset is not None and began[0] > -math.inf:
            lengths = [length for length in _likely(quota.reset, quota.resolution) if length > shortest]
            if not self._probes:  # nothing else would show that it is shorter; a refusal will show that it is not, once
                lengths.sort()
            guesses = (began[1] + length for length in lengths)
            self._to = next((guess for guess in guesses if self._from <= guess <= self._to), self._to)
        width, most = self._to - self._from, max(self._probes, 1)
        coarse = max(quota.resolution, 1.0)
        self._step = min(next((step for step in _STEPS if step * (most + 1) >= width), width), coarse)

    def _not_yet(self, sent: float, now: float, span: tuple[float, float]) -> None:
        """It had not turned when a request came there."""
        self._from, self._to = _both((self._from, self._to), span)
        self._latest = span[1]
        if sent > self._from:
            self._from = sent
            if sent >= self._to:  # later than it was thought
                self._length = max(self._length[0], sent - self._began[1]), math.inf
                self._to = max(span[1], now)


def kind_of(quota: Quota) -> type[Bucket] | type[QuotaWindow] | None:
    """What kind of limit that is; None if it tells too little, or nothing of a rate."""
    if quota.remaining is None or (quota.limit is not None and quota.limit < 1) or quota.unit == "concurrent-requests":
        return None  # Okta tells its limit on concurrency as 0
    if max(quota.reset or 0.0, quota.window or 0.0) > LONGEST_WINDOW:
        return None
    if quota.reset is None and quota.window is None:
        return None
    return Bucket if quota.kind == "bucket" and quota.limit and quota.reset is not None else QuotaWindow


class _Cost:
    """How much of a limit one request takes: 1 where requests are counted; of tokens and the like, about as much as it did."""

    def __init__(self, quota: Quota) -> None:
        self._fixed = quota.unit == "requests"
        self.each = 1.0

    def spent(self, units: float, limit: float) -> None:
        """So many units were taken by a request, of the `limit` that there are at most."""
        if not self._fixed:
            each = max(units, self.each + (units - self.each) / 16)  # who needs more is refused, who needs less waits a little
            self.each = max(min(each, limit), 1.0)


def _both(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """What both intervals have in common; if they contradict each other, the other one."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else other


def _only_whole(low: float, high: float) -> tuple[float, float]:
    """The only whole number of seconds above the one and up to the other, if there is just one."""
    whole = math.floor(low) + 1.0
    return (whole, whole) if whole <= high < whole + 1 else (low, high)


def _likely(seconds: float, resolution: float) -> list[float]:
    """The lengths, the likeliest first, of which somebody tells so many seconds, rounded up or down."""
    units = [unit for unit in _LIKELY_LENGTHS if resolution >= 1 and abs(round(seconds / unit) * unit - seconds) <= resolution]
    return [*(round(seconds / unit) * unit for unit in units[:1]), seconds, seconds - resolution]


def _roundest_time(low: float, high: float) -> float | None:
    """The likeliest time between these, in seconds."""
    for unit in (*_LIKELY_LENGTHS, 2.0, 1.0):
        number = math.floor(high / unit)
        if number >= 1 and number * unit >= low:
            return number * unit
    return None

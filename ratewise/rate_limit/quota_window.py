"""A window of the server's, of which responses tell. Times: seconds, monotonic."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from .server_limit import ANSWER_TIMEOUT, ROUNDING_ERROR, ServerLimit, likely_lengths, only_whole
from .sliding_window import LOGGED

if TYPE_CHECKING:
    from .._http.rate_limit_headers import Quota

PROBES = 8
"""Requests of a window that are kept to see when it turns, at most."""

MIN_PROBED_SIZE = 3
"""Requests: a window of fewer has none to spare for that."""

RESERVE_FOR = 0.25
"""Seconds for which requests are kept, at most, while fewer are waiting than the window has left."""

FINE = 0.02
"""Seconds: the turn of a window is not measured more exactly than this plus the time that a request takes."""

SLIDES_BY = 0.5
"""Seconds by which the reset of a sliding window moves on, at least, until it is recognized."""

_STEPS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds between probes, so that instants which are a round time apart are among them."""


class QuotaWindow(ServerLimit):
    """A counter of the server's that begins anew at each turn of a window. When it turns is narrowed down turn by turn.

    It is known to turn between `_from` and `_to`. Where requests must wait anyway, some that the window still allows are kept and
    sent in that time, one by one: an answer that knows of more than was left tells that it has turned since the one before.
    """

    def __init__(self, quota: Quota, pace: bool = False) -> None:
        super().__init__(quota)
        self._pace = pace
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
        self.log: deque[float] = deque(maxlen=LOGGED)
        """When the latest requests were sent."""
        self._missed = False
        """Whether it turned later than was thought: by little, most likely."""
        self._turn = math.inf
        """When it is to turn by the first answer that knew of it."""

    def agrees(self, quota: Quota, sent: float, now: float) -> bool:
        """Return whether it can be the same window: a turn at the same time, or the next one."""
        if quota.reset is None:
            return self._length[0] == quota.window
        if now >= self._from or self._left == math.inf:
            return True
        low, high = sent + quota.reset - 2 * quota.resolution, now + quota.reset + quota.resolution
        return low <= self._to + 1 and high >= self._from - 1

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
        each = max(self.limit / self.cost.each, 1.0)
        return wait + max(math.ceil((ahead + 1 - max(left, 0.0)) / each) - 1, 0) * only_whole(*self._length)[0]

    def slides(self, quota: Quota, sent: float, now: float) -> bool:
        """Return whether an answer shows that it is a sliding window: less is left, and yet the reset has moved on."""
        if quota.reset is None or quota.remaining is None or quota.kind == "effective" or not quota.remaining <= self._left:
            return False
        if quota.limit is None or not self.cost.each < quota.limit <= LOGGED:  # in a window of one request both are the same
            return False
        return sent + quota.reset >= self._turn + 2 * quota.resolution + SLIDES_BY + now - sent

    def come(self, now: float) -> None:
        self.log.append(now)
        self._next_at = now + self._gap(now)
        if now >= self._from:
            self._probed_at = now

    def idle(self, now: float) -> bool:
        return now >= self._latest

    def spent(self, now: float, in_flight: int) -> bool:
        return now < self._to and self._left / self.cost.each - in_flight < 1

    def _rest(self, now: float, in_flight: int) -> float:
        """How many requests are left. All, if it has turned for sure and the server has believed that until now."""
        turned = now >= self._latest + ANSWER_TIMEOUT and not self._refused
        return max(self._left, self.limit if turned else 0.0) / self.cost.each - in_flight

    def _gap(self, now: float) -> float:
        """Seconds between two that are paced."""
        return max(self._to - now, 0.0) / max(self._left / self.cost.each, 1.0) if self._left < math.inf else 0.0

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
        self.limit = quota.limit or max(self.limit, left)
        if self._left == math.inf:
            fresh = quota.limit is not None and left >= quota.limit - 1
            self._begin((sent if fresh else -math.inf, there), left, now, span, quota)
        elif sent >= self._from and (
            left > self._left + others * self.cost.each
            or span[0] > self._to
            or (sent >= self._empty_at and not refused)  # of a limit of 1 nothing is left in the new window either
            or (left == self._left and not others and not refused)  # in the same window it would have taken one
        ):
            began = min(self._from, there), there
            self._length = _both(self._length, (began[0] - self._began[1], began[1] - self._began[0]))
            self._begin(began, left, now, span, quota)
        elif sent < self._seen_at:
            self._left -= self.cost.each  # whether it was counted in this window or in the last, nobody knows
        else:
            if self._left > left:
                self.cost.spent(self._left - left, self.limit)
                self._left = left
                self._empty_at = now if left < self.cost.each else math.inf
            self._not_yet(sent, now, span)

    def _begin(self, began: tuple[float, float], left: float, now: float, span: tuple[float, float], quota: Quota) -> None:
        """An answer knows of a new window: when does it turn?"""
        self._began, self._left, self._seen_at = began, left, now
        self._turn, self._missed = now + (quota.reset or math.inf), False
        self._probed_at, self._held_since = -math.inf, math.inf
        self._empty_at = now if left < self.cost.each else math.inf
        if quota.window is not None:
            self._length = quota.window, quota.window
        self._latest = span[1]
        shortest, longest = only_whole(*self._length)
        expected = began[0] + shortest, began[1] + longest
        self._from, self._to = max(span[0], expected[0]), min(span[1], expected[1])
        if self._from > self._to:  # its length is another one now
            self._length = 0.0, math.inf
            self._from, self._to = span
        size = self.limit / self.cost.each
        self._probes = min(PROBES, max(int(size / 10), 1)) if size >= MIN_PROBED_SIZE else 0
        if quota.reset is not None and began[0] > -math.inf:
            lengths = [length for length in likely_lengths(quota.reset, quota.resolution) if length > shortest]
            if not self._probes:  # nothing else would show that it is shorter; a refusal will show that it is not, once
                lengths.sort()
            guesses = (began[1] + length + self._trip / 4 for length in lengths)  # the ways there may differ by as much
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
                latest = max(span[1], now)
                self._to, self._missed = (latest if self._missed else min(now + FINE + self._trip, latest)), True


def _both(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """What both intervals have in common; if they contradict each other, the other one."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else other

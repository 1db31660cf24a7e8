"""So many requests a second, of which some are saved up while fewer come."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..limits import ROUNDING_ERROR
from .answer import Answer, Kept

GROWTH = 1.5
"""Factor by which the pace rises at a time while the limit is unknown."""

STEP = 0.25
"""Seconds for which the pace stays the same, at least."""

FIRM = 8
"""Requests for which the pace stays the same, at least, once a request was refused."""

RISE_AFTER_REQUESTS, RISE_AFTER_SECONDS = 40, 2.0
"""Requests and seconds after which the discovered rate is tested by a higher pace, at the earliest."""

RISE_BACKOFF, MAX_RISE_BACKOFF = 2.0, 16.0
"""Factor by which the next test comes later each time that the rate is confirmed, and the largest product of these."""

COSTLY = 20.0
"""Factor by which tests are less frequent, for each second that a refusal blocks all requests."""

CAREFUL = 0.98
"""Part of the rate that is used if one request too many blocks all requests for long."""

SAFE_PART = 0.8
"""Part of the burst that is used at once in this case."""

LIKELY_RATES = (1000.0, 500.0, 250.0, 200.0, 100.0, 50.0, 25.0, 20.0, 10.0, 5.0, 2.0, 1.0)
"""Requests per second, minute or hour that are likelier than the rates between them, the likeliest first; and their multiples."""

FEWEST = 5
"""Requests: with a smaller burst, what refills during a pause is lost, and says nothing about the rate."""

SLOWEST = 1 / 60
"""Requests per second: a lower rate is not assumed, so that the server is asked again after a minute or two."""

UNSURE = 2
"""Requests by which the burst may be larger than assumed."""

LESS = 0.9
"""Factor by which the rate falls after a refusal that nothing explains."""

MOST_POINTS = 8
"""Points from which the rate is computed, at most."""


class Point(NamedTuple):
    """A moment from which on is counted what is accepted."""

    at: float
    taken: int
    """How many had been accepted until then."""
    saved: float
    """How many more than come back may be accepted from then on; 0: a refusal showed that none was left."""


class Filling:
    """What was used comes back at a steady rate. The pace rises until a request is refused: then it is known, about."""

    reason = "discovered rate limit reached"
    vague = False

    def __init__(
        self, since: int, now: float, pace: float, size: float, points: list[Point], last: Point | None = None, shut: float = 0.0
    ) -> None:
        self.since = since
        self.opened, self.accepted_since = now, 0
        self.pace = self._found = pace
        self.size = max(size, 1.0)
        self._level, self._at = 1.0, now
        self._points = points
        self._last = last
        """When a request was refused last."""
        self._rising = True
        self._step_at = now + STEP
        self._seldom = 1.0
        self._shut = shut
        """Seconds for which a refusal shuts everyone out."""
        self._given_up_at = math.inf
        """When it is no longer believed that anything comes back."""
        self._surprises = 0
        """How many in a row were refused although the pace had been found."""
        self._rise_at = math.inf
        """When the pace that was found is risked."""
        self._trip = 0.0
        if last is not None and size >= FEWEST:
            self._rising = False
            self._estimate()
            self._level, self._at = -1.5, last.at
            self._stay(now)

    def level(self, now: float) -> float:
        """How many may go at once."""
        return min(self._level + (now - self._at) * self.pace, self._most)

    @property
    def _most(self) -> float:
        """How many may be saved up, and used at once; not all of them where one too many shuts everyone out."""
        return max(SAFE_PART * self.size, 1.0) if self.shuts else self.size

    def free(self, now: float, in_flight: int) -> int:
        return max(int(self.level(now) + ROUNDING_ERROR), 0)

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        return max((ahead + 1 - self.level(now)) / self.pace, 0.0)

    def come(self, now: float, taken: int) -> None:
        level = self.level(now)
        if level >= self._most and self.size >= 2:  # more may have come back than there is room for
            self._points, self._last = [Point(now, taken, self.size)] if self._rising else [], None
        self._level, self._at = level - 1, now
        if level >= 2:
            return  # nobody waits for the pace
        if now >= (self._step_at if self._rising else self._rise_at):
            self._points = [*self._points, Point(now, taken, self.size)][-MOST_POINTS:]
            self._rising = True
            self.pace *= GROWTH
            self._step_at = now + max(STEP, 2 * self._trip, (FIRM if self._last else 2) / self.pace)

    def accepted(self, answer: Answer) -> Filling:
        self.accepted_since += 1
        self._trip = answer.now - answer.sent
        if answer.number < self.since and self._last is not None:  # it was on its way when the last one was refused
            self._last = self._last._replace(taken=self._last.taken + 1)
            self._estimate()
        return self

    def refused(self, answer: Answer, told: float | None) -> Filling | None:
        if answer.number < self.since:
            return self
        self.since = answer.total
        self._shut = told or 0.0
        self._level, self._at = -0.5, answer.now
        last, before = self._last, self._found
        self._surprises = 0 if self._rising else self._surprises + 1
        if last is None and self._points and self.shuts:
            self.size = max(min(self.size, answer.taken - self._points[0].taken), 1.0)  # it was said to be more
        if last is None or answer.taken > last.taken:
            self._last = Point(answer.there, answer.accepted, 0.0)
            self._given_up_at = answer.there + max(5 / before, 2 * STEP)
        elif answer.there > self._given_up_at:
            return None  # nothing comes back at all
        else:
            self._last = last._replace(at=answer.there)
        if last is not None:
            self._points = sorted([*self._points, last])[-MOST_POINTS:]
        if self._surprises > 1 and not self._points:
            self._found *= LESS
        self._estimate()
        expected = abs(self._found - before) < 0.1 * before
        self._seldom = min(self._seldom * RISE_BACKOFF, MAX_RISE_BACKOFF) if expected else (1.0 if self.size >= FEWEST else 0.25)
        self._stay(answer.now)
        return self

    def _estimate(self) -> None:
        """From how much was accepted since earlier points. What is known of an older rate is forgotten."""
        assert self._last is not None
        end, taken, _ = self._last
        low, near, high = 0.0, math.inf, math.inf
        doubt = (1.5 + self._found * self._trip) / max(self._surprises, 1)
        for number, (at, before, saved) in reversed([*enumerate(self._points)]):
            span, accepted = end - at, taken - before
            if span <= 0:
                continue
            least = (accepted - (saved + UNSURE if saved else 1)) / span
            if least > high:
                self._points = self._points[number + 1 :]  # the limit was another one then
                break
            if least > low:
                low, near = least, least + 5 / span
            if not saved and accepted < self.size:
                high = min(high, (accepted + doubt) / span)  # there was room for all that came back
        if low > 0:
            self._found = _roundest_rate(low, min(near, high)) or (low + min(near, high)) / 2
            self._found *= CAREFUL if self.shuts else 1.0
        elif high < self._found:
            self._found = max(max(high, self._found / 2) / 2, SLOWEST)
        if not self._rising:
            self.pace = self._found

    def _stay(self, now: float) -> None:
        """The pace is found, and kept for a while."""
        self.pace, self._rising = self._found, False
        self._rise_at = now + max(RISE_AFTER_SECONDS, RISE_AFTER_REQUESTS / self.pace) * self._seldom * (1 + COSTLY * self._shut)

    @property
    def shuts(self) -> bool:
        """A refusal shut everyone out for much longer than it takes until one more may go."""
        return self._shut > 1 + 5 / self._found

    def kept(self, now: float) -> Kept:
        return {"kind": "rate", "rate": self._found, "burst": self.size, "left": max(self.level(now), 0.0), "shuts": self._shut}

    @classmethod
    def restored(cls, kept: Kept, now: float) -> Filling:
        """What was `kept`, with what is left as it is now."""
        filling = cls(0, now, kept["rate"], kept["burst"], [], None, kept["shuts"])
        filling._level = min(kept["left"], filling._most)
        filling._stay(now)
        return filling

    def resumed(self, answer: Answer) -> Filling:
        self.since, self._level, self._at = answer.number, self._most - 1, answer.now
        self._points, self._last = [Point(answer.now, answer.accepted, self.size)], None
        return self


def _roundest_rate(low: float, high: float) -> float | None:
    """The likeliest rate between these."""
    for per in (1.0, 60.0, 3600.0):
        for unit in LIKELY_RATES:
            number = math.floor(high * per / unit)
            if number >= 1 and number * unit >= low * per:
                return number * unit / per
    return None

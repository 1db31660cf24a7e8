"""Nothing is accepted for a while: when will it be again, and what limit is it that was used up?"""

from __future__ import annotations

import math

from ..limits import ANSWER_TIMEOUT, ROUNDING_ERROR
from .answer import Answer, Kept, Known, Phase
from .ceiling import Ceiling
from .filling import FEWEST, SAFE_PART, Filling, Point
from .turning import Turning

LENGTHS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)
"""Seconds: usual lengths of windows. The server is asked again after each of these, then every minute."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after which a refused request is sent again, at the latest: the first time, and at most. Doubled each time."""

SOONEST, BACKOFF, LATEST = 0.1, 0.15, 2.0
"""A server that is down is asked again after `BACKOFF` times the outage so far, from `SOONEST` to `LATEST` seconds."""

SHORT = 0.5
"""Seconds: refusals for less than this say nothing about the length of a window."""


class Shut:
    """One request at a time asks whether it is over.

    `opened`: when the first request was answered that may count against what is used up; `accepted_since`: how many were
    accepted from then on. `down`: it does not look like a limit. `overlaps`: it may be one on how many are in flight.
    `sure`: it is not the first time. `resumes`: what was known before, and will be true again.
    """

    vague = False

    def __init__(
        self,
        answer: Answer,
        opened: float,
        accepted: int,
        *,
        down: bool = False,
        overlaps: bool = False,
        sure: bool = True,
        resumes: Known | None = None,
        told: float | None = None,
    ) -> None:
        self.since, self._shut_at = answer.total, answer.now
        self.opened = min(opened, answer.now)
        self.accepted_since = accepted
        self.down = down
        self.reason = "the server does not answer" if down else "the server refuses every request and does not say for how long"
        self._sure, self._resumes = sure, resumes
        self._used_up_at = answer.there
        self._least = answer.others
        """How many were in flight beside one that was refused."""
        self._asked = 0.0
        """Seconds from `opened` to the last request that was refused again."""
        self._pause = FIRST_PAUSE
        self._probe: float | None = None
        """When the one was sent that is not answered."""
        self._overlaps = overlaps and told is None
        self._trip = answer.now - answer.sent
        """Seconds that a refusal takes at most."""
        self.due = self._next(answer.now) if told is None else -math.inf
        """When one is to ask."""
        if self._overlaps:
            self.due = max(self.due, answer.now + ANSWER_TIMEOUT)  # one of those in flight may tell before
        if told is not None:
            self._heed(told, answer.now)

    @property
    def _patience(self) -> float:
        """Seconds after which the answer to one that asks is not waited for any longer."""
        return max(ANSWER_TIMEOUT, 2 * self._trip)

    def free(self, now: float, in_flight: int) -> int:
        if self._probe is not None and now < self._probe + self._patience:
            return 0
        return 1 if now >= self.due - ROUNDING_ERROR else 0

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        asks = self.due if self._probe is None else max(self.due, self._probe + self._patience)
        if self.down and ahead:
            asks = max(asks, 2 * now - self._shut_at)  # as long again as it has been: nobody knows better
        return max(asks - now, 0.0)

    def come(self, now: float, taken: int) -> None:
        self._probe = now

    def accepted(self, answer: Answer) -> Phase:
        if answer.number < self.since:
            self.accepted_since += 1
            if self._overlaps and answer.now - answer.sent > 2 * self._trip:  # it was worked on while others were refused
                return Ceiling(max(self._least, 1), answer.total, self.opened, self.accepted_since)
            return self
        if self._resumes is not None:
            return self._resumes.resumed(answer)
        if self.down or (not self._sure and self.accepted_since < FEWEST):
            return Ceiling(None, answer.number)
        points = [Point(self._used_up_at, answer.accepted, 0.0), Point(answer.now, answer.accepted, max(self.accepted_since, 1))]
        return Trial(answer, self.accepted_since, answer.now - self.opened, self._asked, points)

    def refused(self, answer: Answer, told: float | None) -> Phase:
        if answer.number < self.since:
            self._least = min(self._least, answer.others)
            self._used_up_at = answer.there
            self._trip = max(self._trip, answer.now - answer.sent)
        else:
            self._probe, self._overlaps = None, False
            self._asked = max(self._asked, answer.sent - self.opened) if answer.sent > self._shut_at + SHORT else 0.0
            if told is None:
                self.due = max(self.due, self._next(answer.now))
        if told is not None:
            self._overlaps = False
            self._heed(told, answer.now)
        return self

    def _heed(self, told: float, now: float) -> None:
        """Nobody asks before the server says. It may have rounded up to a second: only what is longer tells anything."""
        self.due = max(self.due, now + told)
        if told >= 2:
            self._asked = max(self._asked, self.due - 1.0 - self.opened)

    def _next(self, now: float) -> float:
        """When to ask again: as long after the first request as many limits are, or when the pause is over."""
        if self.down:
            return now + min(max((now - self._shut_at) * BACKOFF, SOONEST), LATEST)
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        age = now - self.opened
        length = next((length for length in LENGTHS if length > age), math.ceil((age + ROUNDING_ERROR) / 60) * 60)
        return min(self.opened + length, now + pause)

    def kept(self, now: float) -> Kept | None:
        return None if self._resumes is None else self._resumes.kept(now)


class Trial:
    """It is over: as many go as before. One more tells whether the limit is so many in that time."""

    reason = "measuring the limit"
    vague = False

    def __init__(self, answer: Answer, size: int, length: float, least: float, points: list[Point]) -> None:
        self.since = answer.number
        self.opened = answer.now
        self._size, self._length, self._least = max(size, 1), length, least
        self._points = points
        self._again: Point | None = None
        """When one more was refused."""
        self._told = 0.0
        self._sent = self.accepted_since = 1
        self._window = 2
        """How many may be in flight."""
        self._begin(self.opened)

    def _begin(self, now: float) -> None:
        self.opened = self._came_at = now
        self._test_at = math.inf if not self._least else now + min(self._length / 2, SHORT)

    def free(self, now: float, in_flight: int) -> int:
        most = self._most(now)
        if self._sent < most:
            return max(min(self._window - in_flight, most - self._sent), 0)
        if in_flight:
            return 0
        if self._again is None and not self._least:
            return 1  # one more
        return 1 if now >= self._test_at - ROUNDING_ERROR else 0

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        if ahead < self._most(now) - self._sent or self._test_at == math.inf:
            return ANSWER_TIMEOUT if in_flight else 0.0  # it depends on their answers
        return max(self._test_at - now, ANSWER_TIMEOUT if in_flight else 0.0)

    def _most(self, now: float) -> int:
        """As many as before; if that shut everyone out, the last of them a little later."""
        return self._size if not self._least or now >= self._test_at - ROUNDING_ERROR else math.ceil(SAFE_PART * self._size)

    def come(self, now: float, taken: int) -> None:
        if self._again is None and now - self._came_at > max(self._length, FIRST_PAUSE):  # so long nobody has come
            self._points = [Point(now, taken, self._size)]
            self._sent = self.accepted_since = 0
            self._begin(now)
        self._came_at = now
        self._sent += 1

    def accepted(self, answer: Answer) -> Phase:
        if answer.number <= self.since:
            return self
        self.accepted_since += 1
        self._window = 2 + int(math.sqrt(self.accepted_since))
        if self.accepted_since <= self._size:
            return self
        return self._filling(answer)

    def refused(self, answer: Answer, told: float | None) -> Phase:
        if answer.number <= self.since:
            return self
        if self.accepted_since < self._size:
            return self._filling(answer).refused(answer, told) or self  # it gives nothing up at its first refusal
        if self._again is None and not self._least:
            self._again, self._told = Point(answer.there, answer.accepted, 0.0), told or 0.0
            self._test_at = max(self.opened + min(self._length / 2, SHORT), answer.now + (told or 0.0))
            return self
        return Turning(self.since, self.opened, self._size, self._length, self._least)

    def _filling(self, answer: Answer) -> Filling:
        filling = Filling(
            answer.number, answer.now, 1.5 * self._size / self._length, self._size, self._points, self._again, self._told
        )
        filling.opened, filling.accepted_since = self.opened, self.accepted_since  # it may be a window all the same
        return filling

    def kept(self, now: float) -> None:
        """Return None: the limit is still being measured."""

    def resumed(self, answer: Answer) -> Trial:
        return self

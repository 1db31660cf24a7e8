"""When the next request of a key may go. No I/O, no clock, no lock: time is an argument (seconds, monotonic)."""

from __future__ import annotations

import math
from itertools import count
from operator import itemgetter
from typing import NamedTuple

from .limits import INSTANT, LONGEST, PATIENCE, Bucket, KnownLimit, Limit, Window, kind_of
from .told import Quota, Told

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after a refusal that does not say for how long; doubled with each that follows."""

MOST_LIMITS = 32
"""Limits that are told, known at most."""

MANY = 1_000_000
"""As good as any number of requests."""


class Came(NamedTuple):
    """What is noted when a request is sent."""

    at: float
    """When, in seconds, monotonic."""
    number: int
    """How many were sent before it."""
    answers: int
    """How many were answered before."""


class Governor:
    """What holds the requests of one key back: a limit that was stated, what the server tells, and what it has refused.

    While nothing is known, and again after a pause, one request goes first, and the others wait for its answer.
    """

    def __init__(self, known: KnownLimit | None = None, concurrency: int | None = None, pace: bool = False) -> None:
        self._sent: dict[int, float] = {}
        """When those were sent, by their numbers and so in this order, that are not answered and may not be counted yet."""
        self._numbers = count()
        self._trip = 0.0
        """Seconds that a request takes, about."""
        self.answers = 0
        """How many were answered."""
        self.bucket: str | None = None
        """What the server calls those requests that are limited together here."""
        self._limits: dict[str | None, Limit] = {} if known is None else {None: known}
        """By the name that the server gives them. None: the one that was stated."""
        self._concurrency = concurrency
        self._busy = 0
        """Requests whose responses are not done with."""
        self._pace = pace
        self._open = False
        self._first_at, self._alone = math.inf, False
        """When the first one went that the others wait for, and whether it is on its way."""
        self._until, self._refused_at = -math.inf, -math.inf
        """When the pause that a refusal brought is over, and when it began."""
        self._next_pause = FIRST_PAUSE
        self.quiet = False
        """Nothing holds anyone back: nobody needs to be counted."""

    def free(self, now: float, waiting: int) -> int:
        """How many requests may go now, with so many waiting."""
        if now < self._until - INSTANT:
            return 0
        self._pass_over(now)
        most = MANY if self._concurrency is None else self._concurrency - self._busy
        if self._opening(now):
            most = min(most, 0 if self._alone else 1)
        for limit in self._limits.values():
            most = min(most, limit.free(now, len(self._sent), waiting))
        return most

    def opens(self, now: float, waiting: int, ahead: int = 0) -> tuple[float, str]:
        """In how many seconds the one may go that has so many before it, for all that is known; and what it waits for."""
        waits = [(0.0, f"as many are in flight as may be ({self._busy})")] if self.full else []
        waits.append((max(self._until - now, 0.0), "the server asks for it"))
        if self._alone and self._opening(now):
            waits.append((self._first_at + PATIENCE - now, "the first answer is to come"))
        for name, limit in self._limits.items():
            shown = "the stated limit is" if name is None else f"the limit {name!r} of the server is" if name else "its limit is"
            waits.append((limit.opens(now, len(self._sent), waiting, ahead), f"{shown} used up"))
        return max(waits, key=itemgetter(0))

    @property
    def full(self) -> bool:
        """As many are in flight as may be."""
        return self._concurrency is not None and self._busy >= self._concurrency

    def come(self, now: float) -> Came:
        """One goes."""
        self._busy += 1
        if not self._open:
            self._first_at, self._alone = min(self._first_at, now), True
        for limit in self._limits.values():
            limit.come(now)
        came = Came(now, next(self._numbers), self.answers)
        self._sent[came.number] = now
        return came

    def gone(self, came: Came) -> None:
        """One of those in flight is answered, or lost."""
        self._sent.pop(came.number, None)
        self._alone = False

    def done(self) -> None:
        """One of the responses is done with."""
        self._busy -= 1

    def knows(self, told: Told) -> bool:
        """An answer tells of the limits that are known here, if any are."""
        if told.bucket is not None:
            return self.bucket in (None, told.bucket)
        names = [quota.name for quota in told.quotas if quota.kind == "effective"]
        known = [name for name in self._limits if name is not None]
        return not names or not known or any(name in self._limits for name in names)

    def answered(self, refused: bool, told: Told, came: Came, now: float) -> None:
        """What the server makes of a request. To be told after `gone`."""
        self._trip += (min(now - came.at, 2 * self._trip + PATIENCE) - self._trip) / 4
        self._pass_over(now)
        others = self.answers - came.answers + len(self._sent)
        self.answers += 1
        self.bucket = told.bucket or self.bucket
        for quota in told.quotas:
            kind = kind_of(quota)
            if kind is not None:
                self._limit(quota, kind).told(quota, came.at, now, others, refused)
        if refused:
            self.refused(told, now)
        elif came.at >= self._refused_at:  # else it says nothing of what has come since
            self._open = True
            if now >= self._until:
                self._next_pause = FIRST_PAUSE
            if len(self._limits) > len(told.quotas):
                self._forget(told, came.at)
        self.quiet = self._open and not self._limits and self._concurrency is None

    def refused(self, told: Told, now: float) -> None:
        """Nobody is to go for as long as a refusal asks, or for a while if it does not say."""
        pause = told.retry_after
        if pause is None or pause > LONGEST:
            if any(not isinstance(limit, KnownLimit) and limit.spent(now, len(self._sent)) for limit in self._limits.values()):
                return  # that limit knows when there will be more
            if now < self._until:
                return  # one that was under way when the pause began
            pause, self._next_pause = self._next_pause, min(2 * self._next_pause, LONGEST_PAUSE)
        self._until, self._refused_at = max(self._until, now + pause), now
        self._open, self._first_at, self.quiet = False, math.inf, False

    def idle(self, now: float) -> bool:
        """Nothing would be forgotten with it."""
        if self._busy or now < self._until or self._next_pause > FIRST_PAUSE:
            return False
        return all(limit.idle(now) for limit in self._limits.values())

    def _limit(self, quota: Quota, kind: type[Bucket] | type[Window]) -> Bucket | Window:
        """The limit of this name and kind."""
        limit = self._limits.get(quota.name)
        if not isinstance(limit, kind):
            names = [name for name in self._limits if name not in (None, quota.name)]
            if len(names) >= MOST_LIMITS:
                del self._limits[names[0]]
            limit = self._limits[quota.name] = kind(quota, self._pace)
        return limit

    def _forget(self, told: Told, sent: float) -> None:
        """What had turned before a request was sent, and is not told of any longer."""
        names = {quota.name for quota in told.quotas}
        for name, limit in list(self._limits.items()):
            if name is not None and name not in names and limit.idle(sent):
                del self._limits[name]

    def _pass_over(self, now: float) -> None:
        """What takes much longer to answer than others has long been counted when those were."""
        while self._sent:
            number, at = next(iter(self._sent.items()))
            if at > now - max(PATIENCE, 2 * self._trip):
                break
            del self._sent[number]

    def _opening(self, now: float) -> bool:
        """One goes first; but it does not hold the others back for long."""
        return not self._open and now < self._first_at + PATIENCE

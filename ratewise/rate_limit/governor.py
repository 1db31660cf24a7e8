"""When the next request of a key may go. No I/O, no clock, no lock: time is an argument (seconds, monotonic)."""

from __future__ import annotations

import copy
import enum
import math
from collections.abc import Hashable, Sized
from operator import itemgetter
from typing import NamedTuple

from .._http.rate_limit_headers import Quota, RateLimitFields
from .found import UNLIMITED, Answer, Burst, Ceiling, Filling, Known, Phase, Shut, Trial, Turning
from .limits import ANSWER_TIMEOUT, LONGEST_WINDOW, ROUNDING_ERROR, Bucket, KnownLimit, Limit, QuotaWindow, ServerLimit, kind_of

MEMORY = 60.0
"""Seconds after the first response within which it may still count against an undiscovered limit."""

DOWN, UP = 4.0, 0.5
"""Failures from which on a server is down, and by how many fewer each response in between counts."""

MOST_LIMITS = 32
"""Limits stated by the server that are remembered for one key, at most."""


class Signal(enum.Enum):
    """What a server made of a request, as far as limits go."""

    ACCEPTED = "accepted"
    REFUSED = "refused: it asks to come back later"
    FAILED = "failed: it could not be reached, or was too busy to say why"


class Came(NamedTuple):
    """What is noted when a request is sent."""

    at: float
    """When, in seconds, monotonic."""
    number: int
    """How many were sent before it, of those that are counted; `UNCOUNTED`: it is none of these."""
    answers: int
    """How many were answered before."""
    token: Hashable = None
    """By which it is known until it is answered or lost."""


UNCOUNTED = -1
"""The `Came.number` of a request that is not counted."""


class Governor:
    """What holds the requests of one key back: a limit that was stated, what the server tells, and what its refusals show.

    While nothing is known, and again after a pause, one request goes first, and the others wait for its answer.
    """

    def __init__(
        self,
        known: KnownLimit | None = None,
        concurrency: int | None = None,
        pace: bool = False,
        cautious: bool = False,
        found: Phase | None = None,
    ) -> None:
        self._sent: dict[int, float] = {}
        """When those were sent, by their numbers and so in this order, that are not answered and may not be counted yet."""
        self._number = 0
        """Of the next one that is sent."""
        self._trip = 0.0
        """Seconds that a request takes, about."""
        self._unanswered: set[Hashable] = set()
        """Those that were sent and are not answered."""
        self.forget = self._unanswered.discard
        self._refusals = 0
        self._uncounted = 0
        """How many were accepted that were not counted when they went."""
        self._failures = 0.0
        """Failures in a row, less `UP` for each response in between: from `DOWN` on the server is down."""
        self._born = math.inf
        """When the first answer came."""
        self.bucket: str | None = None
        """What the server calls those requests that are limited together here."""
        self._limits: dict[str | None, Limit] = {} if known is None else {None: known}
        """By the name that the server gives them. None: the one that was stated."""
        self._concurrency = concurrency
        self.held: Sized = ()
        """The requests whose responses are not done with."""
        self._pace = pace
        self._open = False
        self._first_at, self._alone = math.inf, False
        """When the first one went that the others wait for, and whether it is on its way."""
        self._until, self._refused_at = -math.inf, -math.inf
        """When the pause that a refusal brought is over, and when it began."""
        self.quiet = False
        """Nothing holds anyone back: nobody needs to be counted."""
        self.found: Phase | None = found or (Ceiling(None) if cautious else None)
        """The limit that nobody tells, as far as it is known."""

    def free(self, now: float, waiting: int) -> int:
        """How many requests may go now, with so many waiting."""
        if now < self._until - ROUNDING_ERROR:
            return 0
        if self._sent:
            self._pass_over(now)
        most = UNLIMITED if self._concurrency is None else self._concurrency - self._busy
        if not self._open and now < self._first_at + ANSWER_TIMEOUT:
            most = min(most, 0 if self._alone else 1)
        for limit in self._limits.values():
            most = min(most, limit.free(now, len(self._sent), waiting))
        found = self.found
        if found is not None:
            most = min(most, found.free(now, self._flying if isinstance(found, Ceiling) else len(self._sent)))
        return most

    def opens(self, now: float, waiting: int, ahead: int = 0) -> tuple[float, str]:
        """In how many seconds the one may go that has so many before it, for all that is known; and what it waits for."""
        bounded = self._concurrency is not None or isinstance(self.found, Ceiling)
        waits = [(0.0, f"concurrency limit reached ({self._busy} in flight)")] if bounded and self.full else []
        waits.append((max(self._until - now, 0.0), "the server asks to wait"))
        if self._alone and not self._open and now < self._first_at + ANSWER_TIMEOUT:
            waits.append((self._first_at + ANSWER_TIMEOUT - now, "waiting for the first response"))
        for name, limit in self._limits.items():
            shown = "the stated limit" if name is None else f"limit {name!r} of the server" if name else "the limit of the server"
            waits.append((limit.opens(now, len(self._sent), waiting, ahead), f"{shown} is used up"))
        found = self.found
        if found is not None:
            flying = self._flying if isinstance(found, Ceiling) else len(self._sent)
            waits.append((found.opens(now, flying, ahead), found.reason))
        return max(waits, key=itemgetter(0))

    @property
    def full(self) -> bool:
        """As many are in flight as may be."""
        if isinstance(self.found, Ceiling) and self._flying >= self.found.most:
            return True
        return self._concurrency is not None and self._busy >= self._concurrency

    @property
    def answers(self) -> int:
        """How many were answered, or lost."""
        return self._number - len(self._unanswered)

    @property
    def _busy(self) -> int:
        """How many requests there are whose responses are not done with."""
        return len(self.held)

    def come(self, now: float, token: Hashable = None) -> Came:
        """One goes. `token`: what is to be forgotten when it is lost; its number if None."""
        number = self._number
        token = number if token is None else token
        self._unanswered.add(token)
        self._number = number + 1
        if not self._open:
            self._first_at, self._alone = min(self._first_at, now), True
        for limit in self._limits.values():
            limit.come(now)
        if self.found is not None:
            self.found.come(now, number - self._refusals + self._uncounted)
        came = Came(now, number, self.answers, token)
        self._sent[number] = now
        return came

    @property
    def _in_flight(self) -> int:
        """How many were sent and are not answered."""
        return self._number - self.answers

    @property
    def _flying(self) -> int:
        """How many of these matter: unless just that is known to be limited, not those that take much longer than others."""
        return self._in_flight if isinstance(self.found, Ceiling) and not self.found.vague else len(self._sent)

    def gone(self, came: Came) -> None:
        """One of those in flight is answered, or lost."""
        self._unanswered.discard(came.token)
        self._sent.pop(came.number, None)
        self._alone = False

    def passed(self) -> None:
        """One that was not counted was answered as it should be. Of two at once one may be missed: no harm."""
        self._uncounted += 1
        if self._failures:
            self._failures = max(self._failures - UP, 0.0)

    def asks(self, came: Came) -> bool:
        """It went to find out whether others may."""
        return isinstance(self.found, Shut) and came.number >= self.found.since

    def knows(self, told: RateLimitFields) -> bool:
        """An answer tells of the limits that are known here, if any are."""
        if told.bucket is not None:
            return self.bucket in (None, told.bucket)
        names = [quota.name for quota in told.quotas if quota.kind == "effective"]
        known = [name for name in self._limits if name is not None]
        return not names or not known or any(name in self._limits for name in names)

    def answered(self, verdict: Signal, told: RateLimitFields, came: Came, now: float) -> None:
        """What the server makes of a request. To be told after `gone`."""
        refused = verdict is Signal.REFUSED
        self._trip += (min(now - came.at, 2 * self._trip + ANSWER_TIMEOUT) - self._trip) / 4
        if self._sent:
            self._pass_over(now)
        others = self.answers - (came.number >= 0) - came.answers + len(self._sent)
        self.bucket = told.bucket or self.bucket
        for quota in told.quotas:
            kind = kind_of(quota)
            if kind is not None:
                self._limit(quota, kind).told(quota, came.at, now, others, refused)
        self._find(verdict, told, came, now)
        if refused:
            self.refused(told, now)
        elif verdict is Signal.ACCEPTED and came.at >= self._refused_at:  # else it says nothing of what has come since
            if not (self._open or self._limits or self.found):
                self.found = Burst(now)
            self._open = True
            if len(self._limits) > len(told.quotas):
                self._forget(told, came.at)
        self.quiet = self._open and not self._limits and self._concurrency is None and self.found is None

    def refused(self, told: RateLimitFields, now: float) -> None:
        """Nobody is to go for as long as a refusal asks."""
        pause = told.retry_after
        if pause is not None and pause <= LONGEST_WINDOW:
            self._until, self._refused_at = max(self._until, now + pause), now
            self._open, self._first_at, self.quiet = False, math.inf, False

    def _find(self, verdict: Signal, told: RateLimitFields, came: Came, now: float) -> None:
        """What an answer shows of a limit that nobody tells."""
        self._born = min(self._born, now)
        if verdict is Signal.ACCEPTED:
            self._failures = max(self._failures - UP, 0.0)
            if self.found is not None:
                self.found = self.found.accepted(self._answer(came, now))
            self._uncounted += came.number < 0
            return
        answer, down = self._answer(came, now), verdict is Signal.FAILED
        if down:
            self._failures = min(self._failures + 1, DOWN)
            if self._failures < self._credible:
                return  # it may have been by chance
        self._refusals += came.number >= 0
        if down or not self._spent(told, now):  # else that limit knows when there will be more
            pause = told.retry_after
            self.found = self._after(answer, down, pause if pause is not None and pause <= LONGEST_WINDOW else None)

    def _answer(self, came: Came, now: float) -> Answer:
        counted = came.number >= 0
        taken = self._uncounted - self._refusals
        accepted = taken + self.answers - counted
        return Answer(
            came.at, now, came.number, self._number, accepted, taken + (came.number if counted else self._number), self._in_flight
        )

    def _after(self, answer: Answer, down: bool, told: float | None) -> Phase:
        """What is known after a refusal, or after failures that are not by chance (`down`)."""
        found = self.found
        vague = found is None or found.vague
        if down and isinstance(found, (Trial, Filling, Turning)):
            return self._shut(answer, down, told, found)
        after = None if found is None or (vague and not down) else found.refused(answer, told)
        if isinstance(after, Filling) and after.shuts:
            return self._shut(answer, down, told, after)
        return after or self._shut(answer, down, told, overlaps=answer.others > 0 and (vague or down))

    def _shut(
        self, answer: Answer, down: bool, told: float | None, resumes: Known | None = None, *, overlaps: bool = False
    ) -> Shut:
        """Nothing is accepted for a while."""
        found = self.found
        opened, accepted = (self._born, answer.accepted) if found is None else (found.opened, found.accepted_since)
        if answer.now - opened > MEMORY:
            opened, accepted = answer.now, 0
        sure = not (found is None or isinstance(found, Burst))
        return Shut(answer, opened, accepted, down=down, overlaps=overlaps, sure=sure, resumes=resumes, told=told)

    def _spent(self, told: RateLimitFields, now: float) -> bool:
        """A limit that is told is used up: it says so, or is known to be."""
        if told.quotas and any(quota.remaining == 0 and kind_of(quota) for quota in told.quotas):
            return True
        return any(
            isinstance(limit, (Bucket, QuotaWindow)) and limit.spent(now, len(self._sent)) for limit in self._limits.values()
        )

    @property
    def _credible(self) -> float:
        """How many failures tell something: where one is to be expected, that one."""
        found = self.found
        return 1.0 if isinstance(found, Shut) or (isinstance(found, Ceiling) and found.trying) else DOWN

    @property
    def down(self) -> bool:
        """The server does not answer."""
        return isinstance(self.found, Shut) and self.found.down

    def restore(self, found: Phase) -> None:
        """Go on with what was found out before, if nothing has been since."""
        if self.found is None or self.found.vague:
            self.found, self.quiet = found, False

    def inherited(self) -> Governor:
        """Return one that knows the same, and has nothing in flight: for a forked process."""
        other = copy.copy(self)
        other._limits, other._sent, other._unanswered = dict(self._limits), {}, set()
        other.forget, other._alone = other._unanswered.discard, False
        return other

    def idle(self, now: float) -> bool:
        """Nothing would be forgotten with it."""
        if self._busy or now < self._until or (isinstance(self.found, Shut) and now < self.found.due + MEMORY):
            return False
        return all(limit.idle(now) for limit in self._limits.values())

    def _limit(self, quota: Quota, kind: type[Bucket] | type[QuotaWindow]) -> ServerLimit:
        """The limit of this name and kind."""
        limit = self._limits.get(quota.name)
        if not isinstance(limit, kind):
            names = [name for name in self._limits if name not in (None, quota.name)]
            if len(names) >= MOST_LIMITS:
                del self._limits[names[0]]
            limit = self._limits[quota.name] = kind(quota, self._pace)
        return limit

    def _forget(self, told: RateLimitFields, sent: float) -> None:
        """What had turned before a request was sent, and is not told of any longer."""
        names = {quota.name for quota in told.quotas}
        for name, limit in list(self._limits.items()):
            if name is not None and name not in names and limit.idle(sent):
                del self._limits[name]

    def _pass_over(self, now: float) -> None:
        """What takes much longer to answer than others has long been counted when those were."""
        while self._sent:
            number, at = next(iter(self._sent.items()))
            if at > now - max(ANSWER_TIMEOUT, 2 * self._trip):
                break
            del self._sent[number]

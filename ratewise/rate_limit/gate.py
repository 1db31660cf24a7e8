"""What holds back the requests of one key, and of each of its routes. Times are arguments, in seconds, monotonic."""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Iterable, Mapping
from operator import itemgetter
from typing import Callable

from .._core.key_state import KeyEntry, KeyState
from .._http.rate_limit_headers import RateLimitFields
from .lane import LOOK, Lane, Sent, Signal
from .meter import CERTAIN, REFUSED, SUSPECTED, WIDTH, Meter
from .quotas import Quotas
from .server_limit import ServerLimit
from .snapshot import ALL_ROUTES, Limits
from .stated import StatedLimit

MOST_ROUTES = 64
"""Routes of one key that are told apart; the others share one."""

FIRST_ANSWER = 1.0
"""Seconds for which requests wait for the first answer of a key, at most."""

SPREAD = 0.01
"""Seconds in which no more requests are let go than there are connections."""

LATELY = 1.0
"""Seconds for which a route that was accepted shows that refusals are not about all."""

COUNTED_IN = 1.0
"""Seconds after which the server has counted a request, also if it is not answered; or twice the time of an answer, if longer."""


class Gate(KeyEntry):
    """One key: its routes, and what holds all of them back."""

    def __init__(
        self,
        stated: StatedLimit | None = None,
        concurrency: int | None = None,
        pace: bool = False,
        cautious: bool = False,
        opening: bool = True,
    ) -> None:
        self.stated, self.concurrency, self.cautious = stated, concurrency, cautious
        self.lanes: dict[Hashable, Lane] = {}
        self.quotas = Quotas(pace)
        self.meter = Meter(cautious)
        self.wide = False
        """Whether refusals are about all routes, so that `meter` holds them back, and not those of the lanes."""
        self.width = WIDTH
        """Connections, at most."""
        self.quiet = False
        """Whether nothing holds anyone back: nobody needs to be counted."""
        self._restored: dict[str, Mapping[str, float]] = {}
        self._name: Callable[[Hashable], str] = str
        """What a snapshot knows of routes that have not been met, and what it calls them."""
        self.said_so = False
        """Whether the log says that not all quotas are remembered."""
        self.logged_until = 0.0
        """Until when the log says that there is waiting."""
        self._open = not opening
        self._first_at, self._alone = math.inf, False
        """When the first request went that others wait for, and whether it is on its way."""
        self._sent = 0
        self._trip = 0.0
        """Seconds that an answer takes, about."""
        self._let_go, self._let_go_at = 0, -math.inf
        self._refused: tuple[Lane, float] | None = None
        """The route that was shut since something was accepted, and when."""

    def lane(self, route: Hashable) -> Lane:
        lane = self.lanes.get(route)
        if lane is None and len(self.lanes) >= MOST_ROUTES:
            unused = next((name for name, each in self.lanes.items() if not (each.queue or each.in_use(0.0))), None)
            if unused is None:
                route = None
                lane = self.lanes.get(route)
            else:
                del self.lanes[unused]
        if lane is None:
            lane = self.lanes[route] = Lane(self)
            if self._restored:
                lane.meter.restore(self._restored.pop(self._name(route), {}))
        return lane

    def kept(self, name: Callable[[Hashable], str]) -> Limits:
        """Return what was discovered, by the names of the routes, for a snapshot."""
        if self.wide:
            return {ALL_ROUTES: self.meter.kept()} if self.meter.known else {}
        found = {name(route): lane.meter.kept() for route, lane in self.lanes.items() if lane.meter.known}
        return {**self._restored, **found}

    def restore(self, limits: Limits, name: Callable[[Hashable], str]) -> None:
        """Begin with what was discovered before."""
        self._restored, self._name = dict(limits), name
        if ALL_ROUTES in limits:
            self.wide = True
            self.meter.restore(self._restored.pop(ALL_ROUTES))
        for route, lane in self.lanes.items():
            lane.meter.restore(self._restored.pop(name(route), {}))
        self.quiet = self.quiet and not limits

    def lanes_in_use(self) -> Iterable[KeyState]:
        return self.lanes.values()

    def in_use(self, now: float) -> bool:
        meters = [self.meter, *(lane.meter for lane in self.lanes.values())]
        paused = any(meter.pause is not None and now < meter.pause.opens_at(0.0) + LOOK for meter in meters)
        used = paused or self.taken > 0 or not self.quotas.idle(now)
        return used or not (self.stated is None or self.stated.idle(now))

    def inherited(self) -> Gate:
        other = copy.copy(self)
        other.lanes, other._alone, other._refused = {}, False, None
        for route, lane in self.lanes.items():
            new = other.lanes[route] = Lane(other)
            new.meter, new.quotas, new.answered = lane.meter, lane.quotas, lane.answered
            new.meter.lost(math.inf)
        other.meter.lost(math.inf)
        return other

    @property
    def taken(self) -> int:
        """How many requests there are whose responses are not done with."""
        return sum(len(lane.taken) for lane in self.lanes.values())

    @property
    def flying(self) -> int:
        """How many were sent and are not answered."""
        return sum(len(lane.unanswered) for lane in self.lanes.values())

    # -- what may go

    def free(self, now: float) -> float:
        """Return how many requests of any route may be sent now."""
        free: float = self.width - self._let_go if now < self._let_go_at + SPREAD else self.width
        if self._opening(now):
            free = min(free, 0 if self._alone else 1)
        if self.concurrency is not None:
            free = min(free, self.concurrency - self.taken)
        if self.stated is not None:
            free = min(free, self.stated.free(now))
        return min(free, self.meter.free(now, self.flying)) if self.wide else free

    def opens(self, lane: Lane, now: float, ahead: int, before: int = 0) -> tuple[float, str]:
        """Return the seconds until a request of a route with so many `ahead` of it may be sent, and what it waits for.

        As far as is known; inf if it waits for an answer. `before`: so many of all routes.
        """
        waits = [(0.0, "")]
        if now < self._let_go_at + SPREAD and self._let_go >= self.width:
            waits.append((self._let_go_at + SPREAD - now, "many are sent at once"))
        if self._opening(now) and self._alone:
            waits.append((self._first_at + FIRST_ANSWER - now, "waiting for the first response"))
        if self.concurrency is not None and self.taken >= self.concurrency:
            waits.append((math.inf, f"concurrency limit reached ({self.taken} in flight)"))
        if self.stated is not None:
            waits.append((self.stated.opens(now, before), "the stated limit is used up"))
        for quota in self.quotas_of(lane):
            shown = f"limit {quota.name!r} of the server" if quota.name else "the limit of the server"
            waits.append((quota.opens(now, self.recent(quota, now), len(lane.queue), ahead), f"{shown} is used up"))
        waits.append(lane.meter.opens(now, len(lane.unanswered), ahead))
        if self.wide:
            waits.append(self.meter.opens(now, self.flying, before))
        return max(waits, key=itemgetter(0))

    def opens_in_outage(self, now: float) -> float:
        """Return the seconds until a request may go that has waited for an outage for long enough; inf: when one is done with.

        What the user stated holds all the same.
        """
        if self.concurrency is not None and self.taken >= self.concurrency:
            return math.inf
        return 0.0 if self.stated is None else self.stated.opens(now, 0)

    def may_go_anyway(self, lane: Lane, now: float) -> bool:
        """Return whether only an outage holds a route back, or the wait for a first answer: these end in sending."""
        return (lane.down or self._opening(now)) and self.opens_in_outage(now) <= 0

    def _opening(self, now: float) -> bool:
        return not self._open and now < self._first_at + FIRST_ANSWER

    def quotas_of(self, lane: Lane) -> Iterable[ServerLimit]:
        """Return what a route is bound by: what its latest answer told; before the first, what all other routes share."""
        if lane.answered or len(self.lanes) == 1:
            return lane.quotas
        bound = [set(other.quotas) for other in self.lanes.values() if other.answered]
        return set.intersection(*bound) if bound else ()

    def recent(self, quota: ServerLimit, now: float) -> int:
        """Return how many requests are on their way that a quota may not have counted yet."""
        number, since = 0, now - max(COUNTED_IN, 2 * self._trip)
        for lane in self.lanes.values():
            if quota in lane.quotas or not lane.answered:
                while lane.recent and (first := next(iter(lane.recent.items())))[1] <= since:
                    del lane.recent[first[0]]
                number += len(lane.recent)
        return number

    # -- what is sent

    def send(self, lane: Lane, now: float, token: Hashable) -> Sent:
        """Count a request that is sent."""
        sent = Sent(now, self._sent, token, sum(len(each.recent) for each in self.lanes.values()))
        self._sent += 1
        lane.unanswered.add(token)
        lane.recent[sent.number] = now
        if not self._open:
            self._first_at, self._alone = min(self._first_at, now), True
        if now >= self._let_go_at + SPREAD:
            self._let_go, self._let_go_at = 0, now
        self._let_go += 1
        if self.stated is not None:
            self.stated.send(now)
        for quota in self.quotas_of(lane):
            quota.come(now)
            quota.asked_at = now
        lane.meter.send(now)
        if self.wide:
            self.meter.send(now)
        return sent

    def passes(self, now: float) -> Sent:
        """Note a request that is sent without being counted."""
        return Sent(now, self._sent)

    def gone(self, lane: Lane, sent: Sent) -> None:
        """Note that a request is answered, or lost."""
        if sent.token is not None:
            lane.unanswered.discard(sent.token)
            lane.recent.pop(sent.number, None)
            self._alone = False

    def lost(self, lane: Lane, sent: Sent) -> None:
        """Note that a request got no answer."""
        self.gone(lane, sent)
        lane.meter.lost(sent.at)
        self.meter.lost(sent.at)

    # -- what is learnt

    def answered(self, lane: Lane, signal: Signal, told: RateLimitFields, sent: Sent, now: float) -> bool:
        """Learn from an answer, after `gone`. Return whether it concerns others than the one who got it."""
        self._trip += (min(now - sent.at, 2 * self._trip + COUNTED_IN) - self._trip) / 4
        self._open = True
        refused = signal is Signal.REFUSED
        if told.quotas or told.bucket:
            others = self._sent - sent.number - 1 + sent.overtaken
            self.quotas.told(self.lanes.values(), lane, told, sent.at, now, others, refused)
        elif signal is Signal.ACCEPTED and lane.quotas:
            lane.quotas = tuple(quota for quota in lane.quotas if not quota.contradicted(sent.at, now))
        if signal is Signal.ACCEPTED:
            lane.answered, lane.accepted_at = True, now
            self._accepted(lane, sent.at, now)
            concerns = False
        elif refused and any(quota.explains(told.retry_after, now) for quota in lane.quotas):
            concerns = True  # the quota knows when there is more
        else:
            concerns = self._refused_by(lane, signal, told.retry_after, told.everyone, sent.at, now)
        limited = self.stated is not None or self.concurrency is not None or (self.wide and not self.meter.quiet)
        self.quiet = not limited and all(each.meter.quiet and not each.quotas for each in self.lanes.values())
        return concerns

    def _accepted(self, lane: Lane, sent: float, now: float) -> None:
        if self._refused is not None and sent > self._refused[1]:
            self._refused = None
        lane.meter.accepted(sent, now, self.width)
        self.meter.accepted(sent, now, self.width)

    def _refused_by(self, lane: Lane, signal: Signal, told: float | None, everyone: bool, sent: float, now: float) -> bool:
        """Learn from a refusal. It is about its route, unless another route is refused too, with nothing accepted in between."""

        def refused(meter: Meter, before: int) -> bool:
            if signal is Signal.FAILED:
                return meter.failed(sent, now)
            return meter.refused(sent, now, before, told, signal is Signal.OVERLOADED)

        if everyone and not self.wide:
            self._widen(Meter(self.cautious))
        if not self.wide:
            concerns = refused(lane.meter, lane.before(sent))
            lane.refused_at = now
            if self._refused is None and lane.meter.pause is not None:
                self._refused = lane, now
            if self._refused is None or self._refused[0] is lane or sent <= self._refused[1] or self._others_go(now):
                return concerns
            first = self._refused[0].meter
            self._widen(first if first.pause is not None else lane.meter)
        elif self.meter.pause is None and sent > self.meter.lowered_at:
            lane.meter.evidence += REFUSED
            if lane.meter.evidence >= CERTAIN and self.meter.evidence < SUSPECTED:  # it is about this route after all
                self.wide, self.meter, self._refused = False, Meter(self.cautious), None
                return refused(lane.meter, lane.before(sent))
        return refused(self.meter, sum(each.before(sent) for each in self.lanes.values()))

    def _others_go(self, now: float) -> bool:
        """Return whether a route was accepted lately that was not refused since the first one was shut."""
        assert self._refused is not None
        since, lately = self._refused[1], now - LATELY
        return any(lane.refused_at < since and lane.accepted_at > lately for lane in self.lanes.values())

    def _widen(self, meter: Meter) -> None:
        """Hold all routes back by what was learnt of one."""
        self.wide, self.meter = True, meter
        for lane in self.lanes.values():
            lane.meter = Meter(self.cautious)

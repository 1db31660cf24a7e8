"""Sends requests as a phase of a discovered limit allows, and counts the responses as a governor does, in simulated time."""

from __future__ import annotations

import heapq
import math
from typing import Any

from ratewise._http.rate_limit_headers import NO_FIELDS
from ratewise.rate_limit.found import Answer, Phase
from ratewise.rate_limit.governor import Governor, Signal
from ratewise.rate_limit.snapshot import phase_of
from tests.kit.limited import Down, Policy

TRIP = 0.02
"""Seconds that a request and its answer are on the way."""

VERDICTS = {200: Signal.ACCEPTED, 429: Signal.REFUSED, 503: Signal.FAILED}


class Hand:
    """Requests that go by a phase and are answered when a test says so, and counted as a governor counts them."""

    def __init__(self, phase: Any) -> None:
        self.phase = phase
        self.sent: list[float] = []
        self.answers = self.refusals = 0

    def go(self, *times: float) -> None:
        """One is sent at each of these times."""
        for now in times:
            self.phase.come(now, len(self.sent) - self.refusals)
            self.sent.append(now)

    def answer(self, now: float, number: int | None = None) -> Answer:
        """What the phase is shown of the answer to the request of this number, or to the last one."""
        number = len(self.sent) - 1 if number is None else number
        self.answers += 1
        accepted, others = self.answers - 1 - self.refusals, len(self.sent) - self.answers
        return Answer(self.sent[number], now, number, len(self.sent), accepted, number - self.refusals, others)

    def accept(self, now: float, number: int | None = None) -> Any:
        """It was accepted. What is known then; it may be nothing, or something else than before."""
        self.phase = self.phase.accepted(self.answer(now, number))
        return self.phase

    def refuse(self, now: float, number: int | None = None, told: float | None = None) -> Any:
        """It was refused."""
        answer = self.answer(now, number)
        self.refusals += 1
        self.phase = self.phase.refused(answer, told)
        return self.phase

    def accepts(self, *times: float) -> Any:
        """One is sent at each of these times, and accepted before the next."""
        for now in times:
            self.go(now)
            self.accept(now + TRIP)
        return self.phase

    def refuses(self, *times: float, told: float | None = None) -> Any:
        """One is sent at each of these times, and refused before the next."""
        for now in times:
            self.go(now)
            self.refuse(now + TRIP, told=told)
        return self.phase


class Crowd:
    """Many who want to go whenever a governor lets them, to a small server."""

    def __init__(self, server: Policy | Down, found: Phase | None = None, trip: float = TRIP, waiting: int = 50) -> None:
        self.server, self.governor = server, Governor(found=found)
        self.now, self._trip, self._waiting = 0.0, trip, waiting
        self._events: list[Any] = []
        self.log: list[tuple[float, bool]] = []
        """When each was sent, in the order in which they were answered, and whether it was accepted."""

    @property
    def found(self) -> Any:
        """What is known."""
        return self.governor.found

    def until(self, end: float) -> Any:
        """On it goes, until then. What is known then."""
        while self.now < end:
            while (len(self._events) < self._waiting) and self.governor.free(self.now, self._waiting) > 0:
                came = self.governor.come(self.now)
                heapq.heappush(self._events, (self.now + self._trip / 2, came.number, came, None))
            soon = self.now + max(self.governor.opens(self.now, self._waiting)[0], 0.001)
            if not self._events or min(soon, end) < self._events[0][0]:
                self.now = min(soon, end)
                continue
            self.now, number, came, reply = heapq.heappop(self._events)
            if reply is None:
                reply = self.server.answer(self.now)
                heapq.heappush(self._events, (self.now + self._trip / 2 + reply.seconds, number, came, reply))
            else:
                self.governor.gone(came)
                self.governor.done()
                told = NO_FIELDS._replace(
                    retry_after=next((float(value) for key, value in reply.headers if key == "Retry-After"), None)
                )
                self.governor.answered(VERDICTS[reply.status], told, came, self.now)
                self.log.append((came.at, reply.status == 200))
        return self.found

    def rate(self, since: float, until: float) -> float:
        """Requests accepted in a second, between these."""
        return sum(accepted for at, accepted in self.log if since <= at < until) / (until - since)

    def refused(self, since: float = 0.0, until: float = math.inf) -> list[float]:
        """When those were sent that were refused."""
        return [at for at, accepted in self.log if not accepted and since <= at < until]


def answered(now: float = 1.0, **seen: Any) -> Answer:
    """One that was sent `TRIP` before, alone, as the first, but for what is said otherwise."""
    return Answer(now - TRIP, now, 0, 1, 0, 0, 0)._replace(**seen)


def opening(phase: Any, now: float, most: int = 100) -> float:
    """When one may go, as somebody finds out who asks again whenever it is told to."""
    for _ in range(most):
        if phase.free(now, 0):
            return now
        now += max(phase.opens(now, 0, 0), 1e-6)
    raise AssertionError(f"nobody may go until {now}")


def filling(rate: float = 10.0, size: float = 20.0, now: float = 0.0) -> Hand:
    """One that was found."""
    return Hand(phase_of({"kind": "rate", "rate": rate, "burst": size, "left": 0.0, "shuts": 0.0}, now))

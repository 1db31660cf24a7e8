"""Sends requests as a phase of a discovered limit allows, and counts the responses as a governor does, in simulated time."""

from __future__ import annotations

import heapq
import math
from typing import Any

from ratewise._http.rate_limit_headers import NO_FIELDS
from ratewise.rate_limit.found import Answer, Phase
from ratewise.rate_limit.governor import Governor, Signal
from ratewise.rate_limit.snapshot import phase_of
from tests.kit.styles import Served

TRIP = 0.02
"""Seconds between sending a request and its answer."""

VERDICTS = {200: Signal.ACCEPTED, 429: Signal.REFUSED, 503: Signal.FAILED}


class Hand:
    """Requests sent through one phase; the test decides on the answers, and they are counted as a governor counts them."""

    def __init__(self, phase: Any) -> None:
        self.phase = phase
        self.sent: list[float] = []
        self.answers = self.refusals = 0

    def go(self, *times: float) -> None:
        """Send a request at each of these times."""
        for now in times:
            self.phase.come(now, len(self.sent) - self.refusals)
            self.sent.append(now)

    def answer(self, now: float, number: int | None = None) -> Answer:
        """Return the answer, as the phase sees it, to the request of this number, or to the last one."""
        number = len(self.sent) - 1 if number is None else number
        self.answers += 1
        accepted, others = self.answers - 1 - self.refusals, len(self.sent) - self.answers
        return Answer(self.sent[number], now, number, len(self.sent), accepted, number - self.refusals, others)

    def accept(self, now: float, number: int | None = None) -> Any:
        """Accept a request. Return the phase that follows, which may be another one, or None."""
        self.phase = self.phase.accepted(self.answer(now, number))
        return self.phase

    def refuse(self, now: float, number: int | None = None, told: float | None = None) -> Any:
        """Refuse a request. Return the phase that follows."""
        answer = self.answer(now, number)
        self.refusals += 1
        self.phase = self.phase.refused(answer, told)
        return self.phase

    def accepts(self, *times: float) -> Any:
        """Send a request at each of these times; each is accepted before the next is sent."""
        for now in times:
            self.go(now)
            self.accept(now + TRIP)
        return self.phase

    def refuses(self, *times: float, told: float | None = None) -> Any:
        """Send a request at each of these times; each is refused before the next is sent."""
        for now in times:
            self.go(now)
            self.refuse(now + TRIP, told=told)
        return self.phase


class Crowd:
    """Many requests that are sent to a small server as soon as a governor lets them."""

    def __init__(self, server: Served, found: Phase | None = None, trip: float = TRIP, waiting: int = 50) -> None:
        self.server, self.governor = server, Governor(found=found)
        self.now, self._trip, self._waiting = 0.0, trip, waiting
        self._events: list[Any] = []
        self.log: list[tuple[float, bool]] = []
        """The time of sending and whether it was accepted, for each request, in the order of the answers."""

    @property
    def found(self) -> Any:
        """The current phase."""
        return self.governor.found

    def until(self, end: float) -> Any:
        """Run until this time. Return the phase that is current then."""
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
                told = NO_FIELDS._replace(
                    retry_after=next((float(value) for key, value in reply.headers if key == "Retry-After"), None)
                )
                self.governor.answered(VERDICTS[reply.status], told, came, self.now)
                self.log.append((came.at, reply.status == 200))
        return self.found

    def rate(self, since: float, until: float) -> float:
        """Return the requests accepted per second between these times."""
        return sum(accepted for at, accepted in self.log if since <= at < until) / (until - since)

    def refused(self, since: float = 0.0, until: float = math.inf) -> list[float]:
        """Return the times at which the refused requests were sent."""
        return [at for at, accepted in self.log if not accepted and since <= at < until]


def answered(now: float = 1.0, **seen: Any) -> Answer:
    """An answer to the first request, sent alone `TRIP` seconds before, with these fields replaced."""
    return Answer(now - TRIP, now, 0, 1, 0, 0, 0)._replace(**seen)


def opening(phase: Any, now: float, most: int = 100) -> float:
    """Return the time at which the phase lets a request go, if it is polled as `opens` says."""
    for _ in range(most):
        if phase.free(now, 0):
            return now
        now += max(phase.opens(now, 0, 0), 1e-6)
    raise AssertionError(f"nobody may go until {now}")


def filling(rate: float = 10.0, size: float = 20.0, now: float = 0.0) -> Hand:
    """A `Hand` on a discovered rate."""
    return Hand(phase_of({"kind": "rate", "rate": rate, "burst": size, "left": 0.0, "shuts": 0.0}, now))

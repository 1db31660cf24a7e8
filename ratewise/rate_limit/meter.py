"""A limit that the server does not tell, as its answers show it. No I/O, no clock: times are arguments, in seconds, monotonic.

Refusals are evidence: a few concern the refused calls alone. Where there is evidence for a limit, a `Pause` follows, and after it
a rate that was measured, or a number in flight; without refusals that is raised again and again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from .pace import Pace
from .pause import Pause
from .raises import Raises
from .shedding import Shedding

REFUSED, ACCEPTED = 1.1, -1 / 9
"""What an answer adds to the evidence for a limit, a sum that is never below 0 (CUSUM): at 9 % of refusals it does not grow."""

CERTAIN, SUSPECTED, SHEDDING = 4.4, 2.1, 8.8
"""The evidence at which there is a limit: four refusals in a row; two, where a limit is known; eight, of a server that sheds."""

OUTAGE = 4
"""Failures in a row that are an outage."""

BINDING = 5.0
"""Seconds: a told pause of at least that binds others at the first refusal; a shorter one the refused call alone, at first."""

FEW = 4.0
"""Requests in flight at first, after a pause."""

GROWTH_TIME = 0.4
"""Seconds for an answer, from which on each one adds a whole request to those in flight; quicker ones add less."""

WIDTH = 100
"""Requests in flight that need no limit, unless the stack knows how many connections there are."""

HESITATION = 0.1
"""Seconds after a refusal, for which one request at a time is sent until the next one is accepted."""

LONG = 0.5
"""Seconds of a pause from which on the rate is what was accepted from opening to opening."""

PENALTY = 1.5
"""Seconds of a pause from which on it may be a penalty, which is as long whatever was sent before."""

BRIEF = 0.001
"""Seconds: shorter times between two answers are not measured. Some clocks show none at all."""

FORGOTTEN = 60.0
"""Seconds: a pause that is longer tells nothing about the rate, and neither do answers that are older."""

FADES = 180.0
"""Seconds without a refusal after which there is no limit any more."""

LEAST_RATE, MOST_RATE = 1 / 60, 100_000.0
"""Requests a second: the least, and the most that count as a limit."""

MEASURED = 10
"""Accepted requests from which on a rate between two refusals is believed."""

RECENT = 100
"""Accepted requests of which it is remembered when they were in flight."""


class Meter:
    """What holds back the requests of a route, or of all routes: a rate, a number in flight, or a pause."""

    def __init__(self, cautious: bool = False) -> None:
        self.pace = Pace()
        self.cap = FEW if cautious else math.inf
        """Requests in flight."""
        self._ramps = cautious
        """Whether answers raise the cap, which was not measured then."""
        self.pause: Pause | None = None
        self.evidence = 0.0
        self.lowered_at = -math.inf
        """When a refusal changed something: those that were sent before tell nothing about what is allowed since."""
        self._trip = 0.0
        """Seconds that an answer takes, about."""
        self._flying = self._failures = 0
        """How many were in flight when last asked, and how many have failed in a row."""
        self._refused_at = self._accepted_at = self._hesitates_until = -math.inf
        """When the last refusal came, and when the latest request was sent that was accepted; `HESITATION`."""
        self._opened, self._accepted = math.inf, 0
        """When the last pause was over, and how many were accepted since."""
        self._since, self._count = math.inf, 0
        """The same of the last refusal."""
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
        """When the latest accepted requests were sent and answered."""
        self._rated = self._maybe_caps = False
        """Whether it turned out that it is not the number in flight that is limited; whether that is still to be found out."""
        self.raises = Raises()
        self.shedding = Shedding()
        # pauses
        self._cycle = self._length = self._was_open = 0.0
        """Seconds: from opening to opening, of the last long pause, and from the opening to it."""
        self._penal = False
        """Whether pauses are penalties."""

    # -- what may go

    @property
    def rate(self) -> float:
        """Requests a second; inf if no limit on them is known."""
        return self.pace.rate

    @property
    def known(self) -> bool:
        """Whether there is a limit."""
        return self.rate < math.inf or self._caps

    @property
    def quiet(self) -> bool:
        """Whether it holds nobody back, and need not know of what is sent."""
        return self.pause is None and self.rate == self.cap == math.inf and not self.evidence

    @property
    def _caps(self) -> bool:
        """Whether the number in flight is what is limited."""
        return self.cap < math.inf and not self._ramps

    @property
    def _calm_since(self) -> float:
        """When the last refusal was; before the first one, when something was accepted first."""
        return max(self._refused_at, self._since)

    def free(self, now: float, flying: int) -> float:
        """Return how many requests may be sent now, with so many on their way."""
        if self.pause is not None:
            return 1 if now >= self.pause.opens_at(self._trip) else 0
        self._flying = flying
        free = min(self.pace.free(now), math.floor(self.cap) - flying if self.cap < math.inf else math.inf)
        if self._hesitates(now):
            free = min(free, 1 - flying)
        self.raises.bound = self.raises.bound or free < 1
        return free

    def opens(self, now: float, flying: int, ahead: int) -> tuple[float, str]:
        """Return the seconds until one with so many before it may be sent, and what it waits for; inf: for an answer."""
        pause = self.pause
        if pause is not None:
            if pause.told_until > now:
                return pause.told_until - now, "the server asks to wait"
            return max(pause.opens_at(self._trip) - now, 0.0), "the server is down" if pause.down else "the server refuses"
        wait = self.pace.opens(now, ahead)
        if wait > 0 or self.free(now, flying) >= 1:
            return wait, "the discovered limit is used up"
        if self._hesitates(now):
            return self._hesitates_until - now, "waiting for the next response after a refusal"
        return math.inf, f"the discovered concurrency limit is reached ({flying} in flight)"

    def _hesitates(self, now: float) -> bool:
        return now < self._hesitates_until and not self.shedding.sure

    # -- what outlives the process

    def kept(self) -> dict[str, float]:
        """Return the limit, if there is one."""
        return {"in_flight": self.cap} if self._caps else {"rate": self.rate} if self.rate < math.inf else {}

    def restore(self, kept: Mapping[str, float]) -> None:
        """Begin with a limit that was known before."""
        if kept:
            self.pace.change(kept.get("rate", math.inf), 0.0)
            self.cap, self._ramps = kept.get("in_flight", math.inf), False

    # -- what is learnt

    def send(self, now: float) -> None:
        """Count a request that is sent."""
        if self.pause is not None:
            self.pause.probe(now)
        else:
            self.pace.send(now)

    def lost(self, sent: float) -> None:
        """Forget a request that got no answer."""
        if self.pause is not None:
            self.pause.answered(sent)

    def passed(self, now: float) -> None:
        """Count an accepted request that was not counted when it was sent."""
        if now - self._since > FORGOTTEN:
            self._opened, self._accepted, self._since, self._count = now, 0, now, 0
        self._count += 1
        self._accepted += 1

    def accepted(self, sent: float, now: float, width: int = WIDTH) -> None:
        """Learn from a request that was accepted. `width`: connections that there are."""
        self._trip += (now - sent - self._trip) / 4 if self._trip else now - sent
        self.evidence = max(self.evidence + ACCEPTED, 0.0)
        self._hesitates_until, self._failures = -math.inf, 0
        self._recent.append((sent, now))
        self._accepted_at = max(self._accepted_at, sent)
        if self.pause is not None:
            if sent <= self.pause.refused_at:
                self.pause.overlapped += 1
                if not self.known:
                    self.pause.hurry(now)
                return
            self._open(self.pause, now)
        self._opened, self._since = min(self._opened, now), min(self._since, now)
        self._accepted += 1
        self._count += 1
        if self._ramps:
            self.cap = min(self.cap + min((now - sent) / GROWTH_TIME, 1.0), float(width))
            if (self.cap == width and 2 * self._flying < width) or now - self._calm_since > FADES:
                self.cap, self._ramps = math.inf, False
        if self.known:
            self._judge(refused=False)
            self._raise(now)

    def refused(self, sent: float, now: float, before: int, told: float | None = None, down: bool = False) -> bool:
        """Learn from a request that was refused, or failed (`down`). Return whether that concerns others.

        `before`: how many are not answered that were sent before it. `told`: the pause that the server asks for, in seconds.
        """
        if self.pause is not None:
            self.evidence += REFUSED
            self._refused_at = now
            self.pause.answered(sent)
            self.pause.refused(sent, now, told, down)
            return True
        if sent <= self.lowered_at and self.known and (told is None or (told < BINDING and sent <= self._accepted_at)):
            if self._caps:
                self.cap = max(min(self.cap, self._overlap(sent) + before), 1.0)
            return False
        self.evidence += REFUSED
        self._hesitates_until = now + HESITATION
        self._judge(refused=True)
        certain = SHEDDING if self.shedding.sure else SUSPECTED if self.rate < math.inf or self._ramps else CERTAIN
        if self.evidence >= certain or (told or 0.0) >= BINDING:
            self._shut(sent, now, told, down)
            return True
        if self._caps and not self.shedding.sure:
            self._lower_cap(self._overlap(sent) + before, now)
        elif self.rate < math.inf and not self.shedding.sure:
            self._lower_slightly(now)
        return False

    def failed(self, sent: float, now: float) -> bool:
        """Learn from a request that failed. Return whether that concerns others: so many in a row are an outage."""
        if self.pause is not None:
            return self.refused(sent, now, 0, down=True)
        self._failures += 1
        if self._failures >= OUTAGE and sent > self.lowered_at:
            self._shut(sent, now, None, down=True)
        return self.pause is not None

    def _overlap(self, sent: float) -> float:
        """Return how many accepted requests were in flight when this one was sent."""
        return float(sum(begun <= sent < ended for begun, ended in self._recent))

    def _measured(self, now: float) -> float:
        """Return what was accepted a second since the last refusal: between two refusals all that a server allows."""
        return self._count / (now - self._since) if now > self._since else math.inf

    def _lower_cap(self, most: float, now: float) -> None:
        cap = max(min(self.raises.good if self.raises.number else self.cap, most), 1.0)
        if cap < self.cap:
            self.shedding.begin()
        self.cap = cap
        self._lower(now)

    def _lower_slightly(self, now: float) -> None:
        """Undo a raise, or lower the rate a little: one refusal may be by chance."""
        measured = self._measured(now)
        most, least = (self.raises.good, self.raises.base) if self.raises.number else (self.rate, 0.95 * self.rate)
        self.pace.change(min(most, max(least, measured)), now)
        self.pace.start(0.0, now)
        self._since, self._count = now, 0
        self._lower(now)

    def _lower(self, now: float) -> None:
        """Note that a refusal changed something."""
        self.lowered_at = self._refused_at = now
        self.raises.end(now)

    # -- pauses

    def _shut(self, sent: float, now: float, told: float | None, down: bool) -> None:
        """Nothing goes but probes."""
        overlapped = self._overlap(sent) if self.rate == math.inf and not self._caps else 0.0
        self._maybe_caps = self.rate == math.inf and not self._caps and not self._rated
        self._rated = self._rated or self._caps
        self.shedding.forget()
        if not down:
            self._lower_rate(now)
        self._lower(now)
        expected = min(self._opened + self._cycle, now + self._length) if self._length > 2 * LONG else -math.inf
        self.pause = Pause(now, sent, 0.5 / self.rate, expected, overlapped if overlapped >= 2 else 0.0)
        self.pause.refused(sent, now, told, down)

    def _lower_rate(self, now: float) -> None:
        """Lower the rate to what was accepted since the last refusal. The first one ended a burst, which tells nothing."""
        measured, rate = self._measured(now), self.rate
        if rate == math.inf:
            rate = measured if self._ramps and self._refused_at > -math.inf else math.inf
        elif self._count or self.raises.number:  # else it was lowered just now
            rate = self._lowered_rate(measured)
        self.pace.change(max(rate, LEAST_RATE), now)
        self._since, self._count = now, 0

    def _lowered_rate(self, measured: float) -> float:
        if self.raises.number:
            return min(self.raises.good, max(self.raises.base, measured))
        if self._count >= MEASURED:
            return min(self.rate, measured)
        return min(max(measured, 0.7 * self.rate), 0.95 * self.rate)

    def _open(self, pause: Pause, now: float) -> None:
        """It accepts again."""
        length, cycle, accepted = now - pause.began, now - self._opened, self._accepted
        busy_since, busy = self._busy_since(length)
        self.pause, self.evidence = None, 0.0
        self._opened, self._accepted = now, 0
        span = max(cycle, self._trip)
        if (pause.began_with - 1) * span <= 1.5 * self._trip * accepted:  # else more than there can be (Little's law)
            pause.overlapped += pause.began_with
        if pause.overlapped and self._maybe_caps:
            self._restart(now, math.inf, pause.overlapped)
            self._ramps = False
        elif pause.down or length > FORGOTTEN or not accepted:
            self._restart(now, self.rate if pause.down else math.inf, FEW)
            self._length, self._penal = 0.0, False
        else:
            if length > LONG:
                self._restart_measured(pause, busy_since, busy, now)
            elif self.rate < math.inf:
                self.pace.start(self.rate * length, now)
            self.cap = max(FEW, 1.5 * self.rate * self._trip if self.rate < math.inf else 0.0)
            self._ramps = True
        self.raises.end(now)

    def _busy_since(self, longest: float) -> tuple[float, int]:
        """Return since when requests were sent with gaps of no more than so many seconds, and how many were accepted since.

        Not before the last pause was over. In a longer gap a window has turned.
        """
        times = [sent for sent, ended in self._recent if ended >= self._opened][:-1]  # without the probe
        for at in range(len(times) - 1, 0, -1):
            if times[at] - times[at - 1] > longest:
                return times[at], len(times) - at
        return self._opened, self._accepted

    def _restart(self, now: float, rate: float, cap: float) -> None:
        self.pace.change(rate, now)
        self.cap, self._ramps = cap, True
        self._since, self._count = now, 0

    def _restart_measured(self, pause: Pause, since: float, accepted: int, now: float) -> None:
        """After a long pause the rate is what was accepted in a cycle, and what has come back meanwhile may be sent at once.

        Unless it was a penalty: then it is what was accepted while it was open. `since`: when that began.
        """
        length, cycle, was_open = now - pause.began, now - since, pause.began - since
        alike = abs(length - self._length) <= 0.1 * length
        self._penal = self._penal or (length > PENALTY and alike and was_open > 2 * self._was_open)
        rate = max(accepted / (max(was_open, BRIEF) if self._penal else cycle), LEAST_RATE)
        self._restart(now, rate, self.cap)
        self.pace.start(1.0 if self._penal else min(accepted, rate * length), now)
        self._cycle, self._length, self._was_open = cycle, length, was_open

    # -- trials

    def _judge(self, refused: bool) -> None:
        self.shedding.count(refused, self.known and not self.raises.number, self._caps)

    def _raise(self, now: float) -> None:
        """Try more, if that is due."""
        if now - self._calm_since > FADES or MOST_RATE < self.rate < math.inf:
            self.pace.change(math.inf, now)
            self.cap, self._ramps = math.inf, False
            return
        if not self.raises.due(now, self._trip, self._length if self._penal else 0.0):
            return
        factor = self.raises.step(self.cap if self._caps else self.rate, now)
        if self._caps:
            cap = max(self.cap + 1, self.cap * factor)
            self.cap = cap if cap < WIDTH else math.inf
        else:
            self.pace.change(self.rate * factor, now)
        self.shedding.begin()

"""So many requests at a time, however fast they come."""

from __future__ import annotations

import math

from .answer import Answer, Kept

FIRST_TRIAL, TRIAL_BACKOFF, MAX_TRIAL_BACKOFF = 5.0, 1.6, 100.0
"""One more is tried after this many responses per slot; the factor by which that grows with each refusal; its maximum."""

BRISK = 0.04
"""Seconds. While the limit is unknown, it rises the faster the longer a request takes, compared to this."""

ENOUGH_IN_FLIGHT = 64
"""Requests in flight from which on there is taken to be no limit."""


class Ceiling:
    """A limit on how many are in flight. One more is tried now and then, more and more seldom.

    `most`: how many. None: that is to be felt for, from 1 on; as many more as the root of those that were accepted.
    """

    reason = "discovered concurrency limit reached"

    def __init__(self, most: int | None, since: int = 0, opened: float = math.inf, accepted: int = 0) -> None:
        self.since, self.opened = since, opened
        self.accepted_since = accepted
        self.vague = most is None
        self.most = 1 if most is None else most
        self._after, self._tries = FIRST_TRIAL, 0
        self.trying, self._step = False, 1
        """Whether more are in flight than it seems to bear, and how many."""

    def free(self, now: float, in_flight: int) -> int:
        return max(self.most - in_flight, 0)

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        return 0.0

    def come(self, now: float, taken: int) -> None:
        """Nothing to count: the limit depends on the requests in flight alone."""

    def accepted(self, answer: Answer) -> Ceiling | None:
        self.opened = min(self.opened, answer.now)
        self.accepted_since += 1
        if self.vague:
            trip = answer.now - answer.sent
            self.most = max(self.most, 1 + int(math.sqrt(self.accepted_since * (1 + trip / BRISK))))
            return self if self.most < ENOUGH_IN_FLIGHT else None
        if answer.number < self.since or answer.others < self.most - 1:
            return self  # there was room for one more anyway
        self._tries += 1
        if self.trying and self._tries >= 2 * self.most:
            self._step, self._after = 2 * self._step, 1.0  # it is higher than it was thought: on to the next ones
            self.trying, self._tries = False, 0
        elif not self.trying and self._tries >= self._after * self.most:
            self.trying, self._tries = True, 0
            self.most += self._step
        return self

    def refused(self, answer: Answer, told: float | None) -> Ceiling | None:
        if answer.number < self.since:
            return self
        if not answer.others:
            return None
        self.since = answer.total
        if self.trying:
            self.most -= self._step
            self._after = min(max(self._after, FIRST_TRIAL) * TRIAL_BACKOFF, MAX_TRIAL_BACKOFF)
        else:
            self.most = min(self.most, answer.others)
        self.vague, self.trying, self._tries, self._step = False, False, 0, 1
        return self

    def kept(self, now: float) -> Kept | None:
        return None if self.vague else {"kind": "concurrency", "requests": self.most - self._step * self.trying}

"""So many requests in each window."""

from __future__ import annotations

import math

from ..limits import ANSWER_TIMEOUT, ROUNDING_ERROR
from .answer import Answer, Kept

RARELY = 2.5
"""Factor by which the number of the window grows in which one request more than allowed is tried next."""

ASK_AGAIN_AFTER = 0.02
"""Seconds, or a hundredth of the window if that is longer, after which a request is sent again that was refused too early."""

MAX_LATENESS = 0.1
"""Part of its length by which a window may be late. After that it is not taken for a window any more."""


class Turning:
    """A limit that is there again, whole, some seconds after a window began; the next window begins with the next request.

    `least`: seconds after which everyone was still shut out.
    """

    reason = "discovered window limit reached"
    vague = False

    def __init__(self, first: int, opened: float, size: int, length: float, least: float) -> None:
        self.size, self.length = size, length
        self._least = least
        self._windows, self._next_test = 1, 2
        self._sized = False
        """What the last test was for: how many there are in a window, or how long it is."""
        self._trip = 0.0
        self._open(first, opened)
        self._sent = self.accepted_since = size

    def _open(self, first: int, opened: float) -> None:
        """A window begins with the request of this number."""
        self._first, self._since, self.opened = first, first, opened
        self._sent = self.accepted_since = 1
        self._probe: float | None = None
        """When the one was sent that asks whether it has turned."""
        self._late = 0.0
        self._held_until = -math.inf
        self._spent = False
        """It is used up, sooner than was expected."""
        self._more = 0
        """How many more than it allows are to be tried."""

    @property
    def _turns(self) -> float:
        return self.opened + self.length + self._late

    @property
    def _patience(self) -> float:
        """Seconds after which the answer to one that asks is not waited for any longer."""
        return max(ANSWER_TIMEOUT, 2 * self._trip)

    @property
    def _test_at(self) -> float:
        """Between what is too early for sure and what was late enough; to see how many there are, at once."""
        return self.opened if self._sized else self.opened + (self._least + self.length) / 2

    def free(self, now: float, in_flight: int) -> int:
        if now >= self._turns - ROUNDING_ERROR:
            return 0 if self._probe is not None and now < self._probe + self._patience else 1
        if self._spent or now < self._held_until:
            return 0
        if self._sent < self.size:
            return max(min(4 + int(2 * math.sqrt(self.accepted_since)) - in_flight, self.size - self._sent), 0)
        return 1 if self._more and not in_flight and now >= self._test_at else 0

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        left = 0 if self._spent or now >= self._turns else max(self.size - self._sent, 0)
        if ahead < left:
            return max(self._held_until - now, ANSWER_TIMEOUT if in_flight else 0.0)  # it may depend on their answers
        first = self._turns if self._probe is None else max(self._turns, self._probe + self._patience)
        if self._more and not ahead and not self._spent:
            first = min(first, max(self._test_at, now + (ANSWER_TIMEOUT if in_flight else 0.0)))
        return max(first - now, 0.0) + (ahead - left) // self.size * self.length

    def come(self, now: float, taken: int) -> None:
        if now >= self._turns - ROUNDING_ERROR:
            self._probe = now
        else:
            self._more -= self._sent >= self.size
            self._sent += 1

    def accepted(self, answer: Answer) -> Turning:
        self._trip = answer.now - answer.sent
        if answer.sent >= self._turns - ROUNDING_ERROR:
            self._begin(answer)
        elif answer.number > self._first:
            self.accepted_since += 1
            if self.accepted_since > self.size:
                self._next_test = self._windows + 1
                if self._sized:
                    self.size, self._more = self.size + 1, 1  # and more?
                else:  # it turns sooner than was thought
                    self.length = answer.now - self.opened
                    self._begin(answer)
        return self

    def _begin(self, answer: Answer) -> None:
        """It has turned."""
        if self._spent:
            self.size = self.accepted_since
            self._next_test, self._sized = self._windows + 3, False
        elif self._held_until > self.opened:  # it was asked a little too soon: maybe it slides
            self.length += ASK_AGAIN_AFTER
        self._open(answer.number, answer.now)
        self._windows += 1
        if self._windows >= self._next_test:
            self._more, self._sized = 1, not self._sized

    def refused(self, answer: Answer, told: float | None) -> Turning | None:
        if answer.number < self._since:
            return self
        self._since = answer.total
        if answer.sent >= self._turns - ROUNDING_ERROR:
            self._probe = None
            late = max(answer.now - self.opened - self.length, 0.0)
            self._late = late + max(late, ASK_AGAIN_AFTER)
            return self if self._late <= max(MAX_LATENESS * self.length, 0.2) else None
        if self.accepted_since >= self.size:
            self._next_test = math.ceil(RARELY * self._windows)
            if not self._sized:
                self._least = min(max(self._least, answer.sent - self.opened), self.length)
        elif answer.sent >= self._held_until > self.opened:
            self._spent = True
        else:
            self._sent -= 1
            self._held_until = answer.now + max(self.length / 100, ASK_AGAIN_AFTER)
        return self

    def kept(self, now: float) -> Kept:
        told = {"requests": self.size, "seconds": self.length, "least": self._least, "age": now - self.opened}
        return {"kind": "window", **told}

    @classmethod
    def restored(cls, kept: Kept, now: float) -> Turning:
        """What was `kept`, with its age as it is now. What was left of its window is not used: others may have used it."""
        return cls(0, now - kept["age"], int(kept["requests"]), kept["seconds"], kept["least"])

    def resumed(self, answer: Answer) -> Turning:
        self._begin(answer)
        return self

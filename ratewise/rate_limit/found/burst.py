"""The beginning, while nothing is known."""

from __future__ import annotations

import math

from ..limits import ANSWER_TIMEOUT
from .answer import Answer

UNLIMITED = 1_000_000
"""Requests: more than will ever wait."""


class Burst:
    """All who wait go at once. Who comes after them waits until half of these are answered: so many would be refused too."""

    reason = "waiting for the first responses"
    vague = True

    def __init__(self, opened: float) -> None:
        self.opened, self.accepted_since = opened, 1
        self._sent = self._accepted = 0
        self._since = math.inf
        """When the first of them was answered."""

    def free(self, now: float, in_flight: int) -> int:
        return 0 if self._since <= now < self._since + ANSWER_TIMEOUT else UNLIMITED

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        return self._since + ANSWER_TIMEOUT - now if self._since <= now < self._since + ANSWER_TIMEOUT else 0.0

    def come(self, now: float, taken: int) -> None:
        self._sent += 1

    def accepted(self, answer: Answer) -> Burst | None:
        self._since = min(self._since, answer.now)
        self.accepted_since += 1
        self._accepted += 1
        return self if 2 * self._accepted < self._sent else None

    def refused(self, answer: Answer, told: float | None) -> None:
        """Return None: it is unknown which limit refused it."""

    def kept(self, now: float) -> None:
        """Return None: nothing is known yet."""

"""A pause: nothing is accepted, and one request at a time probes whether that is over. Times: seconds, monotonic."""

from __future__ import annotations

import math

FIRST_GAP, GAP_GROWTH, LONGEST_GAP = 0.1, 1.5, 2.0
"""Seconds until the first probe, by what each gap is longer than the one before, and the longest, in seconds."""

PROBE_TIMEOUT = 1.0
"""Seconds until the next probe if one is not answered, at least."""

HOUR = 3600.0
"""Seconds: after each full hour of a longer pause one request asks whether it still holds."""


class Pause:
    """From a refusal until something is accepted that was sent after the last refused request.

    - `sent`: when the refused request was sent.
    - `gap`: seconds until the first probe, if the server does not tell how long to wait.
    - `expected`: when the server is likely to accept again; -inf if that is unknown.
    - `overlap`: requests that were accepted, and in flight when the refused one was sent.
    """

    def __init__(self, now: float, sent: float, gap: float, expected: float, overlap: float) -> None:
        self.began, self.began_with = now, overlap
        self.down = True
        """Whether the server failed, and refused nothing."""
        self.refused_at = sent
        """When the last refused request was sent."""
        self.told_until = -math.inf
        """The end of the longest pause that the server told."""
        self.overlapped = 0.0
        """Requests that were accepted since, and were in flight when others were refused."""
        self._gap, self._expected = max(gap, FIRST_GAP), expected
        self._due = now + self._gap
        self._probe_at = -math.inf
        """When the probe was sent that is not answered."""

    def opens_at(self, trip: float) -> float:
        """Return when the next probe may be sent. `trip`: seconds that an answer takes."""
        due = min(self.told_until, self.refused_at + HOUR) if self.told_until > self._due else self._due
        return max(due, self._probe_at + max(PROBE_TIMEOUT, 2 * trip))

    def probe(self, now: float) -> None:
        """Note that a probe is sent."""
        self._probe_at = now

    def hurry(self, now: float) -> None:
        """Let a probe go now, unless the server told to wait."""
        if now >= self.told_until:
            self._due = min(self._due, now)

    def answered(self, sent: float) -> None:
        """Note that a request is answered, or lost."""
        if sent >= self._probe_at:
            self._probe_at = -math.inf

    def refused(self, sent: float, now: float, told: float | None, down: bool) -> None:
        """Go on, after another refusal. `told`: the pause that the server asks for."""
        self.refused_at = max(self.refused_at, sent)
        self.down = self.down and down
        if told is not None:
            self.told_until = max(self.told_until, sent + told)
        if sent > self.began:
            self._gap = min(self._gap * GAP_GROWTH, LONGEST_GAP)
            self._due = now + self._until_expected(now, self._gap)

    def _until_expected(self, now: float, gap: float) -> float:
        """Return the seconds until the next probe: half the time to the expected end, if one is to come."""
        left = self._expected - now
        return min(max(left / 2, FIRST_GAP), LONGEST_GAP) if left > 0 and not self.down else gap

"""Refusals by chance: servers shed load, at whatever rate requests come. That is no limit."""

from __future__ import annotations

SETTLED, BY_CHANCE = 40, 2
"""Of so many answers at a constant rate, so many refusals are by chance if it is the same once more at a lower rate."""


class Shedding:
    """Whether a server sheds: found out where a limit was thought to be known, and refusals come at a lower one as well."""

    def __init__(self) -> None:
        self.sure = False
        self._likely = False
        self._answers = self._refusals = 0
        """Since the limit was last changed."""

    def begin(self) -> None:
        """Count anew: the limit was changed."""
        self._answers = self._refusals = 0

    def forget(self) -> None:
        """Begin anew, with nothing known."""
        self.sure = self._likely = False
        self.begin()

    def count(self, refused: bool, constant: bool, directly: bool) -> None:
        """Count an answer. `constant`: at a known limit that is not being raised. `directly`: do not wait for a lower one."""
        self._answers += 1
        self._refusals += refused
        if self._answers >= SETTLED and constant:
            suspicious = self._refusals >= BY_CHANCE
            self.sure, self._likely = suspicious and (self._likely or directly), suspicious
            self.begin()

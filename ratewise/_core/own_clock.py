"""The time of what several stacks may share: limiters, breakers, bulkheads, stores."""

from __future__ import annotations

from .clock import Clock


class OwnClock:
    """The clock that an object was given or, where it was given none, that of the first stack with one that uses the object."""

    __slots__ = ("_clock", "_settled")

    def __init__(self, clock: Clock | None) -> None:
        self._clock, self._settled = clock or Clock(), clock is not None

    def adopt(self, clock: Clock) -> None:
        """Use the clock of a stack, if there is none yet."""
        if not self._settled:
            self._clock, self._settled = clock, True

    def time(self) -> float:
        """As `Clock.time`."""
        return self._clock.time()

    def monotonic(self) -> float:
        """As `Clock.monotonic`."""
        return self._clock.monotonic()

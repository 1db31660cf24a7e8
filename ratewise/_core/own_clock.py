"""The time of what several stacks may share: limiters, breakers, bulkheads, stores."""

from __future__ import annotations

from .clock import Clock


class OwnClock:
    """The clock that an object was given or, where it was given none, that of the stack that was last built with the object."""

    __slots__ = ("clock", "given")

    def __init__(self, given: Clock | None) -> None:
        self.given = given
        """Also the clock of the layer that uses the object, whatever that of its stack is."""
        self.clock = given or Clock()

    def adopt(self, clock: Clock) -> None:
        """Use the clock of a stack, unless one was given."""
        self.clock = self.given or clock

    def time(self) -> float:
        """As `Clock.time`."""
        return self.clock.time()

    def monotonic(self) -> float:
        """As `Clock.monotonic`."""
        return self.clock.monotonic()


def own_clock_of(part: object) -> OwnClock | None:
    """Return the clock of a layer or transport, if it may have one of its own."""
    own = getattr(part, "_own_clock", None)
    return own if isinstance(own, OwnClock) else None

"""Single flight: of many requests for the same thing at the same time, one is sent, and the others wait for its answer.

Nobody but those who wait keeps it going: no thread and no task of its own. It survives a lead that vanishes.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Awaitable, Hashable
from typing import Any, Callable

from .._core.clock import Clock, Waiter
from ..layer import Call, Watcher
from .entry import Entry
from .ordering import Recent

UNSHARED = 10.0
"""Seconds for which nobody waits for an answer that was of no use to others the last time."""

STALLED = 1.0
"""Seconds without a piece of the body after which a lead's body is not waited for: its reader takes its time."""


class Outcome(enum.Enum):
    """What became of a flight without an answer for the others."""

    FAILED = enum.auto()
    """The lead gave up: another one may try."""
    UNSHARED = enum.auto()
    """Its answer is its own: each asks for itself."""


class Flight:
    """One request that others wait for."""

    __slots__ = ("began", "key", "lead", "outcome", "pieces", "reading", "waiters")

    def __init__(self, key: Hashable, lead: Hashable, now: float) -> None:
        self.key = key
        self.lead = lead
        """The thread or task that sends the request."""
        self.began = now
        self.outcome: Entry | Outcome | None = None
        """None: it is still going on."""
        self.reading = False
        """The head of its answer is there, and its body is read by whoever asked."""
        self.pieces = 0
        """Pieces of the body that have come."""
        self.waiters: list[Waiter] = []


class Flights:
    """What is being fetched. `now`: seconds, monotonic."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may close a forgotten response, and so land a flight, anywhere
        self._flights: dict[Hashable, Flight] = {}
        self._unshared = Recent()
        self.landed = Recent()
        """When an answer for others was last stored."""

    def join(self, key: Hashable, me: Hashable, now: float, max_wait: float) -> tuple[Flight, Waiter | None] | None:
        """A flight to lead or, with a waiter, to follow; None if each is to ask for itself."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None or now - flight.began > max_wait:  # a lead that takes so long may be gone for good
                if self._unshared.known_since(key, now - UNSHARED):
                    return None
                flight = self._flights[key] = Flight(key, me, now)
                return flight, None
            if flight.lead == me:  # it would wait for itself
                return None
            waiter = Waiter()
            flight.waiters.append(waiter)
            return flight, waiter

    def under_way(self, key: Hashable, now: float, max_wait: float) -> bool:
        """There is a flight."""
        flight = self._flights.get(key)
        return flight is not None and now - flight.began <= max_wait

    def begin(self, key: Hashable, me: Hashable, now: float, max_wait: float) -> Flight | None:
        """A flight to lead; None if there is one already."""
        with self._lock:
            if self.under_way(key, now, max_wait):
                return None
            flight = self._flights[key] = Flight(key, me, now)
            return flight

    def land(self, flight: Flight, outcome: Entry | Outcome, now: float) -> None:
        """The flight is over. Landing twice is landing once. Never raises, never blocks."""
        with self._lock:
            if flight.outcome is not None:
                return
            flight.outcome = outcome
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
            if outcome is Outcome.UNSHARED:
                self._unshared.note(flight.key, now)
            elif outcome is not Outcome.FAILED:
                self.landed.note(flight.key, now)
            waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            waiter.wake()


async def follow(flight: Flight, waiter: Waiter, until: float, call: Call[Any, Any]) -> None:
    """Wait for the end of a flight, at most `until`, by the monotonic clock; not for a reader that takes its time."""
    pieces = -1
    while flight.outcome is None and (left := until - call.clock.monotonic()) > 0:
        if flight.reading:
            if flight.pieces == pieces:
                return
            pieces = flight.pieces
        await call.park(waiter, min(left, STALLED))


class Recorder(Watcher):
    """Collects a body as its caller reads it: see `Watcher`. What is cut short, left, or larger than `most` bytes is not kept."""

    def __init__(
        self, keep: Callable[[bytes], Awaitable[object]], most: int, flights: Flights, flight: Flight | None, clock: Clock
    ) -> None:
        self._keep, self._most = keep, most
        self._flights, self._flight, self._clock = flights, flight, clock
        self._chunks: list[bytes] | None = []
        self._size = 0

    def chunk(self, data: bytes) -> None:
        if self._flight is not None:
            self._flight.pieces += 1
        if self._chunks is not None:
            self._size += len(data)
            self._chunks.append(data)
            if self._size > self._most:
                self._chunks = None
                self._land(Outcome.UNSHARED)

    async def complete(self) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await self._keep(b"".join(chunks))

    def failed(self, error: BaseException) -> None:
        self.closed()

    def closed(self) -> None:
        self._chunks = None
        self._land(Outcome.FAILED)

    def _land(self, outcome: Outcome) -> None:
        if self._flight is not None:
            self._flights.land(self._flight, outcome, self._clock.monotonic())

"""What is known of one key: its queues, and the tickets that wait in them or hold their slots. No I/O, no clock."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from .clock import Waiter

OFFER_TIMEOUT = 1.0
"""Seconds that a slot stays offered to a ticket. Then the ticket leaves the queue: its thread or event loop may be gone."""


class Ticket:
    """One request: waiting in a queue, or admitted. Only its caller keeps it alive: with it goes its place."""

    __slots__ = ("__weakref__", "acquired", "admitted", "key", "number", "place", "returning", "route", "state", "waiting")

    def __init__(self, key: Hashable, route: Hashable, state: Any, number: float, returning: bool) -> None:
        self.key, self.route = key, route
        self.state = state
        self.number = number
        """Its position: a queue is sorted by this number."""
        self.returning = returning
        """Whether the same request has been admitted before."""
        self.admitted = False
        self.place: ref[Ticket] | None = None
        """By which it is among the `KeyState.taken`."""
        self.waiting: Waiting | None = None
        """Its entry in the queue. It may have been removed from the queue, if an offer expired."""
        self.acquired: Any = None
        """What `KeyState.acquire` returned when it was admitted."""


class Waiting(ref[Ticket]):
    """The entry of a ticket in a queue, which does not keep the ticket alive."""

    __slots__ = ("at_head", "gives_up_at", "number", "offered_at", "polls_at", "returning", "waiter")

    number: float
    """As of the ticket."""
    returning: bool
    """As of the ticket."""
    waiter: Waiter
    """To park on."""
    offered_at: float | None
    """When a slot was offered to it; None if none is."""
    at_head: bool
    """Whether it knows that all tickets ahead of it have been offered a slot, so that it must watch the clock."""
    polls_at: float
    """When it polls the queue by itself."""
    gives_up_at: float
    """When its request stops waiting."""


class KeyEntry(ABC):
    """What is known of one key."""

    used = False
    """Whether a request has come since it was asked last whether it is idle."""

    @abstractmethod
    def lane(self, route: Hashable) -> KeyState:
        """Return the state with the queue of the requests of this route."""

    @abstractmethod
    def lanes_in_use(self) -> Iterable[KeyState]:
        """Return all states with queues."""

    @abstractmethod
    def in_use(self, now: float) -> bool:
        """Whether it must be kept although no request waits."""

    def inherited(self) -> KeyEntry | None:
        """Return the entry to begin with in a forked process: nothing in flight, nobody waiting; None if nothing was learnt."""
        return None

    def idle(self, now: float) -> bool:
        """Whether it may be forgotten, as a `Table` asks of its entries."""
        used, self.used = self.used, False
        return not (used or any(state.queue for state in self.lanes_in_use()) or self.in_use(now))


class KeyState(KeyEntry):
    """A queue and, in subclasses, its slots: of one key, or of one route of it."""

    def __init__(self) -> None:
        self.queue: deque[Waiting] = deque()
        self.lost: list[Waiting] = []
        """Entries whose tickets are gone. Some may still be in the queue, until `purge`."""
        self.taken: set[ref[Ticket] | None] = set()
        """The places of the admitted tickets. The place of a ticket that is gone removes itself."""
        self.forget = self.taken.discard

    def lane(self, route: Hashable) -> KeyState:
        return self

    def lanes_in_use(self) -> Iterable[KeyState]:
        return (self,)

    def together(self) -> Sequence[KeyState]:
        """Return the states of the key whose queues share its slots, this one included; empty queues may be left out."""
        return (self,)

    @abstractmethod
    def available(self, now: float) -> int:
        """Return how many requests of this queue may be admitted now."""

    def own(self, now: float) -> float:
        """Return how many requests of this queue may be admitted now, whatever the other queues of the key take."""
        return math.inf

    def common(self, now: float) -> float:
        """Return how many requests of all queues of the key may be admitted now."""
        return math.inf

    def next_available(self, now: float) -> float:
        """Return the seconds until a slot becomes available without a release; inf if time alone makes none available."""
        return math.inf

    @abstractmethod
    def acquire(self, ticket: Ticket, now: float) -> Any:
        """Note that a ticket, which is among the `taken`, is admitted; return what to keep with it."""

    def remove(self, entry: Waiting) -> None:
        """Remove an entry from the queue, if it is there."""
        if entry in self.queue:
            self.queue.remove(entry)

    def purge(self) -> None:
        """Remove the entries of tickets that are gone from the queue."""
        while self.lost:
            self.remove(self.lost[-1])
            self.lost.pop()

    def queue_number(self, number: float) -> float:
        """Return the position of a request that arrives now; `number` is the position behind all others."""
        return number

"""Admission queues: at most so many requests of a key at a time, the rest first come, first served, in any thread or event loop.

The waiting requests drive a queue themselves, without a thread or task of its own. It survives waiters that vanish from it.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from itertools import count, islice
from typing import Any, Callable, Generic, TypeVar, cast

from .._util.bounded_table import Monotonic, Table
from ..layer import Call, Watcher
from .call_state import CallState
from .clock import Clock, Waiter
from .forks import renew_after_fork

MAX_KEYS = 1000
"""Keys whose state is kept, at most."""

OFFER_TIMEOUT = 1.0
"""Seconds that a slot stays offered to a ticket. Then the ticket leaves the queue: its thread or event loop may be gone."""

POLL_DEPTH = 10
"""Tickets ahead, at most, by whose number the interval grows at which a ticket polls the queue."""

WORTH_WAKING = 1e-4
"""Seconds by which a ticket must be due earlier than it polls next, for it to be woken."""

LOGGED_WAIT = 1.0
"""Seconds of waiting from which on a wait is logged."""


class Ticket:
    """One request: waiting in a queue, or admitted."""

    __slots__ = (
        *("acquired", "admitted", "at_head", "gives_up_at", "key", "number", "offered_at", "polls_at", "returning", "state"),
        "waiter",
    )

    def __init__(self, key: Hashable, state: Any, number: float, returning: bool) -> None:
        self.key = key
        self.state = state
        self.number = number
        """Its position: a queue is sorted by this number."""
        self.returning = returning
        """Whether the same request has been admitted before."""
        self.admitted = False
        self.waiter: Waiter | None = None
        """To park on, in the queue."""
        self.offered_at: float | None = None
        """When a slot was offered to it; None if none is."""
        self.at_head = False
        """Whether it knows that all tickets ahead of it have been offered a slot, so that it must watch the clock."""
        self.polls_at = math.inf
        """When it polls the queue by itself."""
        self.gives_up_at = math.inf
        """When its request stops waiting."""
        self.acquired: Any = None
        """What `KeyState.acquire` returned when it was admitted."""


class KeyState(ABC):
    """The state of one key: its queue and, in subclasses, its slots."""

    def __init__(self) -> None:
        self.queue: deque[Ticket] = deque()
        self.used = False

    @abstractmethod
    def available(self, now: float) -> int:
        """Return how many requests may be admitted now."""

    def next_available(self, now: float) -> float:
        """Return the seconds until a slot becomes available without a release; inf if time alone makes none available."""
        return math.inf

    @abstractmethod
    def acquire(self, now: float) -> Any:
        """Take a slot; return what to keep with the ticket."""

    @abstractmethod
    def release(self, now: float) -> None:
        """Give a slot back."""

    @abstractmethod
    def in_use(self, now: float) -> bool:
        """Whether the state must be kept although no request waits."""

    def inherited(self) -> KeyState | None:
        """Return the state to begin with in a forked process: nothing in flight, nobody waiting; None if nothing was learnt."""
        return None

    def queue_number(self, number: float) -> float:
        """Return the position of a request that arrives now; `number` is the position behind all others."""
        return number

    def idle(self, now: float) -> bool:
        """Whether the state may be forgotten, as a `Table` asks of its entries."""
        used, self.used = self.used, False
        return not (used or self.queue or self.in_use(now))


class Slots(KeyState):
    """A fixed number of slots."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self._slots = slots
        self.in_flight = 0
        self._logged = False

    def available(self, now: float) -> int:
        return self._slots - self.in_flight

    def acquire(self, now: float) -> None:
        self.in_flight += 1

    def release(self, now: float) -> None:
        self.in_flight -= 1
        self._logged = self._logged and len(self.queue) > 0

    def in_use(self, now: float) -> bool:
        return self.in_flight > 0

    def is_worth_logging(self, waited: float) -> bool:
        """Whether a wait of so many seconds is the first long one since requests began to queue: one line for all of them."""
        if self._logged or waited < LOGGED_WAIT:
            return False
        self._logged = True
        return True


R = TypeVar("R", bound=KeyState)


class Queue(Generic[R]):
    """The states of all keys, and their queues. `now`: seconds on a monotonic clock."""

    def __init__(self, make: Callable[[Hashable], R], clock: Monotonic = time) -> None:
        self.states = Table(make, MAX_KEYS, clock)
        self.numbers = count()
        """The position of each request that arrives, over all keys."""
        renew_after_fork(self)

    def _after_fork(self) -> None:
        # Other objects take their places: what the forking thread holds by an old one is nothing that counts here.
        states = {key: (state, state.inherited()) for key, state in self.states.items()}
        self.states.clear()
        for key, (old, new) in states.items():
            old.queue.clear()  # its waiters' locks may be held for ever
            if new is not None:
                self.states[key] = cast(R, new)

    def enter(self, key: Hashable, now: float, max_queue: float, number: float | None = None) -> Ticket | None:
        """Return a ticket that is admitted or, with a `waiter`, queued; None if `max_queue` requests are waiting already.

        A request that was admitted before is queued by the `number` that it had.
        """
        with self.states.lock:
            state = self.states[key]
            state.used = True
            returning = number is not None
            ticket = Ticket(key, state, state.queue_number(next(self.numbers)) if number is None else number, returning)
            waiters = self._offer(state, now) if state.queue else []
            ticket.admitted = not state.queue and state.available(now) > 0
            waits = not ticket.admitted and len(state.queue) < max_queue
            if ticket.admitted:
                ticket.acquired = state.acquire(now)
            elif waits:
                ticket.waiter = Waiter()
                enqueue(state.queue, ticket)
                waiters += self._offer(state, now)
        for waiter in waiters:
            waiter.wake()
        return ticket if ticket.admitted or waits else None

    def admit(self, ticket: Ticket, now: float) -> bool:
        """Admit a ticket that was woken, if a slot is available; else it waits on, queued again if its offer had expired."""
        with self.states.lock:
            state = ticket.state
            queued = ticket in state.queue
            if not queued:
                state = ticket.state = self.states[ticket.key]  # after its offer expired, the state may have been forgotten
            ticket.admitted = (ticket.offered_at is not None or not queued) and state.available(now) > 0
            if ticket.admitted:
                if queued:
                    state.queue.remove(ticket)
                ticket.acquired = state.acquire(now)
            else:
                ticket.waiter, ticket.offered_at = Waiter(), None
                if not queued:
                    enqueue(state.queue, ticket)
            waiters = self._offer(state, now) if state.queue else []
        for waiter in waiters:
            waiter.wake()
        return ticket.admitted

    def leave(self, ticket: Ticket, now: float) -> None:
        """Release the slot of an admitted ticket, or remove a queued one. A second call has no effect."""
        state = ticket.state
        with self.states.lock:
            if ticket.admitted:
                ticket.admitted = False
                state.release(now)
            elif ticket in state.queue:
                state.queue.remove(ticket)
            if not state.queue:
                return
            waiters = self._offer(state, now)
        for waiter in waiters:
            waiter.wake()

    def poll(self, ticket: Ticket, now: float) -> float:
        """Offer the slots that are available; return the seconds after which the ticket polls again."""
        state = ticket.state
        with self.states.lock:
            waiters = self._offer(state, now)
            delay = _poll_delay(state, ticket, now)
            ticket.polls_at = now + delay
        for waiter in waiters:
            waiter.wake()
        return delay

    def changed(self, state: R, now: float, *, worse: bool = False) -> None:
        """Offer the slots that are available after a change of `state`.

        After one for the worse, wake also the tickets that give up before the next slot becomes available.
        """
        with self.states.lock:
            waiters = self._offer(state, now)
            if worse and state.queue:
                opens_at = now + state.next_available(now)
                waiters += [one.waiter for one in state.queue if one.gives_up_at < opens_at and one.waiter is not None]
        for waiter in waiters:
            waiter.wake()

    def _offer(self, state: R, now: float) -> list[Waiter]:
        """Offer the available slots to the first tickets, without those whose offer expired; return the waiters to wake.

        The ticket behind them is woken too if it must watch the clock from now on, or earlier than it thinks.
        """
        queue = state.queue
        waiters: list[Waiter] = []
        available = state.available(now)
        while available > 0 and queue and _offer_expired(queue[0], now):
            queue.popleft()
        if not queue or (available >= len(queue) and queue[0].offered_at is not None and queue[-1].offered_at is not None):
            return waiters  # each ticket has its offer
        for number, ticket in enumerate(islice(queue, max(available, 0) + 1)):
            assert ticket.waiter is not None
            if number < available and ticket.offered_at is None:
                ticket.offered_at = now
                waiters.append(ticket.waiter)
            elif number >= available and (not ticket.at_head or _polls_too_late(state, ticket, now)):
                ticket.at_head, ticket.polls_at = True, -math.inf
                waiters.append(ticket.waiter)
        return waiters


async def wait_turn(
    queue: Queue[Any],
    ticket: Ticket,
    until: float,
    state: CallState,
    call: Call[Any, Any],
    check: Callable[[float], object] | None = None,
) -> float:
    """Wait until the ticket is admitted, or until `until` on the monotonic clock; return the time when the wait ended.

    `check(now)` is called before each wait, and raises if waiting has become pointless.
    """
    now, ticket.gives_up_at = call.clock.monotonic(), until
    try:
        while not ticket.admitted and now < until:
            if check is not None:
                check(now)
            assert ticket.waiter is not None
            woken = await call.park(ticket.waiter, min(until - now, queue.poll(ticket, now)))
            now = call.clock.monotonic()
            if woken:
                queue.admit(ticket, now)
        if not ticket.admitted:
            queue.poll(ticket, now)  # a slot may have become available at the very end
            queue.admit(ticket, now)
        return now
    finally:
        state.left_queue_at = call.clock.monotonic()


class HeldTicket(Watcher):
    """Holds an admitted ticket until the body of the response is closed."""

    __slots__ = ("_clock", "_queue", "_ticket")

    def __init__(self, queue: Queue[Any], ticket: Ticket, clock: Clock) -> None:
        self._queue, self._ticket, self._clock = queue, ticket, clock

    async def complete(self) -> None:
        self.closed()

    def closed(self) -> None:
        self._queue.leave(self._ticket, self._clock.monotonic())


def enqueue(queue: deque[Ticket], ticket: Ticket) -> None:
    """Insert a ticket by its number: nearly always at the end, or at the front."""
    at = len(queue) if queue and queue[0].number < ticket.number else 0
    while at and queue[at - 1].number > ticket.number:
        at -= 1
    queue.insert(at, ticket)


def _offer_expired(ticket: Ticket, now: float) -> bool:
    return ticket.offered_at is not None and now - ticket.offered_at >= OFFER_TIMEOUT


def _poll_delay(state: KeyState, ticket: Ticket, now: float) -> float:
    """Return the seconds after which a ticket polls the queue by itself."""
    opens_in, queue = state.next_available(now), state.queue
    delay = OFFER_TIMEOUT if opens_in == math.inf else opens_in
    if ticket.at_head and not (queue and queue[0].offered_at is not None):
        return delay
    ahead = ticket.number - queue[0].number if queue else 0
    return delay + OFFER_TIMEOUT * min(max(ahead, 1), POLL_DEPTH)  # only to see whether the tickets ahead are still alive


def _polls_too_late(state: KeyState, ticket: Ticket, now: float) -> bool:
    return now + _poll_delay(state, ticket, now) < ticket.polls_at - WORTH_WAKING and state.next_available(now) < math.inf

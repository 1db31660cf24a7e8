"""Admission queues: at most so many requests of a key at a time, the rest first come, first served, in any thread or event loop.

The waiting requests drive a queue themselves, without a thread or task of its own. It survives waiters that vanish from it.

No count is kept: places are counted by weak references to the tickets that hold them. Whatever an exception out of a signal
handler interrupts, a ticket that nobody holds any more holds no place.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from itertools import count, islice
from typing import Any, Callable, Generic, TypeVar, cast
from weakref import ref

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
    """One request: waiting in a queue, or admitted. Only its caller keeps it alive: with it goes its place."""

    __slots__ = ("__weakref__", "acquired", "admitted", "key", "number", "place", "returning", "state", "waiting")

    def __init__(self, key: Hashable, state: Any, number: float, returning: bool) -> None:
        self.key = key
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


class KeyState(ABC):
    """The state of one key: its queue and, in subclasses, its slots."""

    def __init__(self) -> None:
        self.queue: deque[Waiting] = deque()
        self.lost: list[Waiting] = []
        """Entries whose tickets are gone. Some may still be in the queue, until `purge`."""
        self.taken: set[ref[Ticket] | None] = set()
        """The places of the admitted tickets. The place of a ticket that is gone removes itself."""
        self.forget = self.taken.discard
        self.used = False

    @abstractmethod
    def available(self, now: float) -> int:
        """Return how many requests may be admitted now."""

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
        self._logged = False

    def available(self, now: float) -> int:
        return self._slots - len(self.taken)

    def acquire(self, ticket: Ticket, now: float) -> None:
        self._logged = self._logged and len(self.queue) > 0

    def in_use(self, now: float) -> bool:
        return bool(self.taken)

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
        """Return a ticket that is admitted or queued; None if `max_queue` requests are waiting already.

        A request that was admitted before is queued by the `number` that it had.
        """
        with self.states.lock:
            state = self.states[key]
            state.used = True
            returning = number is not None
            ticket = Ticket(key, state, state.queue_number(next(self.numbers)) if number is None else number, returning)
            waiters = self._offer(state, now) if state.queue else []
            entered: Ticket | None = ticket
            if not state.queue and state.available(now) > 0:
                _take(state, ticket, now)
            elif len(state.queue) < max_queue:
                _enqueue(state, ticket)
                waiters += self._offer(state, now)
            else:
                entered = None
        for waiter in waiters:
            waiter.wake()
        return entered

    def admit(self, ticket: Ticket, now: float) -> bool:
        """Admit a ticket that was woken, if a slot is available; else it waits on, queued again if its offer had expired."""
        with self.states.lock:
            state, entry = ticket.state, ticket.waiting
            assert entry is not None
            queued = entry in state.queue
            if not queued:
                state = ticket.state = self.states[ticket.key]  # after its offer expired, the state may have been forgotten
            if (entry.offered_at is not None or not queued) and state.available(now) > 0:
                ticket.number = entry.number
                _take(state, ticket, now)
                if queued:
                    state.remove(entry)
                ticket.waiting = None
            elif queued:
                entry.waiter, entry.offered_at = Waiter(), None
            else:
                _enqueue(state, ticket)
            waiters = self._offer(state, now) if state.queue else []
        for waiter in waiters:
            waiter.wake()
        return ticket.admitted

    def leave(self, ticket: Ticket, now: float) -> None:
        """Release the slot of an admitted ticket, or remove a queued one. A second call has no effect."""
        state = ticket.state
        with self.states.lock:
            state.forget(ticket.place)
            ticket.place, ticket.admitted = None, False
            if ticket.waiting is not None:
                state.remove(ticket.waiting)
                ticket.waiting = None
            if not state.queue:
                return
            waiters = self._offer(state, now)
        for waiter in waiters:
            waiter.wake()

    def poll(self, ticket: Ticket, now: float) -> float:
        """Offer the slots that are available; return the seconds after which the ticket polls again."""
        state, entry = ticket.state, ticket.waiting
        assert entry is not None
        with self.states.lock:
            waiters = self._offer(state, now)
            delay = _poll_delay(state, entry, now)
            entry.polls_at = now + delay
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
                waiters += [entry.waiter for entry in list(state.queue) if entry.gives_up_at < opens_at]
        for waiter in waiters:
            waiter.wake()

    def _offer(self, state: R, now: float) -> list[Waiter]:
        """Offer the available slots to the first tickets, without those whose offer expired; return the waiters to wake.

        The ticket behind them is woken too if it must watch the clock from now on, or earlier than it thinks.
        """
        state.purge()
        queue = state.queue
        waiters: list[Waiter] = []
        available = state.available(now)
        while available > 0 and queue and _offer_expired(head := queue[0], now):
            state.remove(head)
        if not queue or (available >= len(queue) and queue[0].offered_at is not None and queue[-1].offered_at is not None):
            return waiters  # each ticket has its offer
        # A copy: at any line the garbage collector may close an abandoned response, and so leave this queue.
        for number, entry in enumerate(tuple(islice(queue, max(available, 0) + 1))):
            if number < available and entry.offered_at is None:
                entry.offered_at = now
                waiters.append(entry.waiter)
            elif number >= available and (not entry.at_head or _polls_too_late(state, entry, now)):
                entry.at_head, entry.polls_at = True, -math.inf
                waiters.append(entry.waiter)
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
    now = call.clock.monotonic()
    try:
        while (entry := ticket.waiting) is not None and now < until:
            entry.gives_up_at = until
            if check is not None:
                check(now)
            woken = await call.park(entry.waiter, min(until - now, queue.poll(ticket, now)))
            now = call.clock.monotonic()
            if woken or entry.offered_at is not None:  # what was to wake it may have been interrupted
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


def _take(state: KeyState, ticket: Ticket, now: float) -> None:
    """Admit a ticket."""
    ticket.place = place = ref(ticket, state.forget)
    state.taken.add(place)
    ticket.acquired = state.acquire(ticket, now)
    ticket.admitted = True


def _enqueue(state: KeyState, ticket: Ticket) -> None:
    """Insert an entry for a ticket by its number: nearly always at the end, or at the front."""
    before, ticket.waiting = ticket.waiting, Waiting(ticket, state.lost.append)
    entry = ticket.waiting
    entry.number, entry.returning, entry.waiter, entry.offered_at = ticket.number, ticket.returning, Waiter(), None
    entry.at_head, entry.polls_at, entry.gives_up_at = False, math.inf, math.inf
    if before is not None:
        entry.number, entry.at_head, entry.polls_at, entry.gives_up_at = (
            before.number,
            before.at_head,
            before.polls_at,
            before.gives_up_at,
        )
    queue = state.queue
    at = len(queue) if queue and queue[0].number < entry.number else 0
    while at and queue[at - 1].number > entry.number:
        at -= 1
    queue.insert(at, entry)


def _offer_expired(entry: Waiting, now: float) -> bool:
    return entry.offered_at is not None and now - entry.offered_at >= OFFER_TIMEOUT


def _poll_delay(state: KeyState, entry: Waiting, now: float) -> float:
    """Return the seconds after which a entry polls the queue by itself."""
    opens_in, queue = state.next_available(now), state.queue
    delay = OFFER_TIMEOUT if opens_in == math.inf else opens_in
    if entry.at_head and not (queue and queue[0].offered_at is not None):
        return delay
    ahead = entry.number - queue[0].number if queue else 0
    return delay + OFFER_TIMEOUT * min(max(ahead, 1), POLL_DEPTH)  # only to see whether the entrys ahead are still alive


def _polls_too_late(state: KeyState, entry: Waiting, now: float) -> bool:
    return now + _poll_delay(state, entry, now) < entry.polls_at - WORTH_WAKING and state.next_available(now) < math.inf

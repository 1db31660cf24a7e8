"""A queue before something that lets in so many at a time: first come, first served, in any number of threads and event loops.

Nobody but those who wait keeps it going: no thread and no task of its own. It survives those who vanish from it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from itertools import count, islice
from typing import Any, Callable, Generic, TypeVar

from .._util.bounded_table import Table
from ..layer import Call, Watcher
from .call_state import CallState
from .clock import Clock, Waiter

MAX_KEYS = 1000
"""Keys remembered at most."""

OFFER_TIMEOUT = 1.0
"""Seconds after which someone who was called, and did not come, is passed over: its thread or event loop may be gone."""


POLL_DEPTH = 10
"""Who has so many before it, or more, watches them no more often than it would with so many."""

WORTH_WAKING = 1e-4
"""Seconds that are not worth waking anyone for."""

LOGGED_WAIT = 1.0
"""Seconds of waiting from which on a wait is logged."""


class Ticket:
    """One request: in the queue, or inside."""

    __slots__ = (
        *("acquired", "admitted", "at_head", "gives_up_at", "key", "number", "offered_at", "polls_at", "returning", "state"),
        "waiter",
    )

    def __init__(self, key: Hashable, state: Any, number: float, returning: bool) -> None:
        self.key = key
        self.state = state
        self.number = number
        self.returning = returning
        """It has been inside before."""
        self.admitted = False
        self.waiter: Waiter | None = None
        """To park on, in the queue."""
        self.offered_at: float | None = None
        """Since when it has been its turn."""
        self.at_head = False
        """It knows that nobody is before it but those who were called, and watches the clock."""
        self.polls_at = math.inf
        """When it will look again by itself."""
        self.gives_up_at = math.inf
        """When its patience is over."""
        self.acquired: Any = None
        """What the room noted when it came in."""


class KeyState(ABC):
    """What is going on with one key: who waits, and, as subclasses know, how many may come in."""

    def __init__(self) -> None:
        self.queue: deque[Ticket] = deque()
        self.used = False

    @abstractmethod
    def available(self, now: float) -> int:
        """How many may come in now."""

    def next_available(self, now: float) -> float:
        """Seconds after which one may come in although nobody went out; inf if it does not depend on the time."""
        return math.inf

    @abstractmethod
    def acquire(self, now: float) -> Any:
        """One came in. What is to be noted with its place."""

    @abstractmethod
    def release(self, now: float) -> None:
        """One went out."""

    @abstractmethod
    def in_use(self, now: float) -> bool:
        """It cannot be forgotten, although nobody waits."""

    def queue_number(self, number: float) -> float:
        """The place in the line of one who has just come."""
        return number

    def idle(self, now: float) -> bool:
        """See `Entry`."""
        used, self.used = self.used, False
        return not (used or self.queue or self.in_use(now))


R = TypeVar("R", bound=KeyState)


class Queue(Generic[R]):
    """A room for each key, and the queue before it. `now`: seconds, monotonic."""

    def __init__(self, make: Callable[[Hashable], R]) -> None:
        self.states = Table(make, MAX_KEYS)
        self._lock = self.states.lock
        self.numbers = count()
        """For each who comes, its place in the line of all that ever came."""

    def enter(self, key: Hashable, now: float, max_queue: float, number: float | None = None) -> Ticket | None:
        """A place inside or, with a `waiter`, in the queue; None if `max_queue` are waiting already.

        Who has been inside before, with this `number`, comes before all who have a higher one.
        """
        with self._lock:
            state = self.states[key]
            state.used = True
            returning = number is not None
            ticket = Ticket(key, state, state.queue_number(next(self.numbers)) if number is None else number, returning)
            waiters = self._offer(state, now)
            ticket.admitted = not state.queue and state.available(now) > 0
            waits = not ticket.admitted and len(state.queue) < max_queue
            if ticket.admitted:
                ticket.acquired = state.acquire(now)
            elif waits:
                ticket.waiter = Waiter()
                enqueue(state.queue, ticket)
                waiters += self._offer(state, now)
        _wake(waiters)
        return ticket if ticket.admitted or waits else None

    def admit(self, ticket: Ticket, now: float) -> bool:
        """Whether someone from the queue, who was woken, is now inside. Who was passed over waits as the first again."""
        with self._lock:
            state = ticket.state
            queued = ticket in state.queue
            if not queued:
                state = ticket.state = self.states[ticket.key]  # it may have been forgotten with one who was passed over
            ticket.admitted = (ticket.offered_at is not None or not queued) and state.available(now) > 0
            if ticket.admitted:
                if queued:
                    state.queue.remove(ticket)
                ticket.acquired = state.acquire(now)
            else:
                ticket.waiter, ticket.offered_at = Waiter(), None
                if not queued:
                    enqueue(state.queue, ticket)
            waiters = self._offer(state, now)
        _wake(waiters)
        return ticket.admitted

    def leave(self, ticket: Ticket, now: float) -> None:
        """Make room for the next: from inside, or from the queue. Leaving twice is leaving once."""
        state = ticket.state
        with self._lock:
            if ticket.admitted:
                ticket.admitted = False
                state.release(now)
            elif ticket in state.queue:
                state.queue.remove(ticket)
            waiters = self._offer(state, now)
        _wake(waiters)

    def poll(self, ticket: Ticket, now: float) -> float:
        """Call whose turn it is. Seconds until that is to be asked again."""
        state = ticket.state
        with self._lock:
            waiters = self._offer(state, now)
            delay = _poll_delay(state, ticket, now)
            ticket.polls_at = now + delay
        _wake(waiters)
        return delay

    def changed(self, state: R, now: float, *, worse: bool = False) -> None:
        """What the queue waits for has changed: call whose turn it is and, if for the worse, who waits in vain now."""
        with self._lock:
            waiters = self._offer(state, now)
            if worse and state.queue:
                opens_at = now + state.next_available(now)
                waiters += [one.waiter for one in state.queue if one.gives_up_at < opens_at and one.waiter is not None]
        _wake(waiters)

    def _offer(self, state: R, now: float) -> list[Waiter]:
        """Whom to wake: as many as may come in, without those who were called and did not come, and the next after them."""
        queue = state.queue
        waiters: list[Waiter] = []
        available = state.available(now) if queue else 0
        while available > 0 and queue and _missed_offer(queue[0], now):
            queue.popleft()
        if not queue or (available >= len(queue) and queue[0].offered_at is not None and queue[-1].offered_at is not None):
            return waiters  # all are
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
    """Wait to be inside, at most `until`, by the monotonic clock. When the waiting was over.

    `check(now)` is called each time before there is waiting, and raises if that has become pointless.
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
            queue.poll(ticket, now)  # its turn may have come with the end of its patience
            queue.admit(ticket, now)
        return now
    finally:
        state.left_queue_at = call.clock.monotonic()


class HeldTicket(Watcher):
    """A place that is held until a body is done with: see `Watcher`."""

    __slots__ = ("_clock", "_queue", "_ticket")

    def __init__(self, queue: Queue[Any], ticket: Ticket, clock: Clock) -> None:
        self._queue, self._ticket, self._clock = queue, ticket, clock

    async def complete(self) -> None:
        self.closed()

    def closed(self) -> None:
        self._queue.leave(self._ticket, self._clock.monotonic())


def enqueue(queue: deque[Ticket], ticket: Ticket) -> None:
    """Put a place where it belongs: nearly always at the end, or at the front."""
    at = len(queue) if queue and queue[0].number < ticket.number else 0
    while at and queue[at - 1].number > ticket.number:
        at -= 1
    queue.insert(at, ticket)


def _missed_offer(ticket: Ticket, now: float) -> bool:
    """It was called, and did not come."""
    return ticket.offered_at is not None and now - ticket.offered_at >= OFFER_TIMEOUT


def _poll_delay(state: KeyState, ticket: Ticket, now: float) -> float:
    """Seconds after which someone in the queue is to look again by itself."""
    opens_in, queue = state.next_available(now), state.queue
    delay = OFFER_TIMEOUT if opens_in == math.inf else opens_in
    if ticket.at_head and not (queue and queue[0].offered_at is not None):
        return delay
    before = ticket.number - queue[0].number if queue else 0
    return delay + OFFER_TIMEOUT * min(max(before, 1), POLL_DEPTH)  # it only watches whether those before it are still there


def _polls_too_late(state: KeyState, ticket: Ticket, now: float) -> bool:
    """The first one is to look again sooner than it thinks."""
    return now + _poll_delay(state, ticket, now) < ticket.polls_at - WORTH_WAKING and state.next_available(now) < math.inf


def _wake(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()

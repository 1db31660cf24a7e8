"""Admission queues: at most so many requests of a key at a time, the rest first come, first served, in any thread or event loop.

The waiting requests drive a queue themselves, without a thread or task of its own. It survives waiters that vanish from it.

No count is kept: places are counted by weak references to the tickets that hold them. Whatever an exception out of a signal
handler interrupts, a ticket that nobody holds any more holds no place.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Hashable, Sequence
from itertools import count, islice
from typing import Any, Callable, Generic, TypeVar, cast
from weakref import ref

from .._util.bounded_table import Monotonic, Table
from ..layer import Call, Watcher
from .call_state import CallState
from .clock import Clock, Waiter
from .forks import renew_after_fork
from .key_state import OFFER_TIMEOUT, KeyEntry, KeyState, Ticket, Waiting

MAX_KEYS = 1000
"""Keys whose state is kept, at most."""

POLL_DEPTH = 10
"""Tickets ahead, at most, by whose number the interval grows at which a ticket polls the queue."""

WORTH_WAKING = 1e-4
"""Seconds by which a ticket must be due earlier than it polls next, for it to be woken."""

LOGGED_WAIT = 1.0
"""Seconds of waiting from which on a wait is logged."""


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


R = TypeVar("R", bound=KeyEntry)


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
            for lane in old.lanes_in_use():
                lane.queue.clear()  # its waiters' locks may be held for ever
            if new is not None:
                self.states[key] = cast(R, new)

    def enter(
        self, key: Hashable, now: float, max_queue: float, number: float | None = None, route: Hashable = None
    ) -> Ticket | None:
        """Return a ticket that is admitted or queued; None if `max_queue` requests are waiting already.

        A request that was admitted before is queued by the `number` that it had.
        """
        with self.states.lock:
            owner = self.states[key]
            owner.used = True
            state = owner.lane(route)
            returning = number is not None
            ticket = Ticket(key, route, state, state.queue_number(next(self.numbers)) if number is None else number, returning)
            waiters = self._offer(state, now) if state.queue else []
            entered: Ticket | None = ticket
            if not state.queue and _goes_first(state, now):
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
                # after its offer expired, the state may have been forgotten
                state = ticket.state = self.states[ticket.key].lane(ticket.route)
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

    def take(self, ticket: Ticket, now: float) -> None:
        """Admit a queued ticket, whether a slot is available or not."""
        with self.states.lock:
            entry = ticket.waiting
            assert entry is not None
            _take(ticket.state, ticket, now)
            ticket.state.remove(entry)
            ticket.waiting = None

    def leave(self, ticket: Ticket, now: float) -> None:
        """Release the slot of an admitted ticket, or remove a queued one. A second call has no effect."""
        state = ticket.state
        with self.states.lock:
            state.forget(ticket.place)
            ticket.place, ticket.admitted = None, False
            if ticket.waiting is not None:
                state.remove(ticket.waiting)
                ticket.waiting = None
            if not any(each.queue for each in state.together()):
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

    def changed(self, state: KeyState, now: float, *, worse: bool = False, wake_all: bool = False) -> None:
        """Offer the slots that are available after a change of `state`.

        After one for the worse, wake also the tickets that give up before the next slot becomes available, or all.
        """
        with self.states.lock:
            waiters = self._offer(state, now)
            if worse:
                for each in state.together():
                    opens_at = now + each.next_available(now)
                    waiters += [entry.waiter for entry in list(each.queue) if wake_all or entry.gives_up_at < opens_at]
        for waiter in waiters:
            waiter.wake()

    def _offer(self, state: KeyState, now: float) -> list[Waiter]:
        """Offer the available slots to the first tickets, without those whose offer expired; return the waiters to wake.

        In each queue the ticket behind them is woken too if it must watch the clock from now on, or earlier than it thinks.
        """
        states = state.together()
        for each in states:
            each.purge()
            while each.queue and _offer_expired(head := each.queue[0], now) and each.available(now) > 0:
                each.remove(head)
        waiters: list[Waiter] = []
        for each, available in zip(states, _shares(states, now)):
            queue = each.queue
            if not queue or (available >= len(queue) and queue[0].offered_at is not None and queue[-1].offered_at is not None):
                continue  # each ticket has its offer
            # A copy: at any line the garbage collector may close an abandoned response, and so leave this queue.
            for number, entry in enumerate(tuple(islice(queue, max(available, 0) + 1))):
                if number < available and entry.offered_at is None:
                    entry.offered_at = now
                    waiters.append(entry.waiter)
                elif number >= available and (not entry.at_head or _polls_too_late(each, entry, now)):
                    entry.at_head, entry.polls_at = True, -math.inf
                    waiters.append(entry.waiter)
        return waiters


def _goes_first(state: KeyState, now: float) -> bool:
    """Whether a request whose queue is empty may be admitted at once: there is a slot, and nobody in another queue wants it."""
    if state.available(now) < 1:
        return False
    others = sum(len(each.queue) for each in state.together() if each is not state)
    return not others or state.common(now) > others


def _shares(states: Sequence[KeyState], now: float) -> list[int]:
    """Return how many tickets of each queue there are slots for; those of the key go to who has waited longest."""
    if len(states) == 1:
        return [states[0].available(now)]
    common = states[0].common(now)
    shares = [max(int(min(state.own(now), len(state.queue))), 0) for state in states]
    if sum(shares) <= common:
        return shares
    entries = [[(entry.number, at) for entry in islice(states[at].queue, share)] for at, share in enumerate(shares)]
    first = heapq.merge(*entries)
    taken = [at for _, at in islice(first, max(int(common), 0))]
    return [taken.count(at) for at in range(len(states))]


async def wait_turn(
    queue: Queue[Any],
    ticket: Ticket,
    until: float,
    state: CallState,
    call: Call[Any, Any],
    check: Callable[[float], float] | None = None,
) -> float:
    """Wait until the ticket is admitted, or until `until` on the monotonic clock; return the time when the wait ended.

    `check(now)` is called before each wait: it returns until when to wait as things stand, or raises if that is pointless.
    """
    now = call.clock.monotonic()
    try:
        while (entry := ticket.waiting) is not None and now < until:
            if check is not None and (until := check(now)) <= now:
                break
            entry.gives_up_at = until
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

"""The bulkhead: a fixed number of slots for each key."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Callable

from .._core.admission import Queue, Slots
from .._core.clock import Clock
from .._core.key_state import Ticket
from .._core.own_clock import OwnClock
from .._keywords import explained
from .._validation import clock as checked_clock
from .._validation import key_function, seconds, whole


@explained()
class Bulkhead:
    """Limits how many requests to a server are in flight at once, from sending to the end of the response's body.

    Further requests wait for a slot, first come, first served. Can be shared by any number of clients, threads and event loops,
    of both libraries.

    - `max_in_flight`: slots, that is requests in flight at once; at least 1.
    - `max_queue`: requests that wait for a slot, at most; at least 0. Any further request is refused at once.
    - `max_wait`: seconds, above 0, that a request waits for a slot before it is refused.
    - `key`: `key(request)` returns the key by which requests are counted, any hashable, in place of their origin (scheme, host
      and port).
    - `clock`: the time that it waits and measures by; for tests. None: that of the client or transport.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        max_in_flight: int = 10,
        *,
        max_queue: int = 100,
        max_wait: float = 30.0,
        key: Callable[[Any], Hashable] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.max_in_flight = whole("max_in_flight", max_in_flight, least=1)
        self.max_queue = whole("max_queue", max_queue, least=0)
        self.max_wait = seconds("max_wait", max_wait, above_zero=True)
        self.key = None if key is None else key_function(key, "Bulkhead")
        self._clock = OwnClock(checked_clock(clock))
        self._queue = Queue(lambda _: Slots(self.max_in_flight), self._clock)

    def __repr__(self) -> str:
        return f"Bulkhead(max_in_flight={self.max_in_flight}, max_queue={self.max_queue}, max_wait={self.max_wait:g})"

    def get_state(self, key: Hashable = None) -> dict[str, int]:
        """Return how many requests of this key, or of all keys if None, are `in_flight` and how many are `waiting`."""
        with self._queue.states.lock:
            states = [state for each, state in self._queue.states.items() if key is None or each == key]
            for state in states:
                state.purge()
            return {"in_flight": sum(len(state.taken) for state in states), "waiting": sum(len(state.queue) for state in states)}

    def _enter(self, key: Hashable, now: float) -> Ticket | None:
        """Return a ticket, admitted or queued; None if the queue is full. `now`: seconds on a monotonic clock."""
        return self._queue.enter(key, now, self.max_queue)

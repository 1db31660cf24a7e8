"""The places of a bulkhead, and the queue before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import islice
from typing import Any, Callable

from ..clock import Waiter
from ..table import Table
from ..validation import function, seconds, whole

ROOMS = 1000
"""Keys remembered at most."""

GRACE = 1.0
"""Seconds after which someone who was called, and did not come, is passed over: its thread or event loop may be gone."""


class Place:
    """One request: in the queue, or inside."""

    __slots__ = ("called_at", "inside", "key", "room", "waiter")

    def __init__(self, key: Hashable, room: Room) -> None:
        self.key = key
        self.room = room
        self.inside = False
        self.waiter: Waiter | None = None
        """To park on, in the queue."""
        self.called_at: float | None = None
        """Since when it has been its turn."""


class Room:
    """What is going on with one key."""

    __slots__ = ("in_flight", "queue", "used")

    def __init__(self) -> None:
        self.in_flight = 0
        self.queue: deque[Place] = deque()
        self.used = False

    def idle(self) -> bool:
        """See `Entry`."""
        used, self.used = self.used, False
        return not (used or self.in_flight or self.queue)


class Bulkhead:
    """Bounds how many requests to a server are in flight at once, from sending to the end of the response's body.

    What is too many waits, first come first served. May be shared by any number of clients, threads and event loops, of both
    libraries.

    - `max_in_flight`: requests at once; at least 1.
    - `max_queue`: requests that wait at most; at least 0. One more is refused at once.
    - `max_wait`: seconds above 0 that a request waits before it is refused.
    - `key`: `key(request)` gives what requests are counted together, in place of their origin (scheme, host and port). Anything
      hashable.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        max_in_flight: int = 10,
        *,
        max_queue: int = 100,
        max_wait: float = 30.0,
        key: Callable[[Any], Hashable] | None = None,
    ) -> None:
        self.max_in_flight = whole("max_in_flight", max_in_flight, least=1)
        self.max_queue = whole("max_queue", max_queue, least=0)
        self.max_wait = seconds("max_wait", max_wait, above_zero=True)
        self.key = None if key is None else function("key", key, "the request")
        self._rooms = Table(Room, ROOMS)
        self._lock = self._rooms.lock

    def __repr__(self) -> str:
        return f"Bulkhead(max_in_flight={self.max_in_flight}, max_queue={self.max_queue}, max_wait={self.max_wait:g})"

    def get_state(self, key: Hashable = None) -> dict[str, int]:
        """How many requests are `in_flight`, and `waiting`: of this key, or without one of all of them."""
        with self._lock:
            rooms = [*self._rooms.values()] if key is None else [self._rooms.get(key) or Room()]
            return {"in_flight": sum(room.in_flight for room in rooms), "waiting": sum(len(room.queue) for room in rooms)}

    # -- what a layer asks and tells. `now`: seconds, monotonic.

    def enter(self, key: Hashable, now: float) -> Place | None:
        """A place inside or, with a `waiter`, in the queue; None if the queue is full."""
        with self._lock:
            room = self._rooms[key]
            room.used = True
            place = Place(key, room)
            called = self._call(room, now) if room.queue else []
            place.inside = not room.queue and room.in_flight < self.max_in_flight
            waits = not place.inside and len(room.queue) < self.max_queue
            if place.inside:
                room.in_flight += 1
            elif waits:
                place.waiter = Waiter()
                room.queue.append(place)
                called += self._call(room, now)
        _wake(called)
        return place if place.inside or waits else None

    def take(self, place: Place, now: float) -> bool:
        """Whether someone from the queue, who was called, is now inside. If not, it was passed over, and waits as the first."""
        with self._lock:
            room = place.room = self._rooms[place.key]  # it may have been forgotten with one who was passed over
            if place in room.queue:
                room.queue.remove(place)
            place.inside = room.in_flight < self.max_in_flight
            if place.inside:
                room.in_flight += 1
            else:
                place.waiter, place.called_at = Waiter(), None
                room.queue.appendleft(place)
            called = self._call(room, now)
        _wake(called)
        return place.inside

    def leave(self, place: Place, now: float) -> None:
        """Make room for the next: from inside, or from the queue. Leaving twice is leaving once."""
        room = place.room
        with self._lock:
            if place.inside:
                place.inside = False
                room.in_flight -= 1
            elif place in room.queue:
                room.queue.remove(place)
            called = self._call(room, now) if room.queue else []
        _wake(called)

    def look(self, place: Place, now: float) -> None:
        """Pass over who was called and did not come. To be asked every `GRACE` seconds while waiting."""
        with self._lock:
            called = self._call(place.room, now)
        _wake(called)

    def _call(self, room: Room, now: float) -> list[Waiter]:
        """Whom to wake: as many as there are free places, without those who were called before and did not come."""
        called = []
        queue, free = room.queue, self.max_in_flight - room.in_flight
        for place in [place for place in islice(queue, free) if place.called_at is not None and now - place.called_at >= GRACE]:
            queue.remove(place)
        for place in islice(queue, free):
            if place.called_at is None:
                place.called_at = now
                assert place.waiter is not None
                called.append(place.waiter)
        return called


def _wake(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()

"""A queue before something that lets in so many at a time: first come, first served, in any number of threads and event loops.

Nobody but those who wait keeps it going: no thread and no task of its own. It survives those who vanish from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from itertools import islice
from typing import Any, Callable, Generic, TypeVar

from .clock import Waiter
from .layer import Call
from .table import Table

KEYS = 1000
"""Keys remembered at most."""

GRACE = 1.0
"""Seconds after which someone who was called, and did not come, is passed over: its thread or event loop may be gone."""


class Place:
    """One request: in the queue, or inside."""

    __slots__ = ("called_at", "first", "inside", "key", "room", "waiter")

    def __init__(self, key: Hashable, room: Any) -> None:
        self.key = key
        self.room = room
        self.inside = False
        self.waiter: Waiter | None = None
        """To park on, in the queue."""
        self.called_at: float | None = None
        """Since when it has been its turn."""
        self.first = False
        """It knows that nobody is before it but those who were called, and watches the clock."""


class Room(ABC):
    """What is going on with one key: who waits, and, as subclasses know, how many may come in."""

    def __init__(self) -> None:
        self.queue: deque[Place] = deque()
        self.used = False

    @abstractmethod
    def free(self, now: float) -> int:
        """How many may come in now."""

    def opens(self, now: float) -> float:
        """Seconds after which to ask again, if nothing happens before."""
        return GRACE

    @abstractmethod
    def come(self, now: float) -> None:
        """One came in."""

    @abstractmethod
    def gone(self, now: float) -> None:
        """One went out."""

    @abstractmethod
    def busy(self) -> bool:
        """It cannot be forgotten, although nobody waits."""

    def idle(self, now: float) -> bool:
        """See `Entry`."""
        used, self.used = self.used, False
        return not (used or self.queue or self.busy())


R = TypeVar("R", bound=Room)


class Queue(Generic[R]):
    """A room for each key, and the queue before it. `now`: seconds, monotonic."""

    def __init__(self, make: Callable[[], R]) -> None:
        self.rooms = Table(make, KEYS)
        self._lock = self.rooms.lock

    def enter(self, key: Hashable, now: float, max_queue: float) -> Place | None:
        """A place inside or, with a `waiter`, in the queue; None if `max_queue` are waiting already."""
        with self._lock:
            room = self.rooms[key]
            room.used = True
            place = Place(key, room)
            called = self._call(room, now) if room.queue else []
            place.inside = not room.queue and room.free(now) > 0
            waits = not place.inside and len(room.queue) < max_queue
            if place.inside:
                room.come(now)
            elif waits:
                place.waiter = Waiter()
                room.queue.append(place)
                called += self._call(room, now)
        _wake(called)
        return place if place.inside or waits else None

    def take(self, place: Place, now: float) -> bool:
        """Whether someone from the queue, who was woken, is now inside. Who was passed over waits as the first again."""
        with self._lock:
            room = place.room
            queued = place in room.queue
            if not queued:
                room = place.room = self.rooms[place.key]  # it may have been forgotten with one who was passed over
            place.inside = (place.called_at is not None or not queued) and room.free(now) > 0
            if place.inside:
                if queued:
                    room.queue.remove(place)
                room.come(now)
            else:
                place.waiter, place.called_at = Waiter(), None
                if not queued:
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
                room.gone(now)
            elif place in room.queue:
                room.queue.remove(place)
            called = self._call(room, now) if room.queue else []
        _wake(called)

    def look(self, place: Place, now: float) -> float:
        """Call whose turn it is. Seconds until that is to be asked again."""
        room = place.room
        with self._lock:
            called = self._call(room, now)
            patience: float = room.opens(now)
            if not place.first or (room.queue and room.queue[0].called_at is not None):
                patience += GRACE  # others watch: this one only whether they are still there
        _wake(called)
        return patience

    def _call(self, room: R, now: float) -> list[Waiter]:
        """Whom to wake: as many as may come in, without those who were called and did not come, and the next after them."""
        queue = room.queue
        called: list[Waiter] = []
        if not queue:
            return called
        free = room.free(now)
        for place in [place for place in islice(queue, free) if place.called_at is not None and now - place.called_at >= GRACE]:
            queue.remove(place)
        for number, place in enumerate(islice(queue, free + 1)):
            assert place.waiter is not None
            if number < free and place.called_at is None:
                place.called_at = now
                called.append(place.waiter)
            elif number == free and not place.first:
                place.first = True
                called.append(place.waiter)
        return called


async def wait_turn(queue: Queue[Any], place: Place, until: float, call: Call[Any, Any]) -> float:
    """Wait to be inside, at most `until`, by the monotonic clock. When the waiting was over."""
    now = call.clock.monotonic()
    while not place.inside and now < until:
        assert place.waiter is not None
        woken = await call.park(place.waiter, min(until - now, queue.look(place, now)))
        now = call.clock.monotonic()
        if woken:
            queue.take(place, now)
    return now


def _wake(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()

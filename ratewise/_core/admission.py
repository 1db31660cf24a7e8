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

KEYS = 1000
"""Keys remembered at most."""

GRACE = 1.0
"""Seconds after which someone who was called, and did not come, is passed over: its thread or event loop may be gone."""


DEEP = 10
"""Who has so many before it, or more, watches them no more often than it would with so many."""

INSTANT = 1e-4
"""Seconds that are not worth waking anyone for."""


class Place:
    """One request: in the queue, or inside."""

    __slots__ = ("again", "called_at", "came", "first", "inside", "key", "looks_at", "number", "room", "until", "waiter")

    def __init__(self, key: Hashable, room: Any, number: float, again: bool) -> None:
        self.key = key
        self.room = room
        self.number = number
        self.again = again
        """It has been inside before."""
        self.inside = False
        self.waiter: Waiter | None = None
        """To park on, in the queue."""
        self.called_at: float | None = None
        """Since when it has been its turn."""
        self.first = False
        """It knows that nobody is before it but those who were called, and watches the clock."""
        self.looks_at = math.inf
        """When it will look again by itself."""
        self.until = math.inf
        """When its patience is over."""
        self.came: Any = None
        """What the room noted when it came in."""


class Room(ABC):
    """What is going on with one key: who waits, and, as subclasses know, how many may come in."""

    def __init__(self) -> None:
        self.queue: deque[Place] = deque()
        self.used = False

    @abstractmethod
    def free(self, now: float) -> int:
        """How many may come in now."""

    def opens(self, now: float) -> float:
        """Seconds after which one may come in although nobody went out; inf if it does not depend on the time."""
        return math.inf

    @abstractmethod
    def come(self, now: float) -> Any:
        """One came in. What is to be noted with its place."""

    @abstractmethod
    def gone(self, now: float) -> None:
        """One went out."""

    @abstractmethod
    def busy(self, now: float) -> bool:
        """It cannot be forgotten, although nobody waits."""

    def number(self, number: float) -> float:
        """The place in the line of one who has just come."""
        return number

    def idle(self, now: float) -> bool:
        """See `Entry`."""
        used, self.used = self.used, False
        return not (used or self.queue or self.busy(now))


R = TypeVar("R", bound=Room)


class Queue(Generic[R]):
    """A room for each key, and the queue before it. `now`: seconds, monotonic."""

    def __init__(self, make: Callable[[Hashable], R]) -> None:
        self.rooms = Table(make, KEYS)
        self._lock = self.rooms.lock
        self.numbers = count()
        """For each who comes, its place in the line of all that ever came."""

    def enter(self, key: Hashable, now: float, max_queue: float, number: float | None = None) -> Place | None:
        """A place inside or, with a `waiter`, in the queue; None if `max_queue` are waiting already.

        Who has been inside before, with this `number`, comes before all who have a higher one.
        """
        with self._lock:
            room = self.rooms[key]
            room.used = True
            again = number is not None
            place = Place(key, room, room.number(next(self.numbers)) if number is None else number, again)
            called = self._call(room, now)
            place.inside = not room.queue and room.free(now) > 0
            waits = not place.inside and len(room.queue) < max_queue
            if place.inside:
                place.came = room.come(now)
            elif waits:
                place.waiter = Waiter()
                line_up(room.queue, place)
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
                place.came = room.come(now)
            else:
                place.waiter, place.called_at = Waiter(), None
                if not queued:
                    line_up(room.queue, place)
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
            called = self._call(room, now)
        _wake(called)

    def look(self, place: Place, now: float) -> float:
        """Call whose turn it is. Seconds until that is to be asked again."""
        room = place.room
        with self._lock:
            called = self._call(room, now)
            patience = _patience(room, place, now)
            place.looks_at = now + patience
        _wake(called)
        return patience

    def changed(self, room: R, now: float, *, worse: bool = False) -> None:
        """What the queue waits for has changed: call whose turn it is and, if for the worse, who waits in vain now."""
        with self._lock:
            called = self._call(room, now)
            if worse and room.queue:
                opens = now + room.opens(now)
                called += [place.waiter for place in room.queue if place.until < opens and place.waiter is not None]
        _wake(called)

    def _call(self, room: R, now: float) -> list[Waiter]:
        """Whom to wake: as many as may come in, without those who were called and did not come, and the next after them."""
        queue = room.queue
        called: list[Waiter] = []
        free = room.free(now) if queue else 0
        while free > 0 and queue and _late(queue[0], now):
            queue.popleft()
        if not queue or (free >= len(queue) and queue[0].called_at is not None and queue[-1].called_at is not None):
            return called  # all are
        for number, place in enumerate(islice(queue, max(free, 0) + 1)):
            assert place.waiter is not None
            if number < free and place.called_at is None:
                place.called_at = now
                called.append(place.waiter)
            elif number >= free and (not place.first or _sooner(room, place, now)):
                place.first, place.looks_at = True, -math.inf
                called.append(place.waiter)
        return called


async def wait_turn(
    queue: Queue[Any],
    place: Place,
    until: float,
    state: CallState,
    call: Call[Any, Any],
    check: Callable[[float], object] | None = None,
) -> float:
    """Wait to be inside, at most `until`, by the monotonic clock. When the waiting was over.

    `check(now)` is called each time before there is waiting, and raises if that has become pointless.
    """
    now, place.until = call.clock.monotonic(), until
    try:
        while not place.inside and now < until:
            if check is not None:
                check(now)
            assert place.waiter is not None
            woken = await call.park(place.waiter, min(until - now, queue.look(place, now)))
            now = call.clock.monotonic()
            if woken:
                queue.take(place, now)
        if not place.inside:
            queue.look(place, now)  # its turn may have come with the end of its patience
            queue.take(place, now)
        return now
    finally:
        state.left_queue_at = call.clock.monotonic()


class Held(Watcher):
    """A place that is held until a body is done with: see `Watcher`."""

    __slots__ = ("_clock", "_place", "_queue")

    def __init__(self, queue: Queue[Any], place: Place, clock: Clock) -> None:
        self._queue, self._place, self._clock = queue, place, clock

    async def complete(self) -> None:
        self.closed()

    def closed(self) -> None:
        self._queue.leave(self._place, self._clock.monotonic())


def line_up(queue: deque[Place], place: Place) -> None:
    """Put a place where it belongs: nearly always at the end, or at the front."""
    at = len(queue) if queue and queue[0].number < place.number else 0
    while at and queue[at - 1].number > place.number:
        at -= 1
    queue.insert(at, place)


def _late(place: Place, now: float) -> bool:
    """It was called, and did not come."""
    return place.called_at is not None and now - place.called_at >= GRACE


def _patience(room: Room, place: Place, now: float) -> float:
    """Seconds after which someone in the queue is to look again by itself."""
    opens, queue = room.opens(now), room.queue
    patience = GRACE if opens == math.inf else opens
    if place.first and not (queue and queue[0].called_at is not None):
        return patience
    before = place.number - queue[0].number if queue else 0
    return patience + GRACE * min(max(before, 1), DEEP)  # it only watches whether those before it are still there


def _sooner(room: Room, place: Place, now: float) -> bool:
    """The first one is to look again sooner than it thinks."""
    return now + _patience(room, place, now) < place.looks_at - INSTANT and room.opens(now) < math.inf


def _wake(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()

"""The rate limiter: a governor for each key, and the queue before it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, Callable, NamedTuple

from ..queue import KEYS, Place, Queue, Room
from ..validation import flag, function, number, refusal, seconds, whole
from .governor import Came, Governor
from .limits import KnownLimit
from .told import Told

AGAIN = 0.001
"""Seconds after which to ask again at the earliest."""


class Part(NamedTuple):
    """Those requests of a key that the server counts apart from its others."""

    key: Hashable
    bucket: str


class GovernedRoom(Room):
    """Who waits for one key, and what holds them back."""

    def __init__(self, governor: Governor) -> None:
        super().__init__()
        self.governor = governor
        self.logged_until = 0.0
        """Until when the log says that there is waiting."""

    def free(self, now: float) -> int:
        return self.governor.free(now, len(self.queue))

    def opens(self, now: float) -> float:
        if self.governor.full:
            return math.inf
        return max(self.governor.opens(now, len(self.queue))[0], AGAIN)

    def come(self, now: float) -> Came:
        return self.governor.come(now)

    def gone(self, now: float) -> None:
        self.governor.done()

    def busy(self, now: float) -> bool:
        return not self.governor.idle(now)


class RateLimiter:
    """Sends no faster than is allowed, and holds everyone back when the server refuses one.

    Requests that must wait do so first come, first served. What the server tells of its limits, in any of the usual header
    fields, is kept to; a refusal (429, or 403 and 503 that say when to come back) pauses all requests of its key for as long as
    it asks. May be shared by any number of clients, threads and event loops, of both libraries.

    - `rate`: requests, above 0, in `per` seconds (above 0), and `burst` (at least 1) of them at once: in any t seconds at most
      burst + t * rate / per. None: as many as the server allows.
    - `concurrency`: requests in flight at once, to the end of the response's body; at least 1. None for any number.
    - `max_wait`: seconds above 0. A request that would wait longer is refused at once.
    - `pace`: spread what a window of the server's still allows evenly over the rest of it, instead of sending it as it comes.
    - `key`: `key(request)` gives what has a limit of its own, in place of the origin (scheme, host and port) and the credential
      (`Authorization` or an API key in a header). Anything hashable.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        rate: float | None = None,
        per: float = 1.0,
        burst: int = 1,
        *,
        concurrency: int | None = None,
        max_wait: float = 90.0,
        pace: bool = False,
        key: Callable[[Any], Hashable] | None = None,
    ) -> None:
        self.rate = None if rate is None else number("rate", rate)
        self.per = seconds("per", per, above_zero=True)
        self.burst = whole("burst", burst, least=1)
        for setting, value in (("per", per), ("burst", burst)):
            if rate is None and value != 1:
                raise ValueError(refusal(setting, value, "left out where no rate is given"))
        self.concurrency = None if concurrency is None else whole("concurrency", concurrency, least=1)
        self.max_wait = seconds("max_wait", max_wait, above_zero=True)
        self.pace = flag("pace", pace)
        self.key = None if key is None else function("key", key, "the request")
        self.queue = Queue(self._room)
        self.rooms = self.queue.rooms
        self.parts: dict[tuple[Hashable, str, str], Part] = {}
        """By key, method and path: what is known to be counted apart."""

    def __repr__(self) -> str:
        known = "" if self.rate is None else f"rate={self.rate:g}, per={self.per:g}, burst={self.burst}, "
        concurrency = "" if self.concurrency is None else f"concurrency={self.concurrency}, "
        return f"RateLimiter({known}{concurrency}max_wait={self.max_wait:g}{', pace=True' * self.pace})"

    def _room(self) -> GovernedRoom:
        known = None if self.rate is None else KnownLimit(self.rate, self.per, self.burst)
        return GovernedRoom(Governor(known, self.concurrency, self.pace))

    # -- what a layer asks and tells. `now`: seconds, monotonic.

    def part(self, key: Hashable, request: Any) -> Hashable:
        """What to queue up for: the key, or the part of it that requests like this one are known to be counted with."""
        return self.parts.get((key, request.method, request.url.path), key)

    def forecast(self, place: Place, now: float, patience: float) -> tuple[float, str]:
        """In how many seconds the turn of one in the queue comes, as things stand, and what it waits for.

        It may come sooner, if that is no more than `patience`: nobody counts the queue then.
        """
        room: GovernedRoom = place.room
        queue = room.queue
        with self.rooms.lock:
            ahead = max(min(len(queue) - 1, place.number - queue[0].number), 0) if queue else 0
            wait = room.governor.opens(now, len(queue), ahead)
            if wait[0] > patience and place in queue:
                wait = room.governor.opens(now, len(queue), queue.index(place))
            return wait

    def answered(self, key: Hashable, request: Any, place: Place | None, refused: bool, told: Told, now: float) -> float:
        """What the server makes of a request. In how many seconds one like it may go.

        `place`: where it was counted; None if it was not.
        """
        with self.rooms.lock:
            room = self._told_of(key, request, told)
            came = Came(now, 0, room.governor.answers)
            if place is not None:
                place.room.governor.gone(place.came)
                came = place.came if place.room is room else came._replace(at=place.came.at)
            room.governor.answered(refused, told, came, now)
            rooms = [room]
            if refused and told.everyone:
                rooms += [each for name, each in self.rooms.items() if isinstance(name, Part) and name.key == key]
                rooms.append(self.rooms[key])
                for other in rooms[1:]:
                    other.governor.refused(told, now)
            if place is not None and place.room is not room:
                rooms.append(place.room)
            wait = room.governor.opens(now, len(room.queue))[0] if refused else 0.0
        for room in rooms:
            if room.queue:
                self.queue.changed(room, now, worse=refused)
        return wait

    def lost(self, place: Place, now: float) -> None:
        """A request got no answer."""
        with self.rooms.lock:
            place.room.governor.gone(place.came)
        self.queue.leave(place, now)

    def _told_of(self, key: Hashable, request: Any, told: Told) -> GovernedRoom:
        """Whose limits an answer tells of: those that are known of the key, or those of a part of it."""
        rooms = self.rooms
        known = rooms[self.part(key, request)]
        if known.governor.knows(told):
            return known
        route = key, request.method, request.url.path
        self.parts.pop(route, None)
        if rooms[key].governor.knows(told):
            return rooms[key]
        part = Part(key, told.bucket or min(quota.name for quota in told.quotas))
        if len(self.parts) >= KEYS:
            del self.parts[next(iter(self.parts))]
        self.parts[route] = part
        return rooms[part]

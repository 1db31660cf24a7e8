"""The rate limiter: a gate for each key, and the queues before it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, Callable, Literal

from .._core.admission import Queue
from .._core.clock import Clock
from .._core.key_state import Ticket, Waiting
from .._core.own_clock import OwnClock
from .._keywords import explained
from .._validation import clock as checked_clock
from .._validation import flag, key_function, number, refusal, seconds, whole
from .gate import Gate
from .lane import Lane, Sent
from .routes import path_template
from .snapshot import Limits, digest, name_of, read, written
from .stated import StatedLimit


@explained()
class RateLimiter:
    """Sends requests no faster than the server allows, and never holds back what the server would accept.

    Requests wait in a queue, first come, first served. The limiter obeys the limits that the server states in any of the usual
    header fields, and the pauses that it asks for. Limits that it does not state are discovered from its refusals (429, or 403
    and 503 that say how long to wait); a few refusals concern the refused calls alone. What is refused holds back the requests
    of its route, or of all routes if they are refused as well. While the server is down (nothing but 5xx and broken connections),
    one request at a time probes whether it is back, for as long as the retries would have waited. May be shared by any number of
    clients, threads and event loops, of both libraries.

    - `rate`: requests, above 0, per `per` seconds (above 0), at most `burst` (at least 1) of them at once: in any t seconds at
      most burst + t * rate / per. None: as many as the server allows.
    - `concurrency`: requests in flight, each until the end of its response body; at least 1. None for no limit.
    - `max_wait`: seconds above 0, for all attempts of a call together. A request that would wait longer is refused at once.
    - `pace`: spread the requests that a window of the server allows evenly over the rest of the window.
    - `cautious`: begin with few requests in flight, so that hardly any is refused whatever the limit is.
    - `opening`: while nothing is known of a key, let one request go first, and the others wait for its answer, at most 1 s, once.
    - `key`: `key(request)` returns what has its own limits, in place of the origin (scheme, host and port) and the credential
      (`Authorization` or an API key in a header). Any hashable value.
    - `route`: `route(request)` returns what may have limits of its own below a key, any hashable value. "path": the path, in
      which numbers, UUIDs, hashes and other long identifiers count as one. None: all requests of a key are one route.
    - `clock`: the time that it waits and measures by; for tests. None: that of the client or transport.

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
        cautious: bool = False,
        opening: bool = True,
        key: Callable[[Any], Hashable] | None = None,
        route: Callable[[Any], Hashable] | Literal["path"] | None = "path",
        clock: Clock | None = None,
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
        self.cautious = flag("cautious", cautious)
        self.opening = flag("opening", opening)
        self.key = None if key is None else key_function(key, "RateLimiter")
        self.route = route
        self._route = _route_function(route)
        self._clock = OwnClock(checked_clock(clock))
        self._queue = Queue(self._new_gate, self._clock)
        self._gates = self._queue.states
        self._said_full = False
        """Whether the log says that not all keys are remembered."""
        self._restored: dict[str, Limits] = {}
        """What a snapshot knows of keys that have not been met since."""

    def __repr__(self) -> str:
        known = "" if self.rate is None else f"rate={self.rate:g}, per={self.per:g}, burst={self.burst}, "
        concurrency = "" if self.concurrency is None else f"concurrency={self.concurrency}, "
        flags = "".join(f", {name}=True" for name in ("pace", "cautious") if getattr(self, name))
        flags += "" if self.opening else ", opening=False"
        return f"RateLimiter({known}{concurrency}max_wait={self.max_wait:g}{flags})"

    def _new_gate(self, key: Hashable) -> Gate:
        stated = None if self.rate is None else StatedLimit(self.rate, self.per, self.burst)
        gate = Gate(stated, self.concurrency, self.pace, self.cautious, self.opening)
        if self._restored:
            gate.restore(self._restored.pop(self._name(key), {}), digest)
        return gate

    def _name(self, key: Hashable) -> str:
        return name_of(key, self.key is not None)

    def snapshot(self) -> str:
        """Return the discovered limits as JSON, to be stored and given to `restore` later.

        It contains two bytes of a hash of each credential, and hashes of each route and of what `key` returns.
        """
        with self._gates.lock:
            limits = dict(self._restored)
            for key, gate in self._gates.items():
                kept = gate.kept(digest)
                if kept:
                    limits[self._name(key)] = kept
        return written(limits)

    def restore(self, snapshot: str) -> None:
        """Use the limits of a `snapshot` for the keys of which nothing is known yet.

        Raises `TypeError` if it is not a string, and `ValueError` if it is not a snapshot.
        """
        if not isinstance(snapshot, str):
            raise TypeError(refusal("snapshot", snapshot, "the text that snapshot() returned"))
        limits = read(snapshot)
        with self._gates.lock:
            self._restored = limits
            for key, gate in self._gates.items():
                if not gate.kept(digest):
                    gate.restore(limits.pop(self._name(key), {}), digest)

    def _lost(self, lane: Lane, sent: Sent) -> None:
        """Note that a request got no answer, for a reason that tells nothing about the server."""
        with self._gates.lock:
            lane.gate.lost(lane, sent)

    def _forecast(self, ticket: Ticket, now: float, patience: float) -> tuple[float, str]:
        """Return the seconds until the turn of a queued ticket, as things stand, and what it waits for; 0 if unknown.

        It may come sooner, if that is no more than `patience`: nobody counts the queue then.
        """
        lane, entry = ticket.state, ticket.waiting
        assert entry is not None
        with self._gates.lock:
            queue, lanes = lane.queue, lane.gate.lanes.values()
            others = [each.queue for each in lanes if each.queue and each is not lane]
            ahead = min(_ahead(entry, queue), max(len(queue) - 1, 0))
            wait, reason = lane.gate.opens(lane, now, ahead, ahead + sum(_ahead(entry, other) for other in others))
            if wait > patience and entry in queue:
                ahead = queue.index(entry)
                before = ahead + sum(each.number < entry.number for other in others for each in other)
                wait, reason = lane.gate.opens(lane, now, ahead, before)
            return (0.0 if wait == math.inf else wait), reason


def _route_function(route: Any) -> Callable[[Any], Hashable]:
    """Return the function that tells the route of a request."""
    if route is None:
        return lambda request: None
    if route == "path":
        return path_template
    if isinstance(route, str):
        raise ValueError(refusal("route", route, 'a function, "path" or None'))
    return key_function(route, "RateLimiter", "route")


def _ahead(entry: Waiting, queue: Sequence[Waiting]) -> int:
    """Return how many wait in a queue before an entry, at most."""
    return max(min(len(queue), int(entry.number - queue[0].number)), 0) if queue else 0

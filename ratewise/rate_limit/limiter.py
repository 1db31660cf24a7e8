"""The rate limiter: a governor for each key, and the queue before it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from operator import attrgetter
from typing import Any, Callable, NamedTuple
from weakref import ref

from .._core.admission import MAX_KEYS, KeyState, Queue, Ticket
from .._core.call_state import Reservation
from .._core.clock import Clock
from .._core.own_clock import OwnClock
from .._http.rate_limit_headers import NO_FIELDS, RateLimitFields
from .._keywords import explained
from .._validation import clock as checked_clock
from .._validation import flag, key_function, number, refusal, seconds, whole
from .found import Kept
from .governor import UNCOUNTED, Came, Governor, Signal
from .limits import ANSWER_TIMEOUT, KnownLimit
from .snapshot import name_of, older, phase_of, read, written

AGAIN = 0.001
"""Seconds after which a queue asks again whether a slot is available, at the earliest."""


class SubKey(NamedTuple):
    """Those requests of a key that the server counts apart from its others."""

    key: Hashable
    bucket: str


class KeyLimits(KeyState):
    """Who waits for one key, and what holds them back."""

    def __init__(self, governor: Governor) -> None:
        super().__init__()
        self.governor = governor
        governor.held = self.taken
        self._backlog: tuple[float, float] | None = None
        """After which of those in the queue the next one who comes lines up, and where they end; None: at the end."""
        self.away_at = 0.0
        """Who has a higher number has come since the server was last seen away."""
        self.logged_until = 0.0
        """Until when the log says that there is waiting."""

    def available(self, now: float) -> int:
        return self.governor.free(now, len(self.queue))

    def next_available(self, now: float) -> float:
        if self.governor.full:
            return math.inf
        return max(self.governor.opens(now, len(self.queue))[0], AGAIN)

    def acquire(self, ticket: Ticket, now: float) -> Came:
        return self.governor.come(now, ref(ticket, self.governor.forget))

    def answered(self, ticket: Ticket) -> None:
        """One of those in flight is answered, or lost."""
        self.governor.gone(ticket.acquired)

    def queue_number(self, number: float) -> float:
        if self._backlog is None or not self.queue:
            self._backlog = None
            return number
        before, end = self._backlog
        before = max(before + 1, self.queue[0].number)
        self._backlog = (before, end) if before < end else None
        return before + 0.5 if before < end else number

    def returned(self, number: float) -> None:
        """The server is back: who has come since it was last seen away comes between those who have waited longer.

        `number`: of the first of these.
        """
        self._backlog = -math.inf, number
        for entry in list(self.queue):
            if entry.number > number and not entry.returning:
                entry.number = self.queue_number(entry.number)
        self.queue = deque(sorted(self.queue, key=attrgetter("number")))

    def in_use(self, now: float) -> bool:
        return not self.governor.idle(now)

    def inherited(self) -> KeyLimits:
        return KeyLimits(self.governor.inherited())


@explained()
class RateLimiter:
    """Sends requests no faster than the server allows, and pauses all requests of a key when one is refused.

    Requests wait in a queue, first come, first served. The limiter obeys the limits that the server states in any of the usual
    header fields. A refusal (429, or 403 and 503 that say how long to wait) pauses all requests of its key for that time. Limits
    that the server does not state are discovered from its refusals. While the server is down (503 without Retry-After, no
    connection), one request at a time probes whether it is back. May be shared by any number of clients, threads and event
    loops, of both libraries.

    - `rate`: requests, above 0, per `per` seconds (above 0), at most `burst` (at least 1) of them at once: in any t seconds at
      most burst + t * rate / per. None: as many as the server allows.
    - `concurrency`: requests in flight, each until the end of its response body; at least 1. None for no limit.
    - `max_wait`: seconds above 0. A request that would wait longer is refused at once.
    - `pace`: spread the requests that a window of the server allows evenly over the rest of the window.
    - `cautious`: begin with few requests in flight, so that hardly any is refused whatever the limit is.
    - `key`: `key(request)` returns what has its own limits, in place of the origin (scheme, host and port) and the credential
      (`Authorization` or an API key in a header). Any hashable value.
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
        key: Callable[[Any], Hashable] | None = None,
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
        self.key = None if key is None else key_function(key, "RateLimiter")
        self._clock = OwnClock(checked_clock(clock))
        self._queue = Queue(self._new_state, self._clock)
        self._states = self._queue.states
        self._restored: dict[str, Kept] = {}
        self._restored_at = 0.0
        """What a snapshot knows of keys that have not been met since, and when it was restored."""
        self._parts: dict[tuple[Hashable, str, str], SubKey] = {}
        """By key, method and path: what is known to be counted apart."""

    def __repr__(self) -> str:
        known = "" if self.rate is None else f"rate={self.rate:g}, per={self.per:g}, burst={self.burst}, "
        concurrency = "" if self.concurrency is None else f"concurrency={self.concurrency}, "
        flags = "".join(f", {name}=True" for name in ("pace", "cautious") if getattr(self, name))
        return f"RateLimiter({known}{concurrency}max_wait={self.max_wait:g}{flags})"

    def _new_state(self, key: Hashable) -> KeyLimits:
        known = None if self.rate is None else KnownLimit(self.rate, self.per, self.burst)
        kept = self._restored.pop(self._name(key), None) if self._restored else None
        found = None if kept is None else phase_of(kept, self._restored_at)
        return KeyLimits(Governor(known, self.concurrency, self.pace, self.cautious, found))

    # -- what outlives the process

    def snapshot(self, *, clock: Clock | None = None) -> str:
        """Return the discovered limits as JSON, to be stored and given to `restore` later.

        It contains two bytes of a hash of each credential, and of each key that `key` returns. `clock`: as of a transport.
        """
        own = clock or self._clock
        now = own.monotonic()
        with self._states.lock:
            limits = {name: older(kept, now - self._restored_at) for name, kept in self._restored.items()}
            for key, state in self._states.items():
                found = state.governor.found
                kept = None if found is None else found.kept(now)
                if kept:
                    limits[self._name(key)] = kept
        return written(limits, own.time())

    def restore(self, snapshot: str, *, clock: Clock | None = None) -> None:
        """Use the limits of a `snapshot` for the keys of which nothing is known yet.

        Raises `TypeError` if it is not a string, and `ValueError` if it is not a snapshot. `clock`: as of a transport.
        """
        if not isinstance(snapshot, str):
            raise TypeError(refusal("snapshot", snapshot, "the text that snapshot() returned"))
        own = clock or self._clock
        limits = read(snapshot, own.time())
        with self._states.lock:
            self._restored, self._restored_at = limits, own.monotonic()
            for key, state in self._states.items():
                if self._name(key) in limits and not state.queue:
                    state.governor.restore(phase_of(limits.pop(self._name(key)), self._restored_at))

    def _name(self, key: Hashable) -> str:
        """What a snapshot calls a key."""
        own = self.key is not None
        return f"{name_of(key.key, own)} {key.bucket}" if isinstance(key, SubKey) else name_of(key, own)

    # -- what a layer asks and tells. `now`: seconds, monotonic.

    def _part(self, key: Hashable, request: Any) -> Hashable:
        """What to queue up for: the key, or the part of it that requests like this one are known to be counted with."""
        return self._parts.get((key, request.method, request.url.path), key)

    def _forecast(self, ticket: Ticket, now: float, patience: float) -> tuple[float, str]:
        """In how many seconds the turn of one in the queue comes, as things stand, and what it waits for.

        It may come sooner, if that is no more than `patience`: nobody counts the queue then.
        """
        state: KeyLimits = ticket.state
        entry = ticket.waiting
        assert entry is not None
        with self._states.lock:
            queue = state.queue
            ahead = max(min(len(queue) - 1, int(entry.number - queue[0].number)), 0) if queue else 0
            wait = state.governor.opens(now, len(queue), ahead)
            if wait[0] > patience and entry in queue:
                wait = state.governor.opens(now, len(queue), queue.index(entry))
            return wait

    def _answered(
        self, key: Hashable, request: Any, ticket: Ticket | None, came: Came, verdict: Signal, told: RateLimitFields, now: float
    ) -> Reservation | None:
        """What the server makes of a request. When one that was refused may go again; None if it is not for a limiter to say.

        `ticket`: with which it was counted; None if it was not.
        """
        refused = verdict is Signal.REFUSED
        with self._states.lock:
            known = told is NO_FIELDS and not self._parts
            state = self._states[key] if known else self._told_of(key, request, told)
            counted = state if ticket is None else ticket.state
            if ticket is not None:
                counted.answered(ticket)
            if counted is not state:
                came = came._replace(number=UNCOUNTED, answers=state.governor.answers)
            down = state.governor.down
            state.governor.answered(verdict, told, came, now)
            if state.governor.down:
                state.away_at = next(self._queue.numbers)
            elif down:
                state.returned(state.away_at)
            states = [state]
            if refused and told.everyone:
                states += [each for name, each in self._states.items() if isinstance(name, SubKey) and name.key == key]
                states.append(self._states[key])
                for other in states[1:]:
                    other.governor.refused(told, now)
            if counted is not state:
                states.append(counted)
            asked = state.governor.asks(came)
            reservation = None
            if refused or (verdict is Signal.FAILED and state.governor.found is not None and not asked):
                wait = state.governor.opens(now, len(state.queue))[0]
                number: float = next(self._queue.numbers)
                if ticket is not None and not ticket.returning and not asked:  # else others come first: its attempts are few
                    number = ticket.number
                # The server refuses although a window has turned, or a bucket may not fill evenly: what it says may be too early.
                bucket = any(quota.wait and quota.kind == "bucket" for quota in told.quotas)
                early = told is not NO_FIELDS and (wait <= 0 or (bucket and wait < ANSWER_TIMEOUT))
                reservation = Reservation(number, wait, self.max_wait, backoff=early or not refused)
        for state in states:
            if state.queue:
                self._queue.changed(state, now, worse=refused)
        return reservation

    def _lost(self, ticket: Ticket) -> None:
        """It got no answer."""
        with self._states.lock:
            ticket.state.answered(ticket)

    def _told_of(self, key: Hashable, request: Any, told: RateLimitFields) -> KeyLimits:
        """Whose limits an answer tells of: those that are known of the key, or those of a part of it."""
        states = self._states
        known = states[self._part(key, request) if self._parts else key]
        if known.governor.knows(told):
            return known
        route = key, request.method, request.url.path
        self._parts.pop(route, None)
        if states[key].governor.knows(told):
            return states[key]
        part = SubKey(key, told.bucket or min(quota.name for quota in told.quotas))
        if len(self._parts) >= MAX_KEYS:
            del self._parts[next(iter(self._parts))]
        self._parts[route] = part
        return states[part]

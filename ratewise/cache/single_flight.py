"""Single flight: of many requests for the same thing at the same time, one is sent, and the others wait for its response.

No thread and no task of its own keeps it going. Its followers wait for a bounded time, so that a leader that vanishes delays them
and no more.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Awaitable, Hashable
from typing import Any, Callable
from weakref import ref

from .._core.clock import Clock, Waiter
from .._core.forks import renew_after_fork
from ..layer import Call, Watcher
from .entry import Entry
from .ordering import Recent

NOT_SHAREABLE_FOR = 10.0
"""Seconds for which requests of a key do not wait for one another after a response that others could not use."""

STALLED = 1.0
"""Seconds without a new chunk of the leader's body after which followers stop waiting: its reader may be slow on purpose."""


class NoResult(enum.Enum):
    """Why a shared request has no response for its followers."""

    FAILED = enum.auto()
    """The leader failed: a follower may take its place."""
    NOT_SHAREABLE = enum.auto()
    """The response is for the leader alone: each follower sends its own request."""


class SharedRequest:
    """A request that its leader sends and whose response its followers wait for."""

    __slots__ = ("began", "key", "lead", "leader", "pieces", "reading", "result", "waiters")

    def __init__(self, key: Hashable, leader: Hashable, now: float) -> None:
        self.key = key
        self.leader = leader
        """The thread or task that sends the request."""
        self.began = now
        """When it began, by the monotonic clock."""
        self.result: Entry | NoResult | None = None
        """The response for the followers, or why there is none; None while it is in progress."""
        self.reading = False
        """Whether the header of the response has arrived and the leader's caller is reading its body."""
        self.pieces = 0
        """Chunks of the body that have arrived."""
        self.waiters: list[Waiter] = []
        self.lead: ref[Lead] | None = None
        """What the leader holds, until the request is finished."""


class Lead:
    """The leader's hold on a shared request. If nobody holds it any more, the request has failed."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self, shared: SharedRequest) -> None:
        self.shared = shared


class SingleFlight:
    """The shared requests in progress. `now`: seconds, by the monotonic clock."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close a forgotten response, and so finish its request, at any point.
        self._lock = threading.RLock()
        self._requests: dict[Hashable, SharedRequest] = {}
        self._not_shareable = Recent()
        self.finished = Recent()
        """When a request of a key last finished with a response for its followers."""
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        for shared in self._requests.values():
            shared.waiters = []
        self._requests = {}

    def join(self, key: Hashable, me: Hashable, now: float, max_wait: float) -> Lead | tuple[SharedRequest, Waiter] | None:
        """Return the lead of a shared request, or one to follow with a waiter; None if the request is to be sent unshared."""
        with self._lock:
            shared = self._requests.get(key)
            if shared is None or now - shared.began > max_wait:  # a leader that takes so long may be gone for good
                if self._not_shareable.known_since(key, now - NOT_SHAREABLE_FOR):
                    return None
                return self._lead(key, me, now)
            if shared.leader == me:  # it would wait for itself
                return None
            waiter = Waiter()
            shared.waiters.append(waiter)
            return shared, waiter

    def in_progress(self, key: Hashable, now: float, max_wait: float) -> bool:
        """Whether a request of this key is in progress, for no longer than `max_wait`."""
        shared = self._requests.get(key)
        return shared is not None and now - shared.began <= max_wait

    def begin(self, key: Hashable, me: Hashable, now: float, max_wait: float) -> Lead | None:
        """Return the lead of a new shared request; None if one is in progress."""
        with self._lock:
            return None if self.in_progress(key, now, max_wait) else self._lead(key, me, now)

    def _lead(self, key: Hashable, me: Hashable, now: float) -> Lead:
        lead = Lead(shared := SharedRequest(key, me, now))
        shared.lead = ref(lead, lambda _: self._finish(shared, NoResult.FAILED, now))
        self._requests[key] = shared
        return lead

    def finish(self, lead: Lead, result: Entry | NoResult, now: float) -> None:
        """End a shared request and wake its followers. Only the first call has an effect. Never raises, never blocks."""
        self._finish(lead.shared, result, now)

    def _finish(self, shared: SharedRequest, result: Entry | NoResult, now: float) -> None:
        with self._lock:
            if shared.result is not None:
                return
            if self._requests.get(shared.key) is shared:
                del self._requests[shared.key]
            if result is NoResult.NOT_SHAREABLE:
                self._not_shareable.note(shared.key, now)
            elif result is not NoResult.FAILED:
                self.finished.note(shared.key, now)
            shared.result = result
            shared.lead = None
            waiters, shared.waiters = shared.waiters, []
        for waiter in waiters:
            waiter.wake()


async def follow(shared: SharedRequest, waiter: Waiter, until: float, call: Call[Any, Any]) -> None:
    """Wait for the end of a shared request: until `until`, by the monotonic clock, or until the reader of its body stalls."""
    pieces = -1
    while shared.result is None and (left := until - call.clock.monotonic()) > 0:
        if shared.reading:
            if shared.pieces == pieces:
                return
            pieces = shared.pieces
        await call.park(waiter, min(left, STALLED))


class Recorder(Watcher):
    """Collects a body while its caller reads it, and hands it to `keep`, unless it breaks off, is closed early or is larger
    than `most` bytes."""

    def __init__(
        self,
        keep: Callable[[bytes], Awaitable[object]],
        most: int,
        single_flight: SingleFlight,
        lead: Lead | None,
        clock: Clock,
    ) -> None:
        self._keep, self._most = keep, most
        self._single_flight, self._lead, self._clock = single_flight, lead, clock
        self._chunks: list[bytes] | None = []
        self._size = 0

    def chunk(self, data: bytes) -> None:
        if self._lead is not None:
            self._lead.shared.pieces += 1
        if self._chunks is not None:
            self._size += len(data)
            self._chunks.append(data)
            if self._size > self._most:
                self._chunks = None
                self._finish(NoResult.NOT_SHAREABLE)

    async def complete(self) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await self._keep(b"".join(chunks))

    def failed(self, error: BaseException) -> None:
        self.closed()

    def closed(self) -> None:
        self._chunks = None
        self._finish(NoResult.FAILED)

    def _finish(self, result: NoResult) -> None:
        if self._lead is not None:
            self._single_flight.finish(self._lead, result, self._clock.monotonic())

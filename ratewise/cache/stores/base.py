"""Stores of responses: what they have in common, and the protocol for one of your own."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Callable

from ..._core.forks import at_fork
from ..._keywords import explained
from ..._validation import refusal, seconds
from ...layer import Call
from ..entry import Entries, decode, encode
from ..ordering import Order, Recent
from ..single_flight import Flights

logger = logging.getLogger("ratewise")

SECRET_SIZE = 32
"""Bytes of a random secret."""

REST, LONGEST_REST = 1.0, 30.0
"""Seconds that a store which failed is left alone: the first time, and at most. Twice as long each time."""

SETTLED = 60.0
"""Seconds after which it is looked whether the secret in the store is still the one in use."""

THREADS = 20
"""Calls of stores that an event loop has under way in worker threads at most."""

PATIENCE = 5.0
"""Seconds after which a call in a worker thread is left to itself."""

KEPT = 10 * 365 * 86400.0
"""Seconds that what is no response is kept for."""


@dataclass(frozen=True)
class CacheStats:
    """The counts of one store since it was made."""

    hits: int
    """Requests answered without asking the server."""
    misses: int
    """Requests that went to the server although they could have been answered."""
    revalidated: int
    """Of these, how many the server answered with 304: what was stored is still good."""
    stores: int
    """Responses stored."""
    evictions: int
    """Responses that had to make room for others."""
    errors: int
    """Times that the store failed. Each was a miss, or a response not stored."""
    size: int | None
    """URLs stored now; None if the store does not know."""

    @property
    def hit_rate(self) -> float:
        """Hits per request that could have been one."""
        total = self.hits + self.misses
        return self.hits / total if total else 0.0


class Cache(ABC):
    """What every store has. One may be shared by any number of clients, threads and event loops, of both libraries.

    - `ttl`: seconds for which a response is fresh whose server does not say. None: then by `Last-Modified`, or not at all.
    - `namespace`: what is stored under one is not seen under another.
    - `secret`: 16 to 64 bytes that the hashes of credentials, and the signatures of stored values, are made with.
    """

    def __init__(self, *, ttl: float | None = None, namespace: str = "", secret: bytes | None = None) -> None:
        self.ttl = None if ttl is None else seconds("ttl", ttl)
        if not isinstance(namespace, str):
            raise TypeError(refusal("namespace", namespace, "a string"))
        self.namespace = namespace
        self.secret = None if secret is None else _checked_secret(secret)
        self._make_anew()
        _caches.add(self)
        self.hit: Callable[[], int] = count().__next__
        """Count a hit: as quickly as threads can. It gives how often it was called before."""
        self._looks = 0
        self._counts: dict[str, int] = dict.fromkeys(("misses", "revalidated", "stores", "evictions", "errors"), 0)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _make_anew(self) -> None:
        """What a forked process has anew: a thread that it does not have may hold the locks, or lead."""
        self.flights = Flights()
        self.order = Order()
        self._lock = threading.Lock()

    def count(self, name: str, times: int = 1) -> None:
        """Count one of `CacheStats`, but for hits."""
        with self._lock:
            self._counts[name] += times

    def get_stats(self) -> CacheStats:
        """The counts since it was made."""
        size = self.size()
        with self._lock:
            hits = self.hit() - self._looks
            self._looks += 1  # that was none
            return CacheStats(hits, **self._counts, size=size)

    @abstractmethod
    async def drop(self, key: bytes, call: Call[Any, Any]) -> None:
        """Forget what is stored under a key."""

    def size(self) -> int | None:
        """URLs stored now; None if it does not know."""
        return None


@explained()
class CacheBackend(Cache):
    """A store of your own: bytes by key, for as long as they are of use.

    Subclass it and write `get`, `set`, `delete` and `clear`. Async clients call `aget`, `aset`, `adelete` and `aclear`, which run
    the others in a worker thread unless you write them too. Keys tell no URL and no credential; values hold responses in clear.
    Whatever a method raises is logged, and the store is left alone for a second: the request goes on without it.
    """

    def __init__(self, *, ttl: float | None = None, namespace: str = "", secret: bytes | None = None) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret)
        self._given = secret is not None
        self._settled_until = 0.0
        self._reads, self._writes = _Rest(), _Rest()
        self._dropped = Recent()
        """When a key was dropped, by the wall clock: the store may not have heard of it."""

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """The value of a key (32 hexadecimal digits and what comes before them); None if there is none."""

    @abstractmethod
    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Store a value for `ttl` seconds. It may be forgotten before."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Forget the value of a key, if there is one."""

    @abstractmethod
    def clear(self) -> None:
        """Forget everything."""

    async def aget(self, key: str) -> bytes | None:
        """`get` for async clients."""
        return await _in_thread(self.get, key)  # type: ignore[no-any-return]

    async def aset(self, key: str, value: bytes, ttl: float) -> None:
        """`set` for async clients."""
        await _in_thread(self.set, key, value, ttl)

    async def adelete(self, key: str) -> None:
        """`delete` for async clients."""
        await _in_thread(self.delete, key)

    async def aclear(self) -> None:
        """`clear` in async code."""
        await _in_thread(self.clear)

    async def prepare(self, call: Call[Any, Any]) -> bytes | None:
        """The secret; None if the store cannot be reached."""
        if self.secret is None and self._reads.over(call):
            try:
                self.secret = await self._shared_secret(call)
                self._settled_until = call.clock.monotonic() + SETTLED
            except Exception as error:
                self._failed(self._reads, error, call)
        return self.secret

    async def load(self, key: bytes, call: Call[Any, Any]) -> Entries:
        """What is stored under a key."""
        assert self.secret is not None
        if not self._reads.over(call):
            return ()
        try:
            value = await call.via(self.get, self.aget, key.hex())
        except Exception as error:
            self._failed(self._reads, error, call)
            return ()
        self._reads.reset()
        entries = () if value is None else decode(value, key, self.secret)
        if entries is None:
            self.count("errors")
            return ()
        if self._dropped:
            return tuple(entry for entry in entries if not self._dropped.since(key, entry.received))
        return entries

    async def save(self, key: bytes, entries: Entries, ttl: float, call: Call[Any, Any]) -> bool:
        """Store in place of what was there; whether it was done. It is of no use after `ttl` seconds."""
        assert self.secret is not None
        if not (self._reads.over(call) and self._writes.over(call)):
            return False
        dropped, done = self._dropped.forget(key), False  # beforehand: what is dropped meanwhile stays dropped
        try:
            await call.via(self.set, self.aset, key.hex(), encode(entries, key, self.secret), ttl)
            done = True
            if not self._given and call.clock.monotonic() >= self._settled_until:
                self._settled_until = call.clock.monotonic() + SETTLED
                self.secret = await self._shared_secret(call)
        except Exception as error:
            self._failed(self._writes, error, call)
            return False
        finally:
            if dropped is not None and not (done or self._dropped.known_since(key, dropped)):
                self._dropped.note(key, dropped)
        self._writes.reset()
        return True

    async def drop(self, key: bytes, call: Call[Any, Any]) -> None:
        self._dropped.note(key, call.clock.time())
        if self._reads.over(call) and self._writes.over(call):
            try:
                await call.via(self.delete, self.adelete, key.hex())
            except Exception as error:
                self._failed(self._writes, error, call)

    def distrust(self, call: Call[Any, Any]) -> None:
        """Use nothing that is stored by now: something of it has changed, and without the secret nobody knows what."""
        self._dropped.note_all(call.clock.time())

    async def _shared_secret(self, call: Call[Any, Any]) -> bytes:
        """The one that is kept in the store: made by whoever comes first. If it is gone, ours takes its place."""
        name = f"secret-{hashlib.sha256(self.namespace.encode()).hexdigest()[:32]}"
        kept = await call.via(self.get, self.aget, name)
        if not (isinstance(kept, bytes) and len(kept) == SECRET_SIZE):
            await call.via(self.set, self.aset, name, self.secret or os.urandom(SECRET_SIZE), KEPT)
            kept = await call.via(self.get, self.aget, name)  # others may have come too
        return _checked_secret(kept)

    def _failed(self, rest: _Rest, error: Exception, call: Call[Any, Any]) -> None:
        """A store that fails is no reason for a request to fail. Its text might hold a secret, so only the kind is told."""
        self.count("errors")
        seconds = rest.begin(call)
        logger.warning("Cache: the %s fails (%s), and is left alone for %g s", type(self).__name__, type(error).__name__, seconds)


class _Rest:
    """How long a store is left alone: to read, or to write, which may fail while reading does not."""

    def __init__(self) -> None:
        self._next, self._until = REST, 0.0

    def over(self, call: Call[Any, Any]) -> bool:
        return call.clock.monotonic() >= self._until

    def begin(self, call: Call[Any, Any]) -> float:
        seconds, self._next = self._next, min(2 * self._next, LONGEST_REST)
        self._until = call.clock.monotonic() + seconds
        return seconds

    def reset(self) -> None:
        self._next = REST


_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def _forked() -> None:
    for cache in _caches:
        cache._make_anew()


at_fork(after_in_child=_forked)


async def _in_thread(function: Any, *args: Any) -> Any:
    from anyio import CapacityLimiter, fail_after
    from anyio.to_thread import run_sync

    threads = _threads()
    limiter = threads.get(None)
    if limiter is None:
        limiter = CapacityLimiter(THREADS)
        threads.set(limiter)
    with fail_after(PATIENCE):
        return await run_sync(function, *args, limiter=limiter, abandon_on_cancel=True)


@lru_cache(None)
def _threads() -> Any:
    """The threads of each event loop: not those of anyio's own, which its user may fill."""
    from anyio.lowlevel import RunVar

    return RunVar("ratewise_cache_threads")


def _checked_secret(secret: object) -> bytes:
    allowed = "16 to 64 bytes"
    if not isinstance(secret, bytes):
        raise TypeError(f"secret must be {allowed}, not a {type(secret).__name__}")  # its value is not to be shown
    if not 16 <= len(secret) <= 64:
        raise ValueError(f"secret must be {allowed}, not {len(secret)} bytes")
    return secret

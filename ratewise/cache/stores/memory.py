"""A store in the memory of this process."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable

from ..._core.clock import Clock
from ..._keywords import explained
from ..._validation import whole
from ...layer import Call
from ..entry import Entries, Entry
from .base import Cache, CacheStats
from .interface import SECRET_SIZE, Store

if TYPE_CHECKING:
    from ..lookup import Lookup

OVERHEAD = 640
"""Bytes that an entry is taken to occupy in addition to its head and body."""


@explained()
class InMemoryCache(Cache):
    """Responses in memory; the least recently used are removed first.

    - `ttl`: seconds for which a response is fresh if its server does not say. None: by `Last-Modified`, or not at all.
    - `max_size`: URLs at most; at least 1. `max_bytes`: memory for their responses, in bytes; at least 1.
    - `namespace`: a name; entries stored under one namespace are invisible under another.
    - `secret`: 16 to 64 bytes, the key of the hashes of credentials; None for a random one.
    - `clock`: the time by which responses age and expire; for tests. None: that of the client or transport.

    `close()` has nothing to release: what is stored stays, and the store can still be used.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        ttl: float | None = None,
        max_size: int = 1000,
        *,
        max_bytes: int = 64 * 1024 * 1024,
        namespace: str = "",
        secret: bytes | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret, clock=clock)
        self.max_size = whole("max_size", max_size, least=1)
        self.max_bytes = whole("max_bytes", max_bytes, least=1)
        self._memory = MemoryStore(self.max_size, self.max_bytes, secret or os.urandom(SECRET_SIZE), clock)
        self._ratewise_store = self._memory

    def clear(self) -> None:
        """Delete all entries."""
        self._memory.clear()

    def get_stats(self) -> CacheStats:
        """Return the counts since the store was made."""
        return replace(super().get_stats(), size=len(self._memory.entries))


class MemoryStore(Store):
    """The inside of an `InMemoryCache`. Nothing of it waits."""

    def __init__(self, max_size: int, max_bytes: int, secret: bytes, clock: Clock | None = None) -> None:
        super().__init__(secret, clock)
        self._max_size, self._max_bytes = max_size, max_bytes
        self.entries: OrderedDict[bytes, Entries] = OrderedDict()
        self.bytes = 0
        self._changing = False

    def find(self, key: bytes) -> Entries:
        found = self.entries.get(key)
        if found is None:
            return ()
        try:
            self.entries.move_to_end(key)
        except KeyError:  # no lock is held: another thread has just removed it
            return found
        return found

    async def load(self, key: bytes, call: Call[Any, Any]) -> Entries:
        return self.find(key)

    async def change(self, lookup: Lookup, change: Callable[[Entries], Entries], keep_for: Callable[[Entry], float]) -> bool:
        key = lookup.key
        with self._lock:
            stored = self.entries.get(key, ())
            entries = change(stored)
            if entries is stored:
                return False
            self._begin()
            self._forget(key)
            needed = _cost(entries)
            kept = bool(entries) and needed <= self._max_bytes
            if kept:
                self.entries[key] = entries
                self.bytes += needed
                while len(self.entries) > self._max_size or self.bytes > self._max_bytes:
                    _, oldest = self.entries.popitem(last=False)
                    self.bytes -= _cost(oldest)
                    self._counts["evictions"] += 1
            self._changing = False
        return kept

    async def drop(self, key: bytes, call: Call[Any, Any]) -> None:
        with self._lock:
            self._begin()
            self._forget(key)
            self._changing = False

    async def prepare(self, call: Call[Any, Any]) -> bytes | None:
        return self.secret

    def distrust(self, call: Call[Any, Any]) -> None:
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._begin()
            self.entries.clear()
            self.bytes = 0
            self._changing = False

    def _begin(self) -> None:
        """Begin a change. If the one before was interrupted by an exception out of a signal handler, or by a fork, count anew."""
        if self._changing:
            self.bytes = sum(map(_cost, self.entries.values()))
        self._changing = True

    def _forget(self, key: bytes) -> None:
        removed = self.entries.pop(key, None)
        if removed is not None:
            self.bytes -= _cost(removed)


def _cost(entries: Entries) -> int:
    cost = 0
    for entry in entries:
        cost += len(entry.head) + len(entry.body) + OVERHEAD
    return cost

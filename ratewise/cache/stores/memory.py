"""A store in the memory of this process."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Callable

from ..._keywords import explained
from ..._validation import whole
from ...layer import Call
from ..entry import Entries
from .base import SECRET_SIZE, Cache

OVERHEAD = 640
"""Bytes that an entry takes beside its head and body, about."""


@explained()
class InMemoryCache(Cache):
    """Responses in memory, the least recently used forgotten first.

    - `ttl`: seconds for which a response is fresh whose server does not say. None: then by `Last-Modified`, or not at all.
    - `max_size`: URLs at most; at least 1. `max_bytes`: what they take at most; at least 1.
    - `namespace`, `secret`: see `Cache`.

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
    ) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret or os.urandom(SECRET_SIZE))
        self.max_size = whole("max_size", max_size, least=1)
        self.max_bytes = whole("max_bytes", max_bytes, least=1)
        self._entries: OrderedDict[bytes, Entries] = OrderedDict()
        self._bytes = 0

    def find(self, key: bytes) -> Entries:
        """What is stored under a key."""
        found = self._entries.get(key)
        if found is None:
            return ()
        try:
            self._entries.move_to_end(key)
        except KeyError:  # there is no lock: it has just been forgotten
            return found
        return found

    def change(self, key: bytes, change: Callable[[Entries], Entries]) -> bool:
        """Store what `change` makes of what is stored; False if that is nothing, or too large."""
        with self._lock:
            stored = self._entries.get(key, ())
            entries = change(stored)
            if entries is stored:
                return False
            self._forget(key)
            needed = _cost(entries)
            if not entries or needed > self.max_bytes:
                return False
            self._entries[key] = entries
            self._bytes += needed
            while len(self._entries) > self.max_size or self._bytes > self.max_bytes:
                _, oldest = self._entries.popitem(last=False)
                self._bytes -= _cost(oldest)
                self._counts["evictions"] += 1
        return True

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def size(self) -> int:
        return len(self._entries)

    async def drop(self, key: bytes, call: Call[Any, Any]) -> None:
        with self._lock:
            self._forget(key)

    def _forget(self, key: bytes) -> None:
        gone = self._entries.pop(key, None)
        if gone is not None:
            self._bytes -= _cost(gone)


def _cost(entries: Entries) -> int:
    cost = 0
    for entry in entries:
        cost += len(entry.head) + len(entry.body) + OVERHEAD
    return cost

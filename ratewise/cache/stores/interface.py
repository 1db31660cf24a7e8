"""What the cache layer uses of a store: one interface for every kind of store."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from itertools import count
from typing import TYPE_CHECKING, Any, Callable

from ..._core.clock import Clock
from ..._core.forks import renew_after_fork
from ..._core.own_clock import OwnClock
from ...layer import Call
from ..entry import Entries, Entry
from ..ordering import RequestOrder
from ..single_flight import SingleFlight

if TYPE_CHECKING:
    from ..lookup import Lookup

SECRET_SIZE = 32
"""Length of a random secret, in bytes."""


class Store(ABC):
    """The inside of one `Cache` object, shared by all layers, threads and event loops that use this object."""

    def __init__(self, secret: bytes | None, clock: Clock | None) -> None:
        self.secret = secret
        """The key of all hashes and signatures; None until `prepare` has read it from the store."""
        self.hit: Callable[[], int] = count().__next__
        """Count a hit, without a lock. Return the number of earlier calls."""
        self._reads_of_hits = 0
        self._counts: dict[str, int] = dict.fromkeys(("misses", "revalidated", "stores", "evictions", "errors"), 0)
        self.location: str | None = None
        """Host and port, or file, for log lines. Never a credential."""
        self.clock = OwnClock(clock)
        """The time by which responses age and expire."""
        self.single_flight = SingleFlight()
        self.order = RequestOrder()
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self.order._after_fork()
        self._lock = threading.Lock()

    def count(self, name: str, times: int = 1) -> None:
        """Add to one of the fields of `CacheStats` other than `hits` and `size`."""
        with self._lock:
            self._counts[name] += times

    def counts(self) -> dict[str, int]:
        """Return the fields of `CacheStats` other than `size`."""
        with self._lock:
            hits = self.hit() - self._reads_of_hits
            self._reads_of_hits += 1  # the line above called `hit` too
            return {"hits": hits, **self._counts}

    def find(self, key: bytes) -> Entries | None:
        """Return what is stored under a key, without waiting; None if the store has to be asked with `load`."""
        return None

    @abstractmethod
    async def load(self, key: bytes, call: Call[Any, Any]) -> Entries:
        """Return what is stored under a key."""

    @abstractmethod
    async def change(self, lookup: Lookup, change: Callable[[Entries], Entries], keep_for: Callable[[Entry], float]) -> bool:
        """Store what `change` returns for the entries that are stored under the key of a request.

        `keep_for`: seconds for which an entry is of use. Return False if nothing was stored: `change` returned its argument or
        no entry, or the store failed or had no room.
        """

    @abstractmethod
    async def drop(self, key: bytes, call: Call[Any, Any]) -> None:
        """Delete what is stored under a key."""

    @abstractmethod
    async def prepare(self, call: Call[Any, Any]) -> bytes | None:
        """Return the secret; None if the store cannot be reached."""

    @abstractmethod
    def distrust(self, call: Call[Any, Any]) -> None:
        """Use nothing that is stored now: a part of it has become invalid, and its keys are unknown without the secret."""


def checked_secret(secret: object) -> bytes:
    """Return a secret of 16 to 64 bytes; raise `TypeError` or `ValueError` for anything else, without showing it."""
    allowed = "16 to 64 bytes"
    if not isinstance(secret, bytes):
        raise TypeError(f"secret must be {allowed}, not a {type(secret).__name__}")
    if not 16 <= len(secret) <= 64:
        raise ValueError(f"secret must be {allowed}, not {len(secret)} bytes")
    return secret

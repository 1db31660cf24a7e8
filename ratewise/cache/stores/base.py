"""The stores of responses, as their users see them, and the base class for a store of your own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..._core.clock import Clock
from ..._keywords import explained
from ..._validation import clock as checked_clock
from ..._validation import refusal, seconds
from .backend import BackendStore, of_plain_function
from .interface import Store, checked_secret

MAX_THREADS = 20
"""Worker threads in which one event loop calls methods of stores at the same time, at most."""

THREAD_TIMEOUT = 5.0
"""Seconds after which an event loop no longer waits for a method in a worker thread."""


@dataclass(frozen=True)
class CacheStats:
    """The counts of one store since it was made."""

    hits: int
    """Requests answered without asking the server."""
    misses: int
    """Requests that went to the server although they could have been answered."""
    revalidated: int
    """Misses that the server answered with 304: the stored response is still valid."""
    stores: int
    """Responses stored."""
    evictions: int
    """Responses removed to make room for others."""
    errors: int
    """Failures of the store. Each was a miss, or a response that was not stored."""
    size: int | None
    """URLs stored now; None if the store does not know."""

    @property
    def hit_rate(self) -> float:
        """Hits per request that could have been a hit; 0.0 before the first one."""
        total = self.hits + self.misses
        return self.hits / total if total else 0.0


class Cache(ABC):
    """Base class of all stores. One store may be shared by any number of clients, threads and event loops, of both libraries.

    - `ttl`: seconds for which a response is fresh if its server does not say. None: by `Last-Modified`, or not at all.
    - `namespace`: a name; entries stored under one namespace are invisible under another.
    - `secret`: 16 to 64 bytes, the key of the hashes of credentials and of the signatures of stored values.
    - `clock`: the time by which responses age and expire; for tests. None: that of the client or transport.

    Closing is the same for all stores: `close()` releases what the store holds, such as connections or an open file. It may be
    called at any time and more than once; a closed store can still be used, and opens again with its next use.
    """

    _ratewise_store: Store
    """The only name of RateWise's own in a store, so that a subclass of `CacheBackend` may use any other name."""

    def __init__(
        self, *, ttl: float | None = None, namespace: str = "", secret: bytes | None = None, clock: Clock | None = None
    ) -> None:
        checked_clock(clock)
        self.ttl = None if ttl is None else seconds("ttl", ttl)
        if not isinstance(namespace, str):
            raise TypeError(refusal("namespace", namespace, "a string"))
        self.namespace = namespace
        if secret is not None:
            checked_secret(secret)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @abstractmethod
    def clear(self) -> None:
        """Delete all entries."""

    async def aclear(self) -> None:
        """`clear` in async code."""
        self.clear()

    def get_stats(self) -> CacheStats:
        """Return the counts since the store was made."""
        return CacheStats(**self._ratewise_store.counts(), size=None)

    def close(self) -> None:  # noqa: B027  (not every store holds something)
        """Release what the store holds. The next use opens it again."""

    async def aclose(self) -> None:
        """`close` in async code."""
        self.close()


@explained()
class CacheBackend(Cache):
    """A store of your own: bytes by key, for as long as they are of use.

    Subclass it and write `get`, `set`, `delete` and `clear`. Async clients call `aget`, `aset`, `adelete` and `aclear`, which run
    the others in a worker thread, for 5 s at most, unless you write them too. Keys reveal no URL and no credential; values hold
    responses in clear. If a method raises, the kind of the exception is logged, and requests bypass the store for 1 s, or up to
    30 s after more failures in a row. A subclass with an `__init__` of its own calls `super().__init__()` in it.

    If your store holds connections or files, write `close` (and `aclose`) to release them, and open them again in the next use.
    To report a size, override `get_stats`: `return dataclasses.replace(super().get_stats(), size=...)`.
    """

    def __init__(
        self, *, ttl: float | None = None, namespace: str = "", secret: bytes | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret, clock=clock)
        self._ratewise_store = BackendStore(self, secret, clock)

    @abstractmethod
    def get(self, key: str) -> bytes | None:
        """Return the value of a key (32 hexadecimal digits, or "secret-" and 32 of them); None if there is none."""

    @abstractmethod
    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Store a value for `ttl` seconds. The store may forget it earlier."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete the value of a key, if there is one."""

    async def aget(self, key: str) -> bytes | None:
        """`get` in async code."""
        return await _in_thread(self, "get", key)  # type: ignore[no-any-return]

    async def aset(self, key: str, value: bytes, ttl: float) -> None:
        """`set` in async code."""
        await _in_thread(self, "set", key, value, ttl)

    async def adelete(self, key: str) -> None:
        """`delete` in async code."""
        await _in_thread(self, "delete", key)

    async def aclear(self) -> None:
        """`clear` in async code."""
        await _in_thread(self, "clear")

    async def aclose(self) -> None:
        """`close` in async code."""
        await _in_thread(self, "close")


async def _in_thread(store: CacheBackend, name: str, *args: Any) -> Any:
    from anyio import CapacityLimiter, fail_after
    from anyio.to_thread import run_sync

    threads = _threads()
    limiter = threads.get(None)
    if limiter is None:
        limiter = CapacityLimiter(MAX_THREADS)
        threads.set(limiter)
    with fail_after(THREAD_TIMEOUT):
        return await run_sync(_called, store, name, *args, limiter=limiter, abandon_on_cancel=True)


def _called(store: CacheBackend, name: str, *args: Any) -> Any:
    return of_plain_function(getattr(store, name)(*args), type(store).__name__, name)


@lru_cache(None)
def _threads() -> Any:
    """Return the variable that holds an event loop's limiter. Not anyio's default limiter, which the user's own work may fill."""
    from anyio.lowlevel import RunVar

    return RunVar("ratewise_cache_threads")

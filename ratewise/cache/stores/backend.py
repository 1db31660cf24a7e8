"""The inside of a store that is reached through the methods of a `CacheBackend`: it may be slow, fail, or return anything."""

from __future__ import annotations

import hashlib
import logging
import os
import weakref
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, Callable

from ..._core.clock import Clock
from ...layer import Call
from ..entry import Entries, Entry, decode, encode
from ..ordering import Recent
from .interface import SECRET_SIZE, Store

if TYPE_CHECKING:
    from ..lookup import Lookup
    from .base import CacheBackend

logger = logging.getLogger("ratewise")

FIRST_BYPASS, LONGEST_BYPASS = 1.0, 30.0
"""Seconds for which a store is not used after a failure: after the first one, and at most. Each failure in a row doubles it."""

SECRET_CHECK = 60.0
"""Seconds between two checks that the secret in the store is still the one in use."""

SECRET_LIFETIME = 10 * 365 * 86400.0
"""Seconds for which a store is asked to keep the secret."""


class BackendStore(Store):
    """Stores entries as signed bytes, and bypasses a backend that fails."""

    def __init__(self, backend: CacheBackend, secret: bytes | None, clock: Clock | None) -> None:
        super().__init__(secret, clock)
        # Weak, as the backend refers to this object: without a cycle its files are closed as soon as it is unused.
        self._backend: CacheBackend = weakref.proxy(backend)
        self._name, self._space = type(backend).__name__, hashlib.sha256(backend.namespace.encode()).hexdigest()[:32]
        self._secret_given = secret is not None
        self._check_secret_at = 0.0
        self._reads, self._writes = _Bypass(), _Bypass()
        self._dropped = Recent()
        """When a key was dropped, by the wall clock: the delete may not have reached the backend."""

    async def prepare(self, call: Call[Any, Any]) -> bytes | None:
        if self.secret is None and self._reads.over(call.clock):
            try:
                self.secret = await self._shared_secret(call)
                self._check_secret_at = call.clock.monotonic() + SECRET_CHECK
            except Exception as error:
                self._failed(self._reads, error, call.clock)
        return self.secret

    async def load(self, key: bytes, call: Call[Any, Any]) -> Entries:
        assert self.secret is not None
        if not self._reads.over(call.clock):
            return ()
        try:
            value = await self._get(key.hex(), call)
        except Exception as error:
            self._failed(self._reads, error, call.clock)
            return ()
        self._reads.reset()
        entries = () if value is None else decode(value, key, self.secret)
        if entries is None:
            self.count("errors")
            return ()
        if self._dropped:
            return tuple(entry for entry in entries if not self._dropped.since(key, entry.received))
        return entries

    async def change(self, lookup: Lookup, change: Callable[[Entries], Entries], keep_for: Callable[[Entry], float]) -> bool:
        order, key, call = self.order, lookup.key, lookup.call
        if order.changed_since(key, lookup.looked):
            lookup.stored = await self.load(key, call)
        entries = change(lookup.stored)
        if entries is lookup.stored:
            return False
        lookup.stored = entries
        lookup.looked = order.changed(key)
        if not entries:
            await self.drop(key, call)
            return False
        saved = await self.save(key, entries, max(map(keep_for, entries)), call)
        if order.changed_since(key, lookup.looked):  # by another request meanwhile: which of the two writes came last is unknown
            await self.drop(key, call)
            return False
        return saved

    async def save(self, key: bytes, entries: Entries, ttl: float, call: Call[Any, Any]) -> bool:
        """Replace what is stored under a key, for `ttl` seconds; return whether that was possible."""
        assert self.secret is not None
        if not (self._reads.over(call.clock) and self._writes.over(call.clock)):
            return False
        dropped, done = self._dropped.forget(key), False  # before the write: a drop during it stays in force
        try:
            await self._use("set", call, key.hex(), encode(entries, key, self.secret), ttl)
            done = True
            if not self._secret_given and call.clock.monotonic() >= self._check_secret_at:
                self._check_secret_at = call.clock.monotonic() + SECRET_CHECK
                self.secret = await self._shared_secret(call)
        except Exception as error:
            self._failed(self._writes, error, call.clock)
            return False
        finally:
            if dropped is not None and not (done or self._dropped.known_since(key, dropped)):
                self._dropped.note(key, dropped)
        self._writes.reset()
        return True

    async def drop(self, key: bytes, call: Call[Any, Any]) -> None:
        self._dropped.note(key, call.clock.time())
        if self._reads.over(call.clock) and self._writes.over(call.clock):
            try:
                await self._use("delete", call, key.hex())
            except Exception as error:
                self._failed(self._writes, error, call.clock)

    def distrust(self, call: Call[Any, Any]) -> None:
        self._dropped.note_all(call.clock.time())

    async def _shared_secret(self, call: Call[Any, Any]) -> bytes:
        """Return the secret in the store, which the first user of it makes. One that is missing is replaced by ours."""
        name = f"secret-{self._space}"
        found = await self._get(name, call)
        if found is None or len(found) != SECRET_SIZE:
            await self._use("set", call, name, self.secret or os.urandom(SECRET_SIZE), SECRET_LIFETIME)
            found = await self._get(name, call)  # another process may have stored one at the same time
        if found is None or len(found) != SECRET_SIZE:
            raise _ContractError(f"{self._name}.get did not return what set has stored")
        return found

    async def _get(self, key: str, call: Call[Any, Any]) -> bytes | None:
        value = await self._use("get", call, key)
        if not (value is None or isinstance(value, bytes)):
            raise _ContractError(f"{self._name}.get must return bytes or None, not {type(value).__name__}")
        return value

    async def _use(self, name: str, call: Call[Any, Any], *args: Any) -> Any:
        """Call a method of the backend, or await its twin for async code."""
        pending = call.via(getattr(self._backend, name), getattr(self._backend, f"a{name}"), *args)
        try:
            returned = await pending
        except TypeError:
            if isawaitable(pending):
                raise
            raise _ContractError(f"{self._name}.a{name} must be a coroutine function") from None
        return of_plain_function(returned, self._name, name)

    def _failed(self, bypass: _Bypass, error: Exception, clock: Clock) -> None:
        """Log the kind of a failure, not its text, which may hold a secret, and bypass the store."""
        self.count("errors")
        seconds, kind = bypass.begin(clock), str(error) if isinstance(error, _ContractError) else type(error).__name__
        where = "" if self.location is None else f" at {self.location}"
        logger.warning("Cache: %s failed (%s%s); bypassed for %g s", self._name, kind, where, seconds)


class _ContractError(TypeError):
    """A method of a backend is not what `CacheBackend` says. Its text holds no value."""


def of_plain_function(returned: Any, owner: str, name: str) -> Any:
    """Return what a method of a store has returned; raise `TypeError` if that is a coroutine."""
    if iscoroutine(returned):
        returned.close()
        raise _ContractError(f"{owner}.{name} must be a plain function; async code uses a{name}")
    return returned


class _Bypass:
    """How long a store is not used: for reading, or for writing, which may fail while reading works."""

    def __init__(self) -> None:
        self._next, self._until = FIRST_BYPASS, 0.0

    def over(self, clock: Clock) -> bool:
        return clock.monotonic() >= self._until

    def begin(self, clock: Clock) -> float:
        seconds, self._next = self._next, min(2 * self._next, LONGEST_BYPASS)
        self._until = clock.monotonic() + seconds
        return seconds

    def reset(self) -> None:
        self._next = FIRST_BYPASS

"""The order in which requests begin and stored responses change, within this process."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from itertools import count

MAX_RECENT_KEYS = 1000
"""Keys whose last event is remembered, at most."""


class Recent:
    """When an event last happened to each of a bounded number of keys. Safe for threads: each step is one operation."""

    def __init__(self) -> None:
        self.times: OrderedDict[Hashable, float] = OrderedDict()
        self.forgotten = -math.inf
        """The latest time among the keys that are no longer remembered."""

    def __bool__(self) -> bool:
        return bool(self.times) or self.forgotten > -math.inf

    def note(self, key: Hashable, now: float) -> None:
        """Record that the event happens to a key now."""
        self.forget(key)
        self.times[key] = now
        if len(self.times) > MAX_RECENT_KEYS:
            with suppress(KeyError):  # another thread has forgotten all of them
                _, self.forgotten = self.times.popitem(last=False)

    def note_all(self, now: float) -> None:
        """Record that the event happens to every key now."""
        self.forgotten = now
        self.times.clear()

    def forget(self, key: Hashable) -> float | None:
        """Discard the event of a key; return when it last happened, None if unknown."""
        return self.times.pop(key, None)

    def since(self, key: Hashable, then: float) -> bool:
        """Whether the event happened to a key at `then` or later, or may have: of forgotten keys only the last is known."""
        return self.times.get(key, self.forgotten) >= then

    def known_since(self, key: Hashable, then: float) -> bool:
        """Whether the event is known to have happened to a key at `then` or later."""
        return self.times.get(key, -math.inf) >= then


class RequestOrder:
    """The order in which requests began, and which of them has the latest news of a key.

    A body may be read long after its header arrived. The response to a request that began later, and is known by then, is newer.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._latest, self._invalidated, self._changed = Recent(), Recent(), Recent()
        self._after_fork()

    def _after_fork(self) -> None:
        """Called by the store, in a forked process."""
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Return the number of a request that begins now."""
        return next(self._numbers)

    def answered(self, key: Hashable, number: int) -> None:
        """Record that the response to a request says what a key, or one of its variants, holds."""
        with self._lock:
            if not self._latest.known_since(key, number):
                self._latest.note(key, number)

    def invalidated(self, key: Hashable) -> None:
        """Record that what is stored under a key has become invalid."""
        self._invalidated.note(key, self.begin())
        self.changed(key)

    def superseded(self, key: Hashable, number: int) -> bool:
        """Whether a key was invalidated since a request began, or a request that began later has been answered."""
        latest, invalidated = self._latest, self._invalidated  # `known_since` and `since` without the calls: this runs often
        return latest.times.get(key, -math.inf) > number or invalidated.times.get(key, invalidated.forgotten) > number

    def changed(self, key: Hashable) -> int:
        """Record that what is stored under a key changes now; return the number from which on other changes count."""
        self._changed.note(key, self.begin())
        return self.begin()

    def changed_since(self, key: Hashable, number: int) -> bool:
        """Whether what is stored under a key has changed since a number."""
        return self._changed.since(key, number)

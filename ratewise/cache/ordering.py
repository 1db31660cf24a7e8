"""What happened before what, in this process."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable
from itertools import count

MOST = 1000
"""Keys that are remembered at most."""


class Recent:
    """When something last happened to a key, of the keys that it happened to last. For threads: each step is one operation."""

    def __init__(self) -> None:
        self.times: OrderedDict[Hashable, float] = OrderedDict()
        self.forgotten = -math.inf

    def __bool__(self) -> bool:
        return bool(self.times) or self.forgotten > -math.inf

    def note(self, key: Hashable, now: float) -> None:
        """It happens now."""
        self.forget(key)
        self.times[key] = now
        if len(self.times) > MOST:
            _, self.forgotten = self.times.popitem(last=False)

    def note_all(self, now: float) -> None:
        """It happens now to every key."""
        self.forgotten = now
        self.times.clear()

    def forget(self, key: Hashable) -> float | None:
        """It counts no longer. When it last happened; None if that is not known."""
        return self.times.pop(key, None)

    def since(self, key: Hashable, then: float) -> bool:
        """It has happened since then, or may have: of what is forgotten only the latest is known."""
        return self.times.get(key, self.forgotten) >= then

    def known_since(self, key: Hashable, then: float) -> bool:
        """It is known to have happened since then."""
        return self.times.get(key, -math.inf) >= then


class Order:
    """In which order requests were begun, and which of them tell what the server has now.

    A body may be read long after its head came: what was asked for later, and is known by then, is newer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._latest, self._invalidated, self._changed = Recent(), Recent(), Recent()

    def begin(self) -> int:
        """The number of a request that begins."""
        return next(self._numbers)

    def tell(self, key: Hashable, number: int) -> None:
        """The answer to this request tells what a key, or a part of it, holds."""
        with self._lock:
            if not self._latest.known_since(key, number):
                self._latest.note(key, number)

    def invalidate(self, key: Hashable) -> None:
        """What a key holds has changed."""
        self._invalidated.note(key, self.begin())
        self.change(key)

    def later(self, key: Hashable, number: int) -> bool:
        """What it holds has changed since this request began, or has been told to one that began later."""
        latest, invalidated = self._latest, self._invalidated  # asked for often: `known_since` and `since`, without the calls
        return latest.times.get(key, -math.inf) > number or invalidated.times.get(key, invalidated.forgotten) > number

    def change(self, key: Hashable) -> int:
        """What is stored under a key changes now. The number from which on other changes count."""
        self._changed.note(key, self.begin())
        return self.begin()

    def changed(self, key: Hashable, number: int) -> bool:
        """What is stored under a key has changed since this number."""
        return self._changed.since(key, number)

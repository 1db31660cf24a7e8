"""A SQLiteCache, opened twice, against a dict: whatever is stored, deleted and expired, and in whichever of the two."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings, stateful
from hypothesis import strategies as st

from ratewise import SQLiteCache
from ratewise.testing import FakeClock

KEYS = st.integers(0, 5).map("{:032x}".format)
PLACES = st.integers(0, 2)


class Machine(stateful.RuleBasedStateMachine):
    """Two stores of one namespace, and one of another, in one file. What was stored is found until it expires, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.clock = tempfile.TemporaryDirectory(), FakeClock(start=1000.0)
        path = Path(self.folder.name) / "cache.db"
        names = ("one", "one", "other")
        self.stores = [SQLiteCache(path, max_size=6, namespace=name, clock=self.clock, timeout=60.0) for name in names]
        self.model: dict[tuple[bool, str], tuple[bytes, float]] = {}

    @stateful.rule(place=PLACES, key=KEYS, value=st.binary(max_size=30), ttl=st.sampled_from([1.0, 5.0, 100.0]))
    def store(self, place: int, key: str, value: bytes, ttl: float) -> None:
        self.stores[place].set(key, value, ttl)
        self.model[place == 2, key] = value, self.clock.time() + ttl
        assert self.stores[place].get(key) == value

    @stateful.rule(place=PLACES, key=KEYS)
    def look(self, place: int, key: str) -> None:
        found, (value, expires) = self.stores[place].get(key), self.model.get((place == 2, key), (None, 0.0))
        assert found in (None, value if self.clock.time() < expires else None)

    @stateful.rule(place=PLACES, key=KEYS)
    def delete(self, place: int, key: str) -> None:
        self.stores[place].delete(key)
        self.model.pop((place == 2, key), None)
        assert self.stores[place].get(key) is None

    @stateful.rule(place=PLACES)
    def clear(self, place: int) -> None:
        self.stores[place].clear()
        self.model = {name: value for name, value in self.model.items() if name[0] != (place == 2)}
        assert self.stores[place].get_stats().size == 0

    @stateful.rule(place=PLACES)
    def close(self, place: int) -> None:
        self.stores[place].close()

    @stateful.rule(seconds=st.sampled_from([0.5, 2.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @stateful.invariant()
    def bounded(self) -> None:
        sizes = [self.stores[place].get_stats().size for place in (0, 2)]
        assert sum(size or 0 for size in sizes) <= 6

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()


Machine.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
test_anything = Machine.TestCase

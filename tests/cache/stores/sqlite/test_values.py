"""The SQLite store: values are found until they expire or are deleted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from ratewise.cache.stores import sqlite
from ratewise.cache.stores.sqlite import SQLiteCache
from ratewise.testing import FakeClock
from tests.cache.stores.sqlite.files import KEY, OTHER, call_of, entry, python, raw
from tests.kit.world import World, only


async def test_what_is_stored_is_found(world: World, cache: SQLiteCache) -> None:
    """In every world entries, small and large (read in a thread), are stored and found; deleted ones are not."""
    call = call_of(world)
    assert await cache._ratewise_store.prepare(call)
    for body in (b"", b"small", b"x" * 1_000_000):
        key = os.urandom(16)
        assert await cache._ratewise_store.load(key, call) == ()
        assert await cache._ratewise_store.save(key, (entry(body),), 60, call)
        (found,) = await cache._ratewise_store.load(key, call)
        assert found.body == body
        await cache._ratewise_store.drop(key, call)
        assert await cache._ratewise_store.load(key, call) == ()
    assert cache.get_stats().errors == 0
    await world.close(cache) if world.is_sync else cache.close()


@only("asyncio", "trio")
async def test_async_clear(world: World, cache: SQLiteCache) -> None:
    """`aclear` removes the values."""
    await cache.aset(KEY, b"value", 60)
    assert await cache.aget(KEY) == b"value"
    await cache.aclear()
    assert await cache.aget(KEY) is None
    cache.close()


def test_values(cache: SQLiteCache) -> None:
    """A value, even an empty one, is read back unchanged and replaces the previous one."""
    for value in (b"", b"one", b"two" * 100_000, b"\0\xff"):
        cache.set(KEY, value, 60)
        assert cache.get(KEY) == value
        assert cache.get_stats().size == 1
    cache.delete(KEY)
    cache.delete(KEY)
    assert cache.get(KEY) is None
    assert cache.get_stats().size == 0


def test_it_is_kept(make: Callable[..., SQLiteCache]) -> None:
    """Another store on the same file finds the values of the first, even while that is open; a closed store reopens."""
    first, second = make(), make()
    first.set(KEY, b"value", 60)
    assert second.get(KEY) == b"value"
    first.close()
    second.close()
    assert first.get(KEY) == b"value"
    assert make().get_stats().size == 1


def test_it_outlives_the_process(cache: SQLiteCache, path: Path) -> None:
    """One process stores a value, another finds it."""
    with python("cache.set(sys.argv[2], b'theirs', 60)", path, KEY) as process:
        assert process.wait() == 0
    assert cache.get(KEY) == b"theirs"


def test_expiry(make: Callable[..., SQLiteCache], clock: FakeClock, path: Path) -> None:
    """An expired value is not found, and the next write removes it."""
    cache = make(clock=clock)
    cache.set(KEY, b"value", 60)
    clock.advance(59)
    assert cache.get(KEY) == b"value"
    clock.advance(1)
    assert cache.get(KEY) is None
    assert cache.get_stats().size == 1
    cache.set(OTHER, b"value", 60)
    assert cache.get_stats().size == 1
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM bodies").fetchone() == (1,)
    assert cache.get_stats().evictions == 0


def test_namespaces(make: Callable[..., SQLiteCache]) -> None:
    """A namespace finds, counts and clears only its own entries."""
    one, two = make(namespace="one"), make(namespace="two")
    one.set(KEY, b"1", 60)
    two.set(KEY, b"2", 60)
    two.set(OTHER, b"2", 60)
    assert (one.get_stats().size, two.get_stats().size) == (1, 2)
    one.clear()
    assert (one.get_stats().size, two.get_stats().size) == (0, 2)
    assert (one.get(KEY), two.get(KEY)) == (None, b"2")


def test_clear_takes_all(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clear` continues in short transactions until no entry is left."""
    monkeypatch.setattr(sqlite, "DELETE_BATCH", 3)
    for number in range(10):
        cache.set(str(number), b"value", 60)
    cache.clear()
    assert cache.get_stats().size == 0


def test_the_secret_stays(make: Callable[..., SQLiteCache]) -> None:
    """A secret is not cleared, counted or evicted; a later store adopts that of the first."""
    cache = make(max_size=1, max_bytes=10)
    cache.set("secret-x", b"12345678", 60)
    cache.set("secret-x", b"87654321", 60)
    for key in (KEY, OTHER):
        cache.set(key, b"0123456789", 60)
    assert cache.get_stats().size == 1
    cache.clear()
    assert cache.get("secret-x") == b"12345678"
    cache.set("secret-x", b"another length", 60)  # above the bound: a value that cannot be stored deletes the previous one
    assert cache.get("secret-x") is None


def test_a_secret_of_no_use(cache: SQLiteCache) -> None:
    """A secret of the wrong length is replaced."""
    cache.set("secret-x", b"short", 60)
    cache.set("secret-x", b"longer", 60)
    assert cache.get("secret-x") == b"longer"

"""Bounds of the file, and the order of eviction."""

from __future__ import annotations

from typing import Callable

import pytest

from ratewise.cache.stores import sqlite
from ratewise.cache.stores.sqlite import SQLiteCache
from ratewise.testing import FakeClock


def test_eviction_by_number(make: Callable[..., SQLiteCache]) -> None:
    """The least recently used entry is evicted; a hit counts as a use, although it writes nothing."""
    cache = make(max_size=3)
    for key in "abc":
        cache.set(key, b"value", 60)
    assert cache.get("a")
    for key in "de":
        cache.set(key, b"value", 60)
    assert [key for key in "abcde" if cache.get(key)] == ["a", "d", "e"]
    stats = cache.get_stats()
    assert (stats.evictions, stats.size) == (2, 3)


def test_eviction_by_bytes(make: Callable[..., SQLiteCache]) -> None:
    """Enough entries are evicted for the new value; one that never fits is not stored, and removes the value it would replace."""
    cache = make(max_bytes=100)
    for key in "abcd":
        cache.set(key, b"x" * 25, 60)
    cache.set("e", b"x" * 26, 60)
    assert [key for key in "abcde" if cache.get(key)] == ["c", "d", "e"]
    cache.set("e", b"x" * 101, 60)
    assert [key for key in "abcde" if cache.get(key)] == ["c", "d"]


def test_expired_ones_go_first(make: Callable[..., SQLiteCache], clock: FakeClock) -> None:
    """Expired entries are removed first, and do not count as evictions."""
    cache = make(max_size=2, clock=clock)
    cache.set("a", b"value", 60)
    cache.set("b", b"value", 5)
    clock.advance(10)
    cache.set("c", b"value", 60)
    assert [key for key in "abc" if cache.get(key)] == ["a", "c"]
    assert cache.get_stats().evictions == 0


def test_a_smaller_limit(make: Callable[..., SQLiteCache], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file far above a lowered bound shrinks over several writes, each of bounded work."""
    monkeypatch.setattr(sqlite, "DELETE_BATCH", 4)
    for number in range(10):
        make().set(str(number), b"value", 60)
    small = make(max_size=2)
    sizes = []
    for number in range(3):
        small.set(str(number), b"value", 60)
        sizes.append(small.get_stats().size)
    assert sizes == [6, 3, 2]


def test_clock_set_back(make: Callable[..., SQLiteCache]) -> None:
    """Entries stored after the clock was set back are not taken for the oldest."""
    for number, key in enumerate("abcd"):
        cache = make(max_size=2, clock=FakeClock(start=1e9 - 100 * number))
        cache.set(key, b"value", 1000)
    assert [key for key in "abcd" if cache.get(key)] == ["c", "d"]


def test_hits_remembered_are_bounded(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits that are not yet written take bounded memory."""
    monkeypatch.setattr(sqlite, "MAX_REMEMBERED_HITS", 5)
    for number in range(20):
        cache.set(str(number), b"value", 60)
    for number in range(20):
        assert cache.get(str(number))
        assert len(cache._hits) <= 5

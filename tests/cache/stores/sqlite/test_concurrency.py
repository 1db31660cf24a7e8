"""Threads, tasks and processes that share a file."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ratewise.cache.stores import sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY, python, threads
from tests.kit.patience import PATIENCE
from tests.kit.world import World, only


def test_threads(cache: SQLiteCache) -> None:
    """16 threads write and read at once: every value is found, nothing fails, and the idle connections are bounded."""

    def work(index: int) -> None:
        for number in range(20):
            cache.set(f"{index}-{number}", b"%d" % number, 60)
            assert cache.get(f"{index}-{number}") == b"%d" % number
            assert cache.get(f"{index}-nothing") is None

    threads(16, work)
    assert cache.get_stats().size == 320
    assert len(cache._file._pool.connections) == len(cache._file._pool.idle) <= sqlite_file.MAX_IDLE


def test_idle_connections_are_bounded(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections opened for a burst are closed after it."""
    monkeypatch.setattr(sqlite_file, "MAX_IDLE", 2)
    together = threading.Barrier(5)
    cache.set(KEY, b"value", 60)
    threads(5, lambda _: cache._file.run(time.monotonic() + PATIENCE, lambda connection: together.wait(PATIENCE)))
    assert len(cache._file._pool.connections) == 2
    assert cache.get(KEY) == b"value"


def test_threads_that_open_and_close(cache: SQLiteCache) -> None:
    """Closing the store while other threads use it disturbs none of them."""

    def work(index: int) -> None:
        for number in range(20):
            cache.set(f"{index}", b"%d" % number, 60)
            assert cache.get(f"{index}") == b"%d" % number
            if index == 0:
                cache.close()

    threads(4, work)
    cache.close()
    assert not cache._file._pool.connections


@only("asyncio", "trio")
async def test_tasks(world: World, cache: SQLiteCache) -> None:
    """Many tasks write and read at once."""

    async def work(index: int) -> None:
        for number in range(5):
            await cache.aset(f"{index}", b"%d" % number * 20_000, 60)
            assert await cache.aget(f"{index}") == b"%d" % number * 20_000

    await world.gather(*[lambda index=index: work(index) for index in range(20)])
    assert cache.get_stats().size == 20
    cache.close()


def test_processes(cache: SQLiteCache, path: Path) -> None:
    """Two processes create the file and write to it at once: every value is found."""
    script = """
sys.stdin.readline()
for number in range(100):
    key = sys.argv[2] + str(number)
    cache.set(key, b"value", 60)
    assert cache.get(key) == b"value"
"""
    with python(script, path, "a") as one, python(script, path, "b") as two:
        for process in (one, two):
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        assert (one.wait(), two.wait()) == (0, 0)
    assert cache.get_stats().size == 200

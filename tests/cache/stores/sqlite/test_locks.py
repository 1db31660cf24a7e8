"""A locked file gives a miss, and no event loop waits for it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ratewise.cache.stores import sqlite, sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY, OTHER, raw
from tests.kit.patience import PATIENCE
from tests.kit.world import World, only


def test_locked_for_writing(cache: SQLiteCache, path: Path) -> None:
    """While another process writes, reads succeed; writes fail after the time-out, and succeed once it is done."""
    cache.set(KEY, b"value", 60)
    with raw(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.get(KEY) == b"value"
        cache.timeout = 0.02
        for change in (lambda: cache.set(KEY, b"new", 60), lambda: cache.delete(KEY), cache.clear):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                change()
        other.execute("ROLLBACK")
    cache.timeout = PATIENCE
    cache.set(KEY, b"new", 60)
    assert cache.get(KEY) == b"new"


def test_locked_before_it_was_opened(make: Callable[..., SQLiteCache], path: Path) -> None:
    """A file that another process has locked exclusively cannot be opened: a miss."""
    before, cache = make(), make(timeout=0.02)
    before.set(KEY, b"value", 60)
    before.close()
    with raw(path) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            cache.get(KEY)
        assert cache.get_stats().size is None


def test_threads_wait_for_one_another(cache: SQLiteCache) -> None:
    """A thread that waits for another thread's write fails after the time-out, too."""
    cache.set(KEY, b"value", 60)
    cache.timeout = 0.01
    with cache._file._pool.writing, pytest.raises(sqlite3.OperationalError, match="locked"):
        cache.set(KEY, b"new", 60)
    cache.timeout = PATIENCE
    cache.set(KEY, b"new", 60)


def test_opening_waits_in_bounds(make: Callable[..., SQLiteCache], tmp_path: Path) -> None:
    """If another thread or process is opening the file, opening fails after the time-out."""
    cache = make(timeout=0.01)
    with sqlite_file._forks.opening(time.monotonic()), pytest.raises(sqlite3.OperationalError, match="locked"):
        cache.get(KEY)
    if os.name == "posix":
        with sqlite_file._alone(str(tmp_path), 0), pytest.raises(BlockingIOError):
            cache.get(KEY)
    cache.timeout = PATIENCE
    assert cache.get(KEY) is None


def test_without_locks_of_folders(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store works where the file system, or the operating system, cannot lock a folder."""

    class Unable:
        LOCK_EX = LOCK_NB = 0

        def flock(self, *_: object) -> None:
            raise OSError("no locks available")

    for module in (Unable(), None):
        monkeypatch.setattr(sqlite_file, "fcntl", module)
        cache.set(KEY, b"value", 60)
        assert cache.get(KEY) == b"value"
        cache.close()


@only("asyncio", "trio")
async def test_the_event_loop_never_waits(world: World, cache: SQLiteCache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the event loop only small values are read, on a connection with a busy time-out of 0; other work runs in threads."""
    loop = threading.get_ident()
    done: list[tuple[str, bool]] = []
    real_connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def execute(self, statement: str, *args: Any) -> Any:
            here = threading.get_ident() == loop
            done.append((statement.split()[0], here))
            if here:
                assert statement == sqlite._FIND
                assert super().execute("PRAGMA busy_timeout").fetchone() == (0,)
            return super().execute(statement, *args)

    def connect(*args: Any, **kwargs: Any) -> Any:
        assert threading.get_ident() != loop
        return real_connect(*args, factory=Watched, **kwargs)

    monkeypatch.setattr(sqlite_file.sqlite3, "connect", connect)
    assert await cache.aget(KEY) is None
    await cache.aset(KEY, b"x" * sqlite.MAX_LOOP_READ, 60)
    await cache.aset(OTHER, b"x" * (sqlite.MAX_LOOP_READ + 1), 60)
    done.clear()
    assert await cache.aget(KEY)
    assert done == [("SELECT", True)]
    assert await cache.aget(OTHER)
    assert ("SELECT", False) in done
    await cache.adelete(KEY)
    await cache.aclear()
    cache.close()


@only("asyncio", "trio")
async def test_busy_on_the_loop(world: World, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that would have to wait on the event loop is repeated in a thread."""
    await cache.aset(KEY, b"value", 60)
    loop, read = threading.get_ident(), cache._read

    def busy(*args: Any) -> Any:
        if threading.get_ident() == loop:
            raise sqlite3.OperationalError("database is locked")
        return read(*args)

    monkeypatch.setattr(cache, "_read", busy)
    assert await cache.aget(KEY) == b"value"
    cache.close()

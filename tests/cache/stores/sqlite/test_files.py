"""Files are private, and closed when they are no longer needed."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest

from ratewise.cache.stores import sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY, unix
from tests.kit.patience import PATIENCE

# Private.


@unix
@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_files_are_private(cache: SQLiteCache, path: Path, umask: int) -> None:
    """Whatever the umask, the files are accessible to their owner and to nobody else."""
    before = os.umask(umask)
    try:
        cache.set(KEY, b"value", 60)
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["cache.db", "cache.db-shm", "cache.db-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(before)


@unix
def test_files_are_made_private(make: Callable[..., SQLiteCache], path: Path) -> None:
    """Files that others can read get private permissions when they are opened."""
    first, second = make(), make()
    first.set(KEY, b"value", 60)
    for file in path.parent.iterdir():
        file.chmod(0o644)
    assert second.get(KEY) == b"value"
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


# Closed.


def test_nothing_stays_open(path: Path) -> None:
    """A store without references is closed at once, without a garbage collection, and its write-ahead log is merged."""
    gc.disable()
    try:
        cache = SQLiteCache(path)
        cache.set(KEY, b"value", 60)
        (connection,) = cache._file._pool.idle
        del cache
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    finally:
        gc.enable()
    assert os.listdir(path.parent) == [path.name]


def test_nothing_stays_open_at_exit(path: Path) -> None:
    """A process that exits without closing prints nothing, and leaves a clean file."""
    script = "cache.set('a', b'value', 60)"
    begin = "import sys; from ratewise.cache.stores.sqlite import SQLiteCache; cache = SQLiteCache(sys.argv[1])\n"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", begin + script, str(path)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    assert os.listdir(path.parent) == [path.name]


def test_closed_in_use(cache: SQLiteCache) -> None:
    """A connection in use while the store is closed is closed when it is returned."""
    used = []

    def work(connection: sqlite3.Connection) -> None:
        cache.close()
        used.append(connection)
        assert connection.execute("SELECT 1").fetchone() == (1,)

    cache._file.run(time.monotonic() + PATIENCE, work)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        used[0].execute("SELECT 1")


def test_two_that_trim(cache: SQLiteCache) -> None:
    """Two threads that close the same idle connections do not disturb each other."""
    pool = sqlite_file.Pool(None)

    class Stolen(sqlite_file.deque):  # type: ignore[name-defined,misc]
        def __len__(self) -> int:
            return next(lengths)

    lengths = iter([1, 0])
    pool.idle = Stolen()
    pool.close()
    assert not list(lengths)

"""A full disk, a read-only folder, a file of another application: misses, and nothing is harmed."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import tempfile
from pathlib import Path
from typing import Any, Callable

import pytest

from ratewise.cache.stores import sqlite, sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY, call_of, entry, raw, unix
from tests.kit.world import World


def test_full_disk(make: Callable[..., SQLiteCache]) -> None:
    """A write without enough space changes nothing."""
    cache = make()
    cache.set(KEY, b"value", 60)
    (connection,) = cache._file._pool.idle
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        cache.set(KEY, b"x" * 100_000, 60)
    assert not connection.in_transaction
    assert cache.get(KEY) == b"value"
    cache.set(KEY, b"new", 60)
    assert cache.get(KEY) == b"new"


async def test_failures_are_misses(world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through a client an unusable file is a miss, and after one second the store is tried again."""
    folder = tmp_path / "gone"
    folder.mkdir()
    cache = SQLiteCache(folder / "cache.db", secret=b"s" * 32)
    folder.rmdir()
    call = call_of(world)
    with caplog.at_level(logging.WARNING, "ratewise"):
        assert await cache._ratewise_store.load(b"key", call) == ()
    assert f"SQLiteCache failed (FileNotFoundError at {cache.path}); bypassed for 1 s" in caplog.text
    folder.mkdir()
    await call.sleep(1)
    assert await cache._ratewise_store.save(b"key", (entry(b"body"),), 60, call)
    assert len(await cache._ratewise_store.load(b"key", call)) == 1
    cache.close()


@unix
@pytest.mark.parametrize("exists", [False, True])
def test_read_only_folder(exists: bool) -> None:
    """In a read-only folder nothing is stored, and nothing fails."""
    with tempfile.TemporaryDirectory() as folder:
        cache = SQLiteCache(Path(folder) / "cache.db")
        if exists:
            cache.set(KEY, b"value", 60)
            cache.close()
        root = os.geteuid() == 0
        os.chmod(folder, 0o555 if root else 0o500)
        try:
            if root:
                os.seteuid(65534)
            for use in (lambda: cache.get(KEY), lambda: cache.set(KEY, b"new", 60)):
                with pytest.raises((sqlite3.OperationalError, PermissionError)):
                    use()
        finally:
            if root:
                os.seteuid(0)
            os.chmod(folder, 0o700)
        assert cache.get(KEY) == (b"value" if exists else None)
        cache.close()


def test_no_write_ahead_log(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where write-ahead logging is not available, the file is not used, as writers would block readers."""
    real_connect = sqlite3.connect

    class Without(sqlite3.Connection):
        def execute(self, statement: str, *args: Any) -> Any:
            return super().execute(statement.replace("journal_mode = WAL", "journal_mode = DELETE"), *args)

    monkeypatch.setattr(sqlite_file.sqlite3, "connect", lambda *args, **kwargs: real_connect(*args, factory=Without, **kwargs))
    with pytest.raises(sqlite3.OperationalError, match="write-ahead"):
        cache.get(KEY)


FOREIGN = {
    "plain": "CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    "WAL": "PRAGMA journal_mode = WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    "its own id": "PRAGMA application_id = 77; CREATE TABLE t(x)",
    "its own version": "PRAGMA user_version = 1; CREATE TABLE entries(x)",
    "newer": f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}; PRAGMA user_version = {sqlite.SCHEMA_VERSION + 1}; "
    "CREATE TABLE t(x)",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_another_applications_database(cache: SQLiteCache, path: Path, kind: str) -> None:
    """A database of another application is not touched, not even its permissions."""
    with raw(path) as theirs:
        theirs.executescript(FOREIGN[kind])
    os.chmod(path, 0o644)
    before, mode = path.read_bytes(), path.stat().st_mode
    for use in (lambda: cache.get(KEY), lambda: cache.set(KEY, b"value", 60), lambda: cache.delete(KEY), cache.clear):
        with pytest.raises(sqlite_file.ForeignDatabase):
            use()
    assert cache.get_stats().size is None
    assert path.read_bytes() == before
    assert path.stat().st_mode == mode
    assert os.listdir(path.parent) == [path.name]


def test_an_older_schema(cache: SQLiteCache, path: Path) -> None:
    """The tables of an older version are replaced."""
    with raw(path) as older:
        older.executescript(f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}; CREATE TABLE entries(x)")
    assert cache.get(KEY) is None
    cache.set(KEY, b"value", 60)
    assert cache.get(KEY) == b"value"


def test_an_empty_file(cache: SQLiteCache, path: Path) -> None:
    """An empty file is used, and made private."""
    path.touch(0o644)
    cache.set(KEY, b"value", 60)
    assert cache.get(KEY) == b"value"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or os.name != "posix"

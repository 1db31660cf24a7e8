"""A damaged or missing file is replaced; a file of another application is kept."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ratewise.cache.stores import sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY, OTHER, call_of, entry, raw
from tests.kit.patience import PATIENCE
from tests.kit.world import World


def garbage(data: bytes) -> bytes:
    return b"no database " * 1000


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2 // 4096 * 4096]


def cut_short(data: bytes) -> bytes:
    return data[:5000]


def zeros(data: bytes) -> bytes:
    return data[:100] + bytes(len(data) - 100)


def torn(data: bytes) -> bytes:
    return data[:4096] + b"\xff" * (len(data) - 4096)


DAMAGES = [garbage, truncated, cut_short, zeros, torn]


def damaged(path: Path, damage: Callable[[bytes], bytes]) -> None:
    with contextlib.closing(SQLiteCache(path)) as before:
        for number in range(50):
            before.set(str(number), b"x" * 2000, 60)
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("first", ["get", "set", "delete", "clear"])
def test_damaged(make: Callable[..., SQLiteCache], path: Path, damage: Callable[[bytes], bytes], first: str) -> None:
    """A damaged file gives a miss, whichever method is first, and is replaced, as often as it happens."""
    for _ in range(2):
        damaged(path, damage)
        cache = make()
        use: Any = getattr(cache, first)
        use(*{"get": ("0",), "set": (KEY, b"value", 60), "delete": ("0",)}.get(first, ()))
        for number in range(50):
            assert cache.get(str(number)) in (None, b"x" * 2000)
        cache.set(KEY, b"value", 60)
        assert cache.get(KEY) == b"value"
        assert cache.get_stats().errors == 1
        other = make()
        assert other.get(KEY) == b"value"
        with raw(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        cache.close()
        other.close()
    assert (path.parent / f"{path.name}.damaged").exists() == (damage is garbage)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damaged_through_a_client(world: World, path: Path, damage: Callable[[bytes], bytes]) -> None:
    """In every world a damaged file gives a miss, and the next response is stored and found."""
    if world.httpx.__name__ == "httpx2":
        return
    damaged(path, damage)
    cache, call = SQLiteCache(path), call_of(world)
    assert await cache._ratewise_store.prepare(call)
    key = os.urandom(16)
    assert await cache._ratewise_store.load(key, call) == ()
    assert await cache._ratewise_store.save(key, (entry(b"body"),), 60, call)
    assert len(await cache._ratewise_store.load(key, call)) == 1
    cache.close()


@pytest.mark.parametrize("damage", [garbage, torn, lambda data: b""])
def test_damaged_while_open(make: Callable[..., SQLiteCache], path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A file overwritten while it is open is replaced once the damage is detected."""
    cache = make()
    for number in range(500):
        cache.set(str(number), b"x" * 2000, 60)
    with raw(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(path, "r+b") as file:
        data = damage(file.read())
        file.seek(0)
        file.write(data)
        file.truncate()
    for number in range(500):
        cache.get(str(number))
    for number in range(500):
        cache.set(f"new {number}", b"x" * 2000, 60)
    cache.close()
    assert [cache.get(f"new {number}") for number in range(500)] == [b"x" * 2000] * 500


@pytest.mark.parametrize("damage", [truncated, torn])
def test_another_applications_damaged_database(cache: SQLiteCache, path: Path, damage: Callable[[bytes], bytes]) -> None:
    """The damaged database of another application raises `ForeignDatabase` and is not touched."""
    with raw(path) as theirs:
        theirs.executescript("CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(50000))")
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for use in (lambda: cache.get(KEY), lambda: cache.set(KEY, b"value", 60)):
        with pytest.raises(sqlite_file.ForeignDatabase):
            use()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_what_was_not_ours_is_kept(make: Callable[..., SQLiteCache], path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that may not be ours is renamed to `.damaged` before it is replaced; a later one does not overwrite that copy."""
    path.write_text("my notes, and much more of them")
    with caplog.at_level(logging.WARNING, "ratewise"):
        assert make().get(KEY) is None
    assert f"{path} was damaged; replaced by a new one" in caplog.text
    make().close()
    path.write_text("not mine " * 10)
    for one in list(path.parent.glob("*-wal")):
        one.unlink()
    make().set(KEY, b"value", 60)
    assert (path.parent / "cache.db.damaged").read_text() == "my notes, and much more of them"


def test_damage_that_does_not_go_away(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the damage persists, a call replaces the file once and then raises."""

    def work(connection: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        cache._file.run(time.monotonic() + PATIENCE, work)
    assert cache.get_stats().errors == 1

    def prepare(connection: sqlite3.Connection, version: int) -> None:
        work(connection)

    cache.close()
    monkeypatch.setattr(cache._file, "_prepare", prepare)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        cache.get(KEY)
    assert cache.get_stats().errors == 2 + 1  # the replacement that `run` left due, and one more


def test_another_one_made_it_anew(make: Callable[..., SQLiteCache], path: Path) -> None:
    """A damaged file that another process has already replaced is left alone."""
    one, two = make(), make()
    one.set(KEY, b"old", 60)
    pool = one._file._pool
    pool.damaged = True
    path.unlink()
    two.set(KEY, b"new", 60)
    pool.close()
    assert one.get(KEY) == b"new"
    assert one.get_stats().errors == 0


def test_deleted_while_open(make: Callable[..., SQLiteCache], path: Path) -> None:
    """A file deleted while it is open is created anew, and closing the old connections does not harm the new file."""
    one, two = make(), make()
    one.set(KEY, b"old", 60)
    two.set(OTHER, b"old", 60)
    path.unlink()
    one.set(KEY, b"new", 60)
    assert two.get(OTHER) == b"old"
    two.set(OTHER, b"new", 60)
    assert (one.get(KEY), one.get(OTHER), two.get(KEY), two.get(OTHER)) == (b"new",) * 4
    one.close()
    two.close()
    assert (make().get(KEY), make().get(OTHER)) == (b"new",) * 2

"""A store in an SQLite file: it outlives the process, several processes can share it, and no server is needed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any, Callable

from ..._core.clock import Clock
from ..._keywords import explained
from ..._validation import factor, refusal, whole
from .base import CacheBackend, CacheStats
from .sqlite_file import ForeignDatabase, SQLiteFile

MAX_LOOP_READ = 64 * 1024
"""Bytes of a value up to which it is read on the event loop itself. A larger value is read in a worker thread."""

MAX_REMEMBERED_HITS = 500
"""Keys whose hits are remembered until the next write stores their use, at most."""

DELETE_BATCH = 1000
"""Entries that one write transaction deletes at most, so that it does not delay others for long."""

SCHEMA_VERSION = 1
"""A database with an older version of the schema is replaced; one with a newer version is not used."""

SCHEMA = """
DROP TABLE IF EXISTS entries;
DROP TABLE IF EXISTS bodies;
DROP TABLE IF EXISTS totals;
CREATE TABLE bodies(id INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE entries(space TEXT, key TEXT, id INTEGER NOT NULL, size INTEGER NOT NULL, expires REAL NOT NULL, used INTEGER,
    PRIMARY KEY(space, key)) WITHOUT ROWID;
CREATE INDEX by_use ON entries(used);
CREATE INDEX by_expiry ON entries(expires);
CREATE TABLE totals(space TEXT PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER added AFTER INSERT ON entries BEGIN
    INSERT INTO totals VALUES(new.space, 1, new.size)
        ON CONFLICT DO UPDATE SET entries = entries + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER gone AFTER DELETE ON entries BEGIN
    DELETE FROM bodies WHERE id = old.id;
    UPDATE totals SET entries = entries - 1, bytes = bytes - old.size WHERE space = old.space;
END;
"""
"""Creates the tables. Values have one of their own, so that the table that is searched, and changes with hits, stays small.

`used` is a counter that grows with each use, not a time, as clocks may be set back. The secret is never evicted: its `used` is
NULL, and its space is empty.
"""

_FIND = """SELECT expires, CASE WHEN size <= ? THEN value END FROM entries JOIN bodies ON bodies.id = entries.id
    WHERE space = ? AND key = ?"""
_DROP = "DELETE FROM entries WHERE space = ? AND key = ?"
_DROP_SOME = "DELETE FROM entries WHERE space = ? AND key IN (SELECT key FROM entries WHERE space = ? LIMIT ?)"
_DROP_EXPIRED = """DELETE FROM entries WHERE (space, key) IN
    (SELECT space, key FROM entries WHERE expires <= ? ORDER BY expires LIMIT ?)"""
_OLDEST = "SELECT space, key, size FROM entries WHERE used IS NOT NULL ORDER BY used LIMIT ?"

_ANY = 2**62
"""A number of bytes that no value exceeds."""
_UNKNOWN = b"unknown"
"""Compared by identity: there may be a value, which cannot be read without waiting."""


@explained()
class SQLiteCache(CacheBackend):
    """Responses in a file, with `sqlite3` of the standard library; the least recently used are removed first.

    - `path`: the file. Its folder has to exist. Only its owner may read it. SQLite has two more files beside it (`-wal`, `-shm`).
    - `ttl`: seconds for which a response is fresh if its server does not say. None: by `Last-Modified`, or not at all.
    - `max_size`: URLs at most; at least 1. `max_bytes`: bytes of their values at most; at least 1. Both count all namespaces in
      the file. The file does not shrink; its free space is reused.
    - `timeout`: seconds that a thread waits for other threads and processes; 0 to 60. An event loop never waits.
    - `namespace`: a name; entries stored under one namespace are invisible under another.
    - `secret`: 16 to 64 bytes, the key of all hashes and signatures; None for a random one that is kept in the file.
    - `clock`: the time by which responses age and expire; for tests. None: that of the client or transport.

    One file may be used by any number of threads, event loops and processes, also after a fork. A database that is locked, full
    or cannot be opened is a miss. A damaged one is replaced and, if it cannot be recognized as a database, kept as
    `<path>.damaged`.

    `close()` closes the file. The store can still be used: the next use opens it again.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        ttl: float | None = None,
        *,
        max_size: int = 100_000,
        max_bytes: int = 1024**3,
        timeout: float = 0.25,
        namespace: str = "",
        secret: bytes | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret, clock=clock)
        self.path = _checked_path(path)
        self.max_size = whole("max_size", max_size, least=1)
        self.max_bytes = whole("max_bytes", max_bytes, least=1)
        self.timeout = factor("timeout", timeout, least=0, most=60)
        self._space = hashlib.sha256(namespace.encode()).hexdigest()[:16]
        self._hits: dict[str, None] = {}
        store = self._ratewise_store
        store.location = self.path
        self._clock = store.clock
        self._file = SQLiteFile(self.path, SCHEMA, SCHEMA_VERSION, lambda: store.count("errors"))

    def get(self, key: str) -> bytes | None:
        found: bytes | None = self._file.glance(_UNKNOWN, self._read, key, _ANY)
        return self._file.run(monotonic() + self.timeout, self._read, key, _ANY) if found is _UNKNOWN else found

    async def aget(self, key: str) -> bytes | None:
        found: bytes | None = self._file.glance(_UNKNOWN, self._read, key, MAX_LOOP_READ)
        return await super().aget(key) if found is _UNKNOWN else found

    def set(self, key: str, value: bytes, ttl: float) -> None:
        if len(value) > self.max_bytes:
            self.delete(key)
        else:
            self._ratewise_store.count("evictions", self._change(self._write, key, value, ttl))

    def delete(self, key: str) -> None:
        self._change(_execute, _DROP, self._space_of(key), key)

    def clear(self) -> None:
        """Delete all entries of this namespace."""
        while self._change(_execute, _DROP_SOME, self._space, self._space, DELETE_BATCH):
            pass

    def get_stats(self) -> CacheStats:
        """Return the counts since the store was made; `size` is None if the file cannot be read within `timeout`."""
        size: int | None = self._file.glance(None, _size, self._space)
        with suppress(sqlite3.Error, OSError, ForeignDatabase):
            size = self._file.run(monotonic() + self.timeout, _size, self._space) if size is None else size
        return replace(super().get_stats(), size=size)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def _change(self, work: Callable[..., int], *args: Any) -> int:
        return self._file.change(monotonic() + self.timeout, work, *args)  # type: ignore[no-any-return]

    def _space_of(self, key: str) -> str:
        return "" if key.startswith("secret-") else self._space

    def _read(self, connection: sqlite3.Connection, key: str, most: int) -> bytes | None:
        """Return the value of a key; None if there is none, `_UNKNOWN` if it has more than `most` bytes."""
        rows = connection.execute(_FIND, (most, self._space_of(key), key)).fetchall()
        if not rows:
            return None
        expires, value = rows[0]
        if expires <= self._clock.time():
            return None
        if value is None:
            return _UNKNOWN
        if len(self._hits) >= MAX_REMEMBERED_HITS:
            self._hits.clear()
        self._hits[key] = None
        return value  # type: ignore[no-any-return]

    def _write(self, connection: sqlite3.Connection, key: str, value: bytes, ttl: float) -> int:
        """Store a value; return how many entries were evicted for it."""
        now, space = self._clock.time(), self._space_of(key)
        if not space and len(self._read(connection, key, _ANY) or b"") == len(value):
            return 0  # of several processes that store a secret at the same time, the first wins
        hits, self._hits = self._hits, {}
        last = connection.execute("SELECT coalesce(max(used), 0) FROM entries").fetchone()[0]
        used = [(last + rank, self._space, hit) for rank, hit in enumerate(list(hits), 1)]
        if used:
            connection.executemany("UPDATE entries SET used = ? WHERE space = ? AND key = ?", used)
        connection.execute(_DROP, (space, key))
        body = connection.execute("INSERT INTO bodies(value) VALUES(?)", (value,)).lastrowid
        rank = last + len(used) + 1 if space else None
        connection.execute("INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?)", (space, key, body, len(value), now + ttl, rank))
        connection.execute(_DROP_EXPIRED, (now, DELETE_BATCH))
        return self._evict(connection)

    def _evict(self, connection: sqlite3.Connection) -> int:
        entries, size = connection.execute("SELECT total(entries), total(bytes) FROM totals WHERE space <> ''").fetchone()
        entries -= self.max_size
        size -= self.max_bytes
        doomed: list[tuple[str, str]] = []
        if entries > 0 or size > 0:
            for space, key, its_size in connection.execute(_OLDEST, (DELETE_BATCH,)):
                doomed.append((space, key))
                entries -= 1
                size -= its_size
                if entries <= 0 and size <= 0:
                    break
            connection.executemany(_DROP, doomed)
        return len(doomed)


def _execute(connection: sqlite3.Connection, statement: str, *values: Any) -> int:
    return connection.execute(statement, values).rowcount


def _size(connection: sqlite3.Connection, space: str) -> int:
    rows = connection.execute("SELECT entries FROM totals WHERE space = ?", (space,)).fetchall()
    return rows[0][0] if rows else 0


def _checked_path(path: Any) -> str:
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(refusal("path", path, "the path of a file, as a string or a path object"))
    if not text or text == ":memory:" or text.startswith("file:"):
        raise ValueError(f"{refusal('path', text, 'the path of a file')}: to keep responses in memory use InMemoryCache")
    full = os.path.realpath(text)
    if os.path.isdir(full):
        raise ValueError(refusal("path", text, "the path of a file, not of a folder"))
    if not os.path.isdir(os.path.dirname(full)):
        raise ValueError(f"{refusal('path', text, 'in a folder that exists')}: create that folder first")
    return full

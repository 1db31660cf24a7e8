"""A store in one file of SQLite: it outlives the process, several processes share it, and nothing has to be run."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep, time
from typing import Any, Callable

from ..validation import factor, refusal, whole
from .store import CacheBackend

logger = logging.getLogger("ratewise")
fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

SMALL = 64 * 1024
"""Bytes of a value that is read on an event loop itself. More is read in a thread."""

POOL = 16
"""Connections without work that are kept."""

REMEMBERED = 500
"""Keys that were hit which are remembered until something is written."""

BATCH = 1000
"""Entries that one write forgets at most, so that it does not hold up others."""

PATIENCE = 1.0
"""Seconds that a fork waits for what other threads do with a database."""

APPLICATION = int.from_bytes(b"RWCa", "big")
"""By this we know a database for ours."""

VERSION = 1
"""Of the schema. An older one is made anew, a newer one left alone."""

# Values have a table of their own: what changes with a hit, and what is searched, stays small.
# `used` grows with each use (no clock, as those are set back at times); NULL: a secret, never to be evicted. Its space is empty.
_SCHEMA = f"""
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
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""
_FIND = (
    "SELECT expires, CASE WHEN size <= ? THEN value END FROM entries JOIN bodies ON bodies.id = entries.id "
    "WHERE space = ? AND key = ?"
)
_DROP = "DELETE FROM entries WHERE space = ? AND key = ?"
_DROP_EXPIRED = (
    "DELETE FROM entries WHERE (space, key) IN (SELECT space, key FROM entries WHERE expires <= ? ORDER BY expires LIMIT ?)"
)
_DROP_SOME = "DELETE FROM entries WHERE space = ? AND key IN (SELECT key FROM entries WHERE space = ? LIMIT ?)"
_OLDEST = "SELECT space, key, size FROM entries WHERE used IS NOT NULL ORDER BY used LIMIT ?"

_ANY = 2**62
_UNKNOWN = b"unknown"  # compared by identity: what `_glance` says when it would have to wait


class ForeignDatabase(Exception):  # noqa: N818  (its name is what the log tells)
    """The file is a database of another application, or of a newer RateWise. It is left as it is."""


class SQLiteCache(CacheBackend):
    """Responses in a file, by the `sqlite3` of the standard library, the least recently used forgotten first.

    - `path`: the file. Its folder has to exist; it is made for this user alone. Two more are beside it (`-wal`, `-shm`).
    - `ttl`: seconds for which a response is fresh whose server does not say. None: then by `Last-Modified`, or not at all.
    - `max_size`: URLs at most; at least 1. `max_bytes`: what their values take at most; at least 1. Both for the whole file, which
      does not shrink: its room is used again.
    - `timeout`: seconds that something may wait for another process, in its thread; 0 to 60. An event loop never waits.
    - `namespace`, `secret`: see `Cache`.

    One may be used by any number of threads, event loops and processes, also after a fork. A database that is locked, full or cannot
    be opened is a miss. A damaged one is deleted and made anew; if it cannot be told that it was ours, it is kept as `<path>.damaged`.

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
    ) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret)
        self.path = _checked_path(path)
        self.max_size = whole("max_size", max_size, least=1)
        self.max_bytes = whole("max_bytes", max_bytes, least=1)
        self.timeout = factor("timeout", timeout, least=0, most=60)
        self._space = hashlib.sha256(namespace.encode()).hexdigest()[:16]
        self._hits: dict[str, None] = {}
        self._database = _Database(None)
        self._database.closed = True
        self._closer: Callable[[], object] = self._database.close

    def get(self, key: str) -> bytes | None:
        found = self._glance(key, _ANY)
        return self._run(self._until(), self._read, key, _ANY) if found is _UNKNOWN else found

    async def aget(self, key: str) -> bytes | None:
        found = self._glance(key, SMALL)
        return await super().aget(key) if found is _UNKNOWN else found

    def set(self, key: str, value: bytes, ttl: float) -> None:
        if len(value) > self.max_bytes:
            self.delete(key)
        else:
            self.count("evictions", self._change(self._store, key, value, ttl))

    def delete(self, key: str) -> None:
        self._change(self._execute, _DROP, (self._space_of(key), key))

    def clear(self) -> None:
        """Forget what is stored under this namespace."""
        self._hits.clear()
        while self._change(self._execute, _DROP_SOME, (self._space, self._space, BATCH)):
            pass

    def size(self) -> int | None:
        try:
            rows = self._run(self._until(), self._select, "SELECT entries FROM totals WHERE space = ?", (self._space,))
        except (sqlite3.Error, OSError, ForeignDatabase):
            return None
        return rows[0][0] if rows else 0

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        self._closer()

    def _until(self) -> float:
        return monotonic() + self.timeout

    def _space_of(self, key: str) -> str:
        return "" if key.startswith("secret-") else self._space

    # What is done with a connection.

    def _read(self, connection: sqlite3.Connection, key: str, most: int) -> bytes | None:
        """The value of a key; `_UNKNOWN` if it has more than `most` bytes."""
        rows = connection.execute(_FIND, (most, self._space_of(key), key)).fetchall()
        if not rows:
            return None
        expires, value = rows[0]
        if expires <= time():
            return None
        if value is None:
            return _UNKNOWN
        if len(self._hits) >= REMEMBERED:
            self._hits.clear()
        self._hits[key] = None
        return value  # type: ignore[no-any-return]

    def _select(self, connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> list[Any]:
        return connection.execute(statement, values).fetchall()

    def _execute(self, connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> int:
        return connection.execute(statement, values).rowcount

    def _store(self, connection: sqlite3.Connection, key: str, value: bytes, ttl: float) -> int:
        """Store; how many had to make room for it."""
        now, space = time(), self._space_of(key)
        hits, self._hits = self._hits, {}
        last = connection.execute("SELECT coalesce(max(used), 0) FROM entries").fetchone()[0]
        used = [(last + rank, self._space, hit) for rank, hit in enumerate(list(hits), 1)]
        if used:
            connection.executemany("UPDATE entries SET used = ? WHERE space = ? AND key = ?", used)
        connection.execute(_DROP, (space, key))
        body = connection.execute("INSERT INTO bodies(value) VALUES(?)", (value,)).lastrowid
        rank = last + len(used) + 1 if space else None
        connection.execute("INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?)", (space, key, body, len(value), now + ttl, rank))
        connection.execute(_DROP_EXPIRED, (now, BATCH))
        return self._evict(connection)

    def _evict(self, connection: sqlite3.Connection) -> int:
        entries, size = connection.execute("SELECT total(entries), total(bytes) FROM totals WHERE space <> ''").fetchone()
        entries -= self.max_size
        size -= self.max_bytes
        if entries <= 0 and size <= 0:
            return 0
        doomed = []
        for space, key, its_size in connection.execute(_OLDEST, (BATCH,)):
            if entries <= 0 and size <= 0:
                break
            doomed.append((space, key))
            entries -= 1
            size -= its_size
        connection.executemany(_DROP, doomed)
        return len(doomed)

    # How it gets its connection.

    def _glance(self, key: str, most: int) -> bytes | None:
        """Read if that needs no waiting for anybody, else `_UNKNOWN`."""
        database = self._database
        try:
            connection = database.idle.pop()
        except IndexError:
            return _UNKNOWN
        try:
            return self._read(connection, key, most)
        except sqlite3.Error:
            return _UNKNOWN
        finally:
            database.give_back(connection)

    def _change(self, change: Callable[..., int], *args: Any) -> int:
        """Run `change` in a transaction."""
        until, database = self._until(), self._database
        if _identity(self.path) != database.identity:  # it was deleted, or made anew by another process
            database.close()
        if not database.writing.acquire(timeout=self.timeout):  # SQLite would try again and again, and let none have its turn
            raise sqlite3.OperationalError("database is locked")
        try:
            return self._run(until, self._transact, change, *args)  # type: ignore[no-any-return]
        finally:
            database.writing.release()

    def _transact(self, connection: sqlite3.Connection, change: Callable[..., int], *args: Any) -> int:
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = change(connection, *args)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _run(self, until: float, work: Callable[..., Any], *args: Any) -> Any:
        """Run `work` with a connection that waits for others `until` then. A damaged database is made anew, once."""
        healed = False
        while True:
            database, connection = self._borrow(until)
            try:
                connection.execute(f"PRAGMA busy_timeout = {_left(until) * 1000:.0f}")
                try:
                    return work(connection, *args)
                finally:
                    connection.execute("PRAGMA busy_timeout = 0")
            except sqlite3.DatabaseError as error:
                if healed or not _is_damage(error):
                    raise
                healed = database.damaged = True
                database.close()
            finally:
                database.give_back(connection)

    def _borrow(self, until: float) -> tuple[_Database, sqlite3.Connection]:
        database = self._database
        try:
            return database, database.idle.pop()
        except IndexError:
            return self._open(until)

    def _open(self, until: float) -> tuple[_Database, sqlite3.Connection]:
        """One connection more."""
        lock = _forks.opening
        if not lock.acquire(timeout=_left(until)):
            raise sqlite3.OperationalError("database is locked")
        try:
            _forks.bury()
            with _alone(os.path.dirname(self.path), until):
                database = self._database
                if database.damaged and database.identity == _identity(self.path):
                    self._discard(ours=True)
                connection = self._connect(until)
                identity = _identity(self.path)
            if database.closed or database.identity != identity:
                self._closer()
                database = self._database = _Database(identity)
                self._closer = weakref.finalize(self, database.close)
                _forks.databases.add(database)
            database.connections.add(connection)
            return database, connection
        finally:
            lock.release()

    def _connect(self, until: float) -> sqlite3.Connection:
        """A connection to a database of ours, which is made if there is none, and made anew if it is damaged."""
        healed = False
        while True:
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                os.chmod(self.path, 0o600)
            connection = sqlite3.connect(self.path, timeout=_left(until), isolation_level=None, check_same_thread=False)
            ours = False
            try:
                state = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _STATE]
                application, version, pages = state
                if any(state) and (application != APPLICATION or version > VERSION):
                    raise ForeignDatabase(f"{self.path} is not the database of a cache, or that of a newer version")
                ours = pages > 0
                self._prepare(connection, version)
                return connection
            except BaseException as error:
                connection.close()
                if healed or not _is_damage(error):
                    raise
            healed = True
            self._discard(ours)

    def _prepare(self, connection: sqlite3.Connection, version: int) -> None:
        for name in (self.path, f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                if os.stat(name).st_mode & 0o077:
                    os.chmod(name, 0o600)
        if version < VERSION:  # all at once: half a database would be nobody's
            connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise sqlite3.OperationalError("no write-ahead log is possible in this file system")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA busy_timeout = 0")

    def _discard(self, ours: bool) -> None:
        """Out of the way with a damaged file. Its log goes first: it would be taken for that of the next one."""
        for name in (f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(name)
        spare = f"{self.path}.damaged"
        if ours or os.path.exists(spare):
            os.unlink(self.path)
        else:
            os.rename(self.path, spare)
        self.count("errors")
        logger.warning("Cache: the database %s was damaged, and is made anew", self.path)


class _Database:
    """One file that was opened, with the connections to it."""

    def __init__(self, identity: tuple[int, int] | None) -> None:
        self.identity = identity
        self.connections: set[sqlite3.Connection] = set()
        self.idle: deque[sqlite3.Connection] = deque()  # those that nobody uses
        self.writing = threading.Lock()
        self.closed = False
        self.damaged = False

    def give_back(self, connection: sqlite3.Connection) -> None:
        self.idle.append(connection)
        if self.closed or len(self.idle) > POOL:
            self._trim()

    def close(self) -> None:
        """Close the connections, those in use when they are given back."""
        self.closed = True
        self._trim()

    def _trim(self) -> None:
        while len(self.idle) > (0 if self.closed else POOL):
            with suppress(IndexError):  # another thread may do the same
                connection = self.idle.popleft()
                connection.close()
                self.connections.discard(connection)


class _Forks:
    """Connections do not survive a fork, and nobody may be inside SQLite meanwhile: its locks would stay locked in the child."""

    def __init__(self) -> None:
        self.opening = threading.Lock()
        """Held by who opens a connection, and during a fork."""
        self.databases: weakref.WeakSet[_Database] = weakref.WeakSet()
        self._forker: int | None = None
        self._held: list[tuple[_Database, sqlite3.Connection]] = []
        self._inherited: list[sqlite3.Connection] = []
        self._usable = True

    def bury(self) -> None:
        """Before a child opens a file: close what it inherited. SQLite would believe that it has the locks of its parent."""
        if not self._usable:
            raise sqlite3.OperationalError("a database was in use while this process was forked")
        while self._inherited:
            self._inherited.pop().close()

    def before(self) -> None:
        """Wait until all connections are idle, and hold them."""
        until = monotonic() + PATIENCE
        if not self.opening.acquire(timeout=PATIENCE):
            return
        self._forker = threading.get_ident()
        for database in list(self.databases):
            held = 0
            while held < len(database.connections) and monotonic() < until:
                try:
                    self._held.append((database, database.idle.pop()))
                    held += 1
                except IndexError:
                    sleep(0.001)

    def after_in_parent(self) -> None:
        if self._forker == threading.get_ident():
            held, self._held, self._forker = self._held, [], None
            self.opening.release()
            for database, connection in held:
                database.give_back(connection)

    def after_in_child(self) -> None:
        """Forget all connections. If one was in use, this process must leave SQLite alone."""
        for database, connection in self._held:
            database.idle.append(connection)
        if self._forker != threading.get_ident() and self.opening.locked():
            self._usable = False
        for database in list(self.databases):
            self._usable &= len(database.idle) == len(database.connections)
            self._inherited += database.idle
            database.idle.clear()
            database.connections.clear()
            database.closed = True
        self.opening, self._held, self._forker = threading.Lock(), [], None


_forks = _Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child)

_STATE = ("application_id", "user_version", "page_count")


@contextmanager
def _alone(folder: str, until: float) -> Iterator[None]:
    """No other process opens or replaces a database in this folder meanwhile."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not _left(until):
                    raise
                sleep(0.002)
        yield
    finally:
        os.close(descriptor)


def _left(until: float) -> float:
    return max(until - monotonic(), 0.0)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file that is; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: BaseException) -> bool:
    """SQLITE_CORRUPT or SQLITE_NOTADB. By its text, as Python 3.9 does not tell the code."""
    text = str(error)
    return isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text)


def _checked_path(path: Any) -> str:
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(refusal("path", path, "the path of a file, as a string or a path object"))
    if not text or text == ":memory:" or text.startswith("file:"):
        raise ValueError(f"{refusal('path', text, 'the path of a file')}: what is to stay in memory is for InMemoryCache")
    full = os.path.realpath(text)
    if os.path.isdir(full):
        raise ValueError(refusal("path", text, "the path of a file, which may not exist yet and is no folder"))
    if not os.path.isdir(os.path.dirname(full)):
        raise ValueError(f"{refusal('path', text, 'in a folder that exists')}: make that folder first")
    return full

"""The database file of a `SQLiteCache`, used by many threads and processes, across forks, damage and replacement."""

from __future__ import annotations

import importlib
import logging
import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Any, Callable

from ..._core.forks import at_fork

logger = logging.getLogger("ratewise")
fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

APPLICATION_ID = int.from_bytes(b"RWCa", "big")
"""The `application_id` of our databases."""

MAX_IDLE = 16
"""Idle connections that are kept open, at most."""

FORK_TIMEOUT = 1.0
"""Seconds for which a fork waits until other threads no longer use a database, at most."""


class ForeignDatabase(Exception):  # noqa: N818  (the log shows its name)
    """The file is a database of another application, or of a newer RateWise. It is not changed."""


class SQLiteFile:
    """The file. Each use opens it if it is closed, also after `close()`.

    `schema` creates the tables of `version`, in place of those of an older version. `damaged()` is called when a damaged file has
    been replaced. `until`: how long a method may wait, as a time of the monotonic clock.
    """

    def __init__(self, path: str, schema: str, version: int, damaged: Callable[[], object]) -> None:
        self.path = path
        self._schema = f"BEGIN IMMEDIATE;{schema};PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={version};COMMIT;"
        self._version = version
        self._damaged = damaged
        self._pool = Pool(None)
        self._pool.close()
        self._closer: Callable[[], object] = self._pool.close

    def close(self) -> None:
        """Close the file. Connections in use are closed when they are returned; the next use opens the file again."""
        self._closer()

    def glance(self, otherwise: Any, work: Callable[..., Any], *args: Any) -> Any:
        """Return `work(connection, *args)`; `otherwise` if that would have to wait, or fails."""
        pool = self._pool
        try:
            connection = pool.idle.pop()
        except IndexError:
            return otherwise
        try:
            return work(connection, *args)
        except sqlite3.Error:
            return otherwise
        finally:
            pool.give_back(connection)

    def run(self, until: float, work: Callable[..., Any], *args: Any) -> Any:
        """Return `work(connection, *args)`. If the file is damaged, replace it and try once more."""
        healed = False
        while True:
            pool, connection = self._borrow(until)
            try:
                connection.execute(f"PRAGMA busy_timeout = {_left(until) * 1000:.0f}")
                try:
                    return work(connection, *args)
                finally:
                    connection.execute("PRAGMA busy_timeout = 0")
            except sqlite3.DatabaseError as error:
                if healed or not _is_damage(error):
                    raise
                healed = pool.damaged = True
                pool.close()
            finally:
                pool.give_back(connection)

    def change(self, until: float, work: Callable[..., Any], *args: Any) -> Any:
        """Return `work(connection, *args)`, run in a write transaction."""
        pool = self._pool
        if _identity(self.path) != pool.identity:  # another process deleted or replaced it
            pool.close()
        if not pool.writing.acquire(timeout=_left(until)):  # SQLite's own waiting polls, and is not fair
            raise sqlite3.OperationalError("database is locked")
        try:
            return self.run(until, _transact, work, *args)
        finally:
            pool.writing.release()

    def _borrow(self, until: float) -> tuple[Pool, sqlite3.Connection]:
        pool = self._pool
        try:
            return pool, pool.idle.pop()
        except IndexError:
            return self._open(until)

    def _open(self, until: float) -> tuple[Pool, sqlite3.Connection]:
        """Open one more connection."""
        with _forks.opening(until), _alone(os.path.dirname(self.path), until):
            pool = self._pool
            if pool.damaged and pool.identity == _identity(self.path):
                self._discard()
                pool.damaged = False
            connection = self._connect(until)
            identity = _identity(self.path)
            if pool.closed or pool.identity != identity:
                self._closer()
                pool = self._pool = Pool(identity)
                self._closer = weakref.finalize(self, pool.close)
                _forks.pools.add(pool)
            pool.connections.add(connection)
            return pool, connection

    def _connect(self, until: float) -> sqlite3.Connection:
        """Return a connection to our database, which is created if it is missing and replaced if it is damaged."""
        healed = False
        while True:
            if not os.path.exists(self.path):
                self._unlink_logs()  # of a deleted file, which another process may still use
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                os.chmod(self.path, 0o600)  # whatever the umask says
            connection = sqlite3.connect(self.path, timeout=_left(until), isolation_level=None, check_same_thread=False)
            try:
                names = ("application_id", "user_version", "page_count")
                state = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
                if any(state) and not (state[0] == APPLICATION_ID and state[1] <= self._version):
                    raise ForeignDatabase(f"{self.path} is not the database of a cache, or of a newer version")
                self._prepare(connection, state[1])
                return connection
            except BaseException as error:
                connection.close()
                if healed or not _is_damage(error):
                    raise
            healed = True
            self._discard()

    def _prepare(self, connection: sqlite3.Connection, version: int) -> None:
        for name in (self.path, f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                if os.stat(name).st_mode & 0o077:
                    os.chmod(name, 0o600)
        if (
            version < self._version
        ):  # in one transaction, before anything else is written: an unfinished database would be foreign
            connection.executescript(self._schema)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise sqlite3.OperationalError("this file system does not support a write-ahead log")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA busy_timeout = 0")

    def _discard(self) -> None:
        """Delete a damaged file. One that is no database at all may be anything: it is renamed and kept, once."""
        with open(self.path, "rb") as file:
            head = file.read(72)
        spare = f"{self.path}.damaged"
        is_database = head.startswith(b"SQLite format 3\0")
        if is_database and head[68:] != APPLICATION_ID.to_bytes(4, "big"):
            raise ForeignDatabase(f"{self.path} is damaged, and not the database of a cache")
        self._unlink_logs()
        if is_database or os.path.exists(spare):
            os.unlink(self.path)
        else:
            os.rename(self.path, spare)
        logger.warning("Cache: database %s was damaged; replaced by a new one", self.path)
        self._damaged()

    def _unlink_logs(self) -> None:
        """Delete the files beside the database: SQLite would take them for those of the next database with its name."""
        for name in (f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(name)


class Pool:
    """The connections to one file."""

    def __init__(self, identity: tuple[int, int] | None) -> None:
        self.identity = identity
        """Device and inode of the file."""
        self.connections: set[sqlite3.Connection] = set()
        self.idle: deque[sqlite3.Connection] = deque()
        """The connections that are not in use."""
        self.writing = threading.Lock()
        self.closed = False
        self.damaged = False

    def give_back(self, connection: sqlite3.Connection) -> None:
        self.idle.append(connection)
        if self.closed or len(self.idle) > MAX_IDLE:
            self._trim()

    def close(self) -> None:
        """Close the connections; those in use when they are returned."""
        self.closed = True
        self._trim()

    def _trim(self) -> None:
        while len(self.idle) > (0 if self.closed else MAX_IDLE):
            with suppress(IndexError):  # another thread may do the same
                connection = self.idle.popleft()
                connection.close()
                self.connections.discard(connection)


class Forks:
    """Keeps SQLite out of forks: connections do not survive one, and a lock that a thread holds stays locked in the child."""

    def __init__(self) -> None:
        self.pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._lock = threading.Lock()
        """Held while a connection is opened, and during a fork."""
        self._forker: int | None = None
        self._reserved: list[tuple[Pool, sqlite3.Connection]] = []
        self._inherited: list[sqlite3.Connection] = []
        self._usable = True

    @contextmanager
    def opening(self, until: float) -> Iterator[None]:
        """Keep other threads from opening a connection, and from forking."""
        lock = self._lock
        if not lock.acquire(timeout=_left(until)):
            raise sqlite3.OperationalError("database is locked")
        try:
            if not self._usable:
                raise sqlite3.OperationalError("a database was in use when this process was forked")
            while self._inherited:  # before a child opens a file: SQLite would take the locks of the parent for its own
                self._inherited.pop().close()
            yield
        finally:
            lock.release()

    def before(self) -> None:
        """Wait until all connections are idle, and reserve them."""
        until = monotonic() + FORK_TIMEOUT
        if not self._lock.acquire(timeout=FORK_TIMEOUT):
            return
        self._forker = threading.get_ident()
        for pool in list(self.pools):
            reserved = 0
            while reserved < len(pool.connections) and monotonic() < until:
                try:
                    self._reserved.append((pool, pool.idle.pop()))
                    reserved += 1
                except IndexError:
                    sleep(0.001)

    def after_in_parent(self) -> None:
        if self._forker == threading.get_ident():
            reserved, self._reserved, self._forker = self._reserved, [], None
            self._lock.release()
            for pool, connection in reserved:
                pool.give_back(connection)

    def after_in_child(self) -> None:
        """Discard all connections. If one was in use, this process must not use SQLite at all."""
        for pool, connection in self._reserved:
            pool.idle.append(connection)
        self._usable &= self._forker == threading.get_ident() or not self._lock.locked()
        for pool in list(self.pools):
            self._usable &= len(pool.idle) == len(pool.connections)
            self._inherited += pool.idle
            pool.idle.clear()
            pool.connections.clear()
            pool.closed, pool.writing = True, threading.Lock()
        self._lock, self._reserved, self._forker = threading.Lock(), [], None


_forks = Forks()
at_fork(before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child)


@contextmanager
def _alone(folder: str, until: float) -> Iterator[None]:
    """Keep other processes from opening or replacing a database in this folder."""
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
            except OSError:  # this file system does not support locks
                break
        yield
    finally:
        os.close(descriptor)


def _transact(connection: sqlite3.Connection, work: Callable[..., Any], *args: Any) -> Any:
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection, *args)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _left(until: float) -> float:
    return max(until - monotonic(), 0.0)


def _identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a file; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _is_damage(error: BaseException) -> bool:
    """Whether an error is SQLITE_CORRUPT or SQLITE_NOTADB. By its text, as Python 3.9 does not have the code."""
    text = str(error)
    return isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text)

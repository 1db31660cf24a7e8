"""A database file of SQLite that is ours: opened by many threads and processes, private, forked, locked, damaged, replaced."""

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

APPLICATION = int.from_bytes(b"RWCa", "big")
"""By this we know a database for ours."""

POOL = 16
"""Connections without work that are kept."""

PATIENCE = 1.0
"""Seconds that a fork waits for what other threads do with a database."""


class ForeignDatabase(Exception):  # noqa: N818  (its name is what the log tells)
    """The file is a database of another application, or of a newer RateWise. It is left as it is."""


class SQLiteFile:
    """The file. Opened when it is first used; `close()` closes it until it is used again.

    `schema` makes the tables of `version`, in place of those of an older one. `damaged()` is called when a damaged file was put
    out of the way. Who may wait says how long: `until`, by the monotonic clock.
    """

    def __init__(self, path: str, schema: str, version: int, damaged: Callable[[], object]) -> None:
        self.path = path
        self._schema = f"BEGIN IMMEDIATE;{schema};PRAGMA application_id={APPLICATION};PRAGMA user_version={version};COMMIT;"
        self._version = version
        self._damaged = damaged
        self._pool = Pool(None)
        self._pool.close()
        self._closer: Callable[[], object] = self._pool.close

    def close(self) -> None:
        """Close the file. Connections in use are closed when they are given back."""
        self._closer()

    def glance(self, otherwise: Any, work: Callable[..., Any], *args: Any) -> Any:
        """`work(connection, *args)` if that needs no waiting for anybody; `otherwise`, if not or if it fails."""
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
        """`work(connection, *args)`, and once more with a new file if this one is damaged."""
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
        """`run`, in a transaction."""
        pool = self._pool
        if _identity(self.path) != pool.identity:  # it was deleted, or made anew by another process
            pool.close()
        if not pool.writing.acquire(timeout=_left(until)):  # SQLite would try now and then, and let none have its turn
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
        """One connection more."""
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
        """A connection to a database of ours, which is made if there is none, and made anew if it is damaged."""
        healed = False
        while True:
            if not os.path.exists(self.path):
                self._unlink_logs()  # those of a file that was deleted, and that another process may still use
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                os.chmod(self.path, 0o600)  # whatever the umask says
            connection = sqlite3.connect(self.path, timeout=_left(until), isolation_level=None, check_same_thread=False)
            try:
                names = ("application_id", "user_version", "page_count")
                state = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
                if any(state) and not (state[0] == APPLICATION and state[1] <= self._version):
                    raise ForeignDatabase(f"{self.path} is not the database of a cache, or that of a newer version")
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
        if version < self._version:  # all at once, and before anything else is written: half a database would be nobody's
            connection.executescript(self._schema)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise sqlite3.OperationalError("no write-ahead log is possible in this file system")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA busy_timeout = 0")

    def _discard(self) -> None:
        """Out of the way with a damaged file. One that has nothing of a database any more may be anything: it is kept, once."""
        with open(self.path, "rb") as file:
            head = file.read(72)
        spare = f"{self.path}.damaged"
        is_database = head.startswith(b"SQLite format 3\0")
        if is_database and head[68:] != APPLICATION.to_bytes(4, "big"):
            raise ForeignDatabase(f"{self.path} is damaged, and not the database of a cache")
        self._unlink_logs()
        if is_database or os.path.exists(spare):
            os.unlink(self.path)
        else:
            os.rename(self.path, spare)
        logger.warning("Cache: the database %s was damaged, and is made anew", self.path)
        self._damaged()

    def _unlink_logs(self) -> None:
        """They would be taken for those of the next file: so they go before it comes."""
        for name in (f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(name)


class Pool:
    """The connections to one file that was opened."""

    def __init__(self, identity: tuple[int, int] | None) -> None:
        self.identity = identity
        self.connections: set[sqlite3.Connection] = set()
        self.idle: deque[sqlite3.Connection] = deque()
        """Those that nobody uses."""
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


class Forks:
    """Connections do not survive a fork, and nobody may be inside SQLite meanwhile: its locks would stay locked in the child."""

    def __init__(self) -> None:
        self.pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._lock = threading.Lock()
        """Held by who opens a connection, and during a fork."""
        self._forker: int | None = None
        self._held: list[tuple[Pool, sqlite3.Connection]] = []
        self._inherited: list[sqlite3.Connection] = []
        self._usable = True

    @contextmanager
    def opening(self, until: float) -> Iterator[None]:
        """Nobody else opens a connection, and nobody forks."""
        lock = self._lock
        if not lock.acquire(timeout=_left(until)):
            raise sqlite3.OperationalError("database is locked")
        try:
            if not self._usable:
                raise sqlite3.OperationalError("a database was in use while this process was forked")
            while self._inherited:  # before a child opens a file: SQLite would believe that it has the locks of its parent
                self._inherited.pop().close()
            yield
        finally:
            lock.release()

    def before(self) -> None:
        """Wait until all connections are idle, and hold them."""
        until = monotonic() + PATIENCE
        if not self._lock.acquire(timeout=PATIENCE):
            return
        self._forker = threading.get_ident()
        for pool in list(self.pools):
            held = 0
            while held < len(pool.connections) and monotonic() < until:
                try:
                    self._held.append((pool, pool.idle.pop()))
                    held += 1
                except IndexError:
                    sleep(0.001)

    def after_in_parent(self) -> None:
        if self._forker == threading.get_ident():
            held, self._held, self._forker = self._held, [], None
            self._lock.release()
            for pool, connection in held:
                pool.give_back(connection)

    def after_in_child(self) -> None:
        """Forget all connections. If one was in use, this process must leave SQLite alone."""
        for pool, connection in self._held:
            pool.idle.append(connection)
        self._usable &= self._forker == threading.get_ident() or not self._lock.locked()
        for pool in list(self.pools):
            self._usable &= len(pool.idle) == len(pool.connections)
            self._inherited += pool.idle
            pool.idle.clear()
            pool.connections.clear()
            pool.closed, pool.writing = True, threading.Lock()
        self._lock, self._held, self._forker = threading.Lock(), [], None


_forks = Forks()
at_fork(before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child)


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
            except OSError:  # this file system has no such locks
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

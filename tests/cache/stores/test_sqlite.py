"""The store in a file: kept, shared, private; locked, full or damaged it is a miss, and no event loop waits for it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ratewise.cache.entry import Entry, Policy
from ratewise.cache.stores import sqlite, sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from ratewise.layer import Call
from tests.kit.clock import PATIENCE, FakeClock
from tests.kit.marks import FORKS
from tests.kit.world import World, only

KEY, OTHER = "a" * 32, "b" * 32
# Windows has no owner, group and others whose rights could be looked at: a file's come from its folder.
unix = pytest.mark.skipif(os.name != "posix", reason="Windows has no permissions such as 0600")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def make(path: Path) -> Iterator[Callable[..., SQLiteCache]]:
    """Stores on one file, closed at the end."""
    made = []

    def build(**settings: Any) -> SQLiteCache:
        made.append(SQLiteCache(path, **settings))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def cache(make: Callable[..., SQLiteCache]) -> SQLiteCache:
    return make()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall time, as the store sees it."""
    times = [1000.0]
    monkeypatch.setattr(sqlite, "time", lambda: times[0])
    return times


def call_of(world: World) -> Call[Any, Any]:
    send: Any = None
    return Call(send, world.flavour(), FakeClock())


def entry(body: bytes) -> Entry:
    return Entry(200, b"", body, born=0, received=0, policy=Policy(60))


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def python(script: str, *args: object) -> subprocess.Popen[str]:
    """Another process, with `cache` on the file that is its first argument."""
    begin = "import sys; from ratewise.cache.stores.sqlite import SQLiteCache; cache = SQLiteCache(sys.argv[1], timeout=5)\n"
    command = [sys.executable, "-c", begin + script, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def threads(number: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            work(index)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(number)]
    for one in running:
        one.start()
    for one in running:
        one.join(PATIENCE * 4)
        assert not one.is_alive()
    assert not errors


def in_child(work: Callable[[], object]) -> int:
    """What became of `work` in a forked child: 0 is well, 1 an error, and more that it hung."""
    pid = os.fork()
    if not pid:  # pragma: no cover
        code = 1
        try:
            signal.alarm(10)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# What is stored is found.


async def test_what_is_stored_is_found(world: World, cache: SQLiteCache) -> None:
    """Entries go in and come out in every world, small ones and those that a thread reads; deleted ones do not."""
    call = call_of(world)
    assert await cache.prepare(call)
    for body in (b"", b"small", b"x" * 1_000_000):
        key = os.urandom(16)
        assert await cache.load(key, call) == ()
        assert await cache.save(key, (entry(body),), 60, call)
        (found,) = await cache.load(key, call)
        assert found.body == body
        await cache.drop(key, call)
        assert await cache.load(key, call) == ()
    assert cache.get_stats().errors == 0
    await world.close(cache) if world.is_sync else cache.close()


@only("asyncio", "trio")
async def test_async_clear(world: World, cache: SQLiteCache) -> None:
    """What async code clears is gone."""
    await cache.aset(KEY, b"value", 60)
    assert await cache.aget(KEY) == b"value"
    await cache.aclear()
    assert await cache.aget(KEY) is None
    cache.close()


def test_values(cache: SQLiteCache) -> None:
    """A value is stored as it is, an empty one too, and takes the place of the one before."""
    for value in (b"", b"one", b"two" * 100_000, b"\0\xff"):
        cache.set(KEY, value, 60)
        assert cache.get(KEY) == value
        assert cache.size() == 1
    cache.delete(KEY)
    cache.delete(KEY)
    assert cache.get(KEY) is None
    assert cache.size() == 0


def test_it_is_kept(make: Callable[..., SQLiteCache]) -> None:
    """Another store on the same file finds what the first one stored, also while that is open; and a closed one opens again."""
    first, second = make(), make()
    first.set(KEY, b"value", 60)
    assert second.get(KEY) == b"value"
    first.close()
    second.close()
    assert first.get(KEY) == b"value"
    assert make().size() == 1


def test_it_outlives_the_process(cache: SQLiteCache, path: Path) -> None:
    """One process stores, another finds it."""
    with python("cache.set(sys.argv[2], b'theirs', 60)", path, KEY) as process:
        assert process.wait() == 0
    assert cache.get(KEY) == b"theirs"


def test_expiry(cache: SQLiteCache, now: list[float], path: Path) -> None:
    """After its time a value is not found, and the next write removes it."""
    cache.set(KEY, b"value", 60)
    now[0] += 59
    assert cache.get(KEY) == b"value"
    now[0] += 1
    assert cache.get(KEY) is None
    assert cache.size() == 1
    cache.set(OTHER, b"value", 60)
    assert cache.size() == 1
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM bodies").fetchone() == (1,)
    assert cache.get_stats().evictions == 0


def test_namespaces(make: Callable[..., SQLiteCache]) -> None:
    """A namespace sees, counts and clears its own entries alone."""
    one, two = make(namespace="one"), make(namespace="two")
    one.set(KEY, b"1", 60)
    two.set(KEY, b"2", 60)
    two.set(OTHER, b"2", 60)
    assert (one.size(), two.size()) == (1, 2)
    one.clear()
    assert (one.size(), two.size()) == (0, 2)
    assert (one.get(KEY), two.get(KEY)) == (None, b"2")


def test_clear_takes_all(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clear` goes on until nothing is left, though each of its writes is short."""
    monkeypatch.setattr(sqlite, "BATCH", 3)
    for number in range(10):
        cache.set(str(number), b"value", 60)
    cache.clear()
    assert cache.size() == 0


def test_the_secret_stays(make: Callable[..., SQLiteCache]) -> None:
    """A secret is not cleared, counted or evicted, and whoever comes second takes that of the first."""
    cache = make(max_size=1, max_bytes=10)
    cache.set("secret-x", b"12345678", 60)
    cache.set("secret-x", b"87654321", 60)
    for key in (KEY, OTHER):
        cache.set(key, b"0123456789", 60)
    assert cache.size() == 1
    cache.clear()
    assert cache.get("secret-x") == b"12345678"
    cache.set("secret-x", b"another length", 60)  # more than there is room for: what cannot be stored is deleted
    assert cache.get("secret-x") is None


def test_a_secret_of_no_use(cache: SQLiteCache) -> None:
    """A secret of another length is replaced."""
    cache.set("secret-x", b"short", 60)
    cache.set("secret-x", b"longer", 60)
    assert cache.get("secret-x") == b"longer"


# Making room.


def test_eviction_by_number(make: Callable[..., SQLiteCache]) -> None:
    """The least recently used goes first; a hit is a use, though it writes nothing."""
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
    """As many go as the new value needs room for; one that never fits is not stored, nor what it was to replace kept."""
    cache = make(max_bytes=100)
    for key in "abcd":
        cache.set(key, b"x" * 25, 60)
    cache.set("e", b"x" * 26, 60)
    assert [key for key in "abcde" if cache.get(key)] == ["c", "d", "e"]
    cache.set("e", b"x" * 101, 60)
    assert [key for key in "abcde" if cache.get(key)] == ["c", "d"]


def test_expired_ones_go_first(make: Callable[..., SQLiteCache], now: list[float]) -> None:
    """What has expired makes room before anything else does, and is no eviction."""
    cache = make(max_size=2)
    cache.set("a", b"value", 60)
    cache.set("b", b"value", 5)
    now[0] += 10
    cache.set("c", b"value", 60)
    assert [key for key in "abc" if cache.get(key)] == ["a", "c"]
    assert cache.get_stats().evictions == 0


def test_a_smaller_limit(make: Callable[..., SQLiteCache], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that holds much more than it may is brought down by the next writes, and no single one does it all."""
    monkeypatch.setattr(sqlite, "BATCH", 4)
    for number in range(10):
        make().set(str(number), b"value", 60)
    small = make(max_size=2)
    sizes = []
    for number in range(3):
        small.set(str(number), b"value", 60)
        sizes.append(small.size())
    assert sizes == [6, 3, 2]


def test_clock_set_back(make: Callable[..., SQLiteCache], now: list[float]) -> None:
    """What is stored after the clock was set back is not taken for the oldest."""
    cache = make(max_size=2)
    for key in "abcd":
        now[0] -= 100
        cache.set(key, b"value", 1000)
    assert [key for key in "abcd" if cache.get(key)] == ["c", "d"]


def test_hits_remembered_are_bounded(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hits without a write in between take only so much memory."""
    monkeypatch.setattr(sqlite, "REMEMBERED", 5)
    for number in range(20):
        cache.set(str(number), b"value", 60)
    for number in range(20):
        assert cache.get(str(number))
        assert len(cache._hits) <= 5


# Many at once.


def test_threads(cache: SQLiteCache) -> None:
    """16 threads write and read at once: all is there, no error, and no more connections are kept than may be."""

    def work(index: int) -> None:
        for number in range(20):
            cache.set(f"{index}-{number}", b"%d" % number, 60)
            assert cache.get(f"{index}-{number}") == b"%d" % number
            assert cache.get(f"{index}-nothing") is None

    cache.timeout = 5
    threads(16, work)
    assert cache.size() == 320
    assert len(cache._file._pool.connections) == len(cache._file._pool.idle) <= sqlite_file.POOL


def test_idle_connections_are_bounded(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that a burst needed are closed after it."""
    monkeypatch.setattr(sqlite_file, "POOL", 2)
    together = threading.Barrier(5)
    cache.set(KEY, b"value", 60)
    cache.timeout = 5
    threads(5, lambda _: cache._file.run(time.monotonic() + 5, lambda connection: together.wait(PATIENCE)))
    assert len(cache._file._pool.connections) == 2
    assert cache.get(KEY) == b"value"


def test_threads_that_open_and_close(cache: SQLiteCache) -> None:
    """Closing while others use it disturbs nobody."""

    def work(index: int) -> None:
        for number in range(20):
            cache.set(f"{index}", b"%d" % number, 60)
            assert cache.get(f"{index}") == b"%d" % number
            if index == 0:
                cache.close()

    cache.timeout = 5
    threads(4, work)
    cache.close()
    assert not cache._file._pool.connections


@only("asyncio", "trio")
async def test_tasks(world: World, cache: SQLiteCache) -> None:
    """Many tasks write and read at once."""
    cache.timeout = 5

    async def work(index: int) -> None:
        for number in range(5):
            await cache.aset(f"{index}", b"%d" % number * 20_000, 60)
            assert await cache.aget(f"{index}") == b"%d" % number * 20_000

    await world.gather(*[lambda index=index: work(index) for index in range(20)])
    assert cache.size() == 20
    cache.close()


def test_processes(cache: SQLiteCache, path: Path) -> None:
    """Two processes make the file and write to it at once: all is there."""
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
    assert cache.size() == 200


# Locked.


def test_locked_for_writing(cache: SQLiteCache, path: Path) -> None:
    """While another process writes, reading goes on; writing gives up within the time allowed, and works again afterwards."""
    cache.timeout = 0.02
    cache.set(KEY, b"value", 60)
    with raw(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert cache.get(KEY) == b"value"
        began = time.monotonic()
        for change in (lambda: cache.set(KEY, b"new", 60), lambda: cache.delete(KEY), cache.clear):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                change()
        assert time.monotonic() - began < 2
        other.execute("ROLLBACK")
    cache.set(KEY, b"new", 60)
    assert cache.get(KEY) == b"new"


def test_locked_before_it_was_opened(make: Callable[..., SQLiteCache], path: Path) -> None:
    """A file that another process has for itself is a miss."""
    before, cache = make(), make(timeout=0.02)
    before.set(KEY, b"value", 60)
    before.close()
    with raw(path) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            cache.get(KEY)
        assert cache.size() is None


def test_threads_wait_for_one_another(cache: SQLiteCache) -> None:
    """A thread that waits for another's write gives up in time, too."""
    cache.set(KEY, b"value", 60)
    cache.timeout = 0.01
    with cache._file._pool.writing, pytest.raises(sqlite3.OperationalError, match="locked"):
        cache.set(KEY, b"new", 60)
    cache.set(KEY, b"new", 60)


def test_opening_waits_in_bounds(make: Callable[..., SQLiteCache], tmp_path: Path) -> None:
    """Who cannot open the file, because another thread or process does, gives up in time."""
    cache = make(timeout=0.01)
    with sqlite_file._forks.opening(time.monotonic()), pytest.raises(sqlite3.OperationalError, match="locked"):
        cache.get(KEY)
    if os.name == "posix":
        with sqlite_file._alone(str(tmp_path), 0), pytest.raises(BlockingIOError):
            cache.get(KEY)
    assert cache.get(KEY) is None


def test_without_locks_of_folders(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system, or a system, that cannot lock a folder has a cache nevertheless."""

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
    """On the loop only small values are read, with a connection that waits for nobody; the rest is done in threads."""
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
    await cache.aset(KEY, b"x" * sqlite.SMALL, 60)
    await cache.aset(OTHER, b"x" * (sqlite.SMALL + 1), 60)
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
    """What would have to wait on the loop is tried again in a thread."""
    await cache.aset(KEY, b"value", 60)
    loop, read = threading.get_ident(), cache._read

    def busy(*args: Any) -> Any:
        if threading.get_ident() == loop:
            raise sqlite3.OperationalError("database is locked")
        return read(*args)

    monkeypatch.setattr(cache, "_read", busy)
    assert await cache.aget(KEY) == b"value"
    cache.close()


# Full, read-only, not a database, not ours.


def test_full_disk(make: Callable[..., SQLiteCache]) -> None:
    """A write that finds no room leaves everything as it was."""
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
    """Through a client, whatever the file is, it is a miss: a second later the store is asked again."""
    folder = tmp_path / "gone"
    folder.mkdir()
    cache = SQLiteCache(folder / "cache.db", secret=b"s" * 32)
    folder.rmdir()
    call = call_of(world)
    with caplog.at_level(logging.WARNING, "ratewise"):
        assert await cache.load(b"key", call) == ()
    assert "SQLiteCache fails (FileNotFoundError)" in caplog.text
    folder.mkdir()
    await call.sleep(1)
    assert await cache.save(b"key", (entry(b"body"),), 60, call)
    assert len(await cache.load(b"key", call)) == 1
    cache.close()


@unix
@pytest.mark.parametrize("exists", [False, True])
def test_read_only_folder(exists: bool) -> None:
    """In a folder that may not be written to nothing is stored, and nothing breaks."""
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
    """Where writers would hold up readers, it is not used."""
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
    "newer": f"PRAGMA application_id = {sqlite_file.APPLICATION}; PRAGMA user_version = {sqlite.VERSION + 1}; CREATE TABLE t(x)",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_another_applications_database(cache: SQLiteCache, path: Path, kind: str) -> None:
    """It is not touched, not even its permissions."""
    with raw(path) as theirs:
        theirs.executescript(FOREIGN[kind])
    os.chmod(path, 0o644)
    before, mode = path.read_bytes(), path.stat().st_mode
    for use in (lambda: cache.get(KEY), lambda: cache.set(KEY, b"value", 60), lambda: cache.delete(KEY), cache.clear):
        with pytest.raises(sqlite_file.ForeignDatabase):
            use()
    assert cache.size() is None
    assert path.read_bytes() == before
    assert path.stat().st_mode == mode
    assert os.listdir(path.parent) == [path.name]


def test_an_older_schema(cache: SQLiteCache, path: Path) -> None:
    """The tables of an older version are made anew."""
    with raw(path) as older:
        older.executescript(f"PRAGMA application_id = {sqlite_file.APPLICATION}; CREATE TABLE entries(x)")
    assert cache.get(KEY) is None
    cache.set(KEY, b"value", 60)
    assert cache.get(KEY) == b"value"


def test_an_empty_file(cache: SQLiteCache, path: Path) -> None:
    """An empty file is taken, and made private."""
    path.touch(0o644)
    cache.set(KEY, b"value", 60)
    assert cache.get(KEY) == b"value"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or os.name != "posix"


# Damaged.


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
    """A damaged file is a miss, whatever comes first, and a new one is made; so it goes every time."""
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
    """In every world a damaged file is a miss, and the next response is stored and found."""
    if world.httpx.__name__ == "httpx2":
        return
    damaged(path, damage)
    cache, call = SQLiteCache(path), call_of(world)
    assert await cache.prepare(call)
    key = os.urandom(16)
    assert await cache.load(key, call) == ()
    assert await cache.save(key, (entry(b"body"),), 60, call)
    assert len(await cache.load(key, call)) == 1
    cache.close()


@pytest.mark.parametrize("damage", [garbage, torn, lambda data: b""])
def test_damaged_while_open(make: Callable[..., SQLiteCache], path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A file that is overwritten while it is open is made anew as soon as the damage shows."""
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
    """It is not ours to heal."""
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
    """A file that may be somebody's is set aside, once: what comes later is surely ours."""
    path.write_text("my notes, and much more of them")
    with caplog.at_level(logging.WARNING, "ratewise"):
        assert make().get(KEY) is None
    assert f"{path} was damaged, and is made anew" in caplog.text
    make().close()
    path.write_text("not mine " * 10)
    for one in list(path.parent.glob("*-wal")):
        one.unlink()
    make().set(KEY, b"value", 60)
    assert (path.parent / "cache.db.damaged").read_text() == "my notes, and much more of them"


def test_damage_that_does_not_go_away(cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made anew once for a call, and not for ever."""

    def work(connection: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        cache._file.run(time.monotonic() + 1, work)
    assert cache.get_stats().errors == 1

    def prepare(connection: sqlite3.Connection, version: int) -> None:
        work(connection)

    cache.close()
    monkeypatch.setattr(cache._file, "_prepare", prepare)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        cache.get(KEY)
    assert cache.get_stats().errors == 2 + 1  # what `run` left to do, and one more


def test_another_one_made_it_anew(make: Callable[..., SQLiteCache], path: Path) -> None:
    """A file that was damaged, and that another process has replaced since, is left alone."""
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
    """A file that was deleted is written anew, and closing the old one does no harm to the new one."""
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


# Private.


@unix
@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_files_are_private(cache: SQLiteCache, path: Path, umask: int) -> None:
    """Whatever the umask says, nobody else can read the files, and the user can."""
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
    """Files that others could read are tightened when they are opened."""
    first, second = make(), make()
    first.set(KEY, b"value", 60)
    for file in path.parent.iterdir():
        file.chmod(0o644)
    assert second.get(KEY) == b"value"
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


# Forks.


forking = [FORKS, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]


class TestForks:
    """What a child does after a fork."""

    pytestmark = forking

    def test_both_go_on(self, cache: SQLiteCache) -> None:
        """Parent and child use the store after a fork, and see what the other one stored."""
        cache.set(KEY, b"value", 60)

        def work() -> None:
            assert cache.get(KEY) == b"value"
            cache.set(OTHER, b"child", 60)
            assert in_child(lambda: cache.set("grandchild", b"value", 60)) == 0

        assert in_child(work) == 0
        assert cache.get(OTHER) == b"child"
        assert cache.get("grandchild") == b"value"
        cache.set(KEY, b"parent", 60)
        assert cache.get(KEY) == b"parent"

    def test_a_connection_is_not_used_in_a_child(self, cache: SQLiteCache) -> None:
        """The child has connections of its own, and its parent keeps its own."""
        cache.set(KEY, b"value", 60)
        (mine,) = cache._file._pool.idle

        def work() -> None:
            assert cache.get(KEY)
            (its,) = cache._file._pool.idle
            assert its is not mine
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                mine.execute("SELECT 1")

        assert in_child(work) == 0
        assert list(cache._file._pool.idle) == [mine]

    def test_the_child_locks(self, cache: SQLiteCache) -> None:
        """The locks of a child are real: what it writes outlives the closing of its parent's connections."""
        cache.set(KEY, b"value", 60)
        ready, go = os.pipe(), os.pipe()

        def work() -> None:
            cache.set(KEY, b"child 1", 60)
            os.write(ready[1], b".")
            os.read(go[0], 1)
            assert cache.get(OTHER) == b"parent"
            cache.set(KEY, b"child 2", 60)

        pid = os.fork()
        if not pid:  # pragma: no cover
            code = 1
            try:
                signal.alarm(10)
                work()
                code = 0
            finally:
                os._exit(code)
        os.read(ready[0], 1)
        assert cache.get(KEY) == b"child 1"
        cache.set(OTHER, b"parent", 60)
        cache.close()
        os.write(go[1], b".")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        for end in (*ready, *go):
            os.close(end)
        assert cache.get(KEY) == b"child 2"

    def test_while_threads_use_it(self, cache: SQLiteCache) -> None:
        """Forks amid reading and writing threads: no child hangs, and each can use the store."""
        cache.timeout = 5
        over = threading.Event()
        errors: list[BaseException] = []

        def work(index: int) -> None:
            try:
                while not over.is_set():
                    cache.set(f"{index}", b"x" * 50_000, 60)
                    assert cache.get(f"{index}") == b"x" * 50_000
            except BaseException as error:
                errors.append(error)

        running = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(3)]
        for one in running:
            one.start()
        try:
            codes = [in_child(lambda: cache.set("child", b"value", 60)) for _ in range(10)]
        finally:
            over.set()
            for one in running:
                one.join(PATIENCE * 2)
        assert codes == [0] * 10
        assert not errors
        assert cache.get("child") == b"value"

    @pytest.mark.parametrize("where", ["using", "opening"])
    def test_amid_something_long(self, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        """A fork does not wait for ever; in the child, where locks may be held for good, the store then only gives misses."""
        monkeypatch.setattr(sqlite_file, "PATIENCE", 0.02)
        cache.set(KEY, b"value", 60)
        inside, go = threading.Event(), threading.Event()

        def wait(_: object = None) -> None:
            inside.set()
            go.wait(PATIENCE)

        def hold() -> None:
            if where == "using":
                cache._file.run(time.monotonic() + 5, wait)
            else:
                with sqlite_file._forks.opening(time.monotonic() + 5):
                    wait()

        def work() -> None:
            for _ in range(2):
                with pytest.raises(sqlite3.OperationalError, match="forked"):
                    cache.get(KEY)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert inside.wait(PATIENCE)
        try:
            assert in_child(work) == 0
        finally:
            go.set()
            thread.join(PATIENCE)
        assert cache.get(KEY) == b"value"

    @pytest.mark.parametrize("told", [True, False])
    def test_told_before_or_not(self, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
        """Also a server that forks without Python, and tells it afterwards, has a working store in its children."""
        cache.set(KEY, b"value", 60)
        (inherited,) = cache._file._pool.idle
        fresh = sqlite_file.Forks()
        fresh.pools.add(cache._file._pool)
        monkeypatch.setattr(sqlite_file, "_forks", fresh)
        if told:
            fresh.before()
        else:
            fresh.after_in_parent()  # of a fork that another thread made
        fresh.after_in_child()
        assert cache.get(KEY) == b"value"
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            inherited.execute("SELECT 1")

    def test_told_while_in_use(self, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child that was forked while a connection was in use opens none."""
        cache.set(KEY, b"value", 60)
        fresh = sqlite_file.Forks()
        fresh.pools.add(cache._file._pool)
        monkeypatch.setattr(sqlite_file, "_forks", fresh)
        cache._file.run(time.monotonic() + 1, lambda connection: fresh.after_in_child())
        with pytest.raises(sqlite3.OperationalError, match="forked"):
            cache.get(KEY)


# Closed.


def test_nothing_stays_open(path: Path) -> None:
    """A store that nobody has any more is closed at once, without a cycle for the collector, and its log is folded in."""
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
    """A process that ends without closing says nothing, and leaves a clean file."""
    script = "cache.set('a', b'value', 60)"
    begin = "import sys; from ratewise.cache.stores.sqlite import SQLiteCache; cache = SQLiteCache(sys.argv[1])\n"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", begin + script, str(path)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    assert os.listdir(path.parent) == [path.name]


def test_closed_in_use(cache: SQLiteCache) -> None:
    """A connection in use is closed when it is given back."""
    used = []

    def work(connection: sqlite3.Connection) -> None:
        cache.close()
        used.append(connection)
        assert connection.execute("SELECT 1").fetchone() == (1,)

    cache._file.run(time.monotonic() + 1, work)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        used[0].execute("SELECT 1")


def test_two_that_trim(cache: SQLiteCache) -> None:
    """Two threads that close the same connections do not disturb one another."""
    pool = sqlite_file.Pool(None)

    class Stolen(sqlite_file.deque):  # type: ignore[name-defined,misc]
        def __len__(self) -> int:
            return next(lengths)

    lengths = iter([1, 0])
    pool.idle = Stolen()
    pool.close()
    assert not list(lengths)


# Settings.


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": 7}, TypeError, "path must be the path of a file, as a string or a path object, not 7"),
        ({"path": b"cache.db"}, TypeError, "path must be the path of a file, as a string or a path object, not b'cache.db'"),
        ({"path": ":memory:"}, ValueError, "not ':memory:': for what is to stay in memory use InMemoryCache"),
        ({"path": "file:x?mode=memory"}, ValueError, "use InMemoryCache"),
        ({"path": ""}, ValueError, "path must be the path of a file, not ''"),
        ({"path": "."}, ValueError, "path must be the path of a file, which may not exist yet and is no folder, not '.'"),
        ({"path": "no/such/cache.db"}, ValueError, "in a folder that exists, not 'no/such/cache.db': make that folder first"),
        ({"max_size": 0}, ValueError, "max_size must be a whole number of at least 1, not 0"),
        ({"max_bytes": 1.5}, TypeError, "max_bytes must be a whole number of at least 1, not 1.5"),
        ({"timeout": 61}, ValueError, "timeout must be a number from 0 to 60, not 61"),
        ({"timeout": "1"}, TypeError, "timeout must be a number from 0 to 60, not '1'"),
        ({"ttl": -1}, ValueError, "ttl must be a finite number of seconds of at least 0, not -1"),
        ({"namespace": 1}, TypeError, "namespace must be a string, not 1"),
        ({"secret": b"short"}, ValueError, "secret must be 16 to 64 bytes, not 5 bytes"),
    ],
)
def test_settings(path: Path, settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """A setting that is not allowed is refused at once, by name, value and what is allowed."""
    with pytest.raises(error) as caught:
        SQLiteCache(**{"path": path, **settings})
    assert message in str(caught.value)


def test_nothing_is_done_before_it_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a store touches no file; and its path stays what it was when the process goes elsewhere."""
    monkeypatch.chdir(path.parent)
    cache = SQLiteCache("cache.db", 300)
    assert cache.ttl == 300
    assert not os.listdir(path.parent)
    monkeypatch.chdir("/")
    cache.set(KEY, b"value", 60)
    cache.close()
    assert path.exists()

"""The store in a child process after a fork."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time

import pytest

from ratewise.cache.stores import sqlite_file
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY, OTHER
from tests.kit.children import in_child
from tests.kit.marks import FORKS
from tests.kit.patience import PATIENCE

forking = [FORKS, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]


class TestForks:
    """The store in a child process after a fork."""

    pytestmark = forking

    def test_both_go_on(self, cache: SQLiteCache) -> None:
        """Parent and child both use the store after a fork, and see each other's values."""
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
        """The child opens its own connections, and the parent keeps its own."""
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
        """The child's file locks are effective: its writes survive the closing of the parent's connections."""
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

    def test_while_threads_use_it(self, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """Forks while threads read and write: no child hangs, and each can use the store."""
        monkeypatch.setattr(sqlite_file, "FORK_TIMEOUT", PATIENCE)
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
        """A fork waits a bounded time for work in progress; a child that may have inherited held locks only gets misses."""
        monkeypatch.setattr(sqlite_file, "FORK_TIMEOUT", 0.02)
        cache.set(KEY, b"value", 60)
        inside, go = threading.Event(), threading.Event()

        def wait(_: object = None) -> None:
            inside.set()
            go.wait(PATIENCE)

        def hold() -> None:
            if where == "using":
                cache._file.run(time.monotonic() + PATIENCE, wait)
            else:
                with sqlite_file._forks.opening(time.monotonic() + PATIENCE):
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
        """The store also works in children of a server that forks outside of Python, with or without the hook before the fork."""
        cache.set(KEY, b"value", 60)
        (inherited,) = cache._file._pool.idle
        fresh = sqlite_file.Forks()
        fresh.pools.add(cache._file._pool)
        monkeypatch.setattr(sqlite_file, "_forks", fresh)
        if told:
            fresh.before()
        else:
            fresh.after_in_parent()  # after a fork by another thread
        fresh.after_in_child()
        assert cache.get(KEY) == b"value"
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            inherited.execute("SELECT 1")

    def test_told_while_in_use(self, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child forked while a connection was in use opens none."""
        cache.set(KEY, b"value", 60)
        fresh = sqlite_file.Forks()
        fresh.pools.add(cache._file._pool)
        monkeypatch.setattr(sqlite_file, "_forks", fresh)
        cache._file.run(time.monotonic() + PATIENCE, lambda connection: fresh.after_in_child())
        with pytest.raises(sqlite3.OperationalError, match="forked"):
            cache.get(KEY)

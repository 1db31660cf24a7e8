"""A server in a process of its own that answers every request at once with the same bytes."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from functools import cache

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nX-RateLimit-Remaining: 4987\r\n\r\nok"


@cache
def url() -> str:
    """Return the server's URL; the first call starts the server, which ends with this process."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)  # closes its stdin, which ends it
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


@cache
def redis_url() -> str:
    """Return the URL of a Redis: that of the tests, or one started for this process. Raise `ImportError` if there is none."""
    from tests.kit import redis_server

    given = os.environ.get(redis_server.GIVEN)
    if given:
        return given
    if redis_server.find() is None:
        raise ImportError("no redis-server")
    server = redis_server.Server()
    atexit.register(server.close)
    return server.url


def _serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while data := connection.recv(65536):
        *requests, waiting = (waiting + data).split(b"\r\n\r\n")
        connection.sendall(ANSWER * len(requests))


def _accept(listener: socket.socket) -> None:
    while True:
        threading.Thread(target=_serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        sys.stdin.read()

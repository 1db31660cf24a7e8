"""A small real HTTP/1.1 server on loopback that sends exactly the bytes that a test specifies."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Any, Callable, NamedTuple, Union


class Received(NamedTuple):
    """One request as received."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    """Pairs of name, in lower case, and value."""
    body: bytes

    def header(self, name: str) -> str | None:
        return ", ".join(value for key, value in self.headers if key == name) or None


class Reply(NamedTuple):
    """A normal response; the connection stays open."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"ok"

    def encoded(self, head_only: bool = False) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Reason", *(f"{name}: {value}" for name, value in self.headers)]
        if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in self.headers):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else self.body)


Answer = Union[Reply, Callable[[Any], bool]]
"""A reply, or a function that writes to the connection and returns whether to keep it open."""


class LocalServer:
    """`with LocalServer(answer) as server:`, where `answer(received)` returns a `Reply` or a function of the connection."""

    def __init__(self, answer: Callable[[Received], Answer], *, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.received: list[Received] = []
        self.connections = 0
        self.broken: list[Exception] = []

    def __enter__(self) -> LocalServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        with self._lock:
            for connection in self._open:
                abort(connection)
        if self.broken:
            raise self.broken[0]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        connection = raw
        try:
            if self._tls:
                connection = self._tls.wrap_socket(raw, server_side=True)
            with self._lock:
                self._open.discard(raw)
                self._open.add(connection)
            if self._tls and connection.selected_alpn_protocol() == "h2":  # type: ignore[attr-defined]
                self._serve_h2(connection)
            else:
                self._serve_h1(connection)
        except OSError:
            pass  # the client has disconnected, or the test is over
        except Exception as error:
            self.broken.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
                self._open.discard(raw)
            connection.close()

    def _receive(self, received: Received) -> Answer:
        with self._lock:
            self.received.append(received)
        return self._answer(received)

    def _serve_h1(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            going_on = True
            while going_on:
                received = _read(reader)
                if received is None:
                    return
                answer = self._receive(received)
                if isinstance(answer, Reply):
                    connection.sendall(answer.encoded(received.method == "HEAD"))
                else:
                    going_on = answer(connection)

    def _serve_h2(self, connection: socket.socket) -> None:
        """Serve one request at a time, without bodies. An answer that is a function gets the `H2Connection` and the stream id."""
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import RequestReceived

        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        connection.sendall(h2.data_to_send())
        while True:
            data = connection.recv(65536)
            if not data:
                return
            for event in h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    fields = {name.decode(): value.decode() for name, value in event.headers or ()}
                    answer = self._receive(Received(fields[":method"], fields[":path"], list(fields.items()), b""))
                    assert event.stream_id is not None
                    if isinstance(answer, Reply):
                        h2.send_headers(event.stream_id, [(":status", str(answer.status)), *answer.headers])
                        h2.send_data(event.stream_id, answer.body, end_stream=True)
                    elif not answer((h2, event.stream_id)):
                        connection.sendall(h2.data_to_send())
                        while connection.recv(65536):
                            pass  # until the client closes the connection
                        return
            connection.sendall(h2.data_to_send())


def abort(connection: socket.socket) -> None:
    """Close a connection that another thread may be reading from."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> bool:
    """Make closing a connection send a TCP reset; return False, so that it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return False


def _read(reader: Any) -> Received | None:
    line = reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ")
    headers = []
    while True:
        line = reader.readline().decode("latin-1").strip("\r\n")
        if not line:
            break
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    fields = dict(headers)
    body = b""
    if "content-length" in fields:
        body = reader.read(int(fields["content-length"]))
    elif "chunked" in fields.get("transfer-encoding", ""):
        while True:
            size = int(reader.readline(), 16)
            body += reader.read(size)
            reader.readline()
            if not size:
                break
    return Received(method, target, headers, body)

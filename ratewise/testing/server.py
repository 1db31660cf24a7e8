"""A small real server on loopback, for HTTP/1.1 and HTTP/2, that sends exactly what a test specifies."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable

from .._core.clock import Clock, Waiter
from .._validation import flag, function, refusal
from .messages import CLOSE_TIMEOUT, Answer, H1Stream, Received, Reply, abort, reset

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Answer", "LocalServer", "Received", "Reply", "reset"]


class LocalServer:
    """A server on a free port of loopback: `with LocalServer(answer) as server:`.

    - `answer(received)` returns a `Reply`, or a function that writes the response itself: it gets the socket (for HTTP/2 an
      `H2Stream`) and returns whether to keep the connection open. Called in a thread of each connection or stream.
    - `tls`: True for a certificate for localhost of its own (package trustme), or an `ssl.SSLContext`.
    - `http2`: offer HTTP/2 too (package h2). Implies `tls`, and sets the ALPN protocols of a context that is given.

    Both packages come with `pip install 'ratewise[testing]'`.

    Leaving it closes all connections and waits for the threads, at most 5 s; then it raises the first exception that an answer
    raised, if any. Raises `ImportError` if a package is missing, and `TypeError` for a value that is not allowed.
    """

    received: list[Received]
    """The requests, in order of arrival."""
    connections: int
    """How many connections were accepted."""
    broken: list[Exception]
    """The exceptions that answers raised."""

    def __init__(
        self, answer: Callable[[Received], Answer], *, tls: ssl.SSLContext | bool | None = None, http2: bool = False
    ) -> None:
        if not isinstance(tls, (bool, ssl.SSLContext, type(None))):
            raise TypeError(refusal("tls", tls, "True, False, None or an ssl.SSLContext"))
        self._answer: Callable[[Received], Answer] = function("answer", answer, "the request received")
        http2 = flag("http2", http2)
        self._tls, self._verify = _contexts(tls or http2)
        if http2:
            _needed("h2")
            assert self._tls is not None
            self._tls.set_alpn_protocols(["h2", "http/1.1"])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._waiters: set[Waiter] = set()
        self._closing = False
        self.received = []
        self.connections = 0
        self.broken = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._port = int(self._listener.getsockname()[1])
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        for waiter in self._waiters.copy():
            waiter.wake()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), CLOSE_TIMEOUT).close()  # wakes `accept` on every platform
        self._accepting.join()
        with self._lock:
            for connection in self._open:
                abort(connection)
        until = time.monotonic() + CLOSE_TIMEOUT
        for thread in self._threads.copy():
            thread.join(max(until - time.monotonic(), 0))
        if self.broken:
            raise self.broken[0]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{'localhost' if self._tls else '127.0.0.1'}:{self.port}"

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """What a client that trusts this server passes as `verify`: a context for `tls=True`, else True."""
        return self._verify

    def _start(self, target: Callable[..., object], *args: Any) -> None:
        """Run a function in a thread that closing the server waits for."""

        def run() -> None:
            try:
                target(*args)
            except OSError:
                pass  # the client has disconnected, or the test is over
            except Exception as error:
                self.broken.append(error)
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _accept(self) -> None:
        with self._listener:
            while True:
                connection, _ = self._listener.accept()
                if self._closing:
                    connection.close()
                    return
                with suppress(OSError):  # the client has gone already
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self.connections += 1
                    self._open.add(connection)
                self._start(self._serve, connection)

    def _serve(self, raw: socket.socket) -> None:
        connection = raw
        try:
            if self._tls is not None:
                with self._lock:
                    connection = self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
                    self._open.add(connection)
                connection.do_handshake()
                if connection.selected_alpn_protocol() == "h2":
                    from .http2 import H2Connection

                    return H2Connection(connection, self._receive, self._start).serve()
            self._serve_h1(connection)
        finally:
            with self._lock:
                self._open -= {raw, connection}
            connection.close()

    def _pause(self, clock: Clock, seconds: float) -> None:
        """Wait by `clock` before, or while, a request is answered. Raise `ConnectionAbortedError` if the server is closed."""
        waiter, tracker = Waiter(), clock._tracker
        self._waiters.add(waiter)
        if self._closing:
            waiter.wake()
        try:
            if (clock.park if tracker is None else tracker._park_for_call)(waiter, seconds):
                raise ConnectionAbortedError("the server is closed")
        finally:
            self._waiters.discard(waiter)

    def _receive(self, received: Received) -> Answer:
        """Record a request, and return how it is answered."""
        with self._lock:
            self.received.append(received)
        return self._answer(received)

    def _serve_h1(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            going_on = True
            while going_on:
                received = _read(reader)
                answer = self._receive(received)
                if isinstance(answer, Reply):
                    H1Stream(connection).reply(answer, received.method == "HEAD")
                else:
                    going_on = answer(connection)


def _needed(name: str) -> Any:
    """Import a package of the extra `testing`."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f"this needs the package {name}: pip install 'ratewise[testing]'", name=name) from None


def _contexts(tls: ssl.SSLContext | bool | None) -> tuple[ssl.SSLContext | None, ssl.SSLContext | bool]:
    """Return the server's context and what a client passes as `verify`."""
    if not tls or isinstance(tls, ssl.SSLContext):
        return tls or None, True
    authority = _needed("trustme").CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(serving)
    authority.configure_trust(trusting)
    return serving, trusting


def _read(reader: Any) -> Received:
    """Read one request. Raise `ConnectionError` if the client disconnects before its end."""
    method, target, _ = _line(reader).split(" ")
    headers = []
    while True:
        line = _line(reader)
        if not line:
            break
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    fields = dict(headers)
    body = b""
    if "content-length" in fields:
        body = _exactly(reader, int(fields["content-length"]))
    elif "chunked" in fields.get("transfer-encoding", ""):
        while True:
            size = int(_line(reader).partition(";")[0], 16)
            body += _exactly(reader, size)
            _line(reader)
            if not size:
                break
    return Received(method, target, headers, body)


def _line(reader: Any) -> str:
    line: bytes = reader.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("the client disconnected")
    return line.decode("latin-1").strip("\r\n")


def _exactly(reader: Any, size: int) -> bytes:
    data: bytes = reader.read(size)
    if len(data) < size:
        raise ConnectionError("the client disconnected")
    return data

"""The HTTP/2 side of `LocalServer`: any number of streams at once, each answered in a thread of its own (RFC 9113)."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection as State
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from .messages import CLOSE_TIMEOUT, Answer, Received, Reply, abort, reset


class H2Stream:
    """One request of an HTTP/2 connection, to be answered: what a function that a `LocalServer`'s `answer` returns gets."""

    def __init__(self, connection: H2Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.over = threading.Event()
        """Set when the client resets the stream, or either side disconnects."""

    def send_head(self, status: int, headers: Iterable[tuple[str, str]] = (), *, end: bool = False) -> None:
        """Send the status and the header fields; `end`: there is no body."""
        fields = [(b":status", b"%d" % status), *((name.lower().encode(), value.encode("latin-1")) for name, value in headers)]
        self.connection.act(lambda h2: h2.send_headers(self.number, fields, end_stream=end))

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of the body, as the client's flow control allows; `end`: it is the last one."""
        while not self.over.is_set():
            data = self.connection.send_some(self.number, data, end)
            if not data:
                break

    def reply(self, reply: Reply, head_only: bool = False) -> bool:
        """Send a normal response; return True, so that the connection stays open."""
        fields = [(name, value) for name, value in reply.fields() if name.lower() not in ("connection", "transfer-encoding")]
        empty = head_only or not reply.body or not reply.has_body
        self.send_head(reply.status, fields, end=empty)
        if not empty:
            self.send(reply.body, end=True)
        return True

    def reset(self, code: int) -> bool:
        """Reset the stream (RST_STREAM); return True, so that the connection stays open."""
        self.connection.act(lambda h2: h2.reset_stream(self.number, code))
        return True

    def reset_connection(self) -> bool:
        """Make closing the connection send a TCP reset; return False, so that it is closed."""
        return self.connection.reset()

    def go_away(self, last_stream: int = 0) -> bool:
        """Send GOAWAY and wait until the client disconnects; return False, so that the connection is closed."""
        self.connection.go_away(last_stream)
        self.over.wait()
        return False

    def wait(self) -> bool:
        """Wait until the client resets the stream or disconnects; return True: the connection stays open for other streams."""
        return self.over.wait()


class H2Connection:
    """One connection. One thread reads; each stream has a thread that writes, one at a time."""

    def __init__(self, connection: ssl.SSLSocket, receive: Callable[[Received], Answer], start: Callable[..., object]) -> None:
        self.socket = connection
        self._receive, self._start = receive, start
        self._h2 = State(H2Configuration(client_side=False, header_encoding="latin-1"))
        self._changed = threading.Condition()
        self._streams: dict[int, H2Stream] = {}
        self._requests: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        self._wake, self._woken = socket.socketpair()
        self._resets = self._gone = False

    def serve(self) -> None:
        """Serve until either side disconnects."""
        with self._wake, self._woken, selectors.DefaultSelector() as ready:
            ready.register(self.socket, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            try:
                self.act(State.initiate_connection)
                while self._go_on(ready):
                    pass
            finally:
                for stream in list(self._streams.values()):
                    stream.over.set()
                with self._changed:
                    self._changed.notify_all()

    def act(self, change: Callable[[State], object]) -> None:
        """Change the state of the connection, and send what follows from that."""
        with self._changed:
            change(self._h2)
            self.socket.sendall(self._h2.data_to_send())

    def go_away(self, last_stream: int) -> None:
        """Send GOAWAY; what the client sends from now on is ignored."""
        with self._changed:
            self.act(lambda h2: h2.close_connection(last_stream_id=last_stream))
            self._gone = True

    def send_some(self, number: int, data: bytes, end: bool) -> bytes:
        """Send as much of a stream's data as flow control allows, or wait for that to change; return the rest."""
        with self._changed:
            size = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size, len(data))
            if data and not size:
                self._changed.wait(0.1)  # the connection may have ended just now
            else:
                self.act(lambda h2: h2.send_data(number, data[:size], end_stream=end and size == len(data)))
            return data[size:]

    def close(self) -> None:
        """Close the connection, from any thread."""
        with contextlib.suppress(OSError):  # it is closed already
            self._wake.send(b"x")

    def reset(self) -> bool:
        """Make closing the connection send a TCP reset; return False, so that it is closed."""
        self._resets = True
        return reset(self.socket)

    def _go_on(self, ready: selectors.BaseSelector) -> bool:
        """Process what the client sends next; return whether the connection goes on."""
        if not self.socket.pending() and any(key.fileobj is self._woken for key, _ in ready.select()):
            if not self._resets:  # closing a connection with unread data would reset it
                abort(self.socket, socket.SHUT_WR)
                self.socket.settimeout(CLOSE_TIMEOUT)
                while self.socket.recv(65536):
                    pass
            return False
        with self._changed:
            data = self.socket.recv(65536)
            for event in self._h2.receive_data(data) if data and not self._gone else ():
                self._process(event)
            self.socket.sendall(self._h2.data_to_send())
            self._changed.notify_all()
        return bool(data)

    def _process(self, event: Any) -> None:
        if isinstance(event, RequestReceived):
            self._requests[event.stream_id] = cast("list[tuple[str, str]]", event.headers), bytearray()
        elif isinstance(event, DataReceived):
            self._requests[event.stream_id][1].extend(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            stream = self._streams[event.stream_id] = H2Stream(self, event.stream_id)
            self._start(self._answer, stream, _received(*self._requests.pop(event.stream_id)))
        elif isinstance(event, StreamReset):
            self._requests.pop(event.stream_id, None)
            if event.stream_id in self._streams:
                self._streams[event.stream_id].over.set()

    def _answer(self, stream: H2Stream, received: Received) -> None:
        keep = False
        try:
            answer = self._receive(received)
            keep = stream.reply(answer, received.method == "HEAD") if isinstance(answer, Reply) else answer(stream)
        except ProtocolError:
            keep = stream.over.is_set()  # the client has ended the stream meanwhile
            if not keep:
                raise
        finally:
            self._streams.pop(stream.number)
            if not keep:
                self.close()


def _received(fields: list[tuple[str, str]], body: bytearray) -> Received:
    pseudo = {name: value for name, value in fields if name.startswith(":")}
    headers = [("host", pseudo.get(":authority", "")), *(field for field in fields if field[0] not in pseudo)]
    return Received(pseudo[":method"], pseudo[":path"], headers, bytes(body))

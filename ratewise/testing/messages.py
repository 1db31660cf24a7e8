"""The requests and responses of the kit's servers, and how they are written to an HTTP/1.1 connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping, Sequence
from http.client import responses
from typing import Any, Callable, NamedTuple, Union

CLOSE_TIMEOUT = 5.0
"""Seconds for which closing waits for the threads that still answer, at most."""

Headers = Union[Mapping[str, str], Sequence[tuple[str, str]]]


class Received(NamedTuple):
    """One request as received."""

    method: str
    target: str
    """The path and the query."""
    headers: list[tuple[str, str]]
    """Pairs of name, in lower case, and value."""
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the value of a header field, in any case, its lines joined by a comma; None if it is missing."""
        return ", ".join(value for key, value in self.headers if key == name.lower()) or None


class Reply(NamedTuple):
    """A normal response; the connection stays open."""

    status: int = 200
    headers: Headers = ()
    """A mapping, or pairs of name and value. A Content-Length is added unless they frame the body themselves."""
    body: bytes = b"ok"
    """Exactly what is sent; not sent with a 204 or 304, or in response to HEAD."""

    @property
    def has_body(self) -> bool:
        """Whether a response with this status has a body (RFC 9110, section 6.4.1)."""
        return self.status >= 200 and self.status not in (204, 304)

    def fields(self) -> list[tuple[str, str]]:
        """Return the header fields as pairs."""
        return [*(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)]

    def framed(self) -> list[tuple[str, str]]:
        """Return the header fields as pairs, with a Content-Length if there is a body and they do not frame it themselves."""
        fields = self.fields()
        if self.has_body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
            fields.append(("Content-Length", str(len(self.body))))
        return fields

    def encoded(self, head_only: bool = False) -> bytes:
        """Return the response as HTTP/1.1; with `head_only` without the body."""
        return head(self.status, self.framed()) + (self.body if self.has_body and not head_only else b"")


Answer = Union[Reply, Callable[[Any], bool]]
"""A reply, or a function that answers by itself and returns whether to keep the connection open.

It gets the socket, or for HTTP/2 the `H2Stream`.
"""


class H1Stream:
    """One request of an HTTP/1.1 connection, to be answered step by step: the counterpart of `H2Stream`."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send_head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the status and the header fields."""
        self.connection.sendall(head(status, headers))

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of the body."""
        self.connection.sendall(data)

    def reply(self, reply: Reply, head_only: bool = False) -> bool:
        """Send a normal response; return True, so that the connection stays open."""
        self.connection.sendall(reply.encoded(head_only))
        return True

    def wait(self) -> bool:
        """Wait until the client disconnects; return False, so that the connection is closed."""
        self.connection.recv(1)
        return False

    def reset_connection(self) -> bool:
        """Make closing the connection send a TCP reset; return False, so that it is closed."""
        return reset(self.connection)


def head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """Return the head of an HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def abort(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """End a connection that another thread may be reading from."""
    with contextlib.suppress(OSError):
        connection.shutdown(how)


def reset(connection: socket.socket) -> bool:
    """Make closing a connection send a TCP reset; return False, so that it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return False

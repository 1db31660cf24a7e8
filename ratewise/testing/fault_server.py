"""A real local server that fails as scripted: what a test, an example or a demo needs in place of the network."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._core.clock import Clock
from .._validation import clock as checked_clock
from .._validation import refusal
from .faults import MALFORMED, ONLY, Word, drops, garble, read_word
from .messages import Answer, H1Stream, Received, Reply
from .server import LocalServer

if TYPE_CHECKING:
    from typing_extensions import Self

RESET_PAUSE = 0.05
"""Seconds between the first half of a body and the reset, so that the client has received what came before it."""

REFUSED_STREAM = 0x7
"""The error code of RFC 9113, section 7."""

NOT_HTTP = {
    "not-http": b"\0\xff this is not HTTP\r\n\r\n",
    "bad-header": b"HTTP/1.1 200 OK\r\nthis is no header\r\n\r\n",
    # more than the 100 KB that h11 keeps and the 64 KB that are read at a time
    "giant-head": b"HTTP/1.1 200 OK\r\n" + b"X-Filler: %s\r\n" % (b"x" * 1000) * 200 + b"\r\n",
}
"""What is sent in place of a response."""


class FaultServer(LocalServer):
    """A local server that fails by a script: `FaultServer({"/users": "503 disconnect 429:0.2 200"})`.

    Each word of a path's script answers one request, the last word all further ones; a path without a script is not found. The
    words are those of `ratewise.testing.faults`: a status, `429:0.2` for one with `Retry-After: 0.2`, `truncate`, `hang` and so
    on. Without scripts each word is a path: `client.get(f"{server.url}/truncate")`. A refused connection is at `closed_url`.

    The body is JSON, with the path and the number of the request among those for its path.

    - `tls`, `http2`: as of `LocalServer`. With HTTP/2 a fault of a connection ends all its streams, and `refused-stream` and
      `goaway` can be used. Over TLS, Python's sync sockets report a reset as a closed connection.
    - `clock`: what `drip`, `slow-head` and `reset-body` wait on. None: the real time.

    Raises `TypeError` or `ValueError` for a script that is not allowed.
    """

    requests: dict[str, list[Received]]
    """The requests received, by path."""

    def __init__(
        self,
        scripts: Mapping[str, str] | None = None,
        *,
        tls: ssl.SSLContext | bool | None = None,
        http2: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(self._answer_by_script, tls=tls, http2=http2)
        if not isinstance(scripts, (Mapping, type(None))):
            raise TypeError(refusal("scripts", scripts, "a mapping of paths to scripts, such as {'/users': '503 200'}"))
        self._clock, self._http2 = checked_clock(clock) or Clock(), http2
        self._scripts = None if scripts is None else {path: _script(path, words, http2) for path, words in scripts.items()}
        self.requests = defaultdict(list, {path: [] for path in scripts or ()})

    def __enter__(self) -> Self:
        self._refusing = socket.socket()
        self._refusing.bind(("127.0.0.1", 0))  # bound but not listening
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        self._refusing.close()
        super().__exit__(*exception)

    @property
    def closed_url(self) -> str:
        """A base URL at which connections are refused."""
        return f"{self.url.rpartition(':')[0]}:{self._refusing.getsockname()[1]}"

    def _answer_by_script(self, received: Received) -> Answer:
        path = received.path
        with self._lock:
            arrived = self.requests[path]
            arrived.append(received)
            number = len(arrived)
        try:
            word = self._word(path, number)
        except LookupError as error:
            return Reply(404, body=str(error).encode())
        body = json.dumps({"path": path, "request": number}).encode()
        fields = [("Content-Type", "application/json")]
        if word.name == "malformed":
            fields.extend(MALFORMED)
        if word.name == "garble":
            fields.append(("Content-Encoding", "gzip"))
            body = garble(gzip.compress(body))
        if word.retry_after is not None:
            fields.append(("Retry-After", word.retry_after))
        reply = Reply(word.status or 200, fields, body)
        if word.status or word.name in ("malformed", "garble"):
            return reply
        return lambda connection: self._act(word, connection, reply, head_only=received.method == "HEAD")

    def _word(self, path: str, number: int) -> Word:
        """Return the word that answers the request with this number, from 1, among those for its path."""
        if self._scripts is None:
            try:
                return _for_server(path[1:], self._http2)
            except ValueError as error:
                raise LookupError(str(error)) from None
        if path not in self._scripts:
            raise LookupError(f"no script for this path; there are scripts for {', '.join(self._scripts)}")
        script = self._scripts[path]
        return script[min(number, len(script)) - 1]

    def _act(self, word: Word, connection: Any, reply: Reply, *, head_only: bool) -> bool:
        """Answer with a fault of the connection or the body; return whether to keep the connection open."""
        name, h1 = word.name, isinstance(connection, socket.socket)
        if ONLY.get(name) == ("HTTP/2" if h1 else "HTTP/1.1"):
            raise RuntimeError(f"{name} needs {ONLY[name]}, which the client does not use")
        stream: Any = H1Stream(connection) if h1 else connection
        if name in NOT_HTTP:
            connection.sendall(NOT_HTTP[name])
            return False
        if name == "refused-stream":
            return bool(stream.reset(REFUSED_STREAM))
        if name == "goaway":
            return bool(stream.go_away())
        if name in ("disconnect", "reset"):
            return bool(name == "reset" and stream.reset_connection())
        if name == "hang":
            return bool(stream.wait())
        if name == "slow-head":
            self._pause(self._clock, word.seconds)
        if name == "slow-head" or head_only:
            return bool(stream.reply(reply, head_only))
        return self._damage_body(word, stream, reply)

    def _damage_body(self, word: Word, stream: Any, reply: Reply) -> bool:
        body = reply.body
        stream.send_head(200, [*reply.fields(), ("Content-Length", str(len(body)))])
        if word.name == "drip":
            for piece in drops(body):
                self._pause(self._clock, word.seconds)
                stream.send(piece)
            stream.send(b"", end=True)
            return True
        stream.send(body[: len(body) // 2])
        if word.name == "reset-body":
            self._pause(self._clock, RESET_PAUSE)
            stream.reset_connection()
        return bool(word.name == "hang-body" and stream.wait())


def _script(path: str, words: str, http2: bool) -> list[Word]:
    if not (isinstance(path, str) and path.startswith("/")):
        raise ValueError(refusal("the path of a script", path, "a string that begins with /"))
    if not (isinstance(words, str) and words.split()):
        raise ValueError(refusal(f"the script of {path}", words, "one word or more"))
    return [_for_server(word, http2) for word in words.split()]


def _for_server(text: str, http2: bool) -> Word:
    """Read a word; raise `ValueError` if it is none, or none for this server."""
    word = read_word(text)
    only = ONLY.get(word.name)
    if only == "FaultTransport" or (only == "HTTP/2" and not http2):
        needs = "an HTTP/2 server (http2=True)" if only == "HTTP/2" else "a FaultTransport (or, for refuse, closed_url)"
        raise ValueError(f"{word.name} needs {needs}")
    return word

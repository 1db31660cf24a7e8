"""One HTTP library, httpx or httpx2: its classes, and what its messages and bodies are made of. Knows neither by name."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any

from .._core.failure import Failure, distrusted, http2_refused
from ..layer import Head
from . import bodies
from .drain import LONGEST, short
from .private import field_reader

PIECE = 1024
"""Bytes that are decoded at a time: they may become a thousand times as many."""

HEADERS = 128
"""Sets of header fields that are kept: what is served from a cache is served again."""


class Library:
    """What is the same for all transports of a library. `module` is the library, `errors` what RateWise raises around it.

    Their types are the library's own, which checkers see in the transports and clients; here everything is `Any`.
    """

    def __init__(self, module: Any, errors: Any) -> None:
        self.module, self.errors = module, errors
        both = (module.SyncByteStream, module.AsyncByteStream)
        self.Body: Any = type("Body", (bodies.Body, *both), {"__doc__": bodies.Body.__doc__})
        self.Buffer: Any = type("Buffer", (bodies.Buffer, *both), {"__doc__": bodies.Buffer.__doc__})
        self.Steady: Any = type("Steady", (bodies.Steady, module.AsyncByteStream), {"__doc__": bodies.Steady.__doc__})
        self.fields = field_reader(module.Headers([(b"A", b"b")]))
        self.headers = lru_cache(HEADERS)(self._headers)
        self._held = frozenset({module.ByteStream, self.Buffer})
        self._failures = (
            (module.PoolTimeout, Failure.NO_FREE_CONNECTION),
            (module.ConnectTimeout, Failure.NOT_CONNECTED),
            (module.ConnectError, Failure.NOT_CONNECTED),
            (module.ProxyError, Failure.NOT_CONNECTED),
            (module.TimeoutException, Failure.TIMED_OUT),
            (module.UnsupportedProtocol, Failure.IMPOSSIBLE),
            (module.LocalProtocolError, Failure.IMPOSSIBLE),
        )

    def failure(self, error: Exception) -> Failure:
        """What kind of failure an error of the library is."""
        for kind, failure in self._failures:
            if isinstance(error, kind):
                hopeless = kind is self.module.ConnectError and distrusted(error)
                hopeless = hopeless or (kind is self.module.ProxyError and str(error).startswith("407"))
                return Failure.IMPOSSIBLE if hopeless else failure
        return Failure.UNPROCESSED if http2_refused(str(error)) else Failure.BROKEN

    def request(self, given: Any, *, headers: Any = None, extensions: Any = None) -> Any:
        """The same request, built anew with these headers or extensions: `copy.copy` would lose its body."""
        return self.module.Request(
            given.method,
            given.url,
            headers=given.headers if headers is None else headers,
            stream=given.stream,
            extensions=given.extensions if extensions is None else extensions,
        )

    def _headers(self, head: Head) -> Any:
        return self.module.Headers([(name, value) for name, _, value in head.fields])

    def in_memory(self, response: Any) -> bool:
        """Nothing is left to be read from a connection, or it is not for us to read."""
        return type(response.stream) in self._held or response.status_code == 101 or response.is_closed

    def held(self, message: Any) -> bytes | None:
        """The body of a request or response as it goes, or came, over the wire, if that is in memory."""
        stream = message.stream
        if type(stream) is self.module.ByteStream:
            return b"".join(stream)
        return stream.ready if type(stream) is self.Buffer else None

    def unreadable(self, response: Any) -> bool:
        """An upgraded connection is no body, and a body already read passes nobody."""
        return response.status_code == 101 or (
            response.is_stream_consumed and type(response.stream) is not self.module.ByteStream
        )

    def passing(self, response: Any) -> Any:
        """The response with a body that can be watched. Built anew if it is in memory: a mock may give the same one again."""
        if type(response.stream) is self.Body:
            return response
        if not self.in_memory(response):
            response.stream = self.Body(response.stream)
            return response
        return self.module.Response(
            response.status_code,
            headers=response.headers,
            stream=self.Body(response.stream),
            extensions=response.extensions,
        )

    def unseen(self, response: Any) -> bool:
        """Nothing of its body is in memory, and as far as it says it would not be too long for that."""
        peeked_at = type(response.stream) is self.Body and response.stream.ready
        return not self.in_memory(response) and not peeked_at and short(response)

    def beginning(self, response: Any) -> bytes:
        """As much of its body as is in memory, decoded as far as that goes."""
        with suppress(self.module.ResponseNotRead):
            return response.content[:LONGEST]  # type: ignore[no-any-return]
        stream, ready = response.stream, b""
        if type(stream) is self.module.ByteStream:
            ready = b"".join(stream)
        elif isinstance(stream, (self.Body, self.Buffer)):
            ready = stream.ready
        return self.decoded(response, ready, LONGEST)

    def decoded(self, response: Any, data: bytes, most: int) -> bytes:
        """What the beginning of its body says, as far as it can be told, and `most` bytes of it."""
        pieces = (data[start : start + PIECE] for start in range(0, len(data), PIECE))
        plain = b""
        with suppress(self.module.DecodingError):
            for piece in self.module.Response(200, headers=response.headers, content=pieces).iter_bytes():
                plain += piece
                if len(plain) >= most:
                    break
        return plain[:most]

    def bodiless(self, response: Any) -> Any:
        """The response without a body: that it broke off is not the news."""
        return self.module.Response(
            response.status_code, headers=response.headers, extensions=response.extensions, history=response.history
        )

"""Bodies of httpx2."""

from __future__ import annotations

from contextlib import suppress

import httpx2

from .._adapter import bodies
from .._adapter.drain import LONGEST, short


class Body(bodies.Body, httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that passes by its watchers."""


class Steady(bodies.Steady, httpx2.AsyncByteStream):
    """A body that keeps its connection whatever is cancelled."""


class Buffer(bodies.Buffer, httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in memory."""


def unreadable(response: httpx2.Response) -> bool:
    """An upgraded connection is no body, and a body already read passes nobody."""
    return response.status_code == 101 or (response.is_stream_consumed and type(response.stream) is not httpx2.ByteStream)


_HELD = frozenset({httpx2.ByteStream, Buffer})


def in_memory(response: httpx2.Response) -> bool:
    """Nothing is left to be read from a connection, or it is not for us to read."""
    return type(response.stream) in _HELD or response.status_code == 101 or response.is_closed


def held(message: httpx2.Request | httpx2.Response) -> bytes | None:
    """Its body as it goes, or came, over the wire, if that is in memory."""
    stream = message.stream
    if type(stream) is httpx2.ByteStream:
        return b"".join(stream)
    return stream.ready if type(stream) is Buffer else None


def passing(response: httpx2.Response) -> httpx2.Response:
    """The response with a body that can be watched. Built anew if it is in memory: a mock may give the same one again."""
    if type(response.stream) is Body:
        return response
    if not in_memory(response):
        response.stream = Body(response.stream)
        return response
    return httpx2.Response(
        response.status_code,
        headers=response.headers.raw,
        stream=Body(response.stream),
        extensions=response.extensions,
    )


def unseen(response: httpx2.Response) -> bool:
    """Nothing of its body is in memory, and as far as it says it would not be too long for that."""
    peeked_at = type(response.stream) is Body and response.stream.ready
    return not in_memory(response) and not peeked_at and short(response)


PIECE = 1024
"""Bytes that are decoded at a time: they may become a thousand times as many."""


def beginning(response: httpx2.Response) -> bytes:
    """As much of its body as is in memory, decoded as far as that goes."""
    with suppress(httpx2.ResponseNotRead):
        return response.content[:LONGEST]
    stream, ready = response.stream, b""
    if type(stream) is httpx2.ByteStream:
        ready = b"".join(stream)
    elif isinstance(stream, (Body, Buffer)):
        ready = stream.ready
    return decoded(response, ready, LONGEST)


def decoded(response: httpx2.Response, data: bytes, most: int) -> bytes:
    """What the beginning of its body says, as far as it can be told, and `most` bytes of it."""
    pieces = (data[start : start + PIECE] for start in range(0, len(data), PIECE))
    plain = b""
    with suppress(httpx2.DecodingError):
        for piece in httpx2.Response(200, headers=response.headers, content=pieces).iter_bytes():
            plain += piece
            if len(plain) >= most:
                break
    return plain[:most]

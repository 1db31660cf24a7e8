"""Bodies of httpx2."""

from __future__ import annotations

import httpx2

from .._flavour import bodies


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

"""One HTTP library, httpx or httpx2: its classes, and what layers see of it. Imports neither."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..layer import Head
from . import streams
from .bodies import AsyncBodies, SyncBodies
from .errors import Errors
from .messages import Messages
from .private import field_reader

CACHED_HEADERS = 128
"""Response headers that are kept built, at most: a response served from a cache is often served again."""


class Library:
    """What all transports for a library share. `module`: the library; `errors`: the module of RateWise's exceptions for it.

    Everything is `Any` here; the library's own types stand in the transports and clients.
    """

    def __init__(self, module: Any, errors: Any) -> None:
        self.module, self.errors = module, errors
        self.Body = _stream_class(streams.Body, module.SyncByteStream, module.AsyncByteStream)
        self.Buffer = _stream_class(streams.Buffer, module.SyncByteStream, module.AsyncByteStream)
        self.fields = field_reader(module.Headers([(b"A", b"b")]))
        self.headers = lru_cache(CACHED_HEADERS)(self._headers)

    def _headers(self, head: Head) -> Any:
        return self.module.Headers([(name, value) for name, _, value in head.fields])


def _stream_class(kind: type, *bases: type) -> Any:
    """Return a subclass of `kind` that is a byte stream of the library too."""
    return type(kind.__name__, (kind, *bases), {"__doc__": kind.__doc__})


class SyncLibrary(Errors, Messages, SyncBodies):
    """`ratewise.layer.HTTPLibrary` for the layers of a sync transport."""

    def __init__(self, library: Library) -> None:
        Errors.__init__(self, library)
        Messages.__init__(self, library)
        SyncBodies.__init__(self, library)


class AsyncLibrary(Errors, Messages, AsyncBodies):
    """`ratewise.layer.HTTPLibrary` for the layers of an async transport."""

    def __init__(self, library: Library) -> None:
        Errors.__init__(self, library)
        Messages.__init__(self, library)
        AsyncBodies.__init__(self, library)

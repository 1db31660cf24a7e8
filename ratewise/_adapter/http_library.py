"""One HTTP library, httpx or httpx2: its classes, and what layers see of it. Knows neither by name."""

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
"""Sets of header fields that are kept: what is served from a cache is served again."""


class Library:
    """What all transports of a library share. `module` is the library, `errors` what RateWise raises around it.

    Their types are the library's own, which checkers see in the transports and clients; here everything is `Any`.
    """

    def __init__(self, module: Any, errors: Any) -> None:
        self.module, self.errors = module, errors
        self.Body = _stream_class(streams.Body, module.SyncByteStream, module.AsyncByteStream)
        self.Buffer = _stream_class(streams.Buffer, module.SyncByteStream, module.AsyncByteStream)
        self.DeferredCancellationStream = _stream_class(streams.DeferredCancellationStream, module.AsyncByteStream)
        self.fields = field_reader(module.Headers([(b"A", b"b")]))
        self.headers = lru_cache(CACHED_HEADERS)(self._headers)

    def _headers(self, head: Head) -> Any:
        return self.module.Headers([(name, value) for name, _, value in head.fields])


def _stream_class(kind: type, *bases: type) -> Any:
    """Return a subclass of `kind` that is a byte stream of the library too."""
    return type(kind.__name__, (kind, *bases), {"__doc__": kind.__doc__})


class SyncLibrary(Errors, Messages, SyncBodies):
    """A library as the layers of a sync transport see it: `ratewise.layer.HTTPLibrary`."""

    def __init__(self, library: Library) -> None:
        Errors.__init__(self, library)
        Messages.__init__(self, library)
        SyncBodies.__init__(self, library)


class AsyncLibrary(Errors, Messages, AsyncBodies):
    """The same for an async transport."""

    def __init__(self, library: Library) -> None:
        Errors.__init__(self, library)
        Messages.__init__(self, library)
        AsyncBodies.__init__(self, library)

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

HEADERS = 128
"""Sets of header fields that are kept: what is served from a cache is served again."""


class Library:
    """What all transports of a library share. `module` is the library, `errors` what RateWise raises around it.

    Their types are the library's own, which checkers see in the transports and clients; here everything is `Any`.
    """

    def __init__(self, module: Any, errors: Any) -> None:
        self.module, self.errors = module, errors
        both = (module.SyncByteStream, module.AsyncByteStream)
        self.Body: Any = type("Body", (streams.Body, *both), {"__doc__": streams.Body.__doc__})
        self.Buffer: Any = type("Buffer", (streams.Buffer, *both), {"__doc__": streams.Buffer.__doc__})
        self.Steady: Any = type("Steady", (streams.Steady, module.AsyncByteStream), {"__doc__": streams.Steady.__doc__})
        self.fields = field_reader(module.Headers([(b"A", b"b")]))
        self.headers = lru_cache(HEADERS)(self._headers)

    def _headers(self, head: Head) -> Any:
        return self.module.Headers([(name, value) for name, _, value in head.fields])


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

"""A deadline for sync sockets. httpcore applies its time-out to each single read, and a server may send a byte at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .private import change_backend

WRITE_SIZE = 64 * 1024
"""Bytes that are written before the time left is computed anew."""


class Timeout(float):
    """A time-out in seconds, as the library takes it, that also knows the deadline of its request."""

    __slots__ = ("ends_at",)
    ends_at: float
    """The deadline, on the monotonic clock."""

    def now(self) -> float:
        """Return the time-out of a read or write that begins now, in seconds."""
        return max(min(float(self), self.ends_at - time.monotonic()), 1e-6)


def timeouts(given: Mapping[str, float | None], left: float) -> dict[str, Timeout]:
    """Return the time-outs of a request, none of them longer than the `left` seconds of its deadline."""
    ends_at, shortened = time.monotonic() + left, {}
    for name in ("connect", "read", "write", "pool"):
        own = given.get(name)
        shortened[name] = timeout = Timeout(left if own is None else min(own, left))
        timeout.ends_at = ends_at
    return shortened


def enforce_deadlines(transport: object) -> None:
    """Make the library's own sync transport observe the deadline in each read and write."""
    change_backend(transport, lambda backend: backend if type(backend) is _Backend else _Backend(backend))


class Wrapper:
    """Delegates all attributes to the wrapped object."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Backend(Wrapper):
    def connect_tcp(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._inner.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._inner.connect_unix_socket(*args, **kwargs))


class _Stream(Wrapper):
    def read(self, max_bytes: int, timeout: float | None = None) -> Any:
        return self._inner.read(max_bytes, _now(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_SIZE):
            self._inner.write(buffer[start : start + WRITE_SIZE], _now(timeout))

    def start_tls(self, *args: Any, **kwargs: Any) -> _Stream:
        return _Stream(self._inner.start_tls(*args, **kwargs))


def _now(timeout: float | None) -> float | None:
    return timeout.now() if isinstance(timeout, Timeout) else timeout

"""TLS handshakes that are cancelled close their socket: httpcore leaves it open until the garbage collector finds it."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from .private import change_backend
from .socket_deadline import Wrapper


def close_cancelled_handshakes(transport: object) -> None:
    """Make the library's own async transport close the sockets whose handshake does not end."""
    change_backend(transport, lambda backend: backend if type(backend) is _Backend else _Backend(backend))


class _Backend(Wrapper):
    async def connect_tcp(self, *args: Any, **kwargs: Any) -> Any:
        stream = await self._inner.connect_tcp(*args, **kwargs)
        # An attribute of this one stream, not a wrapper: reading and writing go no way round. Weak: no cycle keeps it open.
        stream.start_tls = partial(_start_tls, weakref.ref(stream))
        return stream


async def _start_tls(given: weakref.ref[Any], *args: Any, **kwargs: Any) -> Any:
    stream: Any = given()
    try:
        return await type(stream).start_tls(stream, *args, **kwargs)
    except BaseException:
        import anyio

        with anyio.CancelScope(shield=True):
            await stream.aclose()
        raise

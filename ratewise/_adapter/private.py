"""What RateWise uses of the libraries that is not public: all of it, what it saves, and what is done where it is missing.

- `Headers._list` (read): the name, the lower name and the value of each field. Saves 1.8 us of ten fields, each time they are
  looked at. Else `Headers.raw`.
- `IteratorByteStream._stream`: the file in the body of a request, to rewind it. There is no public way. Else the body is taken
  for one that can be sent only once.
- `HTTPTransport._pool`, `ConnectionPool._network_backend`: sockets that know the deadline of a call. There is no public way. Else
  a server that trickles can make a sync call late.
- `Client._transport`, `Client._mounts`: the transports that a client has made from its settings and the environment. There is no
  public way. Else a client raises `TypeError` as it is made.

Type checkers alone see two more: `httpx._types` and `httpx._client.UseClientDefault`, in the signatures of the clients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, cast

Field = tuple[bytes, bytes, bytes]
"""The name of a header field as it is written, in lower case, and its value."""


def field_reader(headers: Any) -> Callable[[Any], Sequence[Field]]:
    """What gives the fields of a library's `Headers`, of which this is one with the single field `A: b`."""
    if getattr(headers, "_list", None) == [(b"A", b"a", b"b")]:
        return cast("Callable[[Any], Sequence[Field]]", attrgetter("_list"))
    return _public_fields


def _public_fields(headers: Any) -> Sequence[Field]:
    return [(name, name.lower(), value) for name, value in headers.raw]


def source_of(stream: object) -> Any:
    """What a request's stream reads: a file, an iterator; None if nobody knows."""
    return getattr(stream, "_stream", None)


def change_backend(transport: object, change: Callable[[Any], Any]) -> None:
    """Replace what opens the sockets of a library's own transport by what `change` makes of it."""
    pool: Any = getattr(transport, "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if backend is not None:
        pool._network_backend = change(backend)


def change_transports(client: Any, change: Callable[[Any], Any]) -> None:
    """Replace each transport that a library's client has made, or was given, by what `change` makes of it."""
    if not (hasattr(client, "_transport") and isinstance(getattr(client, "_mounts", None), dict)):
        raise TypeError(
            f"{type(client).__name__} cannot put its layers around the transports of this version of its HTTP library: "
            "give a RateWiseTransport to that library's own client instead"
        )
    client._transport = change(client._transport)
    client._mounts = {pattern: None if mounted is None else change(mounted) for pattern, mounted in client._mounts.items()}

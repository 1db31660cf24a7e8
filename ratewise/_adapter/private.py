"""All private attributes of the HTTP libraries that RateWise uses, what each saves, and what happens where it is missing.

- `Headers._list` (read): name, lower-case name and value of each field. Saves 1.8 us per pass over ten fields. Fallback:
  `Headers.raw`.
- `IteratorByteStream._stream` (read): the file in the body of a request, to rewind it. There is no public way. Fallback: the
  body counts as one that can be sent only once.
- `HTTPTransport._pool`, `ConnectionPool._network_backend`: sockets that observe the deadline of a request. There is no public
  way. Fallback: a server that sends a byte at a time can make a sync request miss its deadline. In async transports: handshakes
  that close their socket when they are cancelled. Fallback: the garbage collector closes it.
- `HTTPTransport._pool`, `ConnectionPool._max_connections`, `._http2` (read): how many requests fit into a pool, for the queue in
  front of it. There is no public way. Fallback: no queue; requests wait in the pool itself, at the cost of its square.
- `ConnectionPool._connections`, `._requests`, `._optional_thread_lock`, `ThreadLock._lock`, `._assign_requests_to_connections()`,
  `PoolRequest.request`, `.connection`: connections that an interrupted request has left behind are taken out of the pool, and its
  lock is unlocked. There is no public way. Fallback: a pool loses them, as without RateWise.
- `HTTPTransport._pool`, `ConnectionPool._connections`, `._requests`, `._optional_thread_lock`, `PoolRequest.is_queued`: a forked
  process begins with an empty pool. There is no public way. Fallback: the child shares the sockets of its parent, and waits for
  ever if the lock of the pool was held during the fork.
- `Client._transport`, `Client._mounts`: the transports that a client made from its settings and the environment. There is no
  public way. Fallback: the constructor of the client raises `TypeError`.
- `CookieJar._cookies_lock` of the standard library, which each client takes twice per request: renewed in a forked process. There
  is no public way. Fallback: the child waits for ever if the lock was held during the fork.

Two more are for type checkers alone: `httpx._types` and `httpx._client.UseClientDefault`, in the signatures of the clients.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, cast

from ..layer import Field

LOCKED = 2.0
"""Seconds after which a pool counts as locked by nobody."""

HTTP2_STREAMS = 100
"""Requests that are sent at once over one connection of HTTP/2."""


def field_reader(headers: Any) -> Callable[[Any], Sequence[Field]]:
    """Return a function that returns the fields of a library's `Headers`; `headers` is one with the single field `A: b`."""
    if getattr(headers, "_list", None) == [(b"A", b"a", b"b")]:
        return cast("Callable[[Any], Sequence[Field]]", attrgetter("_list"))
    return _public_fields


def _public_fields(headers: Any) -> Sequence[Field]:
    return [(name, name.lower(), value) for name, value in headers.raw]


def source_of(stream: object) -> Any:
    """Return the file or iterator from which the stream of a request reads; None if unknown."""
    return getattr(stream, "_stream", None)


def change_backend(transport: object, change: Callable[[Any], Any]) -> None:
    """Replace the network backend of a library's own transport, which opens its sockets, by `change(backend)`."""
    pool: Any = getattr(transport, "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if backend is not None:
        pool._network_backend = change(backend)


def pool_of(transport: object) -> Any:
    """Return the connection pool of a library's own transport; None if it cannot be mended."""
    pool = getattr(transport, "_pool", None)
    return pool if all(hasattr(pool, name) for name in _MENDED) else None


_MENDED = ("_connections", "_requests", "_optional_thread_lock", "_assign_requests_to_connections")


def pool_size(transport: object) -> int | None:
    """Return how many requests the pool of a library's own transport sends at once; None if it has no limit or none is known."""
    pool: Any = getattr(transport, "_pool", None)
    connections = getattr(pool, "_max_connections", sys.maxsize)
    if connections >= sys.maxsize:
        return None
    return cast(int, connections) * (HTTP2_STREAMS if getattr(pool, "_http2", False) else 1)


def unlock(pool: Any) -> None:
    """Unlock a sync pool that a signal has interrupted as it was locked; to be called by the thread that was interrupted."""
    lock = pool._optional_thread_lock._lock
    if hasattr(lock, "_is_owned"):  # an RLock
        while lock._is_owned():
            lock.release()
    else:
        lock.acquire(timeout=LOCKED)  # it is held for no I/O: whoever holds it longer is gone
        lock.release()


def take_lost(pool: Any, extensions: object, *, idle: bool) -> list[Any]:
    """Take out of a pool the request with these extensions, and each connection that is in use by no request: return these.

    Such a connection was never opened, or what should have ended its last request was interrupted. `idle`: take out those, too,
    that wait for their next request, as a lock of theirs may have been left locked.
    """
    with pool._optional_thread_lock:
        pool._requests[:] = [one for one in pool._requests if one.request.extensions is not extensions]
        used = {id(one.connection) for one in pool._requests}
        unused = [one for one in pool._connections if not (id(one) in used or one.is_closed())]
        lost = [one for one in unused if idle or not one.is_idle()]
        pool._connections[:] = [one for one in pool._connections if one not in lost]
        return [*lost, *pool._assign_requests_to_connections()]


def renew_pool(transport: Any) -> None:
    """Give a library's own sync transport an empty pool in a forked process, and close the child's copies of the sockets.

    Closing does not end the parent's connections: TLS is not shut down. A response that the forking thread holds open keeps the
    old pool, so that it can be closed.
    """
    try:
        old = transport._pool
        connections, requests, make_lock = old._connections, old._requests, type(old._optional_thread_lock)
    except AttributeError:
        return
    transport._pool = new = copy.copy(old)
    new._connections, new._requests, new._optional_thread_lock = [], [], make_lock()
    old._requests, old._optional_thread_lock = [one for one in requests if not one.is_queued()], make_lock()
    for connection in connections:
        connection.close()


def renew_cookies(client: Any) -> None:
    """Give the cookie jar of a client a free lock, in a forked process."""
    jar = client.cookies.jar
    lock = getattr(jar, "_cookies_lock", None)
    if lock is not None:
        jar._cookies_lock = type(lock)()


def transports_of(client: object) -> tuple[Any, dict[Any, Any]]:
    """Return the transport of a library's client, None if it cannot be found, and those for certain URLs, by URL pattern."""
    return getattr(client, "_transport", None), getattr(client, "_mounts", {})


def change_transports(client: Any, change: Callable[[Any], Any]) -> None:
    """Replace each transport of a library's client by `change(transport)`. Raises `TypeError` if they cannot be found."""
    if not (hasattr(client, "_transport") and isinstance(getattr(client, "_mounts", None), dict)):
        raise TypeError(
            f"{type(client).__name__} cannot put its layers around the transports of this version of its HTTP library: "
            "pass a RateWiseTransport to that library's own client instead"
        )
    client._transport = change(client._transport)
    client._mounts = {pattern: None if mounted is None else change(mounted) for pattern, mounted in client._mounts.items()}

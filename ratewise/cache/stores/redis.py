"""A store in Redis, or in a server that speaks its protocol: shared by processes and machines."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import urlsplit

from ..._core.clock import Clock, running_trio
from ..._core.forks import renew_after_fork
from ..._keywords import explained
from ..._redaction.masker import DEFAULT_MASKER
from ..._validation import refusal, seconds
from .backend import SECRET_LIFETIME
from .base import CacheBackend

if TYPE_CHECKING:
    import asyncio

MAX_CONNECTIONS = 50
"""Connections for all threads, and for each event loop, at most. A request that needs one more waits."""

SCAN_BATCH = 500
"""Keys that `clear` asks for, and deletes, with one command."""


@explained(options="redis.Redis")
class RedisCache(CacheBackend):
    """Responses in Redis, or Valkey: RedisCache("redis://localhost:6379/0", ttl=600). Needs redis-py: `ratewise[redis]`.

    - `url`: redis://, rediss:// (TLS) or unix://, with user, password and database as in redis-py. None: `host` and `port`.
    - `ttl`: seconds for which a response is fresh if its server does not say. None: by `Last-Modified`, or not at all.
    - `client`: a sync client of redis-py to use instead, such as one of a cluster or of Sentinel. It keeps its own time-outs,
      retries and pool, and is yours to close.
    - `async_client`: the same for asyncio, or a function without arguments that makes one for each event loop. None: with a
      `client`, asyncio calls it in worker threads, as trio always does.
    - `timeout`: seconds that one access may take; in sync code, connecting and each answer. A slower access is a miss. In sync
      code the look-up of the host name is bounded by the system alone.
    - `prefix`: the beginning of every key.
    - `clock`: the time by which responses age (Redis lets them expire by its own); for tests. None: that of the client or
      transport.
    - `namespace`: a name; entries stored under one namespace are invisible under another.
    - `secret`: 16 to 64 bytes, the key of all hashes and signatures; None for a random one that is kept in Redis.
    - `options`: options of redis-py's client: `password`, `db`, `ssl`, `max_connections` (50) and so on.

    Nothing is tried twice. Keys are hashes and values are signed: a value that another program wrote is a miss.

    `close()` and `aclose()` close the connections. The store can still be used: the next use opens new ones.

    Raises `ImportError` without redis-py, `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        url: str | None = None,
        ttl: float | None = None,
        *,
        client: Any = None,
        async_client: Any = None,
        host: str = "localhost",
        port: int = 6379,
        timeout: float = 0.25,
        namespace: str = "",
        secret: bytes | None = None,
        prefix: str = "ratewise:",
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        super().__init__(ttl=ttl, namespace=namespace, secret=secret, clock=clock)
        self.timeout = seconds("timeout", timeout, above_zero=True)
        if not isinstance(prefix, str):
            raise TypeError(refusal("prefix", prefix, "a string"))
        self._prefix = f"{prefix}{hashlib.sha256(namespace.encode()).hexdigest()[:16]}:"
        self._own = client is None
        self._shown = f"{host}:{port}" if url is None else DEFAULT_MASKER.url(url)
        if client is None:
            if async_client is not None and url is None:
                raise TypeError("async_client needs a sync client as well: give it as client or as url")
            made = _ClientFactory(url, {"host": host, "port": port}, self.timeout, options)
            self._make: Callable[[], Any] = made.client
            async_client = async_client or made.async_client
        else:
            if url is not None or options:
                raise TypeError("url and options of redis-py cannot be given beside client, which has its own settings")
            self._make = lambda: _checked("client", client, asynchronous=False)
        if not (async_client is None or callable(async_client)):
            _checked("async_client", async_client, asynchronous=True)
        self._make_async = async_client
        self._threads = _Threads(self._make())
        self._ratewise_store.location = _location(self._threads.client, url)
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}

    def __repr__(self) -> str:
        return f"RedisCache({self._shown if self._own else 'a client'!r})"

    def get(self, key: str) -> bytes | None:
        return self._do("get", self._prefix + key)  # type: ignore[no-any-return]

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self._do("set", self._prefix + key, value, px=_milliseconds(ttl))

    def delete(self, key: str) -> None:
        self._do("delete", self._prefix + key)

    def clear(self) -> None:
        """Delete all entries of this prefix and namespace. It scans every key of the database, which may take long.

        Raises what redis-py raises.
        """
        secret = (self._prefix + "secret-").encode()  # kept: other processes go on to sign with it
        pattern = re.sub(r"([][*?\\])", r"\\\1", self._prefix) + "*"
        threads = self._acquire()
        try:
            found = threads.client.scan_iter(match=pattern, count=SCAN_BATCH)
            names = (name for name in found if not name.startswith(secret))
            while batch := list(islice(names, SCAN_BATCH)):
                threads.client.unlink(*batch)
        finally:
            threads.slots.release()

    async def aget(self, key: str) -> bytes | None:
        return await self._ado("get", self._prefix + key)  # type: ignore[no-any-return]

    async def aset(self, key: str, value: bytes, ttl: float) -> None:
        await self._ado("set", self._prefix + key, value, px=_milliseconds(ttl))

    async def adelete(self, key: str) -> None:
        await self._ado("delete", self._prefix + key)

    def close(self) -> None:
        """Close the connections of sync code and of worker threads; the next use opens new ones."""
        if self._own:
            self._threads.client.close()

    async def aclose(self) -> None:
        """Close these connections and those of the running event loop; `asyncio.run` closes the latter when it ends."""
        if self._make_async is not None and running_trio() is None:
            import asyncio

            ended = self._loops.pop(asyncio.get_running_loop(), None)
            if ended is not None and ended.closer is not None:
                await ended.closer.aclose()
        self.close()

    def _do(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the client, in this thread."""
        threads = self._acquire()
        try:
            return getattr(threads.client, name)(*args, **options)
        finally:
            threads.slots.release()

    def _acquire(self) -> _Threads:
        """Return the client of this process's threads, with one of its slots taken; raise `TimeoutError` if none becomes free."""
        threads = self._threads
        if threads.pid != os.getpid():  # this process was forked, possibly while a thread held a lock of the pool
            threads = self._threads = _Threads(self._make())
        if not threads.slots.acquire(timeout=self.timeout):
            raise TimeoutError
        return threads

    async def _ado(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the async client, or of the sync client in a worker thread; raise `TimeoutError` after `timeout`."""
        import asyncio

        import anyio

        with anyio.move_on_after(self.timeout):
            if self._make_async is None or running_trio() is not None:
                import anyio.to_thread

                return await anyio.to_thread.run_sync(partial(self._do, name, *args, **options), abandon_on_cancel=True)
            loop = asyncio.get_running_loop()
            client, slots, _ = self._loops.get(loop) or await self._begin(loop)
            try:
                slots.acquire_nowait()
            except anyio.WouldBlock:
                await slots.acquire()
            try:
                return await getattr(client, name)(*args, **options)
            finally:
                slots.release()
        raise TimeoutError

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> _Loop:
        import anyio

        client, closer = self._make_async, None
        if callable(client):
            client = _checked("async_client", client(), asynchronous=True)
            closer = _close_at_end(client, self.timeout)
            await closer.asend(None)
        opened = _Loop(client, anyio.Semaphore(_pool_size(client)), closer)
        for other in list(self._loops):  # no lock: each step is one operation, whatever other threads do
            if other.is_closed():
                self._loops.pop(other, None)
        self._loops[loop] = opened
        return opened


class _Loop(NamedTuple):
    """The client of one event loop."""

    client: Any
    slots: Any
    """A semaphore with one slot for each connection: redis-py's pools fail instead of waiting, or lose cancelled connections."""
    closer: AsyncGenerator[None, None] | None
    """Closes the client when the event loop ends; None if the client is the user's."""


class _Threads:
    """The client of the threads of one process."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.slots = threading.Semaphore(_pool_size(client))
        self.pid = os.getpid()


async def _close_at_end(client: Any, timeout: float) -> AsyncGenerator[None, None]:
    """Close the client when its event loop ends, which closes the async generators that were started in it."""
    import anyio

    try:
        yield
    finally:
        with suppress(Exception), anyio.move_on_after(timeout):
            await client.aclose()


class _ClientFactory:
    """Makes clients from settings. They do not retry: that would delay a request longer than a miss."""

    def __init__(self, url: str | None, place: dict[str, Any], timeout: float, options: dict[str, Any]) -> None:
        if not (url is None or isinstance(url, str)):
            raise TypeError(f"url must be a string, not a {type(url).__name__}")  # its value may hold a password
        try:
            import redis.asyncio
        except ImportError:
            raise ImportError("RedisCache needs redis-py: pip install 'ratewise[redis]'") from None
        self._redis: Any = redis
        self._url, self._place, self._timeout = url, place, timeout
        # No commands on connecting: RESP 2 needs no handshake, and the library's name is not sent.
        unnamed = {"driver_info": None} if hasattr(redis, "driver_info") else {"lib_name": None, "lib_version": None}
        self._options = {"protocol": 2, "max_connections": MAX_CONNECTIONS, **unnamed, **options}

    def client(self) -> Any:
        once = self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0)
        client = self._build(self._redis.Redis, self._timeout, once)
        pool = client.connection_pool
        bound = pool.connection_kwargs.get("socket_timeout")
        if bound is not None:
            pool.connection_class = _bounded(pool.connection_class, _Alarm(bound))
        pool.connection_class(**pool.connection_kwargs)  # raises for an unknown option here, and not at each use
        return _checked("client", client, asynchronous=False)

    def async_client(self) -> Any:
        once = self._redis.asyncio.retry.Retry(self._redis.backoff.NoBackoff(), 0)
        return self._build(self._redis.asyncio.Redis, None, once)

    def _build(self, kind: Any, timeout: float | None, retry: Any) -> Any:
        options = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": retry, **self._options}
        if self._url is None:
            return kind(**self._place, **options)
        try:
            return kind.from_url(self._url, **options)
        except ValueError as error:
            said = DEFAULT_MASKER.line(str(error))
            if said.startswith("Port "):  # the rest of the text may be a part of a password
                said = "its port is invalid, or special characters in its password are not percent-encoded"
            raise ValueError(refusal("url", DEFAULT_MASKER.url(self._url), f"one that redis-py takes ({said})")) from None


class _Alarm:
    """Disconnects connections whose answer takes longer than `seconds` as a whole: a socket's time-out restarts with each piece.

    Its one thread runs while a connection waits for an answer.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[Any, float] = {}
        """When the answer of a connection is due, by the monotonic clock. In order, as all have the same time-out."""
        self._rung: set[Any] = set()
        """The connections that were disconnected."""
        self._runs = False

    def set(self, connection: Any) -> None:
        with self._lock:
            self._due.pop(connection, None)
            self._due[connection] = time.monotonic() + self.seconds
            runs, self._runs = self._runs, True
        if not runs:
            threading.Thread(target=self._run, name="ratewise-redis-alarm", daemon=True).start()

    def stop(self, connection: Any) -> bool:
        """Return whether the connection was disconnected."""
        with self._lock:
            self._due.pop(connection, None)
            rang = connection in self._rung
            self._rung.discard(connection)
            return rang

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._runs = False
                    return
                first = next(iter(self._due.values()))
            time.sleep(max(0.0, first - time.monotonic()))
            with self._lock:  # held while disconnecting, so that the connection is not reused meanwhile
                now = time.monotonic()
                for connection in [connection for connection, due in self._due.items() if due <= now]:
                    del self._due[connection]
                    self._rung.add(connection)
                    with suppress(Exception):
                        connection.disconnect()


def _bounded(kind: Any, alarm: _Alarm) -> Any:
    """Return a subclass of a connection class whose answers have an alarm."""

    class Bounded(kind):  # type: ignore[misc]
        def send_packed_command(self, *args: Any, **options: Any) -> None:
            super().send_packed_command(*args, **options)
            alarm.set(self)

        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                response = super().read_response(*args, **options)
            except Exception as error:
                if alarm.stop(self):
                    raise TimeoutError(f"no answer within {alarm.seconds:g} s") from error
                raise
            except BaseException:
                alarm.stop(self)
                raise
            alarm.stop(self)
            return response

    return Bounded


def _checked(setting: str, client: Any, *, asynchronous: bool) -> Any:
    wanted = f"{'an asyncio' if asynchronous else 'a sync'} client of redis-py"
    if not hasattr(client, "get_encoder") or hasattr(client, "aclose") != asynchronous:
        raise TypeError(f"{setting} must be {wanted}, not a {type(client).__name__}")
    if client.get_encoder().decode_responses:
        raise ValueError(f"{setting} must be {wanted} without decode_responses: values are bytes")
    return client


def _location(client: Any, url: str | None) -> str | None:
    """Return host and port, or the path of a Unix socket; None if unknown, or if a part of a password may be among them."""
    if url is not None:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment:  # something before the "@" was not percent-encoded
            return None
    settings = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if settings.get("path"):
        return str(settings["path"])
    return f"{settings['host']}:{settings.get('port', 6379)}" if settings.get("host") else None


def _pool_size(client: Any) -> int:
    """Return how many connections the pool of a client may have."""
    return getattr(getattr(client, "connection_pool", None), "max_connections", MAX_CONNECTIONS)


def _milliseconds(ttl: float) -> int:
    return max(1, int(min(ttl, SECRET_LIFETIME) * 1000))

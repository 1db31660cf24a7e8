"""Pools lose no connection when a request is interrupted, and a cancellation is exact: it is raised once, where it arrives."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
from importlib import import_module
from typing import Any

import anyio
import pytest

from ratewise import RetryConfig
from ratewise._adapter import private
from ratewise._adapter.pool import before_pool
from ratewise._adapter.pooled_request import PooledRequest
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.marks import CANCELLED_CONNECTS
from tests.kit.patience import PATIENCE
from tests.kit.world import World, only

pytestmark = CANCELLED_CONNECTS

STEPS = (*range(40), *range(40, 120, 5))
"""After how many turns of the event loop requests are cancelled."""


def library(world: World) -> Any:
    return import_module(f"{world.RetryTransport.__module__.rpartition('.')[0]}.base").LIBRARY


class Subclass:
    """A class of transports that is not the library's own, so that nothing queues in front of its pool."""

    def __new__(cls, world: World, **options: Any) -> Any:
        return type("Own", (world.HTTPTransport,), {})(**options)


def wire(world: World, own: bool, connections: int) -> Any:
    options = {"limits": world.httpx.Limits(max_connections=connections), "trust_env": False, "verify": False}
    return world.HTTPTransport(**options) if own else Subclass(world, **options)


def stack(world: World, inner: Any) -> Any:
    config = RetryConfig(2, jitter=False, initial_delay=0.001, budget=False)
    return world.httpx.AsyncClient(
        transport=world.RateWiseTransport(inner, retry_config=config), timeout=world.httpx.Timeout(PATIENCE, pool=PATIENCE)
    )


def usable(pool: Any, connections: int) -> bool:
    """Whether nothing is in use in a pool, and no more is open than allowed."""
    return not pool._requests and len(pool.connections) <= connections and all(one.is_idle() for one in pool.connections)


@pytest.mark.parametrize("own", [True, False])
@only("asyncio", "trio")
def test_cancelled_together(world: World, own: bool) -> None:
    """Six requests for a pool of two, some of them waiting in it, that are cancelled at any step leave it usable."""

    async def scenario(steps: int) -> None:
        inner = wire(world, own, 2)
        async with stack(world, inner) as client:
            for _ in range(2):
                async with anyio.create_task_group() as group:
                    for _ in range(6):
                        group.start_soon(client.get, server.url)
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
                assert usable(inner._pool, 2), (steps, inner._pool.connections)
            assert (await client.get(server.url)).content == b"ok"

    with LocalServer(lambda received: Reply()) as server:
        for steps in STEPS:
            anyio.run(scenario, steps, backend=world.style)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
@only("asyncio")
def test_cancelled_by_the_task(world: World, own: bool, streamed: bool) -> None:
    """`task.cancel()` raises at once what it raises, and nothing afterwards; the pool of one connection is usable."""

    async def call(client: Any, method: str) -> None:
        try:
            if streamed:
                async with client.stream(method, server.url) as response:
                    assert await response.aread() == b"ok"
            else:
                assert (await client.request(method, server.url)).content == b"ok"
        except asyncio.CancelledError:
            pass
        over.append(True)
        for _ in range(3):
            await asyncio.sleep(0)  # a second CancelledError ends the task here

    async def scenario(steps: int) -> None:
        inner = wire(world, own, 1)
        async with stack(world, inner) as client:
            for method in ("GET", "POST"):
                task = asyncio.ensure_future(call(client, method))
                for _ in range(steps):
                    await asyncio.sleep(0)
                if not over:
                    task.cancel()
                over.clear()
                await asyncio.wait([task])
                assert task.cancelled() == (steps == 0)  # it has not begun
                assert usable(inner._pool, 1), (steps, inner._pool.connections)
            assert (await client.get(server.url)).content == b"ok"

    over: list[bool] = []
    with LocalServer(lambda received: Reply()) as server:
        for steps in STEPS:
            asyncio.run(scenario(steps))


# Older Pythons have no such block.
@pytest.mark.skipif(sys.version_info < (3, 11), reason="its subject, asyncio.timeout, came with 3.11")
@only("asyncio")
def test_time_outs_of_asyncio(world: World) -> None:
    """A time-out at any step ends in `TimeoutError` or in the response; the caller is not cancelled afterwards."""

    async def call(client: Any, limit: Any) -> None:
        try:
            async with limit:
                assert (await client.get(server.url)).content == b"ok"
        except TimeoutError:
            ends.add("late")
        else:
            ends.add("in time")
        over.append(True)
        for _ in range(3):
            await asyncio.sleep(0)
        task: Any = asyncio.current_task()
        assert task.cancelling() == 0

    async def scenario(steps: int) -> None:
        async with stack(world, inner := wire(world, True, 1)) as client:
            for _ in range(2):
                limit = asyncio.timeout(None)
                task = asyncio.ensure_future(call(client, limit))
                for _ in range(steps):
                    await asyncio.sleep(0)
                if not over:
                    limit.reschedule(0)
                over.clear()
                await task
                assert usable(inner._pool, 1)

    ends: set[str] = set()
    over: list[bool] = []
    with LocalServer(lambda received: Reply()) as server:
        for steps in (*range(1, 120), 3000):
            asyncio.run(scenario(steps))
    assert ends == {"late", "in time"}


@only("asyncio", "trio")
def test_another_request_is_left_alone(world: World) -> None:
    """Cancelling one of two requests with the same `Request` leaves the other one its connection."""

    async def scenario() -> None:
        inner = wire(world, True, 2)
        async with stack(world, inner) as client:
            request, bodies = client.build_request("GET", server.url), []

            async def whole() -> None:
                bodies.append((await client.send(request)).content)

            async with anyio.create_task_group() as group:
                group.start_soon(whole)
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(client.send, request)
                    await world.until(lambda: arrived == [True, True])
                    cancelled.cancel_scope.cancel()
                release.release()
                release.release()
            assert bodies == [b"ok"]
            assert usable(inner._pool, 2)

    arrived: list[bool] = []
    release = threading.Semaphore(0)

    def answer(received: Received) -> Reply:
        arrived.append(True)
        release.acquire(timeout=PATIENCE)
        return Reply()

    with LocalServer(answer) as server:
        anyio.run(scenario, backend=world.style)


class Interrupted(BaseException):
    """What a signal handler may raise."""


@pytest.mark.parametrize("where", ["send", "read", "close"])
@only("sync")
def test_interrupted_in_the_pool(world: World, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception out of any line of the pool leaves no connection in use."""
    inner = wire(world, True, 1)
    subject = world.RetryTransport(inner)
    name = {"send": "_receive_response_headers", "read": "_receive_response_body", "close": "_response_closed"}[where]

    def interrupted(*_: Any, **__: Any) -> Any:
        raise Interrupted

    with LocalServer(lambda received: Reply()) as server, world.httpx.Client(transport=subject) as client:
        assert client.get(server.url).content == b"ok"
        kind = type(inner._pool.connections[0]._connection)
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, interrupted)
            if where == "send":
                patch.setattr(kind, "_response_closed", interrupted)
            with pytest.raises(Interrupted):
                client.get(server.url)
        assert usable(inner._pool, 1)
        assert client.get(server.url).content == b"ok"


@only("sync")
def test_interrupted_as_the_pool_is_locked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that leaves the lock of the pool locked leaves it so for nobody."""
    monkeypatch.setattr(private, "LOCKED", 0.01)
    inner = wire(world, True, 1)

    def locked(*_: Any, **__: Any) -> Any:
        inner._pool._optional_thread_lock._lock.acquire()
        raise Interrupted

    with LocalServer(lambda received: Reply()) as server, world.httpx.Client(transport=world.RetryTransport(inner)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(type(inner), "handle_request", locked)
            with pytest.raises(Interrupted):
                client.get(server.url)
        free = []
        thread = threading.Thread(target=lambda: free.append(client.get(server.url).content), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert free == [b"ok"]


@only("asyncio", "trio")
async def test_closing_goes_on(world: World) -> None:
    """What an interrupted request has left is closed to the last connection, even if closing one fails or is cancelled."""
    closed: list[int] = []

    class Connection:
        def __init__(self, number: int, error: BaseException | None = None) -> None:
            self.number, self.error = number, error

        async def aclose(self) -> None:
            closed.append(self.number)
            if self.error is not None:
                raise self.error

        def is_idle(self) -> bool:
            return False

        is_closed = is_idle

    class Pool:
        def __init__(self) -> None:
            self._optional_thread_lock, self._requests = threading.Lock(), []
            self._connections = [Connection(1, ZeroDivisionError()), Connection(2, Interrupted()), Connection(3)]

        def _assign_requests_to_connections(self) -> list[Any]:
            return [Connection(4)]

    with pytest.raises(Interrupted):
        await PooledRequest(Pool(), {}).amend()
    assert closed == [1, 2, 3, 4]


def test_a_pool_of_unknown_make(world: World) -> None:
    """Where a private name is missing, requests go straight to the transport."""
    inner = wire(world, True, 1)
    assert before_pool(inner, library(world), world.HTTPTransport) is not inner
    assert private.pool_size(inner) == 1
    del inner._pool._requests
    assert before_pool(inner, library(world), world.HTTPTransport) is inner
    inner._pool = None
    assert private.pool_size(inner) is None


@only("asyncio", "trio")
def test_a_cancelled_handshake(world: World) -> None:
    """A call that is cancelled while TLS begins closes its socket at once, not when the garbage collector finds it."""
    greeted, ended = threading.Event(), threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(65536)
            greeted.set()  # and never says hello
            assert connection.recv(65536) == b""
            ended.set()

    async def scenario() -> None:
        for inner in (wire(world, True, 1), wire(world, False, 1)):
            greeted.clear(), ended.clear()
            thread = threading.Thread(target=serve)
            thread.start()
            async with stack(world, inner) as client:
                await world.cancelled(lambda: client.get(f"https://127.0.0.1:{listener.getsockname()[1]}"), greeted.is_set)
                await world.until(ended.is_set)
                assert usable(inner._pool, 0)
            thread.join(PATIENCE)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        anyio.run(scenario, backend=world.style)


@pytest.mark.parametrize("read", [True, False])
@only("sync")
def test_an_abandoned_response(world: World, read: bool) -> None:
    """A streamed response that nobody closes gives its connection back when the garbage collector finds it; a 101 keeps it."""
    inner = wire(world, True, 1)
    subject = world.LayerTransport(inner)

    def answer(received: Received) -> Any:
        if received.target != "/upgrade":
            return Reply(body=b"x" * 200_000)
        return lambda connection: bool(
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
        )

    with LocalServer(answer) as server, world.httpx.Client(transport=subject, timeout=PATIENCE) as client:
        for _ in range(3):
            response = client.send(client.build_request("GET", server.url), stream=True)
            if read:
                assert next(response.iter_raw())
            del response
            gc.collect()
            assert len(client.get(server.url).content) == 200_000
        upgrade = client.build_request("GET", server.url + "/upgrade", headers={"Connection": "Upgrade", "Upgrade": "x"})
        stream = client.send(upgrade, stream=True).extensions["network_stream"]
        gc.collect()
        with pytest.raises(world.httpx.PoolTimeout):
            client.get(server.url, timeout=world.httpx.Timeout(PATIENCE, pool=0.01))
        assert stream.read(5, timeout=PATIENCE) == b"hello"
        stream.close()

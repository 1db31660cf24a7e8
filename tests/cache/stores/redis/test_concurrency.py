"""Cancellation, event loops, threads and forks: no connection is lost, or used twice at once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from typing import Any

import anyio
import pytest

from ratewise.cache.stores.redis import RedisCache
from tests.cache.stores.redis.false_servers import Wrong, hung
from tests.cache.stores.redis.samples import SECRET
from tests.kit.marks import FORKS
from tests.kit.patience import PATIENCE
from tests.kit.world import World, only


def busy(cache: RedisCache) -> int:
    """The number of asyncio connections that were not returned to their pool."""
    (found,) = cache._loops.values()
    assert found.slots.statistics().tasks_waiting == 0
    return len(found.client.connection_pool._in_use_connections)


@pytest.mark.parametrize("scope", [False, True], ids=["task", "scope"])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_cancelled_anywhere(make: Any, warm: bool, scope: bool) -> None:
    """A call cancelled at any step passes its answer to no other call, and loses no connection."""

    async def scenario() -> None:
        cache = make(max_connections=3)
        names = [f"{number:032x}" for number in range(4)]
        for name in names:
            await cache.aset(name, name.encode(), 60.0)

        async def reads(name: str) -> None:
            assert await cache.aget(name) == name.encode()

        async def scoped(scope: Any, name: str) -> None:
            with scope:
                await reads(name)

        for steps in range(60):
            if not warm:
                await cache.aclose()
            scopes = [anyio.CancelScope() for _ in names]
            work = [scoped(one, name) if scope else reads(name) for one, name in zip(scopes, names)]
            tasks = [asyncio.ensure_future(one) for one in work]
            for _ in range(steps):
                await asyncio.sleep(0)
            for one, task in zip(scopes[:3], tasks[:3]):
                one.cancel() if scope else task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
            assert results[3] is None
            await asyncio.gather(*map(reads, names), *map(reads, names))
            assert busy(cache) == 0
        await cache.aclose()

    asyncio.run(scenario())


def test_cancelled_while_it_connects(make: Any) -> None:
    """A cancelled handshake, and a slow answer that was given up, do not affect later calls."""

    def serve(server: Wrong, connection: Any) -> None:
        for command in server.read(connection):
            if len(server.commands) % 2:
                time.sleep(0.002)
            connection.sendall(b"+OK\r\n" if command[0] != b"GET" else b"$1\r\n" + command[1][-1:] + b"\r\n")

    async def scenario() -> None:
        cache = make(f"redis://:p@127.0.0.1:{server.port}/3", max_connections=2)
        for after in range(20):
            task = asyncio.ensure_future(cache.aget("a"))
            await asyncio.sleep(after * 0.0005)
            task.cancel()
            for name in "bcd":
                assert await cache.aget(name) == name.encode()
            await asyncio.gather(task, return_exceptions=True)
            if after % 2:
                await cache.aclose()
        assert cache._loops == {}

    with Wrong(serve) as server:
        asyncio.run(scenario())


@only("trio")
async def test_trio_gives_up(world: World, make: Any) -> None:
    """A blocked thread does not block its trio task beyond the time-out."""
    with Wrong(hung) as server:
        cache = make(server.url, timeout=PATIENCE * 10)
        await world.cancelled(lambda: cache.aget("a"), when=lambda: server.commands)
        cache.close()


def test_many_event_loops(make: Any) -> None:
    """Each event loop has its own connections and closes them when it ends; closed ones are forgotten."""
    cache = make()
    cache.set("a", b"x", 60.0)
    results = []

    async def scenario() -> None:
        for _ in range(20):
            results.extend(await asyncio.gather(*[cache.aget("a") for _ in range(3)]))

    threads = [threading.Thread(target=asyncio.run, args=(scenario(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [b"x"] * 240
    for _ in range(3):
        asyncio.run(scenario())
    assert len(cache._loops) == 1
    (last,) = cache._loops.values()
    assert not any(one.is_connected for one in last.client.connection_pool._available_connections)


def test_an_event_loop_that_nobody_ends_well(make: Any) -> None:
    """`aclose` leaves nothing open, even if the event loop is closed without a proper shutdown."""
    cache = make()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(cache.aset("a", b"x", 60.0))
    loop.run_until_complete(cache.aclose())
    loop.run_until_complete(cache.aclose())
    loop.close()
    assert cache._loops == {}


def test_a_cache_that_is_forgotten(make: Any, url: str) -> None:
    """The connections of a garbage-collected cache are closed in their event loop."""

    async def scenario() -> None:
        cache = RedisCache(url, secret=SECRET)
        await cache.aget("a")
        client = cache._loops[asyncio.get_running_loop()].client
        (connection,) = client.connection_pool._available_connections
        assert connection.is_connected
        del cache
        for _ in range(int(PATIENCE * 1000)):
            if not connection.is_connected:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("still connected")

    asyncio.run(scenario())


@FORKS
def test_fork(make: Any) -> None:
    """A forked child has connections and slots of its own, whatever its parent's threads were doing."""
    cache = make(max_connections=1)
    cache.set("a", b"parent", 60.0)
    cache._threads.slots.acquire()  # by a thread that does not exist in the child
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about forking with threads, from Python 3.12
        child = os.fork()
    if child == 0:
        failed = 1
        try:
            for _ in range(50):
                cache.set("b", b"child", 60.0)
                assert cache.get("b") == b"child"
            failed = 0
        finally:
            os._exit(failed)
    cache._threads.slots.release()
    for _ in range(50):
        assert cache.get("a") == b"parent"
    parents = cache._threads
    parents.pid = child  # another process's id, as a child would see it
    assert cache.get("a") == b"parent"
    assert cache._threads.client is not parents.client
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get("a") == b"parent"

"""A false server gives a miss in bounded time, and its answers are served to no caller."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

import pytest
import redis
import redis.asyncio

from ratewise.cache.entry import encode
from ratewise.cache.stores.backend import FIRST_BYPASS
from ratewise.testing import FakeClock
from tests.cache.stores.redis.false_servers import FALSE, Wrong, answering, deaf
from tests.cache.stores.redis.samples import KEY, OTHER, SECRET, TIMEOUT, call_of, each_world, entry
from tests.kit.patience import PATIENCE
from tests.kit.world import World


@each_world
@pytest.mark.parametrize("name", FALSE)
async def test_false_servers(world: World, make: Any, name: str) -> None:
    """Whatever the server does, even if it hangs, the result is a miss, nothing is stored, and nothing is raised."""
    with Wrong(FALSE[name]) as server:
        cache, clock = make(server.url, timeout=TIMEOUT), FakeClock(auto=True)
        call = call_of(world, clock)
        assert await cache._ratewise_store.load(KEY, call) == ()
        clock.advance(FIRST_BYPASS)
        assert not await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
        clock.advance(FIRST_BYPASS)
        await cache._ratewise_store.drop(KEY, call)
        clock.advance(FIRST_BYPASS)
        assert await cache._ratewise_store.load(KEY, call) == ()
        assert cache.get_stats().errors >= 3
        await world.close(cache)


@each_world
async def test_a_server_that_does_not_read(world: World, make: Any) -> None:
    """Storing a large value ends in bounded time, although the server never reads it."""
    with Wrong(deaf) as server:
        cache, call = make(server.url, timeout=TIMEOUT), call_of(world)
        assert not await cache._ratewise_store.save(KEY, (entry(b"x" * 10**7),), 60.0, call)
        await world.close(cache)


@each_world
async def test_nobody_there(world: World, make: Any) -> None:
    """A server that is down, or a host without an address, gives a miss and is bypassed for a while."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        for settings in ({"host": "127.0.0.1", "port": bound.getsockname()[1]}, {"host": "nowhere.invalid", "port": 1}):
            cache, clock = make(secret=None, **settings), FakeClock(auto=True)
            call = call_of(world, clock)
            assert await cache._ratewise_store.prepare(call) is None
            cache._ratewise_store.secret = SECRET
            for tried in (1, 1, 2):
                clock.advance(FIRST_BYPASS * (tried == 2))
                assert await cache._ratewise_store.load(KEY, call) == ()
                assert not await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
                assert cache.get_stats().errors == tried
            await world.close(cache)


@each_world
async def test_a_late_answer_is_nobodys(world: World, make: Any) -> None:
    """The answer to an abandoned command is not read by the next one."""
    late, told = threading.Event(), threading.Event()

    def serve(server: Wrong, connection: Any) -> None:
        for command in server.read(connection):
            value = command[1][-1:]
            if value == b"b":
                late.wait(PATIENCE)
            with contextlib.suppress(OSError):  # the client may be gone
                connection.sendall(b"$1\r\n" + value + b"\r\n")
            if value == b"b":
                told.set()

    async def answer(name: str) -> Any:
        """Return the answer, with retries: a loaded machine may exceed the time-out."""
        got: list[bytes] = []
        for _ in range(200):
            with contextlib.suppress(TimeoutError, redis.TimeoutError):
                got.append(await world(get, name))
                break
        return got

    with Wrong(serve) as server:
        cache = make(server.url, timeout=TIMEOUT)
        get = cache.get if world.is_sync else cache.aget
        assert await answer("a") == [b"a"]
        with pytest.raises((TimeoutError, redis.TimeoutError)):
            await world(get, "b")
        assert await answer("c") == [b"c"]
        late.set()
        await world.until(told.is_set)
        assert await answer("d") == [b"d"]
        await world.close(cache)


@each_world
async def test_answers_that_nobody_asked_for(world: World, make: Any) -> None:
    """A connection with unexpected answers is not used again, or the value is refused as that of another key."""
    with Wrong(
        answering(lambda command: 2 * (b"$%d\r\n%s\r\n" % (len(value := encode((entry(),), KEY, SECRET)), value)))
    ) as server:
        cache, call = make(server.url), call_of(world)
        for key in (KEY, OTHER, KEY, OTHER):
            assert len(await cache._ratewise_store.load(key, call)) == (key == KEY)
        await world.close(cache)


def test_closing_that_hangs(make: Any, monkeypatch: Any) -> None:
    """A client that does not close blocks its event loop for a bounded time; one whose closing fails raises nothing."""

    async def never(self: Any) -> None:
        await asyncio.Event().wait()

    async def fails(self: Any) -> None:
        await redis.asyncio.ConnectionPool.disconnect(self.connection_pool)
        raise OSError

    async def scenario() -> None:
        for closing in (never, fails):
            client = redis.asyncio.Redis.from_url(cache_url)
            monkeypatch.setattr(redis.asyncio.Redis, "aclose", closing)
            cache = make(cache_url, async_client=lambda client=client: client, timeout=TIMEOUT)
            with contextlib.suppress(Exception):
                await cache.aget("a")
            await cache.aclose()
            await redis.asyncio.ConnectionPool.disconnect(client.connection_pool)

    with Wrong(answering(b"$-1\r\n")) as server:
        cache_url = server.url
        asyncio.run(scenario())

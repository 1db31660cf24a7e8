"""Settings of the Redis store, and clients that the user supplies."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any

import pytest
import redis
import redis.asyncio

from ratewise.cache.stores.redis import MAX_CONNECTIONS, RedisCache
from tests.cache.stores.redis.false_servers import Wrong, answering
from tests.cache.stores.redis.samples import KEY, call_of, each_world, entry
from tests.kit.redis_server import Server
from tests.kit.world import World


@each_world
async def test_clients_of_ones_own(world: World, make: Any, url: str, private: Server) -> None:
    """A supplied client is used unchanged and left open; asyncio uses its async counterpart, or worker threads."""
    client, call = redis.Redis.from_url(url), call_of(world)
    settings: list[Any] = [{}, {"async_client": lambda: redis.asyncio.Redis.from_url(url, max_connections=7)}]
    twin: Any = None
    if world.style == "asyncio":  # on Python 3.9 it can be created only inside an event loop
        twin = redis.asyncio.Redis.from_url(url)
        settings.append({"async_client": twin})
    for given in settings:
        cache = make(client=client, **given)
        assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
        assert len(await cache._ratewise_store.load(KEY, call)) == 1
        if world.style == "asyncio" and given:
            (found,) = cache._loops.values()
            assert (found.client is twin) == (given["async_client"] is twin)
            assert found.slots._value == found.client.connection_pool.max_connections
        await world.close(cache)
    assert client.ping()
    if twin is not None:
        assert twin.connection_pool._available_connections[0].is_connected
        await twin.aclose()
    client.close()


@each_world
async def test_an_async_client_that_will_not_do(world: World, make: Any, url: str) -> None:
    """A client factory is checked when it is called: an unsuitable client gives a miss under asyncio."""
    made = redis.Redis.from_url(url)
    cache, call = make(url, async_client=lambda: made), call_of(world)
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call) == (world.style != "asyncio")
    await world.close(cache)
    made.close()


def test_what_is_refused(url: str, monkeypatch: Any) -> None:
    """A setting that cannot work is refused at construction."""
    text = redis.Redis.from_url(url, decode_responses=True)
    client = redis.Redis.from_url(url)

    async def clients() -> tuple[Any, Any]:
        return redis.asyncio.Redis(), redis.asyncio.Redis(decode_responses=True)

    twin, text_twin = asyncio.run(clients())
    for settings, error, words in (
        ({"client": text}, ValueError, "bytes"),
        ({"client": client, "async_client": text_twin}, ValueError, "bytes"),
        ({"decode_responses": True}, ValueError, "bytes"),
        ({"url": url + "?decode_responses=yes"}, ValueError, "bytes"),
        ({"url": "http://localhost"}, ValueError, "redis://"),
        ({"url": 5}, TypeError, "int"),
        ({"client": twin}, TypeError, "a sync client"),
        ({"client": 5}, TypeError, "a sync client"),
        ({"client": client, "async_client": client}, TypeError, "an asyncio client"),
        ({"async_client": twin}, TypeError, "needs a sync client as well"),
        ({"client": client, "url": url}, TypeError, "beside"),
        ({"client": client, "password": "x"}, TypeError, "beside"),
        ({"socket_timout": 1}, TypeError, "socket_timout"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": None}, TypeError, "timeout"),
        ({"prefix": None}, TypeError, "prefix"),
        ({"namespace": None}, TypeError, "namespace"),
        ({"secret": b"x"}, ValueError, "secret"),
        ({"ttl": -1}, ValueError, "ttl"),
    ):
        with pytest.raises(error, match=words):
            RedisCache(**settings)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    RedisCache(client=client).close()
    with pytest.raises(ImportError, match=r"pip install 'ratewise\[redis\]'"):
        RedisCache()
    client.close()
    text.close()


def test_settings_reach_the_client() -> None:
    """Address, time-outs and other options reach redis-py, in all three forms."""
    cache = RedisCache(host="h", port=1, ttl=600, db=2, username="u", password="p")
    pool = cache._threads.client.connection_pool
    assert {"host": "h", "port": 1, "db": 2, "username": "u", "password": "p"}.items() <= pool.connection_kwargs.items()
    assert (cache.ttl, pool.max_connections) == (600, MAX_CONNECTIONS)
    assert (pool.connection_kwargs["socket_timeout"], pool.connection_kwargs["socket_connect_timeout"]) == (0.25, 0.25)
    assert RedisCache("redis://h:1", 5.0).ttl == 5.0
    for cache in (RedisCache("rediss://h"), RedisCache(ssl=True)):
        assert issubclass(cache._threads.client.connection_pool.connection_class, redis.SSLConnection)


def test_time_outs_of_ones_own(make: Any) -> None:
    """`socket_timeout=None` removes the time-out in sync code, as the user asks."""
    with Wrong(answering(b"$-1\r\n")) as server:
        cache = make(server.url, socket_timeout=None)
        assert cache.get("a") is None
        cache.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "redis://:hunter2half/abc@h:6379/0",
            "its port is invalid, or special characters in its password are not percent-encoded), not 'redis://REDACTED@h:6379/0'",
        ),
        ("redis://h:99999", "its port is invalid, or"),
        ("http://:hunter2@h", "must specify one of the following schemes"),
        ("redis://h/0?socket_timeout=x&password=hunter2", "socket_timeout"),
    ],
)
def test_bad_urls(url: str, said: str) -> None:
    """A malformed URL is refused with the reason, and without any part of the password."""
    with pytest.raises(ValueError, match="url must be one that redis-py takes") as raised:
        RedisCache(url)
    assert said in str(raised.value)
    assert "hunter2" not in "".join(traceback.format_exception(raised.type, raised.value, None))

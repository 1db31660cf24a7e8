"""Connections to Redis: refused, dropped, too few, over TLS, or to a cluster."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import anyio
import pytest
import redis
import redis.asyncio
import trustme

from ratewise.cache.entry import encode
from ratewise.cache.stores.backend import FIRST_BYPASS
from ratewise.testing import FakeClock
from tests.cache.stores.redis.false_servers import Wrong, answering, deaf, hung
from tests.cache.stores.redis.samples import KEY, SECRET, TIMEOUT, call_of, each_world, entry, name_of
from tests.kit.patience import wait_until
from tests.kit.redis_server import Server
from tests.kit.world import World


@each_world
async def test_what_a_real_server_refuses(world: World, make: Any, private: Server) -> None:
    """Out of memory, a replica or a missing password give a miss and store nothing; later the cache works again."""
    clock = FakeClock(auto=True)
    cache, call = make(private.url), call_of(world, clock)

    async def stores() -> bool:
        clock.advance(FIRST_BYPASS)
        return await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)  # type: ignore[no-any-return]

    with redis.Redis.from_url(private.url) as admin:
        admin.config_set("maxmemory", 1)
        admin.config_set("maxmemory-policy", "noeviction")
        assert not await stores()
        admin.config_set("maxmemory", 0)
        assert await stores()
        admin.replicaof("127.0.0.1", 1)
        assert not await stores()
        admin.replicaof("NO", "ONE")
        assert await stores()
        admin.config_set("requirepass", "swordfish")
        await world.close(cache)
        assert not await stores()
        clock.advance(FIRST_BYPASS)
        assert await cache._ratewise_store.load(KEY, call) == ()
        allowed = make(private.url, password="swordfish")
        assert await allowed._ratewise_store.save(KEY, (entry(),), 60.0, call)
        await world.close(allowed)
        admin.config_set("requirepass", "")
    await world.close(cache)


@each_world
async def test_dropped_connections_are_replaced(world: World, make: Any, private: Server) -> None:
    """Connections dropped by the server, or by its restart, cost at most one miss."""
    clock = FakeClock(auto=True)
    cache, call = make(private.url), call_of(world, clock)
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    with redis.Redis.from_url(private.url) as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
        await world.until(lambda: len(admin.client_list()) == 1)
    await world(time.sleep if world.is_sync else anyio.sleep, 0.001)  # so that the event loop notices
    assert len(await cache._ratewise_store.load(KEY, call)) == 1
    private.stop()
    private.start()
    await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    clock.advance(FIRST_BYPASS)
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    assert len(await cache._ratewise_store.load(KEY, call)) == 1
    await world.close(cache)


@each_world
async def test_more_callers_than_connections(world: World, make: Any, plain: Any) -> None:
    """Callers beyond the number of connections wait for one, and none of them misses."""
    cache, call = make(max_connections=2), call_of(world)
    keys = [b"%16d" % number for number in range(40)]
    for key in keys:
        plain.set(name_of(cache, key), encode((entry(key),), key, SECRET))
    loaded = await world.gather(*(lambda key=key: cache._ratewise_store.load(key, call) for key in keys))  # type: ignore[misc]
    assert [one.body for (one,) in loaded] == keys
    await world.close(cache)


@each_world
async def test_no_place_in_time(world: World, make: Any) -> None:
    """A caller that gets no connection within the time-out has a miss."""
    with Wrong(hung) as server:
        cache = make(server.url, timeout=TIMEOUT, max_connections=1)
        get = cache.get if world.is_sync else cache.aget

        async def one() -> None:
            with pytest.raises((TimeoutError, redis.TimeoutError)):
                await world(get, "a")

        await world.gather(*[one] * 4)
        await world.close(cache)


def test_no_place_for_a_thread(make: Any) -> None:
    """A thread waits for a connection no longer than for an answer."""
    cache = make(max_connections=1, timeout=TIMEOUT)
    cache._threads.slots.acquire()
    with pytest.raises(TimeoutError):
        cache.get("a")
    cache._threads.slots.release()
    assert cache.get("a") is None


@each_world
async def test_tls(world: World, make: Any, tmp_path: Any) -> None:
    """A trusted certificate works, any other gives a miss; one time-out covers the handshake too."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(trusted := str(tmp_path / "trusted.pem"))
    trustme.CA().cert_pem.write_to_path(other := str(tmp_path / "other.pem"))
    value = encode((entry(),), KEY, SECRET)
    call = call_of(world)
    with Wrong(answering(b"$%d\r\n%s\r\n" % (len(value), value)), tls=context) as server:
        for path, found in ((trusted, 1), (other, 0)):
            cache = make(f"rediss://127.0.0.1:{server.port}", ssl_ca_certs=path)
            assert len(await cache._ratewise_store.load(KEY, call)) == found
            await world.close(cache)
    with Wrong(deaf, tls=context) as server:
        cache = make(f"rediss://127.0.0.1:{server.port}", ssl_ca_certs=trusted, timeout=TIMEOUT)
        assert not await cache._ratewise_store.save(KEY, (entry(b"x" * 10**7),), 60.0, call)
        await world.close(cache)


def test_cluster(make: Any) -> None:
    """The clients of a cluster work: `clear` covers every node, and keys of all slots at once."""

    async def scenario() -> None:
        for name in names:
            await cache.aset(name, b"x", 60.0)
            assert await cache.aget(name) == b"x"
        await cache.aclear()
        assert [await cache.aget(name) for name in names] == [None] * len(names)
        await cache.aclose()

    names = [f"{number:032x}" for number in range(20)]
    with Server.running("--cluster-enabled", "yes") as server:
        with redis.Redis(port=server.port) as admin:
            admin.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            wait_until(lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        client = redis.RedisCluster(host="127.0.0.1", port=server.port)
        cache = make(client=client, async_client=lambda: redis.asyncio.RedisCluster(host="127.0.0.1", port=server.port))
        for name in names:
            cache.set(name, b"x", 60.0)
        cache.clear()
        assert [cache.get(name) for name in names] == [None] * len(names)
        asyncio.run(scenario())
        client.close()

"""The Redis store: all holders of the secret find what is stored, and other keys are left alone."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ratewise.cache.entry import Policy, encode
from ratewise.cache.stores.backend import FIRST_BYPASS
from ratewise.cache.stores.redis import RedisCache
from ratewise.testing import FakeClock
from tests.cache.stores.redis.false_servers import Wrong, answering
from tests.cache.stores.redis.samples import KEY, OTHER, PREFIX, SECRET, call_of, each_world, entry, name_of
from tests.kit.world import World


@each_world
async def test_get_set_delete_clear(world: World, make: Any) -> None:
    """Entries are read back as stored, until they are deleted or all are cleared."""
    cache, call = make(), call_of(world)
    assert await cache._ratewise_store.load(KEY, call) == ()
    for body in (b"", b"hello", bytes(range(256)), b"x" * 5 * 1024 * 1024):
        assert await cache._ratewise_store.save(KEY, (entry(body),), 60.0, call)
        (loaded,) = await cache._ratewise_store.load(KEY, call)
        assert (loaded.body, loaded.head, loaded.policy) == (body, entry().head, Policy(60.0))
    await cache._ratewise_store.drop(KEY, call)
    assert await cache._ratewise_store.load(KEY, call) == ()
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    await world(cache.clear if world.is_sync else cache.aclear)
    assert await cache._ratewise_store.load(KEY, call) == ()
    assert cache.get_stats().errors == 0
    await world.close(cache)
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)  # the cache may be used again
    await world.close(cache)
    await world.close(cache)


@each_world
async def test_its_life_is_set_with_the_value(world: World, make: Any, plain: Any) -> None:
    """The time to live is set in milliseconds, is at least one, and is bounded."""
    cache = make()
    set_ = cache.set if world.is_sync else cache.aset
    for ttl, least, most in ((1.5, 1000, 1500), (1e300, 1e11, 1e12), (float("inf"), 1e11, 1e12)):
        await world(set_, "a", b"x", ttl)
        assert least < plain.pttl(cache._prefix + "a") <= most
    for ttl in (0.0, 0.0001):
        await world(set_, "a", b"x", ttl)
        assert plain.pttl(cache._prefix + "a") in (-2, 0, 1)
    await world.close(cache)


@each_world
@pytest.mark.parametrize("settings", ["redis://127.0.0.1:{}/3", "redis://u:p@127.0.0.1:{}/3", None])
async def test_no_round_trip_too_many(world: World, make: Any, settings: str | None) -> None:
    """A hit and a store take one round trip each; connecting sends only what the URL asks for."""
    with Wrong(answering(lambda command: b"$-1\r\n" if command[0] == b"GET" else b"+OK\r\n")) as server:
        cache = make(settings.format(server.port)) if settings else make(host="127.0.0.1", port=server.port)
        call = call_of(world)
        assert await cache._ratewise_store.load(KEY, call) == ()
        assert await cache._ratewise_store.save(KEY, (entry(),), 2.0, call)
        await world.close(cache)
    handshake = [[b"AUTH", b"u", b"p"], [b"SELECT", b"3"]]
    name, value = name_of(cache, KEY).encode(), encode((entry(),), KEY, SECRET)
    asked = [[b"GET", name], [b"SET", name, value, b"PX", b"2000"]]
    assert server.commands == (handshake[settings.count("@") ^ 1 :] if settings else []) + asked


def test_nothing_is_in_clear(make: Any, plain: Any) -> None:
    """A key is the prefix and hashes; repr and errors show no password."""
    cache = make(namespace="https://api.example.com/")
    cache.set(KEY.hex(), b"x", 60.0)
    (name,) = plain.scan_iter(match=f"{cache._prefix}*")
    assert name.decode().startswith(cache._prefix)
    assert b"example" not in name
    cache = RedisCache("redis://:swordfish@localhost/0")
    assert "swordfish" not in repr(cache)
    with pytest.raises(TypeError) as refused:
        RedisCache(b"redis://:swordfish@localhost/0")  # type: ignore[arg-type]
    assert "swordfish" not in str(refused.value)


@each_world
async def test_one_secret_for_all_processes(world: World, make: Any) -> None:
    """Caches with the same prefix and namespace share the secret, also after `clear`, and read each other's entries."""
    one, call = make(secret=None, namespace="a"), call_of(world)
    prefix = one._prefix[:-17]
    two, apart = make(secret=None, namespace="a", prefix=prefix), make(secret=None, namespace="b", prefix=prefix)
    assert (
        await one._ratewise_store.prepare(call)
        == await two._ratewise_store.prepare(call)
        != await apart._ratewise_store.prepare(call)
    )
    for cache in (one, apart):
        assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    assert len(await two._ratewise_store.load(KEY, call)) == 1
    await world(one.clear if world.is_sync else one.aclear)
    assert await two._ratewise_store.load(KEY, call) == ()
    assert len(await apart._ratewise_store.load(KEY, call)) == 1
    late = make(secret=None, namespace="a", prefix=prefix)
    assert await late._ratewise_store.prepare(call) == one._ratewise_store.secret
    for cache in (one, two, apart, late):
        await world.close(cache)


def test_clear_spares_what_is_not_its_own(make: Any, plain: Any) -> None:
    """`clear` takes a prefix with pattern characters literally, and deletes more keys than fit in one batch."""
    cache = make(prefix=f"{PREFIX}[ab]*?\\^:")
    foreign = cache._prefix.replace("[ab]", "a") + "x", cache._prefix.replace("?", "!") + "x"
    for name in foreign:
        plain.set(name, b"x")
    plain.mset({f"{cache._prefix}{number}": b"x" for number in range(1100)})
    cache.clear()
    assert [plain.get(name) for name in foreign] == [b"x", b"x"]
    assert not [name for name in plain.scan_iter(count=1000) if name.startswith(cache._prefix.encode())]
    plain.delete(*foreign)
    cache.clear()


@each_world
async def test_hostile_values(world: World, make: Any, plain: Any) -> None:
    """A value that this cache did not store under this key is a miss."""
    cache, clock = make(), FakeClock(auto=True)
    call = call_of(world, clock)
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    name = name_of(cache, KEY)
    good = plain.get(name)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    for bad in (b"", b"x", os.urandom(200), good[:-1], good[:30], bytes(flipped), good + b"x", encode((entry(),), OTHER, SECRET)):
        plain.set(name, bad)
        assert await cache._ratewise_store.load(KEY, call) == ()
    assert cache.get_stats().errors == 8
    plain.delete(name)
    plain.lpush(name, b"x")
    assert await cache._ratewise_store.load(KEY, call) == ()
    clock.advance(FIRST_BYPASS)
    assert await cache._ratewise_store.save(KEY, (entry(),), 60.0, call)
    assert len(await cache._ratewise_store.load(KEY, call)) == 1
    await world.close(cache)

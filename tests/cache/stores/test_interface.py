"""What all stores have in common: their interface to the cache layer, their public names, and closing."""

from __future__ import annotations

import gc
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from ratewise import CacheBackend, InMemoryCache, RedisCache, SQLiteCache
from ratewise.cache import Cache
from ratewise.cache.entry import Entries, Entry, Policy
from ratewise.testing import FakeClock
from tests.cache.asking import FRESH, ask, cached
from tests.cache.stores.redis.samples import PREFIX
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only

Make = Callable[[], Cache]
KEY = b"k" * 16
SHOWN = {"ttl", "namespace", "clear", "aclear", "get_stats", "close", "aclose"}
METHODS = {"get", "set", "delete", "aget", "aset", "adelete"}


class Shelf(CacheBackend):
    """A custom store that uses attribute names of RateWise's own stores for itself, and fails while it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = self._store = self._state = self._counts = self._entries = self._failed = self._secret = None
        self._values: dict[str, bytes] = {}
        self._open = True

    def _opened(self) -> dict[str, bytes]:
        if not self._open:
            raise ValueError("closed")
        return self._values

    def get(self, key: str) -> bytes | None:
        return self._opened().get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self._opened()[key] = value

    def delete(self, key: str) -> None:
        self._opened().pop(key, None)

    def clear(self) -> None:
        self._opened().clear()

    def close(self) -> None:
        self._open = False


@pytest.fixture(params=["memory", "SQLite", "Redis"])
def make(request: Any, tmp_path: Path) -> Make:
    """Return a factory for each kind of built-in store."""
    if request.param == "memory":
        return InMemoryCache
    if request.param == "SQLite":
        return lambda: SQLiteCache(tmp_path / "cache.db", timeout=10)
    url = request.getfixturevalue("redis_url")
    return lambda: RedisCache(url, timeout=10, prefix=f"{PREFIX}{tmp_path}:")


def entry(body: bytes) -> Entry:
    return Entry(200, b"", body, born=1.0, received=1.0, policy=Policy(60.0))


def test_what_users_see() -> None:
    """A store shows its methods and settings, and no internals."""
    stores: list[tuple[Cache, set[str]]] = [
        (InMemoryCache(), {"max_size", "max_bytes"}),
        (Shelf(), METHODS),
        (SQLiteCache("responses.db"), METHODS | {"path", "max_size", "max_bytes", "timeout"}),
        (RedisCache(), METHODS | {"timeout"}),
    ]
    for store, more in stores:
        assert {name for name in dir(store) if not name.startswith("_")} == SHOWN | more
    assert {name for name in dir(CacheBackend) if name.startswith("_") and not name.startswith("__")} == {"_abc_impl"}
    shelf = Shelf.__new__(Shelf)
    CacheBackend.__init__(shelf)
    assert vars(shelf).keys() == {"ttl", "namespace", "_ratewise_store"}


@only("httpx")
async def test_the_interface(world: World, make: Make) -> None:
    """Every store finds entries, changes them, and drops them on demand."""
    cache = make()
    store, call = cache._ratewise_store, world.call(None, FakeClock(auto=True))
    assert await store.prepare(call) == store.secret
    number = store.order.begin()

    async def change(to: Entries) -> bool:
        entries = await store.load(KEY, call)
        seen = SimpleNamespace(key=KEY, call=call, stored=entries, looked=number)
        return await store.change(seen, lambda stored: to or stored, lambda entry: 60.0)  # type: ignore[arg-type]

    assert await store.load(KEY, call) == ()
    assert not await change(())
    assert await change((entry(b"1"),))
    assert [found.body for found in await store.load(KEY, call)] == [b"1"]
    assert (store.find(KEY) is None) == isinstance(cache, CacheBackend)
    await store.drop(KEY, call)
    assert await store.load(KEY, call) == ()
    assert await change((entry(b"2"),))
    store.distrust(call)
    assert await store.load(KEY, call) == ()
    await world(cache.clear if world.is_sync else cache.aclear)
    await world.close(cache)


async def test_a_closed_store_opens_again(world: World, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A closed store reopens with its next use, in a stack or directly; closing twice has no further effect."""
    cache = make()
    transport = cached(world, Scripted(response(headers=FRESH)), cache)
    await world.close(cache)  # before it was ever used
    await ask(world, transport)
    for _ in range(2):
        await world.close(cache)
        await world.close(cache)
        assert "hit" in (await ask(world, transport)).headers["cache-status"]
    await world.close(cache)
    if isinstance(cache, CacheBackend):
        await world(cache.set if world.is_sync else cache.aset, "a", b"value", 60.0)
        await world.close(cache)
        assert await world(cache.get if world.is_sync else cache.aget, "a") == b"value"
    await world(cache.clear if world.is_sync else cache.aclear)
    await world.close(cache)
    assert cache.get_stats().errors == 0
    assert not caplog.records


async def test_a_store_of_ones_own_that_stays_closed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Used directly, a closed custom store raises its own error; in a stack it is bypassed, with one log line."""
    cache, clock = Shelf(), FakeClock(auto=True)
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 4), cache, clock=clock)
    await ask(world, transport)
    await world.close(cache)
    with pytest.raises(ValueError, match="closed"):
        cache.get("a")
    with caplog.at_level(logging.WARNING, "ratewise"):
        for _ in range(3):
            assert (await ask(world, transport)).status_code == 200
    assert [record.getMessage() for record in caplog.records] == ["Cache: Shelf failed (ValueError); bypassed for 1 s"]


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"url": "redis://user:planted@127.0.0.1:1/0"}, " at 127.0.0.1:1"),
        ({"host": "127.0.0.1", "port": 1, "password": "planted"}, " at 127.0.0.1:1"),
        ({"url": "unix://user:planted@/nowhere/redis.sock"}, " at /nowhere/redis.sock"),
        ({"url": "redis://:1/planted@127.0.0.1:1"}, ""),  # its password has a "/", so that redis-py takes "1" for the port
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # old versions of redis-py leave a socket open
@only("sync")
async def test_a_failure_tells_where(world: World, settings: Any, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """A logged failure has host and port, or the path, and never a part of a password."""
    cache = RedisCache(secret=b"s" * 32, timeout=10, **settings)
    assert (await ask(world, cached(world, Scripted(response(headers=FRESH)), cache))).status_code == 200
    assert caplog.messages == [f"Cache: RedisCache failed (ConnectionError{where}); bypassed for 1 s"]
    gc.collect()  # here, and not in another test


def test_a_client_that_tells_no_place() -> None:
    """A client without a single address, such as that of a cluster, has no location."""
    client = SimpleNamespace(get_encoder=lambda: SimpleNamespace(decode_responses=False))
    assert RedisCache(client=client)._ratewise_store.location is None

"""Custom stores, and how the cache handles a store that fails, hangs or is damaged; behaviour common to all stores."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from ratewise import CacheBackend, CacheConfig, CacheLayer, CacheStats, InMemoryCache
from ratewise.cache import Cache
from ratewise.cache.single_flight import NoResult
from ratewise.testing import FakeClock
from tests.cache.asking import FRESH, ask, cached
from tests.kit.marks import FORKS
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World, only


class Shelf(CacheBackend):
    """A custom store in a dict that fails on demand."""

    def __init__(self, values: Any = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.values: dict[str, bytes] = {} if values is None else values
        self.broken: Exception | None = None
        self.full: Exception | None = None
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.ttls: list[float] = []

    def get(self, key: str) -> bytes | None:
        self._note("get")
        return self.values.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self._note("set")
        if self.full:
            raise self.full
        self.values[key] = value
        self.ttls.append(ttl)

    def delete(self, key: str) -> None:
        self._note("delete")
        if self.full:
            raise self.full
        self.values.pop(key, None)

    def clear(self) -> None:
        self._note("clear")
        self.values.clear()

    def _note(self, name: str) -> None:
        self.calls.append(name)
        self.threads.add(threading.get_ident())
        if self.broken:
            raise self.broken


def counts(cache: Cache) -> tuple[int, int, int]:
    stats = cache.get_stats()
    return stats.hits, stats.misses, stats.errors


async def test_a_store_of_ones_own(world: World) -> None:
    """A store with four methods works in every world; async code calls it in worker threads."""
    shelf = Shelf()
    transport = cached(world, Scripted(response(headers=FRESH), response(status=204), response(headers=FRESH)), shelf)
    assert (await ask(world, transport)).headers["cache-status"] == "RateWise; fwd=uri-miss; stored"
    assert (await ask(world, transport)).content == b"ok"
    assert counts(shelf) == (1, 1, 0)
    assert shelf.ttls[1:] == [pytest.approx(60, abs=2)]
    assert (threading.get_ident() in shelf.threads) == world.is_sync
    await ask(world, transport, method="DELETE")
    assert len(shelf.values) == 1  # the secret
    await world(shelf.clear if world.is_sync else shelf.aclear)
    assert shelf.values == {}
    assert shelf.get_stats().size is None


async def test_what_is_stored_tells_nothing(world: World) -> None:
    """Keys are hashes, and stored values have no credential and no request field."""
    shelf = Shelf()
    wire = Scripted(response(headers={**FRESH, "Vary": "X-Tenant", "Set-Cookie": "planted-7"}))
    secrets = {"Authorization": "Bearer planted-1", "Cookie": "a=planted-2", "X-Tenant": "planted-3"}
    await ask(world, cached(world, wire, shelf), url="https://planted-4:planted-5@x.example/planted-6", headers=secrets)
    assert len(shelf.values) == 2
    assert b"planted" not in repr(shelf.values).encode()
    assert "planted" not in repr(shelf)


async def test_another_process_has_the_same_secret(world: World) -> None:
    """The secret is made once and kept in the store, so that processes share entries, unless another secret is given."""
    values: dict[str, bytes] = {}
    await ask(world, cached(world, Scripted(response(headers=FRESH)), Shelf(values)))
    assert "hit" in (await ask(world, cached(world, Scripted(), Shelf(values)))).headers["cache-status"]
    other = cached(world, Scripted(response(headers=FRESH)), Shelf(values, secret=bytes(16)))
    assert "uri-miss" in (await ask(world, other)).headers["cache-status"]
    apart = cached(world, Scripted(response(headers=FRESH)), Shelf(values, namespace="b"))
    assert "uri-miss" in (await ask(world, apart)).headers["cache-status"]


@only("sync")
async def test_a_lost_secret_is_put_back(world: World, clock: FakeClock) -> None:
    """A secret that is lost is written again within a minute; if the store has another one by then, that one is used."""
    shelf = Shelf()
    headers = {"Cache-Control": "max-age=1"}
    transport = cached(world, Scripted(*[response(headers=headers)] * 4), shelf, clock=clock)
    await ask(world, transport)
    (name,) = [key for key in shelf.values if key.startswith("secret-")]
    kept = shelf.values.pop(name)
    clock.advance(59)
    await ask(world, transport)
    assert name not in shelf.values
    clock.advance(2)
    await ask(world, transport)
    assert shelf.values[name] == kept
    shelf.values[name] = bytes(32)
    clock.advance(61)
    await ask(world, transport)
    assert shelf._ratewise_store.secret == bytes(32)
    assert "fwd=uri-miss" in (await ask(world, cached(world, Scripted(200), shelf))).headers["cache-status"]


async def test_a_store_that_fails(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A store that fails counts as a miss, is logged without the error's text, and is bypassed for longer each time."""
    shelf = Shelf(secret=bytes(32))
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 30), shelf, clock=clock)
    shelf.broken = ConnectionError("planted")
    begun, tried = clock.elapsed, []
    while clock.elapsed < begun + 70:
        shelf.calls.clear()
        assert (await ask(world, transport)).status_code == 200
        tried += [clock.elapsed - begun] * bool(shelf.calls)
        clock.advance(5)
    assert tried == [0, 5, 10, 15, 25, 45]
    assert "planted" not in caplog.text
    assert "Cache: Shelf failed (ConnectionError); bypassed for 16 s" in caplog.text
    shelf.broken = None
    clock.advance(30)
    assert "stored" in (await ask(world, transport)).headers["cache-status"]
    assert "hit" in (await ask(world, transport)).headers["cache-status"]


@pytest.mark.parametrize("given", [None, bytes(32)])
async def test_a_store_that_fails_from_the_beginning(world: World, clock: FakeClock, given: Any) -> None:
    """If not even the secret can be read, requests work without the store, invalidation included."""
    shelf = Shelf(secret=given)
    shelf.broken = OSError()
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 3), shelf, clock=clock)
    for method in ("GET", "GET", "POST"):
        assert (await ask(world, transport, method=method)).status_code == 200
    assert counts(shelf) == (0, 2, 1)


async def test_a_store_that_is_full(world: World, clock: FakeClock) -> None:
    """While nothing can be written, stored entries are still served."""
    shelf = Shelf()
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 3), shelf, clock=clock)
    await ask(world, transport)
    shelf.full = OSError("no space left")
    await ask(world, transport, url="https://api.example.com/b")
    assert "hit" in (await ask(world, transport)).headers["cache-status"]
    shelf.calls.clear()
    await ask(world, transport, url="https://api.example.com/c")
    assert "set" not in shelf.calls
    assert shelf.get_stats().stores == 1


@pytest.mark.parametrize("way", ["resting", "refused"])
async def test_what_could_not_be_deleted(world: World, clock: FakeClock, way: str) -> None:
    """An entry whose deletion failed is not served again until it is stored anew."""
    shelf = Shelf()
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 5), shelf, clock=clock)
    await ask(world, transport)
    shelf.full = OSError()
    if way == "resting":
        await ask(world, transport, url="https://api.example.com/b")
    await ask(world, transport, method="POST")
    shelf.full = None
    clock.advance(5)
    assert "uri-miss; stored" in (await ask(world, transport)).headers["cache-status"]
    assert "hit" in (await ask(world, transport)).headers["cache-status"]


@pytest.mark.parametrize("value", [b"", b"RWC1", b"garbage" * 100, "text", 5, [1]])
async def test_damaged_values(world: World, value: Any) -> None:
    """Any value other than the stored one is a miss."""
    shelf = Shelf()
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 2), shelf)
    await ask(world, transport)
    shelf.values.update({key: value for key in shelf.values if not key.startswith("secret-")})
    assert "uri-miss; stored" in (await ask(world, transport)).headers["cache-status"]
    hits, misses, errors = counts(shelf)
    assert (hits, misses) == (0, 2)
    assert errors >= 1


async def _nothing(*args: Any) -> None: ...


@pytest.mark.parametrize("name", ["get", "set", "delete"])
async def test_an_async_method(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """The log says that it must be a plain function; requests go on without the store."""
    shelf = type("Mine", (Shelf,), {name: _nothing})()
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 3), shelf, clock=clock)
    for method in ("GET", "POST", "GET"):
        assert (await ask(world, transport, method=method)).status_code == 200
    said = f"Cache: Mine failed (Mine.{name} must be a plain function; async code uses a{name}); bypassed for 1 s"
    assert [record.getMessage() for record in caplog.records] == [said]
    if not world.is_sync and name == "delete":
        shelf = type("Mine", (Shelf,), {"clear": _nothing})()
        with pytest.raises(TypeError, match=r"^Mine\.clear must be a plain function; async code uses aclear$"):
            await shelf.aclear()


@only("asyncio", "trio")
@pytest.mark.parametrize("name", ["aget", "aset", "adelete"])
async def test_a_plain_method_for_async_code(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """The log says that it must be a coroutine function."""
    shelf = type("Mine", (Shelf,), {name: lambda self, *args: None})()
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 2), shelf, clock=clock)
    for method in ("GET", "POST"):
        assert (await ask(world, transport, method=method)).status_code == 200
    assert caplog.messages == [f"Cache: Mine failed (Mine.{name} must be a coroutine function); bypassed for 1 s"]


@pytest.mark.parametrize("given", [None, bytes(32)])
@pytest.mark.parametrize(("value", "kind"), [("planted", "str"), (memoryview(b"planted"), "memoryview")])
async def test_a_value_of_another_type(
    world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture, given: Any, value: Any, kind: str
) -> None:
    """The log says what `get` must return, and what it returned, without the value."""
    shelf = type("Mine", (Shelf,), {"get": lambda self, key: value})(secret=given)
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 2), shelf, clock=clock)
    for _ in range(2):
        assert (await ask(world, transport)).status_code == 200
    assert caplog.messages == [f"Cache: Mine failed (Mine.get must return bytes or None, not {kind}); bypassed for 1 s"]


@pytest.mark.parametrize("value", [None, b"short"])
async def test_a_store_that_keeps_nothing(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture, value: Any) -> None:
    """There is no secret to be had from it."""
    shelf = type("Mine", (Shelf,), {"get": lambda self, key: value})()
    assert (await ask(world, cached(world, Scripted(response(headers=FRESH)), shelf, clock=clock))).status_code == 200
    assert caplog.messages == ["Cache: Mine failed (Mine.get did not return what set has stored); bypassed for 1 s"]


async def test_a_type_error_of_its_own(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """It is a failure like any other: its text is not shown."""
    shelf = Shelf()
    shelf.broken = TypeError("planted")
    assert (await ask(world, cached(world, Scripted(response(headers=FRESH)), shelf, clock=clock))).status_code == 200
    assert caplog.messages == ["Cache: Shelf failed (TypeError); bypassed for 1 s"]


async def test_without_the_init_of_the_base_class(world: World) -> None:
    """Whatever takes the store says which call is missing."""

    class Mine(Shelf):
        def __init__(self) -> None:
            self.values = {}

    transport = getattr(world.ratewise, "CacheTransport" if world.is_sync else "AsyncCacheTransport")
    for take in (CacheLayer, lambda store: transport(Scripted(), store), lambda store: world.RateWiseClient(cache=store)):
        with pytest.raises(TypeError, match=r"^Mine\.__init__ must call super\(\)\.__init__\(\)$"):
            take(Mine())


@only("asyncio", "trio")
async def test_a_store_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not return within the time allowed is abandoned in its worker thread: a miss, counted as an error."""
    monkeypatch.setattr("ratewise.cache.stores.base.THREAD_TIMEOUT", 0.05)
    shelf, hangs = Shelf(secret=bytes(32)), threading.Event()

    def hang(key: str) -> bytes | None:
        hangs.wait(PATIENCE)
        return None

    monkeypatch.setattr(shelf, "get", hang)
    transport = cached(world, Scripted(*[response(headers=FRESH)] * 2), shelf, clock=FakeClock(auto=True))
    assert (await ask(world, transport)).status_code == 200
    assert shelf.get_stats().errors == 1
    hangs.set()


@only("sync")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_interruption_in_the_store(world: World, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """A `KeyboardInterrupt` in the store is raised, and the response is closed."""
    shelf, body = Shelf(secret=bytes(32)), Body(b"a", b"b")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shelf, "get", interrupted)
    monkeypatch.setattr(shelf, "delete", interrupted)
    transport = cached(world, Scripted(response(headers=FRESH, body=body)), shelf)
    if method == "GET":  # with a stored entry that the response invalidates
        stored, values = (
            Shelf(secret=bytes(32)),
            Scripted(response(headers={"ETag": "a"}), response(headers={"Cache-Control": "no-store"}, body=body)),
        )
        transport = cached(world, values, stored)
        await ask(world, transport)
        monkeypatch.setattr(stored, "delete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await world.send(transport, method)
    assert body.closed == 1


async def test_what_changes_while_it_is_stored(world: World) -> None:
    """An entry that is invalidated while it is stored is deleted, as the order of both in the store is unknown."""

    class Slow(Shelf):
        def set(self, key: str, value: bytes, ttl: float) -> None:
            self._ratewise_store.order.invalidated(bytes.fromhex(key))  # a POST succeeds in another thread
            super().set(key, value, ttl)

    shelf = Slow(secret=bytes(32))
    transport = cached(world, Scripted(response(headers=FRESH)), shelf)
    await ask(world, transport)
    assert shelf.values == {}
    assert shelf.get_stats().stores == 0


async def test_only_what_is_stored_while_the_store_fails(world: World) -> None:
    """With only-if-cached a failing store gives a 504, and the server is not asked."""
    shelf = Shelf()
    shelf.broken = OSError()
    answer = await ask(world, cached(world, Scripted(), shelf), headers={"Cache-Control": "only-if-cached"})
    assert answer.status_code == 504


@only("asyncio", "trio")
async def test_worker_threads_are_few(world: World) -> None:
    """Concurrent requests use at most 20 worker threads for the store."""
    lock, running, most, total, together = threading.Lock(), 0, 0, 0, threading.Barrier(2)

    class Slow(Shelf):
        def get(self, key: str) -> bytes | None:
            nonlocal running, most, total
            with lock:
                running, total = running + 1, total + 1
                most, number = max(most, running), total
            if number <= 2:
                together.wait(PATIENCE)
            threading.Event().wait(0.002)
            with lock:
                running -= 1
            return None

    shelf = Slow(secret=bytes(32))
    transport = cached(world, Scripted(*[response(headers={"Cache-Control": "no-store"})] * 100), shelf)
    await world.gather(*[lambda: ask(world, transport)] * 100)
    assert 1 < most <= 20


@FORKS
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork() -> None:
    """A forked process has a free lock and no shared requests, even if a thread of its parent held them."""
    cache = InMemoryCache()
    lead = cache._ratewise_store.single_flight.join("key", "me", 0.0, 10.0)
    with cache._ratewise_store._lock:
        child = os.fork()
        if not child:
            cache._ratewise_store.count("misses")
            os._exit(0 if isinstance(cache._ratewise_store.single_flight.join("key", "you", 0.0, 10.0), type(lead)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_a_forked_process_has_anew() -> None:
    """A forked process replaces the locks of every cache, and has no shared requests. What its thread led may still end there."""
    store = InMemoryCache()._ratewise_store
    parts: Any = (store, store.single_flight, store.order)
    lead: Any = store.single_flight.join("key", "me", 0.0, 10.0)
    followed: Any = store.single_flight.join("key", "you", 0.0, 10.0)
    with parts[0]._lock, parts[1]._lock, parts[2]._lock:
        before = [part._lock for part in parts]
        for part in parts:
            part._after_fork()
            assert part._lock not in before
        assert store.single_flight.begin("key", "we", 0.0, 10.0)
        store.single_flight.finish(lead, NoResult.FAILED, 0.0)
        assert not followed[1].woken  # its thread does not exist


def test_stats() -> None:
    """The hit rate is hits by hits and misses, 0 without either."""
    assert InMemoryCache().get_stats() == CacheStats(0, 0, 0, 0, 0, 0, 0)
    assert InMemoryCache().get_stats().hit_rate == 0
    assert CacheStats(3, 1, 0, 0, 0, 0, 0).hit_rate == 0.75


def test_reprs() -> None:
    """The reprs show class and settings, and no secret."""
    layer = CacheLayer(InMemoryCache(secret=b"planted" * 4), CacheConfig(partition=["Cookie"]))
    assert repr(layer) == "CacheLayer(<InMemoryCache>, CacheConfig(mode='rfc9111', shared=False))"

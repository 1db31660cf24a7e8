"""Request coalescing: of many concurrent requests for the same response one reaches the server."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from ratewise import CacheConfig, InMemoryCache
from ratewise.cache.single_flight import Lead, NoResult, SingleFlight
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.cache.asking import ask, cached
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World, only

FRESH = (("Cache-Control", "max-age=60"),)


class Gate:
    """A handler of a real server that waits to be opened before it answers."""

    def __init__(self, answer: Any) -> None:
        self.opened = threading.Event()
        self._answer = answer

    def __call__(self, received: Received) -> Any:
        assert self.opened.wait(PATIENCE)
        return self._answer(received)


@pytest.mark.parametrize("client", [True, False], ids=["bundled", "plain"])
async def test_a_thousand_misses_are_one_request(world: World, client: bool) -> None:
    """1,000 concurrent callers of one URL: the server gets one request, and every caller gets its response."""
    number = 1000
    gate = Gate(lambda received: Reply(200, FRESH, b"x" * 50_000))
    cache = InMemoryCache()
    with LocalServer(gate) as server:
        limits = world.httpx.Limits(max_connections=None)
        wire, clock = world.HTTPTransport(limits=limits), FakeClock()
        if client:
            made = world.RateWiseClient(server.url, transport=wire, cache=cache, rate_limiter=None, clock=clock, timeout=None)
        else:
            made = world.Client(base_url=server.url, transport=cached(world, wire, cache, clock=clock), timeout=None)
        async with world.within(made) as one:
            waiting: list[None] = []

            async def call() -> int:
                waiting.append(None)
                if len(waiting) == number:
                    gate.opened.set()
                return len((await world(one.get, "/a")).content)

            assert set(await world.gather(*[call] * number)) == {50_000}
        assert len(server.received) == 1
    stats = cache.get_stats()
    assert (stats.hits, stats.misses, stats.stores) == (number - 1, 1, 1)


def followers(cache: InMemoryCache) -> int:
    """The number of requests that wait for another one."""
    return sum(len(shared.waiters) for shared in list(cache._ratewise_store.single_flight._requests.values()))


class Held:
    """An inner transport that delays its first answer until this many followers wait."""

    def __init__(self, world: World, cache: InMemoryCache, others: int, *steps: Any) -> None:
        self.world, self.cache, self.others = world, cache, others
        self.scripted = Scripted(*steps)
        self.first = True

    async def _answer(self, request: Any) -> Any:
        first, self.first = self.first, False
        if first:
            await self.world.until(lambda: followers(self.cache) >= self.others)
        handle = self.scripted.handle_request if self.world.is_sync else self.scripted.handle_async_request
        return await self.world(handle, request)

    def handle_request(self, request: Any) -> Any:
        from ratewise._core.step import step

        return step(self._answer(request))

    async def handle_async_request(self, request: Any) -> Any:
        return await self._answer(request)

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("failure", [lambda request: library_error(request), 503, 429], ids=["a broken connection", "503", "429"])
async def test_a_leader_that_fails(world: World, failure: Any) -> None:
    """The leader gets its failure; one of its followers sends again, and its response serves all the others."""
    cache = InMemoryCache()
    wire = Held(world, cache, 9, failure, response(headers=FRESH))
    transport = cached(world, wire, cache, clock=FakeClock())
    answers = await world.gather(*[lambda: ask(world, transport)] * 10)
    assert len(wire.scripted.sent) == 2
    assert sum(getattr(answer, "status_code", 0) == 200 for answer in answers) == 9


def library_error(request: Any) -> Any:
    from tests.kit.wire import library

    return library(request).ReadError("broken")


async def test_an_answer_that_is_not_for_others(world: World) -> None:
    """Once the head shows that a response cannot be shared, each follower sends its own request, and later ones do not wait."""
    cache = InMemoryCache()
    body = Body(b"never read")
    wire = Held(world, cache, 9, response(headers={"Cache-Control": "no-store"}, body=body), *[200] * 20)
    transport = cached(world, wire, cache, clock=FakeClock())
    answers = await world.gather(lambda: world.send(transport), *[lambda: ask(world, transport)] * 9)
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len(wire.scripted.sent) == 10
    await world.gather(*[lambda: ask(world, transport)] * 5)
    assert len(wire.scripted.sent) == 15
    for answer in answers:
        await world.close(answer)


async def test_a_body_that_is_read_at_leisure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the leader has the head and stops reading the body, followers give up after a short time."""
    monkeypatch.setattr("ratewise.cache.single_flight.STALLED", 0.01)
    wire = Scripted(response(headers=FRESH, body=Body(b"a", b"b")), response(headers=FRESH, body=b"own"))
    transport = cached(world, wire)

    async def leader() -> Any:
        return await world.send(transport)

    leisurely = (await world.gather(leader))[0]
    assert (await ask(world, transport)).content == b"own"
    assert await world.read(leisurely) == b"ab"
    await world.close(leisurely)


async def test_ones_own_leader_is_not_waited_for(world: World) -> None:
    """A task that has a stream open and requests the same URL does not wait for itself."""
    wire = Scripted(response(headers=FRESH, body=Body(b"a", b"b")), response(headers=FRESH, body=b"own"))
    clock = FakeClock(auto=True)
    transport = cached(world, wire, clock=clock)
    leisurely = await world.send(transport)
    assert (await ask(world, transport)).content == b"own"
    await world.close(leisurely)
    assert clock.elapsed == 0


async def test_variants_are_apart(world: World) -> None:
    """Concurrent callers of different variants get theirs, with one request for each variant."""
    cache = InMemoryCache()

    def answer(request: Any) -> Any:
        language = request.headers["accept-language"]
        return response(headers=[*FRESH, ("Vary", "Accept-Language")], body=language.encode())(request)

    wire = Held(world, cache, 19, answer, answer, answer, answer)
    transport = cached(world, wire, cache, clock=FakeClock())

    def asking(language: str) -> Any:
        return lambda: ask(world, transport, headers={"Accept-Language": language})

    answers = await world.gather(*[asking("en"), asking("fr"), asking("de"), asking("it")] * 5)
    assert [answer.content for answer in answers] == [b"en", b"fr", b"de", b"it"] * 5
    assert len(wire.scripted.sent) == 4


async def test_a_leader_that_is_gone(world: World) -> None:
    """A leader whose event loop or process has ended is waited for at most `max_wait`, and only once."""
    cache = InMemoryCache()
    transport = cached(world, Scripted(200, response(headers=FRESH)), cache, CacheConfig(max_wait=0.01))
    gone = cached(world, Scripted(response(headers=FRESH, body=Body(b"a"))), cache)
    gone_answer = (await world.gather(lambda: world.send(gone)))[0]
    await ask(world, transport)
    assert (await ask(world, transport)).headers["cache-status"] == "RateWise; fwd=uri-miss; stored"
    assert "hit" in (await ask(world, transport)).headers["cache-status"]
    await world.close(gone_answer)


async def test_no_waiting(world: World) -> None:
    """With `max_wait=0` each caller sends its own request."""
    wire = Scripted(*[response(headers={"Cache-Control": "max-age=60"})] * 2)
    transport = cached(world, wire, config=CacheConfig(max_wait=0))
    leisurely = await world.send(transport)
    await ask(world, transport)
    await world.close(leisurely)
    assert len(wire.sent) == 2


async def test_an_answer_that_is_stale_when_it_is_shared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower whose leader's response is already stale sends its own request."""

    clock, cache = FakeClock(), InMemoryCache()
    change = cache._ratewise_store.change

    async def late(*given: Any) -> bool:
        clock.advance(100)
        return await change(*given)

    monkeypatch.setattr(cache._ratewise_store, "change", late)
    wire = Held(world, cache, 1, *[response(headers=FRESH)] * 2)
    transport = cached(world, wire, cache, clock=clock)
    await world.gather(*[lambda: ask(world, transport)] * 2)
    assert len(wire.scripted.sent) == 2


@only("asyncio", "trio")
async def test_one_refresh_at_a_time(world: World) -> None:
    """While one background refresh is pending or running, no other is started for the same response."""
    import anyio

    gate, clock, cache = anyio.Event(), FakeClock(auto=True), InMemoryCache()
    wire = Scripted(response(headers={"Cache-Control": "max-age=1, stale-while-revalidate=60"}, body=b"old"))
    transport = cached(world, wire, cache, clock=clock)
    await ask(world, transport)
    clock.advance(5)

    class Slow(Scripted):
        async def handle_async_request(self, request: Any) -> Any:
            await gate.wait()
            return await super().handle_async_request(request)

    slow = Slow(response(headers=FRESH, body=b"new"))
    transport = cached(world, slow, cache, clock=clock)
    for _ in range(3):
        assert (await ask(world, transport)).content == b"old"
        assert (await ask(world, transport)).headers["cache-status"] == "RateWise; hit; ttl=-4"
        await anyio.wait_all_tasks_blocked()
    gate.set()
    await world.until(lambda: cache.get_stats().stores == 2)
    assert (await ask(world, transport)).content == b"new"
    assert len(slow.sent) == 1
    await world.close(transport)


@only("asyncio", "trio")
async def test_a_leader_that_is_cancelled(world: World) -> None:
    """The leader is cancelled at each step: its followers get their response, and no shared request is left."""
    import anyio

    for steps in range(30):
        cache = InMemoryCache()
        wire = Scripted(response(headers=FRESH, body=Body(b"a", b"b")), response(headers=FRESH, body=b"ab"))
        transport = cached(world, wire, cache)
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def leader(scope: Any = scope, transport: Any = transport) -> None:
                with scope:
                    await ask(world, transport)

            async def cancel(scope: Any = scope, steps: int = steps) -> None:
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            group.start_soon(leader)
            await anyio.lowlevel.checkpoint()
            group.start_soon(cancel)
            with anyio.fail_after(PATIENCE):
                assert (await ask(world, transport)).content == b"ab"
        assert not cache._ratewise_store.single_flight._requests


def test_shared_requests() -> None:
    """Finishing twice has no effect; later requests get a new leader, also after one that has taken too long."""
    single_flight = SingleFlight()
    lead: Any = single_flight.join("key", "me", 0.0, 10.0)
    assert single_flight.join("key", "me", 0.0, 10.0) is None
    followed: Any = single_flight.join("key", "you", 10.0, 10.0)
    assert followed[0] is lead.shared
    single_flight.finish(lead, NoResult.FAILED, 10.0)
    single_flight.finish(lead, NoResult.NOT_SHAREABLE, 10.0)
    assert followed[1].woken
    assert lead.shared.result is NoResult.FAILED
    second: Any = single_flight.join("key", "you", 10.0, 10.0)
    third: Any = single_flight.join("key", "we", 20.1, 10.0)
    assert isinstance(third, Lead)
    single_flight.finish(second, NoResult.FAILED, 21.0)
    assert single_flight.in_progress("key", 21.0, 10.0)
    assert single_flight.begin("key", "me", 21.0, 10.0) is None
    assert single_flight.begin("key", "me", 31.0, 10.0) is not None


def test_a_lead_that_is_lost() -> None:
    """If nobody holds the lead of a request any more, its followers are woken, and the next request leads."""
    single_flight = SingleFlight()
    lead: Any = single_flight.join("key", "me", 0.0, 10.0)
    followed: Any = single_flight.join("key", "you", 0.0, 10.0)
    del lead
    gc.collect()
    assert followed[1].woken
    assert followed[0].result is NoResult.FAILED
    assert isinstance(single_flight.join("key", "you", 0.0, 10.0), Lead)

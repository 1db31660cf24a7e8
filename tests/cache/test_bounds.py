"""The number of requests never makes the cache grow without bound."""

from __future__ import annotations

from typing import Any

from ratewise.cache import InMemoryCache
from tests.cache.stage import FRESH, STALE, URL, Stage
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only


@only("sync")
async def test_many_urls_take_bounded_room(world: World) -> None:
    """What is remembered of URLs that are requested, stored, refused or invalidated is bounded."""
    cache = InMemoryCache(max_size=10, secret=b"s" * 32)

    def answer(request: Any) -> Any:
        kind = request.url.path[-1]
        return response(200, {"Cache-Control": "no-store" if kind in "13579" else "max-age=99", "Vary": "Accept-Language"}, b"x")

    transport = world.ratewise.CacheTransport(Scripted(otherwise=answer), cache)
    for number in range(1100):
        url = f"{URL}{number}"
        await world.read(await world.send(transport, url=url, headers={"Accept-Language": f"x-{number}"}))
        await world.read(await world.send(transport, "POST", url=url))
    assert len(cache._memory.entries) <= 10
    single_flight, order = cache._ratewise_store.single_flight, cache._ratewise_store.order
    kept = (single_flight._not_shareable, single_flight.finished, order._latest, order._invalidated, order._changed)
    for table in (single_flight._requests, *(recent.times for recent in kept)):
        assert len(table) <= 1000
    (layer,) = transport._layers
    assert len(layer._keys._selectors) <= 1000


@only("sync")
async def test_many_variants_take_bounded_room(world: World) -> None:
    """Only the latest few variants of a URL are stored, and validation sends no more tags than that."""
    stage = Stage(world)
    for number in range(40):
        stage.origin.steps = [response(200, {"ETag": f'"{number}"', "Vary": "Foo", **FRESH}, b"%d" % number)]
        assert await stage.text(headers={"Foo": str(number)}) == str(number)
    tags = stage.origin.sent[-1].request.headers["If-None-Match"].split(", ")
    assert len(tags) == 8
    assert [await stage.text(headers={"Foo": str(number)}) for number in (39, 32)] == ["39", "32"]
    await stage.end()


@only("sync")
async def test_one_variant_that_is_asked_for_again_and_again_stays_one(world: World) -> None:
    """A newer response replaces the older one of the same variant."""
    stage = Stage(world)
    for _ in range(20):
        stage.origin.steps = [response(200, {"Vary": "Foo", **STALE}, b"x")]
        await stage(headers={"Foo": "1"})
        stage.clock.advance(3)
    (entries,) = stage.cache._memory.entries.values()
    assert len(entries) == 1
    await stage.end()

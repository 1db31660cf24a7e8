"""What a request may wish of the cache, and stores that several clients share."""

from __future__ import annotations

import ratewise
from ratewise.cache import InMemoryCache
from tests.cache.stage import FRESH, URL, Stage, note
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only


async def test_bypass_leaves_the_store_alone(world: World) -> None:
    """It is neither asked nor told, and conditions are the caller's."""
    stage = Stage(world, response(200, FRESH, b"stored"), response(200, FRESH, b"other"))
    await stage()
    got = await stage(extensions=ratewise.options(cache="bypass"))
    assert (got.text, note(got)) == ("other", "fwd=bypass")
    assert await stage.text() == "stored"
    await stage.end()


async def test_refresh_asks_and_stores(world: World) -> None:
    """What is fresh is asked for all the same; a 304 is as good as an answer."""
    fields = {**FRESH, "ETag": '"a"'}
    stage = Stage(world, response(200, fields, b"old"), response(304, fields), response(200, FRESH, b"new"))
    await stage()
    refresh = ratewise.options(cache="refresh")
    assert [await stage.text(extensions=refresh) for _ in range(2)] == ["old", "new"]
    assert await stage.text() == "new"
    await stage.end()


@only("sync")
async def test_cache_ttl_is_for_those_who_say_nothing(world: World) -> None:
    """It stands in for the store's `ttl`, and not for what the server says."""
    ttl = ratewise.options(cache_ttl=50)
    stage = Stage(world, response(200, {}, b"1"), response(200, {}, b"2"), response(200, {"Cache-Control": "no-store"}), 200)
    stage.cache.ttl = 10.0
    await stage(extensions=ttl)
    stage.clock.now += 49
    assert await stage.text() == "1"
    stage.clock.now += 1
    assert await stage.text(extensions=ttl) == "2"
    for _ in range(2):
        await stage(url=URL + "secret", extensions=ttl)
    await stage.end()


@only("sync")
async def test_force_asks_no_server(world: World) -> None:
    """What succeeded is fresh for `ttl`, whatever it says; what failed is not kept, nor what is another user's."""
    stage = Stage(
        world,
        response(200, {"Cache-Control": "no-store, private, max-age=0", "Expires": "0", "Pragma": "no-cache"}, b"1"),
        response(200, {}, b"2"),
        response(200, {}, b"another"),
        cache=InMemoryCache(ttl=60),
        mode="force",
    )
    assert [await stage.text() for _ in range(2)] == ["1", "1"]
    stage.clock.now += 59
    assert await stage.text() == "1"
    stage.clock.now += 1
    assert await stage.text() == "2"
    assert await stage.text(headers={"Authorization": "Bearer other"}) == "another"
    for status in (404, 500, 206, 302):
        stage.origin.steps = [status, status]
        for _ in range(2):
            assert (await stage(url=f"{URL}{status}")).status_code == status
    await stage.end()


@only("sync")
async def test_partition_chooses_what_keeps_users_apart(world: World) -> None:
    """The fields that it names, and no others."""
    stage = Stage(world, response(200, FRESH, b"a"), response(200, FRESH, b"b"), partition=["X-Tenant"])
    assert await stage.text(headers={"x-tenant": "a", "Authorization": "1"}) == "a"
    assert await stage.text(headers={"X-TENANT": "b", "Authorization": "1"}) == "b"
    assert await stage.text(headers={"X-Tenant": "a", "Authorization": "2"}) == "a"
    await stage.end()


@only("sync")
async def test_modes_and_namespaces_do_not_mix_in_one_store(world: World) -> None:
    """A private answer in a store is not seen by a shared cache on it, nor what was forced by one that asks."""
    cache = InMemoryCache(ttl=60)
    private = Stage(world, response(200, {"Cache-Control": "private, max-age=60"}, b"private"), cache=cache)
    shared = Stage(world, response(200, FRESH, b"shared"), cache=cache, shared=True)
    forced = Stage(world, response(200, {"Cache-Control": "no-store"}, b"forced"), cache=cache, mode="force")
    for _ in range(2):
        assert [await stage.text() for stage in (private, shared, forced)] == ["private", "shared", "forced"]
    for stage in (private, shared, forced):
        await stage.end()


def test_one_store_serves_clients_of_both_libraries() -> None:
    """What one client has asked for, the next one need not: sync or async, of one library or the other."""
    cache, wire = InMemoryCache(), Scripted(response(200, {**FRESH, "A": "1"}, b"shared"))
    seen = []
    for name in ("sync-httpx", "asyncio-httpx2", "trio-httpx", "sync-httpx2"):
        world = World(name)

        async def scenario(world: World = world) -> None:
            stage = Stage(world, cache=cache, around=wire)
            got = await stage(headers={"Accept": "*/*"})
            seen.append((got.text, got.headers["A"]))
            await world.close(stage.client)

        world.run(scenario)
    assert seen == [("shared", "1")] * 4
    assert len(wire.sent) == 1

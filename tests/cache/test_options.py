"""Cache options of a request, and stores that several clients share."""

from __future__ import annotations

import ratewise
from ratewise.cache import InMemoryCache
from tests.cache.stage import FRESH, URL, Stage, note
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only


async def test_bypass_leaves_the_store_alone(world: World) -> None:
    """The store is neither read nor written, and the caller's conditions go to the server unchanged."""
    stage = Stage(world, response(200, FRESH, b"stored"), response(200, FRESH, b"other"))
    await stage()
    got = await stage(extensions=ratewise.options(cache="bypass"))
    assert (got.text, note(got)) == ("other", "fwd=bypass")
    assert await stage.text() == "stored"
    await stage.end()


async def test_refresh_asks_and_stores(world: World) -> None:
    """A fresh response is validated all the same; a 304 and a new response both update the store."""
    fields = {**FRESH, "ETag": '"a"'}
    stage = Stage(world, response(200, fields, b"old"), response(304, fields), response(200, FRESH, b"new"))
    await stage()
    refresh = ratewise.options(cache="refresh")
    assert [await stage.text(extensions=refresh) for _ in range(2)] == ["old", "new"]
    assert await stage.text() == "new"
    await stage.end()


@only("sync")
async def test_cache_ttl_is_for_those_who_say_nothing(world: World) -> None:
    """`cache_ttl` replaces the store's `ttl`, but not a lifetime that the server states."""
    ttl = ratewise.options(cache_ttl=50)
    stage = Stage(world, response(200, {}, b"1"), response(200, {}, b"2"), response(200, {"Cache-Control": "no-store"}), 200)
    stage.cache.ttl = 10.0
    await stage(extensions=ttl)
    stage.clock.advance(49)
    assert await stage.text() == "1"
    stage.clock.advance(1)
    assert await stage.text(extensions=ttl) == "2"
    for _ in range(2):
        await stage(url=URL + "secret", extensions=ttl)
    await stage.end()


@only("sync")
async def test_force_asks_no_server(world: World) -> None:
    """With "force" a successful response is fresh for `ttl`; failures, and other users' responses, are not served."""
    stage = Stage(
        world,
        response(200, {"Cache-Control": "no-store, private, max-age=0", "Expires": "0", "Pragma": "no-cache"}, b"1"),
        response(200, {}, b"2"),
        response(200, {}, b"another"),
        cache=InMemoryCache(ttl=60),
        mode="force",
    )
    assert [await stage.text() for _ in range(2)] == ["1", "1"]
    stage.clock.advance(59)
    assert await stage.text() == "1"
    stage.clock.advance(1)
    assert await stage.text() == "2"
    assert await stage.text(headers={"Authorization": "Bearer other"}) == "another"
    for status in (404, 500, 206, 302):
        stage.origin.steps = [status, status]
        for _ in range(2):
            assert (await stage(url=f"{URL}{status}")).status_code == status
    await stage.end()


@only("sync")
async def test_partition_chooses_what_keeps_users_apart(world: World) -> None:
    """Only the fields in `partition` keep users apart."""
    stage = Stage(world, response(200, FRESH, b"a"), response(200, FRESH, b"b"), partition=["X-Tenant"])
    assert await stage.text(headers={"x-tenant": "a", "Authorization": "1"}) == "a"
    assert await stage.text(headers={"X-TENANT": "b", "Authorization": "1"}) == "b"
    assert await stage.text(headers={"X-Tenant": "a", "Authorization": "2"}) == "a"
    await stage.end()


@only("sync")
async def test_modes_and_namespaces_do_not_mix_in_one_store(world: World) -> None:
    """A shared cache does not see private responses in the same store, nor an "rfc9111" cache those of "force"."""
    cache = InMemoryCache(ttl=60)
    private = Stage(world, response(200, {"Cache-Control": "private, max-age=60"}, b"private"), cache=cache)
    shared = Stage(world, response(200, FRESH, b"shared"), cache=cache, shared=True)
    forced = Stage(world, response(200, {"Cache-Control": "no-store"}, b"forced"), cache=cache, mode="force")
    for _ in range(2):
        assert [await stage.text() for stage in (private, shared, forced)] == ["private", "shared", "forced"]
    for stage in (private, shared, forced):
        await stage.end()


def test_one_store_serves_clients_of_both_libraries() -> None:
    """Sync and async clients of both libraries read what the others stored."""
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

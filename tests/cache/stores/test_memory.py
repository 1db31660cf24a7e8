"""The in-memory store: its bounds, and the order of eviction."""

from __future__ import annotations

from ratewise import CacheConfig, InMemoryCache
from ratewise.cache.stores.memory import OVERHEAD
from tests.cache.asking import FRESH, ask, cached
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World, only


async def test_the_least_recently_used_goes_first(world: World) -> None:
    """The least recently used entries are evicted, by number and by size; an entry larger than the bound is not stored."""
    for settings in ({"max_size": 2}, {"max_bytes": 2 * (OVERHEAD + 1200)}):
        cache = InMemoryCache(**settings)
        transport = cached(world, Scripted(*[response(headers=FRESH, body=b"x" * 1000)] * 5), cache)
        for path in "abacab":
            await ask(world, transport, url=f"https://api.example.com/{path}")
        stats = cache.get_stats()
        assert (stats.hits, stats.stores, stats.evictions, stats.size) == (2, 4, 2, 2)
        cache.clear()
        assert (cache.get_stats().size, cache._memory.bytes) == (0, 0)
    small = InMemoryCache(max_bytes=1000)
    await ask(world, cached(world, Scripted(response(headers=FRESH, body=b"x" * 1000)), small))
    assert (small.get_stats().stores, small.get_stats().size) == (0, 0)


@only("sync")
async def test_a_body_that_grows_too_large(world: World) -> None:
    """A body that exceeds the bound while it is read is passed on, not stored, and no other request waits for it."""
    body = Body(b"x" * 60, b"y" * 60, b"z" * 60)
    cache = InMemoryCache()
    transport = cached(world, Scripted(response(headers=FRESH, body=body)), cache, CacheConfig(max_body_size=100))
    assert len((await ask(world, transport)).content) == 180
    assert (cache.get_stats().stores, cache.get_stats().size) == (0, 0)


def test_what_is_forgotten_meanwhile() -> None:
    """An entry evicted during its lookup is found or not, and nothing fails."""
    store = InMemoryCache()._memory
    store.entries[b"key"] = ()

    class Gone(dict):  # type: ignore[type-arg]
        def move_to_end(self, key: object) -> None:
            raise KeyError(key)

    store.entries = Gone(store.entries)  # type: ignore[assignment]
    assert store.find(b"key") == ()

"""Transports with a cache, and requests through them."""

from __future__ import annotations

from typing import Any

from tests.kit.world import World

FRESH = {"Cache-Control": "max-age=60"}


def cached(world: World, wire: Any, cache: Any = None, config: Any = None, clock: Any = None) -> Any:
    kind = world.ratewise.CacheTransport if world.is_sync else world.ratewise.AsyncCacheTransport
    return kind(wire, cache, config, clock=clock)


async def ask(world: World, transport: Any, **kwargs: Any) -> Any:
    """Return the response, read and closed, or the error."""
    try:
        answer = await world.send(transport, **kwargs)
    except world.httpx.TransportError as error:
        return error
    try:
        await world.read(answer)
    finally:
        await world.close(answer)
    return answer

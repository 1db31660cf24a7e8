"""The cache as a layer among others."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import ratewise.cache
from tests.cache.asking import FRESH, ask, cached
from tests.kit.wire import Scripted, response
from tests.kit.world import World


async def test_of_another_layers_making(world: World) -> None:
    """A request created by an outer layer is answered from the cache, too."""

    class Around:
        async def handle(self, request: Any, call: Any) -> Any:
            return await call.send(world.httpx.Request("GET", "https://api.example.com/other"))

    transport = world.LayerTransport(cached(world, Scripted(response(headers=FRESH))), Around())
    await ask(world, transport)
    assert "hit" in (await ask(world, transport)).headers["cache-status"]


def test_unknown_names() -> None:
    """An unknown name in `ratewise.cache` raises the usual `AttributeError`."""
    with pytest.raises(AttributeError, match=r"module 'ratewise\.cache' has no attribute 'RediCache'"):
        _ = ratewise.cache.RediCache  # type: ignore[attr-defined]


def test_loaded_on_demand() -> None:
    """Without a cache the cache is not imported, and a cache in memory imports neither sqlite3 nor redis."""
    import subprocess

    script = (
        "import sys; from ratewise import RateWiseClient, CacheTransport; assert 'ratewise.cache' not in sys.modules;"
        "from ratewise import InMemoryCache; assert not {'sqlite3', 'redis', 'anyio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

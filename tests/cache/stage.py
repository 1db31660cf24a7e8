"""A client with a cache and a fake clock before a scripted origin."""

from __future__ import annotations

from typing import Any

from ratewise.cache import CacheConfig, InMemoryCache
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, response
from tests.kit.world import World

URL = "https://api.example.com/"
FRESH = {"Cache-Control": "max-age=3600"}
STALE = {"Cache-Control": "max-age=2"}


class Stage:
    """A client with a cache before a scripted origin."""

    def __init__(self, world: World, *steps: Any, cache: Any = None, around: Any = None, **config: Any) -> None:
        self.world, self.clock, self.origin = world, FakeClock(auto=True), Scripted(*steps)
        self.cache = cache or InMemoryCache()
        kind = world.ratewise.CacheTransport if world.is_sync else world.ratewise.AsyncCacheTransport
        self.transport = kind(around or self.origin, self.cache, CacheConfig(**config), clock=self.clock)
        self.client = world.Client(transport=self.transport, trust_env=False)

    async def __call__(self, method: str = "GET", url: str = URL, *, stream: bool = False, **given: Any) -> Any:
        return await self.world(self.client.send, self.client.build_request(method, url, **given), stream=stream)

    async def text(self, *given: Any, **more: Any) -> str:
        return str((await self(*given, **more)).text)

    async def end(self) -> None:
        """Check that the script is used up, every connection is released and no request is shared any more."""
        await self.world.close(self.client)
        assert not self.origin.steps
        assert [body.closed for body in self.origin.bodies] == [1] * len(self.origin.bodies)
        assert not self.cache._ratewise_store.single_flight._requests


def note(response: Any) -> str:
    """The Cache-Status of the response, without the seconds."""
    return str(response.headers["cache-status"]).removeprefix("RateWise; ").split("; ttl=")[0]


def tagged(tag: str, body: bytes = b"", **more: str) -> Any:
    return response(200, {"ETag": tag, **STALE, **more}, body or tag.encode())

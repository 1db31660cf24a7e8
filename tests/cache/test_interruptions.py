"""A request that is cancelled or interrupted, or fails, leaves no state behind and nothing open."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ratewise.cache import CacheBackend
from tests.cache.stage import FRESH, Stage, tagged
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only


class Sure(Body):
    """A body that is closed even if the closing is cancelled, as a connection pool's is."""

    async def aclose(self) -> None:
        self.close()


@only("asyncio", "trio")
@pytest.mark.parametrize("where", ["headers", "body"])
async def test_a_cancelled_request_leaves_nothing_behind(world: World, where: str) -> None:
    """Cancelled while waiting for the headers or the body: no shared request, no entry, no open connection."""
    scope = anyio.CancelScope()

    class Endless(Sure):
        async def __aiter__(self) -> Any:
            yield b"one"
            scope.cancel()
            await anyio.sleep_forever()

    class Wire(Scripted):
        async def handle_async_request(self, request: Any) -> Any:
            answer = await super().handle_async_request(request)
            if where == "headers" and len(self.sent) == 1:
                scope.cancel()
                await anyio.sleep_forever()
            return answer

    body = Endless() if where == "body" else Sure(b"lost")
    wire = Wire(response(200, FRESH, body), response(200, FRESH, b"whole"))
    stage = Stage(world, around=wire)
    with scope:
        await stage()
    assert scope.cancelled_caught
    assert not stage.cache._ratewise_store.single_flight._requests
    assert stage.cache.get_stats().size == 0
    assert await stage.text() == "whole"
    if where == "body":
        assert body.closed == 1
    await world.close(stage.client)


class Stuck(CacheBackend):
    """A store of which one method never returns; under sync that method raises."""

    def __init__(self, method: str, scope: Any) -> None:
        super().__init__(secret=b"s" * 32)
        self.method, self.scope = method, scope
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()

    async def _stick(self, method: str) -> None:
        if self.method == method:
            self.scope.cancel()
            await anyio.sleep_forever()

    async def aget(self, key: str) -> bytes | None:
        await self._stick("get")
        return self.get(key)

    async def aset(self, key: str, value: bytes, ttl: float) -> None:
        await self._stick("set")
        self.set(key, value, ttl)

    async def adelete(self, key: str) -> None:
        await self._stick("delete")
        self.delete(key)


@only("asyncio", "trio")
@pytest.mark.parametrize(
    ("stuck", "method", "answer"),
    [
        ("set", "GET", (200, FRESH, b"new")),
        ("delete", "GET", (200, {"Cache-Control": "no-store"}, b"new")),
        ("delete", "POST", (200, {}, b"new")),
        ("delete", "HEAD", (200, {"ETag": '"new"'}, b"")),
        ("set", "HEAD", (200, {**FRESH, "A": "2"}, b"")),
        ("delete", "GET", (304, {"Cache-Control": "no-store"}, b"")),
        ("set", "GET", (304, FRESH, b"")),
    ],
)
async def test_a_request_cancelled_in_the_store_leaves_nothing_open(world: World, stuck: str, method: str, answer: Any) -> None:
    """If the caller gives up while the store is slow, the connection of the response is released."""
    scope = anyio.CancelScope()
    cache = Stuck("", scope)
    status, fields, body = answer
    stage = Stage(world, tagged('"a"', b"a"), response(status, fields, Sure(body)), cache=cache)
    await stage()
    stage.clock.advance(3)
    cache.method = stuck
    with scope:
        await stage(method)
    assert scope.cancelled_caught
    await stage.end()


ERRORS = ("ConnectError", "ReadTimeout", "RemoteProtocolError", "PoolTimeout")


@pytest.mark.parametrize("error", ERRORS)
async def test_errors_pass_as_they_are(world: World, error: str) -> None:
    """Without a stored response the error of the inner transport is raised unchanged, and nothing is left."""
    stage = Stage(world, failing(error), response(200, FRESH, b"a"), stale_if_error=600)
    with pytest.raises(getattr(world.httpx, error)) as raised:
        await stage()
    assert raised.value is stage.origin.answers[0]
    assert await stage.text() == "a"
    await stage.end()

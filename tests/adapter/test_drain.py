"""Discarding a response: a short rest of its body is read, so that the connection can be reused."""

from __future__ import annotations

from typing import Any

from tests.kit.layers import Layer
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World


async def test_close_reads_a_short_rest(world: World) -> None:
    """About 64 KiB of a discarded body are read, then it is closed; a rest that breaks off is no error."""
    endless = Body(*[b"x" * 1000] * 1000)
    unwaiting = Body(*[b"x" * 1000] * 1000, waits=False)
    for body, least, most in (
        (Body(b"x" * 1000, b"y" * 1000), 2000, 2000),
        (endless, 65_536, 66_000 if world.is_sync else 70_000),
        (unwaiting, 65_536, 66_000 if world.is_sync else 132_000),
        (Body(b"x", error=failing("ReadError")), 1, 1),
    ):

        async def handle(request: Any, call: Any) -> Any:
            await call.close(await call.send(request))
            return world.httpx.Response(204)

        await world.send(world.LayerTransport(Scripted(response(body=body)), Layer(handle)))
        assert body.closed == 1
        assert least <= body.read <= most


async def test_close_of_what_is_closed(world: World) -> None:
    """A response that was read already can be closed again, and an iterator without `aclose` causes no error."""

    class Bare(Body):
        def __aiter__(self) -> Any:
            class Chunks:
                def __aiter__(self) -> Any:
                    return self

                async def __anext__(self) -> bytes:
                    raise StopAsyncIteration

            return Chunks()

    async def handle(request: Any, call: Any) -> Any:
        inner = await call.send(request)
        await world.read(inner)
        await call.close(inner)
        await call.close(world.httpx.Response(200, stream=Bare()))
        return inner

    result = await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert result.content == b"ok"

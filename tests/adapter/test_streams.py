"""Bodies with watchers."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import Waiter, Watcher
from tests.kit.layers import Layer
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World


class Recorder:
    """A watcher that records its calls."""

    def __init__(self, name: str, log: list[Any], body: Body) -> None:
        self.name, self.log, self.body = name, log, body

    def chunk(self, data: bytes) -> None:
        self.log.append((self.name, data))

    def failed(self, error: BaseException) -> None:
        self.log.append((self.name, "failed", type(error).__name__))

    async def complete(self) -> None:
        self.log.append((self.name, "complete", "released" if self.body.closed else "held"))

    def closed(self) -> None:
        self.log.append((self.name, "closed"))


def tapping(name: str, log: list[Any], body: Body) -> Layer:
    async def handle(request: Any, call: Any) -> Any:
        return call.tap(await call.send(request), Recorder(name, log, body))

    return Layer(handle)


class Plain(Watcher):
    """A watcher without coroutines, which overrides one method."""

    def __init__(self) -> None:
        self.ended = 0

    def complete(self) -> None:  # type: ignore[override]
        self.ended += 1


async def test_a_watcher_without_coroutines(world: World) -> None:
    """`complete` may be a plain function, and what is not overridden does nothing."""
    plain = Plain()

    async def handle(request: Any, call: Any) -> Any:
        return call.tap(await call.send(request), plain)

    result = await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert await world.read(result) == b"ok"
    await world.close(result)
    assert plain.ended == 1


async def test_a_tap_sees_the_body_pass(world: World) -> None:
    """A watcher gets raw chunks, `complete` once the connection is free, `closed` once; the caller gets the whole response."""
    log: list[Any] = []
    body = Body(b"one", b"two")
    inner = world.httpx.Response(203, headers=[("X-A", "1"), ("X-A", "2")], stream=body, extensions={"http_version": b"HTTP/2"})
    result = await world.send(world.LayerTransport(Scripted(inner), tapping("t", log, body)))
    assert log == []
    assert await world.read(result) == b"onetwo"
    await world.close(result)
    assert log == [("t", b"one"), ("t", b"two"), ("t", "complete", "released"), ("t", "closed")]
    assert (result.status_code, result.headers.get_list("x-a")) == (203, ["1", "2"])
    assert result.http_version == "HTTP/2"
    assert body.closed == 1


async def test_taps_share_one_new_response(world: World) -> None:
    """Two watchers cost one rebuilt response; the inner one gets each chunk first."""
    log: list[Any] = []
    body = Body(b"x")
    built: list[Any] = []

    async def handle(request: Any, call: Any) -> Any:
        built.append(await call.send(request))
        return built[0]

    layers = tapping("outer", log, body), Layer(handle), tapping("inner", log, body)
    result = await world.send(world.LayerTransport(Scripted(response(body=body)), *layers))
    assert result is built[0]
    await world.read(result)
    assert [entry[0] for entry in log] == ["inner", "outer"] * 3


async def test_a_body_given_up_is_closed_not_complete(world: World) -> None:
    """If the caller closes in the middle of the body, `closed` is called and `complete` is not."""
    log: list[Any] = []
    body = Body(b"one", b"two")
    result = await world.send(world.LayerTransport(Scripted(response(body=body)), tapping("t", log, body)))
    if world.is_sync:
        next(chunks := result.iter_raw())
        chunks.close()
    else:
        await (chunks := result.aiter_raw()).__anext__()
        await chunks.aclose()
    await world.close(result)
    assert log == [("t", b"one"), ("t", "closed")]
    assert body.closed == 1


async def test_a_body_that_breaks_off_is_closed_not_complete(world: World) -> None:
    """If the wire fails in the middle of the body, the error is raised, `failed` and `closed` are called, `complete` is not."""
    log: list[Any] = []
    body = Body(b"one", error=world.httpx.ReadError("gone"))
    result = await world.send(world.LayerTransport(Scripted(response(body=body)), tapping("t", log, body)))
    with pytest.raises(world.httpx.ReadError):
        await world.read(result)
    await world.close(result)
    assert log == [("t", b"one"), ("t", "failed", "ReadError"), ("t", "closed")]


async def test_a_body_that_cannot_be_watched_passes(world: World) -> None:
    """An upgraded connection (101) and a body that was read already are returned unchanged; the watcher is closed."""
    upgraded, read_before = (world.httpx.Response(status, stream=Body(b"ok")) for status in (101, 200))
    await world.read(read_before)
    for inner in (upgraded, read_before):
        log, wire = list[Any](), world.httpx.MockTransport(lambda _, inner=inner: inner)
        result = await world.send(world.LayerTransport(wire, tapping("t", log, Body())))
        assert result is inner
        assert log == [("t", "closed")]


async def test_a_body_in_memory_can_be_watched(world: World) -> None:
    """`Response(content=...)`, as mocks return it, is watched like any other."""
    log: list[Any] = []
    wire = world.httpx.MockTransport(lambda _: world.httpx.Response(200, content=b"abc"))
    result = await world.send(world.LayerTransport(wire, tapping("t", log, Body())))
    assert await world.read(result) == b"abc"
    assert log == [("t", b"abc"), ("t", "complete", "held"), ("t", "closed")]


async def test_closing_while_another_reads(world: World) -> None:
    """One task closes a response that another one reads, without an error."""
    if world.is_sync:
        return  # a thread that reads cannot be reached
    reading, go_on = Waiter(), Waiter()

    class Waiting(Body):
        async def __aiter__(self) -> Any:
            reading.wake()
            await go_on.await_(PATIENCE)
            yield b"late"

    body = Waiting()
    result = await world.send(world.LayerTransport(Scripted(response(body=body))))

    async def close() -> None:
        await reading.await_(PATIENCE)
        await result.aclose()
        go_on.wake()

    async def read() -> None:
        assert [chunk async for chunk in result.stream] == [b"late"]

    await world.gather(read, close)
    assert body.closed == 1

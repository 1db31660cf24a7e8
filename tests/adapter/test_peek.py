"""`peek`: it shows the beginning of a body, the same each time, and the caller still gets all of it."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import Any

import pytest

from ratewise._adapter.drain import MAX_READ
from tests.kit.credit import SPENT, chunks
from tests.kit.layers import Layer
from tests.kit.marks import HALF_READ
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World, only


def looking(seen: list[bytes], times: int = 2) -> Layer:
    """A layer that peeks at each response, and records what it sees."""

    async def handle(request: Any, call: Any) -> Any:
        result = await call.send(request)
        for _ in range(times):
            seen.append(await call.http.peek(result, request))
        return result

    return Layer(handle)


class Watcher:
    """Records what it watches."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.ends: list[str] = []

    def chunk(self, data: bytes) -> None:
        self.seen.append(data)

    async def complete(self) -> None:
        self.ends.append("complete")

    def failed(self, error: BaseException) -> None:
        self.ends.append("failed")

    def closed(self) -> None:
        self.ends.append("closed")


def tapping(watcher: Watcher) -> Layer:
    async def handle(request: Any, call: Any) -> Any:
        return call.tap(await call.send(request), watcher)

    return Layer(handle)


@pytest.mark.parametrize("size", [0, 1, 3, 100])
async def test_looking_again(world: World, size: int) -> None:
    """Peeking twice shows the same; layers below and above see each chunk of the body once, and its end."""
    parts = [bytes([number]) * 1000 for number in range(size)]
    body = Body(*parts)
    below, between, above = Watcher(), Watcher(), Watcher()
    seen: list[bytes] = []
    layers = tapping(above), looking(seen), tapping(between), looking(seen), tapping(below)
    result = await world.send(world.LayerTransport(Scripted(response(429, body=body)), *layers))
    assert seen == [b"".join(parts)[:MAX_READ]] * 4
    assert body.read == min(size, 66) * 1000
    assert body.closed == (size < 66)
    assert await world.read(result) == b"".join(parts)
    await world.close(result)
    assert body.closed == 1
    for watcher in (below, between, above):
        assert b"".join(watcher.seen) == b"".join(parts)
        assert watcher.ends == ["complete", "closed"]


@only("sync")
async def test_looking_again_at_a_slow_body(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first peek waits up to its time-out; the second returns at once, although more has arrived by then."""
    seen: list[bytes] = []

    async def handle(request: Any, call: Any) -> Any:
        result = await call.send(request)
        for within in (-1.0, 1.0):
            monkeypatch.setattr("ratewise._adapter.drain.READ_TIMEOUT", within)
            seen.append(await call.http.peek(result, request))
        return result

    body = Body(b"one", b"two", b"three")
    result = await world.send(world.LayerTransport(Scripted(response(429, body=body)), Layer(handle)))
    assert (seen, body.read) == ([b"one", b"one"], 3)
    assert await world.read(result) == b"onetwothree"


@HALF_READ
async def test_a_long_body_that_is_given_up(world: World) -> None:
    """A body closed unread after a peek, or half read, closes the body of the wire once."""
    for unread in (True, False):
        body = Body(*[b"x" * 1000] * 100)
        result = await world.send(world.LayerTransport(Scripted(response(429, body=body)), looking([])))
        if not unread:
            assert await chunks(world, result, 1) == b"x" * 66_000
        await world.close(result)
        assert body.closed == 1
        assert body.read == 66_000


async def test_what_was_read_before(world: World) -> None:
    """A body read or closed by a layer below is shown as far as it is in memory."""
    for read, expected in ((True, SPENT), (False, b"")):

        async def handle(request: Any, call: Any, read: bool = read) -> Any:
            result = await call.send(request)
            await (world.read if read else world.close)(result)
            return result

        seen: list[bytes] = []
        result = await world.send(world.LayerTransport(Scripted(response(429, body=SPENT)), looking(seen), Layer(handle)))
        assert seen == [expected] * 2
        assert not read or result.content == SPENT


async def test_a_bomb(world: World) -> None:
    """A small body that decodes to a large one: 64 KiB are shown, little more is decoded, and nothing is lost."""
    zeros = b"0" * 20_000_000
    seen: list[bytes] = []

    async def handle(request: Any, call: Any) -> Any:
        tracemalloc.start()
        try:
            return await call.send(request)
        finally:
            seen.append(b"" if tracemalloc.get_traced_memory()[1] < 10_000_000 else b"much")
            tracemalloc.stop()

    step = response(429, {"Content-Encoding": "gzip"}, gzip.compress(zeros))
    result = await world.send(world.LayerTransport(Scripted(step), Layer(handle), looking(seen)))
    assert seen == [zeros[:MAX_READ], zeros[:MAX_READ], b""]
    assert await world.read(result) == zeros
    mock = world.httpx.MockTransport(lambda request: world.httpx.Response(429, content=zeros))
    await world.send(world.LayerTransport(mock, looking(seen, 1)))
    assert seen[3:] == [zeros[:MAX_READ]]


async def test_what_decodes_in_part(world: World) -> None:
    """A body that cannot be decoded is shown as far as possible; the caller gets what was sent."""
    data = gzip.compress(SPENT)
    for sent, expected in ((data[:-8], SPENT), (data + b"more", SPENT), (b"none", b""), (data[:5], b"")):
        seen: list[bytes] = []
        step = response(429, {"Content-Encoding": "gzip"}, sent)
        result = await world.send(world.LayerTransport(Scripted(step), looking(seen, 1)))
        assert seen == [expected]
        raw = list(result.iter_raw()) if world.is_sync else [part async for part in result.aiter_raw()]
        assert b"".join(raw) == sent


@only("sync")
async def test_time_outs(world: World) -> None:
    """A read of a peek waits a second, or the shorter time-out of the request, which stays unchanged for the next attempt."""
    seen: list[Any] = []

    async def handle(request: Any, call: Any) -> Any:
        seen[:] = [request]
        result = await call.send(request)
        seen.append({name: value for name, value in request.extensions.items() if name != "ratewise"})
        return result

    given = ({}, {"timeout": {"read": 30.0}}, {"timeout": {"read": None, "pool": 2.0}}, {"timeout": {"read": 0.5}})
    for extensions, meanwhile in zip(given, (1.0, 1.0, 1.0, 0.5)):

        class Timed(Body):
            def __iter__(self) -> Any:
                seen.append(seen[0].extensions["timeout"])
                yield from super().__iter__()

        wire = Scripted(response(429, body=Timed(b"slow down")), 200)
        await world.send(world.LayerTransport(wire, Layer(handle), looking([])), extensions=extensions)
        assert seen[1:] == [{**extensions.get("timeout", {}), "read": meanwhile}, extensions]

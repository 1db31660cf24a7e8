"""Bodies are streamed through; only complete ones of bounded size that other callers can use are stored."""

from __future__ import annotations

import gc
import gzip
import zlib
from typing import Any

import pytest

from tests.cache.stage import FRESH, Stage, note
from tests.kit.wire import Body, failing, response
from tests.kit.world import World, only


async def test_a_body_that_breaks_off_is_not_stored(world: World) -> None:
    """The caller gets the error, and the next request goes to the server."""
    broken = Body(b"half", error=lambda request: failing("RemoteProtocolError")(request))
    stage = Stage(world, response(200, FRESH, broken), response(200, FRESH, b"whole"))
    with pytest.raises(world.httpx.RemoteProtocolError):
        await stage()
    assert await stage.text() == "whole"
    assert await stage.text() == "whole"
    await stage.end()


async def test_a_body_that_is_left_half_read_is_not_stored(world: World) -> None:
    """Closing a response early releases its connection and stores nothing."""
    stage = Stage(world, response(200, FRESH, Body(b"one", b"two")), response(200, FRESH, b"whole"))
    left = await stage(stream=True)
    pieces = iter(left.stream) if world.is_sync else left.stream.__aiter__()
    assert await world(pieces.__next__ if world.is_sync else pieces.__anext__) == b"one"
    await world(pieces.close if world.is_sync else pieces.aclose)
    await world.close(left)
    assert await stage.text() == "whole"
    await stage.end()


async def test_a_body_that_is_never_read_is_not_stored(world: World) -> None:
    """If the caller closes a response without reading its body, nothing is stored."""
    stage = Stage(world, response(200, FRESH, b"unread"), response(200, FRESH, b"whole"))
    await world.close(await stage(stream=True))
    assert await stage.text() == "whole"
    await stage.end()


@only("sync")
async def test_a_forgotten_response_keeps_nobody_waiting(world: World) -> None:
    """If a response is garbage collected unclosed, its shared request ends, and the next request goes to the server."""
    stage = Stage(world, response(200, FRESH, Body(b"one", b"two")), response(200, FRESH, b"whole"))
    forgotten = await stage(stream=True)
    next(forgotten.iter_raw())
    stage.origin.answers.clear()
    del forgotten
    gc.collect()
    assert not stage.cache._ratewise_store.single_flight._requests
    assert await stage.text() == "whole"


@pytest.mark.parametrize("length", ["2", "9", "-1", "3, 4", "x", "9" * 99])
@only("sync")
async def test_a_body_of_another_length_than_it_says_is_not_stored(world: World, length: str) -> None:
    """A body shorter or longer than its Content-Length is passed on and not stored; an invalid Content-Length is ignored."""
    stage = Stage(world, response(200, {**FRESH, "Content-Length": length}, b"abc"))
    assert await stage.text() == "abc"
    assert stage.cache.get_stats().size == (0 if length in ("2", "9") else 1)
    await stage.end()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzip.compress(b"plain" * 99)), ("deflate", zlib.compress(b"plain" * 99))],
    ids=["gzip", "deflate"],
)
async def test_encoded_bodies_are_stored_as_they_came(world: World, coding: str, packed: bytes) -> None:
    """A hit has the encoded bytes of the wire, and decodes to the same content."""
    half = len(packed) // 2
    fields = {**FRESH, "Content-Encoding": coding, "Vary": "Accept-Encoding", "Content-Length": str(len(packed))}
    stage = Stage(world, response(200, fields, Body(packed[:half], packed[half:])))
    first, second = await stage(), await stage()
    assert first.content == second.content == b"plain" * 99
    assert second.headers["content-length"] == str(len(packed))
    raw = await stage(stream=True)
    pieces = list(raw.iter_raw()) if world.is_sync else [piece async for piece in raw.aiter_raw()]
    assert b"".join(pieces) == packed
    await world.close(raw)
    await stage.end()


@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
async def test_a_part_of_an_encoded_body_is_the_servers_business(world: World) -> None:
    """A range of an encoded response is left to the server: a client could not decode a part of it."""
    fields = {**FRESH, "Content-Encoding": "gzip"}
    stage = Stage(world, response(200, fields, gzip.compress(b"plain")), response(206, {"Content-Range": "bytes 1-4/5"}, b"lain"))
    await stage()
    assert await stage.text(headers={"Range": "bytes=1-"}) == "lain"


async def test_a_body_passes_piece_by_piece(world: World) -> None:
    """The caller reads the first chunk before the second one is produced, and the whole body is stored."""
    body = Body(b"one", b"two", b"three")
    stage = Stage(world, response(200, FRESH, body))
    streamed = await stage(stream=True)
    assert body.read == 0
    seen = []
    if world.is_sync:
        for piece in streamed.iter_raw():
            seen.append((piece, body.read))
    else:
        async for piece in streamed.aiter_raw():
            seen.append((piece, body.read))
    await world.close(streamed)
    assert seen == [(b"one", 3), (b"two", 6), (b"three", 11)]
    assert await stage.text() == "onetwothree"
    await stage.end()


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", [10, 11])
@only("sync")
async def test_large_bodies_are_not_stored(world: World, size: int, told: bool) -> None:
    """A body larger than `max_body_size` is passed on and not stored, whether or not Content-Length announces it."""
    fields = {**FRESH, "Content-Length": str(size)} if told else FRESH
    stage = Stage(world, response(200, fields, Body(b"x" * 6, b"x" * (size - 6))), max_body_size=10)
    assert await stage.text() == "x" * size
    assert stage.cache.get_stats().size == (1 if size == 10 else 0)
    await stage.end()


@pytest.mark.parametrize("fields", [(FRESH), {**FRESH, "Content-Length": "99"}])
@only("sync")
async def test_what_a_large_answer_replaces_is_not_served_any_more(world: World, fields: dict[str, str]) -> None:
    """A newer response that is too large to store invalidates the older one, even if that is fresh."""
    answers = (response(200, FRESH, b"old"), response(200, fields, b"x" * 99), response(200, FRESH, b"new"))
    stage = Stage(world, *answers, max_body_size=10)
    await stage()
    await stage(headers={"Cache-Control": "no-cache"})
    assert await stage.text() == "new"
    await stage.end()


@pytest.mark.parametrize("fields", [{"Content-Type": "text/event-stream"}, {"Content-Type": "text/event-stream; charset=utf-8"}])
async def test_event_streams_pass(world: World, fields: dict[str, str]) -> None:
    """An event stream never ends: it is passed on, nothing is stored, and no request waits for it."""
    stage = Stage(world, *(response(200, {**FRESH, **fields}, Body(b"data: 1\n\n", b"data: 2\n\n")) for _ in range(2)))
    one, two = [await stage(stream=True) for _ in range(2)]
    for open_one in (one, two):
        assert note(open_one) == 'fwd=uri-miss; detail="event stream"'
        assert await world.read(open_one) == b"data: 1\n\ndata: 2\n\n"
        await world.close(open_one)
    assert stage.cache.get_stats().size == 0
    await stage.end()


@only("sync")
async def test_who_asks_for_events_asks_the_server(world: World) -> None:
    """A request that accepts an event stream is always sent, and its response is not stored."""
    stage = Stage(world, response(200, FRESH, b"stored"), response(200, FRESH, b"data: 1\n\n"))
    await stage()
    assert await stage.text(headers={"Accept": "text/event-stream"}) == "data: 1\n\n"
    assert await stage.text() == "stored"
    await stage.end()


async def test_upgrades_pass(world: World) -> None:
    """A 101 response is neither stored nor closed."""
    line = object()

    def upgraded(request: Any) -> Any:
        return world.httpx.Response(101, headers={"Upgrade": "websocket", **FRESH}, extensions={"network_stream": line})

    stage = Stage(world, upgraded, upgraded)
    for headers in ({"Upgrade": "websocket", "Connection": "upgrade"}, {}):
        got = await stage(headers=headers, stream=True)
        assert got.status_code == 101
        assert got.extensions["network_stream"] is line
    assert stage.cache.get_stats().size == 0
    assert stage.origin.sent[0].request.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize("given", [{"content": b"query"}, {"json": {"a": 1}}])
async def test_a_get_with_a_body_passes(world: World, given: dict[str, Any]) -> None:
    """The body of a GET selects its response, so such a request is always sent."""
    stage = Stage(world, *(response(200, FRESH, b"found") for _ in range(3)))
    for _ in range(2):
        assert note(await stage(**given)) == "fwd=bypass"
    assert stage.origin.sent[1].body == stage.origin.sent[0].body != b""
    assert note(await stage()) == "fwd=uri-miss; stored"
    await stage.end()


@only("sync")
async def test_a_get_with_a_streamed_body_passes(world: World) -> None:
    """A body without Content-Length is treated the same."""
    stage = Stage(world, *(response(200, FRESH, b"found") for _ in range(2)))
    for _ in range(2):
        await stage(content=iter([b"que", b"ry"]))
    assert [one.body for one in stage.origin.sent] == [b"query"] * 2
    await stage.end()

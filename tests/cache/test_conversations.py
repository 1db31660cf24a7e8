"""What a cache may not do to its caller: leak, lie, lose a connection, break a request, grow."""

from __future__ import annotations

import gc
import gzip
import zlib
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ratewise
from ratewise import CircuitBreaker, RetryConfig, exchange_of
from ratewise._core.step import step
from ratewise.cache import CacheBackend, CacheConfig, InMemoryCache
from tests.kit.clock import FakeClock
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only

URL = "https://api.example.com/"
FRESH = {"Cache-Control": "max-age=3600"}
STALE = {"Cache-Control": "max-age=2"}


class Stage:
    """A client with a cache before a scripted origin."""

    def __init__(self, world: World, *steps: Any, cache: Any = None, around: Any = None, **config: Any) -> None:
        self.world, self.clock, self.origin = world, FakeClock(), Scripted(*steps)
        self.cache = cache or InMemoryCache()
        kind = world.ratewise.CacheTransport if world.is_sync else world.ratewise.AsyncCacheTransport
        self.transport = kind(around or self.origin, self.cache, CacheConfig(**config), clock=self.clock)
        self.client = world.Client(transport=self.transport, trust_env=False)

    async def __call__(self, method: str = "GET", url: str = URL, *, stream: bool = False, **given: Any) -> Any:
        return await self.world(self.client.send, self.client.build_request(method, url, **given), stream=stream)

    async def text(self, *given: Any, **more: Any) -> str:
        return str((await self(*given, **more)).text)

    async def end(self) -> None:
        """Nothing is left to be asked, no connection was lost, and nobody is waited for."""
        await self.world.close(self.client)
        assert not self.origin.steps
        assert [body.closed for body in self.origin.bodies] == [1] * len(self.origin.bodies)
        assert not self.cache.flights._flights


def note(response: Any) -> str:
    """What Cache-Status says, without the seconds."""
    return str(response.headers["cache-status"]).removeprefix("RateWise; ").split("; ttl=")[0]


def tagged(tag: str, body: bytes = b"", **more: str) -> Any:
    return response(200, {"ETag": tag, **STALE, **more}, body or tag.encode())


# The caller's conditions and ours


async def test_a_304_freshens_every_response_with_its_tag(world: World) -> None:
    """Two variants with one strong tag are both good again."""
    stage = Stage(world, *(tagged('"a"', b"a", Vary="Foo") for _ in range(2)), response(304, {"ETag": '"a"', **FRESH}))
    for foo in "12":
        await stage(headers={"Foo": foo})
    stage.clock.now += 3
    assert note(await stage(headers={"Foo": "1"})) == "fwd=stale; fwd-status=304"
    assert [note(await stage(headers={"Foo": foo})) for foo in "12"] == ["hit", "hit"]
    await stage.end()


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (response(304, {"ETag": '"a"'}), 200, b"a"),
        (response(304, {"ETag": '"mine"'}, b""), 304, b""),
        (tagged('"new"', b"new"), 200, b"new"),
        (response(404, {}, b"gone"), 404, b"gone"),
    ],
)
async def test_the_callers_tags_are_united_with_ours(world: World, answer: Any, status: int, body: bytes) -> None:
    """One question is asked for both, and each gets the answer to its own."""
    stage = Stage(world, tagged('"a"', b"a"), answer)
    await stage()
    stage.clock.now += 3
    got = await stage(headers={"If-None-Match": '"mine"'})
    assert stage.origin.sent[1].request.headers["If-None-Match"] == '"mine", "a"'
    assert (got.status_code, got.content) == (status, body)
    assert got.request.headers["If-None-Match"] == '"mine"'
    await stage.end()


async def test_a_304_to_a_caller_who_has_what_we_have(world: World) -> None:
    """It is freshened here, and the caller is told that it has it."""
    stage = Stage(world, tagged('"a"', b"a"), response(304, {"ETag": '"a"', **FRESH}))
    await stage()
    stage.clock.now += 3
    got = await stage(headers={"If-None-Match": '"a", "mine"'})
    assert (got.status_code, got.content) == (304, b"")
    assert await stage.text() == "a"
    await stage.end()


@only("sync")
async def test_a_304_without_a_tag_may_be_about_what_the_caller_has(world: World) -> None:
    """Asked with tags of both, it says nothing of whose it is: the caller never gets an old body for it."""
    stage = Stage(world, tagged('"a"', b"old"), response(304, {}, b""), response(304, {}, b""))
    await stage()
    stage.clock.now += 3
    got = await stage(headers={"If-None-Match": '"mine"'})
    assert (got.status_code, got.content) == (304, b"")
    assert stage.origin.sent[-1].request.headers["If-None-Match"] == '"mine"'
    await stage.end()


async def test_a_304_about_nothing_is_followed_by_a_plain_request(world: World) -> None:
    """The caller had no condition, and gets a whole answer."""
    stage = Stage(world, tagged('"a"', b"a"), response(304, {"ETag": '"unheard-of"'}), response(200, FRESH, b"whole"))
    await stage()
    stage.clock.now += 3
    assert await stage.text() == "whole"
    assert "If-None-Match" not in stage.origin.sent[2].request.headers
    assert await stage.text() == "whole"
    assert stage.origin.sent[2].open == 0
    await stage.end()


async def test_a_304_that_forbids_to_store_is_obeyed(world: World) -> None:
    """What is stored answers this once, and is forgotten."""
    stage = Stage(world, tagged('"a"', b"a"), response(304, {"Cache-Control": "no-store"}), response(200, {}, b"new"))
    await stage()
    stage.clock.now += 3
    assert await stage.text() == "a"
    assert stage.cache.size() == 0
    assert await stage.text() == "new"
    assert "If-None-Match" not in stage.origin.sent[2].request.headers
    await stage.end()


@pytest.mark.parametrize("condition", ["If-Match", "If-Unmodified-Since"])
@only("sync")
async def test_conditions_for_the_origin_are_left_to_it(world: World, condition: str) -> None:
    """A cache may not judge them, and sends them on as they are."""
    stage = Stage(world, response(200, {**FRESH, "ETag": '"a"'}), 412, 412)
    await stage()
    for _ in range(2):
        assert (await stage(headers={condition: '"a"'})).status_code == 412
    assert "If-None-Match" not in stage.origin.sent[1].request.headers
    await stage.end()


async def test_our_conditions_are_not_sent_after_a_redirect(world: World) -> None:
    """They are about the one URL, and are nowhere in what the caller holds."""
    stage = Stage(world, tagged('"a"', b"a"), response(302, {"Location": "/b"}), response(200, {}, b"b"))
    await stage()
    stage.clock.now += 3
    got = await stage.world(stage.client.get, URL, follow_redirects=True)
    assert got.text == "b"
    assert "If-None-Match" in stage.origin.sent[1].request.headers
    for request in (stage.origin.sent[2].request, got.request, got.history[0].request):
        assert "If-None-Match" not in request.headers
    await stage.end()


@only("sync")
async def test_validators_in_any_bytes_are_asked_with_as_they_are(world: World) -> None:
    """A tag may have bytes above ASCII (RFC 9110, 8.8.3)."""
    raw = [(b"ETag", b'"caf\xe9"'), (b"Cache-Control", b"max-age=2")]
    stage = Stage(world, response(200, raw, b"a"), response(304, raw))
    await stage()
    stage.clock.now += 3
    assert await stage.text() == "a"
    assert dict(stage.origin.sent[1].request.headers.raw)[b"If-None-Match"] == b'"caf\xe9"'
    await stage.end()


# Invalidation


@only("sync")
async def test_other_origins_are_not_invalidated(world: World) -> None:
    """What one server says does not empty the store of another one's answers."""
    stage = Stage(world, response(200, FRESH, b"theirs"))
    others = ("http://api.example.com/a", "https://example.com/a", "https://api.example.com:8443/a")
    for url in others:
        stage.origin.steps = [response(200, FRESH, url.encode())]
        await stage(url=url)
    for url in others:
        stage.origin.steps = [response(201, {"Location": url, "Content-Location": url})]
        await stage("POST")
    for url in others:
        assert await stage.text(url=url) == url
    await stage.end()


async def test_an_answer_from_before_a_change_is_not_stored_after_it(world: World) -> None:
    """The body of the old one is read when the new one is there already."""
    stage = Stage(world, response(200, FRESH, b"old"), 204, response(200, FRESH, b"new"))
    old = await stage(stream=True)
    await stage("PUT")
    assert await world.read(old) == b"old"
    await world.close(old)
    assert await stage.text() == "new"
    await stage.end()


@only("sync")
async def test_a_304_from_before_a_change_freshens_nothing(world: World) -> None:
    """While the server is asked whether it is still good, it is changed."""

    def changed(request: Any) -> Any:
        stage.origin.steps.insert(0, 204)
        step(world.send(stage.transport, "DELETE")).close()
        return response(304, {"ETag": '"a"', **FRESH})

    stage = Stage(world, tagged('"a"', b"a"), changed, response(200, {}, b"new"))
    await stage()
    stage.clock.now += 3
    assert await stage.text() == "a"
    assert await stage.text() == "new"
    await stage.end()


@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
async def test_a_token_that_only_unsafe_requests_carry_does_not_hinder_invalidation(world: World) -> None:
    """A CSRF token goes with the POST and not with the GET: what the one changes the other may not show."""
    session = {"Cookie": "session=1"}
    stage = Stage(world, response(200, FRESH, b"old"), 204, response(200, FRESH, b"new"))
    await stage(headers=session)
    await stage("POST", headers={**session, "X-CSRF-Token": "t"})
    assert await stage.text(headers=session) == "new"


# Bodies


async def test_a_body_that_breaks_off_is_not_stored(world: World) -> None:
    """The caller has the error, and the next one a new answer."""
    broken = Body(b"half", error=lambda request: failing("RemoteProtocolError")(request))
    stage = Stage(world, response(200, FRESH, broken), response(200, FRESH, b"whole"))
    with pytest.raises(world.httpx.RemoteProtocolError):
        await stage()
    assert await stage.text() == "whole"
    assert await stage.text() == "whole"
    await stage.end()


async def test_a_body_that_is_left_half_read_is_not_stored(world: World) -> None:
    """Closing it early gives its connection back, and stores nothing."""
    stage = Stage(world, response(200, FRESH, Body(b"one", b"two")), response(200, FRESH, b"whole"))
    left = await stage(stream=True)
    pieces = iter(left.stream) if world.is_sync else left.stream.__aiter__()
    assert await world(pieces.__next__ if world.is_sync else pieces.__anext__) == b"one"
    await world(pieces.close if world.is_sync else pieces.aclose)
    await world.close(left)
    assert await stage.text() == "whole"
    await stage.end()


async def test_a_body_that_is_never_read_is_not_stored(world: World) -> None:
    """The headers alone were wanted."""
    stage = Stage(world, response(200, FRESH, b"unread"), response(200, FRESH, b"whole"))
    await world.close(await stage(stream=True))
    assert await stage.text() == "whole"
    await stage.end()


@only("sync")
async def test_a_forgotten_response_keeps_nobody_waiting(world: World) -> None:
    """Its reader never closed it: the flight is over with it, and the next request asks for itself."""
    stage = Stage(world, response(200, FRESH, Body(b"one", b"two")), response(200, FRESH, b"whole"))
    forgotten = await stage(stream=True)
    next(forgotten.iter_raw())
    stage.origin.answers.clear()
    del forgotten
    gc.collect()
    assert not stage.cache.flights._flights
    assert await stage.text() == "whole"


@pytest.mark.parametrize("length", ["2", "9", "-1", "3, 4", "x", "9" * 99])
@only("sync")
async def test_a_body_of_another_length_than_it_says_is_not_stored(world: World, length: str) -> None:
    """What is shorter or longer is passed on as it came; a length that is no number says nothing."""
    stage = Stage(world, response(200, {**FRESH, "Content-Length": length}, b"abc"))
    assert await stage.text() == "abc"
    assert stage.cache.size() == (0 if length in ("2", "9") else 1)
    await stage.end()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", gzip.compress(b"plain" * 99)), ("deflate", zlib.compress(b"plain" * 99))],
    ids=["gzip", "deflate"],
)
async def test_encoded_bodies_are_stored_as_they_came(world: World, coding: str, packed: bytes) -> None:
    """The bytes of a hit are those of the wire, and decode to the same."""
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
    """Servers seldom cut what they have encoded, and clients cannot decode a part: it is not made up here."""
    fields = {**FRESH, "Content-Encoding": "gzip"}
    stage = Stage(world, response(200, fields, gzip.compress(b"plain")), response(206, {"Content-Range": "bytes 1-4/5"}, b"lain"))
    await stage()
    assert await stage.text(headers={"Range": "bytes=1-"}) == "lain"


async def test_a_body_passes_piece_by_piece(world: World) -> None:
    """The first piece is seen before the second one is made, and the whole is stored."""
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
    """What is larger than `max_body_size` passes, whether it says so beforehand or not."""
    fields = {**FRESH, "Content-Length": str(size)} if told else FRESH
    stage = Stage(world, response(200, fields, Body(b"x" * 6, b"x" * (size - 6))), max_body_size=10)
    assert await stage.text() == "x" * size
    assert stage.cache.size() == (1 if size == 10 else 0)
    await stage.end()


@pytest.mark.parametrize("fields", [(FRESH), {**FRESH, "Content-Length": "99"}])
@only("sync")
async def test_what_a_large_answer_replaces_is_not_served_any_more(world: World, fields: dict[str, str]) -> None:
    """A newer answer that is too large to store makes the older one untrue, though it may be fresh."""
    answers = (response(200, FRESH, b"old"), response(200, fields, b"x" * 99), response(200, FRESH, b"new"))
    stage = Stage(world, *answers, max_body_size=10)
    await stage()
    await stage(headers={"Cache-Control": "no-cache"})
    assert await stage.text() == "new"
    await stage.end()


@pytest.mark.parametrize("fields", [{"Content-Type": "text/event-stream"}, {"Content-Type": "text/event-stream; charset=utf-8"}])
async def test_event_streams_pass(world: World, fields: dict[str, str]) -> None:
    """They have no end to wait for: nothing is kept of them, and nobody waits for one."""
    stage = Stage(world, *(response(200, {**FRESH, **fields}, Body(b"data: 1\n\n", b"data: 2\n\n")) for _ in range(2)))
    one, two = [await stage(stream=True) for _ in range(2)]
    for open_one in (one, two):
        assert note(open_one) == 'fwd=uri-miss; detail="event stream"'
        assert await world.read(open_one) == b"data: 1\n\ndata: 2\n\n"
        await world.close(open_one)
    assert stage.cache.size() == 0
    await stage.end()


@only("sync")
async def test_who_asks_for_events_asks_the_server(world: World) -> None:
    """What is stored under the URL is no stream, and a stream is not what others want."""
    stage = Stage(world, response(200, FRESH, b"stored"), response(200, FRESH, b"data: 1\n\n"))
    await stage()
    assert await stage.text(headers={"Accept": "text/event-stream"}) == "data: 1\n\n"
    assert await stage.text() == "stored"
    await stage.end()


async def test_upgrades_pass(world: World) -> None:
    """A connection that is another protocol's from now on is nothing to store, nor to close."""
    line = object()

    def upgraded(request: Any) -> Any:
        return world.httpx.Response(101, headers={"Upgrade": "websocket", **FRESH}, extensions={"network_stream": line})

    stage = Stage(world, upgraded, upgraded)
    for headers in ({"Upgrade": "websocket", "Connection": "upgrade"}, {}):
        got = await stage(headers=headers, stream=True)
        assert got.status_code == 101
        assert got.extensions["network_stream"] is line
    assert stage.cache.size() == 0
    assert stage.origin.sent[0].request.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize("given", [{"content": b"query"}, {"json": {"a": 1}}])
async def test_a_get_with_a_body_passes(world: World, given: dict[str, Any]) -> None:
    """Its body is part of what it asks for, and reaches the server each time."""
    stage = Stage(world, *(response(200, FRESH, b"found") for _ in range(3)))
    for _ in range(2):
        assert note(await stage(**given)) == "fwd=bypass"
    assert stage.origin.sent[1].body == stage.origin.sent[0].body != b""
    assert note(await stage()) == "fwd=uri-miss; stored"
    await stage.end()


@only("sync")
async def test_a_get_with_a_streamed_body_passes(world: World) -> None:
    """A body without a length counts as one."""
    stage = Stage(world, *(response(200, FRESH, b"found") for _ in range(2)))
    for _ in range(2):
        await stage(content=iter([b"que", b"ry"]))
    assert [one.body for one in stage.origin.sent] == [b"query"] * 2
    await stage.end()


# What a caller does with a hit


async def test_a_hit_is_a_response_like_any_other(world: World) -> None:
    """Everything that one may ask of a response works on it."""
    fields = {**FRESH, "Content-Type": "application/json; charset=utf-8", "Set-Cookie": "a=b", "Link": "</2>; rel=next"}
    body = '{"name": "Zo\u00eb"}'.encode()
    stage = Stage(world, response(200, fields, body))
    first = await stage(url=URL + "users")
    assert first.cookies["a"] == "b"
    stage.client.cookies.clear()
    hit = await stage(url=URL + "users")
    assert hit.json() == {"name": "Zo\u00eb"}
    assert (hit.encoding, hit.charset_encoding, hit.http_version) == ("utf-8", "utf-8", "HTTP/1.1")
    assert (hit.reason_phrase, hit.is_success, str(hit.url), hit.links["next"]["url"]) == ("OK", True, URL + "users", "/2")
    assert hit.raise_for_status() is hit
    assert hit.elapsed.total_seconds() >= 0
    assert not hit.cookies
    assert hit.num_bytes_downloaded == len(body)
    await stage.end()


async def test_a_hit_belongs_to_a_call_that_sent_nothing(world: World) -> None:
    """`exchange_of` works on it, through a client of ours and through a bare transport."""
    wire, cache = Scripted(response(200, FRESH, b"a")), InMemoryCache()
    client = world.RateWiseClient(URL, transport=wire, cache=cache, clock=FakeClock(), rate_limiter=None)
    attempts = []
    for _ in range(2):
        got = await world(client.get, "/")
        attempts.append(exchange_of(got).attempts)
    assert attempts == [1, 0]
    assert client.cache.get_stats().hits == 1
    await world.close(client)


@pytest.mark.parametrize("status", [301, 308])
async def test_a_stored_redirect_is_followed_without_asking(world: World, status: int) -> None:
    """Both the redirect and what it leads to come from the store."""
    stage = Stage(world, response(status, {**FRESH, "Location": "/there"}), response(200, FRESH, b"there"))
    for _ in range(2):
        got = await stage.world(stage.client.get, URL + "here", follow_redirects=True)
        assert (got.text, str(got.url), len(got.history)) == ("there", URL + "there", 1)
    await stage.end()


async def test_a_head_from_the_store_tells_the_length(world: World) -> None:
    """It has the length of the body that it does not have."""
    stage = Stage(world, response(200, {**FRESH, "Content-Length": "3"}, b"abc"))
    await stage()
    head = await stage("HEAD")
    assert (head.headers["content-length"], head.content, note(head)) == ("3", b"", "hit")
    await stage.end()


async def test_a_head_is_stored_for_heads(world: World) -> None:
    """Its Content-Length is not that of its body, and is kept."""
    stage = Stage(world, response(200, {**FRESH, "Content-Length": "3"}, b""), response(200, FRESH, b"abc"))
    assert [(await stage("HEAD")).headers["content-length"] for _ in range(2)] == ["3", "3"]
    assert await stage.text() == "abc"
    await stage.end()


@pytest.mark.parametrize("control", ["no-store", "max-age=0", "max-age=99"])
@only("sync")
async def test_a_mock_that_gives_one_response_again_and_again(world: World, control: str) -> None:
    """It is given on as it is each time, and what is noted on it does not heap up."""
    same = world.httpx.Response(200, headers={"Cache-Control": control}, content=b"same")
    stage = Stage(world, around=world.httpx.MockTransport(lambda request: same))
    for method in ("GET", "GET", "POST", "POST", "GET"):
        got = await stage(method)
        assert got.text == "same"
        assert len(got.headers.get_list("cache-status")) == 1
    await stage.end()


@pytest.mark.parametrize("body", [("in memory"), "on the wire"])
@only("sync")
async def test_what_caches_before_say_is_left_standing(world: World, body: str) -> None:
    """RFC 9211, 2: each cache adds a member of its own."""
    fields = {**FRESH, "Cache-Status": "cdn; hit"}

    def held(request: Any) -> Any:
        return world.httpx.Response(200, headers=fields, stream=world.httpx.ByteStream(b"a"))

    stage = Stage(world, held if body == "in memory" else response(200, fields, b"a"))
    first, second = [(await stage()).headers["cache-status"].split(", ") for _ in range(2)]
    assert first == ["cdn; hit", "RateWise; fwd=uri-miss; stored"]
    assert second == ["cdn; hit", "RateWise; hit; ttl=3600"]
    await stage.end()


@only("sync")
async def test_what_a_caller_does_to_a_hit_is_not_stored(world: World) -> None:
    """Its headers are its own."""
    stage = Stage(world, response(200, {**FRESH, "A": "1"}, b"abc"))
    for _ in range(3):
        got = await stage()
        assert got.headers["A"] == "1"
        got.headers["A"] = "2"
        del got.headers["Cache-Control"]
        got.headers["B"] = "3"
        assert "B" not in (await stage()).headers
    await stage.end()


# Stale


async def settled(stage: Stage) -> None:
    """What goes on behind the requests is over."""
    if stage.world.is_sync:
        stage.transport._http.background.close()
    else:
        for _ in range(50):
            await anyio.lowlevel.checkpoint()


async def test_stale_while_revalidate(world: World) -> None:
    """The stale one is given at once, one request refreshes it behind, and the next one has the new."""
    fields = {"Cache-Control": "max-age=2, stale-while-revalidate=60"}
    stage = Stage(world, response(200, fields, b"old"), response(200, fields, b"new"))
    await stage()
    stage.clock.now += 3
    assert await stage.text() == "old"
    await settled(stage)
    assert len(stage.origin.sent) == 2
    assert await stage.text() == "new"
    await stage.end()


async def test_a_refresh_behind_that_fails_harms_nobody(world: World) -> None:
    """The stale one is good for as long as it was to be, and each request tries again."""
    fields = {"Cache-Control": "max-age=2, stale-while-revalidate=60", "ETag": '"a"'}
    stage = Stage(world, response(200, fields, b"old"), failing("ConnectError"), 503, response(304, fields))
    await stage()
    stage.clock.now += 3
    for _ in range(3):
        assert await stage.text() == "old"
        await settled(stage)
    assert stage.origin.sent[3].request.headers["If-None-Match"] == '"a"'
    assert note(await stage()) == "hit"
    await stage.end()


@only("sync")
async def test_a_part_of_a_stale_response_refreshes_the_whole(world: World) -> None:
    """The request behind asks for all of it: a part of the new one could not be stored."""
    fields = {"Cache-Control": "max-age=2, stale-while-revalidate=60"}
    stage = Stage(world, response(200, fields, b"old one"), response(200, fields, b"new one"))
    await stage()
    stage.clock.now += 3
    assert await stage.text(headers={"Range": "bytes=0-2"}) == "old"
    await settled(stage)
    assert "Range" not in stage.origin.sent[1].request.headers
    assert await stage.text(headers={"Range": "bytes=0-2"}) == "new"
    await stage.end()


@only("sync")
async def test_only_if_cached_sends_nothing_behind_either(world: World) -> None:
    """Who wants nothing sent gets what is stored, and nothing is sent."""
    stage = Stage(world, response(200, {"Cache-Control": "max-age=2, stale-while-revalidate=60"}, b"old"))
    await stage()
    stage.clock.now += 3
    assert await stage.text(headers={"Cache-Control": "only-if-cached"}) == "old"
    await settled(stage)
    assert len(stage.origin.sent) == 1
    await stage.end()


async def test_a_stale_response_stands_in_for_an_open_circuit(world: World) -> None:
    """In the full stack: the retries are used up, the circuit is open, and the caller still has an answer."""
    fields = {"Cache-Control": "max-age=2, stale-if-error=600"}
    wire, clock = Scripted(response(200, fields, b"old"), 503, 503, 503), FakeClock()
    transport = world.RateWiseTransport(
        wire,
        retry_config=RetryConfig(3, jitter=False),
        cache=InMemoryCache(),
        circuit_breaker=CircuitBreaker(failure_threshold=3, recovery_timeout=60),
        clock=clock,
    )
    client = world.Client(transport=transport, trust_env=False)
    seen = []
    for _ in range(3):
        got = await world(client.get, URL)
        seen.append((got.text, note(got)))
        clock.now += 3
    assert seen == [
        ("old", "fwd=uri-miss; stored"),
        ("old", "fwd=stale; fwd-status=503"),
        ("old", 'fwd=stale; detail="CircuitBreakerOpen"'),
    ]
    await world.close(client)
    assert [body.closed for body in wire.bodies] == [1] * 4


async def test_no_stale_response_stands_in_where_it_is_forbidden(world: World) -> None:
    """must-revalidate: the caller has the error of the open circuit."""
    fields = {"Cache-Control": "max-age=2, stale-if-error=600, must-revalidate"}
    wire, clock, breaker = Scripted(response(200, fields, b"old")), FakeClock(), CircuitBreaker()
    transport = world.RateWiseTransport(
        wire,
        cache=InMemoryCache(),
        cache_config=CacheConfig(stale_if_error=600, stale_while_revalidate=600),
        circuit_breaker=breaker,
        clock=clock,
    )
    client = world.Client(transport=transport, trust_env=False)
    await world(client.get, URL)
    clock.now += 3
    breaker.force_open()
    with pytest.raises(world.ratewise.CircuitBreakerOpen):
        await world(client.get, URL)
    await world.close(client)


@only("sync")
async def test_programming_errors_are_not_answered_from_the_store(world: World) -> None:
    """What is no failure of the server's comes out."""

    def wrong(request: Any) -> Any:
        raise ZeroDivisionError

    stage = Stage(world, response(200, STALE, b"old"), wrong, stale_if_error=600)
    await stage()
    stage.clock.now += 3
    with pytest.raises(ZeroDivisionError):
        await stage()
    assert not stage.cache.flights._flights


# Options and settings


async def test_bypass_leaves_the_store_alone(world: World) -> None:
    """It is neither asked nor told, and conditions are the caller's."""
    stage = Stage(world, response(200, FRESH, b"stored"), response(200, FRESH, b"other"))
    await stage()
    got = await stage(extensions=ratewise.options(cache="bypass"))
    assert (got.text, note(got)) == ("other", "fwd=bypass")
    assert await stage.text() == "stored"
    await stage.end()


async def test_refresh_asks_and_stores(world: World) -> None:
    """What is fresh is asked for all the same; a 304 is as good as an answer."""
    fields = {**FRESH, "ETag": '"a"'}
    stage = Stage(world, response(200, fields, b"old"), response(304, fields), response(200, FRESH, b"new"))
    await stage()
    refresh = ratewise.options(cache="refresh")
    assert [await stage.text(extensions=refresh) for _ in range(2)] == ["old", "new"]
    assert await stage.text() == "new"
    await stage.end()


@only("sync")
async def test_cache_ttl_is_for_those_who_say_nothing(world: World) -> None:
    """It stands in for the store's `ttl`, and not for what the server says."""
    ttl = ratewise.options(cache_ttl=50)
    stage = Stage(world, response(200, {}, b"1"), response(200, {}, b"2"), response(200, {"Cache-Control": "no-store"}), 200)
    stage.cache.ttl = 10.0
    await stage(extensions=ttl)
    stage.clock.now += 49
    assert await stage.text() == "1"
    stage.clock.now += 1
    assert await stage.text(extensions=ttl) == "2"
    for _ in range(2):
        await stage(url=URL + "secret", extensions=ttl)
    await stage.end()


@only("sync")
async def test_force_asks_no_server(world: World) -> None:
    """What succeeded is fresh for `ttl`, whatever it says; what failed is not kept, nor what is another user's."""
    stage = Stage(
        world,
        response(200, {"Cache-Control": "no-store, private, max-age=0", "Expires": "0", "Pragma": "no-cache"}, b"1"),
        response(200, {}, b"2"),
        response(200, {}, b"another"),
        cache=InMemoryCache(ttl=60),
        mode="force",
    )
    assert [await stage.text() for _ in range(2)] == ["1", "1"]
    stage.clock.now += 59
    assert await stage.text() == "1"
    stage.clock.now += 1
    assert await stage.text() == "2"
    assert await stage.text(headers={"Authorization": "Bearer other"}) == "another"
    for status in (404, 500, 206, 302):
        stage.origin.steps = [status, status]
        for _ in range(2):
            assert (await stage(url=f"{URL}{status}")).status_code == status
    await stage.end()


@only("sync")
async def test_partition_chooses_what_keeps_users_apart(world: World) -> None:
    """The fields that it names, and no others."""
    stage = Stage(world, response(200, FRESH, b"a"), response(200, FRESH, b"b"), partition=["X-Tenant"])
    assert await stage.text(headers={"x-tenant": "a", "Authorization": "1"}) == "a"
    assert await stage.text(headers={"X-TENANT": "b", "Authorization": "1"}) == "b"
    assert await stage.text(headers={"X-Tenant": "a", "Authorization": "2"}) == "a"
    await stage.end()


@only("sync")
async def test_modes_and_namespaces_do_not_mix_in_one_store(world: World) -> None:
    """A private answer in a store is not seen by a shared cache on it, nor what was forced by one that asks."""
    cache = InMemoryCache(ttl=60)
    private = Stage(world, response(200, {"Cache-Control": "private, max-age=60"}, b"private"), cache=cache)
    shared = Stage(world, response(200, FRESH, b"shared"), cache=cache, shared=True)
    forced = Stage(world, response(200, {"Cache-Control": "no-store"}, b"forced"), cache=cache, mode="force")
    for _ in range(2):
        assert [await stage.text() for stage in (private, shared, forced)] == ["private", "shared", "forced"]
    for stage in (private, shared, forced):
        await stage.end()


def test_one_store_serves_clients_of_both_libraries() -> None:
    """What one client has asked for, the next one need not: sync or async, of one library or the other."""
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


# Attacks

USERS = (
    {},
    {"Authorization": "Bearer a"},
    {"Authorization": "Bearer b"},
    {"Authorization": "bearer a"},
    {"Authorization": 'Digest username="a", realm="r"'},
    {"Authorization": 'Digest username="b", realm="r"'},
    {"Cookie": "Bearer a"},
    {"Cookie": "s=1"},
    {"Cookie": "s=2"},
    {"X-API-Key": "a"},
    {"X-API-Key": "a", "Cookie": "s=1"},
    {"X-Auth-Token": "a"},
    {"Api-Key": "a"},
    {"PRIVATE-TOKEN": "a"},
    {"Host": "other.example.com"},
)


@only("sync")
async def test_no_user_sees_what_another_one_was_told(world: World) -> None:
    """However alike their credentials are spelled, each has its own answer, also where the answer is stale and stands in."""
    stage = Stage(world, stale_if_error=600, stale_while_revalidate=0)
    for number, user in enumerate(USERS):
        stage.origin.steps = [response(200, STALE, b"%d" % number)]
        assert await stage.text(headers=user) == str(number)
    for number, user in enumerate(USERS):
        assert await stage.text(headers=user) == str(number)
    stage.clock.now += 3
    for number, user in enumerate(USERS):
        stage.origin.steps = [503]
        assert await stage.text(headers=user) == str(number)
    stage.origin.steps = [503]
    assert (await stage(headers={"Authorization": "Bearer c"})).status_code == 503
    await stage.end()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('Token token="one"', 'Token token="other"'),
        ("ApiKey key=one", "ApiKey key=other"),
        ("GoogleLogin auth=one", "GoogleLogin auth=other"),
        ('MediaBrowser Client="c", Token="one"', 'MediaBrowser Client="c", Token="other"'),
        ('Token id="same", token="one"', 'Token id="same", token="other"'),
        ('Digest username="Doe, Jane", realm="r"', 'Digest username="Doe, John", realm="r"'),
        ('Digest username="corp/jane", realm="r"', 'Digest username="corp/john", realm="r"'),
        ('Digest username="a\\"b", realm="r"', 'Digest username="a\\"c", realm="r"'),
        ("Digest username*=UTF-8''J%C3%A4n, realm=r", "Digest username*=UTF-8''J%C3%B6n, realm=r"),
        ("Bearer one=", "Bearer other="),
        ("Bearer id=same, token=one", "Bearer id=same, token=other"),
        ("Basic b25lOjE=", "Basic b3RoZXI6MQ=="),
        ('Hawk id="one", nonce="n"', 'Hawk id="other", nonce="n"'),
        ('Signature keyId="one"', 'Signature keyId="other"'),
        ('OAuth oauth_consumer_key="k", oauth_token="one"', 'OAuth oauth_consumer_key="k", oauth_token="other"'),
        ("AWS4-HMAC-SHA256 Credential=ONE/1/s3, Signature=s", "AWS4-HMAC-SHA256 Credential=OTHER/1/s3, Signature=s"),
    ],
)
@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
async def test_no_scheme_makes_two_users_one(world: World, one: str, other: str) -> None:
    """Whatever a credential looks like: another one is another user."""
    stage = Stage(world, response(200, FRESH, b"one"), response(200, FRESH, b"other"))
    assert await stage.text(headers={"Authorization": one}) == "one"
    assert await stage.text(headers={"Authorization": other}) == "other"


@only("sync")
async def test_a_signature_that_is_new_each_time_is_the_same_user(world: World) -> None:
    """Of a scheme that signs each request, what changes with it is left aside."""
    stage = Stage(world, response(200, FRESH, b"one"))
    for number in range(2):
        digest = f'Digest username="one", realm="r", nonce="{number}", response="{number}"'
        assert await stage.text(headers={"Authorization": digest}) == "one"
    await stage.end()


@only("sync")
async def test_the_tags_of_another_user_are_not_asked_with(world: World) -> None:
    """What is stored for one is nothing that another one's request tells of."""
    stage = Stage(world, tagged('"of-a"', b"a"), tagged('"of-b"', b"b"))
    await stage(headers={"Authorization": "Bearer a"})
    await stage(headers={"Authorization": "Bearer b"})
    assert "If-None-Match" not in stage.origin.sent[1].request.headers
    await stage.end()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(b"X-API-Key", b"a\0b")], [(b"X-API-Key", b"a"), (b"X-API-Key", b"b")]),
        ([(b"Cookie", b"a"), (b"X-API-Key", b"b")], [(b"Cookie", b"a\0x-api-key\0b")]),
        ([(b"Cookie", b"\1\2")], [(b"Cookie", b"\0")]),
        ([(b"Host", b"a\0cookie\0b")], [(b"Host", b"a"), (b"Cookie", b"b")]),
    ],
)
@only("sync")
async def test_no_two_requests_can_be_spelled_alike(world: World, one: Any, other: Any) -> None:
    """Bytes that separate the parts of a key within are no way into another one."""
    wire = Scripted(response(200, FRESH, b"one"), response(200, FRESH, b"other"))
    transport = world.ratewise.CacheTransport(wire)
    for headers, body in ((one, b"one"), (other, b"other")):
        assert await world.read(await world.send(transport, headers=headers)) == body


@pytest.mark.parametrize(
    "fields",
    [
        {"Cache-Control": "no-store"},
        {"Cache-Control": "max-age=9, no-store"},
        {"Cache-Control": "max-age=9", "Vary": "*"},
        {"Cache-Control": "max-age=9", "Content-Length": "999"},
    ],
)
@only("sync")
async def test_what_must_not_be_stored_is_nowhere(world: World, fields: dict[str, str]) -> None:
    """Not even where nobody would find it."""
    stage = Stage(world, response(200, fields, b"a secret"))
    await stage()
    gc.collect()
    assert stage.cache.size() == stage.cache._bytes == 0
    await stage.end()


@only("sync")
async def test_set_cookie_is_not_stored_by_any_way(world: World) -> None:
    """Not from an answer, nor from a 304 or a HEAD that freshens one."""
    cookie = {"Set-Cookie": "session=secret", "ETag": '"a"', **STALE}
    stage = Stage(world, response(200, cookie, b"a"), response(304, cookie), response(200, cookie, b""))
    for method in ("GET", "GET", "HEAD"):
        await stage(method)
        stage.client.cookies.clear()
        stage.clock.now += 3
    (entries,) = stage.cache._entries.values()
    assert all(b"secret" not in entry.head for entry in entries)
    await stage.end()


class Sure(Body):
    """Its connection is closed whatever is cancelled, as a pool's is."""

    async def aclose(self) -> None:
        self.close()


@only("asyncio", "trio")
@pytest.mark.parametrize("where", ["headers", "body"])
async def test_a_cancelled_request_leaves_nothing_behind(world: World, where: str) -> None:
    """Whether it waits for the headers or for the body: no flight, no entry, no open connection."""
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
    assert not stage.cache.flights._flights
    assert stage.cache.size() == 0
    assert await stage.text() == "whole"
    if where == "body":
        assert body.closed == 1
    await world.close(stage.client)


class Stuck(CacheBackend):
    """A store that never answers to one of its methods, and raises in all of them under sync."""

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
    """The store is slow, and the caller gives up: the connection of the answer is given back."""
    scope = anyio.CancelScope()
    cache = Stuck("", scope)
    status, fields, body = answer
    stage = Stage(world, tagged('"a"', b"a"), response(status, fields, Sure(body)), cache=cache)
    await stage()
    stage.clock.now += 3
    cache.method = stuck
    with scope:
        await stage(method)
    assert scope.cancelled_caught
    await stage.end()


ERRORS = ("ConnectError", "ReadTimeout", "RemoteProtocolError", "PoolTimeout")


@pytest.mark.parametrize("error", ERRORS)
async def test_errors_pass_as_they_are(world: World, error: str) -> None:
    """Without anything stored, the very error of the server's side is raised, and nothing is left."""
    stage = Stage(world, failing(error), response(200, FRESH, b"a"), stale_if_error=600)
    with pytest.raises(getattr(world.httpx, error)) as raised:
        await stage()
    assert raised.value is stage.origin.answers[0]
    assert await stage.text() == "a"
    await stage.end()


@only("sync")
async def test_many_urls_take_bounded_room(world: World) -> None:
    """Whatever is asked for, stored, refused or invalidated, what is remembered has its end."""
    cache = InMemoryCache(max_size=10, secret=b"s" * 32)

    def answer(request: Any) -> Any:
        kind = request.url.path[-1]
        return response(200, {"Cache-Control": "no-store" if kind in "13579" else "max-age=99", "Vary": "Accept-Language"}, b"x")

    class Endless(Scripted):
        def _answer(self, request: Any, body: bytes) -> Any:
            return answer(request)(request)

    transport = world.ratewise.CacheTransport(Endless(), cache)
    for number in range(1100):
        url = f"{URL}{number}"
        await world.read(await world.send(transport, url=url, headers={"Accept-Language": f"x-{number}"}))
        await world.read(await world.send(transport, "POST", url=url))
    assert cache.size() <= 10
    flights, order = cache.flights, cache.order
    kept = (flights._unshared, flights.landed, order._latest, order._invalidated, order._changed)
    for table in (flights._flights, *(recent.times for recent in kept)):
        assert len(table) <= 1000
    (layer,) = transport._layers
    assert len(layer._keys._selectors) <= 1000


@only("sync")
async def test_many_variants_take_bounded_room(world: World) -> None:
    """Of one URL a few responses are kept, the latest, and no more tags are asked with than that."""
    stage = Stage(world)
    for number in range(40):
        stage.origin.steps = [response(200, {"ETag": f'"{number}"', "Vary": "Foo", **FRESH}, b"%d" % number)]
        assert await stage.text(headers={"Foo": str(number)}) == str(number)
    tags = stage.origin.sent[-1].request.headers["If-None-Match"].split(", ")
    assert len(tags) == 8
    assert [await stage.text(headers={"Foo": str(number)}) for number in (39, 32)] == ["39", "32"]
    await stage.end()


@only("sync")
async def test_one_variant_that_is_asked_for_again_and_again_stays_one(world: World) -> None:
    """The newer answer takes the place of the older."""
    stage = Stage(world)
    for _ in range(20):
        stage.origin.steps = [response(200, {"Vary": "Foo", **STALE}, b"x")]
        await stage(headers={"Foo": "1"})
        stage.clock.now += 3
    (entries,) = stage.cache._entries.values()
    assert len(entries) == 1
    await stage.end()


NAMES = st.sampled_from(
    b"Cache-Control Age Date Expires ETag Last-Modified Vary Content-Length Content-Range Location Content-Location Connection "
    b"If-None-Match If-Modified-Since If-Range Range Pragma Accept Cookie CDN-Cache-Control Content-Encoding-X Foo".split()
)
WORDS = st.sampled_from(
    [
        *b"max-age=9 max-age=0 no-store no-cache private public must-revalidate stale-if-error=99 immutable".split(),
        *b'max-stale only-if-cached min-fresh=1 * "a" W/"a" "b" a Foo Cookie bytes=0-1 bytes=-1 bytes=9- 3'.split(),
        *b'http://[ //x:99999 ../%zz " \\ ; = , Fri,31Dec9999'.split(),
        *(b"Sun, 06 Nov 1994 08:49:37 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT", b"Mon, 01 Jan 0001 00:00:00 GMT"),
    ]
)
VALUES = st.one_of(
    st.lists(WORDS, max_size=4).map(b", ".join),
    st.binary(max_size=12).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
)
VALIDATORS = (b"ETag", b"Last-Modified", b"If-None-Match")
# Validators in ASCII, as long as `test_validators_in_any_bytes_are_asked_with_as_they_are` is expected to fail.
FIELDS = st.lists(
    st.tuples(NAMES, VALUES)
    .map(lambda field: (field[0], bytes(byte & 127 for byte in field[1]) if field[0] in VALIDATORS else field[1]))
    .filter(lambda field: not {10, 13} & set(field[1])),
    max_size=5,
)
EXCHANGES = st.lists(
    st.tuples(
        st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "FOO"]),
        FIELDS,
        st.sampled_from([200, 200, 200, 304, 204, 206, 301, 404, 429, 500, 599]),
        FIELDS,
        st.sampled_from([0, 1, 5, 100]),
    ),
    max_size=6,
)


@settings(max_examples=150)
@given(exchanges=EXCHANGES, mode=st.sampled_from(["rfc9111", "force"]), shared=st.booleans(), stale=st.sampled_from([0, 50]))
def test_nothing_that_is_said_breaks_a_request(exchanges: Any, mode: Any, shared: bool, stale: int) -> None:
    """Whatever fields go either way: no error but the server's, no body that the server has not given, no open connection."""
    world, clock = World("sync-httpx"), FakeClock()
    wire = Scripted()
    config = CacheConfig(mode, shared=shared, targeted=["CDN-Cache-Control"], stale_if_error=stale)
    transport = world.ratewise.CacheTransport(wire, InMemoryCache(ttl=3), config, clock=clock)
    given_bodies: dict[Any, set[bytes]] = {}
    for number, (method, ask, status, answer, wait) in enumerate(exchanges):
        body = b"" if status in (204, 304) or method == "HEAD" else b"%03d" % number
        request = world.httpx.Request(method, URL, headers=ask)
        wire.steps = [response(status, answer, Body(body)), response(200, [], Body(b"2nd"))]
        before = list(request.headers.raw)
        got = step(world.send(transport, request=request))
        content = b"".join(got.stream)
        got.close()
        assert list(request.headers.raw) == before
        user = request.headers.get("cookie")
        bodies = given_bodies.setdefault(user, set())
        bodies.update((body, b"2nd", b""))
        partial = got.status_code == 206 and "hit" in got.headers["cache-status"]
        assert content in bodies or partial
        if partial:
            assert any(content in one for one in bodies)
        clock.now += wait
    assert [one.closed for one in wire.bodies] == [1] * len(wire.bodies)
    assert not transport._layers[0].cache.flights._flights


@only("sync")
async def test_several_parts_of_a_stale_response_are_no_stand_in(world: World) -> None:
    """What only the server could give is not given instead of its error."""
    stage = Stage(world, response(200, {"Cache-Control": "max-age=1"}, b"0123456789"), 503, stale_if_error=600)
    await stage.text()
    stage.clock.now += 5
    assert (await stage("GET", headers={"Range": "bytes=0-1,3-4"})).status_code == 503
    await stage.end()


async def test_an_answer_to_head_is_none_to_get(world: World) -> None:
    """A 304 about it would have no body: a GET is not asked with its tag, and both answers are kept apart."""
    fields = {"ETag": '"a"', "Cache-Control": "max-age=0"}
    stage = Stage(
        world, response(200, fields, b""), response(200, fields, b"whole"), response(304, fields), response(304, fields)
    )
    assert await stage.text("HEAD") == ""
    assert await stage.text() == "whole"
    assert await stage.text() == "whole"
    assert (await stage("HEAD")).status_code == 200
    tags = [sent.request.headers.get("if-none-match") for sent in stage.origin.sent]
    assert tags == [None, None, '"a"', '"a"']
    await stage.end()

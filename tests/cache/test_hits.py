"""A hit is an ordinary response, and callers cannot change the stored one through it."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import exchange_of
from ratewise.cache import InMemoryCache
from ratewise.testing import FakeClock
from tests.cache.stage import FRESH, URL, Stage, note
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only


async def test_a_hit_is_a_response_like_any_other(world: World) -> None:
    """Every method and property of a response works on a hit."""
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
    """`exchange_of` works on a hit, through a RateWise client and through a bare transport, and reports that nothing was sent."""
    wire, cache = Scripted(response(200, FRESH, b"a")), InMemoryCache()
    client = world.RateWiseClient(URL, transport=wire, cache=cache, clock=FakeClock(auto=True), rate_limiter=None)
    attempts = []
    for _ in range(2):
        got = await world(client.get, "/")
        attempts.append(exchange_of(got).attempts)
    assert attempts == [1, 0]
    assert client.cache.get_stats().hits == 1
    await world.close(client)


@pytest.mark.parametrize("status", [301, 308])
async def test_a_stored_redirect_is_followed_without_asking(world: World, status: int) -> None:
    """The redirect and its target both come from the store."""
    stage = Stage(world, response(status, {**FRESH, "Location": "/there"}), response(200, FRESH, b"there"))
    for _ in range(2):
        got = await stage.world(stage.client.get, URL + "here", follow_redirects=True)
        assert (got.text, str(got.url), len(got.history)) == ("there", URL + "there", 1)
    await stage.end()


async def test_a_head_from_the_store_tells_the_length(world: World) -> None:
    """A HEAD served from a stored GET has the Content-Length of the body."""
    stage = Stage(world, response(200, {**FRESH, "Content-Length": "3"}, b"abc"))
    await stage()
    head = await stage("HEAD")
    assert (head.headers["content-length"], head.content, note(head)) == ("3", b"", "hit")
    await stage.end()


async def test_a_head_is_stored_for_heads(world: World) -> None:
    """A stored HEAD keeps its Content-Length, although it has no body."""
    stage = Stage(world, response(200, {**FRESH, "Content-Length": "3"}, b""), response(200, FRESH, b"abc"))
    assert [(await stage("HEAD")).headers["content-length"] for _ in range(2)] == ["3", "3"]
    assert await stage.text() == "abc"
    await stage.end()


@pytest.mark.parametrize("control", ["no-store", "max-age=0", "max-age=99"])
@only("sync")
async def test_a_mock_that_gives_one_response_again_and_again(world: World, control: str) -> None:
    """A mock's reused response is passed on unchanged each time, and what is noted on it does not accumulate."""
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
    """RFC 9211, 2: each cache appends its own member to Cache-Status."""
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
    """A caller that changes the headers of a hit does not change the stored response."""
    stage = Stage(world, response(200, {**FRESH, "A": "1"}, b"abc"))
    for _ in range(3):
        got = await stage()
        assert got.headers["A"] == "1"
        got.headers["A"] = "2"
        del got.headers["Cache-Control"]
        got.headers["B"] = "3"
        assert "B" not in (await stage()).headers
    await stage.end()


async def test_an_answer_to_head_is_none_to_get(world: World) -> None:
    """A stored HEAD has no body for a GET that gets a 304: a GET is sent without its tag, and both are stored."""
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

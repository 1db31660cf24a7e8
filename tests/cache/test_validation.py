"""Conditions of the caller and of the cache together: which response a 304 is about."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cache.stage import FRESH, URL, Stage, note, tagged
from tests.kit.wire import response
from tests.kit.world import World, only


async def test_a_304_freshens_every_response_with_its_tag(world: World) -> None:
    """Both variants with the same strong tag are fresh again."""
    stage = Stage(world, *(tagged('"a"', b"a", Vary="Foo") for _ in range(2)), response(304, {"ETag": '"a"', **FRESH}))
    for foo in "12":
        await stage(headers={"Foo": foo})
    stage.clock.advance(3)
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
    """One conditional request has the tags of both, and caller and cache each get the answer to their own."""
    stage = Stage(world, tagged('"a"', b"a"), answer)
    await stage()
    stage.clock.advance(3)
    got = await stage(headers={"If-None-Match": '"mine"'})
    assert stage.origin.sent[1].request.headers["If-None-Match"] == '"mine", "a"'
    assert (got.status_code, got.content) == (status, body)
    assert got.request.headers["If-None-Match"] == '"mine"'
    await stage.end()


async def test_a_304_to_a_caller_who_has_what_we_have(world: World) -> None:
    """If caller and store have the same response, a 304 freshens the stored one and is passed on."""
    stage = Stage(world, tagged('"a"', b"a"), response(304, {"ETag": '"a"', **FRESH}))
    await stage()
    stage.clock.advance(3)
    got = await stage(headers={"If-None-Match": '"a", "mine"'})
    assert (got.status_code, got.content) == (304, b"")
    assert await stage.text() == "a"
    await stage.end()


@only("sync")
async def test_a_304_without_a_tag_may_be_about_what_the_caller_has(world: World) -> None:
    """A 304 without a tag, to a request with tags of both, is ambiguous: the caller never gets an old body for it."""
    stage = Stage(world, tagged('"a"', b"old"), response(304, {}, b""), response(304, {}, b""))
    await stage()
    stage.clock.advance(3)
    got = await stage(headers={"If-None-Match": '"mine"'})
    assert (got.status_code, got.content) == (304, b"")
    assert stage.origin.sent[-1].request.headers["If-None-Match"] == '"mine"'
    await stage.end()


async def test_a_304_about_nothing_is_followed_by_a_plain_request(world: World) -> None:
    """After a 304 that matches no stored response, a plain request follows, as the caller sent no condition."""
    stage = Stage(world, tagged('"a"', b"a"), response(304, {"ETag": '"unheard-of"'}), response(200, FRESH, b"whole"))
    await stage()
    stage.clock.advance(3)
    assert await stage.text() == "whole"
    assert "If-None-Match" not in stage.origin.sent[2].request.headers
    assert await stage.text() == "whole"
    assert stage.origin.sent[2].open == 0
    await stage.end()


async def test_a_304_that_forbids_to_store_is_obeyed(world: World) -> None:
    """A stored response whose 304 has no-store serves this one request, and is deleted."""
    stage = Stage(world, tagged('"a"', b"a"), response(304, {"Cache-Control": "no-store"}), response(200, {}, b"new"))
    await stage()
    stage.clock.advance(3)
    assert await stage.text() == "a"
    assert stage.cache.get_stats().size == 0
    assert await stage.text() == "new"
    assert "If-None-Match" not in stage.origin.sent[2].request.headers
    await stage.end()


@pytest.mark.parametrize("condition", ["If-Match", "If-Unmodified-Since"])
@only("sync")
async def test_conditions_for_the_origin_are_left_to_it(world: World, condition: str) -> None:
    """If-Match and If-Unmodified-Since are sent on unchanged, as a cache may not evaluate them."""
    stage = Stage(world, response(200, {**FRESH, "ETag": '"a"'}), 412, 412)
    await stage()
    for _ in range(2):
        assert (await stage(headers={condition: '"a"'})).status_code == 412
    assert "If-None-Match" not in stage.origin.sent[1].request.headers
    await stage.end()


async def test_our_conditions_are_not_sent_after_a_redirect(world: World) -> None:
    """The cache's conditions are for one URL: they are not sent after a redirect, and not on the caller's request."""
    stage = Stage(world, tagged('"a"', b"a"), response(302, {"Location": "/b"}), response(200, {}, b"b"))
    await stage()
    stage.clock.advance(3)
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
    stage.clock.advance(3)
    assert await stage.text() == "a"
    assert dict(stage.origin.sent[1].request.headers.raw)[b"If-None-Match"] == b'"caf\xe9"'
    await stage.end()

"""What invalidates stored responses, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise._core.step import step
from tests.cache.asking import ask, cached
from tests.cache.stage import FRESH, Stage, tagged
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only


@only("sync")
async def test_other_origins_are_not_invalidated(world: World) -> None:
    """A response cannot invalidate stored responses of another origin."""
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


@pytest.mark.parametrize(
    "reference", ["https://xn--foo_bar.example/x", "//xn--a.example/y", "http://xn--/", "http://[::1", "//a:b:c/"]
)
async def test_a_name_that_is_none(world: World, reference: str) -> None:
    """A malformed Location in a response does not break the request."""
    stage = Stage(world, response(201, {"Location": reference, "Content-Location": reference}))
    assert (await stage("POST")).status_code == 201
    await stage.end()


async def test_an_answer_from_before_a_change_is_not_stored_after_it(world: World) -> None:
    """A response that was requested before a change and read after it is not stored."""
    stage = Stage(world, response(200, FRESH, b"old"), 204, response(200, FRESH, b"new"))
    old = await stage(stream=True)
    await stage("PUT")
    assert await world.read(old) == b"old"
    await world.close(old)
    assert await stage.text() == "new"
    await stage.end()


@only("sync")
async def test_a_304_from_before_a_change_freshens_nothing(world: World) -> None:
    """If the resource is changed during a validation, the 304 does not freshen the stored response."""

    def changed(request: Any) -> Any:
        stage.origin.steps.insert(0, 204)
        step(world.send(stage.transport, "DELETE")).close()
        return response(304, {"ETag": '"a"', **FRESH})

    stage = Stage(world, tagged('"a"', b"a"), changed, response(200, {}, b"new"))
    await stage()
    stage.clock.advance(3)
    assert await stage.text() == "a"
    assert await stage.text() == "new"
    await stage.end()


@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
async def test_a_token_that_only_unsafe_requests_carry_does_not_hinder_invalidation(world: World) -> None:
    """A POST with a CSRF token invalidates the response to a GET without that token."""
    session = {"Cookie": "session=1"}
    stage = Stage(world, response(200, FRESH, b"old"), 204, response(200, FRESH, b"new"))
    await stage(headers=session)
    await stage("POST", headers={**session, "X-CSRF-Token": "t"})
    assert await stage.text(headers=session) == "new"


async def test_a_location_that_is_none(world: World) -> None:
    """An invalid Location in the response to a POST is ignored, and the target is still invalidated."""
    wire = Scripted(
        response(headers=FRESH), response(201, headers={"Location": "/" + "x" * 70_000, "Content-Location": "//b/"}), 200
    )
    transport = cached(world, wire)
    for method in ("GET", "POST"):
        await ask(world, transport, method=method)
    assert "uri-miss" in (await ask(world, transport)).headers["cache-status"]

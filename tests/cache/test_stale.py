"""Stale responses: refreshed in the background, or served when the server fails."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ratewise import CircuitBreaker, RetryConfig
from ratewise.cache import CacheConfig, InMemoryCache
from ratewise.testing import FakeClock
from tests.cache.stage import STALE, URL, Stage, note
from tests.kit.wire import Scripted, failing, response
from tests.kit.world import World, only


async def settled(stage: Stage) -> None:
    """Wait until the background work is done."""
    if stage.world.is_sync:
        stage.transport._runtime.background.close()
    else:
        for _ in range(50):
            await anyio.lowlevel.checkpoint()


async def test_stale_while_revalidate(world: World) -> None:
    """The stale response is served at once, one request refreshes it in the background, and the next call gets the new one."""
    fields = {"Cache-Control": "max-age=2, stale-while-revalidate=60"}
    stage = Stage(world, response(200, fields, b"old"), response(200, fields, b"new"))
    await stage()
    stage.clock.advance(3)
    assert await stage.text() == "old"
    await settled(stage)
    assert len(stage.origin.sent) == 2
    assert await stage.text() == "new"
    await stage.end()


async def test_a_refresh_behind_that_fails_harms_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """If a refresh fails, the stale response is served as long as allowed, each call tries again, and the log has the reason."""
    fields = {"Cache-Control": "max-age=2, stale-while-revalidate=60", "ETag": '"a"'}
    stage = Stage(world, response(200, fields, b"old"), failing("ConnectError"), 503, response(304, fields))
    await stage()
    stage.clock.advance(3)
    for _ in range(3):
        assert await stage.text() == "old"
        await settled(stage)
    assert stage.origin.sent[3].request.headers["If-None-Match"] == '"a"'
    assert caplog.messages == [f"Cache: refreshing the stale response of {URL} failed (ConnectError)"]
    assert note(await stage()) == "hit"
    await stage.end()


@only("sync")
async def test_a_part_of_a_stale_response_refreshes_the_whole(world: World) -> None:
    """The background request of a range asks for the whole, as a new part could not be stored."""
    fields = {"Cache-Control": "max-age=2, stale-while-revalidate=60"}
    stage = Stage(world, response(200, fields, b"old one"), response(200, fields, b"new one"))
    await stage()
    stage.clock.advance(3)
    assert await stage.text(headers={"Range": "bytes=0-2"}) == "old"
    await settled(stage)
    assert "Range" not in stage.origin.sent[1].request.headers
    assert await stage.text(headers={"Range": "bytes=0-2"}) == "new"
    await stage.end()


@only("sync")
async def test_only_if_cached_sends_nothing_behind_either(world: World) -> None:
    """With only-if-cached a stale response is served, and no background request is sent."""
    stage = Stage(world, response(200, {"Cache-Control": "max-age=2, stale-while-revalidate=60"}, b"old"))
    await stage()
    stage.clock.advance(3)
    assert await stage.text(headers={"Cache-Control": "only-if-cached"}) == "old"
    await settled(stage)
    assert len(stage.origin.sent) == 1
    await stage.end()


async def test_a_stale_response_stands_in_for_an_open_circuit(world: World) -> None:
    """In the full stack: retries are exhausted and the circuit is open, and the caller still gets a stale response."""
    fields = {"Cache-Control": "max-age=2, stale-if-error=600"}
    wire, clock = Scripted(response(200, fields, b"old"), 503, 503, 503), FakeClock(auto=True)
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
        clock.advance(3)
    assert seen == [
        ("old", "fwd=uri-miss; stored"),
        ("old", "fwd=stale; fwd-status=503"),
        ("old", 'fwd=stale; detail="CircuitBreakerOpen"'),
    ]
    await world.close(client)
    assert [body.closed for body in wire.bodies] == [1] * 4


async def test_no_stale_response_stands_in_where_it_is_forbidden(world: World) -> None:
    """With must-revalidate the caller gets the error of the open circuit."""
    fields = {"Cache-Control": "max-age=2, stale-if-error=600, must-revalidate"}
    wire, clock, breaker = Scripted(response(200, fields, b"old")), FakeClock(auto=True), CircuitBreaker()
    transport = world.RateWiseTransport(
        wire,
        cache=InMemoryCache(),
        cache_config=CacheConfig(stale_if_error=600, stale_while_revalidate=600),
        circuit_breaker=breaker,
        clock=clock,
    )
    client = world.Client(transport=transport, trust_env=False)
    await world(client.get, URL)
    clock.advance(3)
    breaker.force_open()
    with pytest.raises(world.ratewise.CircuitBreakerOpen):
        await world(client.get, URL)
    await world.close(client)


@pytest.mark.parametrize(("failure", "cause"), [(failing("ConnectError"), "ConnectError"), (503, "503")])
async def test_a_stand_in_is_logged(world: World, failure: Any, cause: str, caplog: pytest.LogCaptureFixture) -> None:
    """Serving a stale response instead of an error is logged with the redacted URL and the reason."""
    stage = Stage(world, response(200, STALE, b"old"), failure, stale_if_error=600)
    url = f"{URL}?token=planted"
    assert [await stage.text(url=url), await stage.text(url=url)] == ["old", "old"]
    stage.clock.advance(3)
    assert await stage.text(url=url) == "old"
    shown = f"{URL}?token=REDACTED"
    assert caplog.messages == [f"Cache: serving a stale response of {shown}: server unavailable ({cause})"]
    await stage.end()


@only("sync")
async def test_programming_errors_are_not_answered_from_the_store(world: World) -> None:
    """An error that is not a failure of the server is raised."""

    def wrong(request: Any) -> Any:
        raise ZeroDivisionError

    stage = Stage(world, response(200, STALE, b"old"), wrong, stale_if_error=600)
    await stage()
    stage.clock.advance(3)
    with pytest.raises(ZeroDivisionError):
        await stage()
    assert not stage.cache._ratewise_store.single_flight._requests


@only("sync")
async def test_several_parts_of_a_stale_response_are_no_stand_in(world: World) -> None:
    """If several ranges are requested, which only the server can serve, its error is raised."""
    stage = Stage(world, response(200, {"Cache-Control": "max-age=1"}, b"0123456789"), 503, stale_if_error=600)
    await stage.text()
    stage.clock.advance(5)
    assert (await stage("GET", headers={"Range": "bytes=0-1,3-4"})).status_code == 503
    await stage.end()

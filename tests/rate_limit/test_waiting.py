"""Waits that are too long: the request fails at once, is logged, and leaves no gap in the queue."""

from __future__ import annotations

import logging
import math

import pytest

import ratewise.exceptions
from ratewise import CircuitBreaker, RateLimiter, options
from ratewise.rate_limit.stated import StatedLimit
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only
from tests.rate_limit.limiters import URL, limited, waiting

KEY = (("https", "api.example.com", None), "")


async def test_a_wait_that_is_too_long(world: World, clock: FakeClock) -> None:
    """A wait beyond `max_wait` raises at once, with the time until the slot; it is not retried, and takes no slot."""
    wire = Scripted(response(429, {"Retry-After": "91"}), 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, max_retries=2, raise_on_rate_limit=False)
    await world(client.get, "/", extensions=options(retry=False))
    with pytest.raises(world.ratewise.WaitTooLong) as raised:
        await world(client.get, "/?token=hunter2")
    error = raised.value
    assert isinstance(error, world.httpx.RequestError)
    assert isinstance(error, world.ratewise.RateLimitExceeded)
    assert isinstance(error, ratewise.exceptions.WaitTooLong)
    assert (error.attempts, error.retry_after, clock.sleeps) == (0, 91, [])
    assert (error.response.status_code, dict(error.response.headers)["retry-after"]) == (429, "91")
    assert str(error) == (
        "GET https://api.example.com/?token=REDACTED was not sent: max_wait exceeded: "
        "the next slot for https://api.example.com opens in 91 s (the server asks to wait)"
    )
    clock.advance(1)
    assert (await world(client.get, "/")).status_code == 200
    assert len(wire.sent) == 2


@pytest.mark.parametrize("routes", [1, 7])
async def test_the_queue_counts(world: World, clock: FakeClock, routes: int) -> None:
    """The queues of all routes count: behind 50 requests at 10 a second the wait is 5 s, and too long for a `max_wait` of 5 s."""
    limiter = RateLimiter(rate=10, max_wait=5)
    tickets = [limiter._queue.enter(KEY, clock.monotonic(), math.inf, route=f"/{number % routes}") for number in range(51)]
    with pytest.raises(world.ratewise.WaitTooLong) as raised:
        await world.send(limited(world, Scripted(), limiter, clock))
    assert raised.value.retry_after == pytest.approx(5.1, abs=1e-5)
    assert clock.elapsed == 0
    assert limiter._forecast(tickets[-1], clock.monotonic(), 9)[0] == pytest.approx(5, abs=1e-5)


async def test_the_deadline_counts(world: World, clock: FakeClock) -> None:
    """A request whose slot comes after the call's deadline fails at once."""
    wire = Scripted(200)
    client = world.RateWiseClient(URL, transport=wire, rate_limiter=RateLimiter(rate=0.1), clock=clock, total_timeout=9)
    await world(client.get, "/")
    with pytest.raises(world.ratewise.WaitTooLong) as raised:
        await world(client.get, "/")
    assert raised.value.retry_after == pytest.approx(10, abs=1e-5)


async def test_patience_that_ends(world: World, clock: FakeClock) -> None:
    """A queued request fails when `max_wait` is over, even if the requests before it are gone."""
    limiter = RateLimiter(rate=1, max_wait=0.5)
    transport = limited(world, Scripted(200), limiter, clock)
    await world.send(transport)
    (gate,) = limiter._gates.values()
    gate.stated = limit = StatedLimit(4, 1, 1)
    limit.send(clock.monotonic())
    ahead = limiter._queue.enter(KEY, clock.monotonic(), math.inf, route="/")
    with pytest.raises(world.ratewise.WaitTooLong, match=r"max_wait exceeded after 0\.5 s"):
        await world.send(transport)
    (lane,) = gate.lanes.values()
    assert [entry() for entry in lane.queue] == [ahead]


async def test_long_waits_are_logged(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Long waits are logged, with the reason and the seconds; short ones are not."""
    line = "Rate limit: holding requests to https://api.example.com for 2 s: the stated limit is used up"
    for rate, lines in ((2.0, []), (0.5, [line])):
        transport = limited(world, Scripted(200, 200), RateLimiter(rate=rate), clock)
        with caplog.at_level(logging.WARNING, "ratewise"):
            await world.send(transport)
            await world.send(transport)
        assert caplog.messages == lines


@only("asyncio", "trio")
async def test_a_cancelled_waiter_leaves_no_hole(world: World) -> None:
    """If a waiting request is cancelled, those behind it move up, and it is not counted."""
    limiter, clock = RateLimiter(rate=20), FakeClock()
    transport = limited(world, Scripted(200, 200), limiter, clock)
    await world.send(transport)
    await world.cancelled(lambda: world.send(transport), when=lambda: waiting(limiter))
    assert waiting(limiter) == 0
    clock.advance(0.05)
    assert (await world.send(transport)).status_code == 200  # nobody would advance the clock for it


async def test_waiting_is_no_news_of_the_server(world: World, clock: FakeClock) -> None:
    """A breaker around the limiter counts a request from when it leaves the queue; one that was not sent is no failure."""
    guard = CircuitBreaker(1, slow_call_duration=1, minimum_calls=1)
    client = world.RateWiseClient(
        URL, transport=Scripted(200, 200), rate_limiter=RateLimiter(rate=0.1, max_wait=10), circuit_breaker=guard, clock=clock
    )
    await world(client.get, "/")
    await world(client.get, "/")
    assert clock.elapsed == pytest.approx(10, abs=1e-5)
    client.rate_limiter.max_wait = 5
    with pytest.raises(world.ratewise.WaitTooLong):
        await world(client.get, "/")
    assert guard.get_state()["state"] == "closed"

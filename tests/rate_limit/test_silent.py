"""Servers that send no rate-limit fields, seen through a transport: bare refusals, failures, and snapshots."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest

from ratewise import (
    AsyncLayerTransport,
    AsyncRateLimitTransport,
    AsyncRateWiseTransport,
    Clock,
    RateLimiter,
    RateLimitLayer,
    RateLimitTransport,
    RetryConfig,
    RetryLayer,
    exchange_of,
)
from ratewise.rate_limit.gate import Gate, Lane
from ratewise.testing import FakeClock, FixedWindow, TokenBucket
from tests.kit.styles import Served
from tests.kit.virtual import LimitedWire, TimedWire, run
from tests.kit.wire import Scripted, Timed, failing, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited


def known(limiter: RateLimiter) -> tuple[Gate, Lane]:
    """What is known of the only key and its only route."""
    (gate,) = limiter._gates.values()
    (lane,) = gate.lanes.values()
    return gate, lane


# -- failures


DOWN = pytest.mark.parametrize("failure", [503, failing("ConnectError")], ids=["503", "ConnectError"])


@DOWN
async def test_nobody_waits_longer_than_retries(world: World, clock: FakeClock, failure: Any) -> None:
    """Without retries nobody waits for a server that is down: each request is sent."""
    wire = Timed(clock, *[failure] * 9)
    transport = limited(world, wire, RateLimiter(), clock)
    for _ in range(9):
        try:
            assert (await world.send(transport)).status_code == 503
        except world.httpx.ConnectError:
            assert failure != 503
    assert wire.times == [0] * 9


@pytest.mark.parametrize("connects", [True, False])
@pytest.mark.parametrize(("seconds", "status"), [(60.0, 503), (5.0, 200)])
def test_a_server_that_is_down(connects: bool, seconds: float, status: int) -> None:
    """One request at a time asks whether it is back; after what the retries could have slept, a call has the server's answer."""
    asked: list[float] = []
    ends: list[float] = []
    seen: list[object] = []

    class Wire(TimedWire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(self.now)
            await Clock().asleep(0.02)
            if self.now >= seconds:
                return httpx.Response(200)
            if not connects:
                raise httpx.ConnectError("refused", request=request)
            return httpx.Response(503)

    async def main() -> None:
        wire = Wire()
        retries = RetryLayer(RetryConfig(budget=False), uniform=random.Random(1).random)
        transport = AsyncLayerTransport(wire, retries, RateLimitLayer(RateLimiter()))

        async def call() -> None:
            try:
                response = await transport.handle_async_request(httpx.Request("GET", URL))
                seen.append(response.status_code)
            except httpx.ConnectError:
                seen.append(503)
            ends.append(wire.now)

        await asyncio.gather(*(call() for _ in range(20)))

    run(main())
    assert seen == [status] * 20
    assert max(ends) <= 7.5  # 1 + 2 + 4 s, and the time that answers take
    assert len([at for at in asked if 2 <= at < 5]) <= 10
    assert len(asked) <= 20 * 4


async def test_failures_by_chance(world: World, clock: FakeClock) -> None:
    """Occasional 503s, up to one of twenty, hold back no request."""
    wire = Timed(clock, *[503, *[200] * 19] * 6)
    limiter = RateLimiter()
    transport = limited(world, wire, limiter, clock)
    for _ in range(120):
        await world.send(transport)
    assert wire.times == [0] * 120
    assert known(limiter)[0].quiet


async def test_other_errors_are_no_outage(world: World, clock: FakeClock) -> None:
    """A server that answers late or breaks off is reachable: its requests are not held back."""
    late = [failing("ReadTimeout")] * 6
    wire = Timed(clock, *late, 200, 200, *late, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for answers in (2, 1):  # first while nothing is known of the key, then once requests need not be counted
        for _ in late:
            with pytest.raises(world.httpx.ReadTimeout):
                await world.send(transport)
        for _ in range(answers):
            await world.send(transport)
    assert wire.times == [0] * 15


@DOWN
async def test_retries_of_failures(world: World, clock: FakeClock, failure: Any) -> None:
    """Retries wait by the backoff, and for the limiter if that takes longer; in an outage they cost no retry budget."""
    config = RetryConfig(max_attempts=9, jitter=False, initial_delay=0.5, multiplier=1.0, budget=True)
    wire = Timed(clock, *[failure] * 8, 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    result = await world(client.get, "/")
    assert (result.status_code, exchange_of(result).attempts) == (200, 9)
    assert clock.sleeps == [0.5] * 8
    gaps = [after - before for before, after in zip(wire.times, wire.times[1:])]
    assert gaps == pytest.approx([0.5] * 7 + [0.506], abs=0.01)


@DOWN
async def test_retries_that_are_over(world: World, clock: FakeClock, failure: Any) -> None:
    """A call that has waited for as long as its retries may ends with the server's last answer or error."""
    config = RetryConfig(max_attempts=9, jitter=False, initial_delay=0.01, multiplier=1.0)
    wire = Timed(clock, *[failure] * 9)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    try:
        assert (await world(client.get, "/")).status_code == 503
    except world.httpx.ConnectError:
        assert failure != 503
    assert wire.times[:4] == [0, 0.01, 0.02, 0.03]
    assert len(wire.times) == 5
    assert wire.times[4] <= 0.08


# -- probes


async def test_a_refusal_that_says_how_long(world: World, clock: FakeClock) -> None:
    """The length in a refusal is believed, for a probe too, in place of the default pauses."""
    refusals = [response(429, {"retry-after-ms": "800"})] * 4
    wire = Timed(clock, 200, *refusals, response(429, {"Retry-After": "7"}), 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for _ in range(8):
        await world.send(transport)
    last = wire.times[4]
    assert wire.times[5:] == pytest.approx([last + 0.8, last + 7.8, last + 7.8])


def test_others_ask_too() -> None:
    """A refused probe goes behind the others in the queue, so that no request uses up all its attempts alone."""
    asked: list[str] = []

    class Wire(TimedWire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            await Clock().asleep(0.02)
            return httpx.Response(429 if self.now < 20 else 200)

    async def main() -> None:
        transport = AsyncRateWiseTransport(Wire(), rate_limiter=True, retry_config=RetryConfig(jitter=False))
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8

    run(main())
    assert len(set(asked[:8])) >= 6
    assert max(map(asked.count, asked)) <= 4


def test_after_an_outage() -> None:
    """After an outage requests that waited through it and new ones are served in turn."""
    limiter = RateLimiter()
    served: list[str] = []

    class Wire(TimedWire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await Clock().asleep(0.02)
            if self.now < 3:
                return httpx.Response(503)
            served.append(request.url.path)
            return httpx.Response(200)

    async def main() -> None:
        retries = RetryLayer(RetryConfig(budget=False), uniform=random.Random(1).random)
        transport = AsyncLayerTransport(Wire(), retries, RateLimitLayer(limiter))

        async def call(name: str, at: float) -> None:
            await Clock().asleep(at)
            await transport.handle_async_request(httpx.Request("GET", URL + name))

        old = [call(f"old{number}", 0.1 + number / 20) for number in range(50)]
        new = [call(f"new{number}", 3.1 + number / 1000) for number in range(300)]
        await asyncio.gather(*old, *new)

    run(main())
    first = next(number for number, path in enumerate(served) if path.startswith("/new"))
    assert any(path.startswith("/old") for path in served[first + 10 :])
    assert len(served) >= 300
    assert all(
        not (lane.queue or lane.unanswered or lane.taken) for gate in limiter._gates.values() for lane in gate.lanes.values()
    )


# -- ordinary traffic


def test_long_polls_do_not_block_it() -> None:
    """Requests that hang do not keep the limiter from discovering the limit, and cause no busy waiting."""
    looked = 0

    class Wire(TimedWire):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.at = 20.0, 0.0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await Clock().asleep(0.01)
            now = self.now
            self.tokens, self.at = min(self.tokens + (now - self.at) * 20, 20), now
            accepted = self.tokens >= 1
            self.tokens -= accepted
            await Clock().asleep(60 if request.url.path == "/poll" else 0.01)
            return httpx.Response(200 if accepted else 429)

    class Limiter(RateLimiter):
        def _forecast(self, *arguments: Any) -> Any:
            nonlocal looked
            looked += 1
            return super()._forecast(*arguments)

    async def main() -> float:
        wire, layers = Wire(), (RetryLayer(RetryConfig(9)), RateLimitLayer(Limiter()))
        transport = AsyncLayerTransport(wire, *layers)
        async with httpx.AsyncClient(transport=transport, base_url=URL, timeout=None) as client:
            polls = [asyncio.ensure_future(client.get("/poll")) for _ in range(5)]
            await Clock().asleep(2)
            answers = await asyncio.gather(*(client.get("/") for _ in range(200)))
            assert {answer.status_code for answer in answers} == {200}
            took = wire.now
            await asyncio.gather(*polls)
            return took

    assert run(main()) < 20
    assert looked < 5000


def test_a_long_poll_and_a_moment_of_failures() -> None:
    """Recovery from a short outage follows the requests that are answered, and does not wait for one that hangs."""

    class Wire(TimedWire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await Clock().asleep(120 if request.url.path == "/poll" else 0.02)
            return httpx.Response(503 if 2 <= self.now < 2.2 else 200)

    async def main() -> None:
        wire = Wire()
        transport = AsyncRateLimitTransport(wire)

        async def work() -> int:
            done = 0
            while wire.now < 10:
                response = await transport.handle_async_request(httpx.Request("GET", URL))
                done += response.status_code == 200
            return done

        poll = asyncio.ensure_future(transport.handle_async_request(httpx.Request("GET", URL + "poll")))
        done = await asyncio.gather(*(work() for _ in range(10)))
        assert sum(done) > 3000
        await poll

    run(main())


@pytest.mark.parametrize(
    ("served", "burst", "pause", "seconds"),
    [
        (lambda: Served(FixedWindow(100, 5)), 200, 60, 16),
        (lambda: Served(TokenBucket(100, 1)), 150, 60, 3),
        (lambda: Served(TokenBucket(20, 1), "retry-after"), 150, 10, 12),
        (lambda: Served(TokenBucket(20, 1)), 30, 30, 4),
    ],
)
def test_bursts(served: Any, burst: int, pause: float, seconds: float) -> None:
    """Bursts with pauses between them: an idle pause does not lower the discovered rate."""

    async def main() -> None:
        layers = RetryLayer(RetryConfig(9), uniform=random.Random(1).random), RateLimitLayer(RateLimiter())
        wire = LimitedWire(served())
        transport = AsyncLayerTransport(wire, *layers)
        async with httpx.AsyncClient(transport=transport, base_url=URL, timeout=None) as client:
            for _ in range(8):
                began = wire.now
                answers = await asyncio.gather(*(client.get("/") for _ in range(burst)))
                assert {answer.status_code for answer in answers} == {200}
                took = wire.now - began  # in virtual time
                assert took < seconds
                await Clock().asleep(pause)

    run(main())


def test_many_dead_hosts() -> None:
    """The state of an unreachable key is forgotten after long disuse, which makes room for new keys."""
    limiter, clock = RateLimiter(), FakeClock(auto=True)
    with httpx.Client(transport=RateLimitTransport(Scripted(*[failing("ConnectError")] * 4020), limiter, clock=clock)) as client:
        for number in range(1005):
            for _ in range(4):
                with pytest.raises(httpx.ConnectError):
                    client.get(f"https://dead{number}.example/")
            clock.advance(100)
    assert len(limiter._gates) <= 1000
    assert any("dead1004" in str(key) for key in limiter._gates)


# -- cautious


async def test_cautious(world: World, clock: FakeClock) -> None:
    """`cautious` begins with few requests at a time, and more as they are answered."""
    limiter = RateLimiter(cautious=True)
    transport = limited(world, Scripted(200, 200), limiter, clock)
    for _ in range(2):
        await world.send(transport)
        gate, lane = known(limiter)
        assert (lane.own(clock.monotonic()), gate.quiet) == (4, False)

"""Servers that send no rate-limit fields, seen through a transport: bare refusals, failures, and snapshots."""

from __future__ import annotations

import asyncio
import json
import math
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
from ratewise.rate_limit.found import Burst, Ceiling, Filling, Shut
from ratewise.testing import FakeClock, FixedWindow, TokenBucket
from tests.kit.styles import Served
from tests.kit.virtual import LimitedWire, TimedWire, run
from tests.kit.wire import Scripted, Timed, failing, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited


def governor(limiter: RateLimiter) -> Any:
    """The governor of the only key."""
    (state,) = limiter._states.values()
    return state.governor


# -- failures


@pytest.mark.parametrize("failure", [503, failing("ConnectError")], ids=["503", "ConnectError"])
async def test_a_server_that_is_down(world: World, clock: FakeClock, failure: Any) -> None:
    """After four failures requests are sent one at a time, each a little later; when the server is back, all are sent."""
    limiter = RateLimiter()
    wire = Timed(clock, *[failure] * 7, 200, 200)
    transport = limited(world, wire, limiter, clock)
    for _ in range(7):
        try:
            assert (await world.send(transport)).status_code == 503
        except world.httpx.ConnectError:
            assert failure != 503
    for _ in range(2):
        assert (await world.send(transport)).status_code == 200
    assert wire.times == pytest.approx([0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.4], abs=0.01)


async def test_failures_by_chance(world: World, clock: FakeClock) -> None:
    """Occasional 503s hold back no request."""
    wire = Timed(clock, *[503, 200, 503, 200, 200, 200] * 20)
    limiter = RateLimiter()
    transport = limited(world, wire, limiter, clock)
    for _ in range(120):
        await world.send(transport)
    assert wire.times == [0] * 120
    assert governor(limiter).quiet


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


@pytest.mark.parametrize("failure", [503, failing("ConnectError")], ids=["503", "ConnectError"])
async def test_retries_of_failures(world: World, clock: FakeClock, failure: Any) -> None:
    """Retries wait by the backoff and then for the limiter; while the limiter holds them back they cost no retry budget."""
    config = RetryConfig(max_attempts=9, jitter=False, initial_delay=0.01, multiplier=1.0, budget=True)
    wire = Timed(clock, *[failure] * 8, 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    result = await world(client.get, "/")
    assert (result.status_code, exchange_of(result).attempts) == (200, 9)
    assert clock.sleeps == pytest.approx([0.01] * 8)
    assert wire.times[:4] == pytest.approx([0, 0.01, 0.02, 0.03])
    assert [round(after - before, 2) >= 0.1 for before, after in zip(wire.times[3:], wire.times[4:])] == [True] * 5


async def test_a_long_outage(world: World, clock: FakeClock) -> None:
    """An outage is expected to last as long again: requests behind the next probe are given that longer wait."""
    limiter = RateLimiter()
    transport = limited(world, Timed(clock, *[503] * 60), limiter, clock)
    for _ in range(40):
        await world.send(transport)
    now = clock.monotonic()
    assert governor(limiter).opens(now, 9, 0)[0] < 20
    wait, reason = governor(limiter).opens(now, 9, 1)
    assert (wait > 10, reason) == (True, "the server does not answer")


# -- probes


async def test_a_refusal_that_says_how_long(world: World, clock: FakeClock) -> None:
    """The length in a refusal is believed, for a probe too, in place of the default pauses."""
    limited_twice = [response(429, {"retry-after-ms": "50"})] * 2
    wire = Timed(clock, 200, 200, *limited_twice, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for _ in range(6):
        await world.send(transport)
    assert wire.times == [0, 0, 0, 0.05, 0.1, 0.1]


def test_others_ask_too() -> None:
    """A refused probe goes behind the others in the queue, so that no request uses up all its attempts alone."""
    asked: list[str] = []

    class Wire(TimedWire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            await Clock().asleep(0.02)
            return httpx.Response(429 if self.now < 20 else 200)

    async def main() -> None:
        transport = AsyncRateWiseTransport(Wire(), rate_limiter=True)
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
        transport = AsyncRateLimitTransport(Wire(), limiter)

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
    (state,) = limiter._states.values()
    assert (len(state.queue), state.governor._sent, state.governor._busy) == (0, {}, 0)


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
        (lambda: Served(FixedWindow(100, 5)), 200, 60, 6),
        (lambda: Served(TokenBucket(100, 1)), 150, 60, 2),
        (lambda: Served(TokenBucket(20, 1), "retry-after"), 150, 10, 8),
        (lambda: Served(TokenBucket(20, 1)), 30, 30, 2),
    ],
)
def test_bursts(served: Any, burst: int, pause: float, seconds: float) -> None:
    """Bursts with pauses between them: an idle pause does not lower the discovered rate."""

    async def main() -> None:
        layers = RetryLayer(RetryConfig(9)), RateLimitLayer(RateLimiter())
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
    assert len(limiter._states) <= 1000
    assert any("dead1004" in str(key) for key in limiter._states)


# -- snapshots


async def learnt(world: World, clock: FakeClock, **settings: Any) -> RateLimiter:
    """A limiter that has discovered a bucket of 20 which refills by one a second."""
    limiter = RateLimiter(**settings)
    tokens, at = 20.0, clock.monotonic()

    def bucket(request: Any) -> Any:
        nonlocal tokens, at
        tokens, at = min(tokens + clock.monotonic() - at, 20), clock.monotonic()
        accepted = tokens >= 1
        tokens -= accepted
        return response(200 if accepted else 429)(request)

    transport = limited(world, Scripted(*[bucket] * 60), limiter, clock)
    for _ in range(60):
        await world.send(transport, headers={"Authorization": "Bearer hunter2"})
    return limiter


async def test_snapshot_and_restore(world: World, clock: FakeClock) -> None:
    """A snapshot is JSON; a limiter that restores it continues for the same origin and credential, and for no others."""
    text = (await learnt(world, clock)).snapshot(clock=clock)
    ((name, kept),) = json.loads(text)["limits"].items()
    assert name.startswith("https://api.example.com ")
    assert kept["rate"] == pytest.approx(1, rel=0.1)
    limiter = RateLimiter()
    limiter.restore(text, clock=clock)
    transport = limited(world, Scripted(200, 200, 200, 200), limiter, clock)
    await world.send(transport)
    await world.send(transport)
    await world.send(transport, url="https://other.example/", headers={"Authorization": "Bearer hunter2"})
    await world.send(transport, headers={"Authorization": "Bearer hunter2"})
    found = [state.governor.found for state in limiter._states.values()]
    assert [type(each) for each in found] == [type(None), Burst, Filling]
    assert json.loads(limiter.snapshot(clock=clock))["limits"].keys() == {name}
    unmet = RateLimiter()
    unmet.restore(text, clock=clock)
    clock.advance(5)
    passed = clock.time() - json.loads(text)["at"]
    assert json.loads(unmet.snapshot(clock=clock))["limits"][name]["left"] == pytest.approx(kept["left"] + passed * kept["rate"])


async def test_snapshots_tell_no_secret(world: World, clock: FakeClock) -> None:
    """A snapshot has neither credentials nor the results of `key`; two bytes of a hash distinguish them."""
    named = await learnt(world, clock)
    keyed = await learnt(world, clock, key=lambda request: (("a", "b", "tenant"), request.headers["Authorization"]))
    for limiter in (named, keyed):
        text = limiter.snapshot(clock=clock)
        assert len(json.loads(text)["limits"]) == 1
        assert "hunter2" not in text
        assert "tenant" not in text
    restored = RateLimiter(key=keyed.key)
    restored.restore(keyed.snapshot(clock=clock), clock=clock)
    await world.send(limited(world, Scripted(200), restored, clock), headers={"Authorization": "Bearer hunter2"})
    assert isinstance(governor(restored).found, Filling)


async def test_restore_where_something_is_known(world: World, clock: FakeClock) -> None:
    """What a limiter has discovered itself wins over a snapshot; a key that it has seen without a result is restored at once."""
    text = json.loads((await learnt(world, clock)).snapshot(clock=clock))
    (kept,) = text["limits"].values()
    text["limits"] = {URL.rstrip("/"): kept, "https://met.example": kept}
    limiter = RateLimiter()
    transport = limited(world, Scripted(200, 429), limiter, clock)
    await world.send(transport, url="https://met.example/")
    await world.send(transport)
    limiter.restore(json.dumps(text), clock=clock)
    found = [state.governor.found for state in limiter._states.values()]
    assert [type(each) for each in found] == [Filling, Shut]
    assert [state.governor.quiet for state in limiter._states.values()] == [False, False]


async def test_a_bucket_of_the_server_is_kept(world: World, clock: FakeClock) -> None:
    """Limits discovered for a bucket that the server names are not restored to the whole key."""
    bucket = {"X-RateLimit-Bucket": "search"}
    limiter = RateLimiter()
    steps = [response(200, {"X-RateLimit-Bucket": "other"}), *[response(200, bucket)] * 3, *[response(429, bucket)] * 2]
    transport = limited(world, Scripted(*steps), limiter, clock)
    await world.send(transport)
    for _ in range(5):
        await world.send(transport, url=URL + "search")
    limiter.restore(limiter.snapshot(clock=clock), clock=clock)
    assert json.loads(limiter.snapshot(clock=clock))["limits"] == {}


@pytest.mark.parametrize(
    ("snapshot", "error", "message"),
    [
        (None, TypeError, "snapshot must be the text that snapshot() returned, not None"),
        ("", ValueError, "not a snapshot of a RateLimiter"),
        ('{"ratewise": 2, "at": 1, "limits": {}}', ValueError, "unsupported version"),
    ],
)
def test_what_is_no_snapshot(snapshot: Any, error: type[Exception], message: str) -> None:
    """Anything but a snapshot is refused at once, with a message that says so."""
    with pytest.raises(error) as raised:
        RateLimiter().restore(snapshot)
    assert message in str(raised.value)


# -- cautious


async def test_cautious(world: World, clock: FakeClock) -> None:
    """`cautious` sends one request first, and then few at a time; the repr shows the setting."""
    limiter = RateLimiter(cautious=True)
    await world.send(limited(world, Scripted(200), limiter, clock))
    found = governor(limiter).found
    assert isinstance(found, Ceiling)
    assert found.most == 2
    assert repr(limiter) == "RateLimiter(max_wait=90, cautious=True)"
    assert governor(limiter).free(math.inf, 50) == 2
    with pytest.raises(TypeError, match="cautious"):
        RateLimiter(cautious="yes")  # type: ignore[arg-type]

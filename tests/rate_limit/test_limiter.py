"""The rate limiter: a stated limit is kept exactly, across all callers, for each key; and its settings."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ratewise.exceptions
from ratewise import RateLimiter
from ratewise.rate_limit.stated import StatedLimit
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.wire import Scripted, Timed, failing, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited, waiting

# -- the stated limit


@given(
    st.floats(0.1, 1000),
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 30)), min_size=1, max_size=30),
)
def test_never_more_than_stated(rate: float, per: float, burst: int, knocks: list[tuple[float, int]]) -> None:
    """In any interval of t seconds at most burst + t * rate / per requests are sent, and never fewer than the limit allows."""
    limit, now, sent = StatedLimit(rate, per, burst), 1_800_000_000.0, list[float]()
    for wait, wanting in knocks:
        now += wait * per / rate
        for _ in range(min(wanting, limit.free(now))):
            assert limit.free(now) > 0
            limit.send(now)
            sent.append(now)
        if limit.free(now) == 0:
            assert 0 < limit.opens(now, 0) <= per / rate + 1e-5
            now += limit.opens(now, 0)
            assert limit.free(now) > 0
    for first, start in enumerate(sent):
        for count, end in enumerate(sent[first:], 1):
            assert count <= burst + (end - start + 1e-5) * rate / per


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        ({"rate": 10}, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"rate": 100, "per": 60, "burst": 3}, [0, 0, 0, 0.6, 1.2, 1.8]),
        ({"rate": 0.5, "burst": 2}, [0, 0, 2, 4, 6, 8]),
        ({}, [0, 0, 0, 0, 0, 0]),
    ],
)
async def test_the_pace(world: World, clock: FakeClock, settings: Any, times: list[float]) -> None:
    """`burst` requests are sent at once, and then one at a time at `rate` in `per` seconds."""
    wire = Timed(clock, *[200] * 6)
    transport = limited(world, wire, RateLimiter(**settings), clock)
    for _ in range(6):
        await world.send(transport)
    assert wire.times == times


async def test_many_callers_share_it(world: World) -> None:
    """20 threads or tasks on a real clock together stay within the limit, and every request is answered."""
    times: list[float] = []
    lock = threading.Lock()

    def answer(received: Received) -> Reply:
        with lock:
            times.append(time.monotonic())
        return Reply()

    limiter = RateLimiter(rate=200, burst=5)
    with LocalServer(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            started = time.monotonic()
            await world.gather(*[call] * 20)
    assert len(times) == 20
    assert max(times) - started >= 15 / 200


def test_threads_and_event_loops_share_it() -> None:
    """Three event loops and five threads together stay within the limit, and every request is answered."""
    limiter = RateLimiter(rate=400, burst=5)
    seen: list[int] = []

    def threads(url: str) -> None:
        with ratewise.RateWiseClient(url, rate_limiter=limiter, trust_env=False) as client:
            seen.extend(client.get("/").status_code for _ in range(4))

    async def tasks(url: str) -> None:
        async with ratewise.AsyncRateWiseClient(url, rate_limiter=limiter, trust_env=False) as client:
            seen.extend(response.status_code for response in await asyncio.gather(*(client.get("/") for _ in range(10))))

    with LocalServer(lambda received: Reply()) as server:
        began = time.monotonic()
        workers = [threading.Thread(target=threads, args=[server.url]) for _ in range(5)]
        workers += [threading.Thread(target=lambda: asyncio.run(tasks(server.url))) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert seen == [200] * 50
    assert time.monotonic() - began >= 45 / 400


async def test_first_come_first_served(world: World) -> None:
    """Requests are sent in the order in which they came; a caller that has just been served goes to the end of the queue."""
    limiter, order, clock = RateLimiter(rate=100), list[int](), FakeClock()
    transport = limited(world, Scripted(*[200] * 13), limiter, clock)
    await world.send(transport)

    async def call(number: int) -> None:
        await world.until(lambda: waiting(limiter) == number)
        for _ in range(3):
            await world.send(transport)
            order.append(number)

    async def serve() -> None:
        for served in range(12):
            await world.until(lambda served=served: (len(order), waiting(limiter)) == (served, min(4, 12 - served)))  # type: ignore[misc]
            clock.advance(0.01)

    await world.gather(*(lambda number=number: call(number) for number in range(4)), serve)  # type: ignore[misc]
    assert order == [*range(4)] * 3


# -- keys and settings


async def test_a_limit_for_each_key(world: World, clock: FakeClock) -> None:
    """The key is the origin and the credential, however the header is spelled, or the result of `key`."""
    for key, apart, together in (
        (
            None,
            [{"Authorization": "Bearer a"}, {"authorization": "Bearer b"}, {"X-API-Key": "a"}, {}],
            {"AUTHORIZATION": "Bearer a"},
        ),
        (
            lambda request: request.headers.get("x-route"),
            [{"X-Route": "a"}, {"X-Route": "b"}],
            {"X-Route": "a", "X-API-Key": "z"},
        ),
    ):
        wire = Timed(clock, *[200] * 9)
        transport = limited(world, wire, RateLimiter(rate=1, key=key), clock)
        for headers in apart:
            await world.send(transport, headers=headers)
        await world.send(transport, headers=together)
        assert wire.times == [0] * len(apart) + [1]


async def test_one_limiter_for_both_libraries(world: World, clock: FakeClock) -> None:
    """Clients of both libraries share the limit of one limiter."""
    limiter = RateLimiter(rate=1)
    other = World(f"{world.style}-{'httpx' if world.httpx.__name__ == 'httpx2' else 'httpx2'}")
    wire = Timed(clock, 200, 200)
    await world.send(limited(world, wire, limiter, clock))
    await other.send(limited(other, wire, limiter, clock))
    assert wire.times == [0, 1]


async def test_a_limit_that_has_recovered_may_be_forgotten(world: World, clock: FakeClock) -> None:
    """The state of a key may be forgotten once its limit has recovered, not before, and not while the server has paused it."""
    limiter = RateLimiter(rate=1, burst=2)
    await world.send(limited(world, Scripted(200), limiter, clock))
    (gate,) = limiter._gates.values()
    now = clock.monotonic()
    assert [gate.idle(now), gate.idle(now), gate.idle(now + 1)] == [False, False, True]
    await world.send(limited(world, Scripted(response(429, {"Retry-After": "9"})), limiter, clock))
    now = clock.monotonic()
    assert [gate.idle(now + 8), gate.idle(now + 8), gate.idle(now + 80)] == [False, False, True]


async def test_errors_pass(world: World, clock: FakeClock) -> None:
    """A failed request counts once against the limit, as it was sent."""
    wire = Timed(clock, failing("ReadError"), 200)
    transport = limited(world, wire, RateLimiter(rate=1), clock)
    with pytest.raises(world.httpx.ReadError):
        await world.send(transport)
    await world.send(transport)
    assert wire.times == [0, 1]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rate": 0}, ValueError, "rate must be a finite number above 0, not 0"),
        ({"rate": -1}, ValueError, "rate"),
        ({"rate": math.nan}, ValueError, "rate"),
        ({"rate": math.inf}, ValueError, "rate"),
        ({"rate": True}, TypeError, "rate"),
        ({"rate": "10/s"}, TypeError, "rate must be a finite number above 0, not '10/s'"),
        ({"per": 60}, ValueError, "per must be left out where no rate is given, not 60"),
        ({"burst": 10}, ValueError, "burst must be left out where no rate is given, not 10"),
        ({"rate": 1, "per": 0}, ValueError, "per must be a finite number of seconds above 0, not 0"),
        ({"rate": 1, "burst": 0}, ValueError, "burst must be a whole number of at least 1, not 0"),
        ({"rate": 1, "burst": 1.5}, TypeError, "burst"),
        ({"concurrency": 0}, ValueError, "concurrency must be a whole number of at least 1, not 0"),
        ({"pace": 1}, TypeError, "pace must be True or False, not 1"),
        ({"max_wait": 0}, ValueError, "max_wait must be a finite number of seconds above 0, not 0"),
        ({"max_wait": None}, TypeError, "max_wait"),
        ({"cautious": "yes"}, TypeError, "cautious must be True or False, not 'yes'"),
        ({"opening": None}, TypeError, "opening must be True or False, not None"),
        ({"route": "url"}, ValueError, "route must be a function, \"path\" or None, not 'url'"),
        ({"route": 5}, TypeError, "route must be a plain function of the request, also in async code, not 5"),
        ({"key": "path"}, TypeError, "key must be a plain function of the request, also in async code, not 'path'"),
    ],
)
def test_bad_settings(settings: Any, error: type[Exception], message: str) -> None:
    """A bad setting is refused at construction, with its name, its value and what is allowed."""
    with pytest.raises(error, match=message):
        RateLimiter(**settings)


async def test_the_limiter_must_be_one(world: World) -> None:
    """Transports and clients refuse anything but a limiter; the reprs of a limiter and its layer show no secret."""
    for wrong in (5, RateLimiter):
        with pytest.raises(TypeError, match="rate_limiter must be a RateLimiter, not "):
            limited(world, Scripted(), wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="rate_limiter must be a RateLimiter, True or None, not "):
            world.RateWiseClient(URL, rate_limiter=wrong)
    transport = limited(world, None, None)
    assert repr(transport._layers[0]) == "RateLimitLayer(RateLimiter(max_wait=90))"
    shown = "RateLimiter(rate=100, per=60, burst=10, concurrency=8, max_wait=90, pace=True)"
    assert repr(RateLimiter(100, 60, 10, concurrency=8, pace=True)) == shown
    assert repr(RateLimiter(cautious=True, opening=False)) == "RateLimiter(max_wait=90, cautious=True, opening=False)"
    await world.close(transport)


async def test_more_keys_than_are_remembered(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """While all that are remembered are in use, others are not limited, and the log says so once."""
    limiter = RateLimiter(rate=1, per=60)
    limiter._gates._most = 1
    transport = limited(world, Scripted(otherwise=200), limiter, clock)
    for number in range(4):
        await world.send(transport, url=f"https://{number}.example.com/")
    assert clock.elapsed == 0
    said = "Rate limit: 1000 keys are in use; https://1.example.com is not limited"
    assert [record.getMessage() for record in caplog.records] == [said]

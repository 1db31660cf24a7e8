"""Buckets that the server names: each bucket has its own limits and pauses."""

from __future__ import annotations

from typing import Any

from ratewise import RateLimiter
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, Timed, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited


async def test_buckets(world: World, clock: FakeClock) -> None:
    """Once responses name buckets (as Discord does), each bucket waits on its own; unknown routes use the first bucket seen."""

    def told(bucket: str, remaining: int) -> Any:
        left = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset-After": "30.0"}
        return response(200, {**left, "X-RateLimit-Bucket": bucket})

    limiter = RateLimiter()
    wire = Timed(clock, told("a", 4), told("b", 0), told("a", 3), told("b", 4), told("a", 2), told("c", 4), told("b", 3))
    transport = limited(world, wire, limiter, clock)
    for path in ("a", "b", "a", "b", "new", "b", "b"):
        await world.send(transport, url=URL + path)
    assert wire.times[:3] == [0, 0, 0]
    assert 30 <= wire.times[3] <= 30.5
    assert len(set(wire.times[3:])) == 1
    key = (("https", "api.example.com", None), "")
    assert set(limiter._states) == {key, (key, "b"), (key, "c")}
    assert limiter._parts == {(key, "GET", "/b"): (key, "b")}


async def test_policies_are_buckets_too(world: World, clock: FakeClock) -> None:
    """Routes without a common RateLimit policy are counted separately; a route seen again gets its earlier bucket back."""

    def told(policies: str) -> Any:
        return response(200, {"RateLimit": policies})

    wire = Timed(
        clock, told('"day";r=9;t=50, "x";r=9;t=9'), told('"search";r=0;t=20'), told('"day";r=8;t=50'), told('"x";r=5;t=9')
    )
    limiter = RateLimiter()
    transport = limited(world, wire, limiter, clock)
    for path in ("a", "search", "b", "search"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 20]
    assert limiter._parts == {}


async def test_a_refusal_for_one_bucket_and_for_all(world: World, clock: FakeClock) -> None:
    """A refusal pauses the requests of its bucket, or those of the whole key if the response says that it is global."""
    named = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset-After": "1.0"}
    one = response(200, {**named, "X-RateLimit-Bucket": "a"})
    two = response(200, {**named, "X-RateLimit-Bucket": "b"})
    only = response(429, {"Retry-After": "3", "X-RateLimit-Bucket": "b"})
    every = response(429, {"Retry-After": "7", "X-RateLimit-Global": "true", "X-RateLimit-Bucket": "b"})
    wire = Timed(clock, one, two, only, 200, 200, every, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("a", "b", "b", "a", "b", "b", "a", "b"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 0, 3, 3, 10, 10]


async def test_many_routes(world: World, clock: FakeClock) -> None:
    """The number of remembered routes is bounded."""
    limiter = RateLimiter()
    transport = limited(world, wire := Scripted(), limiter, clock)
    for number in range(1010):
        wire.steps.append(response(200, {"X-RateLimit-Bucket": f"b{number}"}))
        await world.send(transport, url=f"{URL}{number}")
    assert (len(limiter._parts), len(limiter._states)) == (1000, 1000)

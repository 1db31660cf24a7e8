"""Buckets and policies that the server names, and routes: each has its own limits and pauses."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import RateLimiter
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, Timed, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited


async def test_buckets(world: World, clock: FakeClock) -> None:
    """Routes whose responses name the same bucket (as Discord does) wait together, and each bucket on its own."""

    def told(bucket: str, remaining: int) -> Any:
        left = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset-After": "30.0"}
        return response(200, {**left, "X-RateLimit-Bucket": bucket})

    wire = Timed(clock, told("a", 4), told("b", 1), told("b", 0), told("a", 3), told("b", 4), told("b", 3), told("a", 2))
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("a", "b", "c", "a", "b", "c", "new"):
        await world.send(transport, url=URL + path)
    assert wire.times[:4] == [0, 0, 0, 0]
    assert 30 <= wire.times[4] <= 30.5
    assert len(set(wire.times[4:])) == 1


async def test_policies_are_buckets_too(world: World, clock: FakeClock) -> None:
    """Routes without a common RateLimit policy are counted separately."""

    def told(policies: str) -> Any:
        return response(200, {"RateLimit": policies})

    wire = Timed(
        clock, told('"day";r=9;t=50, "x";r=9;t=9'), told('"search";r=0;t=20'), told('"day";r=8;t=50'), told('"x";r=5;t=9')
    )
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("a", "search", "b", "search"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 20]


async def test_a_refusal_of_one_route_and_of_all(world: World, clock: FakeClock) -> None:
    """A refusal pauses the requests of its route, or those of the whole key if the response says that it is global."""
    only = response(429, {"Retry-After": "30", "X-RateLimit-Scope": "user", "X-RateLimit-Bucket": "b"})
    every = response(429, {"Retry-After": "7", "X-RateLimit-Global": "true"})
    wire = Timed(clock, 200, 200, only, 200, 200, every, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("a", "b", "b", "a", "b", "b", "a", "b"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 0, 30, 30, 37, 37]


async def test_identifiers_in_paths(world: World, clock: FakeClock) -> None:
    """Paths that differ in identifiers only, and in the query, are one route; other words are another one."""
    wire = Timed(clock, response(429, {"Retry-After": "30"}), 200, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("users/17/orders", "users/17", "orders", "users/0b9e3c1e-7d1b-4a58-9f0f-0d6c7c3d5a11/orders?page=2"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 30]


@pytest.mark.parametrize(
    ("route", "held"),
    [
        (None, [True, True, True]),
        (lambda request: request.method, [False, False, True]),
        (lambda request: request.headers.get("x-part"), [False, True, True]),
    ],
    ids=["none", "method", "header"],
)
async def test_own_routes(world: World, clock: FakeClock, route: Any, held: list[bool]) -> None:
    """`route` says which requests have limits of their own; with None all requests of a key are one route."""
    for (method, path, part), waits in zip([("GET", "b", "two"), ("GET", "a", "one"), ("POST", "b", "one")], held):
        wire = Timed(clock, response(429, {"Retry-After": "30"}), 200)
        transport = limited(world, wire, RateLimiter(route=route), clock)
        await world.send(transport, "POST", URL + "a", headers={"X-Part": "one"})
        await world.send(transport, method, URL + path, headers={"X-Part": part})
        assert wire.times == [0, 30 if waits else 0]


async def test_many_routes(world: World, clock: FakeClock) -> None:
    """At most 64 routes of a key are told apart, and those of which nothing is known are forgotten; the rest are one."""
    limiter = RateLimiter()
    transport = limited(world, wire := Scripted(), limiter, clock)
    words = [f"{first}{second}" for first in "abcdefghij" for second in "klmnopqrst"]
    for word in words:
        wire.steps.append(response(200, {"X-RateLimit-Bucket": word}))
        await world.send(transport, url=URL + word)
    (gate,) = limiter._gates.values()
    assert list(gate.lanes) == [f"/{word}" for word in words[-64:]]
    quota = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset": "30"}
    for word in words:
        wire.steps.append(response(200, {**quota, "X-RateLimit-Bucket": word}))
        await world.send(transport, url=f"{URL}{word}-")
    assert list(gate.lanes) == [*(f"/{word}-" for word in words[:64]), None]

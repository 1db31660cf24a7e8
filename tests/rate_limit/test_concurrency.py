"""The concurrency limit: requests in flight, their bodies included."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ratewise import RateLimiter
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited, queued


async def test_concurrency(world: World) -> None:
    """No more than `concurrency` requests are in flight until their bodies end; the others wait in the queue."""
    peak, now, total = 0, 0, 0
    lock, together = threading.Lock(), threading.Barrier(3)

    def answer(received: Received) -> Reply:
        nonlocal peak, now, total
        with lock:
            now, total = now + 1, total + 1
            peak, number = max(peak, now), total
        if 2 <= number <= 4:  # the first request of a key goes alone
            together.wait(PATIENCE)
        with lock:
            now -= 1
        return Reply()

    with LocalServer(answer) as server:
        limiter = RateLimiter(concurrency=3)
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(*[call] * 12)
    assert peak == 3


async def test_who_waits_for_a_place_sleeps(world: World) -> None:
    """A caller that waits for a slot sleeps until it is woken; it does not poll."""
    limiter, polls, clock = RateLimiter(concurrency=1), list[float](), FakeClock()
    poll = limiter._queue.poll

    def counted(ticket: Any, now: float) -> float:
        polls.append(now)
        return poll(ticket, now)

    limiter._queue.poll = counted  # type: ignore[method-assign]  (to count)

    def answer(received: Received) -> Reply:
        if len(server.received) == 1:
            queued(limiter, 1)
            clock.wait_for(1)
        return Reply()

    with LocalServer(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False, clock=clock)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(call, call)
    assert len(polls) <= 4


async def test_concurrency_holds_the_body(world: World, clock: FakeClock) -> None:
    """A slot is released when the body is closed or when the request fails."""
    limiter = RateLimiter(concurrency=1, max_wait=0.5)
    wire = Scripted(response(200, body=Body(b"abc")), 200, failing("ReadError"), 200)
    async with world.within(world.Client(transport=limited(world, wire, limiter, clock))) as client:
        async with world.within(client.stream("GET", URL)):
            with pytest.raises(world.ratewise.WaitTooLong, match="concurrency limit reached"):
                await world(client.get, URL)
        assert (await world(client.get, URL)).status_code == 200
        with pytest.raises(world.httpx.ReadError):
            await world(client.get, URL)
        assert (await world(client.get, URL)).status_code == 200

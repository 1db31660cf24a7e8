"""How many connections there are: what is let go at once by a rate limiter is at most that."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import RateLimiter, RateLimitLayer
from ratewise.rate_limit.meter import WIDTH
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted
from tests.kit.world import World

URL = "https://api.example.com/"


@pytest.mark.parametrize(
    ("limits", "width"), [({}, WIDTH), ({"max_connections": 7}, 7), ({"max_keepalive_connections": 3}, WIDTH)]
)
async def test_the_width_of_a_stack(world: World, limits: dict[str, Any], width: int) -> None:
    """A client or transport tells its limiter of its `limits`; without them, or without a limit on connections, it is WIDTH."""
    limiter = RateLimiter()
    given = {"limits": world.httpx.Limits(**limits)} if limits else {}
    client = world.RateWiseClient(URL, transport=Scripted(200), rate_limiter=limiter, **given)
    assert (await world(client.get, "/")).status_code == 200
    assert [gate.width for gate in limiter._gates.values()] == [width]


def test_the_width_of_a_layer() -> None:
    """A layer that was told of no connections takes WIDTH."""
    assert [RateLimitLayer(width=width)._width for width in (None, 5)] == [WIDTH, 5]


async def test_no_more_at_once_than_connections(world: World, clock: FakeClock) -> None:
    """Of many calls only so many are on the way in the first instant."""
    on_the_way = most = 0

    async def slow(request: Any) -> Any:
        nonlocal on_the_way, most
        on_the_way += 1
        most = max(most, on_the_way)
        await world(clock.sleep if world.is_sync else clock.asleep, 0.001)
        on_the_way -= 1
        return world.httpx.Response(200)

    limits = world.httpx.Limits(max_connections=5)
    client = world.RateWiseClient(
        URL, transport=Scripted(otherwise=slow), rate_limiter=RateLimiter(rate=1000, burst=20), limits=limits, clock=clock
    )

    async def one() -> Any:
        return await world(client.get, "/")

    await world.gather(*[one] * 15)
    assert 1 <= most <= 5

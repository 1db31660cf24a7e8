"""`WaitTooLong`: what it says, and the refusal that it carries."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from ratewise import RateLimiter
from ratewise._core.call_state import CallState
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, response
from tests.kit.world import World

URL = "https://api.example.com/"
ORIGIN = ("https", "api.example.com", None)


@pytest.mark.parametrize(
    ("waited", "left", "told"),
    [
        (0.0, 7.5, "max_wait exceeded: the next slot for https://api.example.com opens in 7.5 s (why)"),
        (2.0, 7.5, "max_wait exceeded after 2 s: the next slot for https://api.example.com opens in 7.5 s (why)"),
        (
            2.0,
            0.0,
            "max_wait exceeded after 2 s: the next slot for https://api.example.com opens only when others are answered (why)",
        ),
    ],
)
def test_what_it_says(world: World, waited: float, left: float, told: str) -> None:
    """How long it has waited, and when there is a slot, as far as that is known; no response if nothing was refused."""
    error = world.ratewise.WaitTooLong(world.httpx.Request("GET", URL), CallState(), ORIGIN, waited, left, "why", "max_wait")
    assert str(error) == f"GET {URL} was not sent: {told}"
    assert (error.response, error.attempts, error.retry_after) == (None, 0, left)


async def test_the_refusal_that_it_carries(world: World, clock: FakeClock) -> None:
    """Status code and rate-limit fields of the last refusal of its route, read and closed, as the answer to its own request."""
    fields = {"Retry-After": "120", "X-RateLimit-Remaining": "0", "Set-Cookie": "secret=1", "Content-Length": "4"}
    wire = Scripted(response(429, fields, b"secr"), otherwise=200)
    async with world.within(
        world.RateWiseClient(URL, transport=wire, clock=clock, rate_limiter=RateLimiter(max_wait=5), max_retries=0)
    ) as client:
        with pytest.raises(world.ratewise.RateLimitExceeded):
            await world(client.get, "/")
        with pytest.raises(world.ratewise.WaitTooLong) as raised:
            await world(client.get, "/?again")
    error: Any = raised.value
    assert (error.attempts, error.retry_after) == (0, 120)
    carried = error.response
    assert (carried.status_code, carried.text, carried.is_closed) == (429, "", True)
    assert (carried.headers["retry-after"], "set-cookie" in carried.headers) == ("120", False)
    assert carried.request is error.request
    assert str(carried.url) == f"{URL}?again"
    assert pickle.loads(pickle.dumps(error)).response.status_code == 429
    assert len(wire.sent) == 1


async def test_none_is_carried_where_nothing_was_refused(world: World, clock: FakeClock) -> None:
    """Nobody has answered a request of a limit that the user states."""
    limiter = RateLimiter(rate=1, per=60, max_wait=5)
    async with world.within(world.RateWiseClient(URL, transport=Scripted(200), clock=clock, rate_limiter=limiter)) as client:
        await world(client.get, "/")
        with pytest.raises(world.ratewise.WaitTooLong) as raised:
            await world(client.get, "/")
    assert raised.value.response is None

"""What a probe tells whose caller streams the body."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from ratewise.testing import FakeClock
from tests.circuit_breaker.guards import brittle, guarded, outcome
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World


async def test_a_streamed_probe_is_judged_by_its_head(world: World, clock: FakeClock) -> None:
    """A probe through a bare transport or `stream()` closes the circuit with its good head, whatever becomes of the body."""
    for bare in (True, False):
        guard = brittle()
        wire = Scripted(500, response(body=Body(b"a", error=failing("ReadError"))), 200)
        client = world.RateWiseClient(
            "https://api.example.com", transport=wire, circuit_breaker=guard, clock=clock, max_retries=0
        )
        await world(client.get, "/")
        clock.advance(60)
        async with contextlib.AsyncExitStack() as stack:
            if bare:
                probe = await world.send(client._transport)
            else:
                probe = await stack.enter_async_context(world.within(client.stream("GET", "/")))
            assert guard.get_state()["state"] == "closed"
            assert (await world(client.get, "/")).status_code == 200
            with pytest.raises(world.httpx.ReadError):
                await world.read(probe)
        assert guard.get_state()["state"] == "closed"
        await world.close(client)


async def test_a_streamed_probe_with_a_bad_or_late_head(world: World, clock: FakeClock) -> None:
    """A bad head, and a slow one, open the circuit again."""

    def late(request: Any) -> Any:
        clock.advance(2)
        return response(body=Body(b"a"))

    for step in (response(503, body=Body(b"a")), late):
        guard = brittle(slow_call_duration=2)
        transport = guarded(world, Scripted(500, step), guard, clock)
        await outcome(world, transport)
        clock.advance(60)
        await world.read(await world.send(transport))
        assert guard.get_state()["state"] == "open"

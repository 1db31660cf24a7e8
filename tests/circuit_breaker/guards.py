"""Helpers: breakers around a wire, and requests through them."""

from __future__ import annotations

from typing import Any

from ratewise import CircuitBreaker
from ratewise._core.exchange import begin
from ratewise.testing import FakeClock
from tests.kit.world import World


def guarded(world: World, wire: Any, guard: CircuitBreaker, clock: FakeClock | None = None) -> Any:
    kind = world.ratewise.CircuitBreakerTransport if world.is_sync else world.ratewise.AsyncCircuitBreakerTransport
    return kind(wire, guard, clock=clock)


def brittle(**settings: Any) -> CircuitBreaker:
    """A breaker that one failure opens and one success closes."""
    return CircuitBreaker(**{"failure_threshold": 1, "success_threshold": 1, "jitter": 0, **settings})


async def unstreamed(world: World, transport: Any) -> Any:
    """Send a request whose caller reads the whole body, as `client.get()` does, and return the response unread."""
    request = world.httpx.Request("GET", "https://api.example.com/")
    begin(request, streamed=False)
    return await world.send(transport, request=request)


async def outcome(world: World, transport: Any) -> Any:
    """Send a request that is not streamed, and read its body: the status, or the name of the error."""
    try:
        result = await unstreamed(world, transport)
        await world.read(result)
        return result.status_code
    except Exception as error:
        return type(error).__name__

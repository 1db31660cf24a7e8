"""A transport with a rate limiter, in each world."""

from __future__ import annotations

from typing import Any

import ratewise
import ratewise.httpx2
from tests.kit.clock import FakeClock
from tests.kit.world import World


def limited(world: World, wire: Any, limiter: ratewise.RateLimiter | None, clock: FakeClock | None = None) -> Any:
    """A transport with a rate limiter, of this world."""
    kind = world.ratewise.RateLimitTransport if world.is_sync else world.ratewise.AsyncRateLimitTransport
    return kind(wire, limiter, clock=clock)

"""Transports with a rate limiter, and the state of its queues."""

from __future__ import annotations

from typing import Any

from ratewise import RateLimiter
from ratewise.testing import FakeClock
from tests.kit.patience import wait_until
from tests.kit.world import World

URL = "https://api.example.com/"


def limited(world: World, wire: Any, limiter: RateLimiter | None, clock: FakeClock | None = None) -> Any:
    """Return a rate-limited transport of the world's kind."""
    kind = world.ratewise.RateLimitTransport if world.is_sync else world.ratewise.AsyncRateLimitTransport
    return kind(wire, limiter, clock=clock)


def queued(limiter: RateLimiter, number: int) -> None:
    """Block until this many requests wait in the limiter's queues."""
    wait_until(lambda: waiting(limiter) >= number)


def waiting(limiter: RateLimiter) -> int:
    """The number of requests that wait in the limiter's queues."""
    return sum(len(lane.queue) for gate in list(limiter._gates.values()) for lane in list(gate.lanes.values()))

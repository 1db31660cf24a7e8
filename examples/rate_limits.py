"""Fifty tasks against an API with a rate limit: with retries alone, and with the rate limiter.

Run it with `python examples/rate_limits.py`. It needs no network: the API is a `LimitedServer` on this machine.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ratewise import AsyncRateWiseClient, RetryConfig
from ratewise.testing import FixedWindow, LimitedServer

LIMIT, WINDOW = 60, 1.0  # the API accepts this many requests in this many seconds, and refuses the others
TASKS, REQUESTS = 50, 150
LINE = 0.125  # seconds per line of the plot
logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the plot shows it


async def measure(what: str, tells: str | None = "x-ratelimit", **settings: Any) -> None:
    """Send all requests with a client of these settings, and print what the server received."""
    with LimitedServer(FixedWindow(LIMIT, per=WINDOW), tells=tells, latency=0.015) as api:
        async with AsyncRateWiseClient(base_url=api.url, trust_env=False, **settings) as client:

            async def task() -> None:
                for _ in range(REQUESTS // TASKS):
                    await client.get("/items")  # a last 429 would raise

            await asyncio.gather(*(task() for _ in range(TASKS)))
    print(f"{what}: {REQUESTS} requests done in {api.log[-1].at:.1f} s, {api.refused} refused on the way")
    plot([(entry.at, entry.accepted) for entry in api.log])


def plot(came: list[tuple[float, bool]]) -> None:
    """Print a line for each eighth of a second: # for every two accepted requests, . for every two refused ones."""
    lines: dict[int, str] = {}
    for at, accepted in came:
        number = int(at / LINE)
        lines[number] = lines.get(number, "") + ("#" if accepted else ".")
    for number in range(max(lines) + 1):
        print(f"{number * LINE:6.2f} s  {lines.get(number, '')[::2]}".rstrip())


async def main() -> None:
    print(f"No client can be faster than {LimitedServer(FixedWindow(LIMIT, per=WINDOW)).fastest(REQUESTS):.1f} s")
    # Each request waits on its own, as long as its 429 says, and knows nothing of the others.
    await measure("Retries alone", rate_limiter=None, retry_config=RetryConfig(max_attempts=50, budget=False))
    # All requests wait in one queue, which advances as the server allows. Single requests find out when the window ends.
    await measure("With the rate limiter")
    # Only 429s: a few requests, one at a time, find out when the API accepts more, and how many.
    await measure("With the rate limiter, and an API that says nothing", tells=None)


asyncio.run(main())

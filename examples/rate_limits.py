"""Fifty tasks against an API with a rate limit: with retries alone, and with the rate limiter.

Run it with `python examples/rate_limits.py`. It needs no network: the API is a small class in this file.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import httpx

from ratewise import AsyncRateWiseClient, RetryConfig

LIMIT, WINDOW = 60, 1.0  # the API accepts this many requests in this many seconds, and refuses the others
TASKS, REQUESTS = 50, 150
LINE = 0.125  # seconds per line of the plot
logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the plot shows it


class Api(httpx.AsyncBaseTransport):
    """An API that counts requests in windows. A window begins with the first request after the previous one has ended."""

    def __init__(self, tells: bool) -> None:
        self.tells = tells  # whether answers have the remaining requests and the reset of the window
        self.came: list[tuple[float, bool]] = []  # when each request arrived, and whether it was accepted
        self._left, self._turns_at = 0, -math.inf

    def take(self) -> tuple[bool, int, int]:
        """Count a request: whether it is accepted, how many remain, and the seconds until the window ends, rounded up."""
        now = asyncio.get_running_loop().time()
        if now >= self._turns_at:
            self._left, self._turns_at = LIMIT, now + WINDOW
        accepted = self._left > 0
        self._left -= accepted
        self.came.append((now, accepted))
        return accepted, self._left, math.ceil(self._turns_at - now)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        accepted, left, seconds = self.take()
        headers: dict[str, str] = {}
        if self.tells:
            headers = {"X-RateLimit-Limit": f"{LIMIT}", "X-RateLimit-Remaining": f"{left}", "X-RateLimit-Reset": f"{seconds}"}
            if not accepted:
                headers["Retry-After"] = f"{seconds}"
        await asyncio.sleep(0.015)  # the time to the API and back
        return httpx.Response(200 if accepted else 429, headers=headers)


async def measure(what: str, tells: bool = True, **settings: Any) -> None:
    """Send all requests with a client of these settings, and print what the server received."""
    api, loop = Api(tells), asyncio.get_running_loop()
    async with AsyncRateWiseClient("https://api.example.com", transport=api, **settings) as client:

        async def task() -> None:
            for _ in range(REQUESTS // TASKS):
                await client.get("/items")  # a last 429 would raise

        started = loop.time()
        await asyncio.gather(*(task() for _ in range(TASKS)))
        seconds = loop.time() - started
    refused = sum(not accepted for _, accepted in api.came)
    print(f"{what}: {REQUESTS} requests done in {seconds:.1f} s, {refused} refused on the way")
    plot(api.came)


def plot(came: list[tuple[float, bool]]) -> None:
    """Print a line for each eighth of a second: # for every two accepted requests, . for every two refused ones."""
    lines: dict[int, str] = {}
    for at, accepted in came:
        number = int((at - came[0][0]) / LINE)
        lines[number] = lines.get(number, "") + ("#" if accepted else ".")
    for number in range(max(lines) + 1):
        print(f"{number * LINE:6.2f} s  {lines.get(number, '')[::2]}".rstrip())


async def main() -> None:
    # Each request waits on its own, as long as its 429 says, and knows nothing of the others.
    await measure("Retries alone", rate_limiter=None, retry_config=RetryConfig(max_attempts=50, budget=False))
    # All requests wait in one queue, which advances as the server allows. Single requests find out when the window ends.
    await measure("With the rate limiter")
    # Only 429s: a few requests, one at a time, find out when the API accepts more, and how many.
    await measure("With the rate limiter, and an API that says nothing", tells=False)


asyncio.run(main())

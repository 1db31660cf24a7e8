"""Fifty tasks against an API with a rate limit: what retries alone make of it, and what the rate limiter does.

Run it with `python examples/rate_limits.py`. It needs no network: the API is a small class of its own.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import httpx

from ratewise import AsyncRateWiseClient, RetryConfig

LIMIT, WINDOW = 60, 1.0  # the API takes so many requests in so many seconds, and refuses the others
TASKS, REQUESTS = 50, 150
LINE = 0.125  # seconds in a line of the plot
logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the plot tells it


class Api(httpx.AsyncBaseTransport):
    """Counts requests in windows. A window begins with the first request that comes when the last one is over."""

    def __init__(self, tells: bool) -> None:
        self.tells = tells  # what is left, and when its window turns
        self.came: list[tuple[float, bool]] = []  # when each request came, and whether it was accepted
        self._left, self._turns_at = 0, -math.inf

    def take(self) -> tuple[bool, int, int]:
        """Whether a request is accepted, how many more would be, and in how many seconds the window turns, rounded up."""
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
        await asyncio.sleep(0.015)  # the way there and back
        return httpx.Response(200 if accepted else 429, headers=headers)


async def measure(what: str, tells: bool = True, **settings: Any) -> None:
    """Send all requests with a client that has these settings, and show what the server has seen."""
    api, loop = Api(tells), asyncio.get_running_loop()
    async with AsyncRateWiseClient("https://api.example.com", transport=api, **settings) as client:

        async def task() -> None:
            for _ in range(REQUESTS // TASKS):
                await client.get("/items")  # a 429 that is left in the end would be raised

        started = loop.time()
        await asyncio.gather(*(task() for _ in range(TASKS)))
        seconds = loop.time() - started
    refused = sum(not accepted for _, accepted in api.came)
    print(f"{what}: {REQUESTS} requests done in {seconds:.1f} s, {refused} refused on the way")
    plot(api.came)


def plot(came: list[tuple[float, bool]]) -> None:
    """A line for each eighth of a second: # for every two requests that were accepted, . for two that were refused."""
    lines: dict[int, str] = {}
    for at, accepted in came:
        number = int((at - came[0][0]) / LINE)
        lines[number] = lines.get(number, "") + ("#" if accepted else ".")
    for number in range(max(lines) + 1):
        print(f"{number * LINE:6.2f} s  {lines.get(number, '')[::2]}".rstrip())


async def main() -> None:
    # Each request waits by itself, as long as its own 429 says, and knows of no other.
    await measure("Retries alone", rate_limiter=None, retry_config=RetryConfig(max_attempts=50, budget=False))
    # All wait in one line, which moves as the server allows. Single requests find out when its window turns.
    await measure("With the rate limiter")
    # Nothing but 429: a few requests, one at a time, find out when more are accepted, and how many.
    await measure("With the rate limiter, and an API that says nothing", tells=False)


asyncio.run(main())

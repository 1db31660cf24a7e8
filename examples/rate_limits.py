"""Fifty tasks against an API with a rate limit: what retries alone make of it, and what the rate limiter does.

Run it with `python examples/rate_limits.py`. It needs no network: the API is a small local server.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ratewise import AsyncRateWiseClient, RetryConfig

LIMIT, WINDOW = 60, 1.0  # the API takes so many requests in so many seconds, and refuses the others
TASKS, REQUESTS = 50, 150
LINE = 0.125  # seconds in a line of the plot
logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the plot tells it


class Api(ThreadingHTTPServer):
    """Counts requests in windows. A window begins with the first request that comes when the last one is over."""

    request_queue_size = TASKS  # that many connect at once
    daemon_threads = False  # closing waits for them

    def __init__(self, tells: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tells = tells  # what is left, and when its window turns
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.came: list[tuple[float, bool]] = []  # when each request came, and whether it was accepted
        self._lock = threading.Lock()
        self._left, self._turns_at = 0, 0.0

    def take(self) -> tuple[bool, int, int]:
        """Whether a request is accepted, how many more would be, and in how many seconds the window turns, rounded up."""
        with self._lock:
            now = time.monotonic()
            if now >= self._turns_at:
                self._left, self._turns_at = LIMIT, now + WINDOW
            accepted = self._left > 0
            self._left -= accepted
            self.came.append((now, accepted))
            return accepted, self._left, math.ceil(self._turns_at - now)

    def __enter__(self) -> Api:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"  # keeps connections

    def do_GET(self) -> None:
        accepted, left, seconds = self.server.take()
        time.sleep(0.015)  # the way there and back
        self.send_response(200 if accepted else 429)
        if self.server.tells:
            self.send_header("X-RateLimit-Limit", str(LIMIT))
            self.send_header("X-RateLimit-Remaining", str(left))
            self.send_header("X-RateLimit-Reset", str(seconds))
            if not accepted:
                self.send_header("Retry-After", str(seconds))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the plot tells it."""


async def measure(what: str, tells: bool = True, **settings: Any) -> None:
    """Send all requests with a client that has these settings, and show what the server has seen."""
    with Api(tells) as api:
        async with AsyncRateWiseClient(api.url, **settings) as client:

            async def task() -> None:
                for _ in range(REQUESTS // TASKS):
                    await client.get("/items")  # a 429 that is left in the end would be raised

            started = time.monotonic()
            await asyncio.gather(*(task() for _ in range(TASKS)))
            seconds = time.monotonic() - started
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

"""The async client: one client for many tasks, each request with its own retries.

Run it with `python examples/async_quickstart.py`. It needs no network: a small local server fails as scripted.
"""

from __future__ import annotations

import asyncio

from ratewise import AsyncRateWiseClient, ExponentialBackoff, exchange_of
from ratewise.testing import FaultServer

SCRIPTS = {
    "/fine": "200",
    "/limited": "429:0.2 200",  # too many requests for 0.2 seconds, then available again
    "/overloaded": "503 503 200",
    "/broken": "disconnect 200",  # the connection is closed without an answer
}


async def fetch(client: AsyncRateWiseClient, path: str) -> None:
    response = await client.get(path)
    exchange = exchange_of(response)
    print(f"GET {path}: {response.status_code}, requests sent: {exchange.attempts}")
    for attempt in exchange.history:
        print(f"  {attempt}")


async def main() -> None:
    with FaultServer(SCRIPTS) as server:
        async with AsyncRateWiseClient(server.url, backoff_strategy=ExponentialBackoff(initial_delay=0.1)) as client:
            await asyncio.gather(*(fetch(client, path) for path in SCRIPTS))
            print(f"So far: {client.get_retry_stats()}")


asyncio.run(main())

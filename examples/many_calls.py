"""Many calls at once, some cancelled, and a fork: through a pool of five connections.

Run it with `python examples/many_calls.py`. It needs no network: a small local server answers after a hundredth of a second.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import httpx

from ratewise import AsyncRateWiseClient, RateWiseClient
from ratewise.testing import LocalServer, Received, Reply

LIMITS = httpx.Limits(max_connections=5)


def answer(received: Received) -> Reply:
    time.sleep(0.01)
    return Reply(body=received.target.encode())


async def crowd(url: str) -> None:
    async with AsyncRateWiseClient(url, limits=LIMITS, rate_limiter=None) as client:
        responses = await asyncio.gather(*(client.get(f"/{number}") for number in range(200)))
        right = sum(response.text == f"/{number}" for number, response in enumerate(responses))
        print(f"200 calls at once: {right} right answers")

        async def impatient() -> bool:
            try:
                await asyncio.wait_for(client.get("/slow"), random.uniform(0, 0.05))
            except asyncio.TimeoutError:
                return False
            return True

        ends = await asyncio.gather(*(impatient() for _ in range(200)))
        print(f"Impatient ones: {len(ends)}, some cancelled: {not all(ends)}")
        print(f"Afterwards: {(await client.get('/still')).status_code}")


def fork(url: str) -> None:
    with RateWiseClient(url, limits=LIMITS) as client:
        client.get("/parent")
        child = os.fork()
        if not child:
            print(f"The child, with a pool of its own: {client.get('/child').status_code}", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(f"The parent, on its old connection: {client.get('/parent').status_code}")


with LocalServer(answer) as server:
    asyncio.run(crowd(server.url))
    if hasattr(os, "fork"):  # not on Windows
        fork(server.url)

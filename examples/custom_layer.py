"""A layer of your own, written once: it runs in a sync client, under asyncio and under trio.

Run it with `python examples/custom_layer.py`. It needs no network: a small local server fails as scripted.
"""

from __future__ import annotations

import asyncio
import uuid
from importlib.util import find_spec

import httpx

from ratewise import AsyncLayerTransport, AsyncRateWiseTransport, Call, LayerTransport, RateWiseTransport
from ratewise.testing import FaultServer


class Traced:
    """Gives each request an id, and prints how long its response took. It may await only what `call` provides."""

    async def handle(self, request: httpx.Request, call: Call[httpx.Request, httpx.Response]) -> httpx.Response:
        request_id = uuid.uuid4().hex[:8]
        started = call.clock.monotonic()
        response = await call.send(call.http.with_header(request, "X-Request-ID", request_id))
        seconds = call.clock.monotonic() - started
        print(f"  {request_id}: {request.method} {request.url.path} {response.status_code} in {seconds:.2f} s")
        return response


def use_sync(url: str) -> None:
    with httpx.Client(transport=LayerTransport(RateWiseTransport(), Traced())) as client:
        client.get(url)


async def use_async(url: str) -> None:
    async with httpx.AsyncClient(transport=AsyncLayerTransport(AsyncRateWiseTransport(), Traced())) as client:
        await client.get(url)


with FaultServer({"/sync": "429:0.1 200", "/asyncio": "429:0.1 200", "/trio": "429:0.1 200"}) as server:
    print("Around the retries, so that one id and one time stand for all attempts:")
    use_sync(f"{server.url}/sync")
    asyncio.run(use_async(f"{server.url}/asyncio"))
    if find_spec("trio"):
        import trio

        trio.run(use_async, f"{server.url}/trio")

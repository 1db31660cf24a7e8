"""Retries in a client that you already have: a plain `httpx.Client`, or a library that accepts one.

Run it with `python examples/existing_client.py`. It needs no network: a small local server fails as scripted.
"""

from __future__ import annotations

from typing import Any

import httpx

from ratewise import ExponentialBackoff, RateWiseTransport
from ratewise.testing import FaultServer

BACKOFF = ExponentialBackoff(initial_delay=0.1)


class PaymentsSDK:
    """Stands for the client library of some API. It does not use RateWise."""

    def __init__(self, http_client: httpx.Client) -> None:
        self._http = http_client

    def balance(self) -> Any:
        return self._http.get("/balance").raise_for_status().json()


with FaultServer({"/users": "503 503 200", "/balance": "429:0.2 disconnect 200"}) as server:
    with httpx.Client(transport=RateWiseTransport(max_retries=5, backoff_strategy=BACKOFF)) as client:
        response = client.get(f"{server.url}/users")
        print(f"Your own client: {response.status_code}, requests sent: {response.extensions['ratewise'].attempts}")

    # Settings of the connection (TLS, HTTP/2, limits, proxies) are arguments of the transport, not of the client.
    transport = RateWiseTransport(max_retries=5, backoff_strategy=BACKOFF, limits=httpx.Limits(max_connections=10))
    with httpx.Client(base_url=server.url, transport=transport) as client:
        print(f"A library's client: {PaymentsSDK(http_client=client).balance()}")

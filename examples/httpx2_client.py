"""httpx2 beside httpx: both share the rules, and each has its own clients and errors.

Run it with `python examples/httpx2_client.py`; it needs `pip install 'ratewise[httpx2]'`, and no network.
"""

from __future__ import annotations

import httpx2

import ratewise.exceptions
import ratewise.httpx2
from ratewise import ExponentialBackoff, RetryBudget, RetryConfig, exchange_of
from ratewise.testing import FaultServer

# One set of rules for both libraries: its budget counts the retries of both.
CONFIG = RetryConfig(max_attempts=3, backoff=ExponentialBackoff(initial_delay=0.05), budget=RetryBudget(ratio=0.1))

with FaultServer({"/users": "503 disconnect 200", "/orders": "503 200", "/quota": "429:3600"}) as server:
    with ratewise.httpx2.RateWiseClient(server.url, retry_config=CONFIG) as client:
        response = client.get("/users")
        print(f"RateWiseClient, an {httpx2.Client.__module__}.Client: {response.status_code}")
        for attempt in exchange_of(response).history:
            print(f"  {attempt}")

    # A client that you already have, or that an SDK accepts.
    with httpx2.Client(transport=ratewise.httpx2.RateWiseTransport(retry_config=CONFIG)) as plain:
        print(f"Your own client: {plain.get(f'{server.url}/orders').status_code}")

    # Each error belongs to its library and to RateWise; those in `ratewise.exceptions` catch both libraries'.
    for package in (ratewise, ratewise.httpx2):
        with package.RateWiseClient(server.url) as client:
            try:
                client.get("/quota")
            except httpx2.HTTPStatusError as error:
                print(f"httpx2.HTTPStatusError: {error.response.status_code}")
            except ratewise.exceptions.RateLimitExceeded as error:
                print(f"ratewise.exceptions.RateLimitExceeded: try again in {error.retry_after:.0f} s")

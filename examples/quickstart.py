"""The bundled client: it retries, logs each retry, and raises when a rate limit does not end.

Run it with `python examples/quickstart.py`. It needs no network: a small local server fails as scripted.
The lines that begin with "Retry:" are RateWise's log, as Python shows it (on stderr) if logging is not configured.
"""

from __future__ import annotations

from ratewise import ExponentialBackoff, RateLimitExceeded, RateWiseClient, exchange_of
from ratewise.testing import FaultServer

SCRIPTS = {
    "/users": "503 429:0.2 200",  # overloaded, then too many requests for 0.2 seconds, then available again
    "/search": "429:3600",  # try again in an hour
}

BACKOFF = ExponentialBackoff(initial_delay=0.1)

with FaultServer(SCRIPTS) as server, RateWiseClient(server.url, max_retries=5, backoff_strategy=BACKOFF) as client:
    response = client.get("/users")
    print(f"GET /users: {response.status_code} {response.json()}")
    for attempt in exchange_of(response).history:
        print(f"  {attempt}")
    print(f"  waits: {client.get_retry_delays()}")

    try:
        client.get("/search")
    except RateLimitExceeded as limit:
        print(f"GET /search: refused, requests sent: {limit.attempts}, retry after: {limit.retry_after} s")

    print(f"So far: {client.get_retry_stats()}")

"""A server that closes connections, cuts bodies short and hangs: which requests are sent again, and which never.

Run it with `python examples/hostile_server.py`. It needs no network: a small local server fails as scripted.
"""

from __future__ import annotations

import httpx

from ratewise import DeadlineExceeded, ExponentialBackoff, RateWiseClient, RetryBudget, RetryConfig, exchange_of, options
from ratewise.testing import FaultServer

SCRIPTS = {
    "/report": "disconnect truncate 200",  # no answer, then a body that breaks off, then the whole body
    "/payments": "disconnect",
    "/orders": "disconnect 201",
    "/silent": "hang",
    "/down": "503",
}


def show(what: str, outcome: httpx.Response | httpx.HTTPError, arrived: int) -> None:
    got = outcome.status_code if isinstance(outcome, httpx.Response) else type(outcome).__name__
    print(f"{what}: {got}, requests at the server: {arrived}")
    for attempt in exchange_of(outcome).history:
        print(f"  {attempt}")


config = RetryConfig(
    max_attempts=3,
    backoff=ExponentialBackoff(initial_delay=0.05),
    budget=RetryBudget(ratio=0.2, min_per_second=3),
)

# Retries only: a rate limiter would hold requests back from a server that is down.
server = FaultServer(SCRIPTS)
with server, RateWiseClient(server.url, retry_config=config, rate_limiter=None) as client:
    show("GET, which does no harm twice", client.get("/report"), len(server.requests["/report"]))

    try:
        client.post("/payments", json={"amount": 5})
    except httpx.TransportError as lost:  # only the server knows whether it was paid, so the request is not sent again
        show("POST", lost, len(server.requests["/payments"]))

    order = client.post("/orders", json={"item": 7}, extensions=options(idempotency_key="order-7"))
    show("POST with a key", order, len(server.requests["/orders"]))

    with RateWiseClient(server.url, total_timeout=0.5) as hurried:
        try:
            hurried.get("/silent")
        except DeadlineExceeded as late:
            show("Half a second in all", late, len(server.requests["/silent"]))

    calls = 50
    for _ in range(calls):
        client.get("/down")
    print(f"A server that fails everything: {calls} calls, {len(server.requests['/down'])} requests, not {3 * calls}")

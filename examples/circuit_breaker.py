"""A supplier dies and comes back: what its users see, second by second, and what the server is spared.

Run it with `python examples/circuit_breaker.py`. It needs no network: the supplier is a small local server. A second lasts a
tenth of one here.
"""

from __future__ import annotations

import logging
import time

import httpx

from ratewise import Bulkhead, CircuitBreaker, CircuitBreakerOpen, RateWiseClient, RetryConfig
from ratewise._demo import FlakyServer

SECOND = 0.1
logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the table below tells it

changes: list[str] = []
breaker = CircuitBreaker(
    failure_threshold=3,
    success_threshold=2,
    recovery_timeout=4 * SECOND,
    on_state_change=lambda key, old, new: changes.append(f"{old} -> {new}"),
)

# Three answers, then it drops connections and answers 503, and then it is back. What the breaker refuses does not reach it.
with FlakyServer({"/prices": "200 200 200 drop 503 drop 503 200"}) as server:
    client = RateWiseClient(
        server.url,
        circuit_breaker=breaker,
        bulkhead=Bulkhead(max_in_flight=5),  # a slow supplier does not tie up more than five of our workers
        retry_config=RetryConfig(max_attempts=1),
    )
    with client:
        for second in range(24):
            started = time.monotonic()
            try:
                seen = str(client.get("/prices").status_code)
            except CircuitBreakerOpen as error:
                seen = f"refused at once, worth trying in {(error.retry_after or 0) / SECOND:.0f} s"
            except httpx.TransportError as error:
                seen = type(error).__name__
            state = breaker.get_state()
            print(f"{second:>2} s  {state['state']:<9}  {seen:<42} {', '.join(changes)}".rstrip())
            changes.clear()
            time.sleep(max(0.0, SECOND - (time.monotonic() - started)))
        print(f"Requests at the server: {len(server.keys['/prices'])} of 24. Trips: {client.get_stats().circuit_breaker_trips}.")

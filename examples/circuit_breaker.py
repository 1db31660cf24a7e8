"""A supplier fails and recovers: what its users get, second by second, and how many requests the server is spared.

Run it with `python examples/circuit_breaker.py`. It needs no network: the supplier is a small local server. The script has its
own clock and does not wait.
"""

from __future__ import annotations

import logging

import httpx

from ratewise import Bulkhead, CircuitBreaker, CircuitBreakerOpen, Clock, RateWiseClient, RetryConfig
from ratewise.testing import FaultServer


class Seconds(Clock):
    """A clock that advances only when the script says so."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the table below shows it

clock = Seconds()
changes: list[str] = []
breaker = CircuitBreaker(
    failure_threshold=3,
    success_threshold=2,
    recovery_timeout=4,
    on_state_change=lambda key, old, new: changes.append(f"{old} -> {new}"),
)

# Three answers, then closed connections and 503s, then it works again. Requests that the breaker refuses do not reach it.
with FaultServer({"/prices": "200 200 200 disconnect 503 disconnect 503 200"}) as server:
    client = RateWiseClient(
        server.url,
        circuit_breaker=breaker,
        bulkhead=Bulkhead(max_in_flight=5),  # a slow supplier occupies at most five of our workers
        retry_config=RetryConfig(max_attempts=1),
        clock=clock,
    )
    with client:
        for second in range(24):
            try:
                seen = str(client.get("/prices").status_code)
            except CircuitBreakerOpen as error:
                seen = f"refused at once, worth trying in {error.retry_after or 0:.0f} s"
            except httpx.TransportError as error:
                seen = type(error).__name__
            state = breaker.get_state(now=clock.now)
            print(f"{second:>2} s  {state['state']:<9}  {seen:<42} {', '.join(changes)}".rstrip())
            changes.clear()
            clock.now += 1
        arrived, trips = len(server.requests["/prices"]), client.get_stats().circuit_breaker_trips
        print(f"Requests at the server: {arrived} of 24. Trips: {trips}.")

"""Statistics of a client."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from .forks import renew_after_fork

COUNTS = ("total_requests", "successful", "failed", "total_retries", "avg_retries", "circuit_breaker_trips")
"""The items of `get_retry_stats()`, all attributes of `ClientStats`."""


@dataclass(frozen=True)
class ClientStats:
    """The counts of one client since it was made. A request has failed if it raised or ended in 429 or 5xx."""

    total_requests: int
    """Requests of the user: one `client.get()` is one, including its redirects and retries."""
    successful: int
    failed: int
    total_retries: int
    circuit_breaker_trips: int = 0
    """How often the client's circuit breaker opened a circuit, including for other clients that share it."""

    @property
    def avg_retries(self) -> float:
        """Retries per request."""
        return self.total_retries / self.total_requests if self.total_requests else 0.0


class Counts:
    """Counts the requests of one client, for any number of threads and tasks."""

    def __init__(self) -> None:
        self._counts = 0, 0, 0
        """Requests, failed ones and retries. Replaced as a whole: an exception out of a signal handler leaves no half of it."""
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def record(self, status: int | None, retries: int) -> None:
        """Count a request that ended in this status, None if it raised, after `retries` retries."""
        failed = status is None or status == 429 or status >= 500
        with self._lock:
            counts = self._counts
            self._counts = counts[0] + 1, counts[1] + failed, counts[2] + retries

    def snapshot(self, trips: int) -> ClientStats:
        """Return the counts, with the `trips` of the circuit breaker."""
        total, failed, retries = self._counts
        return ClientStats(total, total - failed, failed, retries, trips)

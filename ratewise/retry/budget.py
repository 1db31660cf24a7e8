"""A bound on the retries that a server receives."""

from __future__ import annotations

from collections.abc import Hashable

from .._keywords import explained
from .._util.bounded_table import Table
from .._validation import factor

MAX_ORIGINS = 1000
"""Origins whose balance is remembered, at most. The oldest is forgotten first."""

MAX_SAVED = 100.0
"""Retries that can be saved up for one origin, at most, unless `min_per_second` is more."""


@explained()
class RetryBudget:
    """Bounds the load that retries add, for each server separately.

    - `ratio`: retries per request, at least 0: 0.2 adds at most 20 % to the load.
    - `min_per_second`: retries per second that are allowed in addition, at least 0. If it is less than 1, the first failure of a
      server that has received no request before is not retried.

    One budget may be shared by several `RetryConfig`s. Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(self, ratio: float = 0.2, min_per_second: float = 10.0) -> None:
        self.ratio = factor("ratio", ratio, least=0)
        self.min_per_second = factor("min_per_second", min_per_second, least=0)
        self._accounts = Table(lambda _: _Account(self.min_per_second), MAX_ORIGINS)
        """By origin. Each request adds 1 to `_accounts[origin].requests`, without a lock: two threads may add 1 together."""

    def __repr__(self) -> str:
        return f"RetryBudget(ratio={self.ratio!r}, min_per_second={self.min_per_second!r})"

    def _withdraw(self, origin: Hashable, now: float) -> bool:
        """Withdraw one retry to `origin`; return whether the budget allows it. `now`: seconds, monotonic."""
        account = self._accounts[origin]
        with self._accounts.lock:
            requests, account.requests = account.requests, 0
            passed = 0.0 if account.since is None else now - account.since
            earned = requests * self.ratio + passed * self.min_per_second
            account.since = now
            account.balance = min(account.balance + earned, max(MAX_SAVED, self.min_per_second))
            if account.balance < 1:
                return False
            account.balance -= 1
            return True


class _Account:
    __slots__ = ("balance", "requests", "since")

    def __init__(self, balance: float) -> None:
        self.balance = balance
        self.requests = 0
        """Sent since the last withdrawal."""
        self.since: float | None = None
        """When the last withdrawal was, in seconds on the monotonic clock."""

    def idle(self, now: float) -> bool:
        """Always: the oldest account can be forgotten first."""
        return True

"""How many retries a server is to bear."""

from __future__ import annotations

from collections.abc import Hashable

from .._keywords import explained
from .._util.bounded_table import Table
from .._validation import factor

ORIGINS = 1000
"""Servers that are remembered at most; the one that came first is forgotten first."""

SAVED = 100.0
"""Retries that a server without failures has in hand at most."""


@explained()
class RetryBudget:
    """Keeps retries from doubling the load of a server that fails everything: for each server, a part of what is sent to it.

    - `ratio`: retries for each request, at least 0: 0.2 adds at most a fifth to the load.
    - `min_per_second`: retries per second that are allowed beside these, at least 0. With less than 1 the first failure of a
      server that nothing was sent to before is not retried.

    One budget may be shared by several `RetryConfig`s. Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(self, ratio: float = 0.2, min_per_second: float = 10.0) -> None:
        self.ratio = factor("ratio", ratio, least=0)
        self.min_per_second = factor("min_per_second", min_per_second, least=0)
        self.accounts = Table(lambda _: _Account(self.min_per_second), ORIGINS)
        """By origin. Each new request adds 1 to `accounts[origin].requests`; two threads at once may add 1: no harm."""

    def __repr__(self) -> str:
        return f"RetryBudget(ratio={self.ratio!r}, min_per_second={self.min_per_second!r})"

    def withdraw(self, origin: Hashable, now: float) -> bool:
        """Whether one retry to `origin` may be sent; if so, it is paid for. `now`: seconds, monotonic."""
        account = self.accounts[origin]
        with self.accounts.lock:
            requests, account.requests = account.requests, 0
            passed = 0.0 if account.since is None else now - account.since
            earned = requests * self.ratio + passed * self.min_per_second
            account.since = now
            account.balance = min(account.balance + earned, max(SAVED, self.min_per_second))
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
        """When that was."""

    def idle(self, now: float) -> bool:
        """See `Entry`: the oldest goes first."""
        return True

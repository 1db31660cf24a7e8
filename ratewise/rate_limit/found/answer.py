"""What the phases see of the world."""

from __future__ import annotations

from typing import Any, NamedTuple

Kept = dict[str, Any]
"""What is known of a limit, as it outlives the process: names and numbers. See `kept` and `restored` of the phases."""


class Answer(NamedTuple):
    """A request that was answered. Times in seconds, monotonic."""

    sent: float
    now: float
    number: int
    """How many were sent before it."""
    total: int
    """How many have been sent by now."""
    accepted: int
    """How many others have been accepted by now."""
    taken: int
    """How many that were sent before it have not been refused."""
    others: int
    """How many were in flight when its answer came."""

    @property
    def there(self) -> float:
        """When it came there, about."""
        return (self.sent + self.now) / 2

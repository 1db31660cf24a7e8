"""What the phases of a discovered limit have in common: what they learn from, and what a limiter uses of them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

Kept = dict[str, Any]
"""What a snapshot keeps of a limit: names and numbers."""


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


class Phase(Protocol):
    """What is known at a time of a limit that the server does not state. `now`: seconds, monotonic."""

    reason: str
    """What a request waits for, for messages."""
    vague: bool
    """Whether no limit has been discovered yet."""
    opened: float
    """When the first request was answered that may count against what is used up."""
    accepted_since: int
    """Requests accepted from then on."""

    def free(self, now: float, in_flight: int) -> int:
        """Return how many requests may be sent now."""
        ...

    def opens(self, now: float, in_flight: int, ahead: int) -> float:
        """Return the seconds until a request with `ahead` others before it may be sent, as far as is known."""
        ...

    def come(self, now: float, taken: int) -> None:
        """Count a request that is sent now. `taken`: requests sent before it that have not been refused."""
        ...

    def accepted(self, answer: Answer) -> Phase | None:
        """Return what is known after a request was accepted; None if nothing holds requests back any longer."""
        ...

    def refused(self, answer: Answer, told: float | None) -> Phase | None:
        """Return what is known after a request was refused; None if the limit is not what it seemed to be.

        `told`: seconds that the server asks to wait. Requests that were in flight at the last refusal are recognized by their
        numbers.
        """
        ...

    def kept(self, now: float) -> Kept | None:
        """Return what a snapshot keeps; None if no limit has been discovered."""
        ...


class Known(Phase, Protocol):
    """A discovered limit, which is still valid after the server has refused everything for a while."""

    def resumed(self, answer: Answer) -> Phase:
        """Return what is known when the first request is accepted again."""
        ...

"""A limit that a server states: what all kinds have in common. Times are arguments, in seconds, monotonic."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._http.rate_limit_headers import Quota

ROUNDING_ERROR = 1e-6
"""Seconds that make no difference: more than the clock loses by rounding."""

ANSWER_TIMEOUT = 1.0
"""Seconds that other requests wait for the response to a probe, at most."""

_LIKELY_LENGTHS = (86_400.0, 3600.0, 1800.0, 900.0, 600.0, 300.0, 60.0, 30.0, 15.0, 10.0, 5.0)
"""Seconds: usual lengths of windows and of refills, and their multiples; the likeliest first."""


class ServerLimit(ABC):
    """A limit that the server states. `now`: seconds, monotonic. `in_flight`: requests sent that it may not have counted yet."""

    bucket: str | None = None
    """The name that the server gives to what is counted together."""
    limit: float = 0.0
    """Units, at most; 0 if that is not known."""
    asked_at = -math.inf
    """When a request was sent last that it binds, or an answer told of it."""

    def __init__(self, quota: Quota) -> None:
        self.name = quota.name
        self.cost = Cost(quota)

    @abstractmethod
    def free(self, now: float, in_flight: int, waiting: int) -> int:
        """Return how many requests may be sent now, while `waiting` requests are in the queue."""

    @abstractmethod
    def opens(self, now: float, in_flight: int, waiting: int, ahead: int) -> float:
        """Return the seconds until a request with `ahead` others before it may be sent, as far as is known."""

    def come(self, now: float) -> None:  # noqa: B027  (not all need it)
        """Count a request that is sent now."""

    @abstractmethod
    def idle(self, now: float) -> bool:
        """Return whether the limit can be forgotten without a loss."""

    @abstractmethod
    def spent(self, now: float, in_flight: int) -> bool:
        """Return whether no request is left for the time being."""

    @abstractmethod
    def told(self, quota: Quota, sent: float, now: float, others: int, refused: bool = False) -> None:
        """Learn from the response to a request that was sent at `sent`, and perhaps refused.

        `others`: requests that the server may have counted after that one.
        """

    def agrees(self, quota: Quota, sent: float, now: float) -> bool:
        """Return whether a response to another route can be about this limit."""
        return True

    def explains(self, told: float | None, now: float) -> bool:
        """Return whether it is used up, for at least as long as a refusal tells (in seconds, rounded up)."""
        return self.spent(now, 0) and self.opens(now, 0, 0, 0) + 1 >= (told or 0.0)

    def contradicted(self, sent: float, now: float) -> bool:
        """Return whether an answer that does not tell of it, to a request sent at `sent`, shows that it is no more."""
        return self.idle(sent) or (sent >= self.asked_at and self.spent(now, 0))


class Cost:
    """How much of a limit one request takes: 1 where requests are counted; of tokens and the like, about as much as it did."""

    def __init__(self, quota: Quota) -> None:
        self._fixed = quota.unit == "requests"
        self.each = 1.0

    def spent(self, units: float, limit: float) -> None:
        """So many units were taken by a request, of the `limit` that there are at most."""
        if not self._fixed:
            each = max(units, self.each + (units - self.each) / 16)  # who needs more is refused, who needs less waits a little
            self.each = max(min(each, limit), 1.0)


def only_whole(low: float, high: float) -> tuple[float, float]:
    """The only whole number of seconds above the one and up to the other, if there is just one."""
    whole = math.floor(low) + 1.0
    return (whole, whole) if whole <= high < whole + 1 else (low, high)


def likely_lengths(seconds: float, resolution: float) -> list[float]:
    """The lengths, the likeliest first, of which somebody tells so many seconds, rounded up or down."""
    units = [unit for unit in _LIKELY_LENGTHS if resolution >= 1 and abs(round(seconds / unit) * unit - seconds) <= resolution]
    return [*(round(seconds / unit) * unit for unit in units[:1]), seconds, seconds - resolution]


def roundest_time(low: float, high: float) -> float | None:
    """The likeliest time between these, in seconds."""
    for unit in (*_LIKELY_LENGTHS, 2.0, 1.0):
        number = math.floor(high / unit)
        if number >= 1 and number * unit >= low:
            return number * unit
    return None

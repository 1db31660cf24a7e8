"""How long to wait before a retry if the server does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from .._keywords import explained
from .._validation import factor, refusal, seconds

Jitter = Literal[True, False, "full", "equal", "decorrelated"]


class Backoff(Protocol):
    """What `backoff=` and `backoff_strategy=` accept."""

    def delay(self, attempt: int, *, previous: float, uniform: float) -> float:
        """Return the seconds to wait after the failed `attempt` (1 for the first), at least 0.

        `previous` is the wait before it (0.0 if there was none), `uniform` a random number from 0 to 1.
        """
        ...


@explained()
@dataclass(frozen=True)
class ExponentialBackoff:
    """`initial_delay`, multiplied by `multiplier` for each failed attempt, at most `max_delay`; then jitter is applied.

    - `initial_delay`, `max_delay`: seconds, at least 0. `multiplier`: at least 1.
    - `jitter`: how a delay d is randomized, so that clients that failed together do not return together. "full": from 0 to d.
      "equal": from d/2 to d. True: d plus or minus `jitter_ratio` (0 to 1) of it. False: d. "decorrelated": from
      `initial_delay` to three times the previous wait, at most `max_delay`.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    initial_delay: float = 1.0
    max_delay: float = 60.0
    multiplier: float = 2.0
    jitter: Jitter = "full"
    jitter_ratio: float = 0.1

    def __post_init__(self) -> None:
        seconds("initial_delay", self.initial_delay)
        seconds("max_delay", self.max_delay)
        factor("multiplier", self.multiplier, least=1)
        factor("jitter_ratio", self.jitter_ratio, least=0, most=1)
        if not isinstance(self.jitter, (bool, str)) or self.jitter not in get_args(Jitter):
            kind = ValueError if isinstance(self.jitter, str) else TypeError
            raise kind(refusal("jitter", self.jitter, 'one of True, False, "full", "equal" and "decorrelated"'))

    def _most_waited(self, max_attempts: int) -> float:
        """Return the seconds that all waits between so many attempts take at most; of more than 100, those between 100."""
        total = delay = 0.0
        for attempt in range(1, min(max_attempts, 100)):
            delay = self.delay(attempt, previous=delay, uniform=1.0)
            total += delay
        return total

    def delay(self, attempt: int, *, previous: float = 0.0, uniform: float = 0.5) -> float:
        """Return the seconds to wait after the failed `attempt` (1 for the first). `uniform`: a random number from 0 to 1."""
        if self.jitter == "decorrelated":
            low = min(self.initial_delay, self.max_delay)
            high = min(3 * max(previous, self.initial_delay), self.max_delay)
            return min(low + uniform * (high - low), high)  # rounding may lead above it
        try:
            grown = self.initial_delay * float(self.multiplier) ** (attempt - 1)  # an int would grow without end
        except OverflowError:
            grown = self.max_delay if self.initial_delay else 0.0
        delay = min(grown, self.max_delay)
        if self.jitter is True:
            return delay * (1 + self.jitter_ratio * (2 * uniform - 1))
        if self.jitter == "full":
            return delay * uniform
        return delay * ((1 + uniform) / 2) if self.jitter == "equal" else delay

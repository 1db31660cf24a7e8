"""What the layers of a stack hand one another about one call of the user. Private: `Exchange` is what users see of it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._redaction.masker import DEFAULT, Masker
from .._util.durations import in_seconds

if TYPE_CHECKING:
    from .._http.throttling import Outcome


KEY = "ratewise"
"""Under this name a request's `extensions` carry the `Options` of its caller, and from then on the `Exchange`."""


class Options(NamedTuple):
    """What `options()` makes."""

    max_attempts: int | None = None
    idempotency_key: str | None = None
    cache: str | None = None
    cache_ttl: float | None = None


NO_OPTIONS = Options()


class Attempt(NamedTuple):
    """One failed attempt, and what was done about it."""

    number: int
    """1 for the first."""
    outcome: str
    """The status code, or the name of the error."""
    wait: float | None
    """Seconds waited after it before the next one; None if there was no next one."""
    reason: str
    """Why so long, or why there was no next one."""

    def __str__(self) -> str:
        then = "no retry" if self.wait is None else f"waited {in_seconds(self.wait)}"
        return f"attempt {self.number}: {self.outcome}, {then} ({self.reason})"


class Reservation(NamedTuple):
    """What a rate limiter plans for a request that the server refused: it waits there and, but for `backoff`, nowhere else."""

    number: float
    """Its place in line: before everything that comes later."""
    wait: float
    """Estimated seconds until it may be sent again."""
    max_wait: float
    """The limiter's `max_wait`, in seconds."""
    backoff: bool = False
    """The retry layer waits by its backoff first: the attempt failed, and nothing says when the server is back."""


class CallState:
    """The state of one call, with the redirects and authentication round trips that belong to it.

    Each item has one writer. What is taken is taken once. Holds no request and no response.
    """

    # Defaults of the class: most calls change none but the number of attempts, and an `__init__` would set them all.
    options = NO_OPTIONS
    """From the caller."""
    streamed = True
    """Written by the client: the caller reads the body as it pleases (`client.stream()`, a bare transport), maybe never."""
    finished = False
    """Written by whoever began the call, when its outcome is handed to the caller."""
    attempts = 0
    """Written by the wire: requests sent."""
    sent_at = 0.0
    """Written by the wire, read by the cache: when the last of them was sent, in seconds since the epoch."""
    history: Sequence[Attempt] = ()
    """Written by the retry layer: the attempts that failed, in order."""
    retry_after: float | None = None
    """Written by the retry layer: seconds that the server asked to wait with the last failed attempt."""
    idempotency_key: str | None = None
    """From the caller's options, else written by the retry layer."""
    deadline: float | None = None
    """Written by the deadline layer, read by all that wait: on the monotonic clock."""
    redactor: Masker = DEFAULT
    """Written by the logging layer: masks the URLs in the exceptions and log lines of this call."""
    left_queue_at = 0.0
    """Written by `wait_turn`, read by the circuit breaker, for which time in a queue of ours says nothing: monotonic clock."""
    permit: Any = None
    """Written by `CircuitBreakerLayer`, taken by `CircuitRecheckLayer`: key and permit with which the attempt was let through."""
    reservation: Reservation | None = None
    """Written by `RateLimitLayer`, taken by `RetryLayer`: None if no limiter saw the attempt refused."""
    number: float | None = None
    """Written by `RetryLayer`, taken by `RateLimitLayer`: the place in line of the next attempt; None for the end of the line."""
    _id: str | None = None
    _url: Any = None
    _origin: tuple[str, str, int | None] = ("", "", None)
    _outcome: tuple[weakref.ref[Any], Outcome] | None = None

    @property
    def id(self) -> str:
        """Made when it is first asked for: most calls log nothing."""
        if self._id is None:
            self._id = os.urandom(6).hex()
        return self._id

    @property
    def log_fields(self) -> dict[str, Any]:
        """What a log record of this call carries besides its text."""
        return {"call_id": self.id, "attempt": self.attempts}

    @property
    def retries(self) -> int:
        """How many retries there were."""
        return sum(attempt.wait is not None for attempt in self.history)

    def record(self, attempt: Attempt) -> None:
        """Add to the history."""
        self.history = (*self.history, attempt)

    def origin(self, request: Any, http: Any) -> tuple[str, str, int | None]:
        """`http.origin(request)`, worked out once for each URL of the call."""
        url = request.url
        if self._url is not url:
            self._url, self._origin = url, http.origin(request)
        return self._origin

    def outcome_of(self, result: Any) -> Outcome | None:
        """What `keep_outcome` was told of this very response or exception."""
        kept = self._outcome
        return kept[1] if kept is not None and kept[0]() is result else None

    def keep_outcome(self, result: Any, outcome: Outcome) -> Outcome:
        """From whoever classifies the response or exception of an attempt first, for all others."""
        self._outcome = weakref.ref(result), outcome
        return outcome

    def take_permit(self) -> Any:
        """For `CircuitRecheckLayer`."""
        permit, self.permit = self.permit, None
        return permit

    def take_reservation(self) -> Reservation | None:
        """For `RetryLayer`."""
        reservation, self.reservation = self.reservation, None
        return reservation

    def take_number(self) -> float | None:
        """For `RateLimitLayer`."""
        number, self.number = self.number, None
        return number

    def __getstate__(self) -> dict[str, Any]:
        # What outlives the call, in an exception that goes to another process.
        return {name: value for name, value in self.__dict__.items() if name in _LASTING}


_LASTING = {"_id", "options", "streamed", "finished", "attempts", "history", "retry_after", "idempotency_key", "deadline"}

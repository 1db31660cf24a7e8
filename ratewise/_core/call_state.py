"""The state of one call, by which the layers of a stack exchange data. Private: users see `Exchange`."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .._redaction.masker import DEFAULT_MASKER, Masker
from .._util.durations import in_seconds

if TYPE_CHECKING:
    from .._http.throttling import Outcome


KEY = "ratewise"
"""Key in the `extensions` of a request: of the `Options` that its caller gives, and then of the `Exchange`."""


class Options(NamedTuple):
    """The settings of one request, made by `options()`."""

    max_attempts: int | None = None
    idempotency_key: str | None = None
    cache: str | None = None
    cache_ttl: float | None = None


NO_OPTIONS = Options()
"""Of a request without settings of its own."""


class Attempt(NamedTuple):
    """One failed attempt, and what followed."""

    number: int
    """1 for the first."""
    outcome: str
    """The status code, or the name of the error."""
    wait: float | None
    """Seconds waited after it before the next one; None if there was no next one."""
    reason: str
    """Where the wait came from, or why there was no next attempt."""

    def __str__(self) -> str:
        then = "no retry" if self.wait is None else f"waited {in_seconds(self.wait)}"
        return f"attempt {self.number}: {self.outcome}, {then} ({self.reason})"


class Reservation(NamedTuple):
    """The plan of a rate limiter for a refused request, which waits there and, except for `backoff`, nowhere else."""

    number: float
    """Its number in the queue: lower numbers come first."""
    wait: float
    """Estimated seconds until it may be sent again."""
    max_wait: float
    """The limiter's `max_wait`, in seconds."""
    backoff: bool = False
    """The retry layer waits by its own rules first: what the server says is about this request alone."""
    over: bool = False
    """The call has waited for a server that is down for as long as its retries may: its last attempt is not repeated."""
    patience: float = math.inf
    """Seconds of the backoff, at most: what is left of that time."""


class CallState:
    """The state of one call, with the redirects and authentication round trips that belong to it.

    Each item has one writer; an item that is taken is taken once. Holds no request and no response.
    """

    # Class attributes as defaults: most calls change few of them, and an `__init__` would set them all.
    options = NO_OPTIONS
    """Given by the caller."""
    streamed = True
    """Written by the client: the caller reads the body itself, or never does (`client.stream()`, a bare transport)."""
    finished = False
    """Written by the client or transport that began the call, when it returns the outcome to the caller."""
    attempts = 0
    """Written by the wire, and by the queue in front of it: requests that were sent, or got no connection."""
    sent_at = 0.0
    """Written by the wire, read by the cache: when the last attempt was sent, in seconds since the epoch."""
    history: Sequence[Attempt] = ()
    """Written by the retry layer: the failed attempts, in order."""
    retry_after: float | None = None
    """Written by the retry layer: seconds that the server asked to wait after the last failed attempt."""
    idempotency_key: str | None = None
    """Given in the options, else written by the retry layer."""
    deadline: float | None = None
    """Written by the deadline layer, read by every layer that waits: seconds on the monotonic clock."""
    redactor: Masker = DEFAULT_MASKER
    """Written by the logging layer: masks the URLs in the exceptions and log lines of this call."""
    left_queue_at = 0.0
    """Written by `wait_turn`, read by the circuit breaker, which does not count time in a queue: seconds, monotonic."""
    permit: Any = None
    """Written by `CircuitBreakerLayer`, taken by `CircuitRecheckLayer`: key, circuit and, of a probe, permit of the attempt."""
    reservation: Reservation | None = None
    """Written by `RateLimitLayer`, taken by `RetryLayer`: None if no limiter saw the attempt refused."""
    patience = 0.0
    """Written by `RetryLayer`, used up by all that waits: seconds that the call may still wait for a server that is down."""
    limited = 0.0
    """Written by `RateLimitLayer`: seconds that the call has waited there."""
    number: float | None = None
    """Written by `RetryLayer`, taken by `RateLimitLayer`: the place in line of the next attempt; None for the end of the line."""
    _id: str | None = None
    _url: Any = None
    _origin: tuple[str, str, int | None] = ("", "", None)
    _outcome: tuple[weakref.ref[Any], Outcome] | None = None

    @property
    def id(self) -> str:
        """Made on first use: most calls log nothing."""
        if self._id is None:
            self._id = os.urandom(6).hex()
        return self._id

    @property
    def log_fields(self) -> dict[str, Any]:
        """The extra fields of a log record of this call."""
        return {"call_id": self.id, "attempt": self.attempts}

    def record(self, attempt: Attempt) -> None:
        """Add to the history."""
        self.history = (*self.history, attempt)

    def origin(self, request: Any, http: Any) -> tuple[str, str, int | None]:
        """Return `http.origin(request)`, computed once for each URL of the call."""
        url = request.url
        if self._url is not url:
            self._url, self._origin = url, http.origin(request)
        return self._origin

    def outcome_of(self, result: Any) -> Outcome | None:
        """Return the outcome stored for this response or exception; None if there is none."""
        kept = self._outcome
        return kept[1] if kept is not None and kept[0]() is result else None

    def keep_outcome(self, result: Any, outcome: Outcome) -> Outcome:
        """Store the outcome of this response or exception, and return it."""
        self._outcome = weakref.ref(result), outcome
        return outcome

    def __getstate__(self) -> dict[str, Any]:
        # What an exception carries to another process.
        return {"_id": self.id, **{name: value for name, value in self.__dict__.items() if name in _LASTING}}


_LASTING = {"options", "streamed", "finished", "attempts", "history", "retry_after", "idempotency_key", "deadline"}
"""Attributes of a `CallState` that are pickled."""

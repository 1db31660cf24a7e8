"""The classification of an attempt: one answer for retry, circuit breaker and rate limiter."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from .._core.failure import Failure
from ..layer import Field
from .dates import MAX_DELTA_SECONDS
from .rate_limit_headers import NO_FIELDS, RateLimitFields, rate_limit_fields, silent


class Kind(enum.Enum):
    """The kinds of outcomes."""

    FINE = "it answered"
    REFUSED = "a limit is used up"
    """429; 403 that says how long to wait, or that nothing remains (GitHub)."""
    OVERLOADED = "it is overloaded"
    """503 (RFC 9110, 15.6.4), with or without a Retry-After."""
    SPENT = "the caller's credit is spent: waiting does not help"
    """A 429 whose body says so."""
    OUTAGE = "it failed"
    """500, 502 or 504; no connection, a broken one, or no answer in time."""
    UNSENT = "no connection of the pool became free"
    """Says nothing about the server."""
    IMPOSSIBLE = "the request cannot work as it is"
    """Says nothing about the server either."""


_KINDS = {429: Kind.REFUSED, 500: Kind.OUTAGE, 502: Kind.OUTAGE, 503: Kind.OVERLOADED, 504: Kind.OUTAGE}
FAILING = frozenset(status for status, kind in _KINDS.items() if kind is not Kind.REFUSED)
"""Status codes that count as failures of the server."""


class Outcome(NamedTuple):
    """The outcome of one attempt."""

    kind: Kind
    status: int | None = None
    """None if it failed without a response."""
    failure: Failure | None = None
    """None if there is a response."""
    fields: RateLimitFields = NO_FIELDS
    """What the response says about limits."""
    wait: float | None = None
    """Seconds to wait at least, above 0, by Retry-After or by a limit that is used up; None if the server does not say."""
    source: str = ""
    """The field that says so, or a Retry-After that says 0, which leaves the wait to the caller; "" if there is none."""
    estimated: bool = False
    """Whether `wait` is the time in which a bucket gains one unit: the least that it takes."""
    read: bool = False
    """Whether the body was examined."""

    @property
    def failing(self) -> bool:
        """Whether it counts as a failure of the server."""
        return self.kind in (Kind.OVERLOADED, Kind.OUTAGE)


_OUTCOMES: dict[int, Outcome] = {}
_FAILURES = {failure: Outcome(Kind.OUTAGE, failure=failure) for failure in Failure}
_FAILURES[Failure.NO_FREE_CONNECTION] = Outcome(Kind.UNSENT, failure=Failure.NO_FREE_CONNECTION)
_FAILURES[Failure.IMPOSSIBLE] = Outcome(Kind.IMPOSSIBLE, failure=Failure.IMPOSSIBLE)


def outcome_of_status(status: int) -> Outcome:
    """Classify a response without fields about limits, the usual case."""
    return _OUTCOMES.get(status) or _OUTCOMES.setdefault(status, Outcome(_KINDS.get(status, Kind.FINE), status))


def outcome_of_response(status: int, fields: Sequence[Field], now: float) -> Outcome:
    """Classify a response by its status code and header fields. `now`: seconds since the epoch, if it has no `Date`."""
    if silent(fields):
        return outcome_of_status(status)
    said = rate_limit_fields(fields, now)
    wait, source, estimated = _wait(said)
    kind = _KINDS.get(status, Kind.FINE)
    if status == 403 and (wait is not None or any(quota.wait is not None for quota in said.quotas)):
        kind = Kind.REFUSED
    return Outcome(kind, status, None, said, wait, source, estimated)


def outcome_of_failure(failure: Failure) -> Outcome:
    """Classify an attempt that failed without a response."""
    return _FAILURES[failure]


def _wait(said: RateLimitFields) -> tuple[float | None, str, bool]:
    """Return wait, source and `estimated`: Retry-After, then `RateLimit`, then other families; of several limits the longest."""
    if said.retry_after is not None:
        return said.retry_after, said.source, False
    waits = [(quota.kind == "effective", quota.wait, quota.kind == "bucket") for quota in said.quotas if quota.wait]
    if not waits:
        return None, said.source, False
    standard, wait, estimated = max(waits)
    return min(wait, MAX_DELTA_SECONDS), "RateLimit" if standard else "rate-limit reset", estimated

"""Retry-After (RFC 9110, 10.2.3) and related fields. Never raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .dates import EPOCH, EPOCH_MS, MAX_DELTA_SECONDS, delay_seconds, duration, instant

MOST_VALUES = 32
"""Values in one field that are read, at most."""

MILLISECONDS = frozenset({b"retry-after-ms", b"x-ms-retry-after-ms"})
"""Fields with a wait in milliseconds."""

VETOES = frozenset({b"x-should-retry", b"stripe-should-retry"})
"""Fields that ask not to retry if their value is `false`."""


class RetryAfter(NamedTuple):
    """What a response says about sending the request again."""

    seconds: float | None = None
    """Seconds to wait at least, above 0; None if unknown."""
    source: str = ""
    """The field that says so, or one that says 0, which leaves the wait to the caller; "" if there is none."""
    forbidden: bool = False
    """The server asks not to retry."""


NO_ADVICE = RetryAfter()
"""Of a response that says nothing about it."""


def retry_after(fields: Iterable[tuple[bytes, bytes]], now: float) -> RetryAfter:
    """Read `retry-after-ms`, `Retry-After` and the vetoes of the fields given, with their names in lower case.

    The first of these that is valid wins, and of several values the longest wait. `now`: when the response was made, in seconds
    since the epoch. What is malformed, negative or past is ignored.
    """
    milliseconds: list[float | None] = []
    seconds: list[float | None] = []
    forbidden = False
    for name, raw in fields:
        if name in VETOES:
            forbidden = forbidden or raw.strip(b" \t").lower() == b"false"
        elif name in MILLISECONDS:
            milliseconds += [number if number is None else number / 1000 for number in map(delay_seconds, _values(raw))]
        else:
            seconds += [_seconds(value, now) for value in _values(raw)]
    said = ""
    for source, waits in (("retry-after-ms", milliseconds), ("Retry-After", seconds)):
        valid = [wait for wait in waits if wait is not None and wait >= 0]
        if any(valid):
            return RetryAfter(min(max(valid), MAX_DELTA_SECONDS), source, forbidden)
        if valid:
            said = said or source
    return RetryAfter(None, said, forbidden)


def _seconds(value: str, now: float) -> float | None:
    number = delay_seconds(value)
    if number is None:
        spelt = duration(value)
        at = instant(value, now)[0] if spelt is None else None
        return spelt if at is None else at - now
    return number if number < EPOCH else (number / 1000 if number >= EPOCH_MS else number) - now


def _values(raw: bytes) -> list[str]:
    """Return the values in a field: a proxy may have joined several. A date contains a comma, so pairs are tried too."""
    parts = raw.decode("latin-1").split(",", MOST_VALUES)  # of more, the rest counts as one that is malformed
    return [value.strip(" \t") for value in (*parts, *map(",".join, zip(parts, parts[1:])))]

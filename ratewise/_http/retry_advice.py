"""What a server says about waiting, read from header fields. Pure: the time is an argument. Never raises, whatever comes in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .._util.lazy_regex import regex
from .dates import http_date

_NUMBER = regex(r"[0-9]+(?:\.[0-9]*)?", re.ASCII)
_LARGEST = 1e15
_LONGEST = 2.0**31
"""Seconds. RFC 9111 (1.2.2) has this for a number too large to hold; a wait that long is forever anyway."""

# RateLimit as a list (draft -08 and later, `"default";r=0;t=30`) or as a dictionary (-07, `limit=100, remaining=0, reset=30`).
_PARAMETER = regex(r"(?:^|[;,])[ \t]*(r|t|remaining|reset)[ \t]*=[ \t]*([0-9]{1,15})[ \t]*(?=[;,]|\Z)", re.ASCII)
_QUOTED = regex(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)  # to the end if it never closes: read once either way

RETRY_AFTER = ("retry-after-ms", "Retry-After")
"""The sources of a wait by which a server says that it has not acted."""

_MILLISECONDS = frozenset({b"retry-after-ms", b"x-ms-retry-after-ms"})
_VETOES = frozenset({b"x-should-retry", b"stripe-should-retry"})
_REMAINING = frozenset({b"ratelimit-remaining", b"x-ratelimit-remaining", b"x-rate-limit-remaining"})
_RESET = frozenset(
    {
        b"ratelimit-reset",
        b"x-ratelimit-reset",
        b"x-rate-limit-reset",
        b"x-ratelimit-reset-after",
        b"x-rate-limit-reset-after",
    }
)


class RetryAdvice(NamedTuple):
    """What a response says about trying again."""

    wait: float | None
    """Seconds to wait at least, above 0; None if it does not say."""
    source: str
    """The header field that says so, or a `RETRY_AFTER` that says 0: how long is left to the caller then."""
    forbidden: bool
    """It asks not to be tried again."""


def retry_advice(headers: Iterable[tuple[bytes, bytes]], now: float) -> RetryAdvice:
    """Read `retry-after-ms`, `Retry-After`, `RateLimit` and the older rate-limit fields, the first that is valid winning.

    `now` is the wall time in seconds, for dates in a response that has no `Date` of its own. Where a field stands there more
    than once, the longest wait counts. What is not valid is as good as not there.
    """
    milliseconds: list[str] = []
    retry_after: list[str] = []
    ratelimit: list[str] = []
    reset: list[str] = []
    spent = forbidden = False
    for name, raw in headers:
        name = name.lower()
        if name == b"retry-after":
            retry_after += _values(raw)
        elif name in _MILLISECONDS:
            milliseconds += _values(raw)
        elif name == b"ratelimit":
            ratelimit.append(_text(raw))
        elif name in _REMAINING:
            spent = spent or any(delay_seconds(value) == 0 for value in _values(raw))
        elif name in _RESET:
            reset += _values(raw)
        elif name in _VETOES:
            forbidden = forbidden or _text(raw).lower() == "false"
        elif name == b"date":
            date = http_date(_text(raw), now)
            now = now if date is None else date
    said = ""
    for source, waits in (
        ("retry-after-ms", (_scaled(delay_seconds(value), 0.001) for value in milliseconds)),
        ("Retry-After", (_after(value, now) for value in retry_after)),
        ("RateLimit", (_ratelimit(value) for value in ratelimit)),
        ("rate-limit reset", (_reset(value, now) for value in reset) if spent else ()),
    ):
        valid = [wait for wait in waits if wait is not None and wait >= 0]
        if any(valid):
            return RetryAdvice(min(max(valid), _LONGEST), source, forbidden)
        if valid and source in RETRY_AFTER:
            said = said or source
    return RetryAdvice(None, said, forbidden)


def delay_seconds(value: str) -> float | None:
    """An integer or decimal number of seconds in ASCII digits, without sign or exponent; None if it is anything else."""
    return min(float(value), _LARGEST) if _NUMBER.fullmatch(value) else None


def _after(value: str, now: float) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3)."""
    date = http_date(value, now)
    return delay_seconds(value) if date is None else date - now


def _ratelimit(value: str) -> float | None:
    """The longest `t` of the policies that have nothing remaining."""
    waits = []
    value = _QUOTED.sub('""', value)
    for item in [value] if "remaining" in value else value.split(","):
        parameters = {name: int(number) for name, number in _PARAMETER.findall(item)}
        if parameters.get("r", parameters.get("remaining")) == 0:
            waits.append(parameters.get("t", parameters.get("reset", 0)))
    return float(max(waits)) if waits else None


def _reset(value: str, now: float) -> float | None:
    """Seconds, or an instant in epoch seconds or milliseconds: which of them, its size tells."""
    number = delay_seconds(value)
    if number is None:
        date = http_date(value, now)
        return None if date is None else date - now
    if number >= 1e11:
        return number / 1000 - now
    return number - now if number >= 1e9 else number


def _scaled(number: float | None, unit: float) -> float | None:
    return None if number is None else number * unit


def _values(raw: bytes) -> list[str]:
    """The values in a field, if a proxy joined several in one line. A date has a comma of its own, so pairs are tried too."""
    parts = _text(raw).split(",", 32)  # of more, the rest counts as one that is not valid
    return [value.strip(" \t") for value in (*parts, *map(",".join, zip(parts, parts[1:])))]


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").strip(" \t")

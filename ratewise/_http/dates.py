"""HTTP-dates (RFC 9110, 5.6.7), and the other forms in which header fields met in the wild write seconds and instants."""

from __future__ import annotations

import calendar
import re
import time
from datetime import date
from functools import lru_cache

from .._util.lazy_regex import regex

_YEAR = 31_556_952
"""Seconds of a year, on average."""

_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTHS = {name.lower(): number for number, name in enumerate(_MONTH_NAMES, 1)}
"""The number of a month by its name in lower case."""

_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
"""The time of day in a date."""

_DATES = tuple(
    regex(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"[a-z]{{3}}, (?P<day>[0-9]{{2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC)",
        rf"[a-z]{{6,9}}, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_TIME} (?:GMT|UTC)",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
"""RFC 9110 (5.6.7): a recipient accepts all three forms. The name of the day is not needed to know the instant."""

MAX_DELTA_SECONDS = 2.0**31
"""Seconds: the longest age, lifetime and wait. RFC 9111, 1.2.2, has it for a number that is too large."""

LARGEST = 1e15
"""The largest number that is returned: it is exact, and arithmetic with it stays finite."""

EPOCH, EPOCH_MS = 1e9, 1e11
"""Numbers from these on are seconds, or milliseconds, since the epoch: no server asks to wait for 30 years."""

_NUMBER = regex(r"[0-9]+(?:\.[0-9]*)?", re.ASCII)
"""A number that is not negative."""

_DURATION = regex(
    r"(?=.)(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?"
    r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|us|\xc2\xb5s|ns))?"  # the micro sign is UTF-8, read as Latin-1
)
"""A duration as Go writes it: hours, minutes, seconds, and a number with the unit of a fraction."""

_FRACTIONS = {"0": 0.0, "ms": 1e-3, "us": 1e-6, "\xc2\xb5s": 1e-6, "ns": 1e-9}
"""Seconds by unit of a duration below one second."""

_TIMESTAMP = regex(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))"
)
"""An instant of RFC 3339."""

_ODD_DATE = regex(r"([A-Za-z]{3}, )([0-9]{1,2})( [A-Za-z]{3} [0-9]{4} [0-9:]{8}) (?:GMT|UTC|[+-]0000)", re.ASCII | re.IGNORECASE)
"""An HTTP-date with one digit for the day, or another name of the zone."""

_DAY = 86_400
"""Seconds of a day."""


def http_date(value: str, now: float) -> float | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms (RFC 9110, 5.6.7); None if it is anything else.

    `now`, the wall time in seconds, tells the century of a year with two digits.
    """
    for form in _DATES:
        match = form.fullmatch(value)
        if match is not None:
            break
    else:
        return None
    month = _MONTHS.get(match["month"].lower(), 0)
    day, year = int(match["day"]), int(match["year"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if len(match["year"]) == 2:  # the last year with these digits that is not "more than 50 years in the future"
        latest = 1970 + int(now // _YEAR) + 50
        year = latest - (latest - year) % 100
    if not (1 <= year <= 9999 and month and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if not (hour < 24 and minute < 60 and second < 61):
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))


def http_date_of(instant: float) -> bytes:
    """Seconds since the epoch as an HTTP-date (RFC 9110, 5.6.7)."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(instant)
    return f"{_DAYS[weekday]}, {day:02} {_MONTH_NAMES[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT".encode()


def delay_seconds(value: str) -> float | None:
    """An integer or decimal number of seconds in ASCII digits, without sign or exponent."""
    return min(float(value), LARGEST) if _NUMBER.fullmatch(value) else None


def duration(value: str) -> float | None:
    """Seconds of a duration as Go writes it: `1h2m3.5s`, `30s`, `12ms`."""
    match = _DURATION.fullmatch(value)
    if match is None:
        return None
    hours, minutes, seconds, fraction, unit = match.groups("0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds) + float(fraction) * _FRACTIONS[unit]


@lru_cache(maxsize=64)  # all responses of a window have the same reset, and many the same `Date`
def _instant(value: str, day: float) -> tuple[float | None, float]:
    match = _TIMESTAMP.fullmatch(value)
    if match is not None:
        return _timestamp(match)
    odd = _ODD_DATE.fullmatch(value)
    return http_date(value if odd is None else f"{odd[1]}{odd[2]:0>2}{odd[3]} GMT", day * _DAY), 1.0


def instant(value: str, now: float) -> tuple[float | None, float]:
    """Seconds since the epoch, and how coarse they are written in seconds.

    RFC 3339; ISO 8601 without seconds but with an offset; an HTTP-date in its three forms (RFC 9110, 5.6.7), also with a day of
    one digit or `+0000`. `now`, the wall time in seconds, tells the century of a year with two digits.
    """
    return _instant(value, now // _DAY)


def _timestamp(match: re.Match[str]) -> tuple[float | None, float]:
    ymd, hour, minute, second, fraction, sign, away, odd = match.groups("0")
    if hour >= "24" or minute >= "60" or second >= "61" or away >= "24" or odd >= "60":
        return None, 1.0
    try:
        days = date.fromisoformat(ymd).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None, 1.0
    seconds = days * _DAY + int(hour) * 3600 + int(minute) * 60 + float(f"{second}.{fraction}")
    offset = (int(away) * 3600 + int(odd) * 60) * (-1 if sign == "-" else 1)
    return seconds - offset, 60.0 if match[4] is None else 10.0 ** -min(len(match[5] or ""), 3)

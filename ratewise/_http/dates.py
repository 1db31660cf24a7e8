"""HTTP dates (RFC 9110, 5.6.7)."""

from __future__ import annotations

import calendar
import re
import time

from .._util.lazy_regex import regex

_YEAR = 31_556_952  # seconds
_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTHS = {name.lower(): number for number, name in enumerate(_MONTH_NAMES, 1)}
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# RFC 9110 (5.6.7): a recipient accepts all three forms. The name of the day is not needed to know the instant.
_DATES = tuple(
    regex(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"[a-z]{{3}}, (?P<day>[0-9]{{2}}) (?P<month>[a-z]{{3}}) (?P<year>[0-9]{{4}}) {_TIME} (?:GMT|UTC)",
        rf"[a-z]{{6,9}}, (?P<day>[0-9]{{2}})-(?P<month>[a-z]{{3}})-(?P<year>[0-9]{{2}}) {_TIME} (?:GMT|UTC)",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


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

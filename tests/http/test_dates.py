"""HTTP-dates (RFC 9110, section 5.6.7): three formats, all years."""

from __future__ import annotations

import calendar
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.dates import http_date
from tests.http.telling import NOW


@pytest.mark.parametrize(
    ("value", "now", "year"),
    [
        ("Sunday, 06-Nov-94 08:49:37 GMT", 2015, 1994),
        ("Sunday, 06-Nov-15 08:49:37 GMT", 2015, 2015),
        ("Sunday, 06-Nov-65 08:49:37 GMT", 2015, 2065),
        ("Sunday, 06-Nov-66 08:49:37 GMT", 2015, 1966),
        ("Sunday, 06-Nov-00 08:49:37 GMT", 2015, 2000),
        ("Sunday, 06-Nov-00 08:49:37 GMT", 1999, 2000),
        ("Sunday, 06-Nov-00 08:49:37 GMT", 2099, 2100),
        ("Sunday, 06-Nov-51 08:49:37 GMT", 2100, 2051),
        ("Sunday, 06-Nov-50 08:49:37 GMT", 2100, 2150),
    ],
)
def test_years_of_two_digits(value: str, now: int, year: int) -> None:
    """A year of two digits is the latest one not more than 50 years in the future, in every century (RFC 9110, section 5.6.7)."""
    assert http_date(value, calendar.timegm((now, 7, 1, 0, 0, 0))) == calendar.timegm((year, 11, 6, 8, 49, 37))


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(2069, 12, 31)))
def test_dates_round_trip(form: str, moment: datetime) -> None:
    """Each instant round-trips through each of the three formats of an HTTP-date."""
    moment = moment.replace(microsecond=0, tzinfo=timezone.utc)
    written = moment.strftime(form.replace("%e", f"{moment.day:2}"))
    assert http_date(written, calendar.timegm((2019, 12, 31, 12, 0, 0))) == moment.timestamp()


@given(st.datetimes(datetime(1, 1, 1)))
def test_dates_of_all_years(moment: datetime) -> None:
    """Dates from year 1 to 9999 are parsed."""
    written = f"Mon, {moment.day:02} {moment:%b} {moment.year:04} {moment:%H:%M:%S} GMT"
    assert http_date(written, NOW) == calendar.timegm(moment.timetuple())

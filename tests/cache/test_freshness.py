"""Freshness lifetime and age: RFC 9111, 1.2.2, 4.2, 5.1 and 5.3, as tables."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.dates import MAX_DELTA_SECONDS
from ratewise.cache.directives import age_of, date_of, delta, delta_seconds, directives, gmt
from ratewise.cache.entry import Policy
from ratewise.cache.rules import HEURISTIC, LONGEST_HEURISTIC, TTL, born, dated
from tests.kit.stored import NOW, SHARED, at, judged, policy, said

DAY = 86400.0
LAST_MODIFIED = f"Last-Modified: {at(-1000)}"
OTHER_DIGITS = "\u0661".encode().decode("latin-1")
"""ARABIC-INDIC DIGIT ONE, as its bytes come over the wire."""
FINAL = range(200, 1000)

NUMBERS = [
    ("60", 60),
    ("0", 0),
    ("007", 7),
    ('"60"', 60),
    ('"6\\0"', 60),
    ("60 ", 60),
    ("60\t", 60),
    ("2147483647", MAX_DELTA_SECONDS - 1),
    ("2147483648", MAX_DELTA_SECONDS),
    ("2147483649", MAX_DELTA_SECONDS),
    ("99999999999", MAX_DELTA_SECONDS),
    (str(10**400), MAX_DELTA_SECONDS),
    ("0" * 400, 0),
    ("0" * 400 + "60", 60),
    ("", 0),
    (" 60", 0),
    ('"60 "', 0),
    ('" 60"', 0),
    ('""', 0),
    ('"60', 60),  # unclosed: the quote is ignored
    ('"60"0', 0),
    ('6"0"', 0),
    ("'60'", 0),
    ("-1", 0),
    ("+1", 0),
    ("1.0", 0),
    ("1.5", 0),
    (".5", 0),
    ("1e3", 0),
    ("0x10", 0),
    ("1_0", 0),
    ("60s", 0),
    ("60;", 0),
    ("=60", 0),
    ("6 0", 0),
    ("nan", 0),
    ("inf", 0),
    ("none", 0),
    (OTHER_DIGITS, 0),
    ("\xb2", 0),
    ("\xa060", 0),
    ("60\x0b", 0),
]


# Delta-seconds


@pytest.mark.parametrize(("value", "expected"), NUMBERS)
def test_1_2_2_delta_seconds(value: str, expected: float) -> None:
    """RFC 9111, 1.2.2: ASCII digits, quoted or not, capped at 2^31 seconds; anything else counts as 0."""
    control = f"Cache-Control: max-age={value}, stale-while-revalidate={value}, stale-if-error={value}"
    found = policy(control)
    assert found[:1] + found[3:5] == (expected,) * 3
    shared = policy(f"Cache-Control: max-age=5, s-maxage={value}", SHARED)
    assert shared.lifetime == expected
    assert delta(directives(f"x={value}".encode("latin-1")), "x") == expected


@given(st.integers(min_value=0), st.integers(0, 400))
def test_1_2_2_delta_seconds_read(number: int, zeros: int) -> None:
    """RFC 9111, 1.2.2: any number of digits is read, up to the value 2^31."""
    assert delta_seconds("0" * zeros + str(number)) == min(number, 2**31)
    assert delta({"x": str(number)}, "x") == min(number, 2**31)
    assert delta({"x": None}, "x") == 0
    assert delta({}, "x") is None


# Freshness lifetime


@pytest.mark.parametrize(
    ("text", "private", "shared"),
    [
        ("Cache-Control: max-age=60", 60, 60),
        ("Cache-Control: max-age=60, s-maxage=10", 60, 10),
        ("Cache-Control: s-maxage=60, max-age=10", 10, 60),
        ("Cache-Control: s-maxage=60, max-age=0", 0, 60),
        ("Cache-Control: s-maxage=0, max-age=60", 60, 0),
        ("Cache-Control: s-maxage=no, max-age=60", 60, 0),
        (f"Cache-Control: s-maxage=10 | Expires: {at(30)}", 30, 10),
        (f"Cache-Control: max-age=60 | Expires: {at(10)}", 60, 60),
        (f"Cache-Control: max-age=0 | Expires: {at(100)}", 0, 0),
        ("Cache-Control: max-age=60 | Expires: 0", 60, 60),
        (f"Cache-Control: max-age=no | Expires: {at(100)}", 0, 0),
        (f"Cache-Control: max-age | Expires: {at(100)}", 0, 0),
        (f"Cache-Control: public | Expires: {at(30)}", 30, 30),
        (f"Expires: {at(30)}", 30, 30),
        (f"Cache-Control: s-maxage=10 | {LAST_MODIFIED}", 100, 10),
        (LAST_MODIFIED, 100, 100),
        ("", 0, 0),
    ],
)
def test_4_2_1_freshness_lifetime(text: str, private: float, shared: float) -> None:
    """RFC 9111, 4.2.1: the first present of s-maxage (shared caches), max-age, Expires minus Date, heuristic; valid or not."""
    assert policy(text).lifetime == private
    assert policy(text, SHARED).lifetime == shared


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("Cache-Control: max-age=60, max-age=60", 60),
        ('Cache-Control: max-age=60, max-age="60"', 60),
        ("Cache-Control: max-age=60 | Cache-Control: max-age=60", 60),
        ("Cache-Control: max-age=1, max-age=60", 0),
        ("Cache-Control: max-age=60, max-age=1", 0),
        ("Cache-Control: max-age=60 | Cache-Control: MAX-AGE=1", 0),
        ("Cache-Control: max-age=60, max-age=1, max-age=60", 0),
        ("Cache-Control: max-age=60, max-age", 0),
        ("Cache-Control: max-age, max-age=60", 0),
        ("Cache-Control: max-age=60, max-age=", 0),
        ("Cache-Control: max-age=60, max-age=x", 0),
        ("Cache-Control: s-maxage=1, s-maxage=2", 0),
        (f"Expires: {at(60)} | Expires: {at(60)}", 0),
        (f"Expires: {at(60)}, {at(90)}", 0),
        (f"Expires: {at(60)} | Expires: 0", 0),
    ],
)
def test_4_2_1_several_values(control: str, expected: float) -> None:
    """RFC 9111, 4.2.1: of several values that differ none is used: the response is stale."""
    assert policy(control, SHARED).lifetime == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (at(60), 60),
        (at(0), 0),
        (at(-60), 0),
        (at(60).lower(), 60),
        (at(60).upper(), 60),
        (f" {at(60)}\t", 60),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60),
        ("friday, 15-jan-27 08:01:00 gmt", 60),
        ("Thursday, 15-Jan-76 08:00:00 GMT", 1_546_300_800),
        ("Saturday, 15-Jan-78 08:00:00 GMT", 0),  # would be more than 50 years in the future
        ("Fri Jan 15 08:01:00 2027", 60),
        ("Mon Jan  1 08:01:00 2024", 0),
        ("Sat Jan 16 08:00:00 2027", DAY),
        ("Mon, 15 Jan 2027 08:01:00 GMT", 60),  # the name of the day is not required
        ("Fri, 15 Jan 2027 08:00:60 GMT", 60),  # a leap second
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_DELTA_SECONDS),
        ("0", 0),
        ("-1", 0),
        ("", 0),
        ("now", 0),
        ("60", 0),
        (str(int(NOW) + 60), 0),
        ("Fri, 15 Jan 2027 08:01:00 EST", 0),
        ("Fri, 15 Jan 2027 03:01:00 EST", 0),
        ("Fri, 15 Jan 2027 08:01:00 UTC", 0),
        ("fri, 15 jan 2027 08:01:00 utc", 0),
        ("Friday, 15-Jan-27 08:01:00 UTC", 0),
        ("Fri, 15 Jan 2027 08:01:00 +0000", 0),
        ("Fri, 15 Jan 2027 08:01:00 Z", 0),
        ("Fri, 15 Jan 2027 08:01:00", 0),
        ("Fri Jan 15 08:01:00 2027 GMT", 0),
        ("Fri, 15 Jan 27 08:01:00 GMT", 0),
        ("Fri 15 Jan 2027 08:01:00 GMT", 0),
        ("Fri, 15 Jan  2027 08:01:00 GMT", 0),
        ("Fri,  15 Jan 2027 08:01:00 GMT", 0),
        ("Fri, 15 Jan 2027  08:01:00 GMT", 0),
        ("Fri,15 Jan 2027 08:01:00 GMT", 0),
        ("15 Jan 2027 08:01:00 GMT", 0),
        ("Fri, 5 Jan 2028 08:01:00 GMT", 0),
        ("Fri, 15-Jan-2027 08:01:00 GMT", 0),
        ("Fri, 15 Jan 2027 8:01:00 GMT", 0),
        ("Fri, 15 Jan 2027 08:01 GMT", 0),
        ("Fri, 15 Jan 2027 24:00:00 GMT", 0),
        ("Fri, 15 Jan 2027 08:60:00 GMT", 0),
        ("Fri, 15 Jan 2027 08:01:61 GMT", 0),
        ("Fri, 32 Jan 2027 08:01:00 GMT", 0),
        ("Fri, 30 Feb 2028 08:01:00 GMT", 0),
        ("Fri, 15 Foo 2027 08:01:00 GMT", 0),
        ("Fri, 15 Jan 0000 08:01:00 GMT", 0),
        (f'"{at(60)}"', 0),
        ("2027-01-15T08:01:00Z", 0),
        (f"Fri, {OTHER_DIGITS}5 Jan 2027 08:01:00 GMT", 0),
    ],
)
def test_5_3_expires(value: str, expected: float) -> None:
    """RFC 9111, 5.3: all three date formats are read, in any case; anything but a date in GMT is a time in the past."""
    assert policy(f"Expires: {value}").lifetime == expected


@pytest.mark.parametrize(("text", "expected"), [("Fri, 15 Jan 2027 08:00:00 GMT", NOW), ("Fri, 15 Jan 2027 08:00:00 UTC", None)])
def test_4_2_gmt_alone(text: str, expected: float | None) -> None:
    """RFC 9111, 4.2: a date in another zone than GMT is invalid."""
    assert gmt(text.encode(), NOW) == expected


# Windows reads TZ only at the start of a process, so that a test cannot change the zone.
@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no tzset, which sets the time zone of a running process")
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "XYZ+11:30"])
def test_4_2_no_local_time_zone(zone: str, monkeypatch: Any) -> None:
    """RFC 9111, 4.2: the local time zone has no effect on ages and lifetimes."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert policy(f"Expires: {at(4321)}").lifetime == 4321
        assert NOW - born({}, NOW - 1234, NOW, NOW) == 1234
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("skew", [-100_000, -60, 0, 60, 100_000])
def test_4_2_1_clock_skew(skew: float) -> None:
    """RFC 9111, 4.2.1: Expires is compared with the server's own Date, so that clock skew has no effect."""
    headers = f"Date: {at(skew)} | Expires: {at(skew + 60)}"
    assert policy(headers, date=dated(said(headers), NOW)).lifetime == 60


# Heuristics


@pytest.mark.parametrize(
    ("text", "date", "expected"),
    [
        (at(-1000), NOW, 100),
        (at(-1000), NOW + 1000, 200),
        (at(-10), NOW, 1),
        (at(0), NOW, 0),
        (at(60), NOW, 0),
        (at(-60 * DAY), NOW, 6 * DAY),
        (at(-70 * DAY), NOW, LONGEST_HEURISTIC),
        (at(-7000 * DAY), NOW, LONGEST_HEURISTIC),
        ("Thu, 01 Jan 1970 00:00:00 GMT", NOW, LONGEST_HEURISTIC),
        ("Fri Jan 15 07:43:20 2027", NOW, 100),
        ("Friday, 15-Jan-27 07:43:20 GMT", NOW, 100),
        ("0", NOW, 0),
        ("", NOW, 0),
        ("yesterday", NOW, 0),
        (f"{at(-1000)}, {at(-1000)}", NOW, 0),
    ],
)
def test_4_2_2_heuristic(text: str, date: float, expected: float) -> None:
    """RFC 9111, 4.2.2: without an explicit lifetime, a tenth of the time since Last-Modified, at most a week."""
    assert policy(f"Last-Modified: {text}", date=date).lifetime == pytest.approx(expected)


@pytest.mark.parametrize("explicit", ["Cache-Control: max-age=x", "Cache-Control: max-age=0", "Expires: 0", f"Expires: {at(-1)}"])
@pytest.mark.parametrize("ttl", [None, 300.0])
def test_4_2_2_not_with_an_explicit_time(explicit: str, ttl: float | None) -> None:
    """RFC 9111, 4.2.2: with an explicit lifetime, even an invalid one, no heuristic applies."""
    assert policy(f"{explicit} | {LAST_MODIFIED}", ttl=ttl).lifetime == 0


@pytest.mark.parametrize("status", FINAL)
def test_4_2_2_heuristic_statuses(status: int) -> None:
    """RFC 9111, 4.2.2: the heuristic applies to heuristically cacheable statuses and to responses marked as cacheable."""
    unstorable = (206, 304, 428, 429, 431, 511)
    found = judged(LAST_MODIFIED, status=status)
    if status in HEURISTIC - {206}:
        assert found == Policy(100.0, checkable=True)
    else:
        assert isinstance(found, str)
    for mark in ("public", "private"):
        marked = judged(f"Cache-Control: {mark} | {LAST_MODIFIED}", status=status)
        assert marked == Policy(100.0, checkable=True) or status in unstorable
    assert isinstance(judged(f"Cache-Control: private | {LAST_MODIFIED}", SHARED, status=status), str)
    limited = judged(LAST_MODIFIED, status=status, ttl=300.0)
    if status in TTL:
        assert limited == Policy(300.0, checkable=True)
    else:
        assert limited == found


def test_4_2_2_which_statuses() -> None:
    """RFC 9111, 4.2.2: the heuristically cacheable statuses are those of RFC 9110, 15.1; `ttl` is for the successful ones."""
    assert {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501} == HEURISTIC
    assert {200, 203, 204, 300, 301, 308} == TTL


def test_ttl() -> None:
    """Only an explicit lifetime takes precedence over the store's `ttl`."""
    assert policy(LAST_MODIFIED, ttl=300.0).lifetime == 300
    assert policy(ttl=300.0).lifetime == 300
    assert policy(ttl=0.0).lifetime == 0
    assert policy("Cache-Control: max-age=5", ttl=300.0).lifetime == 5
    assert policy("Cache-Control: s-maxage=5", ttl=300.0).lifetime == 300
    assert policy("Cache-Control: s-maxage=5", SHARED, ttl=300.0).lifetime == 5
    assert policy(f"Expires: {at(5)}", ttl=300.0).lifetime == 5
    assert policy(LAST_MODIFIED, status=404, ttl=300.0).lifetime == 100


# Age


@pytest.mark.parametrize(
    ("text", "delay", "expected"),
    [
        (f"Date: {at(0)}", 0, 0),
        (f"Date: {at(0)}", 5, 5),
        (f"Date: {at(-100)}", 0, 100),  # a slow clock, or an old response
        (f"Date: {at(-100)}", 5, 100),
        (f"Date: {at(100)}", 0, 0),  # a fast clock
        (f"Date: {at(100)}", 5, 5),
        (f"Date: {at(0)} | Age: 50", 0, 50),
        (f"Date: {at(0)} | Age: 50", 5, 55),
        (f"Date: {at(-52)} | Age: 50", 5, 55),
        (f"Date: {at(-100)} | Age: 50", 5, 100),
        (f"Date: {at(100)} | Age: 50", 5, 55),
        (f"Date: {at(0)} | Age: -50", 0, 0),
        ("Age: 50", 5, 55),
        ("", 0, 0),
        ("", 5, 5),
        ("", -5, 0),  # the clock was set back
        ("Age: 50", -5, 50),
        ("Date: 0", 5, 5),
        (f"Date: {at(-100)} | Date: {at(-100)}", 5, 5),
        ("Date: Friday, 15-Jan-27 07:59:00 GMT", 0, 60),
        ("Date: Fri Jan 15 07:59:00 2027", 0, 60),
        ("Age: 99999999999", 0, MAX_DELTA_SECONDS),
    ],
)
def test_4_2_3_age(text: str, delay: float, expected: float) -> None:
    """RFC 9111, 4.2.3: the age is the larger one of those by Date and by Age, counted from the time of the request."""
    headers = said(text)
    assert NOW - born(headers, dated(headers, NOW), NOW - delay, NOW) == expected


@given(st.floats(-1e6, 1e6), st.integers(0, 10**6), st.floats(-1e3, 1e3))
def test_4_2_3_age_never_below(skew: float, age: int, delay: float) -> None:
    """RFC 9111, 4.2.3: the age is never less than Age, nor than 0, whatever the clocks do."""
    headers = {b"age": b"%d" % age}
    assert NOW - born(headers, NOW + skew, NOW - delay, NOW) >= max(age, -skew, age + delay) - 1e-6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Age: 0", 0),
        ("Age: 10", 10),
        ("Age: 010", 10),
        ("Age:  10\t", 10),
        ("Age: 10, 20", 10),
        ("Age: 20, 10", 20),
        ("Age: 20 | Age: 10", 20),
        ("Age: 10,", 10),
        ("Age: 10, x", 10),
        ("Age: x, 10", 0),
        ("Age: x | Age: 10", 0),
        ("Age: ,10", 0),
        ("Age: -10", 0),
        ("Age: +10", 0),
        ("Age: 1.5", 0),
        ("Age: 1e3", 0),
        ('Age: "10"', 0),
        ("Age: 10;x=y", 0),
        ("Age: 1 0", 0),
        ("Age: ten", 0),
        ("Age:", 0),
        (f"Age: {OTHER_DIGITS}", 0),
        ("Age: 2147483647", MAX_DELTA_SECONDS - 1),
        ("Age: 2147483648", MAX_DELTA_SECONDS),
        ("Age: 2147483649", MAX_DELTA_SECONDS),
        (f"Age: {10**400}", MAX_DELTA_SECONDS),
        ("", 0),
    ],
)
def test_5_1_age(text: str, expected: float) -> None:
    """RFC 9111, 5.1: the first value of a list applies; anything but digits is ignored."""
    assert age_of(said(text)) == expected


def test_6_6_1_date() -> None:
    """RFC 9110, 6.6.1: without a valid Date the age counts from the receipt."""
    assert dated(said(f"Date: {at(-100)}"), NOW) == NOW - 100
    assert dated(said(f"Date: {at(100)}"), NOW) == NOW + 100
    for text in ("", "Date: 0", "Date:", f"Date: {at(0)}, {at(0)}", f"Date: {at(0)} | Date: {at(0)}"):
        assert dated(said(text), NOW + 7) == NOW + 7


def test_two_digit_years_are_not_remembered() -> None:
    """A two-digit year is not remembered, as its century depends on the current time."""
    headers = {b"date": b"Thursday, 15-Jan-76 08:00:00 GMT"}
    assert date_of(headers, b"date", NOW) == 3_346_300_800
    assert date_of(headers, b"date", NOW - 10 * 366 * DAY) == 190_540_800

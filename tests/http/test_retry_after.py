"""How long a response asks to wait: every form in use, and everything that is invalid."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.dates import delay_seconds, http_date
from ratewise._http.throttling import Outcome, outcome_of_response
from tests.http.telling import NOW, written
from tests.kit.growth import growth

LONGEST = 2.0**31
RETRY_AFTER = ("retry-after-ms", "Retry-After")
SOURCES = (*RETRY_AFTER, "RateLimit", "rate-limit reset")
ARABIC, FULL_WIDTH = "\u0661\u0662".encode(), "\uff11\uff12".encode()


class Advice(NamedTuple):
    """The wait, its source, and whether retries are forbidden."""

    wait: float | None
    source: str
    forbidden: bool

    @classmethod
    def of(cls, outcome: Outcome) -> Advice:
        return cls(outcome.wait, outcome.source, outcome.fields.forbidden)


def advice(*fields: tuple[str, str | bytes], now: float = NOW) -> Advice:
    return Advice.of(outcome_of_response(429, written(*fields), now))


def wait(*fields: tuple[str, str | bytes], now: float = NOW) -> float | None:
    return advice(*fields, now=now).wait


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" \t120 ", 120),
        ("007", 7),
        ("2.5", 2.5),
        ("2.", 2),
        ("0.001", 0.001),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 60),
        ("Wed, 21 Oct 2015 07:28:00 UTC", 60),
        ("wed, 21 oct 2015 07:28:00 gmt", 60),
        ("Xyz, 21 Oct 2015 07:28:00 GMT", 60),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 60),
        ("Wed Oct 21 07:28:00 2015", 60),
        ("Sun Nov  1 00:00:00 2015", 923_580),
        ("Wed, 21 Oct 2015 07:27:60 GMT", 60),
        ("30s", 30),
        ("1m0s", 60),
        ("1h2m3.5s", 3723.5),
        ("500ms", 0.5),
        ("2015-10-21T07:28:00Z", 60),
        ("2015-10-21T09:28:00.5+02:00", 60.5),
        ("Wed, 21 Oct 2015 07:28:00 +0000", 60),
        ("Sun, 1 Nov 2015 00:00:00 GMT", 923_580),
        ("120, 60", 120),
        ("60 ,\t120", 120),
        ("garbage, 60", 60),
        ("7," * 32 + "60", 60),
        ("7," * 33 + "60", 7),
        ("-1, 60", 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT, Wed, 21 Oct 2015 07:29:00 GMT", 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT, 90", 90),
        ("90, Wed Oct 21 07:28:00 2015", 90),
        ("4294967296", LONGEST),
        ("9" * 400, LONGEST),
        ("9" * 400 + "." + "9" * 400, LONGEST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    """Retry-After in all its forms (RFC 9110, section 10.2.3), alone or several in a line: the longest, up to 2**31 seconds."""
    assert advice(("Retry-After", value)) == Advice(seconds, "Retry-After", False)


INVALID = [
    b"",
    b" ",
    b"0",
    b"0.0",
    b"0." + b"0" * 400 + b"1",
    b"-1",
    b"+1",
    b"-0",
    b"1e3",
    b"1e308",
    b"1_000",
    b"0x10",
    b".5",
    b"1.5.2",
    b"1 2",
    b"nan",
    b"inf",
    b"Infinity",
    b"soon",
    b"None",
    b"\xa05",
    b"5\x85",
    b"5\n",
    b"\x00",
    b"\xff\xfe\xfd",
    b"\xb2\xb3\xb9",
    ARABIC,
    FULL_WIDTH,
    b",",
    b",,,",
    b"Thu, 01 Jan 1970 00:00:00 GMT",
    b"Wed, 21 Oct 2015 07:26:00 GMT",
    b"Wed, 21 Oct 2015 07:27:00 GMT",
    b"Wed, 21 Oct 2015 07:28:00",
    b"Wed, 21 Oct 2015 07:28:00 +0100",
    b"Wed, 021 Oct 2015 07:28:00 GMT",
    b"Wed,  1 Nov 2026 07:28:00 GMT",
    b"30 s",
    b"30S",
    b"-30s",
    b"s",
    b"1m 0s",
    b"0s",
    b"Wed, 21 Oct 2015 07:28:00 PST",
    b"Sat, 31 Feb 2026 07:28:00 GMT",
    b"Sun, 29 Feb 2026 07:28:00 GMT",
    b"Sun, 00 Mar 2026 07:28:00 GMT",
    b"Sun, 01 Foo 2026 07:28:00 GMT",
    b"Sun, 01 Mar 2026 24:00:00 GMT",
    b"Sun, 01 Mar 2026 07:60:00 GMT",
    b"Sun, 01 Mar 2026 07:28:61 GMT",
    b"Sat, 01 Jan 0000 00:00:00 GMT",
    b"Mon, 01 Jan 0001 00:00:00 GMT",
    b"Sunday, 31-Feb-26 07:28:00 GMT",
    b"Sun Feb 31 07:28:00 2026",
    b"Sun Mar  0 07:28:00 2026",
    b"Sun Jan  1 00:00:00 0000",
    b"2026-03-01T07:28:00",
    b"2026-02-30T07:28:00Z",
    b"2015-10-21T07:26:00Z",
    b"1 Mar 2026",
    b"Wed, ",
    "Wed, \u0662\u0661 Oct 2026 07:28:00 GMT".encode(),
]
invalid = pytest.mark.parametrize("value", INVALID, ids=repr)


@invalid
def test_invalid_waits(value: bytes) -> None:
    """A value that is invalid, not above zero or in the past is ignored, in each field and beside a valid one."""
    assert wait(("Retry-After", value)) is None
    assert wait(("retry-after-ms", value)) is None
    assert wait(("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", value)) is None
    assert wait(("RateLimit", b"default;r=0;t=" + value)) is None
    assert wait(("RateLimit", b"limit=1, remaining=0, reset=" + value)) is None
    assert wait(("Retry-After", value), ("Retry-After", "7")) == 7
    assert wait(("Retry-After", "7"), ("Date", value)) == 7


def test_nothing_said() -> None:
    """Without any of the fields there is no wait."""
    assert advice() == Advice(None, "", False)
    assert advice(("Content-Type", "text/html"), ("Retry-Afters", "5")) == Advice(None, "", False)


# Which clock


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Wed, 21 Oct 2015 07:27:30 GMT", 30),
        ("Wednesday, 21-Oct-15 07:27:30 GMT", 30),
        ("Wed Oct 21 07:27:30 2015", 30),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 09:00:00 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1_445_412_480),
        ("Mon, 01 Jan 0001 00:00:00 GMT", LONGEST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
        ("yesterday", 60),
    ],
)
def test_the_responses_own_date(date: str, seconds: float | None) -> None:
    """Instants are measured from the response's Date, in any position; from the local clock only if there is no valid Date."""
    later = ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")
    assert wait(later, ("Date", date)) == wait(("DATE", date), later) == seconds
    reset = (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1445412480"))
    assert wait(("Date", date), *reset) == seconds
    assert wait(("Date", date), ("Retry-After", "5")) == 5


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("Mon, 01 Jan 0001 00:00:00 GMT", 94),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 52),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 15),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 98),
    ],
)
def test_years_of_two_digits_with_an_odd_date(date: str, year: int) -> None:
    """A year of two digits that an odd Date moves out of the years 1 to 9999, or into the past, gives no wait."""
    assert wait(("Date", date), ("Retry-After", f"Wednesday, 21-Oct-{year} 07:28:00 GMT")) is None


# retry-after-ms


@pytest.mark.parametrize(
    ("value", "seconds"), [("1500", 1.5), ("0.5", 0.0005), ("100, 250", 0.25), ("9" * 99, LONGEST), (" 20 ", 0.02)]
)
@pytest.mark.parametrize("name", ["retry-after-ms", "Retry-After-Ms", "x-ms-retry-after-ms"])
def test_milliseconds(name: str, value: str, seconds: float) -> None:
    """Milliseconds, with or without a fraction."""
    assert advice((name, value)) == Advice(pytest.approx(seconds), "retry-after-ms", False)


# RateLimit


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ('"default";r=0;t=30', 30),
        ("default;r=0;t=30", 30),
        ('"default"; r=0; t=30 ', 30),
        ('"default"; r=0 ; t=30', None),
        ('"default";t=30;r=0', 30),
        ('"default";r=50;t=30', None),
        ('"default";r=0', None),
        ('"default";r=0;t=0', None),
        ('"default";t=30', None),
        ('"burst";r=0;t=5, "daily";r=7;t=999', 5),
        ('"burst";r=0;t=5,"daily";r=0;t=999', 999),
        ('"burst";r=3;t=5,"daily";r=4;t=999', None),
        ('"r=0;t=99";r=5;t=30', None),
        ('"a,b;r=0";r=0;t=30', 30),
        ('"a\\",\\"b;r=0;t=99";r=0;t=30', 30),
        ('"remaining=0";r=0;t=30', 30),
        ('"a";r=0;t=30;pk=:cHJvdGVjdGVk:;x="r=7;t=9"', 30),
        ('"a";r=7;t=9;r=0', 9),
        ('"a";r=0;t=30;r=7', None),
        ('"a;r=0;t=30', None),
        ('"a";r=0;t=30, "b', None),
        ('"a";r=0;t=30, garbage!!', None),
        ('"a";R=0;T=30', None),
        ('"a";r=00;t=030', 30),
        ('"a";r=0.0;t=30', None),
        ('"a";r=0;t=1e3', None),
        ('"a";r=0;t=-5', None),
        ('"a";r=-1;t=30', None),
        ('"a";rr=0;t=30', None),
        ('"a";r=0;t=999999999999999', LONGEST),
        ('"a";r=0;t=9999999999999999', None),
        ("limit=100, remaining=0, reset=30", 30),
        ("limit=100,remaining=0,reset=30", 30),
        ("reset=30, remaining=0, limit=100", 30),
        ("limit=100;w=60, remaining=0, reset=30", 30),
        ("limit=100, remaining=1, reset=30", None),
        ("limit=100, remaining=0", None),
        ("limit=100, reset=30", None),
        ("limit=100, remaining=0, reset=-1", None),
        ("", None),
        (";;;,,,===", None),
    ],
)
def test_ratelimit(value: str, seconds: float | None) -> None:
    """RateLimit as a list or a dictionary: the longest reset of the quotas with nothing remaining; otherwise no wait."""
    source = "rate-limit reset" if "reset=" in value else "RateLimit"
    assert advice(("RateLimit", value)) == Advice(seconds, source if seconds else "", False)


# X-RateLimit-* and its variants


@pytest.mark.parametrize(
    "family",
    [
        ("RateLimit-Remaining", "RateLimit-Reset"),
        ("X-RateLimit-Remaining", "X-RateLimit-Reset"),
        ("X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"),
        ("x-ratelimit-remaining", "x-ratelimit-reset-after"),
        ("x-rate-limit-remaining", "x-rate-limit-reset-after"),
    ],
)
@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "30", 30),
        ("0", "0.25", 0.25),
        ("0.0", "30", 30),
        ("0", "1445412450", 30),
        ("0", "1445412450.5", 30.5),
        ("0", "1445412450500", 30.5),
        ("0", "Wed, 21 Oct 2015 07:27:30 GMT", 30),
        ("0", "30, 45", None),
        ("0", "30, 30", 30),
        ("5, 0", "30", None),
        ("0, 0", "30", 30),
        ("0", "999999999", 999_999_999),
        ("0", "1000000000", None),
        ("0", "99999999999", LONGEST),
        ("0", "9" * 50, LONGEST),
        ("0", "1445412400", None),
        ("0", "1445412400000", None),
        ("0", "6m0s", 360),
        ("0", "2015-10-21T07:28:00Z", 60),
        ("0", "2015-10-21T07:28Z", 60),
        ("1", "30", None),
        ("0.5", "30", 30),
        ("-1", "30", None),
        ("", "30", None),
        ("none", "30", None),
    ],
)
def test_resets(family: tuple[str, str], remaining: str, reset: str, seconds: float | None) -> None:
    """A reset is a delay, a duration or an instant; it is a wait only if nothing remains."""
    expected = Advice(seconds, "rate-limit reset" if seconds else "", False)
    fields = ((family[0], remaining), (family[1], reset))
    assert advice(*fields) == advice(*reversed(fields)) == expected
    assert wait((family[1], reset)) is None


# Precedence


@pytest.mark.parametrize("skipped", range(5))
def test_precedence(skipped: int) -> None:
    """The first valid one of retry-after-ms, Retry-After, RateLimit and X-RateLimit-* counts, in any order of the fields."""
    fields = [
        ("retry-after-ms", "1000", "retry-after-ms"),
        ("Retry-After", "2", "Retry-After"),
        ("RateLimit", '"a";r=0;t=3', "RateLimit"),
        ("X-RateLimit-Reset", "4", "rate-limit reset"),
    ]
    spoiled = [(name, "-1" if i < skipped else value) for i, (name, value, _) in enumerate(fields)]
    expected = (skipped + 1.0, fields[skipped][2], False) if skipped < 4 else (None, "", False)
    assert advice(*spoiled, ("X-RateLimit-Remaining", "0")) == expected
    assert advice(("X-RateLimit-Remaining", "0"), *spoiled[::-1]) == expected


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([("Retry-After", "5"), ("Retry-After", "9")], 9),
        ([("Retry-After", "9"), ("retry-after", "5")], 9),
        ([("Retry-After", "9"), ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], 60),
        ([("Retry-After", "x"), ("Retry-After", "5")], 5),
        ([("retry-after-ms", "100"), ("x-ms-retry-after-ms", "200")], 0.2),
        ([("RateLimit", "a;r=0;t=5"), ("RateLimit", "b;r=0;t=9")], 9),
        ([("X-RateLimit-Remaining", "5"), ("RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "3")], 3),
        ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "3"), ("X-RateLimit-Reset-After", "2.5")], 2.5),
    ],
)
def test_repeated_fields(fields: list[tuple[str, str]], seconds: float) -> None:
    """Of a repeated field the longest valid wait counts."""
    assert wait(*fields) == seconds
    assert wait(*fields[::-1]) == seconds


@pytest.mark.parametrize(
    ("name", "value", "forbidden"),
    [
        ("x-should-retry", "false", True),
        ("X-Should-Retry", " False\t", True),
        ("stripe-should-retry", "FALSE", True),
        ("x-should-retry", "true", False),
        ("x-should-retry", "0", False),
        ("x-should-retry", "", False),
        ("should-retry", "false", False),
    ],
)
def test_vetoes(name: str, value: str, forbidden: bool) -> None:
    """A response may forbid retries; its wait is parsed all the same."""
    assert advice((name, value)) == Advice(None, "", forbidden)
    assert advice((name, value), ("Retry-After", "5")) == Advice(5, "Retry-After", forbidden)
    assert advice((name, value), ("x-should-retry", "true")).forbidden is forbidden


# Arbitrary fields

NAMES = ["retry-after", "retry-after-ms", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset", "date", "x-should-retry"]
PIECES = [
    b"0",
    b"1",
    b"9" * 30,
    b".",
    b",",
    b";",
    b"=",
    b'"',
    b"\\",
    b"r=0",
    b"t=5",
    b"remaining=0",
    b"Wed, 21 Oct 2015 07:28:00 GMT",
]
PIECES += [b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994", b" ", b"\xff", b"-", b"e", b"0000", b"Jan"]
anything = st.one_of(st.binary(), st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
fields = st.lists(st.tuples(st.sampled_from([name.encode() for name in NAMES]) | st.binary(), anything), max_size=8)


@given(fields, st.floats(0, 1e11))
def test_any_headers(fields: list[tuple[bytes, bytes]], now: float) -> None:
    """No bytes raise; a wait is above 0, at most 2**31, and has a source; a source without a wait is a Retry-After of 0."""
    found = Advice.of(outcome_of_response(429, [(name, name.lower(), value) for name, value in fields], now))
    assert found.wait is None or 0 < found.wait <= LONGEST
    assert found.source in (("", *RETRY_AFTER) if found.wait is None else SOURCES)


@given(anything, st.floats(-1e11, 1e12))
def test_any_text(raw: bytes, now: float) -> None:
    """No text makes the parsers raise; a parsed number is finite and not negative."""
    for text in (raw.decode("latin-1"), raw.decode("utf-8", "surrogateescape")):
        number, date = delay_seconds(text), http_date(text, now)
        assert number is None or 0 <= number <= 1e15
        assert date is None or -62_135_596_800 <= date <= 253_402_300_800


@given(st.integers(0, 10**20), st.integers(0, 999))
def test_numbers_round_trip(whole: int, thousandths: int) -> None:
    """Numbers in ASCII digits are parsed to their value, up to 1e15."""
    assert delay_seconds(f"{whole}.{thousandths:03}") == pytest.approx(min(whole + thousandths / 1000, 1e15))
    assert delay_seconds(str(whole)) == min(float(whole), 1e15)


@pytest.mark.parametrize("bad", ["", " 1", "1 ", "1\n", "-1", "+1", "1e3", "nan", "inf", "\u0661", "\uff11", "\xb2", "1_0", "."])
def test_no_numbers(bad: str) -> None:
    """Signs, exponents, blanks and digits of other scripts are not a number."""
    assert delay_seconds(bad) is None


# Linear time, as in tests/redaction/test_linear.py: a quadratic pattern takes 64 times as long for eight times the bytes.


@pytest.mark.parametrize(
    ("prefix", "unit"),
    [
        (b'"', b'\\"'),
        (b'"', b'\\"\\'),
        (b"", b'"'),
        (b"", b'"a'),
        (b"", b"\\"),
        (b"", b"; "),
        (b"", b";r"),
        (b"", b";r="),
        (b"", b";r=0"),
        (b"", b"r=0,"),
        (b"remaining=0", b" ,r"),
        (b"", b","),
        (b"", b"1,"),
        (b"", b"9"),
        (b"0.", b"0"),
        (b"", b"Wed, "),
        (b"", b" "),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_linear(name: str, prefix: bytes, unit: bytes) -> None:
    """Eight times the bytes take about eight times as long, in every field."""
    small, large = (prefix + unit * (size // len(unit)) for size in (4000, 32_000))
    remaining = ("x-ratelimit-remaining", "0")
    assert any(growth(lambda raw: advice(remaining, (name, raw)), small, large) < 25 for _ in range(10))

"""Arbitrary fields: nothing raises, every value is within bounds, and parsing takes linear time."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.rate_limit_headers import NO_FIELDS, rate_limit_fields
from tests.http.families import FAMILIES, read
from tests.http.telling import DATE, INVALID, NOW, tell
from tests.kit.growth import growth

# Arbitrary fields

NAMES = [name.lower().encode() for _, block, _ in FAMILIES for name, _ in read(block)] + [b"date", b"age", b"retry-after"]
VALUES = [value.encode() for _, block, _ in FAMILIES for _, value in read(block)] + [b"", DATE[1].encode(), *INVALID[:-1]]
PIECES = [bytes([byte]) for byte in b'0159,;=./:-"\\ \t()?@%*aTZ\x00\xff'] + [b"9" * 30, b"e5", b"r=", b"t=", b"limit=", b"nan"]
values = st.one_of(st.sampled_from(VALUES), st.binary(), st.lists(st.sampled_from(PIECES + VALUES), max_size=6).map(b"".join))
roles = st.sampled_from([b"limit", b"remaining", b"reset", b"reset-after", b"daily", b"max", b"tokens", b"-", b""])
names = st.one_of(
    st.sampled_from(NAMES),
    st.binary(),
    st.tuples(st.sampled_from([b"", b"x-", b"anthropic-", b"zendesk-"]), st.lists(roles, max_size=3)).map(
        lambda parts: parts[0] + b"ratelimit-" + b"-".join(parts[1])
    ),
)


@given(st.lists(st.tuples(names, values), max_size=8), st.floats(-1e12, 1e12))
def test_any_headers(headers: list[tuple[bytes, bytes]], now: float) -> None:
    """No bytes raise; every number is finite and not negative; fields without information give `NO_FIELDS`."""
    fields = [(name, name.lower(), value) for name, value in headers]
    found = rate_limit_fields(fields, now)
    for each in found.quotas:
        for number in (each.limit, each.remaining, each.reset):
            assert number is None or (0 <= number < math.inf and isinstance(number, float))
        assert each.window is None or 0 < each.window < math.inf
        assert 0 < each.resolution < math.inf
        assert each.kind in ("window", "bucket", "effective")
        assert each.unit
    assert len({each.name for each in found.quotas}) == len(found.quotas) <= 32
    assert found.retry_after is None or 0 < found.retry_after <= 2.0**31
    assert found.bucket is None or re.fullmatch("[!-~]{1,128}", found.bucket)
    assert found is NO_FIELDS or found != NO_FIELDS
    assert rate_limit_fields(fields, now) == found


@given(st.integers(0, 10**9 - 1), st.integers(0, 999))
def test_delays_round_trip(seconds: int, thousandths: int) -> None:
    """Each delay round-trips, as a number and as a Go duration."""
    expected = pytest.approx(seconds + thousandths / 1000)
    for value in (
        f"{seconds}.{thousandths:03}",
        f"{seconds}.{thousandths:03}s",
        f"{seconds // 60}m{seconds % 60}.{thousandths:03}s",
    ):
        assert tell(("x-ratelimit-limit", "1"), ("x-ratelimit-reset", value)).quotas[0].reset == expected


@given(st.datetimes(), st.integers(-1439, 1439))
def test_timestamps_round_trip(moment: Any, offset: int) -> None:
    """Each RFC 3339 timestamp round-trips, with any offset."""
    days = moment.toordinal() - 719_163
    instant = days * 86_400 + moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6
    sign, (hours, minutes) = "+-"[offset < 0], divmod(abs(offset), 60)
    value = f"{moment.isoformat(timespec='microseconds')}{sign}{hours:02}:{minutes:02}"
    expected = pytest.approx(instant - offset * 60 + 1e11, abs=1e-3)
    assert tell(("x-ratelimit-limit", "1"), ("x-ratelimit-reset", value), now=-1e11).quotas[0].reset == expected


# Linear time


UNITS = [
    b"9",
    b"a",
    b'"',
    b'\\"',
    b";",
    b";r=1",
    b",",
    b"a;r=1,",
    b" ",
    b"; ",
    b", ",
    b"=",
    b"r=1;",
    b":a",
    b"a=1/2(",
    b"a;5,",
    b"-",
]


@pytest.mark.parametrize(("prefix", "unit"), list(itertools.product([b"", b'"', b"a;r=", b"1;x=:", b"a=1/2("], UNITS)))
def test_linear(prefix: bytes, unit: bytes) -> None:
    """Eight times the bytes take about eight times as long, in every kind of field; fields over 4 KiB are ignored."""
    small, large = (prefix + unit * (size // len(unit)) for size in (500, 4000))
    fields = [b"ratelimit", b"ratelimit-policy", b"x-ratelimit-limit", b"x-ratelimit-reset", b"x-ratelimit-bucket"]
    fields += [b"sforce-limit-info", b"x-ms-ratelimit-remaining-resource", b"zendesk-ratelimit-a"]

    def work(raw: bytes) -> None:
        rate_limit_fields([(name, name, raw) for name in fields], NOW)

    assert any(growth(work, small, large) < 25 for _ in range(10))


def test_many_lines() -> None:
    """Eight times as many lines of one list take about eight times as long."""

    def work(raw: bytes) -> None:
        rate_limit_fields([(b"ratelimit", b"ratelimit", b"a;r=1")] * len(raw), NOW)

    assert any(growth(work, bytes(1000), bytes(8000)) < 25 for _ in range(10))

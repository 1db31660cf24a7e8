"""Helpers for tests of rate-limit fields: how to write fields, and what they are expected to parse to."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise._http.rate_limit_headers import Quota, RateLimitFields, rate_limit_fields
from ratewise.layer import Field

NOW = 1_445_412_420.0
DATE = ("Date", "Wed, 21 Oct 2015 07:27:00 GMT")
WRONG = NOW + 5000
"""The time of a local clock that is wrong; the response's own Date is right."""

Fields = list[tuple[str, str]]


def tell(*fields: tuple[str, str | bytes], now: float = WRONG) -> RateLimitFields:
    """Parse rate-limit fields, without `source` and `forbidden`, which test_retry_after.py tests."""
    found = rate_limit_fields(written(*fields), now)
    return found if not (found.source or found.forbidden) else found._replace(source="", forbidden=False)


def written(*fields: tuple[str, str | bytes]) -> list[Field]:
    """Fields as an HTTP library returns them."""
    raw = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in fields]
    return [(name, name.lower(), value) for name, value in raw]


def quota(
    name: str = "",
    limit: float | None = None,
    remaining: float | None = None,
    reset: float | None = None,
    resolution: float = 1.0,
    window: float | None = None,
    unit: str = "requests",
    kind: str = "window",
) -> Quota:
    return Quota(name, limit, remaining, reset, resolution, window, unit, kind)


def named(*fields: Any, **others: Any) -> Quota:
    return quota(*fields, **{"kind": "effective", **others})


def says(*quotas: Quota, retry_after: float | None = None, bucket: str | None = None, everyone: bool = False) -> RateLimitFields:
    return RateLimitFields(quotas, retry_after, bucket, everyone)


def family(prefix: str, **values: str) -> Fields:
    return [(prefix + name.replace("_", "-"), value) for name, value in values.items()]


INVALID = [
    b"",
    b" ",
    b"abc",
    b"-1",
    b"-0",
    b"+1",
    b"1e5",
    b"1_000",
    b"0x10",
    b".5",
    b"1.2.3",
    b"1 2",
    b"5\n",
    b"5\x00",
    b"\xa05",
    b"\xb2",
    b"nan",
    b"inf",
    b"Infinity",
    b"None",
    b"unlimited",
    b"30,000",
    b"5, 6",
    b"5,",
    b",",
    b'"5"',
    b":5:",
    b"5;w",
    b"5;w=0",
    b"5;w=-1",
    b"5;w=1.5",
    b'5;w="1"',
    b"5;w=1;",
    b"5 ;w=1",
    b"5;W=1",
    b"5.5;w=1",
    b"-5;w=1",
    b"a;w=1",
    b"5;w=1 x",
    b"9999999999999999;w=1",
    "\uff11\uff12".encode(),
    "\u0661\u0662".encode(),
    b"5" * 5000,
]
invalid = pytest.mark.parametrize("value", INVALID, ids=lambda value: repr(value[:20]))

"""Rate-limit fields: invalid numbers, repeated fields, waits and buckets."""

from __future__ import annotations

import pytest

from ratewise._http.rate_limit_headers import NO_FIELDS
from tests.http.telling import DATE, Fields, family, invalid, named, quota, says, tell


@invalid
def test_invalid_numbers(value: bytes) -> None:
    """An invalid number of units is ignored completely: no part of it is used, and no default."""
    rest = family("x-ratelimit-", limit="10", remaining="5", reset="7")
    for name in ("limit", "remaining"):
        fields = [("x-ratelimit-" + name, value), *[field for field in rest if field[0] != "x-ratelimit-" + name]]
        assert tell(*fields) == says(quota("", 10, 5, 7)._replace(**{name: None}))
    assert tell(("x-ratelimit-remaining", value)) is NO_FIELDS
    assert tell(("x-ms-ratelimit-remaining-tenant-reads", value)) is NO_FIELDS
    assert tell(("x-rate-limit", value), ("x-hubspot-ratelimit-daily", value)) is NO_FIELDS


@invalid
def test_invalid_resets(value: bytes) -> None:
    """An invalid reset is ignored."""
    if b";" not in value:  # values with parameters are tests of limits, not of resets
        limit = ("x-ratelimit-limit", "10")
        assert tell(limit, ("x-ratelimit-reset", value)) == says(quota("", 10))
        assert tell(limit, ("x-ratelimit-reset-after", value), ("x-ratelimit-reset", "5")) == says(quota("", 10, None, 5))
        assert tell(("x-hubspot-ratelimit-max", "5"), ("x-hubspot-ratelimit-interval-milliseconds", value)) == says(quota("", 5))
        assert tell(("x-ratelimit-reset", value)) is NO_FIELDS


@pytest.mark.parametrize("value", ["10, 50", "10, 50;w=5, 60", "10, 50;w=x", "10, a;w=5", "10;w=5;w=0", "1;w=1,"])
def test_invalid_policies_after_a_limit(value: str) -> None:
    """Policies listed after a limit need a window each; otherwise the whole field is ignored."""
    assert tell(("RateLimit-Limit", value)) is NO_FIELDS


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", 0),
        ("007", 7),
        (" \t7\t ", 7),
        ("7.", 7),
        ("7.5", 7.5),
        ("7,7", 7),
        ("7 ,\t7, 7", 7),
        ("9" * 15, 10**15 - 1),
        ("9" * 16, 1e15),
        ("9" * 400, 1e15),
        ("9" * 4000 + ".5", 1e15),
        ("0." + "0" * 400 + "1", 0),
    ],
)
def test_numbers(value: str, number: float) -> None:
    """ASCII digits, with or without a fraction, up to 1e15; repeated in one line only with the same value."""
    expected = says(quota("", number, number))
    assert tell(("x-ratelimit-limit", value), ("x-ratelimit-remaining", value)) == expected


# Repeated fields


@pytest.mark.parametrize("name", ["limit", "remaining", "reset", "reset-after"])
def test_repeated_with_different_values(name: str) -> None:
    """A field repeated with different values is ignored; repeated with the same value it counts once."""
    fields = family("x-ratelimit-", limit="10", remaining="5", reset="7", reset_after="6")
    again, others = f"x-ratelimit-{name}", [field for field in fields if field[0] != f"x-ratelimit-{name}"]
    assert tell(*fields, (again, "3")) == tell(*others)
    assert tell((again, "3"), *others, (again, " 3 ")) == tell(*others, (again, "3"))
    assert tell((again, "9"), (f"X-Rate-Limit-{name}", "8"), (again, "9")) is NO_FIELDS


def test_repeated_lists() -> None:
    """A list may be split over several lines; a list with too many members is ignored."""
    lines = [("RateLimit", '"a";r=1'), ("RateLimit", '"b";r=2'), ("ratelimit", '"c";r=3')]
    assert tell(*lines) == says(named("a", None, 1), named("b", None, 2), named("c", None, 3))
    assert tell(*lines, ("RateLimit", '"d"')) is NO_FIELDS
    assert tell(("RateLimit-Policy", "a;q=1"), ("RateLimit-Policy", "b;q=2")) == says(named("a", 1), named("b", 2))
    assert tell(("Sforce-Limit-Info", "a=1/2"), ("Sforce-Limit-Info", "b=1/2")) == says(quota("a", 2, 1), quota("b", 2, 1))
    assert tell(*[("RateLimit", f"a{i};r=1") for i in range(2000)]) is NO_FIELDS


def test_no_more_than_32() -> None:
    """At most 32 quotas are kept."""
    assert len(tell(*[("RateLimit", f"a{i};r=1") for i in range(40)]).quotas) == 32
    assert len(tell(*[(f"x-ratelimit-remaining-a{i}", "1") for i in range(40)]).quotas) == 32


# Other information


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([("Retry-After", "120")], 120),
        ([("Retry-After", "1.5")], 1.5),
        ([("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], 60),
        ([("Retry-After", "7"), ("retry-after-ms", "1500")], 1.5),
        ([("Retry-After", "7"), ("x-ms-retry-after-ms", "0")], 7),
        ([("Retry-After", "5"), ("Retry-After", "9")], 9),
        ([("Retry-After", "864000000")], 864_000_000),
        ([("Retry-After", "0")], None),
        ([("Retry-After", "-1")], None),
        ([("Retry-After", "\uff11")], None),
        ([("Retry-After", "soon")], None),
        ([("Retry-After", "Wed, 21 Oct 2015 07:26:00 GMT")], None),
        ([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")], None),
    ],
)
def test_retry_after(fields: Fields, seconds: float | None) -> None:
    """Retry-After and its variants, measured from the Date; a rate-limit reset is not a Retry-After."""
    assert tell(DATE, *fields).retry_after == tell(*fields, DATE).retry_after == seconds


@pytest.mark.parametrize(
    ("fields", "bucket", "everyone"),
    [
        ([("X-RateLimit-Bucket", "abcd")], "abcd", False),
        ([("X-RateLimit-Bucket", " abcd ")], "abcd", False),
        ([("x-ratelimit-resource", "graphql")], "graphql", False),
        ([("x-ratelimit-resource", "core"), ("X-RateLimit-Bucket", "abcd")], "abcd", False),
        ([("x-ratelimit-resource", "core"), ("X-RateLimit-Bucket", "a b")], "core", False),
        ([("X-RateLimit-Bucket", "abcd"), ("X-RateLimit-Bucket", "abcd")], "abcd", False),
        ([("X-RateLimit-Bucket", "abcd"), ("X-RateLimit-Bucket", "efgh")], None, False),
        ([("X-RateLimit-Bucket", "")], None, False),
        ([("X-RateLimit-Bucket", "\xe9")], None, False),
        ([("X-RateLimit-Bucket", "a\x00")], None, False),
        ([("X-RateLimit-Bucket", "a" * 128)], "a" * 128, False),
        ([("X-RateLimit-Bucket", "a" * 129)], None, False),
        ([("X-RateLimit-Global", "true")], None, True),
        ([("X-RateLimit-Global", " True ")], None, True),
        ([("X-RateLimit-Global", "false")], None, False),
        ([("X-RateLimit-Global", "1")], None, False),
        ([("X-RateLimit-Global", "true"), ("X-RateLimit-Global", "false")], None, False),
        ([("X-RateLimit-Scope", "global")], None, True),
        ([("X-RateLimit-Scope", "shared")], None, False),
        ([("X-RateLimit-Scope", "user"), ("X-RateLimit-Global", "true")], None, True),
    ],
)
def test_buckets(fields: Fields, bucket: str | None, everyone: bool) -> None:
    """The bucket is visible ASCII of at most 128 characters; `everyone` is set by a global refusal."""
    assert tell(*fields) == says(bucket=bucket, everyone=everyone)


@pytest.mark.parametrize("age", ["1", "0.5", "3600"])
def test_from_a_cache(age: str) -> None:
    """The quotas of a response with an Age above 0 are outdated and ignored; Retry-After is not."""
    fields = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Bucket", "a"), ("RateLimit", "a;r=1"), ("X-RateLimit-Global", "true")]
    assert tell(*fields, ("Age", age)) is NO_FIELDS
    assert tell(*fields, ("Age", age), ("Retry-After", "5")) == says(retry_after=5)
    for none in ("0", "", "x", "-1"):
        assert len(tell(*fields, ("Age", none)).quotas) == 2

"""Rate-limit fields: every family in use, under all its names."""

from __future__ import annotations

import pytest

from ratewise._http.rate_limit_headers import NO_FIELDS, Quota, RateLimitFields, rate_limit_fields
from tests.http.families import FAMILIES, read
from tests.http.telling import DATE, NOW, Fields, family, quota, says, tell


@pytest.mark.parametrize(
    ("fields", "expected"), [(read(block), expected) for _, block, expected in FAMILIES], ids=[case[0] for case in FAMILIES]
)
def test_families(fields: Fields, expected: RateLimitFields) -> None:
    """Each family is recognised in any order and case, among other fields; instants are measured from the response's Date."""
    others = [("Content-Type", "application/json"), ("Vary", "x-ratelimit-limit"), ("Age", "0")]
    assert round_(tell(DATE, *fields)) == round_(expected)
    for variant in ([*fields, DATE], [*others, *fields, DATE, *others[:2]]):
        assert round_(tell(*variant)) == round_(expected)
    turned = tell(*fields[::-1], DATE)
    assert sorted(round_(turned).quotas) == sorted(round_(expected).quotas)
    for case in (str.upper, str.lower, str.title):
        assert round_(tell(*[(case(name), value) for name, value in [DATE, *fields]])) == round_(expected)
    if expected == NO_FIELDS:
        assert tell(DATE, *fields) is NO_FIELDS


def round_(said: RateLimitFields) -> RateLimitFields:
    return said._replace(
        quotas=tuple(each._replace(reset=each.reset and round(each.reset, 9)) for each in said.quotas),
        retry_after=said.retry_after and round(said.retry_after, 9),
    )


@pytest.mark.parametrize(
    "name",
    [
        "X-RateLimit-Used",
        "X-RateLimit-Type",
        "X-RateLimit-Policy",
        "X-RateLimit-Limit-Remaining",
        "X-RateLimit-Remaining-Limit",
        "X-RateLimit-Limit-",
        "X-RateLimit-Limit--",
        "X-RateLimit-Reset-At",
        "X-RateLimit-Limit-Requests-Remaining",
        "X-RateLimitLimit",
        "X-RateLimited-Limit",
        "XRateLimit-Limit",
        "X-Rate--Limit-Limit",
        "X-RateLimit-Limit-\xe9",
        "Ratelimit-Foo",
        "X-Limit",
        "Limit",
        "Content-Limit-Remaining",
        "Access-Control-Limit",
        "X-RateLimit-Remaining-" + "a" * 100,
        "",
    ],
)
def test_other_names(name: str) -> None:
    """Fields with other names are ignored."""
    for value in ("5", "5;w=60", '"a";q=5', '"a";r=5;t=5', "limit=5, remaining=5"):
        assert tell(DATE, (name, value), (name, value)) is NO_FIELDS


def test_nothing() -> None:
    """Without rate-limit fields the result is the `NO_FIELDS` object itself; any iterable of fields is accepted."""
    assert tell() is NO_FIELDS
    assert tell(DATE, ("Age", "5"), ("X-Unlimited", "5")) is NO_FIELDS
    assert rate_limit_fields(iter([(b"Retry-After", b"retry-after", b"5")]), NOW).retry_after == 5


def test_windows() -> None:
    """A window is taken from the limit, from what remains or from the policies, otherwise from the field's name."""
    assert tell(("x-ratelimit-limit-day", "9;w=5"), ("x-ratelimit-remaining-day", "8;w=6")).quotas[0].window == 5
    assert tell(("x-ratelimit-limit-day", "9"), ("x-ratelimit-remaining-day", "8;w=6")).quotas[0].window == 6
    assert tell(("x-ratelimit-limit-day", "9"), ("ratelimit-policy", "9;w=7")).quotas[0].window == 86_400
    assert tell(("x-ratelimit-limit", "9"), ("ratelimit-policy", "8;w=6, 9;w=7, 9;w=8")).quotas[0].window == 7
    assert tell(("x-ratelimit-limit", "9"), ("ratelimit-policy", "8;w=6")).quotas[0].window is None


# Equivalent fields


@pytest.mark.parametrize(
    ("plain", "x", "expected"),
    [
        ({"limit": "9", "remaining": "5"}, {"limit": "9", "remaining": "4", "reset": "7"}, [quota("", 9, 5, 7)]),
        ({"remaining": "5", "reset": "6"}, {"limit": "9", "remaining": "4", "reset": "2.5"}, [quota("", 9, 5, 6)]),
        ({"limit": "9"}, {"remaining": "4", "reset": "1s"}, [quota("", 9, 4, 1, 0.001, kind="bucket")]),
        ({"remaining": "4"}, {"limit": "9;w=60"}, [quota("", 9, 4, window=60)]),
        ({"limit": "9", "remaining": "5"}, {"limit": "8", "remaining": "4"}, [quota("", 9, 5), quota("x", 8, 4)]),
    ],
)
def test_with_and_without_x(plain: dict[str, str], x: dict[str, str], expected: list[Quota]) -> None:
    """RateLimit-* and X-RateLimit-* describe one limit and complete each other, unless their limits differ."""
    for order in (1, -1):
        assert tell(*[*family("RateLimit-", **plain), *family("X-RateLimit-", **x)][::order]) == says(*expected)


def test_names_that_clash() -> None:
    """Of two quotas with the same name the one with the longer prefix is renamed after it; one without a prefix is dropped."""
    fields = [("RateLimit", '"tokens";r=1, "";r=2')]
    fields += family("anthropic-ratelimit-", tokens_remaining="3") + family("x-sib-ratelimit-", remaining="4")
    found = tell(*fields, ("ratelimit-limit", "5"), ("RateLimit-Policy", '"";q=4;w=1'))
    assert [(each.name, each.remaining) for each in found.quotas] == [
        ("tokens", 1),
        ("", 2),
        ("x-sib", 4),
        ("anthropic-ratelimit-tokens".replace("ratelimit-", ""), 3),
    ]

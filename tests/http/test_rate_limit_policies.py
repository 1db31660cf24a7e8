"""RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): named policies and lists in all their forms."""

from __future__ import annotations

import pytest

from ratewise._http.rate_limit_headers import NO_FIELDS, Quota
from tests.http.telling import DATE, named, quota, says, tell

# Named policies


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        '"a"',
        '"a";t=5',
        '"a";r',
        '"a";r=-1',
        '"a";r=1.0',
        '"a";r="1"',
        '"a";r=?1',
        '"a";r=1;t=-5',
        '"a";r=1;t=5.0',
        '"a";r=1;t',
        '"a";r=1;pk=abc',
        '"a";r=1;pk="abc"',
        '"a";r=1;pk=:a:',
        '"a";r=1;pk=:=:',
        '"a";r=1;pk=:YQ==',
        '"a";r=1;pk=:Y Q==:',
        '"a";r=1 ;t=5',
        '"a";r=1;',
        '"a";r=1;;t=5',
        '"a";r=1;\tt=5',
        '"a";r= 1',
        '"a";r =1',
        '"a";r=1e3',
        '"a";r=1000000000000000000',
        '"a";r=\uff11',
        '"a";R=1',
        '"a";r=1,',
        '"a";r=1,,"b";r=1',
        ',"a";r=1',
        '"a";r=1 "b";r=1',
        '"a";r=1, "a";r=1',
        '"a";r=1, "b"',
        '"a";r=1, b;r=x',
        '"a";r=1, 5;r=1',
        '"a";r=1, ("b");r=1',
        '"a";r=1, ?1;r=1',
        '"a";r=1, :YQ==:;r=1',
        '"a";r=1;x=@5',
        '"a";r=1;x=%"b"',
        '"a;r=1',
        '"a\\b";r=1',
        '"a\\',
        '"a\x7f";r=1',
        '"\xe9";r=1',
        "'a';r=1",
        "1a;r=1",
        "a\x00;r=1",
        "limit=10, remaining=5;reset",
        "limit=10, remaining=a, reset=5",
        "limit=10, remaining=-5, reset=5",
        "limit=10, remaining=5.0, reset=5",
        "limit=10, remaining=?1, reset=5",
        "limit=10, remaining, reset=5",
        "limit=10, remaining=5, reset=5,",
        "limit=10 remaining=5",
        "Limit=10, Remaining=5",
        "limit=10 ; remaining=5",
        "limit=(10), remaining=5",
        "limit=10, =5",
        '"a";r=1;x="' + "b" * 4100 + '"',
    ],
    ids=lambda value: value[:40],
)
def test_malformed_ratelimit(value: str) -> None:
    """One error makes the whole RateLimit field invalid; other fields are still used."""
    assert tell(("RateLimit", value)) is NO_FIELDS
    policies = ("RateLimit-Policy", '"a";q=10;w=60')
    assert tell(("RateLimit", value), policies).quotas[:1] == (named("a", 10, window=60),)
    assert tell(("RateLimit", value), ("Retry-After", "5")).retry_after == 5


@pytest.mark.parametrize(
    "value",
    [
        "",
        '"a"',
        '"a";w=60',
        '"a";q=-1;w=60',
        '"a";q=1.5;w=60',
        '"a";q=x;w=60',
        '"a";q=10;w=0',
        '"a";q=10;w=-1',
        '"a";q=10;w=1.0',
        '"a";q=10;w',
        '"a";q=10;qu=5',
        '"a";q=10;qu',
        '"a";q=10;qu=:YQ==:',
        '"a";q=10;pk=a',
        '"a";q=10, "a";q=20',
        '"a";q=10, 5;w=60',
        '5;w=60, "a";q=10',
        '"a";q=10, 5',
        '"a";q=10 x',
        "5",
        "5;w=0",
        "5;w=1.5",
        "5.5;w=60",
        "-5;w=60",
    ],
)
def test_malformed_policy(value: str) -> None:
    """One error makes the whole RateLimit-Policy field invalid; RateLimit is still used."""
    assert tell(("RateLimit-Policy", value)) is NO_FIELDS
    assert tell(("RateLimit-Policy", value), ("RateLimit", '"a";r=5;t=6')) == says(named("a", None, 5, 6))
    assert tell(("RateLimit-Policy", value), ("RateLimit", "limit=5, remaining=4")) == says(quota("", 5, 4))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"a\\"b\\\\,;r=9";r=1', [named('a"b\\,;r=9', None, 1)]),
        ('"";r=1', [named("", None, 1)]),
        ("a/b:c*;r=1", [named("a/b:c*", None, 1)]),
        ("*;r=1;t=2", [named("*", None, 1, 2)]),
        ('a;r=1\t ,\t"b";r=2', [named("a", None, 1), named("b", None, 2)]),
        (" \ta;r=1 ", [named("a", None, 1)]),
        ("a;r=x;r=1", [named("a", None, 1)]),
        ("a;   r=007;t=0", [named("a", None, 7, 0)]),
        ("a;r=999999999999999", [named("a", None, 999_999_999_999_999)]),
        ('a;r=1;x;y=?0;z=-1.5;*=b;-=1;u="c"', None),
        ('a;r=1;x;y=?0;z=-1.5;*=b;u="c;r=9"', [named("a", None, 1)]),
        ("a;r=1;pk=::", [named("a", None, 1)]),
        ("a;r=1, a;r=2;pk=:YQ:, a;r=3;pk=:Yg==:", [named("a", None, 1), named("a;pk=YQ", None, 2), named("a;pk=Yg==", None, 3)]),
        ("limit=10,remaining=5,reset=1445412450", [quota("", 10, 5, 30)]),
        ("limit=10;w=5, remaining=5;x, reset=3, foo, bar=1.5", [quota("", 10, 5, 3)]),
        ("remaining=5;reset=3;limit=9", [quota("", 9, 5, 3)]),
    ],
)
def test_ratelimit(value: str, expected: list[Quota] | None) -> None:
    """Structured fields (RFC 9651): strings, tokens, unknown parameters, and the last of repeated parameters."""
    assert tell(DATE, ("RateLimit", value)) == (NO_FIELDS if expected is None else says(*expected))


# Lists of single vendors


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "X-Shopify-Shop-Api-Call-Limit",
            "|32|32/|/40|-1/40|32/0|0/0|32/040|32/40.5|32 / 40|32/40/2|a/40|32/40,33/40|32/9999999999999999"
            "|\uff13/40|nan/40|1e1/40",
        ),
        (
            "Sforce-Limit-Info",
            "|api-usage|api-usage=18|api-usage=18/|api-usage=18/0|api-usage=-1/5|=18/5000|api=1/5(|api=1/5(appName=x))|a=1/5;"
            "|a=1/5; a=1/5|a=1/5 b=1/5|a=1/5 ; b=1/5|A=1/5|a = 1/5",
        ),
        (
            "x-ms-ratelimit-remaining-resource",
            "|a|a;|;5|a;-5|a;5.5|a;x|a;5,|a;5,b|a;5,a;6|a;5 b;6|a b;5|a;5;6|" + "a" * 101 + ";5",
        ),
        (
            "zendesk-ratelimit-tickets-index",
            "|100|total|total=a; remaining=1|total=1; remaining=-1|total=1 remaining=1|resets=5|remaining=1;|remaining = 1"
            "|remaining=1e5|Total=5",
        ),
    ],
)
def test_malformed_lists(name: str, values: str) -> None:
    """One error makes the whole list invalid."""
    for value in values.split("|"):
        assert tell((name, value)) is NO_FIELDS, value

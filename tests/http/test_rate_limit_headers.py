"""What servers tell about their limits: every family in the wild, and everything that is none."""

from __future__ import annotations

import base64
import itertools
import math
import re
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ratewise._http.rate_limit_headers import NOTHING, Quota, Told, told
from tests.kit.growth import growth

NOW = 1_445_412_420.0
DATE = ("Date", "Wed, 21 Oct 2015 07:27:00 GMT")
WRONG = NOW + 5000
"""What a clock shows that is wrong; the response's own Date is right."""

Fields = list[tuple[str, str]]


def tell(*fields: tuple[str, str | bytes], now: float = WRONG) -> Told:
    return told([(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in fields], now)


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


def says(*quotas: Quota, retry_after: float | None = None, bucket: str | None = None, everyone: bool = False) -> Told:
    return Told(quotas, retry_after, bucket, everyone)


# The families, in their own words


def read(block: str) -> Fields:
    """Fields as they stand in a response, one in a line."""
    return [(name, value.strip()) for name, _, value in (line.strip().partition(":") for line in block.strip().splitlines())]


def family(prefix: str, **values: str) -> Fields:
    return [(prefix + name.replace("_", "-"), value) for name, value in values.items()]


FAMILIES: list[tuple[str, str, Told]] = [
    (
        "IETF -11",
        """
        RateLimit-Policy: "burst";q=100;w=60,"daily";q=1000;w=86400
        RateLimit: "burst";r=50;t=30
        """,
        says(named("burst", 100, 50, 30, window=60), named("daily", 1000, window=86_400)),
    ),
    (
        "IETF -11, tokens and units",
        """
        RateLimit-Policy: bytes;q=65535;qu="content-bytes";w=10, "busy";q=5;qu="concurrent-requests"
        RateLimit: busy;r=2, "bytes";r=60000;t=4;comment="so far"
        """,
        says(named("busy", 5, 2, unit="concurrent-requests"), named("bytes", 65_535, 60_000, 4, window=10, unit="content-bytes")),
    ),
    (
        "IETF -11, partitions",
        """
        RateLimit-Policy: "user";q=100;w=60;pk=:cHsdsRa894==:, "user";q=9;w=60;pk=:YQ==:, "all";q=7
        RateLimit: "user";r=30;t=20;pk=:cHsdsRa894==:, "all";r=1;pk=:Yg:
        """,
        says(named("user;pk=cHsdsRa894==", 100, 30, 20, window=60), named("all;pk=Yg", 7, 1)),
    ),
    (
        "express-rate-limit 8, -08",
        """
        RateLimit: "100-in-15min"; r=99; t=900
        RateLimit-Policy: "100-in-15min"; q=100; w=900; pk=:ZTMwMmNkODU4MTc5:
        """,
        says(named("100-in-15min", 100, 99, 900, window=900)),
    ),
    (
        "Cloudflare",
        """
        Ratelimit: "default";r=50;t=30
        Ratelimit-Policy: "default";q=100;w=60
        """,
        says(named("default", 100, 50, 30, window=60)),
    ),
    (
        "RateLimit alone",
        """
        ratelimit: "default";r=0;t=30
        """,
        says(named("default", None, 0, 30)),
    ),
    (
        "RateLimit-Policy alone",
        """
        ratelimit-policy: "default";q=9;w=1
        """,
        says(named("default", 9, window=1)),
    ),
    (
        "-07",
        """
        RateLimit: limit=100, remaining=50, reset=50
        RateLimit-Policy: 10;w=1, 100;w=60;comment=x
        """,
        says(quota("", 100, 50, 50, window=60)),
    ),
    (
        "-06",
        """
        RateLimit-Limit: 100
        RateLimit-Remaining: 50
        RateLimit-Reset: 50
        RateLimit-Policy: 100;w=60, 1000;w=3600
        """,
        says(quota("", 100, 50, 50, window=60)),
    ),
    (
        "-02",
        """
        RateLimit-Limit: 100, 50;w=1, 100;w=10
        RateLimit-Remaining: 50
        RateLimit-Reset: 5
        """,
        says(quota("", 100, 50, 5, window=10)),
    ),
    (
        "Docker Hub",
        """
        ratelimit-limit: 100;w=21600
        ratelimit-remaining: 76;w=21600
        """,
        says(quota("", 100, 76, window=21_600)),
    ),
    (
        "express-rate-limit 6, both kinds",
        """
        X-RateLimit-Limit: 5
        X-RateLimit-Remaining: 4
        X-RateLimit-Reset: 1445412481
        RateLimit-Limit: 5
        RateLimit-Remaining: 4
        RateLimit-Reset: 60
        RateLimit-Policy: 5;w=60
        """,
        says(quota("", 5, 4, 60, window=60)),
    ),
    (
        "Kong",
        """
        RateLimit-Limit: 20
        RateLimit-Remaining: 17
        RateLimit-Reset: 42
        X-RateLimit-Limit-Minute: 20
        X-RateLimit-Remaining-Minute: 17
        X-RateLimit-Limit-Day: 500
        X-RateLimit-Remaining-Day: 482
        """,
        says(quota("", 20, 17, 42), quota("day", 500, 482, window=86_400), quota("minute", 20, 17, window=60)),
    ),
    (
        "GitHub",
        """
        x-ratelimit-limit: 5000
        x-ratelimit-remaining: 4987
        x-ratelimit-used: 13
        x-ratelimit-reset: 1445412480
        x-ratelimit-resource: core
        """,
        says(quota("", 5000, 4987, 60), bucket="core"),
    ),
    (
        "GitHub, secondary limit",
        """
        retry-after: 60
        x-ratelimit-limit: 30
        x-ratelimit-remaining: 0
        x-ratelimit-reset: 1445412480
        x-ratelimit-resource: search
        """,
        says(quota("", 30, 0, 60), retry_after=60, bucket="search"),
    ),
    (
        "GitLab",
        """
        RateLimit-Limit: 60
        RateLimit-Name: throttle_authenticated_web
        RateLimit-Observed: 67
        RateLimit-Remaining: 0
        RateLimit-Reset: 1445412480
        RateLimit-ResetTime: Wed, 21 Oct 2015 07:28:00 GMT
        Retry-After: 60
        """,
        says(quota("", 60, 0, 60), retry_after=60),
    ),
    (
        "OpenAI",
        """
        x-ratelimit-limit-requests: 10000
        x-ratelimit-limit-tokens: 2000000
        x-ratelimit-remaining-requests: 9999
        x-ratelimit-remaining-tokens: 1999960
        x-ratelimit-reset-requests: 8.64s
        x-ratelimit-reset-tokens: 1ms
        """,
        says(
            quota("requests", 10_000, 9999, 8.64, resolution=0.001, kind="bucket"),
            quota("tokens", 2_000_000, 1_999_960, 0.001, resolution=0.001, unit="tokens", kind="bucket"),
        ),
    ),
    (
        "OpenAI, refused",
        """
        retry-after: 21
        retry-after-ms: 20412
        x-should-retry: true
        x-ratelimit-limit-project-tokens: 30000
        x-ratelimit-remaining-project-tokens: 0
        x-ratelimit-reset-project-tokens: 6m0s
        """,
        says(quota("project-tokens", 30_000, 0, 360, resolution=0.001, unit="tokens", kind="bucket"), retry_after=20.412),
    ),
    (
        "Azure OpenAI",
        """
        retry-after-ms: 500
        x-ratelimit-remaining-requests: 9
        x-ratelimit-remaining-tokens: -1
        x-ratelimit-reset-tokens: 0
        """,
        says(quota("requests", None, 9), retry_after=0.5),
    ),
    (
        "Groq",
        """
        x-ratelimit-limit-audio-seconds: 7200
        x-ratelimit-remaining-audio-seconds: 7190
        x-ratelimit-reset-audio-seconds: 2m59.56s
        """,
        says(quota("audio-seconds", 7200, 7190, 179.56, resolution=0.001, unit="seconds", kind="bucket")),
    ),
    (
        "Cerebras",
        """
        x-ratelimit-limit-requests-day: 14400
        x-ratelimit-remaining-requests-day: 14399
        x-ratelimit-reset-requests-day: 33011.382867
        x-ratelimit-limit-tokens-minute: 60000
        x-ratelimit-remaining-tokens-minute: 59000
        x-ratelimit-reset-tokens-minute: 11.382867
        """,
        says(
            quota("requests-day", 14_400, 14_399, 33011.382867, resolution=0.001, window=86_400),
            quota("tokens-minute", 60_000, 59_000, 11.382867, resolution=0.001, window=60, unit="tokens"),
        ),
    ),
    (
        "Anthropic",
        """
        anthropic-ratelimit-requests-limit: 1000
        anthropic-ratelimit-requests-remaining: 999
        anthropic-ratelimit-requests-reset: 2015-10-21T07:27:01Z
        anthropic-ratelimit-tokens-limit: 80000
        anthropic-ratelimit-tokens-remaining: 0
        anthropic-ratelimit-tokens-reset: 2015-10-21T07:28:00Z
        anthropic-ratelimit-input-tokens-limit: 40000
        anthropic-ratelimit-input-tokens-remaining: 40000
        anthropic-ratelimit-input-tokens-reset:
        """,
        says(
            quota("input-tokens", 40_000, 40_000, unit="tokens", kind="bucket"),
            quota("requests", 1000, 999, 1, kind="bucket"),
            quota("tokens", 80_000, 0, 60, unit="tokens", kind="bucket"),
        ),
    ),
    (
        "Anthropic, what is no limit of requests",
        """
        anthropic-ratelimit-unified-status: allowed
        anthropic-ratelimit-unified-reset: 1445412480
        anthropic-ratelimit-unified-5h-utilization: 0.2
        """,
        NOTHING,
    ),
    (
        "Azure Resource Manager",
        """
        x-ms-ratelimit-remaining-subscription-reads: 11999
        x-ms-ratelimit-remaining-tenant-writes: 1199
        x-ms-ratelimit-remaining-resource: Microsoft.Compute/PutVM3Min;239,Microsoft.Compute/PutVM30Min;1198
        x-ms-retry-after-ms: 1500
        """,
        says(
            quota("subscription-reads", None, 11_999),
            quota("tenant-writes", None, 1199),
            quota("Microsoft.Compute/PutVM3Min", None, 239),
            quota("Microsoft.Compute/PutVM30Min", None, 1198),
            retry_after=1.5,
        ),
    ),
    (
        "Discord",
        """
        X-RateLimit-Limit: 5
        X-RateLimit-Remaining: 0
        X-RateLimit-Reset: 1445412421.457
        X-RateLimit-Reset-After: 1.457
        X-RateLimit-Bucket: abcd1234
        X-RateLimit-Scope: user
        """,
        says(quota("", 5, 0, 1.457, resolution=0.001), bucket="abcd1234"),
    ),
    (
        "Discord, everything",
        """
        Retry-After: 65
        X-RateLimit-Global: true
        X-RateLimit-Scope: global
        """,
        says(retry_after=65, everyone=True),
    ),
    (
        "Shopify",
        """
        X-Shopify-Shop-Api-Call-Limit: 32/40
        Retry-After: 2.0
        """,
        says(quota("", 40, 8, 16, resolution=0.5, kind="bucket"), retry_after=2),
    ),
    (
        "Shopify Plus, just full",
        """
        HTTP_X_SHOPIFY_SHOP_API_CALL_LIMIT: 1/400
        X-Shopify-Shop-Api-Call-Limit: 401/400
        """,
        says(quota("", 400, 0, 20.05, resolution=0.05, kind="bucket")),
    ),
    (
        "X",
        """
        x-rate-limit-limit: 900
        x-rate-limit-remaining: 899
        x-rate-limit-reset: 1445413320
        """,
        says(quota("", 900, 899, 900)),
    ),
    (
        "Okta, too many at once",
        """
        X-Rate-Limit-Limit: 0
        X-Rate-Limit-Remaining: 0
        X-Rate-Limit-Reset: 1445412480
        """,
        says(quota("", 0, 0, 60)),
    ),
    (
        "Jira",
        """
        X-RateLimit-Limit: 350
        X-RateLimit-Remaining: 0
        X-RateLimit-Reset: 2015-10-21T07:28Z
        X-RateLimit-NearLimit: true
        RateLimit-Reason: jira-burst-based
        Retry-After: 47
        """,
        says(quota("", 350, 0, 60, resolution=60), retry_after=47),
    ),
    (
        "Jira Data Center",
        """
        X-RateLimit-Limit: 70
        X-RateLimit-Remaining: 69
        X-RateLimit-FillRate: 5
        X-RateLimit-Interval-Seconds: 1
        """,
        says(quota("", 70, 69)),
    ),
    (
        "Zendesk",
        """
        x-rate-limit: 700
        ratelimit-limit: 700
        x-rate-limit-remaining: 699
        ratelimit-remaining: 699
        ratelimit-reset: 41
        zendesk-ratelimit-tickets-index: total=100; remaining=99; resets=40
        """,
        says(quota("", 700, 699, 41), quota("tickets-index", 100, 99, 40)),
    ),
    (
        "HubSpot",
        """
        X-HubSpot-RateLimit-Daily: 250000
        X-HubSpot-RateLimit-Daily-Remaining: 249000
        X-HubSpot-RateLimit-Secondly: 19
        X-HubSpot-RateLimit-Secondly-Remaining: 18
        X-HubSpot-RateLimit-Max: 190
        X-HubSpot-RateLimit-Remaining: 189
        X-HubSpot-RateLimit-Interval-Milliseconds: 10000
        """,
        says(
            quota("", 190, 189, window=10), quota("daily", 250_000, 249_000, window=86_400), quota("secondly", 19, 18, window=1)
        ),
    ),
    (
        "Reddit",
        """
        X-Ratelimit-Used: 2
        X-Ratelimit-Remaining: 598.0
        X-Ratelimit-Reset: 594
        """,
        says(quota("", None, 598, 594)),
    ),
    (
        "Salesforce",
        """
        Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=17/250(appName=sample-app)
        """,
        says(quota("api-usage", 5000, 4982), quota("per-app-api-usage", 250, 233)),
    ),
    (
        "Brevo",
        """
        x-sib-ratelimit-limit: 100
        x-sib-ratelimit-remaining: 99
        x-sib-ratelimit-reset: 17
        """,
        says(quota("", 100, 99, 17)),
    ),
    (
        "Brevo, refused",
        """
        x-sib-ratelimit-reset: 17
        """,
        says(quota("", None, None, 17)),
    ),
    (
        "LiteLLM: its own and its provider's",
        """
        x-ratelimit-limit-requests: 10
        x-ratelimit-remaining-requests: 9
        llm_provider-x-ratelimit-limit-requests: 5000
        llm_provider-x-ratelimit-remaining-requests: 4999
        """,
        says(quota("requests", 10, 9), quota("llm_provider-x-requests", 5000, 4999)),
    ),
    (
        "Slack",
        """
        Retry-After: 30
        """,
        says(retry_after=30),
    ),
    (
        "Riot: pairs that nobody else has",
        """
        X-App-Rate-Limit: 100:120
        X-App-Rate-Limit-Count: 1:120
        """,
        NOTHING,
    ),
    (
        "lemlist",
        """
        X-RateLimit-Reset: Wed Oct 21 2015 07:28:00 GMT+0000 (Coordinated Universal Time)
        """,
        NOTHING,
    ),
    (
        "MailerLite",
        """
        X-RateLimit-Limit: 60
        X-RateLimit-Remaining: 5
        X-RateLimit-Reset: 2015-10-21 07:28:00
        """,
        says(quota("", 60, 5)),
    ),
]


@pytest.mark.parametrize(
    ("fields", "expected"), [(read(block), expected) for _, block, expected in FAMILIES], ids=[case[0] for case in FAMILIES]
)
def test_families(fields: Fields, expected: Told) -> None:
    """What the servers of this world send, in any order and any case, among other fields: measured from the response's Date."""
    others = [("Content-Type", "application/json"), ("Vary", "x-ratelimit-limit"), ("Age", "0")]
    assert round_(tell(DATE, *fields)) == round_(expected)
    for variant in ([*fields, DATE], [*others, *fields, DATE, *others[:2]]):
        assert round_(tell(*variant)) == round_(expected)
    turned = tell(*fields[::-1], DATE)
    assert sorted(round_(turned).quotas) == sorted(round_(expected).quotas)
    for case in (str.upper, str.lower, str.title):
        assert round_(tell(*[(case(name), value) for name, value in [DATE, *fields]])) == round_(expected)
    if expected == NOTHING:
        assert tell(DATE, *fields) is NOTHING


def round_(said: Told) -> Told:
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
    """What is called otherwise says nothing."""
    for value in ("5", "5;w=60", '"a";q=5', '"a";r=5;t=5', "limit=5, remaining=5"):
        assert tell(DATE, (name, value), (name, value)) is NOTHING


def test_nothing() -> None:
    """No fields, or none that matter: always the same object. Any iterable will do."""
    assert tell() is NOTHING
    assert tell(DATE, ("Age", "5"), ("X-Unlimited", "5")) is NOTHING
    assert told(iter([(b"retry-after", b"5")]), NOW) == says(retry_after=5)


def test_windows() -> None:
    """A window is what is told of it: by the limit, by what remains, by the policies; else by the name."""
    assert tell(("x-ratelimit-limit-day", "9;w=5"), ("x-ratelimit-remaining-day", "8;w=6")).quotas[0].window == 5
    assert tell(("x-ratelimit-limit-day", "9"), ("x-ratelimit-remaining-day", "8;w=6")).quotas[0].window == 6
    assert tell(("x-ratelimit-limit-day", "9"), ("ratelimit-policy", "9;w=7")).quotas[0].window == 86_400
    assert tell(("x-ratelimit-limit", "9"), ("ratelimit-policy", "8;w=6, 9;w=7, 9;w=8")).quotas[0].window == 7
    assert tell(("x-ratelimit-limit", "9"), ("ratelimit-policy", "8;w=6")).quotas[0].window is None


# Numbers

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


@invalid
def test_invalid_numbers(value: bytes) -> None:
    """What is no number of units is not there at all: not half of it, and nothing in its stead."""
    rest = family("x-ratelimit-", limit="10", remaining="5", reset="7")
    for name in ("limit", "remaining"):
        fields = [("x-ratelimit-" + name, value), *[field for field in rest if field[0] != "x-ratelimit-" + name]]
        assert tell(*fields) == says(quota("", 10, 5, 7)._replace(**{name: None}))
    assert tell(("x-ratelimit-remaining", value)) is NOTHING
    assert tell(("x-ms-ratelimit-remaining-tenant-reads", value)) is NOTHING
    assert tell(("x-rate-limit", value), ("x-hubspot-ratelimit-daily", value)) is NOTHING


@invalid
def test_invalid_resets(value: bytes) -> None:
    """Nor is there a reset."""
    if b";" not in value:  # those are not about resets
        limit = ("x-ratelimit-limit", "10")
        assert tell(limit, ("x-ratelimit-reset", value)) == says(quota("", 10))
        assert tell(limit, ("x-ratelimit-reset-after", value), ("x-ratelimit-reset", "5")) == says(quota("", 10, None, 5))
        assert tell(("x-hubspot-ratelimit-max", "5"), ("x-hubspot-ratelimit-interval-milliseconds", value)) == says(quota("", 5))
        assert tell(("x-ratelimit-reset", value)) is NOTHING


@pytest.mark.parametrize("value", ["10, 50", "10, 50;w=5, 60", "10, 50;w=x", "10, a;w=5", "10;w=5;w=0", "1;w=1,"])
def test_invalid_policies_after_a_limit(value: str) -> None:
    """Policies that follow a limit have a window; if one has not, nothing of it counts."""
    assert tell(("RateLimit-Limit", value)) is NOTHING


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
    """Numbers in ASCII digits, with a fraction or without, bounded; joined in one line only if they are the same."""
    expected = says(quota("", number, number))
    assert tell(("x-ratelimit-limit", value), ("x-ratelimit-remaining", value)) == expected


# When it resets


@pytest.mark.parametrize(
    ("value", "seconds", "resolution", "kind"),
    [
        ("30", 30, 1, "window"),
        ("0", 0, 1, "window"),
        ("30.5", 30.5, 0.1, "window"),
        ("30.", 30, 1, "window"),
        ("30.25", 30.25, 0.01, "window"),
        ("1.4567", 1.4567, 0.001, "window"),
        ("999999999", 999_999_999, 1, "window"),
        ("1000000000", 0, 1, "window"),
        ("1445412450", 30, 1, "window"),
        ("1445412450.5", 30.5, 1, "window"),
        ("1445412419", 0, 1, "window"),
        ("1445412400", 0, 1, "window"),
        ("99999999999", 99_999_999_999 - NOW, 1, "window"),
        ("100000000000", 0, 1, "window"),
        ("1445412450500", 30.5, 1, "window"),
        ("1445412400000", 0, 1, "window"),
        ("9" * 50, 1e12 - NOW, 1, "window"),
        ("Wed, 21 Oct 2015 07:27:30 GMT", 30, 1, "window"),
        ("Wednesday, 21-Oct-15 07:27:30 GMT", 30, 1, "window"),
        ("Wed Oct 21 07:27:30 2015", 30, 1, "window"),
        ("Wed, 21 Oct 2015 07:26:30 GMT", 0, 1, "window"),
        ("2015-10-21T07:27:30Z", 30, 1, "window"),
        ("2015-10-21t07:27:30z", 30, 1, "window"),
        ("2015-10-21 07:27:30Z", 30, 1, "window"),
        ("2015-10-21T07:27:30.25Z", 30.25, 1, "window"),
        ("2015-10-21T07:27:30.123456789Z", 30.123456789, 1, "window"),
        ("2015-10-21T07:28Z", 60, 60, "window"),
        ("2015-10-21T09:27:30+02:00", 30, 1, "window"),
        ("2015-10-20T23:57:30-0730", 30, 1, "window"),
        ("2015-10-21T07:27:60Z", 60, 1, "window"),
        ("2015-10-21T07:26:30Z", 0, 1, "window"),
        ("2015-10-21T07:27Z", 0, 60, "window"),
        ("2016-02-29T00:00:00Z", 11_291_580, 1, "window"),
        ("0s", 0, 0.001, "bucket"),
        ("12ms", 0.012, 0.001, "bucket"),
        ("12.5ms", 0.0125, 0.001, "bucket"),
        ("500us", 0.0005, 0.001, "bucket"),
        ("500\u00b5s", 0.0005, 0.001, "bucket"),
        ("20ns", 2e-8, 0.001, "bucket"),
        ("1s", 1, 0.001, "bucket"),
        ("1.02s", 1.02, 0.001, "bucket"),
        ("6m0s", 360, 0.001, "bucket"),
        ("6m", 360, 0.001, "bucket"),
        ("1h2m3.5s", 3723.5, 0.001, "bucket"),
        ("24h", 86_400, 0.001, "bucket"),
        ("999999999h999999999m999999999.999999999s", 3_660_999_996_340 - 0.000000001, 0.001, "bucket"),
    ],
)
def test_resets(value: str, seconds: float, resolution: float, kind: str) -> None:
    """A reset is a delay, an instant in one of five forms, or a duration as Go writes it. None is in the past."""
    found = tell(DATE, ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value)).quotas[0]
    assert found == quota("", None, 1, pytest.approx(seconds, abs=1e-6), resolution, kind=kind)
    assert tell(DATE, ("x-ratelimit-reset", value)).quotas == ((found._replace(remaining=None),) if found.reset else ())
    assert tell(DATE, ("x-ratelimit-reset-tokens", value)) is NOTHING


@pytest.mark.parametrize(
    "value",
    [
        "2015-10-21T07:27:30",
        "2015-10-21",
        "2015-10-21T07Z",
        "2015-13-21T07:27:30Z",
        "2015-00-21T07:27:30Z",
        "2015-02-29T07:27:30Z",
        "2015-10-00T07:27:30Z",
        "0000-01-01T00:00:00Z",
        "2015-10-21T24:00:00Z",
        "2015-10-21T07:60:00Z",
        "2015-10-21T07:27:61Z",
        "2015-10-21T07:27:30.Z",
        "2015-10-21T07:27:30+24:00",
        "2015-10-21T07:27:30+02:60",
        "2015-10-21T07:27:30+02",
        "2015-10-21T07:27:30 GMT",
        "2015-1-1T7:27:30Z",
        "\uff12015-10-21T07:27:30Z",
        "s",
        "ms",
        "1d",
        "1s1m",
        "1m1h",
        "5s5s",
        "-5s",
        "1.5m",
        ".5s",
        "1.s",
        "1 s",
        "5sec",
        "9999999999s",
        "1\u03bcs",
        "soon",
    ],
)
def test_no_resets(value: str) -> None:
    """What lacks an offset, does not exist or is written as nobody writes it is no reset."""
    assert tell(DATE, ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value)) == says(quota("", None, 1))


@pytest.mark.parametrize(
    ("value", "resolution"),
    [
        ("1445412450", 1),
        ("1445412450.5", 0.1),
        ("1445412450.12345", 0.001),
        ("1445412450500", 0.001),
        ("2015-10-21T07:27:30.25Z", 0.01),
        ("2015-10-21T07:27:30.12345Z", 0.001),
    ],
)
def test_without_a_date(value: str, resolution: float) -> None:
    """Without a Date that is valid and not contradicted, instants are measured from our own clock, which is not so coarse."""
    fields = (("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", value))
    expected = tell(*fields, now=NOW)
    assert expected.quotas[0].resolution == resolution
    assert expected.quotas[0].reset == pytest.approx(30.25, abs=0.26)
    for dates in ([("Date", "yesterday")], [DATE, ("Date", "Wed, 21 Oct 2015 07:27:01 GMT")], [("Date", "")]):
        assert tell(*dates, *fields, now=NOW) == expected
    assert tell(DATE, DATE, *fields, now=0) == tell(DATE, *fields)
    assert tell(("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), now=NOW).retry_after == 60


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
    """One thing that is wrong in RateLimit, and all of it is ignored; the policies are not."""
    assert tell(("RateLimit", value)) is NOTHING
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
    """One thing that is wrong in RateLimit-Policy, and all of it is ignored; what is left is told nevertheless."""
    assert tell(("RateLimit-Policy", value)) is NOTHING
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
    """Structured fields as RFC 9651 has them: strings and tokens, parameters that nobody knows, the last of several."""
    assert tell(DATE, ("RateLimit", value)) == (NOTHING if expected is None else says(*expected))


# Fields that come twice


@pytest.mark.parametrize("name", ["limit", "remaining", "reset", "reset-after"])
def test_repeated_with_different_values(name: str) -> None:
    """Nobody knows which of two different values is meant. The same twice is the same."""
    fields = family("x-ratelimit-", limit="10", remaining="5", reset="7", reset_after="6")
    again, others = f"x-ratelimit-{name}", [field for field in fields if field[0] != f"x-ratelimit-{name}"]
    assert tell(*fields, (again, "3")) == tell(*others)
    assert tell((again, "3"), *others, (again, " 3 ")) == tell(*others, (again, "3"))
    assert tell((again, "9"), (f"X-Rate-Limit-{name}", "8"), (again, "9")) is NOTHING


def test_repeated_lists() -> None:
    """A list may stand in several lines. Without end it may not: it is not read then."""
    lines = [("RateLimit", '"a";r=1'), ("RateLimit", '"b";r=2'), ("ratelimit", '"c";r=3')]
    assert tell(*lines) == says(named("a", None, 1), named("b", None, 2), named("c", None, 3))
    assert tell(*lines, ("RateLimit", '"d"')) is NOTHING
    assert tell(("RateLimit-Policy", "a;q=1"), ("RateLimit-Policy", "b;q=2")) == says(named("a", 1), named("b", 2))
    assert tell(("Sforce-Limit-Info", "a=1/2"), ("Sforce-Limit-Info", "b=1/2")) == says(quota("a", 2, 1), quota("b", 2, 1))
    assert tell(*[("RateLimit", f"a{i};r=1") for i in range(2000)]) is NOTHING


def test_no_more_than_32() -> None:
    """A server with more limits than that is not one to be followed."""
    assert len(tell(*[("RateLimit", f"a{i};r=1") for i in range(40)]).quotas) == 32
    assert len(tell(*[(f"x-ratelimit-remaining-a{i}", "1") for i in range(40)]).quotas) == 32


# Fields that stand for the same


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
    """RateLimit-* and X-RateLimit-* are the same limit twice and complete each other, unless the limits themselves differ."""
    for order in (1, -1):
        assert tell(*[*family("RateLimit-", **plain), *family("X-RateLimit-", **x)][::order]) == says(*expected)


def test_names_that_clash() -> None:
    """Of two with the same name the longer prefix becomes part of its name; what has none to add is left out."""
    fields = [("RateLimit", '"tokens";r=1, "";r=2')]
    fields += family("anthropic-ratelimit-", tokens_remaining="3") + family("x-sib-ratelimit-", remaining="4")
    found = tell(*fields, ("ratelimit-limit", "5"), ("RateLimit-Policy", '"";q=4;w=1'))
    assert [(each.name, each.remaining) for each in found.quotas] == [
        ("tokens", 1),
        ("", 2),
        ("x-sib", 4),
        ("anthropic-ratelimit-tokens".replace("ratelimit-", ""), 3),
    ]


# The lists of a few


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
    """One thing wrong, and all of it is ignored."""
    for value in values.split("|"):
        assert tell((name, value)) is NOTHING, value


# What else is said


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
    """The waits as `retry_advice` reads them, from the Date too; a reset is none."""
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
    """What shares the quotas, in visible ASCII, and whether a refusal is for everything."""
    assert tell(*fields) == says(bucket=bucket, everyone=everyone)


@pytest.mark.parametrize("age", ["1", "0.5", "3600"])
def test_from_a_cache(age: str) -> None:
    """What a cache has kept tells how it was; how long to wait is still what it says."""
    fields = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Bucket", "a"), ("RateLimit", "a;r=1"), ("X-RateLimit-Global", "true")]
    assert tell(*fields, ("Age", age)) is NOTHING
    assert tell(*fields, ("Age", age), ("Retry-After", "5")) == says(retry_after=5)
    for none in ("0", "", "x", "-1"):
        assert len(tell(*fields, ("Age", none)).quotas) == 2


# Anything

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
    """No bytes raise, and no number is negative, infinite or none at all. What says nothing is `NOTHING`."""
    found = told(headers, now)
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
    assert found is NOTHING or found != NOTHING
    assert told(headers, now) == found


@given(st.integers(0, 10**9 - 1), st.integers(0, 999))
def test_delays_round_trip(seconds: int, thousandths: int) -> None:
    """Each delay comes back, as a number and as Go writes it."""
    expected = pytest.approx(seconds + thousandths / 1000)
    for value in (
        f"{seconds}.{thousandths:03}",
        f"{seconds}.{thousandths:03}s",
        f"{seconds // 60}m{seconds % 60}.{thousandths:03}s",
    ):
        assert tell(("x-ratelimit-limit", "1"), ("x-ratelimit-reset", value)).quotas[0].reset == expected


@given(st.datetimes(), st.integers(-1439, 1439))
def test_timestamps_round_trip(moment: Any, offset: int) -> None:
    """Each instant in RFC 3339 comes back, whatever its offset."""
    days = moment.toordinal() - 719_163
    instant = days * 86_400 + moment.hour * 3600 + moment.minute * 60 + moment.second + moment.microsecond / 1e6
    sign, (hours, minutes) = "+-"[offset < 0], divmod(abs(offset), 60)
    value = f"{moment.isoformat(timespec='microseconds')}{sign}{hours:02}:{minutes:02}"
    expected = pytest.approx(instant - offset * 60 + 1e11, abs=1e-3)
    assert tell(("x-ratelimit-limit", "1"), ("x-ratelimit-reset", value), now=-1e11).quotas[0].reset == expected


# Against another parser of structured fields

texts = st.text(st.sampled_from('ab "\\,;=r1'), max_size=4)
quoted = texts.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
tokens = st.from_regex(r"[a-z*][a-z0-9:/*!%.-]{0,3}", fullmatch=True)
numbers = st.integers(-(10**16), 10**16).map(str) | st.integers(0, 99).map(str)
decimals = st.decimals(-(10**13), 10**13, places=2).map(str)
binaries = st.binary(max_size=4).map(lambda raw: f":{base64.b64encode(raw).decode()}:")
others = st.sampled_from(["?0", "?1", "@5", '%"a"', "()", "(1 2)", "", "=", "1.", "A"])
bare = st.one_of(quoted, tokens, numbers, decimals, binaries, others)
keys = st.sampled_from(["r", "t", "pk", "x", "limit", "*a", "a.b"])
parameter = st.one_of(
    st.integers(0, 99).map("r={}".format),
    st.integers(0, 99).map("t={}".format),
    binaries.map("pk={}".format),
    st.tuples(keys, bare).map("=".join),
    keys,
)
member = st.tuples(quoted | tokens | bare, st.lists(parameter, max_size=3)).map(lambda parts: ";".join([parts[0], *parts[1]]))
good = st.tuples(quoted | tokens, st.integers(0, 99)).map(lambda parts: f"{parts[0]};r={parts[1]};t=5")
pair = st.tuples(st.sampled_from(["limit", "remaining", "reset", "x"]), st.integers(0, 99).map(str) | bare).map("=".join)
lists = st.lists(good | member, min_size=1, max_size=4).map(", ".join)
pairs = st.lists(pair, min_size=1, max_size=4).map(", ".join)
mutations = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from([0, 1]), st.sampled_from(["", *string.printable[:-5], "\xe9", " ,", "; "])),
    max_size=3,
)


def mutated(text: str, changes: list[tuple[int, int, str]]) -> str:
    for at, cut, added in changes:
        at %= len(text) + 1
        text = text[:at] + added + text[at + cut :]
    return text.strip(" \t")


def plain(value: Any) -> Any:
    """A bare item in Python's own types; raises for what no rate-limit field has."""
    if isinstance(value, (bool, int, bytes)):
        return value
    if isinstance(value, (float, Decimal)):
        return float(value)
    if type(value).__name__ in ("str", "Token"):
        return str(value)
    raise ValueError(value)


def split(member: Any) -> tuple[Any, dict[str, Any]]:
    value, parameters = member if isinstance(member, tuple) else (member, {})
    return plain(value), {key: plain(each) for key, each in parameters.items()}


def expected_from(text: str, sf: Any) -> list[tuple[Any, ...]]:
    """The quotas in a RateLimit field, if http_sf reads it."""
    try:
        if re.match(r"[a-z*][a-z0-9_.*-]*=", text):
            flat: dict[str, Any] = {}
            for key, each in sf.parse(text.encode("latin-1"), tltype="dictionary").items():
                flat[key], parameters = split(each)
                flat.update(parameters)
            told_of = [flat.get(key) for key in ("limit", "remaining", "reset")]
            assert all(each is None or (type(each) is int and each >= 0) for each in told_of)
            assume((told_of[2] or 0) < 1e9)  # or else it is an instant
            enough = told_of[0] is not None or told_of[1] is not None or told_of[2]
            return [("", *told_of)] if enough else []
        found: dict[tuple[str, bytes], tuple[Any, ...]] = {}
        for item, parameters in map(split, sf.parse(text.encode("latin-1"), tltype="list")):
            r, t, pk = parameters.get("r"), parameters.get("t", 0), parameters.get("pk", b"")
            assert isinstance(item, str)
            assert isinstance(pk, bytes)
            assert all(type(each) is int and each >= 0 for each in (r, t))
            assert (item, pk) not in found
            found[item, pk] = item, pk, r, t if "t" in parameters else None
        return list(found.values())
    except (AssertionError, ValueError, KeyError, IndexError):
        return []


@pytest.fixture(scope="module")
def sf() -> Any:
    return pytest.importorskip("http_sf", minversion="1.5")  # older ones take "1." for a number


@given(text=lists | pairs, changes=mutations)
@example(text='"a";r=1;pk=:YQ:', changes=[])
@example(text="a;r=1;x=1.", changes=[])
@example(text="a;r=1;x=1.2345", changes=[])
@example(text="a;r=1;x=1234567890123.1", changes=[])
@example(text='a;r=1;x="', changes=[])
def test_structured_fields(sf: Any, text: str, changes: list[tuple[int, int, str]]) -> None:
    """RateLimit is read just as http_sf reads structured fields, and refused where it refuses it."""
    text = mutated(text, changes)
    assume(not re.search(r'=(@|%"|\().*=', text))  # types that nobody needs are refused even where another value replaces them
    found = told([(b"ratelimit", text.encode("latin-1"))], NOW).quotas
    expected = expected_from(text, sf)
    if expected and len(expected[0]) == 4 and re.match(r"[a-z*][a-z0-9_.*-]*=", text):
        assert [(each.name, each.limit, each.remaining, each.reset) for each in found] == expected
    else:
        assert [(*partition(each.name, want), each.remaining, each.reset) for each, want in zip(found, expected)] == expected
        assert len(found) == len(expected)


def partition(name: str, want: tuple[Any, ...]) -> tuple[str, bytes]:
    """A quota's name without its partition, and that one's bytes."""
    if not want[1]:
        return name, b""
    name, _, key = name.rpartition(";pk=")
    return name, base64.b64decode(key.rstrip("=") + "=" * (-len(key.rstrip("=")) % 4))


# Work


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
    """Eight times the bytes take about eight times the work, in every kind of field; more than 4 KiB are not read at all."""
    small, large = (prefix + unit * (size // len(unit)) for size in (500, 4000))
    fields = [b"ratelimit", b"ratelimit-policy", b"x-ratelimit-limit", b"x-ratelimit-reset", b"x-ratelimit-bucket"]
    fields += [b"sforce-limit-info", b"x-ms-ratelimit-remaining-resource", b"zendesk-ratelimit-a"]

    def work(raw: bytes) -> None:
        told([(name, raw) for name in fields], NOW)

    assert any(growth(work, small, large) < 25 for _ in range(10))


def test_many_lines() -> None:
    """Eight times as many lines of one list take about eight times the work."""

    def work(raw: bytes) -> None:
        told([(b"ratelimit", b"a;r=1")] * len(raw), NOW)

    assert any(growth(work, bytes(1000), bytes(8000)) < 25 for _ in range(10))

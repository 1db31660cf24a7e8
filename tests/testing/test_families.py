"""The header families: what a server tells is what RateWise reads."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.rate_limit_headers import Quota as Read
from ratewise._http.rate_limit_headers import RateLimitFields, rate_limit_fields
from ratewise._http.throttling import Kind, outcome_of_response
from ratewise.testing import FAMILIES, ConcurrencyLimit, FixedWindow, Limit, Quota, Reply, TokenBucket
from ratewise.testing.families import go_duration
from ratewise.testing.limits import EPOCH, SECOND
from ratewise.testing.responder import Answer, Responder
from tests.http.telling import written


class Can(NamedTuple):
    """What a family can tell. `reset` and `wait`: by how many seconds they may be late; None: not told."""

    limit: bool = True
    remaining: bool = True
    reset: float | None = 1.0
    wait: float | None = 1.0
    window: bool = False


COUNTS = Can(reset=None, wait=None)
DATED = Can(reset=2.0)  # the time to an instant in whole seconds, from a Date in whole seconds
BY_DATE = DATED._replace(wait=None)
WAIT = Can(False, False, None)
NOTHING = Can(False, False, None, None)

CAN = {
    "x-ratelimit": DATED,
    "x-ratelimit-delta": Can(),
    "ietf": Can(wait=None, window=True),
    "ietf-07": Can(window=True),
    "ietf-06": Can(window=True),
    "github": BY_DATE,
    "github-secondary": WAIT,
    "gitlab": DATED,
    "cloudflare": Can(window=True),
    "openai": Can(reset=0.001, wait=0.001),
    "azure-openai": Can(limit=False, reset=None, wait=0.001),
    "anthropic": DATED,
    "azure-arm": Can(limit=False, reset=None, wait=0.001),
    "stripe": NOTHING,
    "slack": WAIT,
    "discord": Can(reset=0.001),
    "shopify": Can(reset=None),
    "x": BY_DATE,
    "okta": BY_DATE,
    "jira": Can(reset=61.0),
    "zendesk": Can(),
    "hubspot": COUNTS._replace(window=True),
    "notion": WAIT,
    "reddit": Can(limit=False, wait=None),
    "salesforce": COUNTS,
    "google": NOTHING,
    "docker": COUNTS._replace(window=True),
    "kong": Can(),
    "brevo": Can(wait=None),
    "lemlist": Can(reset=None),
    "mailerlite": COUNTS,
    "retry-after": WAIT,
    "retry-after-date": WAIT._replace(wait=2.0),
    "nothing": NOTHING,
}
"""By family, what it can tell."""

LIMITS = {
    "window": lambda: FixedWindow(100, 60),
    "odd window": lambda: FixedWindow(7, 2.5, anchor="wall"),
    "bucket": lambda: TokenBucket(20, 10),
    "slots": lambda: ConcurrencyLimit(8, 1.7),
}
NOW = 0.7


def answered(family: str, limit: Limit, requests: int = 1, **settings: Any) -> Answer:
    """The last of these answers at second `NOW`."""
    responder = Responder(family, **settings)
    return [responder.answer(limit, NOW) for _ in range(requests)][-1]


def read(answer: Answer, skew: float = 0.0) -> RateLimitFields:
    """What RateWise reads; its clock is that of the server, which matters only without a Date."""
    return rate_limit_fields(written(*answer.headers), EPOCH + NOW + skew)


def the_quota(family: str, answer: Answer) -> Read:
    """The quota of this family that is not of a named window beside it."""
    quotas = read(answer).quotas
    assert len(quotas) == (2 if family == "kong" and len(quotas) == 2 else 1)
    return quotas[0]


def test_all_are_tested() -> None:
    """Every family has an entry in the table."""
    assert FAMILIES.keys() == CAN.keys()


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("requests", [1, 5])
def test_what_is_told_is_read(family: str, limit: str, requests: int) -> None:
    """Limit, remaining requests, time to the reset and window of an accepted request are read as they are, if they are told."""
    made, can = LIMITS[limit](), CAN[family]
    answer = answered(family, made, requests)
    assert answer.status == 200
    if not (can.limit or can.remaining):
        assert read(answer).quotas == ()
        return
    found = the_quota(family, answer)
    size, remaining, _, nanoseconds = made._state(round(NOW * SECOND))
    assert remaining == size - requests
    assert (found.limit, found.remaining) == (size if can.limit else None, remaining)
    if can.reset is None:
        assert found.reset is None or family == "shopify"
    else:
        assert found.reset is not None
        assert -1e-6 <= found.reset - nanoseconds / SECOND <= can.reset
    told = can.window and (family == "hubspot" or made._per % SECOND == 0)
    assert found.window == (made._per / SECOND if told else None)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("skew", [0.0, -90.0, 90.0])
def test_what_a_refusal_tells(family: str, limit: str, skew: float) -> None:
    """A refusal names a wait after which a request is accepted, also if the server's clock is wrong; nothing remains."""
    made, can = LIMITS[limit](), CAN[family]
    answer = answered(family, made, made.limit_at(0) + 1, date_skew=skew)
    assert not answer.accepted
    wait = made.take(NOW).wait / 1e9
    found = read(answer)
    if can.wait is None:
        assert found.retry_after is None
    else:
        assert found.retry_after is not None
        assert wait - 1e-6 <= found.retry_after <= wait + can.wait
    if can.remaining and family != "brevo":
        assert the_quota(family, answer).remaining == 0
    outcome = outcome_of_response(answer.status, written(*answer.headers), EPOCH + NOW + skew)
    assert outcome.kind is (Kind.FINE if family == "salesforce" else Kind.REFUSED)
    if outcome.wait is not None:
        assert made.take(NOW + outcome.wait + 1e-6).accepted


def test_the_403s() -> None:
    """GitHub's and Salesforce's refusals are 403s, unless the test asks for another status; RateWise knows GitHub's."""
    for family, kind in (("github", Kind.REFUSED), ("github-secondary", Kind.REFUSED), ("salesforce", Kind.FINE)):
        answer = answered(family, FixedWindow(1, 60), 2)
        assert answer.status == 403
        assert outcome_of_response(403, written(*answer.headers), EPOCH).kind is kind
        assert answered(family, FixedWindow(1, 60), 2, refusal=429).status == 429


def test_details() -> None:
    """Parts that only some providers have."""
    headers = {family: dict(answered(family, FixedWindow(5, 60), 6).headers) for family in FAMILIES}
    assert headers["github"]["x-ratelimit-used"] == "5"
    assert headers["gitlab"]["RateLimit-ResetTime"] == "Fri, 15 Jan 2027 08:01:01 GMT"
    assert headers["discord"]["X-RateLimit-Reset"] == "1800000060.700"
    assert headers["shopify"]["X-Shopify-Shop-Api-Call-Limit"] == "5/5"
    assert headers["jira"]["X-RateLimit-Reset"] == "2027-01-15T08:02Z"
    assert headers["jira"]["X-RateLimit-NearLimit"] == "true"
    assert headers["lemlist"]["X-RateLimit-Reset"] == "Fri Jan 15 2027 08:01:01 GMT+0000 (Coordinated Universal Time)"
    assert headers["kong"]["X-RateLimit-Remaining-Minute"] == "0"
    assert headers["retry-after-date"]["Retry-After"] == "Fri, 15 Jan 2027 08:01:01 GMT"
    assert headers["brevo"].keys() == {"Date", "x-sib-ratelimit-reset"}
    assert [name for name, _ in answered("cloudflare", FixedWindow(5, 60)).headers] == ["Date", "Ratelimit-Policy", "Ratelimit"]
    assert json.loads(answered("google", FixedWindow(5, 60), 6).body)["error"]["details"][0]["retryDelay"] == "60s"
    assert json.loads(answered("discord", FixedWindow(5, 60), 6).body)["retry_after"] == 60.0


def test_too_many_at_a_time() -> None:
    """A limit of requests at a time is told as such by the IETF's fields, and by Okta as a limit of 0."""
    ietf, okta = (read(answered(family, ConcurrencyLimit(8, 1), 9)).quotas[0] for family in ("ietf", "okta"))
    assert (ietf.unit, ietf.limit, ietf.remaining, ietf.window) == ("concurrent-requests", 8, 0, None)
    assert (okta.limit, okta.remaining) == (0, 0)


def test_the_bucket_that_shopify_has() -> None:
    """A bucket that drains in 20 s is read with its true reset."""
    found = read(answered("shopify", TokenBucket(40, 20), 9)).quotas[0]
    assert (found.limit, found.remaining, found.reset, found.kind) == (40, 31, 4.5, "bucket")


@given(st.sampled_from(sorted(FAMILIES)), st.integers(1, 10**6), st.integers(1, 10**15), st.data())
def test_any_quota(family: str, limit: int, per: int, data: Any) -> None:
    """For any numbers the fields are well-formed: what a family can tell is read, and nothing else."""
    remaining = data.draw(st.integers(0, limit))
    reset = data.draw(st.integers(0, 10**15))
    quota = Quota(True, limit, per, remaining, 0 if remaining else reset, reset, data.draw(st.integers(10**18, 3 * 10**18)))
    told = FAMILIES[family](quota)
    headers = told.headers if isinstance(told, Reply) else [*dict(told).items()]
    found = rate_limit_fields(written(*headers), quota.wall / 1e9)
    assert found.retry_after is None
    if CAN[family].remaining:
        assert found.quotas[0].remaining == remaining


# -- the responder


def test_functions() -> None:
    """A function of one's own returns a mapping, pairs, or all of an answer."""

    def mine(quota: Quota) -> dict[str, str]:
        return {"X-Left": str(quota.remaining), "X-Wait": str(quota.retry_after)}

    assert Responder(mine).answer(FixedWindow(9, 5), 0).headers[1:] == [("X-Left", "8"), ("X-Wait", "0")]
    assert Responder(lambda quota: [("A", "b")]).answer(FixedWindow(9, 5), 0).headers[1:] == [("A", "b")]
    teapot = Reply(418, (("A", "b"),), b"short and stout")
    for refusal, status in ((None, 418), (503, 503)):
        limit, responder = FixedWindow(1, 5), Responder(lambda quota: Reply() if quota.accepted else teapot, refusal=refusal)
        answers = [responder.answer(limit, 0) for _ in range(2)]
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok"), (status, b"short and stout")]


def test_the_servers_clock() -> None:
    """`date_skew` moves the Date and the reset together; values in seconds do not change."""
    (_, date), *_, (_, reset) = Responder("x-ratelimit", date_skew=-30).answer(FixedWindow(100, 5), 1.5).headers
    assert (date, reset) == ("Fri, 15 Jan 2027 07:59:31 GMT", "1799999977")
    right, wrong = (Responder("ietf", date_skew=skew).answer(FixedWindow(100, 5), 1.5).headers for skew in (0, -30))
    assert right[1:] == wrong[1:]


def test_failing() -> None:
    """In an outage, and by chance, requests get a 503 and are not counted; the seed determines which."""
    limit, responder = FixedWindow(100, 5), Responder(outages=[(2, 3), (5, 6)])
    assert [responder.answer(limit, at / 2).status for at in range(3, 13)] == [200, 503, 503, 200, 200, 200, 200, 503, 503, 200]
    assert (responder.failed, limit.accepted) == (4, 6)
    runs = [
        [Responder.answer(each, None, 0.0).status for _ in range(100)]
        for each in (Responder(sheds=0.3, seed=s) for s in (1, 1, 2))
    ]
    assert runs[0] == runs[1] != runs[2]
    assert 15 < runs[0].count(503) < 45


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tells": "X-RateLimit"}, "tells must be a function, None or one of x-ratelimit, x-ratelimit-delta, ietf,"),
        ({"tells": 5}, "tells must be a plain function of the quota"),
        ({"refusal": 200}, "refusal must be a whole number of at least 400, not 200"),
        ({"sheds": 1.5}, "sheds must be a number from 0 to 1, not 1.5"),
        ({"date_skew": "3"}, "date_skew must be a number from -1e+09 to 1e+09, not '3'"),
        ({"outages": [(-1, 2)]}, "outages must be a finite number of seconds of at least 0, not -1"),
    ],
)
def test_what_is_not_allowed(settings: Any, told: str) -> None:
    """A wrong setting is named, with what is allowed."""
    with pytest.raises((TypeError, ValueError)) as raised:
        Responder(**settings)
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [(0, "0s"), (52, "52ms"), (1000, "1s"), (1020, "1.02s"), (61_500, "1m1.5s"), (360_000, "6m0s"), (3_600_000, "1h0m0s")],
)
def test_durations_of_go(milliseconds: int, told: str) -> None:
    """Durations are formatted as Go does, including its zeros."""
    assert go_duration(milliseconds) == told

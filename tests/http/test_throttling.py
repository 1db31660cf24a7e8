"""The outcome of an attempt: one classification for all layers."""

from __future__ import annotations

import pytest

from ratewise._core.failure import Failure
from ratewise._http.throttling import Kind, outcome_of_failure, outcome_of_response
from tests.http.telling import NOW, written

Fields = list[tuple[str, str]]
DATE = ("Date", "Wed, 21 Oct 2015 07:27:00 GMT")
SPENT = ("X-RateLimit-Remaining", "0")


@pytest.mark.parametrize(
    ("status", "fields", "kind", "wait"),
    [
        (200, [], Kind.FINE, None),
        (404, [], Kind.FINE, None),
        (200, [SPENT, ("X-RateLimit-Reset", "30")], Kind.FINE, 30),
        (429, [], Kind.REFUSED, None),
        (429, [("Retry-After", "5")], Kind.REFUSED, 5),
        (403, [], Kind.FINE, None),
        (403, [("Retry-After", "5")], Kind.REFUSED, 5),
        (403, [("Retry-After", "0")], Kind.FINE, None),
        (403, [SPENT], Kind.FINE, None),
        (403, [SPENT, ("X-RateLimit-Reset", "30")], Kind.REFUSED, 30),
        (403, [("X-RateLimit-Remaining", "1"), ("X-RateLimit-Reset", "30")], Kind.FINE, None),
        (403, [SPENT, DATE, ("X-RateLimit-Reset", "1445412420")], Kind.REFUSED, None),
        (403, [SPENT, DATE, ("X-RateLimit-Reset", "1445412419")], Kind.REFUSED, None),
        (403, [SPENT, DATE, ("X-RateLimit-Reset", "1445412418")], Kind.FINE, None),
        (500, [], Kind.OUTAGE, None),
        (502, [], Kind.OUTAGE, None),
        (504, [("Retry-After", "5")], Kind.OUTAGE, 5),
        (503, [], Kind.OVERLOADED, None),
        (503, [("Retry-After", "5")], Kind.OVERLOADED, 5),
        (501, [], Kind.FINE, None),
    ],
)
def test_responses(status: int, fields: Fields, kind: Kind, wait: float | None) -> None:
    """The status gives the kind of outcome; 403 is a refusal only with fields that give a wait."""
    outcome = outcome_of_response(status, written(*fields), NOW)
    assert (outcome.kind, outcome.status, outcome.failure, outcome.wait) == (kind, status, None, wait)
    assert outcome.failing == (status in (500, 502, 503, 504))


@pytest.mark.parametrize("failure", Failure)
def test_failures(failure: Failure) -> None:
    """A failure without a response is an outage, unless it says nothing about the server."""
    kinds = {Failure.IMPOSSIBLE: Kind.IMPOSSIBLE, Failure.NO_FREE_CONNECTION: Kind.UNSENT}
    outcome = outcome_of_failure(failure)
    assert (outcome.kind, outcome.failure, outcome.status) == (kinds.get(failure, Kind.OUTAGE), failure, None)
    assert outcome.failing == (failure not in kinds)


@pytest.mark.parametrize(
    ("fields", "wait", "estimated"),
    [
        # A bucket gains a unit long before it is full.
        ([("limit-requests", "10000"), ("remaining-requests", "0"), ("reset-requests", "6m0s")], 0.036, True),
        ([("limit-requests", "60"), ("remaining-requests", "0"), ("reset-requests", "30s")], 0.5, True),
        ([("remaining-requests", "0"), ("reset-requests", "6m0s")], 360, True),
        ([("remaining", "0"), ("reset", "6m0s")], 360, True),
        ([("remaining", "0.4"), ("reset", "30")], 30, False),
        # The longest of several waits.
        ([("remaining-day", "0"), ("reset-day", "500"), ("remaining-minute", "0"), ("reset-minute", "5")], 500, False),
        ([("remaining-day", "7"), ("reset-day", "500"), ("remaining-minute", "0"), ("reset-minute", "5")], 5, False),
    ],
)
def test_limits_that_are_used_up(fields: Fields, wait: float, estimated: bool) -> None:
    """The wait is the time until a unit is available, as far as the fields say."""
    outcome = outcome_of_response(429, written(*[(f"x-ratelimit-{name}", value) for name, value in fields]), NOW)
    assert (outcome.wait, outcome.estimated) == (pytest.approx(wait), estimated)


@pytest.mark.parametrize("fields", [[("remaining", "0;w=21600")], [("remaining-minute", "0")]])
def test_a_window_whose_end_is_unknown(fields: Fields) -> None:
    """Its length is only the most that it can take: no wait is made of it, and a 403 is no refusal by it."""
    told = written(*[(f"x-ratelimit-{name}", value) for name, value in fields])
    assert outcome_of_response(429, told, NOW).wait is None
    assert outcome_of_response(403, told, NOW).kind is Kind.FINE


@pytest.mark.parametrize(("value", "seconds"), [("1445412450", 30), ("1445412450500", 30.5), ("1445412400", None)])
def test_an_instant_in_retry_after(value: str, seconds: float | None) -> None:
    """A Retry-After too large to be seconds is an instant, in seconds or milliseconds since the epoch."""
    assert outcome_of_response(429, written(DATE, ("Retry-After", value)), NOW + 5000).wait == seconds

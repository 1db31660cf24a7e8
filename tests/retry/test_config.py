"""Whether a request is sent again, and after how long: the rules as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise import ExponentialBackoff, RetryConfig, RetryDecision, options
from ratewise._core.call_state import KEY, Options
from ratewise._core.failure import Failure
from ratewise._http.throttling import Outcome, outcome_of_failure, outcome_of_response
from ratewise.retry.config import METHODS, SPREAD, STATUSES, Verdict
from tests.http.telling import written

RULES = RetryConfig(jitter=False)
SAFE = sorted(METHODS)
UNSAFE = ["POST", "PATCH", "CONNECT", "PROPFIND"]
AGAIN = Verdict(1.0, "backoff")


def response(status: int, **fields: str) -> Outcome:
    return outcome_of_response(status, written(*[(name.replace("_", "-"), value) for name, value in fields.items()]), 100.0)


def stopped(verdict: Verdict, reason: str) -> bool:
    return verdict.wait is None and reason in verdict.reason


class Fixed:
    """A backoff that returns a given value and records the arguments of each call."""

    def __init__(self, delay: Any) -> None:
        self.said = delay
        self.asked: list[tuple[int, float, float]] = []

    def delay(self, attempt: int, *, previous: float, uniform: float) -> Any:
        self.asked.append((attempt, previous, uniform))
        return self.said


# Which outcomes are retried


@pytest.mark.parametrize("method", SAFE)
@pytest.mark.parametrize("status", [*sorted(STATUSES), 200, 201, 204, 301, 304, 400, 401, 403, 404, 409, 501, 505, 520, 529])
def test_statuses(method: str, status: int) -> None:
    """An idempotent request is retried after the statuses in `retry_on_status` and after no other."""
    verdict = RULES._judge(response(status), 1, method=method)
    assert verdict == (AGAIN if status in STATUSES else (None, f"{status} is not in retry_on_status", None))


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        (response(408), False),
        (response(425), True),
        (response(429), True),
        (response(500), False),
        (response(500, Retry_After="1"), False),
        (response(502, Retry_After="1"), False),
        (response(503), False),
        (response(503, Retry_After="soon"), False),
        (response(503, Retry_After="1"), True),
        (response(503, retry_after_ms="1000"), True),
        (response(503, Retry_After="0"), True),
        (response(503, RateLimit='"default";r=0;t=5'), False),
        (response(503, X_RateLimit_Remaining="0", X_RateLimit_Reset="5"), False),
        (response(504), False),
        (response(200), False),
        (outcome_of_failure(Failure.NOT_CONNECTED), True),
        (outcome_of_failure(Failure.UNPROCESSED), True),
        (outcome_of_failure(Failure.NO_FREE_CONNECTION), True),
        (outcome_of_failure(Failure.TIMED_OUT), False),
        (outcome_of_failure(Failure.BROKEN), False),
        (outcome_of_failure(Failure.IMPOSSIBLE), False),
    ],
)
def test_unsafe_methods(method: str, outcome: Outcome, again: bool) -> None:
    """Without an idempotency key a request with an unsafe method is retried only if the outcome proves that nothing was done."""
    verdict = RULES._judge(outcome, 1, method=method)
    assert (verdict.wait is not None) is again
    if not again and outcome.status in STATUSES:
        assert verdict.reason == f"{method} is not idempotent, and the server may have acted on it"


@pytest.mark.parametrize("failure", list(Failure))
@pytest.mark.parametrize(("method", "keyed"), [*((method, False) for method in SAFE), ("POST", True), ("PATCH", True)])
def test_failures(method: str, keyed: bool, failure: Failure) -> None:
    """An idempotent request, or one with an idempotency key, is retried after any failure except IMPOSSIBLE."""
    verdict = RULES._judge(outcome_of_failure(failure), 1, method=method, keyed=keyed)
    assert verdict == (AGAIN if failure is not Failure.IMPOSSIBLE else (None, failure.value, None))


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_keys(status: int) -> None:
    """With an Idempotency-Key a POST is retried like an idempotent request."""
    assert RULES._judge(response(status), 1, method="POST", keyed=True) == AGAIN
    assert RULES._judge(response(404), 1, method="POST", keyed=True).wait is None


def test_own_lists() -> None:
    """The user's statuses and methods replace the default ones; methods are not case-sensitive."""
    assert RetryConfig(methods=["M-SEARCH"]).methods == {"M-SEARCH"}
    rules = RetryConfig(retry_on_status=[418], methods=("post",), jitter=False)
    assert rules._judge(response(418), 1, method="POST") == AGAIN
    assert stopped(rules._judge(response(418), 1, method="GET"), "GET is not idempotent")
    assert stopped(rules._judge(response(503), 1, method="POST"), "503 is not in retry_on_status")
    assert RetryConfig(methods=[], jitter=False)._judge(response(429), 1, method="GET") == AGAIN


@pytest.mark.parametrize(
    "fields",
    [
        {"Retry_After": "5"},
        {"retry_after_ms": "5000"},
        {"RateLimit": '"default";r=0;t=5'},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "105"},
        {"Retry_After": "5", "x_should_retry": "false"},
        {"Retry_After": "301"},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "0"},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1000000000", "Date": "Sun, 09 Sep 2001 01:46:40 GMT"},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1000000000", "Date": "Sun, 09 Sep 2001 01:46:41 GMT"},
    ],
)
@pytest.mark.parametrize(
    "more",
    [{}, {"attempt": 4}, {"wish": True}, {"wish": False}, {"wish": RetryDecision(True, 1)}, {"replayable": False}, {"left": 5.0}],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_403_with_a_wait(method: str, more: dict[str, Any], fields: dict[str, str]) -> None:
    """A 403 with a wait is a rate limit (as at GitHub) and is judged like a 429, with any method and any other argument."""
    arguments = {"attempt": 1, "method": method, **more}
    verdict = RULES._judge(response(403, **fields), **arguments)
    assert verdict == RULES._judge(response(429, **fields), **arguments)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Retry_After": "0"},
        {"Retry_After": "soon"},
        {"RateLimit": '"default";r=1;t=5'},
        {"X_RateLimit_Remaining": "0"},
        {"X_RateLimit_Remaining": "1", "X_RateLimit_Reset": "5"},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1000000000", "Date": "Sun, 09 Sep 2001 01:46:42 GMT"},
    ],
)
def test_other_403s(fields: dict[str, str]) -> None:
    """A 403 without a usable wait is not a rate limit: it is retried only if the user lists it in `retry_on_status`."""
    outcome = response(403, **fields)
    assert RULES._judge(outcome, 1, method="GET") == (None, "403 is not in retry_on_status", None)
    for statuses in ([403], [403, 429]):
        rules = RetryConfig(retry_on_status=statuses, jitter=False)
        assert rules._judge(outcome, 1, method="GET") == AGAIN
        assert stopped(rules._judge(outcome, 1, method="POST"), "POST is not idempotent")


def test_a_403_with_a_wait_where_429_is_not_retried() -> None:
    """If 429 is not in `retry_on_status`, a 403 with a wait is retried only if 403 itself is listed."""
    outcome = response(403, Retry_After="5")
    assert RetryConfig(retry_on_status=[503])._judge(outcome, 1, method="GET") == (None, "403 is not in retry_on_status", 5)
    listed = RetryConfig(retry_on_status=[403])
    assert listed._judge(outcome, 1, method="GET", uniform=0.0) == (5, "Retry-After", 5)
    assert stopped(listed._judge(outcome, 1, method="POST"), "POST is not idempotent")


@pytest.mark.parametrize("outcome", [response(503, Retry_After="2"), outcome_of_failure(Failure.NOT_CONNECTED)])
def test_attempts(outcome: Outcome) -> None:
    """No retry follows the last attempt, by the config's max_attempts or by the request's own."""
    for most in (1, 2, 5):
        for attempt in range(1, most + 2):
            verdicts = (
                RetryConfig(most)._judge(outcome, attempt, method="GET"),
                RULES._judge(outcome, attempt, method="GET", max_attempts=most),
            )
            for verdict in verdicts:
                assert (verdict.wait is not None) is (attempt < most)
                assert attempt < most or verdict.reason == f"max_attempts ({most}) reached"


@pytest.mark.parametrize("wish", [None, True, RetryDecision(True), RetryDecision(True, 2)])
def test_bodies_that_can_be_sent_once(wish: Any) -> None:
    """A body that can be sent only once is not sent again, whatever decide returns; the verdict still has the server's wait."""
    verdict = RULES._judge(response(429, Retry_After="2"), 1, method="PUT", replayable=False, wish=wish)
    assert verdict == (None, "the request body can be sent only once", 2)


@pytest.mark.parametrize("veto", [{"x_should_retry": "false"}, {"stripe_should_retry": "false"}])
def test_vetoes(veto: dict[str, str]) -> None:
    """A response that forbids retries is not retried, unless decide returns True."""
    outcome = response(429, Retry_After="2", **veto)
    for keyed in (True, False):
        assert RULES._judge(outcome, 1, method="GET", keyed=keyed) == (None, "the server asks not to retry", 2)
    assert RULES._judge(outcome, 1, method="GET", wish=True, uniform=0.0) == (2, "Retry-After", 2)


# How long a retry waits


def test_backoff_is_asked() -> None:
    """The backoff receives the attempt, the previous wait and the random number; its wait is used unchanged."""
    backoff = Fixed(7)
    verdict = RetryConfig(9, backoff=backoff)._judge(response(500), 3, method="GET", previous=1.5, uniform=0.25)
    assert (verdict, backoff.asked) == ((7, "backoff", None), [(3, 1.5, 0.25)])


def test_max_retry_after_is_for_servers() -> None:
    """`max_retry_after` does not limit the wait of the user's own backoff."""
    assert RetryConfig(backoff=Fixed(500), max_retry_after=3)._judge(response(500), 1, method="GET").wait == 500


@pytest.mark.parametrize(
    ("delay", "error"),
    [(-1, ValueError), (math.nan, ValueError), (math.inf, ValueError), (None, TypeError), ("1", TypeError), (True, TypeError)],
)
def test_bad_backoffs(delay: Any, error: type[Exception]) -> None:
    """A backoff that returns anything but a finite number of seconds of at least 0 raises an error."""
    with pytest.raises(error, match="the delay of the backoff must be a finite number of seconds of at least 0, not"):
        RetryConfig(backoff=Fixed(delay))._judge(response(500), 1, method="GET")


@pytest.mark.parametrize(
    ("fields", "asked", "source"),
    [
        ({"Retry_After": "5"}, 5, "Retry-After"),
        ({"Retry_After": "0.5"}, 0.5, "Retry-After"),
        ({"Retry_After": "Thu, 01 Jan 1970 00:02:40 GMT"}, 60, "Retry-After"),
        ({"retry_after_ms": "1500", "Retry_After": "2"}, 1.5, "retry-after-ms"),
        ({"RateLimit": '"a";r=0;t=30'}, 30, "RateLimit"),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "30"}, 30, "rate-limit reset"),
        ({"Retry_After": "300"}, 300, "Retry-After"),
    ],
)
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0])
def test_the_server_is_obeyed(fields: dict[str, str], asked: float, source: str, uniform: float) -> None:
    """The wait is at least the one the server asks for and at most 10 % longer, whatever the backoff returns."""
    for backoff in (ExponentialBackoff(jitter=False), Fixed(100)):
        verdict = RetryConfig(backoff=backoff)._judge(response(429, **fields), 1, method="POST", uniform=uniform)
        assert verdict == (pytest.approx(asked * (1 + SPREAD * uniform)), source, asked)
        assert verdict.wait is not None
        assert asked <= verdict.wait


@pytest.mark.parametrize("value", ["0", "-1", "nan", "1e9", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_bad_waits(value: str) -> None:
    """With an invalid Retry-After the backoff determines the wait."""
    assert RULES._judge(response(429, Retry_After=value), 2, method="GET") == (2, "backoff", None)


@pytest.mark.parametrize(("limit", "asked"), [(300.0, 301), (300.0, 86_400), (0, 1), (2.5, 2.6), (1e6, 10**30)])
def test_too_long_a_wait(limit: float, asked: float) -> None:
    """A wait longer than `max_retry_after` is not shortened: there is no retry, and the verdict has the wait and the reason."""
    rules = RetryConfig(max_retry_after=limit, jitter=False)
    verdict = rules._judge(response(429, Retry_After=str(asked)), 1, method="GET")
    assert (verdict.wait, verdict.retry_after) == (None, min(asked, 2**31))
    assert verdict.reason.startswith("Retry-After asks for ")
    assert verdict.reason.endswith(f" s, more than max_retry_after ({limit:g} s)")


def test_what_the_server_asks_is_always_told() -> None:
    """Every verdict has the server's wait in `retry_after`, also a refusal to retry."""
    assert RULES._judge(response(404, Retry_After="9"), 1, method="GET").retry_after == 9
    assert RULES._judge(response(503, Retry_After="9"), 4, method="GET").retry_after == 9
    assert RULES._judge(response(503, Retry_After="9"), 1, method="GET", wish=False).retry_after == 9
    assert RULES._judge(response(503, Retry_After="9"), 1, method="GET", wish=RetryDecision(True, 10)).retry_after == 9


@pytest.mark.parametrize(
    ("outcome", "wish", "wait", "told"),
    [
        (response(500), None, 2, "backoff asks for 2 s"),
        (response(429, Retry_After="5"), None, 5.5, "Retry-After asks for 5 s"),
        (response(200), RetryDecision(True, 7), 7, "decide asks for 7 s"),
    ],
)
def test_deadlines(outcome: Outcome, wish: Any, wait: float, told: str) -> None:
    """There is no retry if the wait would not end before the deadline, whoever asks for the wait."""
    for left, again in ((wait + 0.1, True), (math.inf, True), (wait, False), (0.0, False), (-1.0, False)):
        verdict = RULES._judge(outcome, 2, method="GET", wish=wish, uniform=1.0, left=left)
        assert verdict.wait == (pytest.approx(wait) if again else None)
        assert again or verdict.reason == f"{told}, with {max(left, 0):.3g} s left of total_timeout"


# What decide returns


@pytest.mark.parametrize(
    ("outcome", "wish", "expected"),
    [
        (response(200), True, AGAIN),
        (response(200), RetryDecision(True), AGAIN),
        (response(200), RetryDecision(True, reason="because"), AGAIN),
        (response(200), RetryDecision(True, 0), (0, "decide", None)),
        (response(200), RetryDecision(True, 2.5), (2.5, "decide", None)),
        (response(503, Retry_After="9"), True, (9.9, "Retry-After", 9)),
        (response(503, Retry_After="9"), RetryDecision(True), (9.9, "Retry-After", 9)),
        (response(503, Retry_After="900"), RetryDecision(True, 20), (20, "decide", 900)),
        (outcome_of_failure(Failure.BROKEN), True, AGAIN),
        (response(503), False, (None, "decide forbids it", None)),
        (response(503), RetryDecision(False), (None, "decide forbids it", None)),
        (response(503), RetryDecision(False, 5), (None, "decide forbids it", None)),
        (response(200), None, (None, "200 is not in retry_on_status", None)),
        (response(200), RetryDecision(True, 301), (None, "decide asks for 301 s, more than max_retry_after (300 s)", None)),
    ],
)
def test_wishes(outcome: Outcome, wish: Any, expected: Any) -> None:
    """decide may force a retry, forbid it, set the wait within `max_retry_after`, or leave it to the rules."""
    assert RULES._judge(outcome, 1, method="POST", wish=wish, uniform=1.0) == pytest.approx(expected)


def test_a_wish_for_the_servers_own_wait() -> None:
    """The wait that decide returns is used exactly, without spread, even if it equals the server's wait."""
    verdict = RULES._judge(response(503, Retry_After="5"), 1, method="GET", wish=RetryDecision(True, 5), uniform=1.0)
    assert verdict == (5, "decide", 5)


@pytest.mark.parametrize("wish", ["no", 1, 0, (), "retry"])
def test_wishes_must_be_ones(wish: Any) -> None:
    """decide may return only a RetryDecision, True, False or None; anything else raises TypeError."""
    with pytest.raises(TypeError, match="what decide returns must be a RetryDecision, True, False or None"):
        RULES._judge(response(503), 1, method="GET", wish=wish)


@pytest.mark.parametrize("wish", [True, RetryDecision(True), RetryDecision(True, 1.0)])
def test_wishes_end(wish: Any) -> None:
    """decide cannot force a retry after the last attempt."""
    assert stopped(RULES._judge(response(200), 4, method="GET", wish=wish), "max_attempts (4) reached")
    assert stopped(RULES._judge(response(200), 2, method="GET", wish=wish, max_attempts=2), "max_attempts (2) reached")


outcomes = st.one_of(
    st.builds(
        lambda status, fields: outcome_of_response(status, [(name, name, value) for name, value in fields], 100.0),
        st.integers(100, 599),
        st.lists(st.tuples(st.sampled_from([b"retry-after", b"retry-after-ms", b"x-should-retry"]), st.binary(max_size=9))),
    ),
    st.builds(outcome_of_failure, st.sampled_from(Failure)),
)
wishes = st.one_of(
    st.none(), st.booleans(), st.builds(RetryDecision, st.booleans(), st.none() | st.floats(0, 1e9)), st.just(RetryDecision(True))
)


@given(outcomes, st.integers(1, 9), st.sampled_from([*SAFE, *UNSAFE]), wishes, st.booleans(), st.booleans(), st.floats(0, 1))
def test_any_outcome(
    outcome: Outcome, attempt: int, method: str, wish: Any, keyed: bool, replayable: bool, uniform: float
) -> None:
    """For any outcome the wait is bounded or None, there is a reason, and no retry is too late, too early or without its body."""
    verdict = RULES._judge(outcome, attempt, method=method, wish=wish, keyed=keyed, replayable=replayable, uniform=uniform)
    assert verdict.reason
    if verdict.wait is not None:
        assert attempt < 4
        assert replayable
        assert 0 <= verdict.wait <= 330
        assert verdict.reason == "decide" or verdict.wait >= (verdict.retry_after or 0)


# Settings


def test_defaults() -> None:
    """The defaults: four attempts, the usual statuses, full jitter, server waits of up to five minutes."""
    rules = RetryConfig()
    assert (rules.max_attempts, rules.max_retry_after, rules.idempotency_key, rules.decide) == (4, 300.0, False, None)
    assert rules.retry_on_status == {408, 425, 429, 500, 502, 503, 504}
    assert rules.methods == {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"}
    assert rules.backoff == ExponentialBackoff()


@pytest.mark.parametrize(
    "shorthands",
    [
        {"initial_delay": 2},
        {"max_delay": 5.0},
        {"multiplier": 3},
        {"jitter": False},
        {"jitter": "equal"},
        {"jitter_ratio": 0.5, "jitter": True},
        {"initial_delay": 0, "max_delay": 0, "multiplier": 1, "jitter": "decorrelated", "jitter_ratio": 0},
    ],
)
def test_shorthands(shorthands: dict[str, Any]) -> None:
    """The shorthands configure the backoff; together with `backoff` they are refused."""
    assert RetryConfig(**shorthands).backoff == ExponentialBackoff(**shorthands)
    with pytest.raises(TypeError, match=f"backoff and {', '.join(sorted(shorthands, key=ORDER.index))} were both given"):
        RetryConfig(backoff=ExponentialBackoff(), **shorthands)


ORDER = ["initial_delay", "max_delay", "multiplier", "jitter", "jitter_ratio"]


def test_with_backoff() -> None:
    """`_with_backoff` returns a copy with another backoff; the original keeps its own."""
    rules, backoff = RetryConfig(2, retry_on_status=[418]), Fixed(3)
    other = rules._with_backoff(backoff)
    assert (other.backoff, other.max_attempts, other.retry_on_status) == (backoff, 2, {418})
    assert rules.backoff == ExponentialBackoff()


def test_repr() -> None:
    """The repr shows each setting."""
    shown = repr(RetryConfig(2, retry_on_status=[418], methods=["get"], initial_delay=3.0))
    assert shown.startswith("RetryConfig(")
    for part in (
        "max_attempts=2",
        "retry_on_status=frozenset({418})",
        "methods=frozenset({'GET'})",
        "backoff=ExponentialBackoff(initial_delay=3.0,",
        "max_retry_after=300.0",
        "idempotency_key=False",
        "decide=None",
    ):
        assert part in shown


TRIES, CODES, NAMES = "a whole number of at least 1", "status codes from 100 to 599", "names of HTTP methods"
SECONDS, SEVERAL = "a finite number of seconds of at least 0", "a set, list or tuple"


@pytest.mark.parametrize(
    ("setting", "value", "error", "message"),
    [
        ("max_attempts", 0, ValueError, f"max_attempts must be {TRIES}, not 0"),
        ("max_attempts", -1, ValueError, f"max_attempts must be {TRIES}, not -1"),
        ("max_attempts", True, TypeError, f"max_attempts must be {TRIES}, not True"),
        ("max_attempts", 3.0, TypeError, f"max_attempts must be {TRIES}, not 3.0"),
        ("max_attempts", "3", TypeError, f"max_attempts must be {TRIES}, not '3'"),
        ("max_attempts", None, TypeError, f"max_attempts must be {TRIES}, not None"),
        ("retry_on_status", 503, TypeError, f"retry_on_status must be {SEVERAL}, not 503"),
        ("retry_on_status", "503", TypeError, f"retry_on_status must be {SEVERAL}, not '503'"),
        ("retry_on_status", b"503", TypeError, f"retry_on_status must be {SEVERAL}, not b'503'"),
        ("retry_on_status", None, TypeError, f"retry_on_status must be {SEVERAL}, not None"),
        ("retry_on_status", ["503"], TypeError, f"retry_on_status must be {CODES}, not '503'"),
        ("retry_on_status", [True], TypeError, f"retry_on_status must be {CODES}, not True"),
        ("retry_on_status", [503.0], TypeError, f"retry_on_status must be {CODES}, not 503.0"),
        ("retry_on_status", {99}, ValueError, f"retry_on_status must be {CODES}, not 99"),
        ("retry_on_status", (600,), ValueError, f"retry_on_status must be {CODES}, not 600"),
        ("methods", "GET", TypeError, f"methods must be {SEVERAL}, not 'GET'"),
        ("methods", [b"GET"], TypeError, f"methods must be {NAMES}, not b'GET'"),
        ("methods", [None], TypeError, f"methods must be {NAMES}, not None"),
        ("methods", [""], ValueError, f"methods must be {NAMES}, not ''"),
        ("methods", ["GET POST"], ValueError, f"methods must be {NAMES}, not 'GET POST'"),
        ("methods", ["GÉT"], ValueError, f"methods must be {NAMES}, not 'GÉT'"),
        ("backoff", 1.0, TypeError, "backoff must be an ExponentialBackoff or an object with its delay method, not 1.0"),
        ("backoff", "full", TypeError, "backoff must be an ExponentialBackoff or an object with its delay method, not 'full'"),
        ("initial_delay", -1, ValueError, f"initial_delay must be {SECONDS}, not -1"),
        ("max_delay", "60", TypeError, f"max_delay must be {SECONDS}, not '60'"),
        ("multiplier", 0.5, ValueError, "multiplier must be a finite number of at least 1, not 0.5"),
        ("jitter", "banana", ValueError, 'jitter must be one of True, False, "full", "equal" and "decorrelated", not \'banana\''),
        ("jitter_ratio", 2, ValueError, "jitter_ratio must be a number from 0 to 1, not 2"),
        ("max_retry_after", -1, ValueError, f"max_retry_after must be {SECONDS}, not -1"),
        ("max_retry_after", math.inf, ValueError, f"max_retry_after must be {SECONDS}, not inf"),
        ("max_retry_after", math.nan, ValueError, f"max_retry_after must be {SECONDS}, not nan"),
        ("max_retry_after", None, TypeError, f"max_retry_after must be {SECONDS}, not None"),
        ("budget", None, TypeError, "budget must be a RetryBudget, True or False, not None"),
        ("budget", 0.2, TypeError, "budget must be a RetryBudget, True or False, not 0.2"),
        ("idempotency_key", "key", TypeError, "idempotency_key must be True or False, not 'key'"),
        ("idempotency_key", None, TypeError, "idempotency_key must be True or False, not None"),
        (
            "decide",
            True,
            TypeError,
            "decide must be a plain function of response, exception and attempt, also in async code, not True",
        ),
        (
            "decide",
            "always",
            TypeError,
            "decide must be a plain function of response, exception and attempt, also in async code, not 'always'",
        ),
    ],
)
def test_bad_settings(setting: str, value: Any, error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction; the message has its name, its value and the allowed range."""
    with pytest.raises(error) as caught:
        RetryConfig(**{setting: value})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1,), TypeError, "should_retry must be True or False, not 1"),
        ((None,), TypeError, "should_retry must be True or False, not None"),
        ((True, -1), ValueError, f"delay must be {SECONDS}, not -1"),
        ((True, math.nan), ValueError, f"delay must be {SECONDS}, not nan"),
        ((True, math.inf), ValueError, f"delay must be {SECONDS}, not inf"),
        ((True, "1"), TypeError, f"delay must be {SECONDS}, not '1'"),
        ((False, True), TypeError, f"delay must be {SECONDS}, not True"),
    ],
)
def test_bad_decisions(arguments: Any, error: type[Exception], message: str) -> None:
    """An invalid RetryDecision is refused at construction."""
    with pytest.raises(error) as caught:
        RetryDecision(*arguments)
    assert str(caught.value) == message


# Options of one request


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Options(None, None)),
        ({"retry": True}, Options(None, None)),
        ({"retry": None}, Options(None, None)),
        ({"retry": False}, Options(1, None)),
        ({"retry": False, "max_attempts": 1}, Options(1, None)),
        ({"retry": True, "max_attempts": 7}, Options(7, None)),
        ({"max_attempts": 2, "idempotency_key": "a"}, Options(2, "a")),
        ({"idempotency_key": "~" * 255}, Options(None, "~" * 255)),
    ],
)
def test_options(settings: dict[str, Any], expected: Options) -> None:
    """`options` returns a new `extensions` dict at each call."""
    assert options(**settings) == {KEY: expected}
    assert options(**settings) is not options(**settings)


KEYS = "a string of 1 to 255 printable ASCII characters, without blanks at its ends"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"retry": 0}, TypeError, "retry must be True or False, not 0"),
        ({"retry": "no"}, TypeError, "retry must be True or False, not 'no'"),
        ({"max_attempts": 0}, ValueError, f"max_attempts must be {TRIES}, not 0"),
        ({"max_attempts": True}, TypeError, f"max_attempts must be {TRIES}, not True"),
        ({"max_attempts": 2.0}, TypeError, f"max_attempts must be {TRIES}, not 2.0"),
        (
            {"retry": False, "max_attempts": 2},
            ValueError,
            "max_attempts must be 1 or left out where retry=False is given, not 2",
        ),
        ({"idempotency_key": True}, TypeError, f"idempotency_key must be {KEYS}, not True"),
        ({"idempotency_key": b"a"}, TypeError, f"idempotency_key must be {KEYS}, not b'a'"),
        ({"idempotency_key": ""}, ValueError, f"idempotency_key must be {KEYS}, not ''"),
        ({"idempotency_key": "a\r\nb: c"}, ValueError, f"idempotency_key must be {KEYS}, not 'a\\r\\nb: c'"),
        ({"idempotency_key": "é"}, ValueError, f"idempotency_key must be {KEYS}, not 'é'"),
        ({"idempotency_key": "a" * 256}, ValueError, f"idempotency_key must be {KEYS}, not {'a' * 256!r}"),
        (
            {"timeout": 5},
            TypeError,
            "options() got an unexpected keyword argument 'timeout': "
            "it takes retry, max_attempts, idempotency_key, cache, cache_ttl",
        ),
    ],
)
def test_bad_options(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """An invalid or unknown option is refused when `options` is called."""
    with pytest.raises(error) as caught:
        options(**settings)
    assert str(caught.value) == message


def test_decide_is_a_plain_function() -> None:
    """A coroutine function is refused as `decide` at construction, not at the first call: the rules cannot await it."""

    async def decide(response: Any, exception: Any, attempt: int) -> bool:
        return True

    wrong: Any = decide
    with pytest.raises(TypeError, match="decide must be a plain function"):
        RetryConfig(decide=wrong)


def test_respect_retry_after_false_waits_by_the_backoff() -> None:
    rules = RetryConfig(backoff=Fixed(3), respect_retry_after=False)
    asked = response(429, Retry_After="7")
    too_long = response(503, Retry_After="7000")
    assert rules._judge(asked, 1, method="GET") == (3, "backoff", 7)
    assert rules._judge(too_long, 1, method="POST") == (3, "backoff", 7000)  # the wait still proves that nothing was done
    assert rules._judge(response(403, Retry_After="7"), 1, method="GET") == (3, "backoff", 7)


@pytest.mark.parametrize(("backoff", "verdict"), [(3, (3, "backoff", 0.5)), (0.1, (0.5, "rate-limit reset", 0.5))])
def test_a_bucket_that_fills(backoff: float, verdict: Any) -> None:
    """A bucket's time per unit is the minimum wait; a longer backoff is used instead."""
    fields = {"x_ratelimit_limit": "60", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "30s"}
    rules = RetryConfig(backoff=Fixed(backoff))
    assert rules._judge(response(429, **fields), 1, method="GET", uniform=0.0) == verdict

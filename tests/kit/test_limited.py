"""The rate-limited servers: what they accept, which fields they send, and that no client is faster than `fastest`."""

from __future__ import annotations

import copy
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.throttling import outcome_of_response
from tests.http.telling import written
from tests.kit import limited
from tests.kit.limited import EPOCH, STYLES, Bucket, Policy, Window, go_duration, nothing

FASTEST = dict(zip(STYLES, (20, 20, 23, 516, 23, 25, 23, 23, 20, 28, 23, 11.8)))
CHANGES = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), max_size=3, unique_by=lambda change: change[0]).map(sorted)
GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 8)), max_size=150)


def said(policy: Policy, now: float = 0.0) -> str:
    """The header fields of an answer, without Date."""
    return ", ".join(f"{name}: {value}" for name, value in policy.answer(now).headers if name != "Date")


def spent(policy: Policy, requests: int, now: float = 0.0) -> Policy:
    """The policy after a number of requests."""
    for _ in range(requests):
        policy.answer(now)
    return policy


def asked(policy: Policy, gaps: list[float]) -> tuple[list[tuple[int, bool]], list[int]]:
    """The time of each request in nanoseconds and whether it was accepted; and the times of the accepted ones."""
    now, answers = 0.0, []
    for gap in gaps:
        now += gap
        answers.append((limited.nanoseconds(now), policy.answer(now).status == 200))
    assert [policy.accepted, policy.refused] == [sum(ok for _, ok in answers), sum(not ok for _, ok in answers)]
    return answers, [at for at, ok in answers if ok]


@given(GAPS, st.sampled_from(["first", "wall"]))
def test_a_window_never_accepts_more(gaps: list[float], anchor: Any) -> None:
    """A window of 5 s accepts exactly 3 requests; a refused request came after 3 accepted ones in its window."""
    epoch = EPOCH + 1.7
    answers, _ = asked(Window(3, 5, nothing, anchor=anchor, epoch=epoch), gaps)
    counts: Counter[int] = Counter()
    begun = -(10**18)
    for at, accepted in answers:
        if anchor == "wall":
            begun = (at + limited.nanoseconds(epoch)) // (5 * 10**9)
        elif at >= begun + 5 * 10**9:
            begun = at
        assert accepted == (counts[begun] < 3)
        counts[begun] += accepted


@given(GAPS)
def test_a_bucket_never_accepts_more(gaps: list[float]) -> None:
    """In any period a bucket accepts at most its burst plus 4 a second; a refused request would have exceeded that."""

    def within(times: list[int]) -> bool:
        return all(len(times) - i <= 4 + Fraction(4 * (times[-1] - at), 10**9) for i, at in enumerate(times))

    answers, _ = asked(Bucket(4, 1, nothing), gaps)
    taken: list[int] = []
    for at, accepted in answers:
        assert within([*taken, at]) == accepted
        taken += [at] * accepted


@given(GAPS)
def test_what_a_refusal_costs(gaps: list[float]) -> None:
    """With a penalty each request lowers the level by one, down to minus the burst; a simple recount agrees."""
    answers, _ = asked(Bucket(4, 1, nothing, penalty=True), gaps)
    level, before = Fraction(4), 0
    for at, accepted in answers:
        level, before = min(Fraction(4), level + Fraction(4 * (at - before), 10**9)), at
        assert accepted == (level >= 1)
        level = max(level - 1, Fraction(-4))


def test_a_debt_is_paid_first() -> None:
    """After 20 accepted and 40 refused requests at once, a second pays off the debt, and the next token follows."""
    policy = spent(STYLES["penalty"](), 60)
    assert (policy.accepted, policy.refused) == (20, 40)
    later = copy.deepcopy(policy)
    assert policy.answer(1.049).status == 429
    assert later.answer(1.05).status == 200


@pytest.mark.parametrize("style", STYLES)
def test_a_perfect_client_is_as_fast(style: str) -> None:
    """A client that knows what would be accepted, and tries every twentieth of a second, is as fast as `fastest`."""
    policy, tick, reached = STYLES[style](), 0, []
    while len(reached) < 480:
        while copy.copy(policy).answer(tick / 20).status == 200:
            policy.answer(tick / 20)
            reached.append(tick / 20)
        tick += 1
    assert policy.refused == 0
    assert reached[:480] == [policy.fastest(n) for n in range(1, 481)]
    assert policy.fastest(480) == FASTEST[style]
    assert policy.fastest(0) == 0


@given(CHANGES, st.integers(1, 4), st.integers(0, 9), st.integers(1, 20))
def test_the_best_choice_of_windows(changes: list[tuple[int, int]], first: int, start: int, n: int) -> None:
    """`fastest` finds the best of all ways to open windows of 3 s at whole seconds, for any changes of the limit."""
    policy = Window(first, 3, nothing, changes=changes)

    @cache
    def best(at: int, left: int) -> int:
        if left <= 0:
            return at
        if at >= 13:  # the limit no longer changes
            return at + 3 * (-(-left // policy.limit(10**12)) - 1)
        size = policy.limit(at * 10**9)
        return min(at if size >= left else best(at + 3, left - size), best(at + 1, left))

    assert policy.fastest(n, start) == best(start, n) - start


@given(CHANGES, st.integers(1, 4), st.floats(0, 9), GAPS, st.sampled_from(["first", "wall", "bucket"]))
def test_nobody_is_faster(changes: list[tuple[int, int]], first: int, start: float, gaps: list[float], kind: Any) -> None:
    """For any requests and any changes of the limit, the n-th success is not before `fastest(n)`."""
    policy: Policy
    if kind == "bucket":
        policy = Bucket(first, 1, nothing, changes=changes)
    else:
        policy = Window(first, 3, nothing, changes=changes, anchor=kind, epoch=EPOCH + 0.4)
    _, accepted = asked(policy, [start, *gaps])
    for number, at in enumerate(accepted, 1):
        assert at - limited.nanoseconds(start) >= limited.nanoseconds(policy.fastest(number, start))


def test_windows_of_the_wall_clock() -> None:
    """A client that starts 2 s before the end of a window uses its whole quota, and so finishes earlier."""
    policy = STYLES["window"](anchor="wall")
    assert policy.fastest(480, elapsed_start=3) == STYLES["window"](anchor="wall", epoch=EPOCH + 3).fastest(480) == 17
    assert said(policy, 3.0).endswith("Remaining: 99, X-RateLimit-Reset: 1800000005")
    assert said(policy, 5.0).endswith("Remaining: 99, X-RateLimit-Reset: 1800000010")


def test_a_limit_that_changes() -> None:
    """The limit halves at 10 s and returns at 20 s: a window has the limit at its beginning."""
    policy = STYLES["halved"]()
    assert [spent(policy, 120, at).accepted for at in (0, 4.9, 5, 9.9, 10, 15, 19.9, 20)] == [
        *(100, 100, 200, 200, 250, 300, 300, 400)
    ]
    bucket = Bucket(20, 1, nothing, changes=((10.025, 5), (20, 40)))
    assert [bucket.fastest(n) for n in (220, 221, 270, 271, 280)] == [10, 10.125, 19.925, 20.015625, 20.240625]
    bucket = Bucket(20, 1, nothing, changes=((10, 5), (20, 40)))
    assert [spent(bucket, 100, at).accepted for at in (0, 10, 11, 20.5, 21.5)] == [20, 25, 30, 55, 95]


XRATELIMIT = "X-RateLimit-Limit: 100, X-RateLimit-Remaining: %s, X-RateLimit-Reset: 1800000006"
IETF = 'RateLimit-Policy: "default";q=100;w=5, RateLimit: "default";r=%s;t=5'
OPENAI = "x-ratelimit-limit-requests: 20, x-ratelimit-remaining-requests: %s, x-ratelimit-reset-requests: %s"
SAID = {
    "window": (XRATELIMIT % 99, XRATELIMIT % 0 + ", Retry-After: 5"),
    "ietf": (IETF % 99, IETF % 0),
    "openai": (OPENAI % (19, "50ms"), OPENAI % (0, "990ms") + ", retry-after-ms: 40, retry-after: 1"),
    "penalty": (OPENAI % (19, "50ms"), OPENAI % (0, "2s") + ", retry-after-ms: 1050, retry-after: 2"),
    "seconds": ("", "Retry-After: 1"),
    "bare": ("", ""),
    "bare-window": ("", ""),
    "bare-halved": ("", ""),
    "shuts": ("", "Retry-After: 5"),
    "slots": ("", ""),
}


@pytest.mark.parametrize("style", SAID)
def test_what_they_say(style: str) -> None:
    """The fields of the first answer, at 0.7 s, and of a refusal 10 ms after more than 100 requests, in each style."""
    policy = STYLES[style]()
    first, refused = SAID[style]
    assert said(policy, 0.7) == first
    assert said(spent(policy, 120, 0.7), 0.71) == refused


def test_what_they_say_is_true() -> None:
    """A request after the wait that a refusal names is accepted, whether or not the server's clock is right."""
    for style in ("window", "ietf", "openai", "penalty", "halved", "seconds"):
        for skew in (0, -90, 90):
            policy = spent(STYLES[style](date_skew=skew), 120, 0.33)
            reply = policy.answer(0.36)
            wait = outcome_of_response(429, written(*reply.headers), EPOCH + 0.36).wait
            assert wait is not None
            assert (reply.status, policy.answer(0.36 + wait).status) == (429, 200)


def test_a_clock_that_is_wrong() -> None:
    """`date_skew` moves the Date and the reset together; values in seconds do not change."""
    (_, date), *_, (_, reset) = STYLES["window"](date_skew=-30).answer(1.5).headers
    assert (date, reset) == ("Fri, 15 Jan 2027 07:59:31 GMT", "1799999977")
    assert said(STYLES["ietf"](date_skew=-30), 1.5) == said(STYLES["ietf"](), 1.5)


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [(0, "0s"), (52, "52ms"), (1000, "1s"), (1020, "1.02s"), (61_500, "1m1.5s"), (360_000, "6m0s"), (3_600_000, "1h0m0s")],
)
def test_durations_of_go(milliseconds: int, told: str) -> None:
    """Durations are formatted as Go does, including its zeros."""
    assert go_duration(milliseconds) == told

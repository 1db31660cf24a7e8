"""The limits: what they accept, and that no client is faster than `fastest`."""

from __future__ import annotations

import copy
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise.testing import ConcurrencyLimit, FixedWindow, Limit, Quota, SlidingWindow, TokenBucket
from ratewise.testing.limits import EPOCH, nanoseconds
from tests.kit.styles import STYLES

FASTEST = dict(zip(STYLES, (20, 20, 23, 516, 23, 25, 23, 23, 20, 28, 23, 11.8)))
CHANGES = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), max_size=3, unique_by=lambda change: change[0]).map(sorted)
OUTAGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 14)), max_size=3)
GAPS = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 8)), max_size=150)
KINDS = {
    "first": lambda limit, **others: FixedWindow(limit, 3, epoch=EPOCH + 0.4, **others),
    "wall": lambda limit, **others: FixedWindow(limit, 3, epoch=EPOCH + 0.4, anchor="wall", **others),
    "sliding": lambda limit, **others: SlidingWindow(limit, 3, **others),
    "bucket": lambda limit, **others: TokenBucket(limit, 1, **others),
    "penalty": lambda limit, **others: TokenBucket(limit, 1, penalty=True, **others),
    "slots": lambda limit, **others: ConcurrencyLimit(limit, 3, **others),
}
"""Makers of every kind of limit."""


def spent(limit: Limit, requests: int, now: float = 0.0) -> Limit:
    """The limit after a number of requests."""
    for _ in range(requests):
        limit.take(now)
    return limit


def asked(limit: Limit, gaps: list[float]) -> tuple[list[tuple[int, bool]], list[int]]:
    """The time of each request in nanoseconds and whether it was accepted; and the times of the accepted ones."""
    now, answers = 0.0, []
    for gap in gaps:
        now += gap
        answers.append((nanoseconds(now), limit.take(now).accepted))
    assert [limit.accepted, limit.refused] == [sum(ok for _, ok in answers), sum(not ok for _, ok in answers)]
    return answers, [at for at, ok in answers if ok]


# -- what is accepted


@given(GAPS, st.sampled_from(["first", "wall"]))
def test_a_window_never_accepts_more(gaps: list[float], anchor: Any) -> None:
    """A window of 5 s accepts exactly 3 requests; a refused request came after 3 accepted ones in its window."""
    epoch = EPOCH + 1.7
    answers, _ = asked(FixedWindow(3, 5, anchor=anchor, epoch=epoch), gaps)
    counts: Counter[int] = Counter()
    begun = -(10**18)
    for at, accepted in answers:
        if anchor == "wall":
            begun = (at + nanoseconds(epoch)) // (5 * 10**9)
        elif at >= begun + 5 * 10**9:
            begun = at
        assert accepted == (counts[begun] < 3)
        counts[begun] += accepted


@given(GAPS, st.sampled_from([SlidingWindow, ConcurrencyLimit]))
def test_no_period_has_more(gaps: list[float], kind: Any) -> None:
    """A sliding window accepts a request exactly if fewer than 3 were accepted in the 5 s before, in any period of 5 s."""
    answers, _ = asked(kind(3, 5), gaps)
    taken: list[int] = []
    for at, accepted in answers:
        assert accepted == (sum(other > at - 5 * 10**9 for other in taken) < 3)
        taken += [at] * accepted
    assert all(later - sooner >= 5 * 10**9 for sooner, later in zip(taken, taken[3:]))


@given(GAPS)
def test_a_bucket_never_accepts_more(gaps: list[float]) -> None:
    """In any period a bucket accepts at most its burst plus 4 a second; a refused request would have exceeded that."""

    def within(times: list[int]) -> bool:
        return all(len(times) - i <= 4 + Fraction(4 * (times[-1] - at), 10**9) for i, at in enumerate(times))

    answers, _ = asked(TokenBucket(4, 1), gaps)
    taken: list[int] = []
    for at, accepted in answers:
        assert within([*taken, at]) == accepted
        taken += [at] * accepted


@given(GAPS)
def test_what_a_refusal_costs(gaps: list[float]) -> None:
    """With a penalty each request lowers the level by one, down to minus the burst; a simple recount agrees."""
    answers, _ = asked(TokenBucket(4, 1, penalty=True), gaps)
    level, before = Fraction(4), 0
    for at, accepted in answers:
        level, before = min(Fraction(4), level + Fraction(4 * (at - before), 10**9)), at
        assert accepted == (level >= 1)
        level = max(level - 1, Fraction(-4))


def test_a_debt_is_paid_first() -> None:
    """After 20 accepted and 40 refused requests at once, a second pays off the debt, and the next token follows."""
    limit = spent(TokenBucket(20, 1, penalty=True), 60)
    assert (limit.accepted, limit.refused) == (20, 40)
    later = limit.copy()
    assert not limit.take(1.049).accepted
    assert later.take(1.05).accepted


@pytest.mark.parametrize("kind", KINDS)
def test_shutting_out(kind: str) -> None:
    """Any limit can refuse everything for a while after one request too many; requests meanwhile do not prolong that."""
    limit = KINDS[kind](4, shuts_out=7)
    assert [limit.take(0.0).accepted for _ in range(5)] == [True] * 4 + [False]
    assert [limit.take(at).accepted for at in (0.5, 3.5, 6.999)] == [False] * 3
    assert limit.take(6.999).wait == pytest.approx(1e6)
    assert limit.shutouts == 1
    assert limit.take(7.0 if kind != "penalty" else 8.0).accepted
    assert (limit.accepted, limit.refused) == (5, 5)


@given(st.sampled_from([*KINDS]), GAPS, CHANGES, st.sampled_from([0.0, 7.0]))
def test_the_wait_is_true(kind: str, gaps: list[float], changes: Any, shuts_out: float) -> None:
    """If the limit does not change meanwhile, a request right after `wait` is accepted, and one a nanosecond earlier refused."""
    limit, now = KINDS[kind](3, changes=changes, shuts_out=shuts_out), 12.0
    for gap in gaps:
        now += gap
        quota = limit.take(now)
        later = nanoseconds(now) + quota.wait
        assert (quota.wait == 0) <= (quota.remaining > 0)
        assert 0 <= quota.remaining <= quota.limit
        assert quota.wall == nanoseconds(now) + limit._epoch
        assert limit.copy()._fits(later)
        assert later >= limit._shut_until
        if quota.wait and later > limit._shut_until:
            assert not limit.copy()._fits(later - 1)


@given(st.sampled_from([*KINDS]), GAPS)
def test_the_reset_is_true(kind: str, gaps: list[float]) -> None:
    """After `reset` as many requests as the limit has are accepted at once."""
    limit, now = KINDS[kind](3), 0.0
    for gap in gaps:
        now += gap
        quota = limit.take(now)
        later = limit.copy()
        at = nanoseconds(now) + quota.reset
        for _ in range(3):
            assert later._fits(at)
            later._count(at, True)


# -- the physical limit


@pytest.mark.parametrize("style", STYLES)
def test_a_perfect_client_is_as_fast(style: str) -> None:
    """A client that knows what would be accepted, and tries every twentieth of a second, is as fast as `fastest`."""
    limit, tick, reached = STYLES[style].make(), 0, []
    while len(reached) < 480:
        while copy.copy(limit)._fits(nanoseconds(tick / 20)):
            limit.take(tick / 20)
            reached.append(tick / 20)
        tick += 1
    assert limit.refused == 0
    assert reached[:480] == [limit.fastest(n) for n in range(1, 481)]
    assert limit.fastest(480) == FASTEST[style]
    assert limit.fastest(0) == 0


@given(st.sampled_from([SlidingWindow, TokenBucket, ConcurrencyLimit]), st.integers(1, 4), CHANGES, st.integers(0, 9), OUTAGES)
def test_one_that_knows_is_as_fast(kind: Any, first: int, changes: Any, start: int, outages: Any) -> None:
    """With changes and outages too, a client that tries every nanosecond is as fast as `fastest`; all times are a few of them."""
    closed = [(since * 3, until * 3) for since, until in outages]
    limit = kind(first, 13e-9, changes=[(at * 3e-9, size) for at, size in changes])
    reached: list[int] = []
    tick = start * 3
    while len(reached) < 20:
        while not any(since <= tick < until for since, until in closed) and limit.copy()._fits(tick):
            limit.take(tick * 1e-9)
            reached.append(tick - start * 3)
        tick += 1
    periods = [(since * 1e-9, until * 1e-9) for since, until in closed]
    assert reached[:20] == [nanoseconds(limit.fastest(n, start * 3e-9, outages=periods)) for n in range(1, 21)]


@given(CHANGES, st.integers(1, 4), st.integers(0, 9), st.integers(1, 20), OUTAGES)
def test_the_best_choice_of_windows(changes: Any, first: int, start: int, n: int, outages: Any) -> None:
    """`fastest` finds the best of all ways to open windows of 3 s at whole seconds, for any changes and outages."""
    limit = FixedWindow(first, 3, changes=changes)

    @cache
    def best(at: int, left: int) -> int:
        if left <= 0:
            return at
        if at >= 14:  # the limit no longer changes
            return at + 3 * (-(-left // limit.limit_at(10**12)) - 1)
        later = best(at + 1, left)
        if any(since <= at < until for since, until in outages):
            return later
        size = limit.limit_at(at * 10**9)
        return min(at if size >= left else best(at + 3, left - size), later)

    assert limit.fastest(n, start, outages=outages) == best(start, n) - start


@given(CHANGES, st.integers(1, 4), st.floats(0, 9), GAPS, st.sampled_from([*KINDS]), OUTAGES, st.sampled_from([0.0, 2.0]))
def test_nobody_is_faster(
    changes: Any, first: int, start: float, gaps: list[float], kind: str, outages: Any, shuts_out: float
) -> None:
    """For any requests, changes and outages, the n-th success is not before `fastest(n)`."""
    limit, now, accepted = KINDS[kind](first, changes=changes, shuts_out=shuts_out), start, 0
    for gap in [0.0, *gaps]:
        now += gap
        if any(since <= now < until for since, until in outages):
            continue
        accepted += limit.take(now).accepted
        assert nanoseconds(now) - nanoseconds(start) >= nanoseconds(limit.fastest(accepted, start, outages=outages)) - 1


def test_windows_of_the_wall_clock() -> None:
    """A client that starts 2 s before the end of a window uses its whole quota, and so finishes earlier."""
    limit = FixedWindow(100, 5, anchor="wall")
    assert limit.fastest(480, start=3) == limit.copy(epoch=EPOCH + 3).fastest(480) == 17
    assert [limit.take(at).reset_at for at in (3.0, 5.0)] == [1_800_000_005, 1_800_000_010]


def test_a_limit_that_changes() -> None:
    """The limit halves at 10 s and returns at 20 s: a window has the limit at its beginning, others at once."""
    limit: Limit = FixedWindow(100, 5, changes=((10, 50), (20, 100)))
    assert [spent(limit, 120, at).accepted for at in (0, 4.9, 5, 9.9, 10, 15, 19.9, 20)] == [
        *(100, 100, 200, 200, 250, 300, 300, 400)
    ]
    limit = TokenBucket(20, 1, changes=((10.025, 5), (20, 40)))
    assert [limit.fastest(n) for n in (220, 221, 270, 271, 280)] == [10, 10.125, 19.925, 20.015625, 20.240625]
    limit = TokenBucket(20, 1, changes=((10, 5), (20, 40)))
    assert [spent(limit, 100, at).accepted for at in (0, 10, 11, 20.5, 21.5)] == [20, 25, 30, 55, 95]
    limit = SlidingWindow(10, 5, changes=((2, 4), (4, 12)))
    assert [spent(limit, 20, at).accepted for at in (0, 2, 4, 5, 9)] == [10, 10, 12, 22, 24]
    assert [limit.fastest(n) for n in (10, 12, 13, 22, 23, 24, 25)] == [0, 4, 5, 5, 9, 9, 10]


def test_slots() -> None:
    """Three at a time, of 2 s each: the fourth waits for the first to end."""
    limit = ConcurrencyLimit(3, takes=2)
    assert (limit.takes, limit.fastest(3), limit.fastest(4), limit.fastest(7)) == (2, 0, 2, 4)
    assert [limit.take(at).accepted for at in (0, 0.5, 1, 1.5, 2, 2.4, 2.5)] == [True, True, True, False, True, False, True]
    quota = limit.take(2.6)
    assert (quota.wait, quota.reset, quota.unit) == (nanoseconds(0.4), nanoseconds(1.9), "concurrent-requests")


# -- the objects


def test_a_copy_counts_on_its_own() -> None:
    """A copy has the state of the original, and shares nothing with it."""
    limit = spent(SlidingWindow(10, 5), 3)
    other = limit.copy(epoch=5)
    assert (other.take(0).remaining, other.take(0).wall, limit.take(0).remaining) == (6, 5 * 10**9, 6)
    assert repr(other) == "SlidingWindow(10, 5)"


def test_whole_seconds() -> None:
    """The times of a quota are rounded up to whole seconds."""
    quota = Quota(False, 5, 10**9, 0, 1, 2 * 10**9 + 1, EPOCH_NS)
    assert (quota.retry_after, quota.reset_after, quota.reset_at) == (1, 3, 1_800_000_003)
    assert quota._replace(reset=2 * 10**9).reset_at == 1_800_000_002


EPOCH_NS = 1_800_000_000 * 10**9


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: FixedWindow(0, 1), ValueError, "limit must be a whole number of at least 1, not 0"),
        (lambda: FixedWindow(1.5, 1), TypeError, "limit must be a whole number of at least 1, not 1.5"),  # type: ignore[arg-type]
        (lambda: SlidingWindow(1, 0), ValueError, "per must be a finite number of seconds above 0, not 0"),
        (lambda: ConcurrencyLimit(1, 0), ValueError, "takes must be a finite number of seconds above 0, not 0"),
        (lambda: FixedWindow(1, 1, anchor="last"), ValueError, 'anchor must be "first" or "wall", not \'last\''),  # type: ignore[arg-type]
        (lambda: TokenBucket(1, 1, penalty=1), TypeError, "penalty must be True or False, not 1"),  # type: ignore[arg-type]
        (
            lambda: TokenBucket(1, 1, shuts_out=-1),
            ValueError,
            "shuts_out must be a finite number of seconds of at least 0, not -1",
        ),
        (lambda: TokenBucket(1, 1, changes=[(1, 0)]), ValueError, "changes must be a whole number of at least 1, not 0"),
        (
            lambda: TokenBucket(1, 1, changes=[(2, 3), (1, 1)]),
            ValueError,
            r"changes must be pairs of a second and a limit, in ascending order of the seconds, not [(2, 3), (1, 1)]",
        ),
    ],
)
def test_what_is_not_allowed(make: Any, error: type[Exception], told: str) -> None:
    """A wrong setting is named, with what is allowed."""
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == told

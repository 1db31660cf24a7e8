"""A token bucket: its refill rate, measured between refusals."""

from __future__ import annotations

import pytest

from ratewise.rate_limit.found import Filling
from ratewise.rate_limit.found.filling import Point
from ratewise.rate_limit.snapshot import phase_of
from ratewise.testing import TokenBucket
from tests.kit.styles import Served
from tests.rate_limit.found.senders import TRIP, Crowd, Hand, answered, filling, opening


def guessed(rate: float = 10.0, size: float = 20.0) -> Hand:
    """A bucket whose rate is a guess: it rises from second 0, and a refusal is expected."""
    return Hand(Filling(0, 0.0, rate, size, []))


def rate_of(hand: Hand) -> float:
    """Return the current rate."""
    rate: float = hand.phase.kept(0.0)["rate"]
    return rate


def test_a_rate() -> None:
    """Refilled tokens may be spent, up to the size of the bucket."""
    hand = filling(now=100.0)
    assert [hand.phase.free(now, 0) for now in (100.0, 100.05, 100.1, 100.5, 200.0)] == [0, 0, 1, 5, 20]
    assert [hand.phase.opens(100.05, 0, ahead) for ahead in (0, 9)] == pytest.approx([0.05, 0.95])
    assert hand.phase.opens(100.5, 0, 0) == 0.0
    hand.go(100.5, 100.5)
    assert [hand.phase.free(now, 0) for now in (100.5, 100.6)] == [3, 4]


def test_between_two_refusals() -> None:
    """The rate is what was accepted between two refusals, rounded to the roundest number within the error."""
    hand = filling(7.0)
    hand.refuses(1.0)
    hand.accepts(*(1.05 + number / 10 for number in range(30)))
    hand.refuses(4.06)
    assert rate_of(hand) == 10.0
    assert hand.phase.free(4.08, 0) == 0
    assert opening(hand.phase, 4.08) == pytest.approx(4.23)  # one and a half requests later


def test_a_rate_that_is_not_round() -> None:
    """Without a round number between the lower and the upper bound the rate is between them, unrounded."""
    hand = filling(1e-4, 5.0)
    hand.refuses(0.0)
    hand.accepts(*(1e4 * number for number in range(1, 7)))
    hand.refuses(70_000.0)
    assert 5 / 70_000 < rate_of(hand) < 10 / 70_000


def test_on_its_way_when_another_was_refused() -> None:
    """Requests in flight at a refusal: accepted ones count as before it, refused ones are not another refusal."""
    hand = filling(7.0)
    hand.refuses(1.0)
    hand.go(*(1.05 + number / 10 for number in range(33)))
    for number in range(1, 29):
        hand.accept(hand.sent[number] + TRIP, number)
    hand.refuse(4.3, 33)
    rate, free = rate_of(hand), hand.phase.free(5.0, 0)
    assert hand.refuse(4.31, 32) is hand.phase
    assert (rate_of(hand), hand.phase.free(5.0, 0)) == (rate, free)
    for number in range(29, 32):
        hand.accept(4.32, number)
    assert rate < rate_of(hand) == 10.0


def test_it_rises_and_is_measured_again() -> None:
    """Two seconds or 40 requests after a rate is found the pace rises, by half at most every quarter of a second."""
    hand = filling(20.0)
    hand.phase.refused(answered(1.0, number=0, total=0), None)
    paces = []
    for _ in range(100):
        now = opening(hand.phase, hand.sent[-1] + TRIP if hand.sent else 1.0)
        hand.accepts(now)
        paces.append((now, hand.phase.pace))
    steps = [now for (now, pace), (_, before) in zip(paces[1:], paces) if pace > before]
    assert steps[0] >= 3.0
    assert all(later - sooner >= 0.25 for sooner, later in zip(steps, steps[1:]))
    assert paces[-1][1] == pytest.approx(paces[0][1] * 1.5 ** len(steps))


def test_a_refusal_soon_after_another() -> None:
    """A second refusal soon after the first lowers the rate sharply; a further one means that there is no rate limit."""
    hand = guessed(20.0)
    hand.refuses(1.0, 1.01)
    assert rate_of(hand) == 20.0
    hand.refuses(1.45)
    assert rate_of(hand) == 5.0
    assert hand.refuses(1.6) is None


def test_what_is_full_tells_nothing() -> None:
    """A full bucket may have lost tokens: what is accepted from it is not taken as a measure of the rate."""
    hand = guessed(10.0, 20.0)
    hand.refuses(1.0)
    hand.accepts(*(5.0 + number / 1000 for number in range(20)))
    hand.refuses(5.1)
    assert rate_of(hand) == 10.0
    single = filling(7.0, 1.0)  # this bucket has no reserve, and so never loses tokens
    single.refuses(1.0)
    single.accepts(*(1.2 + number / 10 for number in range(30)))
    single.refuses(4.2)
    assert rate_of(single) == 10.0


def test_a_surprise() -> None:
    """Each refusal of a full bucket at a known pace lowers the rate by a tenth, except the first."""
    hand, rates = filling(10.0), []
    for start in (3.0, 6.0, 9.0):  # before it rises
        hand.accepts(*(start + number / 1000 for number in range(20)))
        hand.refuses(start + 0.1)
        rates.append(rate_of(hand))
    assert rates == pytest.approx([10.0, 9.0, 8.1])


def test_said_to_be_more() -> None:
    """If a refusal shuts the client out before the known size was spent, the size is reduced to what was accepted."""
    hand = filling(10.0)
    hand.phase.resumed(answered(1.0))
    hand.accepts(*(1.05 + number / 1000 for number in range(12)))
    hand.refuses(1.2, told=5.0)
    assert hand.phase.size == 12
    assert hand.phase.shuts


def test_a_point_later_than_a_refusal() -> None:
    """A rise of the pace while the refused request was in flight cannot serve as a start of the measurement."""
    hand = guessed(10.0)
    hand.go(0.01, 0.1, 0.2, 0.26)  # the last one makes the pace rise
    assert hand.phase.pace == 15.0
    hand.refuse(0.27, 2)
    assert rate_of(hand) == hand.phase.pace == 10.0


def test_few_tell_little() -> None:
    """For sizes below five a pause before the refusal does not count towards the rate: the pace rises first."""
    points, last = [Point(0.0, 0, 0.0)], Point(4.0, 20, 0.0)
    many, few = (Filling(5, 5.0, 2.0, size, points, last) for size in (5.0, 4.0))
    assert (many.pace, few.pace) == (5.0, 2.0)
    few.accepted(answered(number=4))  # in flight then
    assert (few.pace, few.kept(0.0)["rate"]) == (2.0, 5.0)


def test_a_bucket_is_found() -> None:
    """A rate of 20 a second is found in two seconds and fully used, and probes become ever rarer."""
    crowd = Crowd(Served(TokenBucket(20, 1)))
    assert isinstance(crowd.until(3.0), Filling)
    assert crowd.found.kept(3.0)["rate"] == 20.0
    crowd.until(100.0)
    assert crowd.rate(5.0, 95.0) == pytest.approx(20.0, rel=0.02)
    late = crowd.refused(3.0)
    gaps = [later - sooner for sooner, later in zip(late, late[1:])]
    assert len(late) <= 7
    assert all(later > 0.99 * sooner for sooner, later in zip(gaps, gaps[1:]))
    assert gaps[-1] > 5 * gaps[0]


@pytest.mark.parametrize("limit", [5, 10, 40, 80])
def test_a_rate_that_changes(limit: int) -> None:
    """A changed rate is followed, up and down, and the old one is forgotten."""
    crowd = Crowd(Served(TokenBucket(20, 1, changes=((10, limit),))))
    assert crowd.until(9.0).kept(9.0)["rate"] == 20.0
    assert crowd.until(40.0).kept(40.0)["rate"] == pytest.approx(limit)
    crowd.until(60.0)
    assert crowd.rate(40.0, 60.0) == pytest.approx(limit, rel=0.1)


def test_taking_care() -> None:
    """Where a refusal shuts the client out for 5 s, 98 % of the rate is used, and it does not rise for minutes."""
    limit = TokenBucket(20, 1, shuts_out=5)
    crowd = Crowd(Served(limit, "retry-after"))
    crowd.until(120.0)
    assert crowd.found.kept(120.0)["rate"] == pytest.approx(0.98 * 20)
    assert crowd.found.kept(120.0)["shuts"] == 5.0
    assert crowd.refused(20.0) == []
    assert crowd.rate(20.0, 115.0) == pytest.approx(0.98 * 20, rel=0.01)
    assert limit.shutouts <= 2


@pytest.mark.parametrize(("shuts", "free"), [(0.0, 19), (5.0, 15)])
def test_a_rate_that_goes_on(shuts: float, free: int) -> None:
    """After a shutout the whole reserve may go at once, less the one just accepted; with care, 80 % of it."""
    hand = Hand(phase_of({"kind": "rate", "rate": 10.0, "burst": 20.0, "left": 0.0, "shuts": shuts}, 0.0))
    hand.go(5.0)
    assert hand.phase.resumed(answered(5.02)) is hand.phase
    assert hand.phase.free(5.02, 0) == free
    assert hand.phase.free(500.0, 0) == free + 1

"""A limit that is discovered, step by step: refusals by chance, and what is learnt of pauses. Time is an argument."""

from __future__ import annotations

import math

import pytest

from ratewise.rate_limit.meter import Meter
from tests.rate_limit.test_meter import INF, accept, known, refuse, shut, try_at

# -- refusals by chance


def some(to: Meter, script: str, start: float) -> float:
    """Give answers to requests that are sent one by one, with many on their way; return when the next one is sent."""
    for letter in script:
        if letter == "a":
            to.accepted(start, start + 0.01)
        else:
            to.refused(start, start + 0.01, 1000)
        start += 0.02
    return start


BY_CHANCE = "r" + "a" * 19 + "r" + "a" * 19
"""Two of forty are refused."""

ONCE = "r" + "a" * 39


def sheds(met: Meter, now: float) -> bool:
    """Whether a single refusal changes nothing."""
    met.refused(now, now + 0.01, 0)
    return met.free(now + 0.02, 1) >= 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (BY_CHANCE, True),
        (BY_CHANCE[:-2], False),
        (ONCE, False),
        (ONCE + BY_CHANCE, True),
        (BY_CHANCE + ONCE, False),
        (BY_CHANCE + ONCE[:-1], True),
    ],
)
def test_refusals_at_a_number_in_flight_that_is_not_reached_come_by_chance(script: str, expected: bool) -> None:
    met = known(in_flight=50.0)
    now = some(met, script, 1.0)
    assert met.cap == 50
    assert sheds(met, now) is expected
    assert (met.cap == 50) is expected


def test_a_number_that_is_lowered_is_watched_anew() -> None:
    met = known(in_flight=50.0)
    now = some(met, BY_CHANCE[:-2], 1.0)
    met.refused(now, now + 0.01, 40)
    assert met.cap == 40
    now = some(met, "a" * 20, now + 0.02)
    assert not sheds(met, now)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (BY_CHANCE, False),
        (BY_CHANCE * 2, True),  # the same once more, at a lower rate
        (BY_CHANCE + ONCE, False),
        (BY_CHANCE + ONCE + BY_CHANCE, False),
        (ONCE + BY_CHANCE * 2, True),
    ],
)
def test_refusals_at_a_rate_come_by_chance(script: str, expected: bool) -> None:
    met = known(rate=10.0)
    now = some(met, script, 1.0)
    assert sheds(met, now) is expected


def test_answers_without_a_limit_are_not_watched() -> None:
    met = Meter()
    now = some(met, BY_CHANCE * 3, 1.0)
    assert not sheds(met, now)


def test_answers_are_not_watched_while_it_is_raised() -> None:
    met = known(in_flight=50.0)
    refuse(met, 10.0)
    assert try_at(met, 12.0) == 52.5
    some(met, "a" * 60, 12.05)
    assert met.shedding._answers == 60
    assert not met.shedding._likely


def test_eight_refusals_in_a_row_are_not_by_chance() -> None:
    met = known(in_flight=50.0)
    now = some(met, BY_CHANCE, 1.0)
    met.evidence = 0.0
    returned = [met.refused(now + number / 100, now + number / 100 + 0.005, 0) for number in range(9)]
    assert returned[:7] == [False] * 7
    assert returned[8]  # the sum of eight lacks a rounding error
    assert not met.shedding.sure


def contradicted(met: Meter, now: float, count: int) -> None:
    """A long pause is told; what was sent later is accepted, and more for a second."""
    met.refused(now, now + 0.001, 0, 5.0)
    met.accepted(now + 0.001, now + 0.002)
    accept(met, count - 1, now + 0.01, now + 1.0)


# -- pauses


def overlapping(number: int) -> Meter:
    """So many are in flight, and four more are refused."""
    met = Meter()
    for _ in range(4):
        met.refused(1.0, 1.01, 0)
    for _ in range(number):
        met.accepted(1.0, 1.2)
    return met


@pytest.mark.parametrize(("number", "kept"), [(8, {"in_flight": 8}), (1, {"in_flight": 1}), (0, {})])
def test_what_overlapped_with_refusals_may_be_the_number_in_flight(number: int, kept: dict[str, float]) -> None:
    """A single request that is accepted then is the test."""
    met = overlapping(number)
    met.accepted(1.3, 1.5)
    assert met.pause is None
    assert met.kept() == kept
    assert met.cap == (number or 4.5)


def test_an_answer_lets_the_test_go_at_once() -> None:
    met = overlapping(0)
    assert met.free(1.05, 8) == 0
    met.accepted(1.0, 1.05)
    assert met.free(1.05, 8) == 1
    met = known(rate=10.0)
    shut(met, 10.0)
    met.accepted(9.9, 10.01)  # it is a rate already: no hurry
    assert met.free(10.01, 8) == 0


def test_refused_again_it_is_a_rate() -> None:
    """And never taken for a number in flight again."""
    met = overlapping(8)
    met.accepted(1.3, 1.5)
    assert met.cap == 8
    for number in range(4):
        met.refused(1.6 + number / 100, 1.605 + number / 100, 1000)
    assert met.pause is not None
    met.accepted(1.62, 1.65)
    met.accepted(1.7, 1.8)
    assert met.kept() == {}
    assert (met.rate, met.cap) == (INF, pytest.approx(4.25))
    met.accepted(199.0, 200.0)
    assert met.quiet
    shut(met, 201.0)
    for _ in range(8):
        met.accepted(200.9, 201.2)
    met.accepted(201.1, 201.3)
    assert met.kept() == {}


def test_a_pause_begins_to_count_anew() -> None:
    met = known(rate=10.0)
    now = some(met, BY_CHANCE[:-5], 1.0)
    assert (met.shedding._answers, met.shedding._refusals) == (35, 2)
    shut(met, now)
    assert (met.shedding._answers, met.shedding._refusals) == (0, 0)


@pytest.mark.parametrize(
    ("early", "trip", "cap"),
    [
        (1, 0.5, 3),  # one alone may have been by chance
        (2, 0.5, 5),
        (6, 0.5, 9),
        (6, 0.05, 3),  # more than there can have been in flight: answers are too quick for that (Little's law)
    ],
)
def test_what_was_answered_before_the_pause_counts_too(early: int, trip: float, cap: int) -> None:
    met = Meter()
    for _ in range(early):
        met.accepted(1.0, 1.02)
    for _ in range(4):
        met.refused(1.01, 1.03, 0)
    for _ in range(3):
        met.accepted(1.0, 1.0 + trip)
    met.accepted(1.031, 1.6)
    assert met.cap == cap


def paused(met: Meter, accepted: int, opened: float, shut_at: float, back: float) -> None:
    """So many are accepted from one second on, refusals shut it at another one, and the probe is accepted at a third one."""
    accept(met, accepted, opened, shut_at)
    shut(met, shut_at)
    met.accepted(back - 0.01, back)
    assert met.pause is None


@pytest.mark.parametrize(
    ("accepted", "length", "rate", "free"),
    [
        (100, 4.0, 20.0, 80),  # per cycle; what came back meanwhile may go at once
        (100, 0.6, 100 / 1.6, 37),
        (100, 0.51, 100 / 1.51, 33),
        (10, 60.0, 10 / 61, 9),
        (10, 60.1, INF, INF),  # too long: forgotten
        (100, 0.5, INF, INF),  # short: nothing is measured yet
    ],
)
def test_a_long_pause_tells_a_rate(accepted: int, length: float, rate: float, free: float) -> None:
    met = Meter()
    paused(met, accepted, 1.0, 2.0, 2.0 + length)
    assert met.rate == pytest.approx(rate)
    met.cap = INF
    assert met.free(2.0 + length, 0) == free


def test_what_may_go_after_a_pause() -> None:
    """At most what was accepted in the cycle, if its rate were to allow more."""
    met = known(rate=10.0)
    accept(met, 20, 1.0, 3.0)
    shut(met, 3.0)
    met.accepted(3.29, 3.3)  # short: what the rate allows in it
    met.cap = INF
    assert met.free(3.3, 0) == 3
    assert met.rate == pytest.approx(10.0)


@pytest.mark.parametrize(("rate", "trip", "cap"), [(100.0, 0.1, 15.0), (10.0, 0.1, 4.0), (INF, 0.1, 4.0)])
def test_a_few_go_after_a_pause(rate: float, trip: float, cap: float) -> None:
    """Or half more than are on their way at that rate."""
    met = known(rate=rate) if rate < INF else Meter()
    met.accepted(1.0, 1.0 + trip)
    shut(met, 2.0)
    met.pace.change(rate, 2.0)
    for number in (1, 2):
        met.accepted(2.1, 2.1 + trip)
        assert met.cap == pytest.approx(cap + number * trip / 0.4)  # and more with each answer


def test_after_an_outage_the_rate_is_what_it_was() -> None:
    met = known(rate=50.0)
    met.accepted(1.0, 1.1)
    for number in range(4):
        met.failed(2.0 + number, 2.1 + number)
    met.accepted(60.0, 60.1)
    assert (met.rate, met.cap) == (50.0, pytest.approx(4.25))
    met.accepted(60.0, 60.5)
    assert met.cap == pytest.approx(5.25)


def test_of_a_server_that_refused_all_nothing_is_known() -> None:
    met = Meter()
    shut(met, 2.0)
    met.accepted(6.0, 6.1)
    assert (met.rate, met.cap) == (INF, pytest.approx(4.25))
    assert met.evidence == 0


def test_the_rate_between_two_pauses_is_measured() -> None:
    """From the second one on: the first one ended a burst."""
    met = Meter()
    paused(met, 10, 1.0, 2.0, 2.3)
    assert met.rate == INF
    accept(met, 7, 2.31, 2.8)
    shut(met, 2.8)
    assert met.rate == pytest.approx(10.0)  # 8 in the 0.8 s since the first one


def test_a_probe_goes_as_slowly_as_the_rate() -> None:
    met = known(rate=2.0)
    shut(met, 10.0)
    assert met.pause is not None
    assert met.pause.opens_at(0.0) == pytest.approx(10.0 + 0.5 / met.rate)


# -- how long pauses are


@pytest.mark.parametrize(
    ("length", "second", "due"),
    [
        (4.0, 13.0, 1.95),  # it may be as long as the one before, until second 17
        (1.1, 8.6, 0.5),
        (1.1, 14.6, 0.25),  # a cycle of 7.1 s is over before
        (0.9, 8.4, 0.15),  # too short to tell
    ],
)
def test_the_end_of_a_pause_is_expected(length: float, second: float, due: float) -> None:
    met = Meter()
    paused(met, 60, 1.0, 7.0, 7.0 + length)
    accept(met, 20, 7.0 + length, second)
    shut(met, second)
    assert met.pause is not None
    met.refused(second + 0.1, second + 0.1, 0)
    assert met.pause.opens_at(0.0) - second - 0.1 == pytest.approx(due, abs=0.01)


@pytest.mark.parametrize(
    ("first", "second", "penal"),
    [
        ((5.0, 1.0), (5.0, 3.0), True),
        ((5.0, 1.0), (5.0, 1.9), False),
        ((5.0, 1.0), (5.5, 3.0), True),
        ((5.0, 1.0), (5.7, 3.0), False),
        ((5.0, 1.0), (4.5, 3.0), False),
        ((1.4, 1.0), (1.4, 3.0), False),
        ((1.6, 1.0), (1.6, 3.0), True),
    ],
)
def test_penalties(first: tuple[float, float], second: tuple[float, float], penal: bool) -> None:
    """A pause that is as long again though it was open for more than twice as long: the rate is what it accepts while open."""
    met, now = Meter(), 1.0
    for length, open_for in (first, second):
        paused(met, 20, now, now + open_for, now + open_for + length)
        now += open_for + length
    cycle = second[1] if penal else sum(second)
    assert met.rate == pytest.approx(20 / cycle, rel=0.1)
    met.cap = INF
    assert (met.free(now, 0) == 1) is penal


@pytest.mark.parametrize(("open_for", "rate"), [(0.0, 21_000.0), (0.002, 10_500.0)])
def test_what_a_penalty_tells_of_no_time_at_all(open_for: float, rate: float) -> None:
    """Some clocks show none between two answers: a millisecond is the least."""
    met = Meter()
    paused(met, 1, 1.0, 2.0, 7.0)
    met._penal = True
    for _ in range(20):
        met.accepted(7.0, 7.0)
    shut(met, 7.0 + open_for)
    met.accepted(12.0 + open_for, 12.01 + open_for)
    assert met.rate == pytest.approx(rate)


@pytest.mark.parametrize(("length", "hold"), [(5.0, 5.0), (1.6, 2.0)])
def test_after_a_penalty_it_is_raised_later(length: float, hold: float) -> None:
    """Not before the next one would be over."""
    met, now = Meter(), 1.0
    for open_for in (1.0, 3.0):
        paused(met, 20, now, now + open_for, now + open_for + length)
        now += open_for + length
    rate = met.rate
    assert try_at(met, now + hold - 0.02) == rate
    assert try_at(met, now + hold + 0.01) == pytest.approx(1.05 * rate)


# -- idle times


def test_times_without_requests_are_not_measured() -> None:
    """Requests with a longer gap than the pause before them: there a window has turned."""
    met = Meter()
    met.accepted(1.0, 1.01)
    met.accepted(1.02, 1.03)
    accept(met, 20, 100.0, 101.0)
    shut(met, 101.0)
    met.accepted(104.99, 105.0)
    assert met.rate == pytest.approx(20 / 5.0, rel=0.02)


@pytest.mark.parametrize("before", [1, 2])
def test_idle_times_are_not_measured(before: int) -> None:
    """Nor if only the answer that begins all came before them."""
    met = Meter()
    for number in range(before):
        met.accepted(1.0 + number / 50, 1.01 + number / 50)
    accept(met, 20, 100.0, 101.0)
    shut(met, 101.0)
    met.accepted(104.99, 105.0)
    assert met.rate == pytest.approx(20 / 5.0, rel=0.02)


def test_gaps_shorter_than_the_pause_are() -> None:
    met = Meter()
    met.accepted(98.0, 98.01)
    accept(met, 20, 100.0, 101.0)
    shut(met, 101.0)
    met.accepted(104.99, 105.0)
    assert met.rate == pytest.approx(21 / 6.99, rel=0.02)


@pytest.mark.parametrize(("later", "count"), [(60.0, 2), (60.1, 1)])
def test_what_passes_uncounted(later: float, count: int) -> None:
    """It counts as accepted; after a minute all begins anew."""
    met = Meter()
    met.accepted(0.9, 1.0)
    met.passed(1.0 + later)
    assert (met._count, met._accepted) == (count, count)
    assert met._since == (1.0 if count == 2 else 1.0 + later)
    assert met._opened == met._since
    assert math.isinf(met.rate)

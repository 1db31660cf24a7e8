"""Pauses, step by step: when the next probe may be sent. Time is an argument."""

from __future__ import annotations

import math

import pytest

from ratewise.rate_limit.pause import HOUR, PROBE_TIMEOUT, Pause


def pause(
    gap: float = 0.0, expected: float = -math.inf, overlap: float = 0.0, told: float | None = None, down: bool = False
) -> Pause:
    """A pause after a request that was sent in second 9 and refused in second 10."""
    made = Pause(10.0, 9.0, gap, expected, overlap)
    made.refused(9.0, 10.0, told, down)
    return made


def gaps(of: Pause, number: int, told: float | None = None, down: bool = False) -> list[float]:
    """Send probes that are refused after 0.01 s; return the seconds from each refusal to the next probe."""
    now, found = 10.0, []
    for _ in range(number):
        due = of.opens_at(0.01)
        found.append(due - now)
        of.probe(due)
        now = due + 0.01
        of.answered(due)
        of.refused(due, now, told, down)
    return found


def test_constants() -> None:
    assert (PROBE_TIMEOUT, HOUR) == (1.0, 3600.0)


def test_it_begins() -> None:
    begun = Pause(10.0, 9.0, 0.0, -math.inf, 3.0)
    assert (begun.began, begun.began_with, begun.overlapped) == (10.0, 3.0, 0.0)
    assert (begun.refused_at, begun.told_until) == (9.0, -math.inf)
    assert begun.down


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (0.0, [0.1, 0.15, 0.225, 0.3375, 0.50625, 0.759375, 1.139063, 1.708594, 2.0, 2.0]),
        (0.1, [0.1, 0.15]),
        (0.8, [0.8, 1.2, 1.8, 2.0, 2.0]),
        (30.0, [30.0, 2.0, 2.0]),  # as slow as the rate that was known, once
    ],
)
def test_gaps_grow(gap: float, expected: list[float]) -> None:
    assert gaps(pause(gap), len(expected)) == pytest.approx(expected, abs=1e-6)


def test_only_probes_make_them_grow() -> None:
    """Refusals of what was sent before it began do not, nor up to the same instant."""
    paused = pause()
    for sent in (8.0, 9.5, 10.0):
        paused.refused(sent, 10.05, None, False)
    assert paused.opens_at(0.01) == pytest.approx(10.1)
    paused.refused(10.001, 10.05, None, False)
    assert paused.opens_at(0.01) == pytest.approx(10.2)


@pytest.mark.parametrize(
    ("expected", "now", "due"),
    [
        (14.0, 10.2, 12.1),  # after half of the time
        (20.0, 10.2, 12.2),  # 2 s at most
        (10.3, 10.2, 10.3),  # 0.1 s at least
        (10.2, 10.2, 10.35),  # it did not come: as if nothing were expected
        (10.1, 10.2, 10.35),
        (-math.inf, 10.2, 10.35),
    ],
)
def test_an_expected_end(expected: float, now: float, due: float) -> None:
    paused = pause(expected=expected)
    paused.refused(10.1, now, None, False)
    assert paused.opens_at(0.01) == pytest.approx(due)


def test_nothing_is_expected_of_a_server_that_is_down() -> None:
    paused = pause(expected=14.0, down=True)
    paused.refused(10.1, 10.2, None, True)
    assert paused.opens_at(0.01) == pytest.approx(10.35)
    paused.refused(10.3, 10.4, None, False)
    assert paused.opens_at(0.01) == pytest.approx(12.2)


def test_the_first_probe_expects_nothing() -> None:
    """Whether the server is down is not known yet."""
    assert pause(expected=14.0).opens_at(0.01) == pytest.approx(10.1)


@pytest.mark.parametrize(
    ("told", "due"),
    [
        (0.5, 10.1),  # over before the first gap is
        (1.1, 10.1),
        (1.2, 10.2),  # from the instant of sending, second 9
        (5.0, 14.0),
        (3600.0, 3609.0),
        (7200.0, 3609.0),  # each hour one asks
    ],
)
def test_a_told_pause(told: float, due: float) -> None:
    paused = pause(told=told)
    assert paused.told_until == 9.0 + told
    assert paused.opens_at(0.01) == pytest.approx(due)


def test_the_longest_told_pause_counts() -> None:
    paused = pause(told=5.0)
    paused.refused(9.5, 10.0, 1.0, False)
    assert paused.told_until == 14.0
    paused.refused(9.5, 10.0, 6.0, False)
    assert paused.told_until == 15.5
    paused.refused(9.5, 10.0, None, False)
    assert paused.told_until == 15.5


def test_each_hour_one_asks() -> None:
    """After a refusal, another hour: from the sending of the latest refused request."""
    paused = pause(told=10_000.0)
    first = paused.opens_at(0.01)
    assert first == 9.0 + 3600.0
    paused.refused(first, first + 0.02, None, False)
    assert paused.refused_at == first
    assert paused.opens_at(0.01) == first + 3600.0
    paused.refused(first - 5, first + 0.04, None, False)
    assert paused.refused_at == first
    assert paused.opens_at(0.01) == first + 3600.0
    paused.refused(first + 3600.0, first + 3600.02, None, False)
    assert paused.opens_at(0.01) == 9.0 + 10_000.0


@pytest.mark.parametrize(("trip", "due"), [(0.01, 11.1), (0.5, 11.1), (0.6, 11.3), (2.0, 14.1)])
def test_a_probe_that_is_not_answered(trip: float, due: float) -> None:
    """The next one goes after a second, or twice the time of an answer."""
    paused = pause()
    paused.probe(10.1)
    assert paused.opens_at(trip) == pytest.approx(due)


@pytest.mark.parametrize(("sent", "due"), [(9.0, 11.1), (10.0999, 11.1), (10.1, 10.1), (math.inf, 10.1)])
def test_a_probe_that_is_answered_or_lost(sent: float, due: float) -> None:
    """An answer to a request that was sent before is not the probe's."""
    paused = pause()
    paused.probe(10.1)
    paused.answered(sent)
    assert paused.opens_at(0.01) == pytest.approx(due)


@pytest.mark.parametrize(
    ("told", "now", "due"),
    [
        (None, 10.05, 10.05),
        (None, 10.3, 10.1),  # it may go already
        (5.0, 12.0, 14.0),
        (1.05, 10.05, 10.05),  # the told pause is over in this instant
        (1.05, 10.04, 10.1),
    ],
)
def test_hurry(told: float | None, now: float, due: float) -> None:
    paused = pause(told=told)
    paused.hurry(now)
    assert paused.opens_at(0.01) == pytest.approx(due)


def test_down_until_it_refuses() -> None:
    paused = pause(down=True)
    assert paused.down
    paused.refused(10.1, 10.2, None, True)
    assert paused.down
    paused.refused(10.3, 10.4, None, False)
    assert not paused.down
    paused.refused(10.5, 10.6, None, True)
    assert not paused.down

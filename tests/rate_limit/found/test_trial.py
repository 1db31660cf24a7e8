"""The trial that tells a window from a token bucket and from a concurrency limit."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ratewise.rate_limit.found import Filling, Turning
from ratewise.rate_limit.found.filling import Point
from ratewise.rate_limit.found.shut import Trial
from ratewise.testing import FixedWindow, TokenBucket
from tests.kit.styles import Served
from tests.rate_limit.found.senders import Crowd, Hand, answered, opening


def trial(size: int = 9, length: float = 4.0, least: float = 2.0) -> Hand:
    """A trial after nine accepted in four seconds, with a shutout of at least two seconds, and one accepted since."""
    points = [Point(0.1, size, 0.0), Point(4.0, size, size)]
    hand = Hand(Trial(answered(4.0, number=0), size, length, least, points))
    hand.sent, hand.answers = [3.98], 1
    return hand


def test_as_many_as_before() -> None:
    """A trial sends two at a time and then more; the last fifth, and one more, wait for half a second."""
    hand = trial()
    assert [hand.phase.free(4.0, in_flight) for in_flight in (0, 1, 2)] == [2, 1, 0]
    assert [hand.phase.opens(4.0, in_flight, 2) for in_flight in (0, 2)] == [0.0, 1.0]
    assert hand.phase.opens(4.0, 0, 8) == pytest.approx(0.5)
    hand.accepts(*[4.01] * 7)
    assert (hand.phase.free(4.03, 0), hand.phase.free(4.5, 2), hand.phase.free(4.5, 0)) == (0, 1, 1)
    hand.accepts(4.5)
    assert isinstance(hand.phase, Trial)
    assert [hand.phase.free(4.53, in_flight) for in_flight in (0, 1)] == [1, 0]
    assert hand.phase.opens(4.53, 1, 0) > 0


def test_it_is_a_window() -> None:
    """If as many as before are accepted and then none, it is a window of that size and length."""
    hand = trial()
    hand.accepts(*[4.01] * 7, 4.5)
    window = hand.refuses(4.53)
    assert isinstance(window, Turning)
    assert (window.size, window.length, window.opened) == (9, 4.0, 4.0)


def test_it_is_a_rate() -> None:
    """If more, or fewer, than before are accepted, it is a token bucket."""
    hand = trial()
    hand.accepts(*[4.01] * 7, 4.5)
    more = hand.accepts(4.53)
    assert isinstance(more, Filling)
    assert (more.opened, more.accepted_since) == (4.0, 10)
    hand = trial()
    hand.accepts(4.01, 4.02)
    less = hand.refuses(4.05)
    assert isinstance(less, Filling)
    assert less.free(4.08, 0) == 0


def test_it_depends() -> None:
    """If the shutout may have been short, one more request goes at once, and another one half a second later."""
    hand = trial(size=3, least=0.0)
    assert hand.phase.opens(4.0, 2, 9) == 1.0
    hand.accepts(4.01, 4.02)
    assert [hand.phase.free(4.05, in_flight) for in_flight in (0, 1)] == [1, 0]
    assert hand.phase.opens(4.05, 0, 0) == 0.0
    assert hand.refuses(4.05) is hand.phase
    assert [hand.phase.free(now, 0) for now in (4.1, 4.5)] == [0, 1]
    assert hand.phase.opens(4.1, 0, 0) == pytest.approx(0.4)
    assert isinstance(hand.refuses(4.5), Turning)


def test_it_depends_on_what_is_told() -> None:
    """The second extra request goes when a refusal says so; if it is accepted, the rate counts from the first refusal."""
    hand = trial(size=5, least=0.0)
    hand.accepts(*[4.01] * 4)
    hand.refuses(4.05, told=3.0)
    assert opening(hand.phase, 4.07) == pytest.approx(7.07)
    rate = hand.accepts(7.07)
    assert isinstance(rate, Filling)
    assert rate.kept(7.1)["shuts"] == 3.0


def test_answers_from_before_a_trial() -> None:
    """Answers to requests from before the trial are ignored."""
    phase = Trial(answered(4.0, number=5), 9, 4.0, 0.0, [])
    assert phase.accepted(answered(4.1, number=5)) is phase
    assert phase.refused(answered(4.1, number=4), None) is phase
    assert phase.accepted_since == 1


def test_a_trial_goes_on() -> None:
    """A trial continues after an outage, and is not kept in a snapshot."""
    phase = trial().phase
    assert (phase.kept(4.0), phase.resumed(answered(9.0))) == (None, phase)


@pytest.mark.parametrize(
    ("size", "per", "tells", "make", "kind"),
    [
        (30, 5, None, FixedWindow, Turning),
        (6, 2, None, FixedWindow, Turning),
        (100, 10, None, partial(FixedWindow, anchor="wall"), Turning),
        (30, 1, None, TokenBucket, Filling),
        (30, 5, None, TokenBucket, Filling),
        (5, 1, None, TokenBucket, Filling),
        (30, 1, "retry-after", TokenBucket, Filling),
    ],
)
def test_a_window_or_a_bucket(size: int, per: int, tells: Any, make: Any, kind: Any) -> None:
    """Windows and token buckets are told apart by their answers alone."""
    crowd = Crowd(Served(make(size, per), tells))
    crowd.until(60.0)
    assert isinstance(crowd.found, kind)
    assert crowd.rate(30.0, 60.0) >= 0.85 * size / per

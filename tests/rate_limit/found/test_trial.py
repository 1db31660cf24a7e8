"""What limit it is: a trial tells a window from a bucket and from a ceiling."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise.rate_limit.found import Filling, Turning
from ratewise.rate_limit.found.filling import Point
from ratewise.rate_limit.found.shut import Trial
from tests.kit.limited import Bucket, Policy, Window, nothing, retry_after
from tests.rate_limit.found.senders import Crowd, Hand, answered, opening


def trial(size: int = 9, length: float = 4.0, least: float = 2.0) -> Hand:
    """Nine went in four seconds from the first answer on, and after two everyone was still shut out; now one was accepted."""
    points = [Point(0.1, size, 0.0), Point(4.0, size, size)]
    hand = Hand(Trial(answered(4.0, number=0), size, length, least, points))
    hand.sent, hand.answers = [3.98], 1
    return hand


def test_as_many_as_before() -> None:
    """They go two at a time at first and then more; the last fifth of them, and one more, after half a second."""
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
    """If as many go again and then no more, it is one of so many in that time."""
    hand = trial()
    hand.accepts(*[4.01] * 7, 4.5)
    window = hand.refuses(4.53)
    assert isinstance(window, Turning)
    assert (window.size, window.length, window.opened) == (9, 4.0, 4.0)


def test_it_is_a_rate() -> None:
    """If one more goes, or not as many, it comes back all the time."""
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
    """Where nobody knows whether everyone was shut out for long, one more goes at once, and again half a second later."""
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
    """The second one goes when a refusal says so; if it is accepted, the rate is known from when the first was refused."""
    hand = trial(size=5, least=0.0)
    hand.accepts(*[4.01] * 4)
    hand.refuses(4.05, told=3.0)
    assert opening(hand.phase, 4.07) == pytest.approx(7.07)
    rate = hand.accepts(7.07)
    assert isinstance(rate, Filling)
    assert rate.kept(7.1)["shuts"] == 3.0


def test_answers_from_before_a_trial() -> None:
    """They tell nothing."""
    phase = Trial(answered(4.0, number=5), 9, 4.0, 0.0, [])
    assert phase.accepted(answered(4.1, number=5)) is phase
    assert phase.refused(answered(4.1, number=4), None) is phase
    assert phase.accepted_since == 1


def test_a_trial_goes_on() -> None:
    """After an outage; of what it has found nothing is kept."""
    phase = trial().phase
    assert (phase.kept(4.0), phase.resumed(answered(9.0))) == (None, phase)


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        (Window(30, 5, nothing), Turning),
        (Window(6, 2, nothing), Turning),
        (Window(100, 10, nothing, anchor="wall"), Turning),
        (Bucket(30, 1, nothing), Filling),
        (Bucket(30, 5, nothing), Filling),
        (Bucket(5, 1, nothing), Filling),
        (Bucket(30, 1, retry_after), Filling),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else str(each.limit(0)),
)
def test_a_window_or_a_bucket(server: Policy, kind: Any) -> None:
    """They are told apart, with no more than their answers to go by."""
    crowd = Crowd(server)
    crowd.until(60.0)
    assert isinstance(crowd.found, kind)
    assert crowd.rate(30.0, 60.0) >= 0.85 * server.limit(0) / (server._per / 1e9)

"""A fixed window: when it turns, and how many requests fit in it."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise.rate_limit.found import Turning
from ratewise.rate_limit.snapshot import phase_of
from ratewise.testing import FixedWindow
from tests.kit.styles import Served
from tests.rate_limit.found.senders import TRIP, Crowd, Hand, answered, opening


def turning(**otherwise: Any) -> Hand:
    """A window of 5 in 10 seconds, used up since second 0."""
    return Hand(Turning(0, otherwise.get("opened", 0.0), otherwise.get("size", 5), otherwise.get("length", 10.0), 2.0))


def turned(*, windows: int = 1, then: int = 0, **otherwise: Any) -> Hand:
    """The same after some more windows, all used up but the last one, in which 1 + `then` requests were sent."""
    hand = turning(**otherwise)
    for window in range(windows):
        now = opening(hand.phase, hand.phase.opened + hand.phase.length)
        hand.accepts(now)
        hand.accepts(*(now + 0.1 + number / 100 for number in range(then if window == windows - 1 else hand.phase.size - 1)))
    return hand


def test_a_window() -> None:
    """No request goes before the turn; then one probe, and another one after a second without an answer."""
    hand = turning()
    assert [hand.phase.free(now, 0) for now in (5.0, 9.99, 10.0)] == [0, 0, 1]
    assert [hand.phase.opens(4.0, 0, ahead) for ahead in (0, 4, 5, 10)] == pytest.approx([6.0, 6.0, 16.0, 26.0])
    hand.go(10.0)
    assert [hand.phase.free(now, 1) for now in (10.5, 10.99, 11.0)] == [0, 0, 1]
    assert hand.phase.opens(10.5, 1, 0) == pytest.approx(0.5)
    assert hand.accept(10.02) is hand.phase
    assert hand.phase.opened == 10.02
    assert [hand.phase.free(10.02, in_flight) for in_flight in (0, 3, 6)] == [4, 3, 0]
    assert [hand.phase.opens(10.02, in_flight, 3) for in_flight in (0, 3)] == [0.0, 1.0]
    assert hand.phase.opens(10.02, 0, 5) == pytest.approx(10.0)


def test_a_window_is_kept() -> None:
    """A snapshot keeps size, length and age; what remains of the window is not used after a restore."""
    hand = turned(then=2)
    kept = hand.phase.kept(13.0)
    assert kept == {"kind": "window", "requests": 5, "seconds": 10.0, "least": 2.0, "age": pytest.approx(2.98)}
    again = phase_of(kept, 113.0)
    assert isinstance(again, Turning)
    assert again.kept(114.0) == {**kept, "age": pytest.approx(3.98)}
    assert opening(again, 113.0) == pytest.approx(120.02)


def test_a_larger_window() -> None:
    """Every second window is tried with one request more than its size, and then another, until one is refused."""
    hand = turned(then=4)
    for size in (6, 7):
        now = hand.sent[-1] + 0.1
        assert (hand.phase.free(now, 0), hand.phase.free(now, 1)) == (1, 0)
        assert hand.phase.opens(now, 0, 0) == 0.0
        assert hand.phase.opens(now, 1, 0) > 0
        hand.accepts(now)
        assert hand.phase.size == size
    hand.refuses(hand.sent[-1] + 0.1)
    assert (hand.phase.size, hand.phase.free(13.0, 0)) == (7, 0)
    assert hand.phase.opens(13.0, 0, 0) == pytest.approx(7.02)


def test_a_shorter_window() -> None:
    """Later the turn is tried between the lower bound and the known length; if the window has turned, the length shrinks."""
    hand = turned(windows=1, then=4)
    hand.refuses(11.0)
    for _ in range(3):  # the fifth window is the next to be tried
        now = opening(hand.phase, hand.phase.opened + 9.0)
        hand.accepts(now, *(now + 0.1 + number / 100 for number in range(4)))
    now, opened = hand.sent[-1] + 0.1, hand.phase.opened
    assert hand.phase.opens(now, 1, 0) == pytest.approx(opened + 6.0 - now)
    assert opening(hand.phase, now) == pytest.approx(opened + 6.0)
    hand.accepts(opened + 6.0)
    assert hand.phase.length == pytest.approx(6.0 + TRIP)
    assert hand.phase.opened == hand.sent[-1] + TRIP


def test_no_shorter_window() -> None:
    """If it has not turned by then, the next trial is between that time and the whole length."""
    hand = turned(windows=1, then=4)
    hand.refuses(11.0)
    for _ in range(3):
        now = opening(hand.phase, hand.phase.opened + 9.0)
        hand.accepts(now, *(now + 0.1 + number / 100 for number in range(4)))
    hand.refuses(hand.phase.opened + 6.0)
    assert hand.phase.kept(0.0)["least"] == pytest.approx(6.0)
    assert hand.phase.opens(hand.sent[-1] + TRIP, 0, 0) == pytest.approx(4.0 - TRIP)


def test_a_smaller_window() -> None:
    """An early refusal is retried a little later; a second one ends the window at a smaller size."""
    hand = turned(then=2)
    hand.refuses(10.2)
    assert [hand.phase.free(now, 0) > 0 for now in (10.22, 10.3, 10.33)] == [False, False, True]
    assert hand.phase.opens(10.22, 0, 0) == pytest.approx(0.1)
    hand.refuses(10.33)
    assert [hand.phase.free(now, 0) for now in (10.5, 20.0, 20.02)] == [0, 0, 1]
    assert hand.phase.opens(10.5, 0, 0) == pytest.approx(9.52)
    hand.accepts(20.03)
    assert (hand.phase.size, hand.phase.opened) == (3, 20.05)


def test_refused_together() -> None:
    """Refusals of requests in flight together count as one."""
    hand = turned(then=1)
    hand.go(10.2, 10.21, 10.22)
    hand.refuse(10.25, 2)
    assert hand.refuse(10.26, 3) is hand.phase
    assert [hand.phase.free(now, 1) for now in (10.34, 10.36)] == [0, 1]


def test_a_window_that_slides() -> None:
    """A refusal followed by success means that the request was a little early: the length grows a little."""
    hand = turned(then=2)
    hand.refuses(10.2)
    hand.accepts(10.33, 10.34, 20.03)
    assert hand.phase.size == 5
    assert 10.0 < hand.phase.length < 10.1


def test_a_late_answer() -> None:
    """A request of the previous window that is accepted after the turn does not count in the new one."""
    hand = turning()
    hand.go(9.0, 10.0)
    hand.accept(10.02, 1)
    before = hand.phase.accepted_since
    assert hand.accept(10.03, 0) is hand.phase
    assert hand.phase.accepted_since == before == 1


def test_it_does_not_turn() -> None:
    """A refused probe is repeated at growing distances; beyond a tenth of the length it is no window."""
    hand, now, times = turning(), 10.0, list[float]()
    while hand.phase is not None:
        now = opening(hand.phase, now)
        times.append(now)
        hand.refuses(now)
        assert now < 12
        now += TRIP
    assert times == pytest.approx([10.0, 10.04, 10.12, 10.28, 10.6])


def test_a_window_goes_on() -> None:
    """After an outage the window starts anew."""
    hand = turning()
    assert hand.phase.resumed(answered(30.0, number=7)) is hand.phase
    assert (hand.phase.opened, hand.phase.free(30.0, 0)) == (30.0, 4)


@pytest.mark.parametrize("size", [50, 100, 150])
def test_windows_that_change(size: int) -> None:
    """A window is found and used up each time; a change of its size is found too."""
    crowd = Crowd(Served(FixedWindow(100, 5, changes=((20, size),))))
    assert isinstance(crowd.until(19.0), Turning)
    crowd.until(150.0)
    assert isinstance(crowd.found, Turning)
    assert crowd.found.size == size
    assert crowd.found.length == pytest.approx(5.0, abs=0.1)
    assert len(crowd.refused(120.0)) <= 2

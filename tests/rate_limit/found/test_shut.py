"""The phase after a refusal: one probe at a time, until the server accepts again."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise.rate_limit.found import Ceiling, Filling, Shut
from ratewise.rate_limit.found.shut import Trial
from ratewise.testing import ConcurrencyLimit, TokenBucket
from tests.kit.styles import Served
from tests.rate_limit.found.senders import TRIP, Crowd, Hand, answered, filling, opening


def shut(now: float = 0.1, **otherwise: Any) -> Hand:
    """A phase after a refusal at `now`, 0.02 s after sending, with nine accepted since second 0."""
    seen = {name: otherwise.pop(name) for name in ("sent", "others", "total") if name in otherwise}
    hand = Hand(
        Shut(answered(now, **{"total": 10, **seen}), otherwise.pop("opened", 0.0), otherwise.pop("accepted", 9), **otherwise)
    )
    hand.sent, hand.answers, hand.refusals = [0.0] * 10, 10, 1
    return hand


def asked(hand: Hand, now: float, times: int) -> list[float]:
    """Return the times of this many probes, each of which is refused."""
    asked = []
    for _ in range(times):
        now = opening(hand.phase, now)
        hand.go(now)
        assert hand.phase.free(now, 1) == 0
        asked.append(now)
        now += TRIP
        hand.refuse(now)
    return asked


def test_one_at_a_time_asks() -> None:
    """Probes are sent at common window lengths after the first answer: 1, 2, 5, 10, 15, 30, 60 s, and then each minute."""
    assert asked(shut(), 0.1, 10) == pytest.approx([1, 2, 5, 10, 15, 30, 60, 120, 180, 240])


def test_a_pause_is_not_long_at_first() -> None:
    """Long after the first answer probes start after one second, and the pause doubles up to a minute."""
    times = asked(shut(100.0), 100.0, 9)
    pauses = [later - sooner - TRIP for sooner, later in zip([100.0 - TRIP, *times], times)]
    assert pauses[:3] == pytest.approx([1, 2, 4])
    assert max(pauses) <= 60


def test_who_asks_is_waited_for() -> None:
    """The answer to a probe is awaited for one second; then another probe may go."""
    hand = shut()
    hand.go(1.0)
    assert [hand.phase.free(now, 1) for now in (1.5, 1.99, 2.0)] == [0, 0, 1]
    assert [hand.phase.opens(now, 1, ahead) for now in (1.5, 2.5) for ahead in (0, 5)] == [0.5, 0.5, 0.0, 0.0]
    assert "refuses every request" in hand.phase.reason


def test_the_server_is_down() -> None:
    """During an outage probes are sent after 15 % of the time since it began, at least 0.1 s and at most 2 s."""
    hand = shut(down=True)
    times = asked(hand, 0.1, 60)
    assert times[0] == pytest.approx(0.2)
    for sooner, later in zip(times, times[1:]):
        assert later - sooner - TRIP == pytest.approx(min(max(0.15 * (sooner + TRIP - 0.1), 0.1), 2.0))
    assert times[-1] - times[-2] == pytest.approx(2.02)
    now = times[-1] + TRIP
    assert hand.phase.opens(now, 0, 0) == pytest.approx(2.0)
    assert hand.phase.opens(now, 0, 1) == pytest.approx(now - 0.1)
    assert "does not answer" in hand.phase.reason
    assert isinstance(hand.accepts(now + 2), Ceiling)
    assert hand.phase.vague


def test_told_for_how_long() -> None:
    """No probe goes before the time that a refusal states; a wait of 2 s or more is a lower bound for the trial."""
    for told, least in ((1.5, 0.0), (3.0, 2.0)):
        hand = shut(told=told)
        assert opening(hand.phase, 0.1) == pytest.approx(0.1 + told)
        trial = hand.accepts(0.1 + told)
        assert isinstance(trial, Trial)
        assert trial._least == pytest.approx(least + 0.1 if least else 0.0)
    for told, due in ((0.5, 1.0), (1.5, 1.7), (5.0, 5.2)):
        hand = shut()
        hand.phase.refused(answered(0.2, number=3), told)  # another one that was in flight
        assert opening(hand.phase, 0.2) == pytest.approx(due)


def test_it_is_over() -> None:
    """If few requests were sent before the refusal, a concurrency limit is probed; otherwise a trial follows."""
    assert isinstance(shut(sure=False, accepted=4).accepts(1.0), Ceiling)
    assert isinstance(shut(sure=False, accepted=5).accepts(1.0), Trial)
    assert isinstance(shut(sure=True, accepted=0).accepts(1.0), Trial)


def test_accepted_meanwhile() -> None:
    """A request in flight at the refusal, accepted later, counts among those before it."""
    hand = shut(sure=False, accepted=4)
    assert hand.phase.accepted(answered(0.12, sent=0.09, number=3)) is hand.phase
    assert hand.phase.accepted_since == 5
    assert hand.phase.free(0.12, 0) == 0
    assert isinstance(hand.accepts(1.0), Trial)


def test_accepted_answers_take_longer() -> None:
    """If accepted answers take longer than refusals, the limit is on concurrency, as soon as one in flight is accepted."""
    hand = shut(overlaps=True, others=7)
    assert opening(hand.phase, 0.1) == pytest.approx(1.1)
    hand.phase.refused(answered(0.11, sent=0.07, number=4, others=5), None)
    hand.phase.accepted(answered(0.14, sent=0.07, number=3))
    assert hand.phase.free(0.14, 4) == 0  # as quick as a refusal
    found = hand.phase.accepted(answered(0.3, number=2, sent=0.07))
    assert isinstance(found, Ceiling)
    assert (found.most, found.vague, found.free(0.3, 4)) == (5, False, 1)


@pytest.mark.parametrize("told", [None, 1.0])
def test_it_was_not_that(told: float | None) -> None:
    """If a probe is refused first, or a refusal states a time, it is not taken for a concurrency limit."""
    hand = shut(overlaps=True, others=7)
    if told is None:
        hand.go(1.1)
        hand.refuse(1.12)
    else:
        hand.phase.refused(answered(0.32, number=4), told)
    assert isinstance(hand.phase.accepted(answered(1.2, number=2, sent=0.07)), Shut)
    assert hand.phase.free(1.2, 0) == 0
    now = opening(hand.phase, 1.2)
    assert now >= 1.0
    assert isinstance(hand.accepts(now), Trial)


def test_what_was_known_is_known_again() -> None:
    """The phase before an outage is kept, and resumed with the first accepted request."""
    known = filling().phase
    hand = shut(down=True, resumes=known)
    assert hand.phase.kept(1.0) == known.kept(1.0)
    assert shut().phase.kept(1.0) is None
    assert hand.accepts(5.0) is known
    assert known.free(5.02, 0) == 19


def test_slots() -> None:
    """Eight slots of 0.2 s each are found in one second, and few requests are refused later."""
    crowd = Crowd(Served(ConcurrencyLimit(8, 0.2)))
    assert isinstance(crowd.until(1.0), Ceiling)
    crowd.until(60.0)
    assert crowd.found.kept(60.0)["requests"] in (8, 9)
    assert crowd.rate(2.0, 58.0) >= 34
    assert len(crowd.refused(2.0)) <= 10


def test_away() -> None:
    """During an outage of one minute few probes are sent, and then the previous phase goes on."""
    crowd = Crowd(Served(TokenBucket(20, 1), outages=[(20, 80)]))
    before = crowd.until(19.0)
    assert isinstance(before, Filling)
    assert crowd.until(70.0).down
    assert len(crowd.refused(22.0, 70.0)) <= 32
    assert crowd.until(100.0) is before
    assert crowd.rate(90.0, 99.0) == pytest.approx(20, rel=0.1)

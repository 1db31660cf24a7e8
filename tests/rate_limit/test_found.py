"""What is found out of limits that nobody tells: each rule by itself, and against small servers. Pure, in made-up time."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._http.rate_limit_headers import NOTHING
from ratewise.rate_limit.found import MANY, Answer, Burst, Ceiling, Filling, Phase, Shut, Turning
from ratewise.rate_limit.found.filling import Point
from ratewise.rate_limit.found.shut import Trial
from ratewise.rate_limit.governor import Governor, Verdict
from ratewise.rate_limit.snapshot import name_of, phase_of, read, written
from tests.kit.limited import Bucket, Down, Policy, Slots, Window, nothing, retry_after

TRIP = 0.02
"""Seconds that a request and its answer are on the way."""

VERDICTS = {200: Verdict.ACCEPTED, 429: Verdict.REFUSED, 503: Verdict.FAILED}


class Hand:
    """Requests that go by a phase and are answered when a test says so, and counted as a governor counts them."""

    def __init__(self, phase: Any) -> None:
        self.phase = phase
        self.sent: list[float] = []
        self.answers = self.refusals = 0

    def go(self, *times: float) -> None:
        """One is sent at each of these times."""
        for now in times:
            self.phase.come(now, len(self.sent) - self.refusals)
            self.sent.append(now)

    def answer(self, now: float, number: int | None = None) -> Answer:
        """What the phase is shown of the answer to the request of this number, or to the last one."""
        number = len(self.sent) - 1 if number is None else number
        self.answers += 1
        accepted, others = self.answers - 1 - self.refusals, len(self.sent) - self.answers
        return Answer(self.sent[number], now, number, len(self.sent), accepted, number - self.refusals, others)

    def accept(self, now: float, number: int | None = None) -> Any:
        """It was accepted. What is known then; it may be nothing, or something else than before."""
        self.phase = self.phase.accepted(self.answer(now, number))
        return self.phase

    def refuse(self, now: float, number: int | None = None, told: float | None = None) -> Any:
        """It was refused."""
        answer = self.answer(now, number)
        self.refusals += 1
        self.phase = self.phase.refused(answer, told)
        return self.phase

    def accepts(self, *times: float) -> Any:
        """One is sent at each of these times, and accepted before the next."""
        for now in times:
            self.go(now)
            self.accept(now + TRIP)
        return self.phase

    def refuses(self, *times: float, told: float | None = None) -> Any:
        """One is sent at each of these times, and refused before the next."""
        for now in times:
            self.go(now)
            self.refuse(now + TRIP, told=told)
        return self.phase


class Crowd:
    """Many who want to go whenever a governor lets them, to a small server."""

    def __init__(self, server: Policy | Down, found: Phase | None = None, trip: float = TRIP, waiting: int = 50) -> None:
        self.server, self.governor = server, Governor(found=found)
        self.now, self._trip, self._waiting = 0.0, trip, waiting
        self._events: list[Any] = []
        self.log: list[tuple[float, bool]] = []
        """When each was sent, in the order in which they were answered, and whether it was accepted."""

    @property
    def found(self) -> Any:
        """What is known."""
        return self.governor.found

    def until(self, end: float) -> Any:
        """On it goes, until then. What is known then."""
        while self.now < end:
            while (len(self._events) < self._waiting) and self.governor.free(self.now, self._waiting) > 0:
                came = self.governor.come(self.now)
                heapq.heappush(self._events, (self.now + self._trip / 2, came.number, came, None))
            soon = self.now + max(self.governor.opens(self.now, self._waiting)[0], 0.001)
            if not self._events or min(soon, end) < self._events[0][0]:
                self.now = min(soon, end)
                continue
            self.now, number, came, reply = heapq.heappop(self._events)
            if reply is None:
                reply = self.server.answer(self.now)
                heapq.heappush(self._events, (self.now + self._trip / 2 + reply.seconds, number, came, reply))
            else:
                self.governor.gone(came)
                self.governor.done()
                told = NOTHING._replace(
                    retry_after=next((float(value) for key, value in reply.headers if key == "Retry-After"), None)
                )
                self.governor.answered(VERDICTS[reply.status], told, came, self.now)
                self.log.append((came.at, reply.status == 200))
        return self.found

    def rate(self, since: float, until: float) -> float:
        """Requests accepted in a second, between these."""
        return sum(accepted for at, accepted in self.log if since <= at < until) / (until - since)

    def refused(self, since: float = 0.0, until: float = math.inf) -> list[float]:
        """When those were sent that were refused."""
        return [at for at, accepted in self.log if not accepted and since <= at < until]


def answered(now: float = 1.0, **seen: Any) -> Answer:
    """One that was sent `TRIP` before, alone, as the first, but for what is said otherwise."""
    return Answer(now - TRIP, now, 0, 1, 0, 0, 0)._replace(**seen)


def opening(phase: Any, now: float, most: int = 100) -> float:
    """When one may go, as somebody finds out who asks again whenever it is told to."""
    for _ in range(most):
        if phase.free(now, 0):
            return now
        now += max(phase.opens(now, 0, 0), 1e-6)
    raise AssertionError(f"nobody may go until {now}")


# -- an answer, and the beginning


def test_when_it_came_there() -> None:
    """In the middle of the time that a request took."""
    assert answered(1.0, sent=0.5).there == 0.75


def test_a_burst() -> None:
    """All may go until one is answered; then nobody until half of them are, but for no longer than a second."""
    hand = Hand(Burst(1.0))
    assert (hand.phase.free(1.0, 0), hand.phase.opens(1.0, 0, 9)) == (MANY, 0.0)
    hand.go(1.0, 1.0, 1.0, 1.0)
    assert hand.accept(1.25, 0) is hand.phase
    assert [hand.phase.free(now, 3) for now in (1.25, 2.0, 2.25)] == [0, 0, MANY]
    assert [hand.phase.opens(now, 3, 0) for now in (1.25, 2.0, 2.25)] == [1.0, 0.25, 0.0]
    assert hand.phase.accepted_since == 2
    assert hand.accept(1.3, 1) is None


def test_a_burst_knows_nothing() -> None:
    """A refusal ends it, and there is nothing to keep."""
    burst = Burst(1.0)
    assert (burst.refused(answered(), None), burst.kept(1.0), burst.vague) == (None, None, True)  # type: ignore[func-returns-value]


# -- ceilings


def test_a_ceiling() -> None:
    """So many at a time, and only answers make room; that much of it is kept."""
    ceiling = Ceiling(8)
    ceiling.come(0.0, 0)
    assert [ceiling.free(0.0, in_flight) for in_flight in (0, 5, 8, 9)] == [8, 3, 0, 0]
    assert (ceiling.opens(0.0, 8, 5), ceiling.vague) == (0.0, False)
    assert ceiling.kept(0.0) == {"kind": "concurrency", "requests": 8}


def test_a_ceiling_is_felt_for() -> None:
    """From one on it rises as the root of what was accepted, faster where requests take long; that much is not kept."""
    quick, slow = Ceiling(None), Ceiling(None)
    for _ in range(8):
        assert quick.accepted(answered(sent=1.0)) is quick
        assert slow.accepted(answered(sent=0.88)) is slow
    assert (quick.most, slow.most, quick.vague, quick.kept(1.0)) == (3, 6, True, None)
    assert (quick.opened, quick.accepted_since) == (1.0, 8)


def test_no_ceiling() -> None:
    """If 64 at a time are accepted, nothing is limited."""
    ceiling, accepted = Ceiling(None), 0
    while ceiling.accepted(answered(sent=1.0)) is not None:
        accepted += 1
    assert accepted == 63**2 - 1


def test_one_more_now_and_then() -> None:
    """After five times as many with no room left; if these are accepted for two rounds, two more are tried after a round."""
    ceiling = Ceiling(2)
    for room, rounds, most in ((0, 20, 2), (1, 9, 2), (1, 1, 3), (2, 5, 3), (2, 1, 3), (2, 2, 3), (2, 1, 5)):
        for _ in range(rounds):
            assert ceiling.accepted(answered(others=room)) is ceiling
        assert ceiling.most == most


def test_one_too_many() -> None:
    """What was tried and refused is tried later each time, a hundred rounds later at the latest."""
    ceiling, rounds, number = Ceiling(2), list[float](), 0
    for _ in range(10):
        start = number
        while ceiling.most == 2:
            number += 1
            ceiling.accepted(answered(number=number, others=1))
        rounds.append((number - start) / 2)
        assert ceiling.refused(answered(number=number, total=number, others=2), None) is ceiling
        assert ceiling.most == 2
    assert rounds[:3] == [5, 8, 13]
    assert rounds[-2:] == [100, 100]


def test_a_ceiling_falls() -> None:
    """To what was in flight besides when one was refused; not again for those on their way then. Alone it is something else."""
    ceiling = Ceiling(None, since=3)
    ceiling.most = 9
    assert ceiling.refused(answered(number=2, others=1), None) is ceiling
    assert (ceiling.most, ceiling.vague) == (9, True)
    assert ceiling.refused(answered(number=9, total=20, others=6), None) is ceiling
    assert (ceiling.most, ceiling.vague) == (6, False)
    ceiling.refused(answered(number=19, total=20, others=1), None)
    for _ in range(100):
        ceiling.accepted(answered(number=19, others=5))  # nor do they tell that there is room
    assert ceiling.most == 6
    assert ceiling.refused(answered(number=20, total=21, others=8), None) is ceiling
    assert ceiling.most == 6
    assert ceiling.refused(answered(number=21, total=22, others=0), None) is None


# -- a rate


def filling(rate: float = 10.0, size: float = 20.0, now: float = 0.0) -> Hand:
    """One that was found."""
    return Hand(phase_of({"kind": "rate", "rate": rate, "burst": size, "left": 0.0, "shuts": 0.0}, now))


def guessed(rate: float = 10.0, size: float = 20.0) -> Hand:
    """One that has not been found yet: from second 0 it rises, and nobody is surprised if one is refused."""
    return Hand(Filling(0, 0.0, rate, size, []))


def rate_of(hand: Hand) -> float:
    """The rate that is known."""
    rate: float = hand.phase.kept(0.0)["rate"]
    return rate


def test_a_rate() -> None:
    """What comes back may go, and what is saved up of it, but no more than there is room for."""
    hand = filling(now=100.0)
    assert [hand.phase.free(now, 0) for now in (100.0, 100.05, 100.1, 100.5, 200.0)] == [0, 0, 1, 5, 20]
    assert [hand.phase.opens(100.05, 0, ahead) for ahead in (0, 9)] == pytest.approx([0.05, 0.95])
    assert hand.phase.opens(100.5, 0, 0) == 0.0
    hand.go(100.5, 100.5)
    assert [hand.phase.free(now, 0) for now in (100.5, 100.6)] == [3, 4]


def test_between_two_refusals() -> None:
    """As many came back as were accepted between: the roundest rate that this can be."""
    hand = filling(7.0)
    hand.refuses(1.0)
    hand.accepts(*(1.05 + number / 10 for number in range(30)))
    hand.refuses(4.06)
    assert rate_of(hand) == 10.0
    assert hand.phase.free(4.08, 0) == 0
    assert opening(hand.phase, 4.08) == pytest.approx(4.23)  # a request and a half later


def test_a_rate_that_is_not_round() -> None:
    """Where there is no round one between what it is at least and at most, it is the middle of these."""
    hand = filling(1e-4, 5.0)
    hand.refuses(0.0)
    hand.accepts(*(1e4 * number for number in range(1, 7)))
    hand.refuses(70_000.0)
    assert 5 / 70_000 < rate_of(hand) < 10 / 70_000


def test_on_its_way_when_another_was_refused() -> None:
    """What was accepted of those is counted before the refusal, and what was refused of those is no other refusal."""
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
    """Two seconds or 40 requests after it was found it is risked: half as much again each quarter of a second, at least."""
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
    """Nothing had come back: the rate is far lower. Much later still nothing: then it is no rate at all."""
    hand = guessed(20.0)
    hand.refuses(1.0, 1.01)
    assert rate_of(hand) == 20.0
    hand.refuses(1.45)
    assert rate_of(hand) == 5.0
    assert hand.refuses(1.6) is None


def test_what_is_full_tells_nothing() -> None:
    """More may have come back than there was room for: what is accepted of it is not held for the rate."""
    hand = guessed(10.0, 20.0)
    hand.refuses(1.0)
    hand.accepts(*(5.0 + number / 1000 for number in range(20)))
    hand.refuses(5.1)
    assert rate_of(hand) == 10.0
    single = filling(7.0, 1.0)  # nothing is saved up here: it is never more than full
    single.refuses(1.0)
    single.accepts(*(1.2 + number / 10 for number in range(30)))
    single.refuses(4.2)
    assert rate_of(single) == 10.0


def test_a_surprise() -> None:
    """Refused again and again although it was full, at a pace that was found: a tenth less each time, but for the first."""
    hand, rates = filling(10.0), []
    for start in (3.0, 6.0, 9.0):  # before it rises
        hand.accepts(*(start + number / 1000 for number in range(20)))
        hand.refuses(start + 0.1)
        rates.append(rate_of(hand))
    assert rates == pytest.approx([10.0, 9.0, 8.1])


def test_said_to_be_more() -> None:
    """What was saved up was less than was thought if a refusal shut everyone out sooner."""
    hand = filling(10.0)
    hand.phase.resumed(answered(1.0))
    hand.accepts(*(1.05 + number / 1000 for number in range(12)))
    hand.refuses(1.2, told=5.0)
    assert hand.phase.size == 12
    assert hand.phase.shuts


def test_a_point_later_than_a_refusal() -> None:
    """It came while the refused one was on its way: nothing can be counted from there."""
    hand = guessed(10.0)
    hand.go(0.01, 0.1, 0.2, 0.26)  # with the last one it begins to rise
    assert hand.phase.pace == 15.0
    hand.refuse(0.27, 2)
    assert rate_of(hand) == hand.phase.pace == 10.0


def test_few_tell_little() -> None:
    """Where fewer than five may be saved up, a pause before the refusal is not held for the rate: it rises first."""
    points, last = [Point(0.0, 0, 0.0)], Point(4.0, 20, 0.0)
    many, few = (Filling(5, 5.0, 2.0, size, points, last) for size in (5.0, 4.0))
    assert (many.pace, few.pace) == (5.0, 2.0)
    few.accepted(answered(number=4))  # on its way then
    assert (few.pace, few.kept(0.0)["rate"]) == (2.0, 5.0)


def test_a_bucket_is_found() -> None:
    """20 a second: found in two seconds, used entirely, and more and more rarely asked for more."""
    crowd = Crowd(Bucket(20, 1, nothing))
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
    """It is followed, down and up, and what was known of the old one is forgotten."""
    crowd = Crowd(Bucket(20, 1, nothing, changes=((10, limit),)))
    assert crowd.until(9.0).kept(9.0)["rate"] == 20.0
    assert crowd.until(40.0).kept(40.0)["rate"] == pytest.approx(limit)
    crowd.until(60.0)
    assert crowd.rate(40.0, 60.0) == pytest.approx(limit, rel=0.1)


def test_taking_care() -> None:
    """Where a refusal shuts everyone out for 5 s, 0.98 of the rate is used, and it does not rise for minutes."""
    server = Bucket(20, 1, retry_after, shuts=5)
    crowd = Crowd(server)
    crowd.until(120.0)
    assert crowd.found.kept(120.0)["rate"] == pytest.approx(0.98 * 20)
    assert crowd.found.kept(120.0)["shuts"] == 5.0
    assert crowd.refused(20.0) == []
    assert crowd.rate(20.0, 115.0) == pytest.approx(0.98 * 20, rel=0.01)
    assert server.penalties <= 2


@pytest.mark.parametrize(("shuts", "free"), [(0.0, 19), (5.0, 15)])
def test_a_rate_that_goes_on(shuts: float, free: int) -> None:
    """After everyone was shut out all that may be saved up goes at once, as one of them has; with care, eight tenths of it."""
    hand = Hand(phase_of({"kind": "rate", "rate": 10.0, "burst": 20.0, "left": 0.0, "shuts": shuts}, 0.0))
    hand.go(5.0)
    assert hand.phase.resumed(answered(5.02)) is hand.phase
    assert hand.phase.free(5.02, 0) == free
    assert hand.phase.free(500.0, 0) == free + 1


# -- a window


def turning(**otherwise: Any) -> Hand:
    """5 in 10 seconds, used up since second 0."""
    return Hand(Turning(0, otherwise.get("opened", 0.0), otherwise.get("size", 5), otherwise.get("length", 10.0), 2.0))


def turned(*, windows: int = 1, then: int = 0, **otherwise: Any) -> Hand:
    """The same some windows later, each of which was used up, but of the last one only so many more than one."""
    hand = turning(**otherwise)
    for window in range(windows):
        now = opening(hand.phase, hand.phase.opened + hand.phase.length)
        hand.accepts(now)
        hand.accepts(*(now + 0.1 + number / 100 for number in range(then if window == windows - 1 else hand.phase.size - 1)))
    return hand


def test_a_window() -> None:
    """Nobody goes until it turns; then one asks, and the next one only after a second without an answer."""
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
    """Its size, its length and its age; what was left of it is not used."""
    hand = turned(then=2)
    kept = hand.phase.kept(13.0)
    assert kept == {"kind": "window", "requests": 5, "seconds": 10.0, "least": 2.0, "age": pytest.approx(2.98)}
    again = phase_of(kept, 113.0)
    assert isinstance(again, Turning)
    assert again.kept(114.0) == {**kept, "age": pytest.approx(3.98)}
    assert opening(again, 113.0) == pytest.approx(120.02)


def test_a_larger_window() -> None:
    """The second is asked for one more: it is accepted, and then the next, until one is refused."""
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
    """After that it is asked between what was too early and what was late enough; if it has turned, it is shorter."""
    hand = turned(windows=1, then=4)
    hand.refuses(11.0)
    for _ in range(3):  # the fifth window is the next one with a test
        now = opening(hand.phase, hand.phase.opened + 9.0)
        hand.accepts(now, *(now + 0.1 + number / 100 for number in range(4)))
    now, opened = hand.sent[-1] + 0.1, hand.phase.opened
    assert hand.phase.opens(now, 1, 0) == pytest.approx(opened + 6.0 - now)
    assert opening(hand.phase, now) == pytest.approx(opened + 6.0)
    hand.accepts(opened + 6.0)
    assert hand.phase.length == pytest.approx(6.0 + TRIP)
    assert hand.phase.opened == hand.sent[-1] + TRIP


def test_no_shorter_window() -> None:
    """If it has not turned there, the next test is later: between that and the whole length."""
    hand = turned(windows=1, then=4)
    hand.refuses(11.0)
    for _ in range(3):
        now = opening(hand.phase, hand.phase.opened + 9.0)
        hand.accepts(now, *(now + 0.1 + number / 100 for number in range(4)))
    hand.refuses(hand.phase.opened + 6.0)
    assert hand.phase.kept(0.0)["least"] == pytest.approx(6.0)
    assert hand.phase.opens(hand.sent[-1] + TRIP, 0, 0) == pytest.approx(4.0 - TRIP)


def test_a_smaller_window() -> None:
    """One that is refused too soon is asked again a little later; if it is refused too, no more are in it until it turns."""
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
    """Those that were in flight when one was refused are the same refusal: it is not asked too often for that."""
    hand = turned(then=1)
    hand.go(10.2, 10.21, 10.22)
    hand.refuse(10.25, 2)
    assert hand.refuse(10.26, 3) is hand.phase
    assert [hand.phase.free(now, 1) for now in (10.34, 10.36)] == [0, 1]


def test_a_window_that_slides() -> None:
    """One that was refused but not the next one: it was asked a little too soon, so it is taken to be a little longer."""
    hand = turned(then=2)
    hand.refuses(10.2)
    hand.accepts(10.33, 10.34, 20.03)
    assert hand.phase.size == 5
    assert 10.0 < hand.phase.length < 10.1


def test_a_late_answer() -> None:
    """One of the window before, accepted after the turn, does not count in the new one."""
    hand = turning()
    hand.go(9.0, 10.0)
    hand.accept(10.02, 1)
    before = hand.phase.accepted_since
    assert hand.accept(10.03, 0) is hand.phase
    assert hand.phase.accepted_since == before == 1


def test_it_does_not_turn() -> None:
    """It is asked again a little later, and later each time; a tenth of its length too late it is no window."""
    hand, now, times = turning(), 10.0, list[float]()
    while hand.phase is not None:
        now = opening(hand.phase, now)
        times.append(now)
        hand.refuses(now)
        assert now < 12
        now += TRIP
    assert times == pytest.approx([10.0, 10.04, 10.12, 10.28, 10.6])


def test_a_window_goes_on() -> None:
    """After an outage it begins anew."""
    hand = turning()
    assert hand.phase.resumed(answered(30.0, number=7)) is hand.phase
    assert (hand.phase.opened, hand.phase.free(30.0, 0)) == (30.0, 4)


@pytest.mark.parametrize("size", [50, 100, 150])
def test_windows_that_change(size: int) -> None:
    """A window is found and used up each time; where there are fewer in it, or more, that is found too."""
    crowd = Crowd(Window(100, 5, nothing, changes=((20, size),)))
    assert isinstance(crowd.until(19.0), Turning)
    crowd.until(150.0)
    assert isinstance(crowd.found, Turning)
    assert crowd.found.size == size
    assert crowd.found.length == pytest.approx(5.0, abs=0.1)
    assert len(crowd.refused(120.0)) <= 2


# -- everyone is shut out


def shut(now: float = 0.1, **otherwise: Any) -> Hand:
    """The first was refused at `now`, after 0.02 seconds and nine accepted ones, the first of these at second 0."""
    seen = {name: otherwise.pop(name) for name in ("sent", "others", "total") if name in otherwise}
    hand = Hand(
        Shut(answered(now, **{"total": 10, **seen}), otherwise.pop("opened", 0.0), otherwise.pop("accepted", 9), **otherwise)
    )
    hand.sent, hand.answers, hand.refusals = [0.0] * 10, 10, 1
    return hand


def asked(hand: Hand, now: float, times: int) -> list[float]:
    """When one asks whether it is over, each refused."""
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
    """As long after the first answer as windows are: 1, 2, 5, 10, 15, 30, 60 s, and then each minute."""
    assert asked(shut(), 0.1, 10) == pytest.approx([1, 2, 5, 10, 15, 30, 60, 120, 180, 240])


def test_a_pause_is_not_long_at_first() -> None:
    """Long after the first answer: after a second at first, and then after twice as long each time, a minute at most."""
    times = asked(shut(100.0), 100.0, 9)
    pauses = [later - sooner - TRIP for sooner, later in zip([100.0 - TRIP, *times], times)]
    assert pauses[:3] == pytest.approx([1, 2, 4])
    assert max(pauses) <= 60


def test_who_asks_is_waited_for() -> None:
    """For a second; then another one asks."""
    hand = shut()
    hand.go(1.0)
    assert [hand.phase.free(now, 1) for now in (1.5, 1.99, 2.0)] == [0, 0, 1]
    assert [hand.phase.opens(now, 1, ahead) for now in (1.5, 2.5) for ahead in (0, 5)] == [0.5, 0.5, 0.0, 0.0]
    assert "refuses all" in hand.phase.reason


def test_the_server_is_down() -> None:
    """It is asked each time after 15 % of the time since it was up, a tenth of a second at least and two seconds at most."""
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
    """Nobody asks sooner; and two seconds or more, that were waited for, show that less would not have been enough."""
    for told, least in ((1.5, 0.0), (3.0, 2.0)):
        hand = shut(told=told)
        assert opening(hand.phase, 0.1) == pytest.approx(0.1 + told)
        trial = hand.accepts(0.1 + told)
        assert isinstance(trial, Trial)
        assert trial._least == pytest.approx(least + 0.1 if least else 0.0)
    for told, due in ((0.5, 1.0), (1.5, 1.7), (5.0, 5.2)):
        hand = shut()
        hand.phase.refused(answered(0.2, number=3), told)  # another one that was on its way
        assert opening(hand.phase, 0.2) == pytest.approx(due)


def test_it_is_over() -> None:
    """If one is accepted soon, and few were before, it was just a beginning; if not, it is tried what limit it is."""
    assert isinstance(shut(sure=False, accepted=4).accepts(1.0), Ceiling)
    assert isinstance(shut(sure=False, accepted=5).accepts(1.0), Trial)
    assert isinstance(shut(sure=True, accepted=0).accepts(1.0), Trial)


def test_accepted_meanwhile() -> None:
    """What was on its way counts among those that went before."""
    hand = shut(sure=False, accepted=4)
    assert hand.phase.accepted(answered(0.12, sent=0.09, number=3)) is hand.phase
    assert hand.phase.accepted_since == 5
    assert hand.phase.free(0.12, 0) == 0
    assert isinstance(hand.accepts(1.0), Trial)


def test_accepted_answers_take_longer() -> None:
    """Than refused ones: as many are in flight as may be. That is known as soon as one of these is done."""
    hand = shut(overlaps=True, others=7)
    assert opening(hand.phase, 0.1) == pytest.approx(1.1)
    hand.phase.refused(answered(0.11, sent=0.07, number=4, others=5), None)
    hand.phase.accepted(answered(0.14, sent=0.07, number=3))
    assert hand.phase.free(0.14, 4) == 0  # a refusal took as long
    found = hand.phase.accepted(answered(0.3, number=2, sent=0.07))
    assert isinstance(found, Ceiling)
    assert (found.most, found.vague, found.free(0.3, 4)) == (5, False, 1)


@pytest.mark.parametrize("told", [None, 1.0])
def test_it_was_not_that(told: float | None) -> None:
    """If one that asks is refused before, or it is told for how long, it is like any other limit."""
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
    """It is kept meanwhile, and resumed with the first that is accepted."""
    known = filling().phase
    hand = shut(down=True, resumes=known)
    assert hand.phase.kept(1.0) == known.kept(1.0)
    assert shut().phase.kept(1.0) is None
    assert hand.accepts(5.0) is known
    assert known.free(5.02, 0) == 19


def test_slots() -> None:
    """Eight at a time, each of which takes 0.2 s: found in a second, and nearly nothing is refused later."""
    crowd = Crowd(Slots(8, 0.2, nothing))
    assert isinstance(crowd.until(1.0), Ceiling)
    crowd.until(60.0)
    assert crowd.found.kept(60.0)["requests"] in (8, 9)
    assert crowd.rate(2.0, 58.0) >= 34
    assert len(crowd.refused(2.0)) <= 10


def test_away() -> None:
    """A server that is away for a minute: it is asked a few times, and then it goes on as before."""
    crowd = Crowd(Down(Bucket(20, 1, nothing), 20, 80))
    before = crowd.until(19.0)
    assert isinstance(before, Filling)
    assert crowd.until(70.0).down
    assert len(crowd.refused(22.0, 70.0)) <= 32
    assert crowd.until(100.0) is before
    assert crowd.rate(90.0, 99.0) == pytest.approx(20, rel=0.1)


# -- what limit it is


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


# -- snapshots

RATE = {"kind": "rate", "rate": 20.0, "burst": 30.0, "left": 6.5, "shuts": 5.0}
WINDOW = {"kind": "window", "requests": 100, "seconds": 60.0, "least": 2.5, "age": 12.0}
CONCURRENCY = {"kind": "concurrency", "requests": 8}
ALL = {"a": RATE, "b": WINDOW, "c": CONCURRENCY}


def test_names() -> None:
    """An origin is told as it is; of a credential the last bytes of its hash, and of a key of one's own a hash of two bytes."""
    assert name_of((("https", "api.example.com", None), ""), False) == "https://api.example.com"
    assert name_of((("http", "localhost", 8000), "0123456789abcdef"), False) == "http://localhost:8000 cdef"
    for key in ("alice", ("a", "b"), (("a", "b", "c"), "secret"), ((1, 2, 3), 7), None):
        assert len(name_of(key, True)) == 4
        assert int(name_of(key, True), 16) >= 0
    assert name_of("alice", True) != name_of("bob", True)


def test_read_back() -> None:
    """The same, older by the time that has passed: more is left of a rate, and a window has come nearer to its end."""
    text = written(ALL, 1000.0)
    assert read(text, 1000.0) == read(text, 900.0) == ALL
    older = read(text, 1010.0)
    assert older == {"a": {**RATE, "left": 30.0}, "b": {**WINDOW, "age": 22.0}, "c": CONCURRENCY}


@pytest.mark.parametrize("kept", ALL.values(), ids=str)
def test_the_same_phase(kept: Any) -> None:
    """What a phase keeps makes one that keeps the same."""
    assert phase_of(kept, 77.0).kept(77.0) == kept


def test_not_everything_goes_at_once() -> None:
    """Of what is saved up no more than there is room for, and where one too many shuts everyone out, eight tenths of that."""
    assert phase_of({**RATE, "left": 500.0}, 1.0).free(1.0, 0) == 24
    assert phase_of({**RATE, "left": 500.0, "shuts": 0.0}, 1.0).free(1.0, 0) == 30


@pytest.mark.parametrize(
    "server", [Bucket(20, 1, nothing), Window(20, 1, nothing), Slots(8, 0.2, nothing)], ids=lambda server: type(server).__name__
)
def test_it_can_be_read_at_any_time(server: Policy) -> None:
    """Whatever is known of a limit, whenever it is asked: it is written, read, and goes on."""
    crowd, known = Crowd(server), 0
    while crowd.now < 12:
        phase = crowd.until(crowd.now + 0.01)
        kept = phase and phase.kept(crowd.now)
        if kept:
            known += 1
            again = phase_of(read(written({"a": kept}, 5.0), 5.0)["a"], crowd.now)
            assert type(again).__name__ == {"rate": "Filling", "window": "Turning", "concurrency": "Ceiling"}[kept["kind"]]
    assert known > 300


def number(kept: Any) -> Iterator[tuple[str, str, Any]]:
    """Every number of these limits: the limit, the name and what it is."""
    return ((name, field, value) for name, limit in kept.items() for field, value in limit.items() if field != "kind")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "rate", "limits", "at"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def survives(text: str) -> None:
    """It is refused with a `ValueError`, or read as limits that let somebody go some time."""
    try:
        limits = read(text, 2000.0)
    except ValueError:
        return
    for kept in limits.values():
        phase = phase_of(kept, 50.0)
        assert math.isfinite(phase.opens(50.0, 0, 3))
        assert opening(phase, 50.0) < math.inf


@given(JSON)
def test_any_json_for_a_snapshot(garbage: Any) -> None:
    """Whatever it is, it is a `ValueError`."""
    for text in (json.dumps(garbage), json.dumps({"ratewise": 1, "at": 5.0, "limits": garbage})):
        survives(text)
    survives(json.dumps({"ratewise": 1, "at": 5.0, "limits": {"a": garbage}}))


@given(st.sampled_from(list(number(ALL))), JSON)
def test_any_number_in_a_snapshot(place: Any, garbage: Any) -> None:
    """Something else for one of them, whatever it is: it is a `ValueError`, or it can be lived with."""
    name, field, _ = place
    survives(json.dumps({"ratewise": 1, "at": 1990.0, "limits": {**ALL, name: {**ALL[name], field: garbage}}}))
    fewer = {each: value for each, value in ALL[name].items() if each != field}
    with pytest.raises(ValueError, match="no snapshot"):
        read(written({name: fewer}, 5.0), 5.0)


@given(st.integers(0, 400), st.integers(0, 20), st.text(max_size=5))
def test_any_change_to_the_text(at: int, length: int, instead: str) -> None:
    """The same."""
    text = written(ALL, 1990.0)
    survives(text[:at] + instead + text[at + length :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"ratewise": 2, "at": 1, "limits": {}}',
        '{"ratewise": 1, "limits": {}}',
        '{"ratewise": 1, "at": true, "limits": {}}',
        '{"ratewise": 1, "at": NaN, "limits": {}}',
        '{"ratewise": 1, "at": "1", "limits": {}}',
        '{"ratewise": 1, "at": 1, "limits": []}',
        '{"ratewise": 1, "at": 1, "limits": {"a": null}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": []}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "cost"}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "concurrency", "requests": 0}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "concurrency", "requests": 0.5}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "window", "requests": 0.5, "seconds": 1, "least": 0, "age": 0}}}',
        '{"ratewise": 1, "at": 1' + "0" * 400 + ', "limits": {}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[-60:],
)
def test_no_snapshot(text: str) -> None:
    """What is not one is a `ValueError` that says so."""
    with pytest.raises(ValueError, match=r"this is no snapshot of a RateLimiter: "):
        read(text, 2000.0)


# -- whatever happens

STEPS = st.tuples(
    st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.0, 4.0]) | st.floats(0, 20),
    st.sampled_from(["accepted", "refused", "failed", "told"]),
    st.sampled_from([0.0, TRIP, 0.5]) | st.floats(0, 3),
)


@given(st.lists(STEPS, max_size=60), st.sampled_from([None, *ALL.values()]), st.integers(1, 12), st.floats(0.5, 30))
def test_whatever_is_answered(steps: list[Any], kept: Any, together: int, told: float) -> None:
    """Nothing makes it fail; there is always a time at which one may go, and nobody is told that it is now if it is not."""
    now = 1000.0
    governor = Governor(found=None if kept is None else phase_of(kept, now))
    flying: list[Any] = []

    def answers(until: float) -> None:
        nonlocal now
        while flying and flying[0][0] <= until:
            now, _, came, answer = heapq.heappop(flying)
            governor.gone(came)
            governor.done()
            verdict = {"accepted": Verdict.ACCEPTED, "failed": Verdict.FAILED}.get(answer, Verdict.REFUSED)
            governor.answered(verdict, NOTHING._replace(retry_after=told if answer == "told" else None), came, now)
            if governor.found is not None:
                json.dumps(governor.found.kept(now), allow_nan=False)
        now = max(now, until)

    for gap, answer, trip in steps:
        answers(now + gap)
        if len(flying) >= together:
            answers(flying[0][0])
        latest = now + 121
        while not governor.free(now, 3):
            wait, reason = governor.opens(now, 3)
            assert 0 < wait < math.inf or governor.full
            assert all(0 <= governor.opens(now, 3, ahead)[0] < math.inf for ahead in (1, 20))
            assert reason
            soon = now + max(wait, 0.001)
            answers(min(soon, flying[0][0]) if flying else soon)
            assert now <= latest
        came = governor.come(now)
        heapq.heappush(flying, (now + trip, came.number, came, answer))

"""A limit that is discovered, step by step: what each answer changes. Time is an argument."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ratewise.rate_limit import meter as rules
from ratewise.rate_limit.meter import Meter

INF = math.inf


def known(rate: float | None = None, in_flight: float | None = None) -> Meter:
    """A meter that knows a limit from before."""
    made = Meter()
    made.restore({"rate": rate} if rate is not None else {"in_flight": in_flight} if in_flight is not None else {})
    return made


def answers(to: Meter, script: str, start: float = 1.0, gap: float = 0.02, trip: float = 0.01, before: int = 0) -> list[bool]:
    """Give answers: "a" accepted, "r" refused, "f" failed. Return what was returned for those that were not accepted."""
    returned = []
    for number, letter in enumerate(script):
        sent = start + number * gap
        if letter == "a":
            to.accepted(sent, sent + trip)
        elif letter == "r":
            returned.append(to.refused(sent, sent + trip, before))
        else:
            returned.append(to.failed(sent, sent + trip))
    return returned


def shut(to: Meter, at: float = 10.0, told: float | None = None) -> None:
    """Let it be refused with as much evidence as there can be, at this time."""
    to.evidence = 10.0
    assert to.refused(at - 0.001, at, 0, told)


# -- evidence


def test_constants() -> None:
    """Those that are bounds of a table: the tests below say what they do."""
    assert (rules.WIDTH, rules.RECENT, rules.MOST_RATE, rules.LEAST_RATE) == (100, 100, 100_000, 1 / 60)


@pytest.mark.parametrize(
    ("script", "evidence"),
    [("r", 1.1), ("rrr", 3.3), ("rrr" + "a" * 9, 2.3), ("r" + "a" * 9, 0.1), ("r" + "a" * 10, 0.0), ("a" * 50 + "r", 1.1)],
)
def test_evidence(script: str, evidence: float) -> None:
    met = Meter()
    answers(met, script)
    assert met.evidence == pytest.approx(evidence)
    assert met.quiet is (evidence == 0)


@pytest.mark.parametrize(
    ("met", "number"),
    [
        (Meter(), 4),  # nothing is known
        (known(rate=10.0), 2),
        (Meter(cautious=True), 2),
        (known(in_flight=20.0), 4),
    ],
    ids=["nothing", "rate", "cautious", "in flight"],
)
def test_so_many_refusals_in_a_row_shut(met: Meter, number: int) -> None:
    returned = answers(met, "r" * number, before=30)
    assert returned == [False] * (number - 1) + [True]
    assert met.pause is not None
    assert not met.pause.down


def test_a_few_refusals_among_answers_shut_nothing() -> None:
    """9 % at random are no evidence."""
    met = Meter()
    assert not any(answers(met, ("a" * 10 + "r") * 100))
    assert met.evidence < 1.2


@pytest.mark.parametrize(("told", "shuts"), [(None, False), (0.5, False), (4.99, False), (5.0, True), (600.0, True)])
def test_a_told_pause(told: float | None, shuts: bool) -> None:
    """A long one binds others at the first refusal."""
    met = Meter()
    assert met.refused(1.0, 1.02, 0, told) is shuts
    assert (met.pause is not None) is shuts
    if met.pause is not None and told is not None:
        assert met.pause.told_until == 1.0 + told


@pytest.mark.parametrize(
    ("script", "shuts"),
    [("fff", False), ("ffff", True), ("fffafff", False), ("fffaffff", True), ("rfff", False)],
)
def test_failures_in_a_row_are_an_outage(script: str, shuts: bool) -> None:
    met = Meter()
    assert answers(met, script)[-1] is shuts
    assert (met.pause is not None and met.pause.down) is shuts
    assert met.rate == INF
    assert met.quiet is (not shuts and "r" not in script)


def test_failures_of_what_was_sent_before_a_refusal_tell_nothing() -> None:
    met = known(rate=10.0)
    met.refused(1.0, 2.0, 0)
    assert not any(met.failed(sent, 2.1) for sent in (1.0, 1.5, 1.9, 2.0, 2.0))
    assert met.failed(2.001, 2.2)


def test_in_a_pause_each_failure_is_another_refusal() -> None:
    met = Meter()
    shut(met)
    assert met.failed(10.1, 10.2)
    assert met.pause is not None
    assert met.pause.refused_at == 10.1
    assert not met.pause.down
    assert met.evidence == pytest.approx(12.2)


def test_an_overloaded_server_is_down() -> None:
    met = Meter()
    for _ in range(4):
        met.refused(1.0, 1.1, 0, None, True)
    assert met.pause is not None
    assert met.pause.down


# -- what may go


@pytest.mark.parametrize(("after", "flying", "free"), [(0.0, 0, 1), (0.0999, 0, 1), (0.05, 1, 0), (0.05, 3, -2), (0.1, 3, INF)])
def test_after_a_refusal_one_at_a_time(after: float, flying: int, free: float) -> None:
    met = Meter()
    met.refused(1.0, 2.0, 0)
    assert met.free(2.0 + after, flying) == free


def test_an_answer_ends_that() -> None:
    met = Meter()
    met.refused(1.0, 2.0, 0)
    met.accepted(2.0, 2.05)
    assert met.free(2.05, 5) == INF
    assert met.opens(2.05, 5, 3) == (0.0, "the discovered limit is used up")


@pytest.mark.parametrize(
    ("met", "flying", "free"),
    [
        (Meter(), 1000, INF),
        (known(in_flight=8.0), 0, 8),
        (known(in_flight=8.9), 7, 1),
        (known(in_flight=8.9), 8, 0),
        (known(rate=100.0), 1000, 10),
        (Meter(cautious=True), 1, 3),
    ],
)
def test_free(met: Meter, flying: int, free: float) -> None:
    assert met.free(1.0, flying) == free


def test_both_limits_count() -> None:
    met = known(rate=100.0)
    met.cap = 3.0
    assert [met.free(1.0, flying) for flying in (0, 1, 3)] == [3, 2, 0]
    for _ in range(9):
        met.send(1.0)
    assert met.free(1.0, 0) == 1


def test_what_it_waits_for() -> None:
    met = known(rate=5.0)
    met.send(1.0)
    assert met.opens(1.0, 0, 1) == (pytest.approx(0.4), "the discovered limit is used up")
    met = known(in_flight=2.0)
    assert met.opens(1.0, 1, 0) == (0.0, "the discovered limit is used up")
    assert met.opens(1.0, 2, 0) == (INF, "the discovered concurrency limit is reached (2 in flight)")
    met = Meter()
    met.refused(1.0, 2.0, 0)
    assert met.opens(2.04, 1, 0) == (pytest.approx(0.06), "waiting for the next response after a refusal")
    assert met.opens(2.04, 0, 0) == (0.0, "the discovered limit is used up")


@pytest.mark.parametrize(
    ("told", "down", "opens"),
    [
        (None, False, (0.1, "the server refuses")),
        (None, True, (0.1, "the server is down")),
        (7.0, False, (6.999, "the server asks to wait")),
    ],
)
def test_what_a_pause_waits_for(told: float | None, down: bool, opens: Any) -> None:
    met = Meter()
    while met.pause is None:
        met.refused(9.999, 10.0, 0, told, down)
    wait, reason = met.opens(10.0, 0, 3)
    assert (pytest.approx(wait), reason) == opens
    assert met.free(10.0, 0) == 0
    assert met.free(10.0 + wait - 1e-6, 0) == 0
    assert met.free(10.0 + wait + 1e-9, 5) == 1  # one probe, whatever is on its way
    assert met.opens(10.0 + wait + 1, 0, 0)[0] == 0.0


def test_one_probe_at_a_time() -> None:
    """It is not counted by the pace. If it is lost, the next one goes."""
    met = Meter()
    shut(met)
    met.send(10.2)
    assert met.free(10.3, 1) == 0
    met.lost(10.1)
    assert met.free(10.3, 1) == 0
    met.lost(10.2)
    assert met.free(10.3, 1) == 1


def test_the_time_of_an_answer() -> None:
    """The first one is believed; then a quarter of each difference. By it the next probe is sent."""
    met = Meter()
    met.accepted(1.0, 5.0)
    met.accepted(5.0, 7.0)  # 3.5 s
    shut(met)
    met.send(10.2)
    assert met.free(10.2 + 6.999, 0) == 0
    assert met.free(10.2 + 7.0, 0) == 1


def test_nothing_is_lost_without_a_pause() -> None:
    met = Meter()
    met.lost(1.0)
    assert met.quiet


# -- snapshots


def test_kept() -> None:
    assert Meter().kept() == {}
    assert Meter(cautious=True).kept() == {}
    assert known(rate=5.0).kept() == {"rate": 5.0}
    assert known(in_flight=8.0).kept() == {"in_flight": 8.0}
    assert not known().known
    assert known(rate=5.0).known
    assert not known(rate=5.0).quiet
    assert not known(in_flight=5.0).quiet
    assert known(in_flight=5.0).known


def test_nothing_restored_changes_nothing() -> None:
    met = Meter(cautious=True)
    met.restore({})
    assert met.cap == 4.0


def test_restored() -> None:
    met = Meter(cautious=True)
    met.restore({"rate": 5.0})
    assert (met.rate, met.cap) == (5.0, INF)
    answers(met, "a" * 20)
    assert (met.rate, met.cap) == (5.0, INF)
    met = known(in_flight=8.0)
    assert met.cap == 8.0
    answers(met, "a" * 20)
    assert met.cap == 8.0


# -- a number in flight that grows


@pytest.mark.parametrize(("trip", "cap"), [(0.04, 4.1), (0.2, 4.5), (0.4, 5.0), (3.0, 5.0)])
def test_answers_raise_it(trip: float, cap: float) -> None:
    met = Meter(cautious=True)
    assert met.cap == 4.0
    met.accepted(1.0, 1.0 + trip)
    assert met.cap == pytest.approx(cap)


@pytest.mark.parametrize(("flying", "cap"), [(0, INF), (9, INF), (10, 20.0), (20, 20.0)])
def test_up_to_the_width(flying: int, cap: float) -> None:
    """There it ends, if that many are not needed."""
    met = Meter(cautious=True)
    met.free(1.0, flying)
    for _ in range(20):
        met.accepted(1.0, 1.5, 20)
    assert met.cap == cap
    assert not met.known


def test_the_width_is_100_by_default() -> None:
    met = Meter(cautious=True)
    met.free(1.0, 50)
    for _ in range(200):
        met.accepted(1.0, 1.5)
    assert met.cap == 100


@pytest.mark.parametrize(("later", "cap"), [(179.0, 6.0), (180.0, 6.0), (180.5, INF)])
def test_it_fades(later: float, cap: float) -> None:
    """Counted from the first answer."""
    met = Meter(cautious=True)
    met.accepted(1.0, 2.0)
    met.accepted(1.0 + later, 2.0 + later)
    assert met.cap == cap


def test_it_fades_after_the_last_refusal() -> None:
    met = Meter(cautious=True)
    met.accepted(1.0, 2.0)
    shut(met, 100.0)
    met.accepted(101.0, 102.0)  # opens
    assert met.cap == 5.0
    met.accepted(279.0, 280.0)
    assert met.cap == 6.0
    met.accepted(281.0, 282.5)
    assert met.cap == INF


# -- a limit that is lowered


@pytest.mark.parametrize(
    ("accepted", "before", "cap"),
    [
        ([(0.9, 1.1)] * 3, 2, 5),  # in flight when the refused one was sent, answered or not
        ([(1.0, 1.1)] * 3, 0, 3),
        ([(0.9, 1.0)] * 3, 4, 4),  # answered before
        ([(1.01, 1.1)] * 3, 4, 4),  # sent after
        ([], 0, 1),
        ([], 30, 10),
    ],
)
def test_a_number_in_flight_is_lowered_to_what_was_accepted(accepted: list[tuple[float, float]], before: int, cap: float) -> None:
    met = known(in_flight=10.0)
    for sent, now in accepted:
        met.accepted(sent, now)
    assert not met.refused(1.0, 1.2, before)
    assert met.cap == cap
    assert met.lowered_at == 1.2


def test_at_most_100_are_remembered_for_that() -> None:
    met = known(in_flight=1000.0)
    for _ in range(120):
        met.accepted(1.0, 1.1)
    met.refused(1.0, 1.2, 0)
    assert met.cap == 100


@pytest.mark.parametrize(
    ("sent", "told", "before", "cap", "evidence"),
    [
        (2.0, None, 5, 5, 1.1),  # lowers what a refusal found before, and is no evidence
        (2.0, None, 20, 10, 1.1),
        (2.0, None, 0, 1, 1.1),
        (1.9, 4.99, 5, 5, 1.1),
        (2.001, None, 20, 10, 2.2),
        (2.0, 5.0, 20, 10, 2.2),
    ],
)
def test_a_refusal_of_what_was_sent_before(sent: float, told: float | None, before: int, cap: float, evidence: float) -> None:
    met = known(in_flight=10.0)
    met._accepted_at = 1.9
    met.refused(1.0, 2.0, 20)
    met.refused(sent, 2.1, before, told)
    assert met.cap == cap
    assert met.evidence == pytest.approx(evidence)


def test_a_short_pause_told_to_what_was_sent_after_all_that_was_accepted_is_evidence() -> None:
    met = known(rate=10.0)
    met.accepted(1.0, 1.1)
    met.accepted(0.5, 1.2)
    met.refused(1.0, 2.0, 0)
    assert not met.refused(1.0, 2.1, 0, 1.0)
    assert met.refused(1.001, 2.1, 0, 1.0)


def test_without_a_limit_all_refusals_count() -> None:
    """Those of a burst too: they were all sent before the first one was refused."""
    met = Meter()
    assert [met.refused(1.0, 1.1, 0) for _ in range(4)] == [False, False, False, True]


def accept(to: Meter, number: int, since: float, until: float) -> None:
    """Let so many be accepted in a time. The first one marks its beginning."""
    for each in range(number):
        now = since + (until - since) * each / number
        to.accepted(now - 0.01, now)


@pytest.mark.parametrize(
    ("number", "seconds", "rate"),
    [
        (0, 1.0, 10.0),  # nothing is measured yet
        (4, 1.0, 9.5),  # a twentieth at most: it may be by chance
        (39, 4.0, 9.75),
        (40, 4.0, 10.0),
        (60, 4.0, 10.0),
    ],
)
def test_a_rate_is_lowered_a_little(number: int, seconds: float, rate: float) -> None:
    met = known(rate=10.0)
    accept(met, number, 1.0, 1.0 + seconds)
    assert not met.refused(0.99 + seconds, 1.0 + seconds, 0)
    assert met.rate == pytest.approx(rate)
    assert met.free(1.0 + seconds, 0) == 0  # what was saved up is gone
    assert met.opens(1.0 + seconds, 0, 0)[0] == pytest.approx(1 / met.rate)
    assert met.lowered_at == 1.0 + seconds


@pytest.mark.parametrize(
    ("number", "seconds", "rate"),
    [
        (0, 2.0, 9.5),
        (10, 2.0, 5.0),  # enough to be believed
        (9, 2.0, 7.0),
        (9, 1.125, 8.0),
        (9, 0.5, 9.5),
        (20, 1.0, 10.0),
    ],
)
def test_a_rate_is_lowered_by_a_pause(number: int, seconds: float, rate: float) -> None:
    """To what was accepted since the last refusal."""
    met = known(rate=10.0)
    met.accepted(0.5, 0.6)
    met.refused(0.99, 1.0, 0)
    met.pace.change(10.0, 1.0)
    accept(met, number, 1.0, 1.0 + seconds)
    assert met.refused(0.99 + seconds, 1.0 + seconds, 0, 5.0) is True
    assert met.rate == pytest.approx(10.0 if not number else rate)  # nothing accepted: it was lowered just now


def test_the_least_rate() -> None:
    met = known(rate=1 / 59)
    accept(met, 1, 1.0, 100.0)
    met.refused(99.0, 100.0, 0, 5.0)
    assert met.rate == 1 / 60


def test_the_first_pause_ends_a_burst_which_tells_nothing() -> None:
    met = Meter()
    answers(met, "a" * 20 + "rrrr")
    assert met.pause is not None
    assert met.rate == INF


# -- trials


def binding(to: Meter, now: float) -> None:
    """Somebody has to wait."""
    to.free(now, 1000)
    while to.free(now, 0) >= 1 and to.rate < INF:
        to.send(now)


def try_at(to: Meter, now: float, trip: float = 0.01) -> float:
    """Let one be accepted while others wait; return the limit then."""
    binding(to, now)
    to.accepted(now - trip, now)
    return to.rate if to.rate < INF else to.cap


def refuse(to: Meter, now: float, before: int = 1000) -> None:
    to.refused(now - 0.001, now, before)


def test_a_rate_is_raised_in_steps() -> None:
    met = known(rate=10.0)
    refuse(met, 10.0)
    steps = [(11.99, 1), (12.0, 1.05), (12.24, 1.05), (12.25, 1.05 * 1.1), (12.49, 1.05 * 1.1), (12.5, 1.386)]
    steps += [(12.75, 1.386 * 1.3), (13.0, 1.386 * 1.3**2), (13.25, 1.386 * 1.3**3)]
    for now, factor in steps:
        assert try_at(met, now) == pytest.approx(10 * factor), now


def test_steps_take_the_time_of_an_answer() -> None:
    met = known(rate=10.0)
    met.accepted(0.0, 1.0)
    refuse(met, 10.0)
    found = [try_at(met, now, 1.0) for now in (12.0, 12.99, 13.0, 13.99, 14.0)]
    assert found == pytest.approx([9.975, 9.975, 10.9725, 10.9725, 13.167])


def test_only_what_binds_is_raised() -> None:
    met = known(rate=10.0)
    refuse(met, 10.0)
    met.accepted(12.99, 13.0)
    assert met.rate == 10.0
    assert try_at(met, 13.1) == 10.5
    met.accepted(13.49, 13.5)  # nobody has waited since
    assert met.rate == 10.5


@pytest.mark.parametrize(("cap", "raised"), [(8.0, 9.0), (60.0, 63.0), (95.0, 99.75), (96.0, INF), (99.0, INF)])
def test_a_number_in_flight_is_raised(cap: float, raised: float) -> None:
    """By one at least. A hundred is no limit."""
    met = known(in_flight=cap)
    refuse(met, 10.0)
    assert [try_at(met, 11.99), try_at(met, 12.0)] == [cap, raised]


@pytest.mark.parametrize(
    ("accepted", "rate"),
    [
        (1, 10.0),  # back to what was good before all raises
        (21, 10.5 * 0.98039),
        (30, 10.5),  # at most to what was good before the last one
    ],
)
def test_a_refusal_undoes_a_raise(accepted: int, rate: float) -> None:
    met = known(rate=10.0)
    refuse(met, 10.0)
    for now in (12.0, 12.25):
        try_at(met, now)
    assert met.rate == pytest.approx(11.55)
    met._since, met._count = 12.0, accepted
    refuse(met, 14.04)
    assert met.rate == pytest.approx(rate, rel=1e-3)


def test_a_refusal_undoes_a_raise_of_a_number_in_flight() -> None:
    met = known(in_flight=8.0)
    refuse(met, 10.0)
    assert [try_at(met, 12.0), try_at(met, 12.25)] == [9.0, 10.0]
    refuse(met, 12.5)
    assert met.cap == 9.0


def test_a_pause_undoes_a_raise() -> None:
    """Where others are concerned too."""
    for counted, rate in ((1, 10.0), (21, 10.294), (300, 10.5)):
        met = known(rate=10.0)
        refuse(met, 10.0)
        for now in (12.0, 12.25):
            try_at(met, now)
        met._since, met._count = 12.0, counted
        met.refused(14.03, 14.04, 0, 5.0)
        assert met.rate == pytest.approx(rate, rel=1e-3)


def test_each_failed_trial_makes_the_hold_longer() -> None:
    met, now, holds = known(rate=10.0), 10.0, []
    refuse(met, now)
    for _ in range(6):
        before = met.rate
        begun, tried = now, now
        while met.rate == before:
            tried += 0.001
            met.evidence = 0.0
            try_at(met, tried)
        holds.append(round(tried - begun, 3))
        now = tried + 0.01
        refuse(met, now)
    assert holds == pytest.approx([2.0, 2.4, 2.88, 3.456, 4.0, 4.0], abs=0.002)


def test_a_refusal_in_the_hold_makes_it_begin_again() -> None:
    met = known(rate=10.0)
    refuse(met, 10.0)
    accept(met, 60, 10.1, 11.0)
    refuse(met, 11.0)
    rate = met.rate
    assert [try_at(met, now) / rate for now in (12.99, 13.0)] == pytest.approx([1.0, 1.05])


@pytest.mark.parametrize(("limit", "later"), [("rate", 180.0), ("in_flight", 180.0)])
def test_a_limit_fades(limit: Any, later: float) -> None:
    """From the last refusal on; before the first one, from the first answer on."""
    met = known(**{limit: 5.0})
    met.accepted(1.0, 2.0)
    met.accepted(1.5 + later, 2.0 + later)
    assert met.known
    met.accepted(1.5 + later, 2.5 + later)
    assert met.quiet
    met = known(**{limit: 5.0})
    met.accepted(1.0, 2.0)
    refuse(met, 100.0)
    met.accepted(99.5 + later, 100.0 + later)
    assert met.known
    met.accepted(99.5 + later, 100.5 + later)
    assert not met.known


@pytest.mark.parametrize(("rate", "left"), [(99_999.0, 99_999.0), (100_000.0, 100_000.0), (100_001.0, INF)])
def test_the_highest_rate(rate: float, left: float) -> None:
    met = known(rate=rate)
    met.accepted(1.0, 1.1)
    assert met.rate == left

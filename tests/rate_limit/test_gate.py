"""A key and its routes, step by step: what may go, and whom a refusal concerns. Time is an argument."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from ratewise._core.key_state import Ticket
from ratewise._http.rate_limit_headers import NO_FIELDS, Quota
from ratewise.rate_limit.gate import MOST_ROUTES, Gate
from ratewise.rate_limit.lane import Lane, Sent, Signal
from ratewise.rate_limit.stated import StatedLimit

INF = math.inf

SPENT = NO_FIELDS._replace(quotas=(Quota("", 100, 0, 30, 1.0, None, "requests", "window"),))

NUMBERS: Iterator[int] = count()


class Key:
    """A gate without queues: requests are sent and answered."""

    def __init__(self, **settings: Any) -> None:
        self.gate = Gate(**{"opening": False, **settings})

    def send(self, route: str, now: float) -> Sent:
        return self.gate.send(self.gate.lane(route), now, next(NUMBERS))

    def answer(self, route: str, sent: Sent, now: float, signal: Signal = Signal.REFUSED, **told: Any) -> bool:
        lane = self.gate.lane(route)
        self.gate.gone(lane, sent)
        return self.gate.answered(lane, signal, NO_FIELDS._replace(**told), sent, now)

    def refused(self, route: str, now: float, number: int = 1, **told: Any) -> bool:
        """So many are sent, each refused after a millisecond. Return whether the last one concerns others."""
        concerns = False
        for each in range(number):
            concerns = self.answer(route, self.send(route, now + each / 100), now + each / 100 + 0.001, **told)
        return concerns

    def accepted(self, route: str, now: float, number: int = 1) -> None:
        for each in range(number):
            self.answer(route, self.send(route, now + each / 100), now + each / 100 + 0.001, Signal.ACCEPTED)

    def shut(self, route: str) -> bool:
        return self.gate.lane(route).meter.pause is not None


# -- the width of the wire


@pytest.mark.parametrize(("after", "free"), [(0.0, 17), (0.0099, 17), (0.01, 20), (1.0, 20)])
def test_what_is_sent_at_once(after: float, free: float) -> None:
    """At most the width in 10 ms."""
    key = Key()
    assert key.gate.free(0.0) == 100
    key.gate.width = 20
    for _ in range(3):
        key.send("/a", 1.0)
    assert key.gate.free(1.0 + after) == free


def test_it_is_counted_from_the_first_one_on() -> None:
    key = Key()
    key.gate.width = 3
    for now in (1.0, 1.009, 1.011):
        key.send("/a", now)
    assert key.gate.free(1.012) == 2
    lane = key.gate.lane("/a")
    assert key.gate.opens(lane, 1.012, 0) == (0.0, "")
    key.send("/a", 1.012)
    key.send("/a", 1.012)
    assert key.gate.free(1.012) == 0
    assert key.gate.opens(lane, 1.012, 0) == (pytest.approx(0.009), "many are sent at once")
    assert key.gate.opens(lane, 1.022, 0) == (0.0, "")


# -- the first answer


def test_one_goes_first() -> None:
    key = Key(opening=True)
    lane = key.gate.lane("/a")
    assert key.gate.free(5.0) == 1
    sent = key.send("/a", 5.0)
    assert key.gate.free(5.0) == 0
    assert key.gate.may_go_anyway(lane, 5.0)
    assert key.gate.opens(lane, 5.4, 0) == (pytest.approx(0.6), "waiting for the first response")
    key.answer("/a", sent, 5.5, Signal.FAILED)
    assert key.gate.free(5.6) == 100
    assert not key.gate.may_go_anyway(lane, 5.6)


@pytest.mark.parametrize(("now", "free"), [(5.999, 0), (6.0, 100)])
def test_a_second_at_most(now: float, free: int) -> None:
    key = Key(opening=True)
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    key.send("/a", 5.0)
    assert key.gate.free(now) == free
    assert key.gate.may_go_anyway(lane, now) is (free == 0)


def test_if_the_first_one_is_lost_another_one_goes() -> None:
    """The second counts from the first one on."""
    key = Key(opening=True)
    lane = key.gate.lane("/a")
    key.gate.lost(lane, key.send("/a", 5.0))
    assert key.gate.free(5.2) == 1
    assert key.gate.opens(lane, 5.2, 0) == (0.0, "")
    key.send("/a", 5.2)
    assert key.gate.free(5.9) == 0
    assert key.gate.free(6.0) == 100


def test_what_goes_in_the_end() -> None:
    """What only an outage, or the wait for the first answer, holds back. What the user stated holds all the same."""
    for user in ("", "stated", "concurrency"):
        for opening in (True, False):
            settings: Any = {user: StatedLimit(5, 1, 2) if user == "stated" else 1} if user else {}
            key = Key(opening=opening, **settings)
            lane = key.gate.lane("/a")
            assert isinstance(lane, Lane)
            key.send("/a", 5.0)
            assert key.gate.may_go_anyway(lane, 5.0) is opening
            for now in (5.001, 5.002, 5.003, 5.004):
                key.answer("/a", Sent(now, 0, now), now + 0.001, Signal.FAILED)
            assert lane.down
            assert key.gate.opens_in_outage(5.1) == 0
            assert key.gate.may_go_anyway(lane, 5.1)
            key.send("/a", 5.1)
            lane.taken.add(None)
            wait = {"": 0.0, "stated": 0.1, "concurrency": INF}[user]
            assert key.gate.opens_in_outage(5.1) == pytest.approx(wait)
            assert key.gate.may_go_anyway(lane, 5.1) is (not wait)


# -- limits of the user


def test_concurrency() -> None:
    """What is taken counts until the end of its body, over all routes."""
    key = Key(concurrency=3)
    tickets = [Ticket("key", None, None, number, False) for number in range(4)]
    for ticket, route in zip(tickets, "/a /b /b".split()):
        key.gate.lane(route).taken.add(ticket)  # type: ignore[arg-type]
    lane = key.gate.lane("/a")
    assert key.gate.taken == 3
    assert key.gate.free(1.0) == 0
    assert key.gate.opens(lane, 1.0, 0) == (INF, "concurrency limit reached (3 in flight)")
    assert isinstance(lane, Lane)
    assert lane.next_available(1.0) == 1.0  # whoever holds a place may be gone
    lane.taken.clear()
    assert key.gate.free(1.0) == 1
    assert key.gate.opens(lane, 1.0, 0) == (0.0, "")


def test_stated() -> None:
    key = Key(stated=StatedLimit(5, 1, 2))
    lane = key.gate.lane("/a")
    assert key.gate.free(1.0) == 2
    for _ in range(2):
        key.send("/a", 1.0)
    assert key.gate.free(1.0) == 0
    assert key.gate.opens(lane, 1.0, 0, 0) == (pytest.approx(0.2), "the stated limit is used up")
    assert key.gate.opens(lane, 1.0, 0, 2)[0] == pytest.approx(0.6)
    assert key.gate.in_use(1.3)
    assert not key.gate.in_use(1.5)


# -- whom a refusal concerns


def test_of_a_call() -> None:
    key = Key()
    assert [key.refused("/a", number) for number in (1.0, 2.0, 3.0)] == [False] * 3
    assert not key.shut("/a")
    assert key.refused("/a", 4.0)
    assert key.shut("/a")
    assert not key.gate.wide


def test_of_a_route() -> None:
    key = Key()
    key.accepted("/b", 0.9)
    key.refused("/a", 1.0, 4)
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    assert lane.paused is lane.meter
    assert not lane.down
    other = key.gate.lane("/b")
    assert isinstance(other, Lane)
    assert other.paused is None
    assert not other.down
    assert other.available(1.1) == 100


def test_of_all_routes() -> None:
    """Another one is refused too, with nothing accepted in between."""
    key = Key()
    key.refused("/a", 1.0, 4)
    assert key.refused("/b", 1.1)
    assert key.gate.wide
    for route in ("/a", "/b", "/c"):
        lane = key.gate.lane(route)
        assert isinstance(lane, Lane)
        assert lane.paused is key.gate.meter
        assert lane.available(1.101) == 0
        assert key.gate.opens(lane, 1.101, 0)[1] == "the server refuses"
        assert not key.shut(route)


def test_not_if_something_was_accepted_in_between() -> None:
    key = Key()
    key.refused("/a", 1.0, 4)
    key.accepted("/b", 1.1)
    assert not key.refused("/b", 1.2)
    assert not key.gate.wide


def test_what_was_sent_before_the_first_one_shut_says_nothing() -> None:
    """Neither its acceptance nor its refusal."""
    key = Key()
    early = [key.send("/b", 1.0) for _ in range(3)]
    key.refused("/a", 1.0, 4)  # shut in second 1.031
    assert not key.answer("/b", early[0], 1.2)
    assert not key.gate.wide
    key.answer("/b", early[1], 1.3, Signal.ACCEPTED)
    key.gate.lane("/b").accepted_at = -INF  # type: ignore[attr-defined]
    assert key.refused("/c", 1.4)
    assert key.gate.wide


def test_refusals_of_the_same_route_widen_nothing() -> None:
    key = Key()
    key.refused("/a", 1.0, 4)
    assert key.refused("/a", 2.0)
    assert not key.gate.wide


@pytest.mark.parametrize(("accepted", "wide"), [(0.4, True), (0.1006, True), (0.102, False), (0.9, False)])
def test_a_route_that_goes_shows_that_it_is_not_about_all(accepted: float, wide: bool) -> None:
    """If it was accepted in the last second, and not refused since the first one was shut."""
    key = Key()
    key.accepted("/c", accepted if accepted > 0.5 or not wide else accepted - 0.05)
    key.refused("/a", 1.0, 4)
    now = 1.1 if accepted != 0.4 else 1.9
    key.refused("/b", now)
    assert key.gate.wide is wide


def test_a_route_that_went_and_is_refused_shows_nothing() -> None:
    key = Key()
    key.accepted("/b", 0.9)
    key.refused("/a", 1.0, 4)
    assert key.refused("/b", 1.1)
    assert key.gate.wide


@pytest.mark.parametrize(("first", "second"), [("/a", "/b"), ("/b", "/a")])
def test_all_are_held_by_what_was_learnt_of_the_first_one(first: str, second: str) -> None:
    key = Key()
    key.gate.lane(first).meter.restore({"rate": 5.0})  # type: ignore[attr-defined]
    key.refused(first, 1.0, 2)
    meter = key.gate.lane(first).meter  # type: ignore[attr-defined]
    assert key.refused(second, 1.1)
    assert key.gate.meter is meter
    assert meter.pause.refused_at == 1.1


def test_if_the_first_one_is_open_again_by_what_is_learnt_of_the_other() -> None:
    key = Key()
    late = key.send("/a", 1.0305)
    key.refused("/a", 1.0, 4)
    key.answer("/a", late, 1.05, Signal.ACCEPTED)
    assert not key.shut("/a")
    meter = key.gate.lane("/b").meter  # type: ignore[attr-defined]
    key.gate.lane("/a").accepted_at = -INF  # type: ignore[attr-defined]
    key.refused("/b", 1.1)
    assert key.gate.wide
    assert key.gate.meter is meter


def test_the_server_says_that_it_is_about_all() -> None:
    key = Key()
    assert not key.refused("/a", 1.0, everyone=True)
    assert key.gate.wide
    assert key.refused("/b", 2.0, retry_after=30.0)
    assert key.gate.free(2.1) == 0
    meter = key.gate.meter
    key.refused("/a", 3.0, everyone=True)
    assert key.gate.meter is meter


def test_about_one_route_after_all() -> None:
    """Its refusals pile up while the key does not suffer."""
    key = Key()
    key.gate.restore({"*": {"rate": 1000.0}}, str)
    for number in range(10):
        key.accepted("/b", 1.0 + number, 20)
        concerns = key.refused("/a", 1.5 + number)
        if not key.gate.wide:
            break
    assert number == 3
    assert concerns
    assert key.shut("/a")
    assert not key.gate.meter.known
    assert key.gate.lane("/a").meter.evidence >= 4.4  # type: ignore[attr-defined]


def test_about_the_key_if_that_suffers() -> None:
    key = Key()
    key.gate.restore({"*": {"in_flight": 50.0}}, str)
    held = [key.send("/c", 0.5) for _ in range(60)]
    assert held
    key.refused("/a", 1.0, 4)
    assert key.gate.wide
    assert key.gate.meter.pause is not None
    assert key.gate.lane("/a").meter.evidence == pytest.approx(3.3 + 1.1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("signal", [Signal.FAILED, Signal.OVERLOADED])
def test_failures(signal: Signal) -> None:
    key = Key()
    sent = [key.send("/a", 1.0 + number / 100) for number in range(4)]
    returned = [key.answer("/a", each, each.at + 0.001, signal) for each in sent]
    assert returned == [False, False, False, True]
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    assert lane.down
    assert lane.meter.evidence == (0 if signal is Signal.FAILED else pytest.approx(4.4))


def test_a_refusal_that_a_quota_explains_is_no_evidence() -> None:
    key = Key()
    assert key.refused("/a", 1.0, 10, quotas=SPENT.quotas)
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    assert lane.meter.quiet
    assert lane.available(2.0) == 0
    assert key.gate.opens(lane, 2.0, 0)[1] == "the limit of the server is used up"


def test_before_which_requests_it_was_sent() -> None:
    """A number in flight is lowered to those of its route that were sent before and are not answered; of a key, of all routes."""
    key = Key()
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    lane.meter.restore({"in_flight": 50.0})
    for now in (0.5, 1.0, 1.5):
        key.send("/a", now)
        key.send("/b", now)
    sent = key.send("/a", 1.0)
    assert lane.before(1.0) == 3
    key.answer("/a", sent, 2.0)
    assert lane.meter.cap == 2
    key.gate.restore({"*": {"in_flight": 50.0}}, str)
    key.answer("/a", key.send("/a", 2.5), 2.6)
    assert key.gate.meter.cap == 6


# -- routes


def test_64_routes_are_told_apart() -> None:
    """Those that nothing is known of make room; else the others share one."""
    key = Key()
    lanes = [key.gate.lane(f"/{number}") for number in range(MOST_ROUTES)]
    assert MOST_ROUTES == 64
    assert len(set(map(id, lanes))) == 64
    assert list(key.gate.lanes_in_use()) == lanes
    key.gate.lane("/0").unanswered.add(1)  # type: ignore[attr-defined]
    assert key.gate.lane("/new") is not key.gate.lane("/0")
    assert "/0" in key.gate.lanes
    assert "/1" not in key.gate.lanes
    assert len(key.gate.lanes) == 64
    for each in key.gate.lanes.values():
        each.unanswered.add(1)
    shared = key.gate.lane("/more")
    assert shared is key.gate.lane("/still more") is key.gate.lanes[None]
    assert len(key.gate.lanes) == 65
    assert key.gate.lane("/0") is lanes[0]


def test_what_restored_limits_are_about() -> None:
    key = Key()
    first = key.gate.lane("/a")
    assert isinstance(first, Lane)
    key.gate.quiet = True
    key.gate.restore({"/a": {"rate": 5.0}, "/b": {"in_flight": 3.0}}, str)
    assert not key.gate.quiet
    assert first.meter.rate == 5.0
    assert key.gate.kept(str) == {"/a": {"rate": 5.0}, "/b": {"in_flight": 3.0}}
    second = key.gate.lane("/b")
    assert isinstance(second, Lane)
    assert second.meter.cap == 3.0
    assert key.gate.lane("/c").own(1.0) == 1_000_000
    assert key.gate.kept(str) == {"/a": {"rate": 5.0}, "/b": {"in_flight": 3.0}}
    key.gate.quiet = True
    key.gate.restore({}, str)
    assert key.gate.quiet


def test_what_is_kept_of_all_routes() -> None:
    key = Key()
    key.gate.restore({"*": {"rate": 5.0}}, str)
    assert key.gate.wide
    assert key.gate.free(1.0) == 1
    assert key.gate.kept(str) == {"*": {"rate": 5.0}}
    key.gate.meter.restore({"rate": INF})
    assert key.gate.kept(str) == {}


# -- what is known of requests on their way


def test_flying() -> None:
    key = Key()
    first, _second = key.send("/a", 1.0), key.send("/b", 1.0)
    assert key.gate.flying == 2
    key.gate.gone(key.gate.lane("/a"), key.gate.passes(1.0))
    assert key.gate.flying == 2
    key.gate.lost(key.gate.lane("/a"), first)
    assert key.gate.flying == 1
    assert first._replace(token=None) == (1.0, 0, None, 0)
    assert _second._replace(token=None) == (1.0, 1, None, 1)
    assert key.gate.passes(2.0) == (2.0, 2, None, 0)


@pytest.mark.parametrize(("slow", "after", "number"), [(0, 0.99, 3), (0, 1.0, 0), (3, 1.9, 3), (3, 1.91, 0)])
def test_what_a_quota_may_not_have_counted(slow: int, after: float, number: int) -> None:
    """What was sent in the last second and is not answered, or in twice the time of an answer, which is here 0.953 s."""
    key = Key()
    key.answer("/a", key.send("/a", 0.0), 0.0, Signal.ACCEPTED, quotas=SPENT.quotas)
    key.answer("/c", key.send("/c", 0.0), 0.0, Signal.ACCEPTED)
    for now in range(slow):
        key.answer("/c", key.send("/c", now), now + 4.0, Signal.ACCEPTED)
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    for route in ("/a", "/a", "/b", "/c"):  # the quotas of /b are not known, /c has none
        key.send(route, 10.0)
    assert key.gate.recent(lane.quotas[0], 10.0 + after) == number


def test_an_answer_that_does_not_tell_of_a_used_up_quota_ends_it() -> None:
    key = Key()
    key.refused("/a", 1.0, quotas=SPENT.quotas)
    key.answer("/a", key.send("/a", 2.0), 2.1)
    assert key.gate.lanes["/a"].quotas
    key.accepted("/a", 3.0)
    assert key.gate.lanes["/a"].quotas == ()


@pytest.mark.parametrize(
    ("told", "later", "used"), [(600.0, 659.0, True), (600.0, 661.0, False), (None, 60.1, True), (None, 60.2, False)]
)
def test_a_pause_keeps_the_key(told: float | None, later: float, used: bool) -> None:
    """A minute longer than it lasts."""
    key = Key()
    key.refused("/a", 1.0, 1 if told else 4, retry_after=told)
    assert key.gate.in_use(1.0 + later) is used


def test_a_quota_keeps_the_key() -> None:
    key = Key()
    assert not key.gate.in_use(1.0)
    key.refused("/a", 1.0, quotas=SPENT.quotas)
    assert key.gate.in_use(2.0)
    assert not key.gate.in_use(1000.0)
    key.gate.lane("/a").taken.add(None)
    assert key.gate.in_use(1000.0)


def test_quiet() -> None:
    """Nothing holds anyone back."""
    key = Key()
    assert not key.gate.quiet
    key.accepted("/a", 1.0)
    assert key.gate.quiet
    key.refused("/a", 2.0)
    assert not key.gate.quiet
    key.accepted("/a", 3.0, 10)
    assert key.gate.quiet
    key.refused("/b", 4.0, quotas=SPENT.quotas)
    assert not key.gate.quiet
    for settings in ({"concurrency": 5}, {"stated": StatedLimit(5, 1, 5)}):
        key = Key(**settings)
        key.accepted("/a", 1.0)
        assert not key.gate.quiet
    key = Key()
    key.refused("/a", 1.0, everyone=True)
    key.accepted("/a", 2.0)
    assert not key.gate.quiet
    key.accepted("/a", 3.0, 10)
    assert key.gate.quiet


def test_a_fork_inherits_what_is_known() -> None:
    """Nothing is on its way there."""
    key = Key(opening=True)
    key.answer("/a", key.send("/a", 1.0), 1.1, Signal.ACCEPTED, quotas=(SPENT.quotas[0]._replace(remaining=50),))
    key.refused("/b", 2.0, 4)
    key.refused("/c", 2.1)
    now = key.gate.opens(key.gate.lane("/c"), 2.1, 0)[0] + 2.1
    probe = key.send("/c", now)
    assert probe
    assert key.gate.free(now) == 0
    other = key.gate.inherited()
    assert (other.flying, other.wide, set(other.lanes)) == (0, True, {"/a", "/b", "/c"})
    assert other.free(now) == 1
    assert [lane.gate for lane in other.lanes.values()] == [other] * 3
    first, was = other.lanes["/a"], key.gate.lanes["/a"]
    assert (first.quotas, first.answered, first.meter) == (was.quotas, True, was.meter)
    assert other._refused is None


@pytest.mark.parametrize("wide", [False, True])
def test_a_probe_that_is_lost(wide: bool) -> None:
    """Another one goes."""
    key = Key()
    key.refused("/a", 1.0, 4)
    if wide:
        key.refused("/b", 1.1)
    lane = key.gate.lane("/a")
    assert isinstance(lane, Lane)
    probe = key.send("/a", 1.4)
    assert lane.available(1.5) == 0
    key.gate.lost(lane, probe)
    assert lane.available(1.5) == 1

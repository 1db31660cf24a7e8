"""A route, step by step: what may go there, when its queue looks again, and who lines up where. Time is an argument."""

from __future__ import annotations

import pytest

from ratewise._core.key_state import Ticket
from ratewise.rate_limit.lane import AGAIN, LOOK, UNLIMITED, Lane
from tests.rate_limit.test_gate import SPENT, Key, Signal


@pytest.mark.parametrize(("told", "seconds"), [(None, 0.1), (600.0, 60.0), (30.0, 30.0), (-1.0, AGAIN)])
def test_next_available(told: float | None, seconds: float) -> None:
    key = Key()
    lane = key.gate.lane("/a")
    assert (AGAIN, LOOK, UNLIMITED) == (0.001, 60, 1_000_000)
    if told is None:
        key.refused("/a", 0.97, 4)
    elif told > 0:
        key.refused("/a", 1.001 - 0.001, retry_after=told)
    assert lane.next_available(1.001) == pytest.approx(seconds, abs=0.0011)


def test_own_and_common() -> None:
    key = Key()
    lane = key.gate.lane("/a")
    assert (lane.own(1.0), lane.common(1.0), lane.available(1.0)) == (1_000_000, 100, 100)
    lane.meter.restore({"in_flight": 3.0})
    assert (lane.own(1.0), lane.available(1.0)) == (3, 3)
    key.gate.width = 2
    assert lane.available(1.0) == 2


@pytest.mark.parametrize("what", ["taken", "unanswered", "quotas", "evidence"])
def test_what_keeps_a_route(what: str) -> None:
    lane = Key().gate.lane("/a")
    assert isinstance(lane, Lane)
    assert not lane.in_use(0.0)
    if what == "evidence":
        lane.meter.evidence = 1.0
    elif what == "quotas":
        lane.quotas = (1,)  # type: ignore[assignment]
    else:
        getattr(lane, what).add(1)
    assert lane.in_use(0.0)


def test_what_is_asked_together() -> None:
    key = Key()
    lane = key.gate.lane("/a")
    assert lane.together() == (lane,)
    other, third = key.gate.lane("/b"), key.gate.lane("/c")
    third.queue.append(1)  # type: ignore[arg-type]
    assert lane.together() == [lane, third]
    assert other.together() == [other, third]


@pytest.mark.parametrize(("now", "free"), [(3600.9, 0), (3601.1, 1)])
def test_after_an_hour_one_asks_whether_a_quota_still_holds(now: float, free: int) -> None:
    key = Key()
    key.refused("/a", 1.0, quotas=(SPENT.quotas[0]._replace(reset=100_000.0),))
    lane = key.gate.lane("/a")
    assert lane.available(now) == free
    key.send("/a", now)
    assert lane.available(now) == 0


def test_of_a_new_route_one_asks_by_which_quotas_it_is_bound() -> None:
    """While that is used up which all others share."""
    key = Key()
    key.refused("/a", 1.0, quotas=SPENT.quotas)
    new = key.gate.lane("/b")
    assert key.gate.quotas_of(new) == set(key.gate.lanes["/a"].quotas)
    assert new.available(2.0) == 1
    key.send("/b", 2.0)
    assert new.available(2.0) == 0
    assert key.gate.lane("/a").available(2.0) == 0
    key.answer("/c", key.send("/c", 2.0), 2.1, Signal.ACCEPTED)
    assert key.gate.quotas_of(new) == set()


def test_a_ticket_that_is_gone_is_not_on_its_way() -> None:
    key = Key()
    lane = key.gate.lane("/a")
    ticket = Ticket("key", "/a", lane, 1, False)
    lane.acquire(ticket, 1.0)
    assert key.gate.flying == 1
    del ticket
    assert key.gate.flying == 0


def test_who_comes_after_an_outage_lines_up_between_those_who_have_waited() -> None:
    class Entry:
        number = 3.0

    lane = Key().gate.lane("/a")
    assert isinstance(lane, Lane)
    assert lane.queue_number(20) == 20
    lane.queue.append(Entry())  # type: ignore[arg-type]
    lane.reopen(8)
    assert [lane.queue_number(number) for number in range(20, 30)] == [3.5, 4.5, 5.5, 6.5, 7.5, 25, 26, 27, 28, 29]
    lane.reopen(8)
    lane.queue.clear()
    assert lane.queue_number(30) == 30
    lane.queue.append(Entry())  # type: ignore[arg-type]
    assert lane.queue_number(31) == 31

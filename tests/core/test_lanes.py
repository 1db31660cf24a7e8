"""Several queues of one key, which share its slots: in order of arrival, and none that is held back blocks another."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._core import admission
from ratewise._core.admission import Queue, wait_turn
from ratewise._core.call_state import CallState
from ratewise._core.key_state import KeyEntry, KeyState
from ratewise.testing import FakeClock
from tests.kit.world import World


class Key(KeyEntry):
    """A key with so many slots, and routes with limits of their own."""

    def __init__(self, slots: float) -> None:
        self.slots, self.routes, self.kept = slots, dict[Any, Route](), False

    def lane(self, route: Any) -> Route:
        return self.routes.setdefault(route, Route(self))

    def lanes_in_use(self) -> list[Route]:
        return list(self.routes.values())

    def in_use(self, now: float) -> bool:
        return self.kept


class Route(KeyState):
    """Slots of its own, `more`, and `opens`: the seconds until there are more."""

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key, self.more, self.opens = key, math.inf, math.inf

    def together(self) -> list[Any]:
        return [route for route in self.key.routes.values() if route.queue or route is self]

    def own(self, now: float) -> float:
        return self.more - len(self.taken)

    def common(self, now: float) -> float:
        return self.key.slots - sum(len(route.taken) for route in self.key.routes.values())

    def available(self, now: float) -> int:
        return int(min(self.own(now), self.common(now), 1e6))

    def next_available(self, now: float) -> float:
        return self.opens

    def acquire(self, ticket: Any, now: float) -> None: ...

    def in_use(self, now: float) -> bool:
        return False


class Lanes:
    """A queue for one key, whose tickets are held."""

    def __init__(self, slots: float) -> None:
        self.queue = Queue(lambda _: Key(slots))
        self.key = self.queue.states["key"]
        self.held: list[Any] = []

    def enter(self, route: str, now: float = 0.0, number: float | None = None) -> Any:
        ticket = self.queue.enter("key", now, math.inf, number, route)
        assert ticket is not None
        self.held.append(ticket)
        return ticket

    def offered(self) -> list[float]:
        """The numbers of the tickets that have an offer."""
        return sorted(entry.number for route in self.key.routes.values() for entry in route.queue if entry.offered_at is not None)

    def go_on(self, now: float) -> list[Any]:
        """Admit all that have an offer, in order."""
        there = [one for one in self.held if one.waiting is not None and one.waiting.offered_at is not None]
        return [one for one in sorted(there, key=lambda one: one.number) if self.queue.admit(one, now)]


def test_in_order_of_arrival_over_all_routes() -> None:
    """Whoever waits longest is next, whichever route it is of."""
    lanes = Lanes(1)
    current = lanes.enter("a")
    waiting = [lanes.enter(route) for route in "abba"]
    came = []
    for _ in waiting:
        lanes.queue.leave(current, 0.0)
        (current,) = lanes.go_on(0.0)
        came.append(current)
    assert came == waiting


def test_the_last_of_a_route_wakes_the_others() -> None:
    """A slot that the only request of a route releases is offered to another route at once."""
    lanes = Lanes(1)
    first, second = lanes.enter("a"), lanes.enter("b")
    assert (first.admitted, second.admitted) == (True, False)
    lanes.queue.leave(first, 0.0)
    assert second.waiting.waiter.woken
    assert lanes.queue.admit(second, 0.0)


def test_a_route_that_is_held_back_blocks_no_other() -> None:
    """Requests of a route without slots of its own are passed by, and go first as soon as it has some."""
    lanes = Lanes(2)
    lanes.enter("a")
    shut = lanes.key.lane("b")
    shut.more = 0
    held = [lanes.enter("b") for _ in range(5)]
    passing = lanes.enter("a")
    assert not passing.admitted  # the five may have a claim to the slot: it is offered in turn
    assert lanes.go_on(0.0) == [passing]
    behind = lanes.enter("a")
    lanes.queue.leave(passing, 0.0)
    assert lanes.offered() == [behind.number]
    lanes.queue.poll(behind, 0.0)
    shut.more = 1
    lanes.queue.changed(shut, 0.0)
    assert held[0].number in lanes.offered()
    assert lanes.go_on(0.0) == [held[0]]


def test_a_dead_head_of_another_route() -> None:
    """A ticket of another route that does not answer its offer keeps the slot for OFFER_TIMEOUT, not longer."""
    lanes = Lanes(1)
    first, gone, other = lanes.enter("a"), lanes.enter("b"), lanes.enter("c")
    lanes.queue.leave(first, 0.0)
    assert lanes.offered() == [gone.number]
    lanes.queue.poll(other, admission.OFFER_TIMEOUT / 2)
    assert lanes.offered() == [gone.number]
    lanes.queue.poll(other, admission.OFFER_TIMEOUT)
    assert lanes.offered() == [other.number]
    assert lanes.queue.admit(other, admission.OFFER_TIMEOUT)
    assert not lanes.queue.admit(gone, 2.0)  # it answers at last: it waits again, in its route
    assert [entry.number for entry in lanes.key.lane("b").queue] == [gone.number]


def test_a_head_of_another_route_that_is_gone() -> None:
    """A ticket that nobody holds takes no slot from another route."""
    lanes = Lanes(1)
    first, _, other = lanes.enter("a"), lanes.enter("b"), lanes.enter("c")
    del lanes.held[1], _
    lanes.queue.leave(first, 0.0)
    assert lanes.offered() == [other.number]


def test_who_goes_first() -> None:
    """A request whose route is free goes at once if there are more slots than others wait."""
    lanes = Lanes(3)
    shut = lanes.key.lane("b")
    shut.more = 0
    assert not lanes.enter("b").admitted  # no slot
    assert lanes.enter("a").admitted  # 3 slots for 1 that waits
    assert lanes.enter("a").admitted
    assert not lanes.enter("a").admitted  # the only slot is to be offered to whoever waits longest


def test_late_tickets_find_their_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket whose key was forgotten after its offer expired is counted in the state of its route as it is now."""
    monkeypatch.setattr(admission, "MAX_KEYS", 1)
    lanes = Lanes(1)
    first, late = lanes.enter("a"), lanes.enter("b")
    lanes.queue.leave(first, 0.0)
    passing = lanes.enter("b", admission.OFFER_TIMEOUT)
    assert passing.admitted
    lanes.queue.leave(passing, 2.0)
    assert lanes.queue.enter("another", 2.0, math.inf) is not None
    assert lanes.queue.admit(late, 2.0)
    assert late.state is lanes.queue.states["key"].lane("b") is not lanes.key.lane("b")


def test_a_change_for_the_worse_is_told_to_all_routes() -> None:
    """Those of all routes are woken that give up before there is a slot; `wake_all`: everyone."""
    lanes = Lanes(1)
    lanes.enter("a")
    soon, later = lanes.enter("a"), lanes.enter("b")
    soon.state.opens = later.state.opens = 5.0
    for one, until in ((soon, 4.0), (later, 6.0)):
        lanes.queue.poll(one, 0.0)
        one.waiting.waiter, one.waiting.gives_up_at = admission.Waiter(), until
    lanes.queue.changed(later.state, 0.0, worse=True)
    assert (soon.waiting.waiter.woken, later.waiting.waiter.woken) == (True, False)
    lanes.queue.changed(soon.state, 0.0, worse=True, wake_all=True)
    assert later.waiting.waiter.woken


def test_an_entry_is_kept_while_one_of_its_routes_is_used() -> None:
    """A key is idle only if no request came since it was asked, none waits in any route, and nothing is known that matters."""
    lanes = Lanes(1)
    first, second = lanes.enter("a"), lanes.enter("b")
    key = lanes.key
    assert not key.idle(0.0)  # used
    assert not key.idle(0.0)  # one waits
    lanes.queue.leave(second, 0.0)
    assert key.idle(0.0)
    key.kept = True
    assert not key.idle(0.0)
    assert key.inherited() is None
    lanes.queue.leave(first, 0.0)


def test_after_a_fork() -> None:
    """In a forked process nobody waits in any route."""
    lanes = Lanes(1)
    for route in "aabb":
        lanes.enter(route)
    lanes.queue._after_fork()
    assert [len(route.queue) for route in lanes.key.routes.values()] == [0, 0]
    assert "key" not in dict(lanes.queue.states.items())


def test_a_state_without_limits() -> None:
    """A state of its own shares with nobody."""
    state = admission.Slots(1)
    assert (state.own(0.0), state.common(0.0)) == (math.inf, math.inf)
    assert (*state.together(), *state.lanes_in_use(), state.lane("any")) == (state, state, state)


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 20)), min_size=1, max_size=30),
    st.dictionaries(st.sampled_from("abcd"), st.one_of(st.integers(-5, 5), st.just(math.inf))),
    st.one_of(st.integers(-2, 20), st.just(math.inf)),
)
def test_shares(waiting: list[tuple[str, int]], own: dict[str, float], common: float) -> None:
    """No route gets more than its own limit, all together get what there is, and those who have waited longest get it."""
    lanes = Lanes(0)
    tickets = [lanes.enter(route, number=number) for route, number in waiting]
    lanes.key.slots = common
    for route, more in own.items():
        lanes.key.lane(route).more = more
    states = [route for route in lanes.key.routes.values() if route.queue]
    if len(states) == 1:
        assert admission._shares(states, 0.0) == [states[0].available(0.0)]
        return
    shares = dict(zip(states, admission._shares(states, 0.0)))
    most = {state: max(min(int(min(state.more, 99)), len(state.queue)), 0) for state in states}
    assert all(0 <= share <= most[state] for state, share in shares.items())
    assert sum(shares.values()) == max(min(common, sum(most.values())), 0)
    got = [entry.number for state in states for entry in list(state.queue)[: shares[state]]]
    left = [entry.number for state in states for entry in list(state.queue)[shares[state] : most[state]]]
    assert max(got, default=0) <= min(left, default=math.inf)
    assert len(tickets) == sum(len(state.queue) for state in states)


# -- waiting


async def waited(world: World, check: Any, until: float = 10.0) -> tuple[float, bool]:
    """Wait for a slot that nobody releases; return for how long, and whether it was admitted."""
    lanes, clock = Lanes(1), FakeClock(auto=True)
    began = clock.monotonic()
    lanes.enter("a", began)
    ticket = lanes.enter("a", began)
    end = await wait_turn(lanes.queue, ticket, began + until, CallState(), world.call(None, clock), check and check(began))
    assert ticket.waiting.gives_up_at <= began + until
    return end - began, ticket.admitted


async def test_a_check_says_until_when(world: World) -> None:
    """A wait ends when `check` says; without one, at the time that was given."""
    assert await waited(world, None) == (10.0, False)
    assert await waited(world, lambda began: lambda now: began + 10.0) == (10.0, False)
    assert await waited(world, lambda began: lambda now: began + 2.5) == (2.5, False)
    assert await waited(world, lambda began: lambda now: began + (2.5 if now > began else 10.0)) == (2.5, False)


async def test_a_check_that_allows_no_more(world: World) -> None:
    """It may say so too late: then the wait ends where it stands."""
    ended, admitted = await waited(world, lambda began: lambda now: began + (0.5 if now > began else 10.0))
    assert 0.5 <= ended <= 2 * admission.OFFER_TIMEOUT
    assert not admitted


async def test_a_check_that_raises(world: World) -> None:
    """Its error is that of the wait."""

    def check(began: float) -> Any:
        def checked(now: float) -> float:
            raise RuntimeError("pointless")

        return checked

    with pytest.raises(RuntimeError, match="pointless"):
        await waited(world, check)

"""Tickets that do not answer an offer: the slot is offered to the next one, in order, in any interleaving. By bulkheads."""

from __future__ import annotations

import asyncio
import gc
import types
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratewise import AsyncBulkheadTransport, Bulkhead, Clock, Waiter
from ratewise._core import admission
from ratewise.testing import FakeClock
from tests.bulkhead.bulkheads import ORIGIN, URL, entered, transport
from tests.kit.wire import Scripted
from tests.kit.world import World


async def test_the_next_ticket_notices(world: World) -> None:
    """The head of the queue has vanished: the next ticket gets the slot OFFER_TIMEOUT later, because it polls by itself."""

    class Leaving(FakeClock):
        def _enter(self, wait: Any) -> None:
            bulkhead._queue.leave(first, began)
            super()._enter(wait)

    bulkhead, clock = Bulkhead(1), Leaving(auto=True)
    began = clock.monotonic()
    first, gone = (entered(bulkhead, now=began) for _ in range(2))
    assert (await world.send(transport(world, Scripted(200), bulkhead, clock=clock))).status_code == 200
    assert gone.waiting.waiter.woken
    assert 1 <= clock.elapsed / admission.OFFER_TIMEOUT <= 2


def test_a_full_queue_of_the_gone() -> None:
    """A queue full of vanished tickets does not refuse a request that arrives after their offers expired."""
    bulkhead = Bulkhead(1, max_queue=1)
    first, _ = (entered(bulkhead) for _ in range(2))
    bulkhead._queue.leave(first, 0)
    assert bulkhead._enter(ORIGIN, 0.5) is None  # the offer has not expired
    entered(bulkhead, now=admission.OFFER_TIMEOUT)


def test_a_late_ticket_is_at_the_head_again() -> None:
    """A ticket that answers after its offer expired is admitted if a slot is available, else it waits at the head again."""
    bulkhead = Bulkhead(1)
    first, late, second, third = (entered(bulkhead) for _ in range(4))
    bulkhead._queue.leave(first, 0)
    bulkhead._queue.poll(third, 0.25)
    assert second.waiting.offered_at is None
    bulkhead._queue.poll(third, 1)
    assert (second.waiting.offered_at, third.waiting.offered_at) == (1, None)
    assert bulkhead._queue.admit(second, 1)
    assert not bulkhead._queue.admit(late, 1.5)
    assert bulkhead.get_state() == {"in_flight": 1, "waiting": 2}
    bulkhead._queue.leave(second, 2)
    assert (late.waiting.offered_at, third.waiting.offered_at) == (2, None)
    assert bulkhead._queue.admit(late, 2)
    for _ in range(2):
        bulkhead._queue.leave(late, 2)
        assert bulkhead.get_state() == {"in_flight": 0, "waiting": 1}
    assert bulkhead._queue.admit(third, 2)


def test_a_late_ticket_without_a_queue() -> None:
    """A ticket whose offer expired is admitted when it answers at last, if the slot is available and nobody waits."""
    bulkhead = Bulkhead(1)
    first, late = (entered(bulkhead) for _ in range(2))
    bulkhead._queue.leave(first, 0)
    passing = entered(bulkhead, now=admission.OFFER_TIMEOUT)
    assert passing.admitted
    bulkhead._queue.leave(passing, 2)
    assert bulkhead._queue.admit(late, 2)
    assert bulkhead.get_state() == {"in_flight": 1, "waiting": 0}


def test_a_late_ticket_finds_its_key_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an expired offer, and after many other keys, it is counted in the same state as all others: one slot is one."""
    monkeypatch.setattr(admission, "MAX_KEYS", 1)
    bulkhead = Bulkhead(1)
    first, late, second = (entered(bulkhead) for _ in range(3))
    bulkhead._queue.leave(first, 0)
    bulkhead._queue.poll(second, admission.OFFER_TIMEOUT)
    assert bulkhead._queue.admit(second, admission.OFFER_TIMEOUT)
    bulkhead._queue.leave(second, admission.OFFER_TIMEOUT)
    bulkhead._queue.leave(entered(bulkhead, "another", 2), 2)
    assert [entered(bulkhead, now=2).admitted, bulkhead._queue.admit(late, 2)].count(True) == 1


def test_tickets_that_nobody_holds() -> None:
    """A ticket that nobody holds any more is neither in flight nor in the queue, whether or not it was offered a slot."""
    bulkhead = Bulkhead(1)
    first = bulkhead._enter(ORIGIN, 0)
    second, third, fourth = (bulkhead._enter(ORIGIN, 0) for _ in range(3))
    assert bulkhead.get_state() == {"in_flight": 1, "waiting": 3}
    del third
    gc.collect()
    assert bulkhead.get_state() == {"in_flight": 1, "waiting": 2}
    del first
    gc.collect()
    assert bulkhead.get_state() == {"in_flight": 0, "waiting": 2}
    assert second is not None
    assert fourth is not None
    bulkhead._queue.poll(second, 0)
    bulkhead._queue.poll(fourth, admission.OFFER_TIMEOUT)
    assert bulkhead.get_state() == {"in_flight": 0, "waiting": 1}  # the offer to the second has expired
    del second
    gc.collect()
    assert bulkhead.get_state() == {"in_flight": 0, "waiting": 1}
    assert bulkhead._queue.admit(fourth, admission.OFFER_TIMEOUT)


async def test_an_offer_that_woke_nobody(world: World) -> None:
    """A ticket that was offered a slot takes it when it polls, if what was to wake it was interrupted."""

    class Interrupted(FakeClock):
        def _enter(self, wait: Any) -> None:
            if first.place is not None:
                first.state.forget(first.place)
                first.place = None
                bulkhead._queue._offer(first.state, began)
            super()._enter(wait)

    bulkhead, clock = Bulkhead(1), Interrupted(auto=True)
    began = clock.monotonic()
    first = entered(bulkhead, now=began)
    assert (await world.send(transport(world, Scripted(200), bulkhead, clock=clock))).status_code == 200
    assert clock.elapsed <= 2 * admission.OFFER_TIMEOUT


@types.coroutine
def suspended(waiter: Any = None, end: float = 0) -> Any:
    yield waiter, end


class Stage(Clock):
    """An event loop with its own time, whose steps the test takes, or never takes."""

    def __init__(self, limit: int) -> None:
        self.now, self.limit, self.calls, self.order = 0.0, limit, list[Any](), list[Any]()
        self.overtaken: list[Any] = []
        self.subject = AsyncBulkheadTransport(self, Bulkhead(limit, max_wait=1000), clock=self)  # type: ignore[arg-type]

    def monotonic(self) -> float:
        return self.now

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        await suspended(waiter, self.now + (timeout or 0))
        return waiter.woken

    async def handle_async_request(self, request: Any) -> Any:
        visit = request.extensions["visit"]
        self.order.append(visit)
        before = [] if visit.late else self.calls[: self.calls.index(visit)]
        self.overtaken += [one for one in before if one.there and one.waiter and not (one.waiter.woken or one.late)]
        await suspended()
        return httpx.Response(200)

    def there(self, what: str = "") -> list[Any]:
        there = [call for call in self.calls if call.there and (call.waiter or what != "vanish")]
        return [call for call in there if what != "go on" or not call.waiter or call.waiter.woken or self.now >= call.end]


class Visit:
    """One request on the stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.there, self.late, self.called_at, self.waiter = stage, True, False, None, None
        stage.calls.append(self)
        request = httpx.Request("GET", URL, extensions={"visit": self})
        self.coroutine = stage.subject.handle_async_request(request)
        self.go_on()

    def go_on(self, error: Any = None) -> None:
        stage = self.stage
        self.late |= self.called_at is not None and stage.now - self.called_at >= admission.OFFER_TIMEOUT
        self.called_at = None
        try:
            self.waiter, self.end = self.coroutine.throw(error) if error else self.coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            self.there = False
        assert sum(not call.waiter for call in stage.there()) <= stage.limit
        for call in stage.there("vanish"):
            if call.waiter.woken and call.called_at is None:
                call.called_at = stage.now


STEPS = ["call"] * 4 + ["go on"] * 4 + ["time", "cancel", "vanish"]


@settings(max_examples=1000)
@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), min_size=5, max_size=50))
def test_any_interleaving(limit: int, steps: list[tuple[str, int]]) -> None:
    """In any interleaving of arrivals, cancellations and vanishings: never too many in flight, in order, all others admitted."""
    stage, left = Stage(limit), set[Any]()
    for what, number in steps:
        there = stage.there(what)
        if what == "call":
            Visit(stage)
        elif what == "time":
            stage.now += number / 4
        elif there:
            chosen = there[number % len(there)]
            if what == "go on":
                chosen.go_on()
            else:
                left.add(chosen)
                chosen.go_on(asyncio.CancelledError()) if what == "cancel" else setattr(chosen, "there", False)
    while stage.there():
        for call in stage.there("go on")[:1]:
            call.go_on()
        if not stage.there("go on"):
            stage.now = min((call.end for call in stage.there()), default=0)
    assert {*stage.order, *left} == {*stage.calls}
    assert stage.overtaken == []  # none is admitted before an earlier one has had its offer

"""Single flight against a model: whoever leads, follows, ends or vanishes, in any order and at any time."""

from __future__ import annotations

from typing import Any

from hypothesis import stateful
from hypothesis import strategies as st

from ratewise.cache.single_flight import NOT_SHAREABLE_FOR, Lead, NoResult, SharedRequest, SingleFlight
from tests.kit.stored import stored

MAX_WAIT = 5.0
KEYS, PEOPLE = st.integers(0, 1), st.integers(0, 3)


class Machine(stateful.RuleBasedStateMachine):
    """One leads each key at a time, followers are woken with its result, and a leader that takes too long is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.subject, self.now = SingleFlight(), 1000.0
        self.flights: list[Lead] = []
        """All that were ever begun, in order."""
        self.leading: dict[int, SharedRequest] = {}
        self.unshareable: dict[int, float] = {}
        self.waiting: dict[int, list[Any]] = {}
        """The waiters, by the identity of the request that they wait for."""

    def current(self, key: int) -> SharedRequest | None:
        shared = self.leading.get(key)
        return shared if shared is not None and self.now - shared.began <= MAX_WAIT else None

    @stateful.rule(key=KEYS, me=PEOPLE)
    def join(self, key: int, me: int) -> None:
        before, found = self.current(key), self.subject.join(key, me, self.now, MAX_WAIT)
        if before is None and self.now - self.unshareable.get(key, -1000.0) <= NOT_SHAREABLE_FOR:
            assert found is None
        elif before is None:
            assert isinstance(found, Lead)
            assert (found.shared.leader, found.shared.began, found.shared.result) == (me, self.now, None)
            self.lead(key, found)
        elif before.leader == me:
            assert found is None
        else:
            assert isinstance(found, tuple)
            assert found[0] is before
            self.waiting[id(before)].append(found[1])

    @stateful.rule(key=KEYS, me=PEOPLE)
    def begin(self, key: int, me: int) -> None:
        before, lead = self.current(key), self.subject.begin(key, me, self.now, MAX_WAIT)
        assert (lead is None) is (before is not None)
        if lead is not None:
            self.lead(key, lead)

    def lead(self, key: int, lead: Lead) -> None:
        self.leading[key] = lead.shared
        self.flights.append(lead)
        self.waiting[id(lead.shared)] = []

    @stateful.precondition(lambda self: self.flights)
    @stateful.rule(which=st.integers(0, 30), result=st.sampled_from([NoResult.FAILED, NoResult.NOT_SHAREABLE, stored()]))
    def finish(self, which: int, result: Any) -> None:
        lead = self.flights[which % len(self.flights)]
        shared = lead.shared
        first = shared.result is None
        self.subject.finish(lead, result, self.now)
        assert shared.result is not None
        assert all(waiter.woken for waiter in self.waiting[id(shared)])
        if first:
            assert shared.result is result
            key: Any = shared.key
            if self.leading.get(key) is shared:
                del self.leading[key]
            if result is NoResult.NOT_SHAREABLE:
                self.unshareable[key] = self.now
            assert self.subject.finished.known_since(key, self.now) or isinstance(result, NoResult)

    @stateful.rule(seconds=st.sampled_from([0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @stateful.invariant()
    def same(self) -> None:
        for key in (0, 1):
            assert self.subject.in_progress(key, self.now, MAX_WAIT) is (self.current(key) is not None)
        assert self.subject._requests == self.leading
        unfinished = [lead.shared for lead in self.flights if lead.shared.result is None]
        assert not any(waiter.woken for shared in unfinished for waiter in self.waiting[id(shared)])


test_anything = Machine.TestCase

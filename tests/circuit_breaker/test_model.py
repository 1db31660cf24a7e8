"""The circuit breaker against a model: requests that overlap and end in any order, at any time."""

from __future__ import annotations

import itertools
import math
from typing import Any

from hypothesis import settings, stateful
from hypothesis import strategies as st

from ratewise import CircuitBreaker
from ratewise.circuit_breaker.circuit import Permit


class Model:
    """A simple model of a circuit: it derives everything from the outcomes since its last change of state."""

    def __init__(self, rules: Any) -> None:
        self.rules, self.state, self.refused, self.lost, self.changes = rules, "closed", 0, 0, []
        self.out: dict[int, float] = {}
        self.answered: set[int] = set()
        self.told: list[tuple[float, bool]] = []

    def become(self, state: str) -> None:
        self.changes.append((self.state, state))
        self.state, self.out, self.told = state, {}, []

    def window(self, now: float) -> list[bool]:
        """The outcomes of the calls in this second and in the 9 before it."""
        return [failed for at, failed in self.told if math.floor(now) - math.floor(at) < 10]

    def failures(self, now: float) -> int:
        if self.state == "open":
            return self.reason
        if self.state == "closed" and self.rules["failure_rate"] is None:
            return len(list(itertools.takewhile(lambda one: one[1], reversed(self.told))))
        return sum(self.window(now))

    def is_too_much(self, now: float) -> bool:
        if self.rules["failure_rate"] is None:
            return self.failures(now) >= 2
        return len(self.window(now)) >= 3 and self.failures(now) / len(self.window(now)) >= self.rules["failure_rate"]

    def knock(self, number: int, now: float) -> bool:
        if self.state == "open" and now >= self.until:
            self.become("half_open")
        for late in [one for one, due in self.out.items() if now >= due]:
            if late in self.answered:
                self.report(late, now, failed=False)
            self.out.pop(late, None)
        if self.state == "open" or (self.state == "half_open" and len(self.out) == self.rules["half_open_max_calls"]):
            self.refused += 1
            return False
        self.out[number] = math.inf if self.state == "closed" else now + 5
        return True

    def report(self, number: int, now: float, failed: bool, asked: float | None = None) -> None:
        if self.out.pop(number, None) is None:
            return
        self.told.append((now, failed))
        if self.is_too_much(now) if self.state == "closed" else failed:
            self.lost += self.state == "half_open"
            self.reason = self.failures(now)
            self.until = now + min(asked or 10 * 2**self.lost, 25)
            self.become("open")
        elif self.state == "half_open" and len(self.told) == self.rules["success_threshold"]:
            self.lost = 0
            self.become("closed")


class Machine(stateful.RuleBasedStateMachine):
    """For overlapping requests that end in any order and in any way, breaker and model agree."""

    @stateful.initialize(
        failure_rate=st.sampled_from([None, 0.4]), success_threshold=st.integers(1, 3), half_open_max_calls=st.integers(1, 3)
    )
    def begin(self, **rules: Any) -> None:
        self.now, self.model, self.permits, self.changes = 1000.0, Model(rules), [], []
        others = {"max_recovery_timeout": 25, "window": 10, "minimum_calls": 3, "half_open_timeout": 5, "jitter": 0}
        self.breaker = CircuitBreaker(2, recovery_timeout=10, **rules, **others, on_state_change=self.changed)

    def changed(self, key: Any, old: str, new: str) -> None:
        self.changes.append((old, new))

    @stateful.rule(outcomes=st.lists(st.sampled_from([True, False, False, None]), min_size=1, max_size=5))
    def knock(self, outcomes: list[bool | None]) -> None:
        """Make requests in a row; those without an outcome stay in flight."""
        for failed in outcomes:
            number, permit = len(self.permits), self.breaker._admit("a", self.now)
            assert isinstance(permit, Permit) is self.model.knock(number, self.now)
            self.permits.append(permit if isinstance(permit, Permit) else None)
            if failed is not None and isinstance(permit, Permit):
                self.end(number, permit, failed=failed)

    def end(self, number: int, permit: Permit, **outcome: Any) -> None:
        self.permits[number] = None
        self.breaker._report("a", permit, now=self.now, **outcome)
        self.model.report(number, self.now, **outcome)

    def some(self, which: list[int]) -> list[tuple[int, Permit]]:
        """Some of the requests in flight."""
        out = [(number, permit) for number, permit in enumerate(self.permits) if permit is not None]
        return list(dict.fromkeys(out[index % len(out)] for index in which if out))

    @stateful.rule(
        which=st.lists(st.integers(0, 20), min_size=1, max_size=4),
        failed=st.booleans(),
        asked=st.sampled_from([None, None, 3, 99]),
    )
    def report(self, which: list[int], **outcome: Any) -> None:
        for number, permit in self.some(which):
            self.end(number, permit, **outcome)

    @stateful.rule(which=st.lists(st.integers(0, 20), min_size=1, max_size=2), cancelled=st.booleans())
    def cancel_or_answer(self, which: list[int], cancelled: bool) -> None:
        for number, permit in self.some(which):
            if cancelled:
                self.permits[number] = None
                self.breaker._withdraw(permit)
                self.model.out.pop(number, None)
            else:
                permit.answered = True
                self.model.answered.add(number)

    @stateful.rule(seconds=st.sampled_from([0.5, 5, 10, 25]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @stateful.invariant()
    def same(self) -> None:
        state, model = self.breaker.get_state("a", now=self.now), self.model
        found = (state["state"], state["failure_count"], state["refused"], self.changes, self.breaker._trips)
        trips = sum(new == "open" for _, new in model.changes)
        assert found == (model.state, model.failures(self.now), model.refused, model.changes, trips)


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=60)
test_anything = Machine.TestCase

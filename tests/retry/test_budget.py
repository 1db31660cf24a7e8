"""The retry budget: the rule alone, and around a wire on which every request fails."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise import RetryBudget, RetryConfig, exchange_of
from ratewise.retry import budget as module
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted
from tests.kit.world import World


def spend(budget: RetryBudget, now: float, origin: str = "a") -> int:
    """Withdraw retries until the budget refuses one; return how many it allowed."""
    count = 0
    while budget._withdraw(origin, now):
        count += 1
    return count


def test_a_part_of_what_is_sent() -> None:
    """With ratio 0.2, 100 requests earn 20 retries, in addition to the initial floor of one second."""
    budget = RetryBudget(ratio=0.2, min_per_second=10)
    for _ in range(100):
        budget._accounts["a"].requests += 1
    assert spend(budget, 0.0) == 30


def test_the_floor_comes_with_time() -> None:
    """The floor adds 10 retries a second, independent of requests, up to the most that is saved."""
    budget = RetryBudget(ratio=0, min_per_second=10)
    assert spend(budget, 0.0) == 10
    assert spend(budget, 1.0) == 10
    assert spend(budget, 1.05) == 0
    assert spend(budget, 1.25) == 2
    assert spend(budget, 3600.0) == module.MAX_SAVED
    assert spend(RetryBudget(ratio=0, min_per_second=0), 3600.0) == 0
    assert spend(RetryBudget(min_per_second=500), 0.0) == 500


def test_each_server_has_its_own() -> None:
    """Each origin has its own account; the oldest account is dropped when the table is full."""
    budget = RetryBudget(ratio=0, min_per_second=2)
    assert (spend(budget, 0.0, "a"), spend(budget, 0.0, "b")) == (2, 2)
    for number in range(module.MAX_ORIGINS):
        budget._accounts[number].requests += 1
    assert len(budget._accounts) == module.MAX_ORIGINS
    assert "a" not in budget._accounts


@given(
    ratio=st.floats(0, 2),
    floor=st.floats(0, 50),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200),
)
def test_never_more_than_earned(ratio: float, floor: float, steps: list[tuple[bool, float]]) -> None:
    """For any sequence of requests and retries: retries <= ratio x requests + floor x (seconds + 1)."""
    budget = RetryBudget(ratio, floor)
    now, requests, retries = 0.0, 0, 0
    budget._accounts["a"].requests += 1
    for is_request, passed in steps:
        now += passed
        if is_request:
            budget._accounts["a"].requests += 1
            requests += 1
        else:
            retries += budget._withdraw("a", now)
    assert retries <= ratio * (requests + 1) + floor * (now + 1) + 1e-6


def test_threads_do_not_spend_twice() -> None:
    """64 threads at once withdraw exactly the retries that are available."""
    budget = RetryBudget(ratio=0, min_per_second=50)
    taken: list[int] = []
    threads = [threading.Thread(target=lambda: taken.append(spend(budget, 0.0))) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 50


async def test_a_server_that_fails_everything(world: World, clock: FakeClock) -> None:
    """1,000 calls in 10 seconds, all failing: once the floor is used up, the server receives at most 20 % more requests."""
    wire = Scripted(*[503] * 5000)
    config = RetryConfig(initial_delay=0, budget=RetryBudget())
    transport = world.RetryTransport(wire, config, clock=clock)
    refused = 0
    for _ in range(1000):
        result = await world.send(transport)
        assert result.status_code == 503
        refused += "retry budget" in exchange_of(result).history[-1].reason
        clock.advance(0.01)
    assert 1200 <= len(wire.sent) <= 1200 + 10 * 11
    assert refused > 800


async def test_what_was_never_sent_is_free(world: World, clock: FakeClock) -> None:
    """A retry after a failure to connect costs no budget: it loads no server. With budget=False nothing is counted."""
    empty = RetryBudget(ratio=0, min_per_second=0)
    for budget, error, sent in ((empty, "connect", 4), (empty, "read", 1), (False, "read", 4)):
        steps = [world.httpx.ConnectError("no") if error == "connect" else world.httpx.ReadError("gone") for _ in range(4)]
        wire = Scripted(*steps)
        with pytest.raises(world.httpx.TransportError):
            await world.send(world.RetryTransport(wire, RetryConfig(budget=budget), clock=clock))
        assert len(wire.sent) == sent


def test_one_budget_for_several_configs() -> None:
    """Several configs may share a budget; by default each config has its own; a copy with another backoff keeps the budget."""
    shared = RetryBudget()
    assert RetryConfig(budget=shared).budget is shared
    own = RetryConfig()
    assert own.budget is not RetryConfig().budget
    assert own._with_backoff(own.backoff).budget is own.budget
    assert RetryConfig(budget=False).budget is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"ratio": -0.1}, ValueError, "ratio must be a finite number of at least 0, not -0.1"),
        ({"ratio": float("inf")}, ValueError, "ratio"),
        ({"ratio": True}, TypeError, "ratio"),
        ({"min_per_second": float("nan")}, ValueError, "min_per_second must be a finite number of at least 0, not nan"),
        ({"min_per_second": "10"}, TypeError, "min_per_second"),
    ],
)
def test_bad_settings(settings: Any, error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction; the message has its name, its value and the allowed range."""
    with pytest.raises(error, match=message):
        RetryBudget(**settings)


def test_a_budget_must_be_one() -> None:
    """RetryConfig(budget=5) is refused; the repr of a budget shows its settings."""
    wrong: Any = 5
    with pytest.raises(TypeError, match="budget must be a RetryBudget, True or False, not 5"):
        RetryConfig(budget=wrong)
    assert repr(RetryBudget()) == "RetryBudget(ratio=0.2, min_per_second=10.0)"

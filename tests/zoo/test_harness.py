"""The harness against itself: clients that know the server keep the laws, and each law can be broken.

All named servers, and more random ones, with `ZOO=all`.
"""

from __future__ import annotations

from typing import Any, Callable

import pytest
from hypothesis import given

from ratewise import RateLimiter, RetryConfig
from tests.zoo import laws, some
from tests.zoo.named import CASES
from tests.zoo.servers import Outage, Rule, Server, Spec
from tests.zoo.strategies import worlds
from tests.zoo.test_random import zoo
from tests.zoo.traffic import Run, Traffic, run

pytestmark = pytest.mark.timeout(3600)


TYPICAL = "window told", "bucket openai", "sliding bare", "slots jitter", "key bare, five routes", "never there"


@pytest.mark.parametrize("name", some(CASES, *TYPICAL))
def test_a_perfect_client_keeps_the_laws(name: str) -> None:
    case = CASES[name]
    best, bare = run(case.spec, case.traffic, "perfect"), run(case.spec, case.traffic, None)
    verdicts = laws.check(best, bare, without=[laws.law_8])  # it looks again and again
    assert all(verdict.holds for verdict in verdicts), laws.report(best, bare, verdicts)
    if case.used is not None:
        assert best.used >= case.used, best
        assert best.per_success <= 0.02, best


@zoo(3, 40)
@given(worlds())
def test_a_perfect_client_keeps_the_laws_in_random_worlds(world: tuple[Spec, Traffic]) -> None:
    """It reads no fields: where a window begins late by the jitter, it is refused."""
    spec, traffic = world
    best, bare = run(spec, traffic, "perfect"), run(spec, traffic, None)
    verdicts = laws.check(best, bare, without=[laws.law_8, *([laws.law_6] if spec.jitter else [])])
    assert all(verdict.holds for verdict in verdicts), laws.report(best, bare, verdicts)


def test_exact_accounting() -> None:
    """What the server counts is what the client sent; the oracle of a serial client below the limit is the ideal."""
    spec, traffic = Spec("window", (Rule("window", 10, 1, "x-ratelimit"),)), Traffic("open", rate=20, seconds=3)
    bare = run(spec, traffic, None)
    assert sum(len(call.attempts) for call in bare.calls) == len(bare.seen) == bare.accepted + bare.refused
    assert sum(limit.accepted for limit in bare.servers["api.example.com"].limits.values()) == bare.accepted
    assert bare.succeeded == bare.accepted
    serial = run(Spec(latency=0.1), Traffic("serial", think=0.1, seconds=2), None)
    assert len(serial.calls) == 10
    assert all(call.duration == pytest.approx(0.1) and call.waited == pytest.approx(0) for call in serial.calls)


def test_several_limits_count_only_what_all_accept() -> None:
    server = Server(Spec(rules=(Rule("window", 2, 10), Rule("window", 5, 100))))
    assert [server.decide("/a", "", at).status for at in (0.0, 0.1, 0.2, 10.0, 10.1, 20.0, 20.1)] == [
        200,
        200,
        429,
        200,
        200,
        200,
        429,
    ]


NO_LIMIT, CLOSED = Spec(), Traffic("closed", 10, think=0.2, seconds=45)
OPEN = Traffic("open", rate=20, seconds=40)
TOLD = Spec(rules=(Rule("window", 100, 5, "x-ratelimit"),))
DOWN = Spec(outages=(Outage(5, 20),))


def stated(rate: float) -> Callable[[], Any]:
    return lambda: RateLimiter(rate=rate)


BREAKS: dict[str, tuple[Callable[[Run, Run], laws.Verdict], Spec, Traffic, Callable[[], Any], dict[str, Any]]] = {
    "1 throughput": (laws.law_1_throughput, NO_LIMIT, CLOSED, stated(5), {}),
    "1 errors": (laws.law_1_errors, NO_LIMIT, OPEN, lambda: RateLimiter(rate=1, max_wait=5), {}),
    "2 recovery": (laws.law_2_recovery, DOWN, OPEN, stated(15), {}),
    "2 shedding": (laws.law_2_shedding, Spec(sheds=0.01), CLOSED, stated(5), {}),
    "3": (
        laws.law_3,
        Spec(rules=(Rule("bucket", 1, 5, routes=("/a",)),)),
        Traffic("open", rate=20, seconds=20, routes=("/a", "/b")),
        stated(5),
        {},
    ),
    "4": (laws.law_4, NO_LIMIT, Traffic("burst", n=20, seconds=1), lambda: RateLimiter(rate=1, max_wait=100), {}),
    "5": (laws.law_5, DOWN, OPEN, lambda: None, {}),
    "6": (laws.law_6, TOLD, Traffic("closed", 50, n=480, seconds=600), stated(10), {}),
    "10": (laws.law_10, NO_LIMIT, Traffic("burst", n=20, seconds=1), lambda: None, {"width": 5}),
    "11": (laws.law_11, Spec(rules=(Rule("window", 1, 60, "retry-after"),)), Traffic("serial", n=3), lambda: None, {}),
}


@pytest.mark.parametrize("name", [*BREAKS])
def test_each_law_can_be_broken(name: str) -> None:
    law, spec, traffic, make, settings = BREAKS[name]
    if name == "11":
        settings = {"retry_config": RetryConfig(respect_retry_after=False)}
    mine, bare = run(spec, traffic, make(), **settings), run(spec, traffic, None)
    if name == "4":
        mine.max_wait = 10
    if name == "10":
        for call in mine.calls:
            call.began -= 0.5  # as if they had been held
    verdict = law(mine, bare)
    assert verdict.holds is False, laws.report(mine, bare, [verdict])


def test_errors_of_arithmetic_break_law_7() -> None:
    bare = run(NO_LIMIT, Traffic("serial", n=2), None)
    assert laws.law_7(bare, bare).holds
    bare.calls[0].error = ValueError("cannot convert float NaN to integer")
    assert laws.law_7(bare, bare).holds is False
    bare.calls[0].error, bare.snapshot = None, '{"rate": Infinity}'
    assert laws.law_7(bare, bare).holds is False

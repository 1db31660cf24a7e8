"""Random servers and random traffic keep all laws that say something about them.

The same few examples in each run, more with `ZOO=all`; `ZOO_EXAMPLES=200 pytest tests/zoo/test_random.py` takes so many new ones.
With `ZOO_SHRINK=1` a failure is made as small as possible, which takes minutes.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.zoo import ALL, laws
from tests.zoo.servers import Spec
from tests.zoo.strategies import worlds
from tests.zoo.traffic import Traffic, run

EXAMPLES = os.environ.get("ZOO_EXAMPLES")

pytestmark = pytest.mark.timeout(3600)


def zoo(few: int, many: int) -> settings:
    """Take `many` examples with `ZOO=all`, else a `few`, or as many as `ZOO_EXAMPLES` says."""
    return settings(
        derandomize=EXAMPLES is None,
        max_examples=int(EXAMPLES or (many if ALL else few)),
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.generate, *([Phase.shrink] if "ZOO_SHRINK" in os.environ else [])],
        suppress_health_check=[*HealthCheck],
    )


@zoo(6, 40)
@given(worlds())
def test_all_laws(world: tuple[Spec, Traffic]) -> None:
    spec, traffic = world
    mine, bare = run(spec, traffic), run(spec, traffic, None)
    verdicts = laws.check(mine, bare)
    assert all(verdict.holds for verdict in verdicts), laws.report(mine, bare, verdicts)


@zoo(2, 10)
@given(worlds(limited=True))
def test_law_9(world: tuple[Spec, Traffic]) -> None:
    """On a loaded machine 0.85 of what succeeds on an idle one, as far as the machine lets retries alone do that."""
    spec, traffic = world
    idle, loaded, bare, bare_loaded = (run(each, traffic, limiter) for limiter in (True, None) for each in (spec, spec.loaded()))
    got, would, one, other = (
        sum(call.succeeded and call.ended <= traffic.seconds for call in each.calls) for each in (loaded, idle, bare_loaded, bare)
    )
    slower = min(1.0, one / max(1, other))
    assert got + 1 >= laws.LOADED * would * slower, f"{got} of {would}\n{spec}\n{traffic}\n{idle}\n{loaded}"

from __future__ import annotations

import inspect
import io
import logging
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from ratewise import setup_logging
from ratewise.testing import FakeClock
from tests.kit import redis_server
from tests.kit.world import WORLDS, World

# Deadlines and slowness are timed assertions. In CI the examples are the same in each run, so that a failure can be repeated.
untimed = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("untimed", derandomize="CI" in os.environ, **untimed)
# Of `nox -s fuzz`: other examples in each run, by the seed that it prints; what failed is repeated by that seed alone.
hypothesis.settings.register_profile("fuzz", derandomize=False, max_examples=50, database=None, print_blob=True, **untimed)
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures of RateWise where its entry point must not, which would load it before its lines are counted."""
    if config.pluginmanager.is_blocked("ratewise"):
        config.pluginmanager.import_plugin("ratewise._pytest_plugin")


@pytest.fixture(params=WORLDS)
def world(request: Any) -> World:
    return World(request.param)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real Redis; tests use only keys of their own."""
    with redis_server.shared() as url:
        yield url


@pytest.fixture
def clock() -> FakeClock:
    """Virtual time that passes by itself, from the same second on whatever the machine's uptime: floats round alike."""
    made = FakeClock(auto=True, start=1_800_000_000.0)
    made._origin = 0.0
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Run a test that is a coroutine function in its `world`."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    arguments["world"].run(lambda: pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def screen() -> Iterator[io.StringIO]:
    """The lines that `setup_logging` writes."""
    logger, shown = logging.getLogger("ratewise"), io.StringIO()
    level, handler = logger.level, setup_logging(stream=shown)
    yield shown
    logger.removeHandler(handler)
    logger.setLevel(level)

"""pytest fixtures of RateWise. Imports nothing of the package before one of them is used: pytest loads this in every project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ratewise.testing import FakeClock


@pytest.fixture
def ratewise_no_waiting() -> Iterator[None]:
    """All waits of RateWise pass at once: see `ratewise.testing.no_waiting`."""
    from ratewise.testing import no_waiting

    with no_waiting():
        yield


@pytest.fixture
def ratewise_retries_off() -> Iterator[None]:
    """RateWise sends every request once: see `ratewise.testing.retries_off`."""
    from ratewise.testing import retries_off

    with retries_off():
        yield


@pytest.fixture
def ratewise_clock() -> Iterator[FakeClock]:
    """The clock of all clients and transports that have none of their own: a `FakeClock(auto=True)`."""
    from ratewise.testing import FakeClock

    with FakeClock(auto=True).installed() as clock:
        yield clock

"""The real server of the bundled clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ratewise.testing.server import LocalServer
from tests.adapter.answers import answer


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(answer) as running:
        yield running

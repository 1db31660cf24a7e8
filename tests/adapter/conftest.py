"""The real server of the bundled clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapter.answers import answer
from tests.kit.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(answer) as running:
        yield running

"""Patience with real threads and tasks."""

from __future__ import annotations

import time
from typing import Callable

PATIENCE = 25.0
"""Seconds after which a test that waits for a real thread or task fails; long enough for a busy machine."""


def wait_until(condition: Callable[[], object]) -> None:
    """Block until a condition on other threads or processes holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "they have not"
        time.sleep(0.001)

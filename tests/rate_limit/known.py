"""Snapshots of limits, for tests that change single numbers in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

RATE = {"kind": "rate", "rate": 20.0, "burst": 30.0, "left": 6.5, "shuts": 5.0}
WINDOW = {"kind": "window", "requests": 100, "seconds": 60.0, "least": 2.5, "age": 12.0}
CONCURRENCY = {"kind": "concurrency", "requests": 8}
ALL = {"a": RATE, "b": WINDOW, "c": CONCURRENCY}


def number(kept: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield every number in these limits as the limit, the name of the number and its value."""
    return ((name, field, value) for name, limit in kept.items() for field, value in limit.items() if field != "kind")

"""Stores on one file, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ratewise.cache.stores import base
from ratewise.cache.stores.sqlite import SQLiteCache
from tests.kit.patience import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def make(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SQLiteCache]]:
    """Return a factory of stores on one file, closed at the end, with a time-out that suits a loaded machine."""
    monkeypatch.setattr(base, "THREAD_TIMEOUT", PATIENCE)
    made = []

    def build(**settings: Any) -> SQLiteCache:
        made.append(SQLiteCache(path, **{"timeout": PATIENCE, **settings}))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def cache(make: Callable[..., SQLiteCache]) -> SQLiteCache:
    return make()

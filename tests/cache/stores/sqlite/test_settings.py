"""Settings of the SQLite store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ratewise.cache.stores.sqlite import SQLiteCache
from tests.cache.stores.sqlite.files import KEY


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": 7}, TypeError, "path must be the path of a file, as a string or a path object, not 7"),
        ({"path": b"cache.db"}, TypeError, "path must be the path of a file, as a string or a path object, not b'cache.db'"),
        ({"path": ":memory:"}, ValueError, "not ':memory:': to keep responses in memory use InMemoryCache"),
        ({"path": "file:x?mode=memory"}, ValueError, "use InMemoryCache"),
        ({"path": ""}, ValueError, "path must be the path of a file, not ''"),
        ({"path": "."}, ValueError, "path must be the path of a file, not of a folder, not '.'"),
        ({"path": "no/such/cache.db"}, ValueError, "in a folder that exists, not 'no/such/cache.db': create that folder first"),
        ({"max_size": 0}, ValueError, "max_size must be a whole number of at least 1, not 0"),
        ({"max_bytes": 1.5}, TypeError, "max_bytes must be a whole number of at least 1, not 1.5"),
        ({"timeout": 61}, ValueError, "timeout must be a number from 0 to 60, not 61"),
        ({"timeout": "1"}, TypeError, "timeout must be a number from 0 to 60, not '1'"),
        ({"ttl": -1}, ValueError, "ttl must be a finite number of seconds of at least 0, not -1"),
        ({"namespace": 1}, TypeError, "namespace must be a string, not 1"),
        ({"secret": b"short"}, ValueError, "secret must be 16 to 64 bytes, not 5 bytes"),
    ],
)
def test_settings(path: Path, settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction, with its name, its value and what is allowed."""
    with pytest.raises(error) as caught:
        SQLiteCache(**{"path": path, **settings})
    assert message in str(caught.value)


def test_nothing_is_done_before_it_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Constructing a store touches no file, and its path is fixed then, whatever the working directory becomes."""
    monkeypatch.chdir(path.parent)
    cache = SQLiteCache("cache.db", 300)
    assert cache.ttl == 300
    assert not os.listdir(path.parent)
    monkeypatch.chdir("/")
    cache.set(KEY, b"value", 60)
    cache.close()
    assert path.exists()

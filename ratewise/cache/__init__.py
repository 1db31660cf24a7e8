"""The HTTP cache (RFC 9111) and its stores."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .config import CacheConfig
from .layer import CacheLayer
from .stores.base import Cache, CacheBackend, CacheStats
from .stores.memory import InMemoryCache

if TYPE_CHECKING:
    from .stores.redis import RedisCache
    from .stores.sqlite import SQLiteCache

__all__ = ["Cache", "CacheBackend", "CacheConfig", "CacheLayer", "CacheStats", "InMemoryCache", "RedisCache", "SQLiteCache"]

_ON_DEMAND = {"RedisCache": "stores.redis", "SQLiteCache": "stores.sqlite"}
"""Stores that are loaded at their first use, and their modules."""


def __getattr__(name: str) -> Any:
    """Import a store that needs a database module when it is first used."""
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_ON_DEMAND[name]}", __name__), name)
    globals()[name] = value
    return value

"""Entries and keys that the Redis tests store."""

from __future__ import annotations

import uuid
from typing import Any

from ratewise._core.clock import Clock
from ratewise.cache.entry import Entry, Policy
from ratewise.cache.stores.redis import RedisCache
from tests.kit.world import World, only

SECRET = b"s" * 32
KEY, OTHER = b"k" * 16, b"o" * 16
PREFIX = f"ratewise-test-{uuid.uuid4().hex}:"
"""The prefix of every key of this run: the server may be shared."""

TIMEOUT = 0.06
"""Seconds, for tests that wait until a time-out is over."""

each_world = only("httpx")


def entry(body: bytes = b"hello") -> Entry:
    return Entry(200, b"content-type\ntext/plain", body, born=1.0, received=1.0, policy=Policy(60.0))


def call_of(world: World, clock: Clock | None = None) -> Any:
    return world.call(None, clock or Clock())


def name_of(cache: RedisCache, key: bytes) -> str:
    return cache._prefix + key.hex()

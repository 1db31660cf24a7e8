"""Stores in a real Redis, where tests touch only their own keys."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import redis
import redis.asyncio

from ratewise.cache.stores.redis import RedisCache
from tests.cache.stores.redis.samples import PREFIX, SECRET
from tests.kit.patience import PATIENCE
from tests.kit.redis_server import Server


@pytest.fixture(scope="session")
def url(redis_url: str) -> Iterator[str]:
    yield redis_url
    with redis.Redis.from_url(redis_url) as client:
        for name in client.scan_iter(match=f"{PREFIX}*"):
            client.delete(name)


@pytest.fixture(scope="module")
def private() -> Iterator[Server]:
    """A server that tests may reconfigure."""
    with Server.running() as server:
        yield server


@pytest.fixture
def make(request: Any) -> Iterator[Callable[..., RedisCache]]:
    """Return a factory of caches with a key prefix of their own, and a time-out that suits a loaded machine."""
    made = []

    def make(*args: Any, **settings: Any) -> RedisCache:
        given = "client" in settings or args or "port" in settings
        settings = {"prefix": f"{PREFIX}{uuid.uuid4().hex}:", "secret": SECRET, "timeout": PATIENCE, **settings}
        cache = RedisCache(*args if given else [request.getfixturevalue("url")], **settings)
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def plain(url: str) -> Iterator[Any]:
    """A plain client of redis-py."""
    with redis.Redis.from_url(url) as client:
        yield client

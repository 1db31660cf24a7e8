"""Four processes with one API key share their responses through Redis.

Run it with `python examples/shared_redis_cache.py`, with REDIS_URL for a server that is not redis://localhost:6379/0. It needs
redis-py (`pip install 'ratewise[redis]'`), and no network: a small local server counts the requests that reach it. Without
Redis the script still works, with more requests.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from ratewise import RateWiseClient, RedisCache
from ratewise.testing import LocalServer, Reply

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
WORKERS = 4
PATHS = [f"/products/{number}" for number in range(10)]


def work(url: str) -> tuple[int, int, int]:
    """Run one worker: return its hits, its misses, and the number of Redis failures."""
    logging.getLogger("ratewise").setLevel(logging.CRITICAL)  # the counts below show it
    cache = RedisCache(REDIS_URL, namespace=url)  # a namespace of this run only
    with RateWiseClient(url, default_headers={"Authorization": "Bearer shared-by-all"}, cache=cache) as client:
        for path in PATHS:
            client.get(path).raise_for_status()
    cache.close()
    stats = cache.get_stats()
    return stats.hits, stats.misses, stats.errors


if __name__ == "__main__":
    with LocalServer(lambda received: Reply(200, {"Cache-Control": "max-age=600"}, b"x" * 1000)) as server:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            print("hits  misses  failures of Redis")
            for _ in range(WORKERS):
                print("{:>4}  {:>6}  {:>17}".format(*pool.submit(work, server.url).result()))
        print(f"{WORKERS * len(PATHS)} calls, {len(server.received)} requests at the server")
    if len(server.received) == len(PATHS):
        forgetful = RedisCache(REDIS_URL, namespace=server.url)
        forgetful.clear()
        forgetful.close()

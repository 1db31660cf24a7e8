"""The cache: which requests it answers, which it revalidates, and what outlives the process.

Run it with `python examples/caching.py`. It needs no network: a small local server counts the requests that reach it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ratewise import InMemoryCache, RateWiseClient, SQLiteCache, options
from ratewise.testing import LocalServer, Received, Reply

# The response headers of each path: fresh for a minute; revalidated by ETag each time; none; not stored.
PATHS = {
    "/rates": {"Cache-Control": "max-age=60"},
    "/news": {"Cache-Control": "no-cache", "ETag": '"morning"'},
    "/about": {},
    "/me": {"Cache-Control": "no-store"},
}


def answer(received: Received) -> Reply:
    headers = PATHS[received.path]
    if received.header("If-None-Match") == headers.get("ETag", "none"):
        return Reply(304, headers)
    return Reply(200, headers, b"x" * 1000)


server = LocalServer(answer)


def show(client: RateWiseClient, path: str) -> None:
    """Request a path, and print what the cache did."""
    before = len(server.received)
    response = client.get(path)
    sent = "asked" if len(server.received) > before else "-"
    print(f"  {path:<8}{response.status_code}  {len(response.content):>5} bytes  {sent:<6} {response.headers['Cache-Status']}")


with server:
    cache = InMemoryCache(ttl=300)  # /about, which has no Cache-Control, is fresh for 300 s
    with RateWiseClient(server.url, cache=cache) as client:
        for _ in range(2):
            print("In memory:")
            for path in PATHS:
                show(client, path)
        print("Told to ask, and told to leave the cache alone:")
        for wish in ("refresh", "bypass"):
            response = client.get("/rates", extensions=options(cache=wish))
            print(f"  /rates  {response.headers['Cache-Status']}")
        stats = cache.get_stats()
        print(f"Hit rate: {stats.hit_rate:.2f} ({stats.hits} hits, {stats.misses} misses, {stats.revalidated} of them 304)")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "responses.db"
        for run in ("first", "second"):  # like two runs of a script
            stored = SQLiteCache(file)
            with RateWiseClient(server.url, cache=stored) as client:
                print(f"In a file, the {run} run:")
                show(client, "/rates")
            stored.close()

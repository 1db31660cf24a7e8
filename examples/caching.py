"""The cache: which requests it answers, which it revalidates, and what outlives the process.

Run it with `python examples/caching.py`. It needs no network: a small local server counts the requests that reach it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ratewise import InMemoryCache, RateWiseClient, SQLiteCache, options

# The response headers of each path: fresh for a minute; revalidated by ETag each time; none; not stored.
PATHS = {
    "/rates": {"Cache-Control": "max-age=60"},
    "/news": {"Cache-Control": "no-cache", "ETag": '"morning"'},
    "/about": {},
    "/me": {"Cache-Control": "no-store"},
}
reached: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        reached.append(self.path)
        headers = PATHS[self.path]
        unchanged = self.headers["If-None-Match"] == headers.get("ETag", "none")
        body = b"" if unchanged else b"x" * 1000
        self.send_response(304 if unchanged else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def show(client: RateWiseClient, path: str) -> None:
    """Request a path, and print what the cache did."""
    before = len(reached)
    response = client.get(path)
    sent = "asked" if len(reached) > before else "-"
    print(f"  {path:<8}{response.status_code}  {len(response.content):>5} bytes  {sent:<6} {response.headers['Cache-Status']}")


with server() as url:
    cache = InMemoryCache(ttl=300)  # /about, which has no Cache-Control, is fresh for 300 s
    with RateWiseClient(url, cache=cache) as client:
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
            with RateWiseClient(url, cache=stored) as client:
                print(f"In a file, the {run} run:")
                show(client, "/rates")
            stored.close()

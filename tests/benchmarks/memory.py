"""`python -m tests.benchmarks.memory N`: bytes of process memory that each of N responses of 1 KB takes in an `InMemoryCache`."""

from __future__ import annotations

import gc
import random
import sys
from email.utils import formatdate
from pathlib import Path

import httpx

import ratewise

from .subjects import BASE_URL, KB, REQUEST_HEADERS, RESPONSE_HEADERS

PAGE = 4096
"""Bytes."""


class VariedTransport(httpx.BaseTransport):
    """A transport whose answers all differ in date, tag, request id and body."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        number = self._random.getrandbits(128)
        said = {
            b"Date": formatdate(1.8e9 + number % 86400, usegmt=True).encode(),
            b"ETag": b'W/"%010x"' % (number % 16**10),
            b"X-Request-Id": b"%032x" % number,
            b"Cache-Control": b"private, max-age=3600",
            b"Content-Length": b"%d" % KB,
        }
        headers = [(name, said.get(name, value)) for name, value in RESPONSE_HEADERS]
        return httpx.Response(200, headers=headers, content=self._random.getrandbits(8 * KB).to_bytes(KB, "big"))


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def main() -> None:
    number = int(sys.argv[1])
    transport = ratewise.CacheTransport(VariedTransport(), ratewise.InMemoryCache(max_size=2 * number, max_bytes=1 << 40))

    def store(first: int, last: int) -> None:
        for item in range(first, last):
            transport.handle_request(httpx.Request("GET", f"{BASE_URL}/v1/items/{item}", headers=REQUEST_HEADERS))

    store(0, 1000)  # allocates what is needed only once
    before = resident()
    store(1000, 1000 + number)
    sys.stdout.write(f"{(resident() - before) / number:.0f}\n")


if __name__ == "__main__":
    main()

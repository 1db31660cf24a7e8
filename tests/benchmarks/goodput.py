"""`python -m tests.benchmarks goodput`, from the root: how much of a rate limit is used, in real time, and what is refused.

A real server in a process of its own enforces the limit, and counts. Efficiency is the least time in which that server could
have accepted as many, without latency, as a part of the time it took: 1 is the physical limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, NamedTuple

import httpx

import ratewise
from ratewise import RateLimiter, RetryConfig
from tests.kit import limited
from tests.kit.limited import STYLES, Policy
from tests.kit.virtual import Result, drive, offer

TOLD = ["window", "ietf", "openai", "penalty", "halved"]
"""The styles whose responses carry rate-limit fields, except one that takes long."""

SILENT = ["seconds", "bare", "bare-window", "bare-halved", "shuts", "slots"]
"""The styles that send no rate-limit fields. `--silent` measures them."""

TASKS = 50
THREADS = 20

SERVERS: dict[str, Callable[..., Any]] = {**STYLES, "away": limited.away, "unlimited": limited.unlimited}

POOL = httpx.Limits(max_connections=100, max_keepalive_connections=100)

REASONS = {200: "OK", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}


class Row(NamedTuple):
    """The outcome of one run."""

    efficiency: float
    refused: float
    """Refusals for each accepted request, as the server counted them."""
    lost: float
    errors: float
    p99: float
    penalties: float


class Server:
    """A context manager that starts a new server of this style in a process of its own."""

    def __init__(self, style: str) -> None:
        self._command = [sys.executable, "-m", "tests.benchmarks.goodput", "--serve", style]

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its stdin, which ends it

    def stats(self) -> dict[str, int]:
        """Return the server's own counts of what it accepted and refused."""
        counts: dict[str, int] = httpx.get(f"{self.url}/stats", trust_env=False).json()
        return counts


async def serve(style: str) -> None:
    """Serve a policy until stdin ends; second 0 of the policy is the first request."""
    make, zero, policy = SERVERS[style], 0.0, None

    async def answer(target: bytes) -> bytes:
        """Return the bytes of an answer, after the latency."""
        nonlocal zero, policy
        if target == b"/stats":
            counts = {name: getattr(policy, name, 0) for name in ("accepted", "refused", "penalties", "sent")}
            return _encoded(200, [("Content-Type", "application/json")], json.dumps(counts))
        await asyncio.sleep(make().latency / 2)
        if policy is None:
            zero, policy = time.monotonic(), make(epoch=time.time())
        status, headers, seconds = policy.answer(time.monotonic() - zero)
        await asyncio.sleep(seconds + policy.latency / 2)
        return _encoded(status, headers, "ok")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the requests of one connection, one after the other, until it is closed."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await answer(head.split(b" ", 2)[1]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=256)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)  # without waiting for open connections


def _encoded(status: int, headers: list[tuple[str, str]], body: str) -> bytes:
    """Encode a reply as an HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def drive_threads(transport: Any, n: int, threads: int, url: str) -> Result:
    """Like `drive`, with threads and an `httpx.Client`."""
    statuses: Counter[int] = Counter()
    errors: list[Exception] = []
    waits: list[float] = []
    left, lock = iter(range(n)), threading.Lock()
    with httpx.Client(transport=transport, timeout=None, trust_env=False) as client:

        def work() -> None:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                status, begin = 0, time.monotonic()
                try:
                    status = client.get(url).status_code
                except Exception as error:
                    errors.append(error)
                with lock:
                    statuses.update([status] if status else [])
                    waits.append(time.monotonic() - begin)

        workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        start = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return Result(time.monotonic() - start, statuses, errors, sorted(waits))


def _blind(asynchronous: bool) -> Any:
    """A transport with retries alone: each request heeds its own last refusal, and knows nothing of the others."""
    return _stack(asynchronous, retry_config=RetryConfig(51, budget=False))


def _stack(asynchronous: bool, **settings: Any) -> Any:
    wire = httpx.AsyncHTTPTransport(limits=POOL) if asynchronous else httpx.HTTPTransport(limits=POOL)
    kind = ratewise.AsyncRateWiseTransport if asynchronous else ratewise.RateWiseTransport
    return kind(wire, **settings)  # type: ignore[arg-type]  (one of the two pairs)


def _one_key(request: object) -> str:
    """A key for all servers: each has its own port, and what is known of one is to hold for the next."""
    return "api"


class Subjects:
    """The transports that are measured: retries alone, and retries around a limiter that all requests share.

    A warm limiter restores what the last limiter discovered about the same style.
    """

    NAMES = ("blind retries", "limiter", "cautious limiter", "warm limiter")

    def __init__(self) -> None:
        self._snapshots: dict[tuple[str, bool], str] = {}

    @contextmanager
    def use(self, name: str, style: str, asynchronous: bool) -> Iterator[Any]:
        """Yield the transport of this subject."""
        if name == "blind retries":
            yield _blind(asynchronous)
            return
        limiter = RateLimiter(cautious=name == "cautious limiter", key=_one_key)
        if name == "warm limiter":
            limiter.restore(self._snapshots[style, asynchronous])
        yield _stack(asynchronous, rate_limiter=limiter)
        if name == "limiter":
            self._snapshots[style, asynchronous] = limiter.snapshot()


def measure(style: str, transport: Any, asynchronous: bool, requests: int) -> Row:
    """Measure one run against a new server."""
    with Server(style) as server:
        if asynchronous:
            result = asyncio.run(drive(transport, requests, TASKS, url=server.url))
        else:
            result = drive_threads(transport, requests, THREADS, server.url)
        counts = server.stats()
    refused = counts["refused"] / max(1, counts["accepted"])
    policy: Policy = STYLES[style]()
    return Row(result.efficiency(policy), refused, result.lost, len(result.errors), result.p99, counts["penalties"])


def table(styles: list[str], subjects: list[str], runs: int, requests: int) -> Iterator[str]:
    """Yield a line for each run of each style and subject."""
    made = Subjects()
    yield f"{'':<30}{'efficiency':>12}{'refused/ok':>12}{'lost':>8}{'errors':>8}{'p99 s':>8}{'penalties':>11}"
    for style in styles:
        yield f"{style}, fastest {STYLES[style]().fastest(requests):g} s"
        for asynchronous in (True, False):
            workers = f"{TASKS} tasks" if asynchronous else f"{THREADS} threads"
            for name in subjects:
                for _ in range(runs):
                    with made.use(name, style, asynchronous) as transport:
                        row = measure(style, transport, asynchronous, requests)
                    told = f"  {name + ', ' + workers:<28}{row.efficiency:>12.3f}{row.refused:>12.3f}{row.lost:>8g}"
                    yield f"{told}{row.errors:>8g}{row.p99:>8.2f}{row.penalties:>11g}"


def outage(runs: int) -> Iterator[str]:
    """Send 100 requests a second to a server that is down for 5 s and otherwise serves 200 a second. Times in seconds."""
    yield f"{'away for 5 s':<16}{'lost':>8}{'sent/offered':>14}{'first new answered':>20}{'waits of new: median':>22}{'most':>8}"
    for _ in range(runs):
        with Server("away") as server:
            offered = asyncio.run(offer(_stack(True, rate_limiter=True), 100, 12, url=server.url))
            sent = server.stats()["sent"]
        back = limited.away().until
        new = [each for each in offered if each.begun >= back]
        waits = sorted(each.ended - each.begun for each in new)
        lost = sum(each.status != 200 for each in offered)
        first = min(each.ended for each in new) - back
        yield f"{'':<16}{lost:>8}{sent / 500:>14.3f}{first:>20.2f}{waits[len(waits) // 2]:>22.2f}{waits[-1]:>8.2f}"


def unlimited(runs: int, requests: int) -> Iterator[str]:
    """Compare the times with and without RateWise, one right after the other, against a server without a limit."""
    yield f"{'no limit':<16}{'s without':>12}{'s with':>8}{'ratio':>8}"
    for _ in range(runs):
        walls = []
        for transport in (httpx.AsyncHTTPTransport(limits=POOL), _stack(True, rate_limiter=True)):
            with Server("unlimited") as server:
                walls.append(asyncio.run(drive(transport, requests, TASKS, url=server.url)).wall)
        yield f"{'':<16}{walls[0]:>12.3f}{walls[1]:>8.3f}{walls[1] / walls[0]:>8.3f}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks goodput", description=__doc__)
    parser.add_argument("--style", choices=STYLES, action="append", help="only this one; may be given more than once")
    parser.add_argument("--silent", action="store_true", help="the styles that do not tell their limits")
    parser.add_argument("--outage", action="store_true", help="only a server that is away for a while")
    parser.add_argument("--unlimited", action="store_true", help="only a server without a limit")
    parser.add_argument("--subject", choices=Subjects.NAMES, action="append", help="the same of what is measured")
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="how often each is measured")
    parser.add_argument("--requests", type=int, default=480, metavar="N", help="how many are made; few only show that it runs")
    parser.add_argument("--serve", choices=SERVERS, help="be the server")
    given = parser.parse_args(arguments)
    if given.serve:
        asyncio.run(serve(given.serve))
    logging.disable(logging.WARNING)  # each retry waits on its own
    if given.outage:
        lines = outage(given.runs)
    elif given.unlimited:
        lines = unlimited(given.runs, given.requests)
    else:
        styles = given.style or (SILENT if given.silent else TOLD)
        lines = table(styles, given.subject or ["blind retries", "limiter"], given.runs, given.requests)
    for line in lines:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()  # these take long


if __name__ == "__main__":
    main(sys.argv[1:])

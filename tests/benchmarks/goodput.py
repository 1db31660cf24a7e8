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
from statistics import median
from typing import Any, Callable, NamedTuple

import httpx

import ratewise
from ratewise import RetryConfig

from ..limited import STYLES, Policy
from ..virtual import Result, drive

TOLD = ["window", "ietf", "openai", "penalty", "halved"]
"""The styles that tell what they allow, but for one that takes long."""

LATENCY = 0.02
TASKS = 50
THREADS = 20

POOL = httpx.Limits(max_connections=100, max_keepalive_connections=100)

REASONS = {200: "OK", 429: "Too Many Requests"}


class Row(NamedTuple):
    """What came of one run."""

    efficiency: float
    refused: float
    """For each request that was accepted, as the server counted."""
    lost: float
    errors: float
    p99: float


class Server:
    """`with Server(style) as server:`, a new one in a process of its own, its limit untouched."""

    def __init__(self, style: str) -> None:
        self._command = [sys.executable, "-m", "tests.benchmarks.goodput", "--serve", style]

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its stdin

    def stats(self) -> dict[str, int]:
        """What it accepted and refused, by its own count."""
        counts: dict[str, int] = httpx.get(f"{self.url}/stats", trust_env=False).json()
        return counts


async def serve(style: str) -> None:
    """Answer by a policy, whose second 0 is the first request. Ends with stdin."""
    make, zero, policy = STYLES[style], 0.0, None

    async def answer(target: bytes) -> bytes:
        """The bytes of an answer, after the latency."""
        nonlocal zero, policy
        if target == b"/stats":
            counts = {name: getattr(policy, name, 0) for name in ("accepted", "refused")}
            return _encoded(200, [("Content-Type", "application/json")], json.dumps(counts))
        await asyncio.sleep(LATENCY / 2)
        if policy is None:
            zero, policy = time.monotonic(), make(epoch=time.time())
        status, headers = policy.answer(time.monotonic() - zero)
        await asyncio.sleep(LATENCY / 2)
        return _encoded(status, headers, "ok")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request after the other, until it is closed."""
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
    os._exit(0)  # whatever connections are open


def _encoded(status: int, headers: list[tuple[str, str]], body: str) -> bytes:
    """An HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def drive_threads(transport: Any, n: int, threads: int, url: str) -> Result:
    """As `drive`, with threads and an `httpx.Client`."""
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
    """Each request on its own, until it is through: it heeds what its last refusal said, and knows of no other."""
    wire = httpx.AsyncHTTPTransport(limits=POOL) if asynchronous else httpx.HTTPTransport(limits=POOL)
    kind = ratewise.AsyncRateWiseTransport if asynchronous else ratewise.RateWiseTransport
    return kind(wire, retry_config=RetryConfig(51, budget=False))  # type: ignore[arg-type]  (one of the two pairs)


def _limiter(asynchronous: bool) -> Any:
    """Retries around a rate limiter that all requests share."""
    wire = httpx.AsyncHTTPTransport(limits=POOL) if asynchronous else httpx.HTTPTransport(limits=POOL)
    kind = ratewise.AsyncRateWiseTransport if asynchronous else ratewise.RateWiseTransport
    return kind(wire, rate_limiter=True)  # type: ignore[arg-type]  (one of the two pairs)


SUBJECTS: dict[str, Callable[[bool], Any]] = {"blind retries": _blind, "limiter": _limiter}


def measure(style: str, make: Callable[[bool], Any], asynchronous: bool, requests: int) -> Row:
    """One run against a new server."""
    transport = make(asynchronous)
    with Server(style) as server:
        if asynchronous:
            result = asyncio.run(drive(transport, requests, TASKS, url=server.url))
        else:
            result = drive_threads(transport, requests, THREADS, server.url)
        counts = server.stats()
    refused = counts["refused"] / max(1, counts["accepted"])
    policy: Policy = STYLES[style]()
    return Row(result.efficiency(policy), refused, result.lost, len(result.errors), result.p99)


def table(styles: list[str], subjects: list[str], runs: int, requests: int) -> Iterator[str]:
    """Medians of the runs, a line for each style and subject."""
    yield f"{'':<30}{'efficiency':>12}{'refused/ok':>12}{'lost':>8}{'errors':>8}{'p99 s':>8}"
    for style in styles:
        yield f"{style}, fastest {STYLES[style]().fastest(requests):g} s"
        for asynchronous in (True, False):
            workers = f"{TASKS} tasks" if asynchronous else f"{THREADS} threads"
            for name in subjects:
                label = f"  {name}, {workers}"
                rows = [measure(style, SUBJECTS[name], asynchronous, requests) for _ in range(runs)]
                middle = Row(*(median(column) for column in zip(*rows)))
                told = f"{label:<30}{middle.efficiency:>12.3f}{middle.refused:>12.3f}"
                yield f"{told}{middle.lost:>8g}{middle.errors:>8g}{middle.p99:>8.2f}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks goodput", description=__doc__)
    parser.add_argument("--style", choices=STYLES, action="append", help="only this one; may be given more than once")
    parser.add_argument("--subject", choices=SUBJECTS, action="append", help="the same of what is measured")
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="how often each is measured")
    parser.add_argument("--requests", type=int, default=480, metavar="N", help="how many are made; few only show that it runs")
    parser.add_argument("--serve", choices=STYLES, help="be the server")
    given = parser.parse_args(arguments)
    if given.serve:
        asyncio.run(serve(given.serve))
    logging.disable(logging.WARNING)  # each retry is one
    for line in table(given.style or TOLD, given.subject or list(SUBJECTS), given.runs, given.requests):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()  # each takes long


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m tests.benchmarks goodput`, from the root: how much of a rate limit is used, in real time, and what is refused.

A `LimitedServer` in a process of its own enforces the limit, and counts. Efficiency is the least time in which that server could
have accepted as many, without latency, as a part of the time it took: 1 is the physical limit.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import httpx

import ratewise
from ratewise import RateLimiter, RetryConfig
from ratewise.testing import LimitedServer
from tests.kit.styles import AWAY, LATENCY, STYLES, UNLIMITED, styled
from tests.kit.virtual import Result, drive, offer

TOLD = ["window", "ietf", "openai", "penalty", "halved"]
"""The styles whose responses carry rate-limit fields, except one that takes long."""

SILENT = ["seconds", "bare", "bare-window", "bare-halved", "shuts", "slots"]
"""The styles that send no rate-limit fields. `--silent` measures them."""

TASKS = 50
THREADS = 20

POOL = httpx.Limits(max_connections=100, max_keepalive_connections=100)


class Row(NamedTuple):
    """The outcome of one run."""

    efficiency: float
    refused: float
    """Refusals for each accepted request, as the server counted them."""
    lost: float
    errors: float
    p99: float
    penalties: float


def server(style: str) -> AbstractContextManager[Any]:
    """Run a new server of this style in a process of its own."""
    served = styled(style)
    refusal = STYLES[style].refusal
    return LimitedServer.in_process(served.limit, tells=served.tells, refusal=refusal, latency=served.latency)


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
    with server(style) as serving:
        if asynchronous:
            result = asyncio.run(drive(transport, requests, TASKS, url=serving.url))
        else:
            result = drive_threads(transport, requests, THREADS, serving.url)
        (limit,) = serving.limits
    refused = limit.refused / max(1, limit.accepted)
    return Row(result.efficiency(styled(style).limit), refused, result.lost, len(result.errors), result.p99, limit.shutouts)


def table(styles: list[str], subjects: list[str], runs: int, requests: int) -> Iterator[str]:
    """Yield a line for each run of each style and subject."""
    made = Subjects()
    yield f"{'':<30}{'efficiency':>12}{'refused/ok':>12}{'lost':>8}{'errors':>8}{'p99 s':>8}{'penalties':>11}"
    for style in styles:
        yield f"{style}, fastest {styled(style).limit.fastest(requests):g} s"
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
        with LimitedServer.in_process(**AWAY, latency=LATENCY) as serving:
            offered = asyncio.run(offer(_stack(True, rate_limiter=True), 100, 12, url=serving.url))
            sent = serving.failed
        ((_, back),) = AWAY["outages"]
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
            with LimitedServer.in_process(UNLIMITED, tells=None, latency=LATENCY) as serving:
                walls.append(asyncio.run(drive(transport, requests, TASKS, url=serving.url)).wall)
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
    given = parser.parse_args(arguments)
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

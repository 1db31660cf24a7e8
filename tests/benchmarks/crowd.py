"""`python -m tests.benchmarks crowd`, from the root: many calls at once through a pool of 100 connections.

Each run has a process of its own, and the subjects take turns, so that a slow phase of the machine affects all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

from . import server

CONNECTIONS = 100
SIZES = (100, 1000, 10_000)
"""Calls at once."""

SUBJECTS = ("bare", "a semaphore", "RateWise", "RateWise, no limiter")
"""How the calls are made. `a semaphore`: bare, with one of `CONNECTIONS` in front of it."""

MOST_BARE = 1000
"""Calls at once, at most, without anything in front of the pool: beyond, httpx takes minutes."""

MOST_RATIO = 1.2
"""Upper bound on the time of 1,000 calls, as a multiple of the semaphore's."""

ROUNDS = 3


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks crowd", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 100 calls: to see that it runs")
    quick = parser.parse_args(arguments).quick
    for line in _table((100,) if quick else SIZES, 1 if quick else ROUNDS):
        sys.stdout.write(line.rstrip() + "\n")
        sys.stdout.flush()


def _table(sizes: tuple[int, ...], rounds: int) -> Iterator[str]:
    url = server.url()
    for library in ("httpx", "httpx2"):
        yield f"{library + f', {CONNECTIONS} connections':<30}{'calls':>8}{'s':>10}{'semaphore':>11}{'peak MB':>10}"
        for size in sizes:
            subjects = [subject for subject in SUBJECTS if subject != "bare" or size <= MOST_BARE]
            runs = [
                {subject: _run(library, subject, size, url) for subject in subjects} for _ in range(1 if size > 1000 else rounds)
            ]
            for subject in subjects:
                seconds, megabytes = (median(values) for values in zip(*(run[subject] for run in runs)))
                ratio = median(run[subject][0] / run["a semaphore"][0] for run in runs)
                target = f"   target: at most {MOST_RATIO:g}" if size == 1000 and "RateWise" in subject else ""
                yield f"{subject:<30}{size:>8}{seconds:>10.2f}{ratio:>11.2f}{megabytes:>10.0f}{target}"
        yield ""


def _run(library: str, subject: str, size: int, url: str) -> tuple[float, float]:
    """Make the calls in a new process; return seconds, and the megabytes that the process used at most."""
    if find_spec(library) is None:
        return float("nan"), float("nan")
    command = [sys.executable, "-m", __name__, library, subject, str(size), url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


def _client(library: str, subject: str) -> Any:
    httpx: Any = importlib.import_module(library)
    ours: Any = importlib.import_module("ratewise" if library == "httpx" else f"ratewise.{library}")
    limits, timeout = httpx.Limits(max_connections=CONNECTIONS), httpx.Timeout(60, pool=None)
    if not subject.startswith("RateWise"):
        return httpx.AsyncClient(limits=limits, timeout=timeout)
    return ours.AsyncRateWiseClient(limits=limits, timeout=timeout, rate_limiter=subject == "RateWise")


async def _calls(library: str, subject: str, size: int, url: str) -> float:
    """Make the calls; return the seconds that they take."""
    turn = asyncio.Semaphore(CONNECTIONS if subject == "a semaphore" else size)
    async with _client(library, subject) as client:

        async def one() -> None:
            async with turn:
                assert (await client.get(url)).content == b"ok"

        start = perf_counter()
        await asyncio.gather(*(one() for _ in range(size)))
        return perf_counter() - start


if __name__ == "__main__":
    logging.disable()
    *which, calls, at = sys.argv[1:]
    taken = asyncio.run(_calls(which[0], which[1], int(calls), at))
    sys.stdout.write(f"{taken} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")

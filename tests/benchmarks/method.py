"""How the benchmarks measure, and the tables that they print."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter_ns

from .subjects import RUN, WORLDS, Call, Group

MOST_INSTRUCTIONS = {
    "RetryTransport": 6_000,
    "AsyncRetryTransport": 6_000,
    "CircuitBreakerTransport": 10_000,
    "CircuitBreakerTransport, a window": 10_000,
    "LoggingTransport, off": 2_500,
    "AsyncLoggingTransport, off": 2_500,
}
"""Upper bounds on the instructions that a layer adds to a successful request."""
MOST_IMPORT = 15.0
"""Upper bound on the milliseconds that importing the client adds to importing httpx."""

MOST_MEMORY = 2048
"""Upper bound on the bytes of memory that a cached response of 1 KB takes."""

COUNTED = (
    ("NullTransport", "LayerTransport", "RetryTransport"),
    ("LayerTransport", "CircuitBreakerTransport"),
    ("LayerTransport", "CircuitBreakerTransport, a window"),
    ("LayerTransport", "BulkheadTransport"),
    ("LayerTransport", "LoggingTransport, off"),
    ("LayerTransport", "LayerTransport, two plain log lines"),
    ("LayerTransport", "LoggingTransport, on"),
    ("httpx.Response of 1 KB", "CacheTransport, miss, 1 KB"),
    ("httpx.Response of 1 KB", "CacheTransport, hit in memory, 1 KB"),
    ("httpx.Client.get", "RateWiseClient.get"),
    ("AsyncNullTransport", "AsyncLayerTransport", "AsyncRetryTransport"),
    ("AsyncLayerTransport", "AsyncLoggingTransport, off"),
    ("httpx.AsyncClient.get", "AsyncRateWiseClient.get"),
)
"""Chains of subjects whose instructions are counted: the bare one first, then each compared with the one before it."""

Nanoseconds = dict[str, list[int]]


def table(world: str, rounds: int, calls: int) -> Iterator[str]:
    """Time a request: median microseconds, and the medians of the comparisons with the bare subject of the same round."""
    taken = asyncio.run(_rounds(world, rounds, calls))
    yield f"{world + ', a request':<42}{'us':>10}{'ratio':>10}{'added us':>10}"
    for group in WORLDS[world]:
        bare = taken.get(next(iter(group)))
        for name in group:
            own = taken.get(name)
            if own is None or bare is None:
                yield f"{name:<42}{'not installed':>20}"
                continue
            ratio = median(ours / theirs for ours, theirs in zip(own, bare))
            added = "" if own is bare else f"{median(o - b for o, b in zip(own, bare)) / calls / 1000:+.2f}"
            yield f"{name:<42}{median(own) / calls / 1000:>10.2f}{ratio:>10.3f}{added:>10}"


async def _rounds(world: str, rounds: int, calls: int) -> Nanoseconds:
    """Time every subject once in each round, so that a slow phase of the machine affects all of them."""
    run, subjects = RUN[world], _installed(WORLDS[world])
    taken: Nanoseconds = {name: [] for name in subjects}
    for call in subjects.values():
        await run(call, calls)
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        try:
            for name, call in subjects.items():
                start = perf_counter_ns()
                await run(call, calls)
                taken[name].append(perf_counter_ns() - start)
        finally:
            gc.enable()
    return taken


def _installed(groups: tuple[Group, ...]) -> dict[str, Call]:
    calls = {}
    for group in groups:
        for name, make in group.items():
            try:
                calls[name] = make()
            except ImportError:
                continue
    return calls


def instructions() -> Iterator[str]:
    """Count the instructions of a request, which do not depend on the load of the machine."""
    yield f"{'instructions, a request (callgrind)':<42}{'':>10}{'':>10}{'added':>10}"
    if shutil.which("valgrind") is None:
        yield "valgrind not installed"
        return
    names = sorted(set(sum(COUNTED, ())))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(names, pool.map(_instructions, names)))
    for bare, *around in COUNTED:
        yield f"{bare:<42}{counts[bare]:>10,.0f}"
        for inner, outer in zip([bare, *around], around):
            target = f"   target: at most {MOST_INSTRUCTIONS[outer]:,}" if outer in MOST_INSTRUCTIONS else ""
            yield f"{outer:<42}{counts[outer]:>10,.0f}{'':>10}{counts[outer] - counts[inner]:>+10,.0f}{target}"


def _instructions(name: str) -> float:
    """Subtract two runs of different length, so that what both have in common, such as start-up, cancels out."""
    few, many = 200, 1200
    return (_collected(name, many) - _collected(name, few)) / (many - few)


def _collected(name: str, times: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        child = [sys.executable, "-m", "tests.benchmarks.child", name, str(times)]
        told = subprocess.run(
            [*valgrind, *child], env={**os.environ, "PYTHONHASHSEED": "0"}, check=True, capture_output=True, text=True
        ).stderr
    return int(re.findall(r"Collected : (\d+)", told)[-1])


def memory(entries: int) -> Iterator[str]:
    """Measure the memory that a cached response of 1 KB takes, where the system reports the memory of a process."""
    yield f"{'memory':<42}{'bytes':>10}"
    if not os.path.exists("/proc/self/statm"):
        yield "not told by this system"
        return
    child = [sys.executable, "-m", "tests.benchmarks.memory", str(entries)]
    told = subprocess.run(child, check=True, capture_output=True, text=True).stdout
    yield f"{'InMemoryCache, a response of 1 KB':<42}{int(told):>10}{'':>20}   target: at most {MOST_MEMORY}"


IMPORTS = """
from time import perf_counter_ns as now
import httpx
start = now()
import ratewise
package = now() - start
from ratewise import RateWiseClient
print(package, now() - start)
"""


def imports(times: int) -> Iterator[str]:
    """Time the imports on top of httpx, from compiled files, each in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        runs = [
            subprocess.run([sys.executable, "-c", IMPORTS], env=env, check=True, capture_output=True, text=True).stdout
            for _ in range(1 + times)
        ]
    package, client = (median(map(int, column)) / 1e6 for column in zip(*map(str.split, runs[1:])))
    yield f"{'import, on top of httpx':<42}{'ms':>10}"
    yield f"{'import ratewise':<42}{package:>10.2f}"
    yield f"{'from ratewise import RateWiseClient':<42}{client:>10.2f}{'':>20}   target: at most {MOST_IMPORT:g}"

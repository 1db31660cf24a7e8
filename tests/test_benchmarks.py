"""The benchmarks run; their results are not tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUBJECTS = [
    *("NullTransport", "LayerTransport", "RetryTransport", "RateWiseTransport"),
    *("AsyncNullTransport", "AsyncLayerTransport", "AsyncRetryTransport", "AsyncRateWiseTransport"),
    *("CircuitBreakerTransport", "CircuitBreakerTransport, a window", "BulkheadTransport"),
    *("LoggingTransport, off", "LayerTransport, two plain log lines", "LoggingTransport, on", "AsyncLoggingTransport, off"),
    *("AsyncCircuitBreakerTransport", "AsyncBulkheadTransport", "pybreaker", "circuitbreaker", "purgatory"),
    *("HTTPTransport, a socket", "RetryTransport, a socket", "CircuitBreakerTransport, a socket"),
    *("CircuitBreakerTransport, window, socket", "BulkheadTransport, a socket"),
    *("httpx_retries.RetryTransport", "httpx_retries.RetryTransport (async)"),
    *("httpx_tenacity.TenaciousTransport", "httpx_tenacity.AsyncTenaciousTransport"),
    *("httpx.Client.get", "RateWiseClient.get", "httpx.AsyncClient.get", "AsyncRateWiseClient.get"),
    *("httpx2.Client.get", "RateWiseClient.get (httpx2)", "httpx2.AsyncClient.get", "AsyncRateWiseClient.get (httpx2)"),
    *("httpx.Response of 1 KB", "CacheTransport, hit in memory, 1 KB", "CacheTransport, miss, 1 KB"),
    *("httpx.Response of 1 MB", "CacheTransport, hit in memory, 1 MB", "CacheTransport, hit in SQLite, 1 KB"),
    *("ScriptedTransport, 200", "ScriptedTransport, a retry, FakeClock"),
    *("AsyncScriptedTransport, 200", "AsyncScriptedTransport, a retry, FakeClock"),
    *("redis-py GET of 1 KB", "CacheTransport, hit in Redis, 1 KB", "hishel, hit in SQLite, 1 KB"),
    *("httpx.Response of 1 KB (async)", "AsyncCacheTransport, hit in memory, 1 KB", "AsyncCacheTransport, hit in SQLite, 1 KB"),
    *("hishel, hit in SQLite, 1 KB (async)",),
    *("import ratewise", "from ratewise import RateWiseClient"),
    *(["InMemoryCache, a response of 1 KB"] if Path("/proc/self/statm").exists() else []),
]


def test_every_subject_has_a_row() -> None:
    """`python -m tests.benchmarks` measures every subject, or reports that a package to compare with is not installed."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--no-callgrind"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    rows = {line[:42].rstrip(): line[42:].split() for line in run.stdout.splitlines()}
    for subject in SUBJECTS:
        assert rows[subject] == ["not", "installed"] or float(rows[subject][0]) > 0


def test_in_real_time() -> None:
    """`python -m tests.benchmarks goodput` runs; its results are not tested."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "goodput", "--style", "openai", "--requests", "25"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line[30:].split() for line in done.stdout.splitlines() if "blind" in line]
    assert [len(row) for row in rows] == [6, 6]
    assert all(0 < float(efficiency) <= 1 and lost == errors == "0" for efficiency, _, lost, errors, *_ in rows)


def test_a_crowd() -> None:
    """`python -m tests.benchmarks crowd` runs; its results are not tested."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "crowd", "--quick"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line[:30].rstrip() for line in done.stdout.splitlines() if line[30:38].strip() == "100"]
    assert rows == ["bare", "a semaphore", "RateWise", "RateWise, no limiter"] * 2

"""`python -m tests.soak [seconds]`, from the root: prints what it did and measured; exits with 1 if a law was broken."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import os
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import httpx2

import ratewise
import ratewise.httpx2
from ratewise import Bulkhead, CircuitBreaker, InMemoryCache, LogConfig, RateLimiter, RedisCache, RetryConfig, SQLiteCache
from tests.kit import redis_server
from tests.soak.server import Running, Served, running
from tests.soak.traffic import MAX_ATTEMPTS, Gate, Traffic, child, task, thread

TASKS, THREADS = 50, 16
PAUSE = 30.0
"""Seconds within which all workers pause, and the child ends; else something hangs."""
WARM_UP = 0.4
"""The part of the time after which tables, pools and caches are full, and growth counts."""
JUDGED = 20.0
"""Seconds from which on a soak is long enough to judge the memory by."""


class Held(NamedTuple):
    """What the process holds while its workers pause."""

    memory: int
    """Resident, in bytes."""
    blocks: int
    """Of Python's allocator."""
    descriptors: int
    threads: int
    tasks: int


class Soak:
    """The clients, what they share, and their workers."""

    def __init__(self, server: Running, folder: Path, redis_url: str | None) -> None:
        self.server, self.url = server, server.url
        self.log = folder / "outcomes"
        self.traffic, self.gate = Traffic(self.log), Gate(TASKS + THREADS)
        self.breaker = CircuitBreaker(6, success_threshold=1, recovery_timeout=0.05, max_recovery_timeout=0.05)
        self.limiter = RateLimiter(max_wait=1.0, concurrency=40, key=lambda request: request.url.path.split("/")[2])
        self.bulkhead = Bulkhead(30, max_wait=10.0)
        file = folder / "cache.db"
        self.caches: list[Any] = [InMemoryCache(0.2, 200), *(SQLiteCache(file, 0.2, max_size=200) for _ in range(2))]
        self.caches.append(RedisCache(redis_url, 0.2) if redis_url else InMemoryCache(0.2, 200))
        libraries = [(ratewise, httpx), (ratewise.httpx2, httpx2)]
        self.aclients = [self._client(*each, "Async", cache) for each, cache in zip(libraries, self.caches[:2])]
        self.clients = [self._client(*each, "", cache) for each, cache in zip(libraries, self.caches[2:])]
        self.loop: Any = None
        self.threads = [
            threading.Thread(target=thread, args=(self.clients[number % 2], number, self.traffic, self.gate), daemon=True)
            for number in range(THREADS)
        ]
        self.threads.append(threading.Thread(target=lambda: asyncio.run(self._tasks()), daemon=True))

    def _client(self, package: Any, library: Any, prefix: str, cache: Any) -> Any:
        return getattr(package, f"{prefix}RateWiseClient")(
            self.url,
            limits=library.Limits(max_connections=10),
            timeout=library.Timeout(5.0, read=0.3),
            retry_config=RetryConfig(MAX_ATTEMPTS, initial_delay=0.005),
            total_timeout=20.0,
            log_config=LogConfig("DEBUG", response_headers=True, bodies=True),
            cache=cache,
            circuit_breaker=self.breaker,
            rate_limiter=self.limiter,
            bulkhead=self.bulkhead,
            trust_env=False,
            verify=False,
        )

    async def _tasks(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda loop, context: self.traffic.violated(f"the loop reports {context}"))
        workers = (task(self.aclients[n % 2], 1000 + n, self.traffic, self.gate) for n in range(TASKS))
        await asyncio.gather(*workers)
        for client in self.aclients:
            response = await client.get(f"/200/end/{client!r}")
            assert response.status_code == 200
            await client.aclose()
        for cache in self.caches:
            await cache.aclose()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            self.traffic.violated(f"{len(others)} tasks are left: {others}")

    # -- what is measured

    def held(self) -> Held:
        """Count what is held, with all workers paused."""
        if not self.gate.close(PAUSE):
            faulthandler.dump_traceback(all_threads=True)
            raise SystemExit("FAILED: workers hang")
        until = time.monotonic() + PAUSE
        while len(asyncio.all_tasks(self.loop)) > TASKS + 1 and time.monotonic() < until:
            time.sleep(0.01)  # what the workers left in the background ends by itself
        gc.collect()
        with open("/proc/self/statm") as statm:
            pages = int(statm.read().split()[1])
        memory, tasks = pages * os.sysconf("SC_PAGESIZE"), len(asyncio.all_tasks(self.loop))
        return Held(memory, sys.getallocatedblocks(), descriptors(), threading.active_count(), tasks)

    def idle(self) -> None:
        """Check that all places and leads are returned, with all workers paused."""
        state = self.bulkhead.get_state()
        if state != {"in_flight": 0, "waiting": 0}:
            self.traffic.violated(f"places are left in the bulkhead: {state}")
        for key, gate in self.limiter._gates.items():
            for route, lane in gate.lanes.items():
                found = (len(lane.queue), len(lane.taken), len(lane.unanswered), len(lane.recent))
                if found != (0, 0, 0, 0):
                    self.traffic.violated(f"places are left in the limiter: {key} {route} {found}")
        for cache in self.caches:
            if cache._ratewise_store.single_flight._requests:
                self.traffic.violated(f"leads are left in {cache!r}")

    def fork(self) -> None:
        """Fork while everyone is busy."""
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            faulthandler.dump_traceback_later(PAUSE / 2, exit=True)
            try:
                child(self.clients)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        until = time.monotonic() + PAUSE
        ended, status = 0, 0
        while not ended and time.monotonic() < until:
            ended, status = os.waitpid(pid, os.WNOHANG)
            time.sleep(0.01)
        if not ended:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        if not ended or status:
            self.traffic.violated(f"the forked child {f'ended with status {status}' if ended else 'hangs'}")

    def compare(self, served: list[Served]) -> None:
        """Compare what the server saw with what came of each request."""
        by_path = {each.path: each for each in served}
        for each in served:
            if "/shared/" not in each.path and each.doubled:
                self.traffic.violated(f"sent twice: {each}")
        for line in self.log.read_text().splitlines():
            path, outcome, attempts = line.split("\t")
            arrivals = by_path[path].arrivals if path in by_path else 0
            most = MAX_ATTEMPTS if outcome == "cancelled" else int(attempts)
            if arrivals > most or (not arrivals and outcome in ("response", "error status")):
                self.traffic.violated(f"{path}: {outcome} after {attempts} attempts, but the server has seen {arrivals}")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def soak(seconds: float, redis_url: str | None) -> int:
    with tempfile.TemporaryDirectory() as folder, running() as server:
        gc.collect()
        before = descriptors(), threading.active_count()
        one = Soak(server, Path(folder), redis_url)
        begun = time.monotonic()
        for each in one.threads:
            each.start()
        time.sleep(seconds * WARM_UP)
        first = one.held()
        one.idle()
        one.gate.open()
        time.sleep(seconds * (0.5 - WARM_UP))
        one.fork()
        time.sleep(max(begun + seconds - time.monotonic(), 0))
        last = one.held()
        one.idle()
        took = time.monotonic() - begun
        one.gate.open(over=True)
        for each in one.threads:
            each.join(PAUSE)
        for client in one.clients:
            assert client.get(f"/200/end/{client!r}").status_code == 200
            client.close()
        for cache in one.caches:
            cache.close()
        outcomes, traffic = one.traffic.outcomes, one.traffic
        traffic.close()
        served = server.end()
        one.compare(served)
        one.loop = one = None  # type: ignore[assignment]
        until = time.monotonic() + PAUSE
        while time.monotonic() < until and (descriptors(), threading.active_count()) > before:
            gc.collect()
            time.sleep(0.05)
        after = descriptors(), threading.active_count()
    arrivals = sum(each.arrivals for each in served)
    show("seconds", f"{took:.1f}")
    show("requests", f"{sum(outcomes.values())}, which the server has seen {arrivals} times")
    for outcome, number in outcomes.most_common():
        show(f"  {outcome}", number)
    for name in Held._fields:
        show(name, f"{getattr(first, name)} after the warm-up, {getattr(last, name)} at the end")
    show("descriptors, threads", f"{before} before all this, {after} after it")
    judge(seconds, first, last, before, after, traffic)
    for text in traffic.violations[:20]:
        show("VIOLATION", text)
    show("violations", len(traffic.violations))
    return bool(traffic.violations)


def judge(seconds: float, first: Held, last: Held, before: Any, after: Any, traffic: Traffic) -> None:
    """What must be flat."""
    if after > before:
        traffic.violated(f"descriptors and threads are left: {after} instead of {before}")
    if last.tasks != first.tasks:
        traffic.violated("the number of tasks has changed")
    if last.threads > first.threads + 25 or last.descriptors > first.descriptors + 80:  # workers of stores; pools
        traffic.violated("the number of threads or descriptors has grown")
    if seconds >= JUDGED and (last.memory > first.memory * 1.15 + 2**23 or last.blocks > first.blocks * 1.1):
        traffic.violated("memory has grown")


def show(name: str, value: object) -> None:
    sys.stdout.write(f"{name:24}{value}\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(redis_server.shared()) if redis_server.find() else None
        return soak(seconds, url)


if __name__ == "__main__":
    sys.exit(main())

"""A call that is cancelled at each of its suspensions in turn, with everything switched on, leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Callable
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest
import trio

from ratewise import (
    Bulkhead,
    CircuitBreaker,
    InMemoryCache,
    LogConfig,
    RateLimiter,
    RedisCache,
    RetryConfig,
    SQLiteCache,
)
from ratewise.testing import LocalServer, Received, Reply
from tests.kit.cancelling import WAYS, Moment, check_clean, tasks
from tests.kit.marks import CANCELLED_CONNECTS
from tests.kit.patience import PATIENCE, wait_until
from tests.kit.world import World

CHUNKED = (("Transfer-Encoding", "chunked"),)
BODY = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
FRESH = (*CHUNKED, ("Cache-Control", "max-age=60"))
STALE = (*CHUNKED, ("Cache-Control", "max-age=0"), ("ETag", '"a"'))

OLD = sys.version_info < (3, 11)
"""Tasks of asyncio do not count cancellations: anyio swallows one that comes as it connects, with a plain client, too."""

pytestmark = CANCELLED_CONNECTS

PASSES = 30
"""Passes of the event loop without a step of the call after which it is taken to wait for another one."""


class Sweep:
    """One client and what it uses, new for each moment at which its call is cancelled."""

    steps: tuple[Reply, ...] = (Reply(headers=FRESH, body=BODY),)
    """The server's answers to the call; `Reply()` to all others."""
    streamed = False
    by_other = False
    """Whether the suspensions of another call are counted, not its own."""

    def __init__(self, world: World, path: str, cache: Any, url: str, moment: Moment) -> None:
        self.world, self.path, self.cache = world, path, cache
        never = Moment(-1, late=False)
        self.moment, self.other = (never, moment) if self.by_other else (moment, never)
        if self.by_other:
            self.other.cancel = lambda: self.moment.cancel()
        self.breaker = CircuitBreaker(1, success_threshold=1, recovery_timeout=0.001, jitter=0.0)
        self.limiter, self.bulkhead = RateLimiter(concurrency=2), Bulkhead(1)
        self.prepare()
        self.client = world.RateWiseClient(
            url,
            limits=world.httpx.Limits(max_connections=1),
            timeout=world.httpx.Timeout(PATIENCE, pool=PATIENCE / 5),
            retry_config=RetryConfig(3, jitter=False, initial_delay=0.001, budget=False),
            total_timeout=10 * PATIENCE,
            log_config=LogConfig("DEBUG", response_headers=True, bodies=True),
            cache=cache,
            circuit_breaker=self.breaker,
            rate_limiter=self.limiter,
            bulkhead=self.bulkhead,
            trust_env=False,
            verify=False,
        )

    def prepare(self) -> None:
        """Change what the client is made of."""

    async def before(self) -> None:
        """Send what comes before the call."""

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Do what is done at the same time."""
        yield

    async def call(self) -> None:
        """The call that is cancelled."""
        if self.streamed:
            async with self.client.stream("GET", self.path) as response:
                assert await response.aread() == b"onetwo"
        else:
            assert (await self.client.get(self.path)).content == b"onetwo"

    async def waits(self) -> None:
        """Wait until the call waits for another one, or is over."""
        passes, count = 0, -1
        while passes < PASSES and not self.moment.over:
            passes, count = (passes + 1, count) if self.moment.count == count else (0, self.moment.count)
            await anyio.lowlevel.checkpoint()

    def check(self) -> None:
        """Check that all permits, places and leads are returned."""
        assert self.bulkhead.get_state() == {"in_flight": 0, "waiting": 0}
        assert self.breaker.get_state()["retry_after"] == 0
        for gate in self.limiter._gates.values():
            for lane in gate.lanes.values():
                assert (len(lane.queue), lane.taken, lane.unanswered, lane.recent) == (0, set(), set(), {})
        assert self.cache._ratewise_store.single_flight._requests == {}


class Retried(Sweep):
    """A new connection; an attempt whose body is not worth reading, one whose body is, and waits."""

    steps = (Reply(503, body=b"x" * 100_000), Reply(429, (("Retry-After", "0.001"),), b"x" * 3000), *Sweep.steps)

    def prepare(self) -> None:
        self.breaker = CircuitBreaker(5)
        self.limiter = RateLimiter(concurrency=2, key=lambda request: request.url.path)  # other paths need not wait


class Kept(Sweep):
    """A connection that was kept alive."""

    async def before(self) -> None:
        assert (await self.client.get("/")).content == b"ok"


class Streamed(Kept):
    """A body that the caller streams, and an attempt before it."""

    streamed, steps = True, (Reply(500, body=b"x" * 3000), *Sweep.steps)

    def prepare(self) -> None:
        self.breaker = CircuitBreaker(5)


class Unread(Sweep):
    """A body of which the caller reads nothing."""

    async def call(self) -> None:
        async with self.client.stream("GET", self.path):
            pass


class Probed(Sweep):
    """A probe of a half-open circuit."""

    steps = (Reply(500), *Sweep.steps)

    async def before(self) -> None:
        assert (await self.client.post(self.path)).status_code == 500
        assert self.breaker.get_state()["state"] == "open"
        await self.world.until(lambda: self.breaker.get_state()["retry_after"] == 0)


class ProbedStream(Probed):
    """A probe whose body is streamed."""

    streamed = True


class Revalidated(Sweep):
    """A stored response that the server confirms."""

    steps = (Reply(headers=STALE, body=BODY), Reply(304, (("ETag", '"a"'), ("Cache-Control", "max-age=60"))))

    async def before(self) -> None:
        await super().call()


class Paced(Sweep):
    """A rate limiter that lets the call wait for its turn."""

    def prepare(self) -> None:
        self.limiter = RateLimiter(rate=250)

    async def before(self) -> None:
        await self.client.get("/")


class Crowded(Sweep):
    """Another call that is under way, for which this one waits."""

    ahead = "/ahead"

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        async def ahead() -> None:
            async with self.client.stream("GET", self.ahead) as response:
                begun.set()
                await self.waits()
                await self.other.watch(end(response))

        async def end(response: Any) -> None:
            await response.aread()
            await response.aclose()

        begun = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(ahead)
            await begun.wait()
            yield


class InBulkhead(Crowded):
    """A bulkhead whose only place is taken."""


class InLimiter(Crowded):
    """A rate limiter that has as many in flight as may be."""

    def prepare(self) -> None:
        self.limiter, self.bulkhead = RateLimiter(concurrency=1), Bulkhead(2)


class InPool(Crowded):
    """A pool whose only connection is taken."""

    def prepare(self) -> None:
        self.bulkhead = Bulkhead(2)


class Overtaken(InPool):
    """It is cancelled at each suspension of the other call, which ends and so hands it the connection."""

    by_other = True


class Replaced(Overtaken):
    """The other call ends by closing its connection, so that a new one is made."""

    ahead = "/close"


class Following(Crowded):
    """A single flight that another call leads."""

    def prepare(self) -> None:
        self.bulkhead, self.ahead = Bulkhead(2), self.path


class Leading(Sweep):
    """A single flight that another call follows, and takes over if the leader is cancelled."""

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        async def follow() -> None:
            await self.world.until(lambda: self.cache._ratewise_store.single_flight._requests or self.moment.over)
            assert (await self.client.get(self.path)).status_code == 200

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            yield


KINDS: tuple[type[Sweep], ...] = (
    *(Retried, Kept, Streamed, Unread, Probed, ProbedStream, Revalidated, Paced),
    *(InBulkhead, InLimiter, InPool, Overtaken, Replaced, Following, Leading),
)


class Trouble:
    """Records what is raised where nobody catches it."""

    def __init__(self) -> None:
        self.raised: list[Any] = []

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        before, sys.unraisablehook = sys.unraisablehook, self.raised.append
        threads = set(threading.enumerate())
        gc.freeze()  # so that collecting takes no longer than what is made from here on deserves
        try:
            yield
            gc.collect()
            # trio keeps idle workers for 10 s
            wait_until(lambda: all(thread in threads or "Trio" in thread.name for thread in threading.enumerate()))
        finally:
            gc.unfreeze()
            sys.unraisablehook = before
        assert self.raised == []

    def loop(self) -> None:
        """Record what the running loop reports."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.raised.append(context))


SOME_WAYS = ["asyncio-task", "asyncio-anyio", "trio-trio"]
"""The ways that are tried with all stores."""


def sweep(library: str, kind: type[Sweep], way: str, late: bool, make: Callable[[], Any]) -> None:
    """Cancel the call at each of its suspensions in turn, until it completes before that."""
    world = World(f"{way.partition('-')[0]}-{library}")
    trouble, left = Trouble(), dict[str, list[Reply]]()

    def answer(received: Received) -> Reply:
        if received.target == "/close":
            return Reply(headers=(*CHUNKED, ("Connection", "close")), body=BODY)
        steps = left.get(received.target)
        return steps.pop(0) if steps else Reply(headers=FRESH, body=BODY) if steps is not None else Reply()

    async def scenario() -> None:
        if world.style == "asyncio":
            trouble.loop()
        cache, at, reached = make(), -1, True
        while reached:
            at += 1
            path = f"/{at}"
            left[path] = [*kind.steps]
            moment, before = Moment(at, late=late), tasks()
            one = kind(world, path, cache, server.url, moment)
            async with one.client:
                await one.before()
                async with one.beside():
                    cancelled = await WAYS[way](one.call(), one.moment)
                    await check_clean()
                reached = moment.reached
                assert cancelled or not reached or way != "asyncio-task" or kind.by_other or OLD, at
                one.check()
                assert (await one.client.get("/")).content == b"ok", at
                one.check()
            await check_clean()
            assert tasks() == before, at
        assert at or kind.by_other
        await cache.aclose()

    with LocalServer(answer) as server, trouble.watched():
        if world.style == "asyncio":
            asyncio.run(scenario())
        else:
            trio.run(scenario)


def sweeps(ways: Iterable[str], *kinds: type[Sweep]) -> Callable[[Any], Any]:
    """Run a test for each kind of sweep, way of cancelling, and library."""
    moments = [(way, late) for way in ways for late in (False, True) if not (late and way.startswith("trio"))]
    each = [pytest.param(way, late, id=f"{way}{'-done' * late}") for way, late in moments]

    def parametrized(test: Any) -> Any:
        for mark in (
            pytest.mark.parametrize("library", ["httpx", "httpx2"]),
            pytest.mark.parametrize(("way", "late"), each),
            pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__),
        ):
            test = mark(test)
        return test

    return parametrized


@sweeps(WAYS, *KINDS)
def test_cancelled_at_each_step(library: str, way: str, late: bool, kind: type[Sweep]) -> None:
    """With an InMemoryCache."""
    sweep(library, kind, way, late, InMemoryCache)


@sweeps(SOME_WAYS, Retried, Revalidated, Leading)
def test_cancelled_in_a_file(library: str, way: str, late: bool, kind: type[Sweep], tmp_path: Path) -> None:
    """With a SQLiteCache, whose methods run in worker threads."""
    sweep(library, kind, way, late, lambda: SQLiteCache(tmp_path / "cache.db"))


@sweeps(SOME_WAYS, Retried, Revalidated, Leading)
def test_cancelled_in_redis(library: str, way: str, late: bool, kind: type[Sweep], redis_url: str) -> None:
    """With a RedisCache: its own client under asyncio, worker threads under trio."""
    sweep(library, kind, way, late, lambda: RedisCache(redis_url, namespace=uuid4().hex))

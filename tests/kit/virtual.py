"""asyncio in virtual time, and a rate-limited server in it: minutes of waiting take no real time."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import httpx

from ratewise._core.clock import Clock

if TYPE_CHECKING:
    from ratewise.testing.limits import Limit
    from tests.kit.styles import Served

T = TypeVar("T")

EPOCH = 1_800_000_000.0
"""The wall time at second 0 of a loop, in seconds since the epoch, as in `ratewise.testing.limits`."""


class Deadlock(Exception):  # noqa: N818  (the usual name)
    """Nothing is ready and no timer is set, or the given time is over."""


class _Selector(selectors.DefaultSelector):
    """A selector that does not wait: it advances the time by the time-out."""

    def __init__(self, start: float, most: float) -> None:
        super().__init__()
        self.now, self.end = start, start + most

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready, and no timer is set")
        self.now += timeout
        if self.now > self.end:
            raise Deadlock(f"still not over at second {self.end:g}")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when nothing is ready. It does not wait for threads."""

    def __init__(self, start: float = 0.0, most: float = 86_400.0) -> None:
        self._virtual = _Selector(start, most)
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(main: Coroutine[Any, Any, T], *, start: float = 0.0, most: float = 86_400.0) -> T:
    """Run a coroutine in virtual time from second `start`. Raise `Deadlock` if it cannot end, or not in `most` seconds."""
    loop = VirtualLoop(start, most)
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


class VirtualClock(Clock):
    """A clock with the running loop's time. `offset`: seconds by which its wall clock is fast."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def time(self) -> float:
        return EPOCH + self.monotonic() + self.offset

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class LimitedWire(httpx.AsyncBaseTransport):
    """A transport to a limited server, which decides after half the latency; the answer arrives after the other half.

    - `latency`: seconds; None: the server's own.
    - `jitter`: the most seconds added to each half. `seed`: seed of the random numbers for it.

    `log` has the second and the status of each answer, in the server's order.
    """

    def __init__(self, served: Served, *, latency: float | None = None, jitter: float = 0.0, seed: int = 0) -> None:
        self.log: list[tuple[float, int]] = []
        self._served = served
        self._latency = served.latency if latency is None else latency
        self._jitter = jitter
        self._random = random.Random(seed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._travel()
        now = asyncio.get_running_loop().time()
        answer = self._served.answer(now)
        self.log.append((now, answer.status))
        await asyncio.sleep(answer.seconds)
        await self._travel()
        return httpx.Response(answer.status, headers=[*answer.headers], content=answer.body)

    async def _travel(self) -> None:
        """Wait for one half of the latency."""
        await asyncio.sleep(self._latency / 2 + self._jitter * self._random.random())


class Result(NamedTuple):
    """The result of several requests. Times in seconds."""

    wall: float
    statuses: Counter[int]
    errors: list[Exception]
    waits: list[float]
    """The duration of each request, with its retries, ascending."""

    @property
    def lost(self) -> int:
        """The number of answers other than 200."""
        return sum(self.statuses.values()) - self.statuses[200]

    def efficiency(self, limit: Limit) -> float:
        """The least possible time for the accepted requests divided by the time that was needed: 1 is the physical limit."""
        return limit.fastest(self.statuses[200]) / self.wall

    @property
    def p99(self) -> float:
        """The 99th percentile of the durations."""
        return self.waits[-(-99 * len(self.waits) // 100) - 1]


class Offered(NamedTuple):
    """One of the requests of `offer`. Times in seconds since the first."""

    begun: float
    ended: float
    status: int
    """0: the request raised an exception."""


async def offer(transport: Any, rate: float, seconds: float, *, url: str = "https://api.example.com/") -> list[Offered]:
    """Make `rate` GETs a second without waiting for earlier ones; return them in the order in which they began."""
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client:
        start = loop.time()

        async def one(at: float) -> Offered:
            await asyncio.sleep(start + at - loop.time())
            try:
                status = (await client.get(url)).status_code
            except httpx.HTTPError:
                status = 0
            return Offered(at, loop.time() - start, status)

        return await asyncio.gather(*(one(number / rate) for number in range(int(rate * seconds))))


async def drive(transport: Any, n: int = 480, tasks: int = 50, *, url: str = "https://api.example.com/") -> Result:
    """Make `n` GETs through a transport, `tasks` at a time, in the running loop's time, virtual or real."""
    loop = asyncio.get_running_loop()
    statuses: Counter[int] = Counter()
    errors: list[Exception] = []
    waits: list[float] = []
    left = iter(range(n))
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client:

        async def work() -> None:
            for _ in left:
                begin = loop.time()
                try:
                    statuses[(await client.get(url)).status_code] += 1
                except Exception as error:
                    errors.append(error)
                waits.append(loop.time() - begin)

        start = loop.time()
        await asyncio.gather(*(work() for _ in range(tasks)))
        return Result(loop.time() - start, statuses, errors, sorted(waits))

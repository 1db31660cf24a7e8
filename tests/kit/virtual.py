"""Many requests at once, a rate-limited server for them, and virtual time, in which minutes of waiting take no real time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import httpx

from ratewise import Clock
from ratewise.testing import FakeClock
from ratewise.testing.limits import EPOCH

if TYPE_CHECKING:
    from ratewise.testing import Limit
    from tests.kit.styles import Served

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, start: float = EPOCH) -> T:
    """Run a coroutine in virtual time, on an installed clock, from second 0. `start`: the wall time then.

    From second 0, so that sums of times are rounded alike whatever the uptime of the machine, and whichever tests came before.
    """
    with FakeClock(auto=True, start=start).installed() as clock:
        clock._origin = 0.0
        return asyncio.run(main)


class TimedWire(httpx.AsyncBaseTransport):
    """The base class of transports that behave by the time: second 0 is when they are made."""

    def __init__(self) -> None:
        self._made = Clock().monotonic()

    @property
    def now(self) -> float:
        """The seconds since it was made, to the nanosecond."""
        return round(Clock().monotonic() - self._made, 9)


class LimitedWire(TimedWire):
    """A transport to a limited server, which decides after half the latency; the answer arrives after the other half.

    - `latency`: seconds; None: the server's own.
    - `jitter`: the most seconds added to each half. `seed`: seed of the random numbers for it.

    `log` has the second and the status of each answer, in the server's order.
    """

    def __init__(self, served: Served, *, latency: float | None = None, jitter: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.log: list[tuple[float, int]] = []
        self._served = served
        self._latency = served.latency if latency is None else latency
        self._jitter = jitter
        self._random = random.Random(seed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._travel()
        now = self.now
        answer = self._served.answer(now)
        self.log.append((now, answer.status))
        await Clock().asleep(answer.seconds)
        await self._travel()
        return httpx.Response(answer.status, headers=[*answer.headers], content=answer.body)

    async def _travel(self) -> None:
        """Wait for one half of the latency."""
        await Clock().asleep(self._latency / 2 + self._jitter * self._random.random())


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
    clock = Clock()
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client:
        start = clock.monotonic()

        async def one(at: float) -> Offered:
            await clock.asleep(start + at - clock.monotonic())
            try:
                status = (await client.get(url)).status_code
            except httpx.HTTPError:
                status = 0
            return Offered(at, clock.monotonic() - start, status)

        return await asyncio.gather(*(one(number / rate) for number in range(int(rate * seconds))))


async def drive(transport: Any, n: int = 480, tasks: int = 50, *, url: str = "https://api.example.com/") -> Result:
    """Make `n` GETs through a transport, `tasks` at a time, in virtual or real time."""
    clock = Clock()
    statuses: Counter[int] = Counter()
    errors: list[Exception] = []
    waits: list[float] = []
    left = iter(range(n))
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client:

        async def work() -> None:
            for _ in left:
                begin = clock.monotonic()
                try:
                    statuses[(await client.get(url)).status_code] += 1
                except Exception as error:
                    errors.append(error)
                waits.append(clock.monotonic() - begin)

        start = clock.monotonic()
        await asyncio.gather(*(work() for _ in range(tasks)))
        return Result(clock.monotonic() - start, statuses, errors, sorted(waits))

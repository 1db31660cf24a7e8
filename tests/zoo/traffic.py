"""Calls of a client to servers in virtual time, and the record of what became of each."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Callable

import httpx

from ratewise import AsyncRateWiseClient, RateLimiter, RateWiseClient, RetryConfig, Waiter
from ratewise.exceptions import RateLimitExceeded, TooManyRequests
from ratewise.testing import FakeClock
from ratewise.testing.limits import EPOCH
from tests.zoo.servers import Answer, Brief, Seen, Server, Spec, told_pause

HOST = "api.example.com"

REAL = 45.0
"""Real seconds after which a run is broken off: something goes round in circles."""


@dataclass(frozen=True, repr=False)
class Traffic(Brief):
    """Who asks, and when.

    `kind`: "serial"; "closed": tasks that ask, think, and ask again; "open": a rate; "burst": n at once, every so often; "plan":
    each at its time, whatever becomes of those before.
    """

    kind: str = "closed"
    tasks: int = 50
    think: float = 0.0
    rate: float = 0.0
    n: int = 0
    """Of a burst: calls at once. Else: at most so many calls; 0: no bound."""
    every: float = math.inf
    """Of bursts: seconds from one to the next."""
    seconds: float = 60.0
    """New calls begin until then."""
    routes: tuple[str, ...] = ("/a",)
    sticky: bool = False
    """Whether a task keeps to one route. Else the calls take the routes in turn."""
    sync: bool = False
    """Threads, in place of tasks. Not for "open"."""
    begins: tuple[tuple[str, float], ...] = ()
    """Of sticky tasks: when the first call of a route begins; 0 if not given."""
    who: tuple[str, ...] = ("",)
    """The credentials that the calls take in turn; "": none."""
    plan: tuple[tuple[float, str], ...] = ()
    """(second, route) of each call, ascending."""

    def ideal(self, spec: Spec) -> float:
        """Calls a second that are offered where none waits."""
        answer = spec.latency + spec.jitter + spec.takes
        if self.kind == "open":
            return self.rate
        if self.kind == "plan":
            return len(self.plan) / self.seconds
        if self.kind == "burst":
            return self.n / self.every if self.every < math.inf else 0.0
        return (1 if self.kind == "serial" else self.tasks) / (answer + self.think)


@dataclass(repr=False)
class CallRecord:
    """One call. Times in seconds since the beginning of the run."""

    number: int
    route: str
    began: float
    host: str = HOST
    ended: float = math.inf
    status: int = 0
    """0: an exception."""
    error: BaseException | None = None
    attempts: list[Seen] = field(default_factory=list)
    wire: float = 0.0
    """Seconds on the wire, over all attempts, the queue in front of the pool included."""
    slept: float = 0.0
    """Seconds in `Clock.sleep`: retries."""
    parked: float = 0.0
    """Seconds in `Clock.park`: waits for a turn."""
    on_wire: bool = False
    last: bool = False
    """Of a perfect client: whether it is not tried again."""

    @property
    def succeeded(self) -> bool:
        return self.status == 200

    @property
    def duration(self) -> float:
        return self.ended - self.began

    @property
    def waited(self) -> float:
        """Seconds that were not spent on the wire: in the limiter, and before retries."""
        return self.duration - self.wire

    @property
    def limited(self) -> bool:
        """Whether the limiter ended it: not the last answer 429 itself, which the client raises."""
        return isinstance(self.error, RateLimitExceeded) and not isinstance(self.error, TooManyRequests)

    def __repr__(self) -> str:
        end = self.status or repr(self.error)
        sent = f"{len(self.attempts)} attempts"
        return f"call {self.number} {self.route} at {self.began:.3f} s: {end} after {self.duration:.3f} s, {sent}"


CALL: ContextVar[CallRecord | None] = ContextVar("CALL", default=None)


class Watch(FakeClock):
    """Virtual time from second 0, which knows for what each call waits."""

    def __init__(self) -> None:
        super().__init__(auto=True, start=EPOCH)
        self._origin = 0.0

    def sleep(self, seconds: float) -> None:
        begun = self.monotonic()
        super().sleep(seconds)
        self._note("slept", begun)

    async def asleep(self, seconds: float) -> None:
        begun = self.monotonic()
        try:
            await super().asleep(seconds)
        finally:
            self._note("slept", begun)

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        begun = self.monotonic()
        try:
            return super().park(waiter, timeout)
        finally:
            self._note("parked", begun)

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        begun = self.monotonic()
        try:
            return await super().apark(waiter, timeout)
        finally:
            self._note("parked", begun)

    def _note(self, kind: str, begun: float) -> None:
        call = CALL.get()
        if call is not None and not call.on_wire:
            setattr(call, kind, getattr(call, kind) + self.monotonic() - begun)


class Wire(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """The way to the servers, by host, and back."""

    def __init__(self, servers: Mapping[str, Server], clock: Watch, pool: int | None = None) -> None:
        self.servers, self.clock, self.pool = servers, clock, pool
        self.flying = self.most = 0
        self.line: deque[Waiter] = deque()
        self.until = time.monotonic() + REAL

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = CALL.get()
        assert call is not None
        begun, call.on_wire = self.clock.monotonic(), True
        try:
            while self.pool is not None and self.flying >= self.pool:
                waiter = Waiter()
                self.line.append(waiter)
                if not await self.clock.apark(waiter, request.extensions["timeout"]["pool"]):
                    raise httpx.PoolTimeout("no connection is free")
            return await self._go(request, call)
        finally:
            call.on_wire = False
            call.wire += self.clock.monotonic() - begun

    async def _go(self, request: httpx.Request, call: CallRecord) -> httpx.Response:
        trip = self._trip(request, call)
        self._fly(1)
        try:
            while True:
                await self.clock.asleep(next(trip))
        except StopIteration as end:
            return self._response(end.value)
        finally:
            self._fly(-1)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call = CALL.get()
        assert call is not None
        begun, call.on_wire = self.clock.monotonic(), True
        self._fly(1)
        try:
            trip = self._trip(request, call)
            while True:
                self.clock.sleep(next(trip))
        except StopIteration as end:
            return self._response(end.value)
        finally:
            self._fly(-1)
            call.on_wire = False
            call.wire += self.clock.monotonic() - begun

    def _fly(self, change: int) -> None:
        self.flying += change
        self.most = max(self.most, self.flying)
        if change < 0 and self.line:
            self.line.popleft().wake()

    @staticmethod
    def _response(answer: Answer) -> httpx.Response:
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def _trip(self, request: httpx.Request, call: CallRecord) -> Generator[float, None, Answer]:
        """Yield the seconds to wait; return the answer, or raise the error."""
        if time.monotonic() > self.until:
            raise AssertionError(f"the run takes more than {REAL:g} real seconds")
        server = self.servers[request.url.host]
        spec, clock = server.spec, self.clock
        sent = clock.monotonic()
        read = request.extensions.get("timeout", {}).get("read") or math.inf
        yield spec.latency / 2 + spec.jitter * server.random.random()
        at = clock.monotonic()
        answer = server.decide(call.route, request.headers.get("Authorization", ""), at)
        pause = told_pause(answer)
        seen = Seen(sent, at, call.route, answer.status, answer.accepted, pause, call=call.number, host=call.host)
        server.seen.append(seen)
        call.attempts.append(seen)
        back = spec.latency / 2 + spec.jitter * server.random.random() + answer.seconds
        if answer.how == "hang" or clock.monotonic() - sent + back > read:
            yield max(0.0, read - (clock.monotonic() - sent))
            seen.ended = clock.monotonic()
            raise httpx.ReadTimeout("no answer in time", request=request)
        yield back
        if spec.stall is not None:
            length, period = spec.stall
            late = length - clock.monotonic() % period
            if late > 0:
                yield late
        seen.ended = clock.monotonic()
        if answer.how == "refused":
            raise httpx.ConnectError("connection refused", request=request)
        if answer.how == "reset":
            raise httpx.ReadError("connection reset", request=request)
        return answer


@dataclass(repr=False)
class Run:
    """What became of traffic to servers."""

    spec: Spec
    traffic: Traffic
    calls: list[CallRecord]
    servers: Mapping[str, Server]
    most: int
    """The most requests in flight."""
    end: float
    """When the last call ended."""
    cpu: float
    """Processor seconds."""
    width: int = 100
    max_wait: float = 90.0
    snapshot: str = ""

    @property
    def seen(self) -> list[Seen]:
        return self.servers[HOST].seen

    @property
    def succeeded(self) -> int:
        return sum(call.succeeded for call in self.calls)

    @property
    def failed(self) -> int:
        return len(self.calls) - self.succeeded

    @property
    def accepted(self) -> int:
        return sum(seen.accepted for seen in self.seen)

    @property
    def refused(self) -> int:
        return len(self.seen) - self.accepted

    @property
    def per_success(self) -> float:
        """Refusals for each accepted request."""
        return self.refused / max(1, self.accepted)

    def refused_share(self, since: float = 0.0, until: float = math.inf) -> float:
        """Refusals for each accepted request among what arrived in a period."""
        seen = [one for one in self.seen if since <= one.at < until]
        accepted = sum(one.accepted for one in seen)
        return (len(seen) - accepted) / max(1, accepted)

    @property
    def used(self) -> float:
        """The least time in which the first rule could have accepted what it accepted, as a part of the time that it took."""
        took = max((seen.at for seen in self.seen if seen.accepted), default=0.0) - min(
            (seen.at for seen in self.seen), default=0.0
        )
        outages = [(outage.since, outage.until) for outage in self.spec.outages]
        least = 0.0
        for number, rule in enumerate(self.spec.rules):
            groups = {key[1:] for key in self.servers[HOST].limits if key[0] == number}
            for route, _ in groups:
                mine = sum(one.accepted and rule.binds(one.route) and route in ("", one.route) for one in self.seen)
                least = max(least, rule.build().fastest(mine, outages=outages))
        return min(1.0, least / took) if took else 1.0

    def waits(self) -> list[float]:
        return sorted(call.duration for call in self.calls)

    @property
    def p99(self) -> float:
        waits = self.waits()
        return waits[-(-99 * len(waits) // 100) - 1] if waits else 0.0

    @property
    def attempts(self) -> float:
        """Attempts for each call."""
        return len(self.seen) / max(1, len(self.calls))

    @property
    def errors(self) -> Counter[str]:
        return Counter(type(call.error).__name__ if call.error else str(call.status) for call in self.calls if not call.succeeded)

    def __repr__(self) -> str:
        return (
            f"{self.spec.name}: {self.succeeded} of {len(self.calls)} calls succeeded in {self.end:.1f} s, used {self.used:.2f}, "
            f"{self.per_success:.1%} refused, p99 {self.p99:.2f} s, {self.attempts:.2f} attempts a call, {dict(self.errors)}"
        )


Limiting = Any
"""None: retries alone; True: the default limiter; a `RateLimiter` or a function that makes one; "perfect"."""


def run(
    spec: Spec,
    traffic: Traffic,
    limiter: Limiting = True,
    *,
    others: Mapping[str, Spec] | None = None,
    pool: int | None = None,
    width: int | None = None,
    max_wait: float = 90.0,
    hosts: Callable[[int], str] = lambda number: HOST,
    seed: int = 1,
    **settings: Any,
) -> Run:
    """Run traffic. `pool`: connections of the wire, if it has a queue. `width`: what the client is told of that."""
    random.seed(seed)
    if limiter is True and os.environ.get("ZOO_CLIENT") == "perfect" and not traffic.sync:
        limiter = "perfect"  # which tests can be passed at all
    clock = Watch()
    servers = {HOST: Server(spec), **{host: Server(other) for host, other in (others or {}).items()}}
    wire = Wire(servers, clock, pool)
    transport: Any = wire
    if limiter == "perfect":
        from tests.zoo.perfect import Perfect, decide

        if traffic.sync:
            traffic = replace(traffic, sync=False)
        transport, limiter = Perfect(wire, clock, 1e-6 + spec.jitter, max_wait), None
        settings["retry_config"] = RetryConfig(decide=decide)
    elif limiter is True:
        limiter = RateLimiter(max_wait=max_wait)
    if width is not None:
        settings["limits"] = httpx.Limits(max_connections=width)
    calls: list[CallRecord] = []
    begun = time.process_time()
    (_run_sync if traffic.sync else _run_async)(traffic, transport, limiter, clock, calls, hosts, settings)
    snapshot = limiter.snapshot() if isinstance(limiter, RateLimiter) else ""
    end = max((call.ended for call in calls), default=0.0)
    return Run(spec, traffic, calls, servers, wire.most, end, time.process_time() - begun, width or 100, max_wait, snapshot)


def _new(traffic: Traffic, calls: list[CallRecord], clock: Watch, hosts: Callable[[int], str], task: int) -> CallRecord:
    number = len(calls)
    route = (
        traffic.plan[number][1] if traffic.plan else traffic.routes[(task if traffic.sticky else number) % len(traffic.routes)]
    )
    call = CallRecord(number, route, clock.monotonic(), hosts(number))
    calls.append(call)
    return call


def _headers(traffic: Traffic, call: CallRecord) -> dict[str, str]:
    who = traffic.who[call.number % len(traffic.who)]
    return {"Authorization": f"Bearer {who}"} if who else {}


def _times(traffic: Traffic) -> Iterator[float]:
    """Yield when each call begins."""
    if traffic.kind == "plan":
        yield from (at for at, _ in traffic.plan)
    elif traffic.kind == "burst":
        at = 0.0
        while at < traffic.seconds:
            yield from [at] * traffic.n
            at += traffic.every
    else:
        most = int(traffic.rate * traffic.seconds)
        yield from (number / traffic.rate for number in range(min(traffic.n or most, most)))


def _run_async(
    traffic: Traffic, transport: Any, limiter: Any, clock: Watch, calls: list[CallRecord], hosts: Any, settings: Any
) -> None:
    async def one(client: AsyncRateWiseClient, task: int) -> None:
        call = _new(traffic, calls, clock, hosts, task)
        CALL.set(call)
        try:
            call.status = (await client.get(f"https://{call.host}{call.route}", headers=_headers(traffic, call))).status_code
        except Exception as error:
            call.error = error
        call.ended = clock.monotonic()

    async def work(client: AsyncRateWiseClient, task: int) -> None:
        if traffic.sticky:
            await clock.asleep(dict(traffic.begins).get(traffic.routes[task % len(traffic.routes)], 0.0))
        while clock.monotonic() < traffic.seconds and not 0 < traffic.n <= len(calls):
            await one(client, task)
            if traffic.think:
                await clock.asleep(traffic.think)
            elif calls and clock.monotonic() == calls[-1].began:
                await clock.asleep(0.01)  # what fails at once asks again only after a moment: else time would stand still

    async def main() -> None:
        async with AsyncRateWiseClient(transport=transport, rate_limiter=limiter, clock=clock, **settings) as client:
            if traffic.kind in ("serial", "closed"):
                tasks = 1 if traffic.kind == "serial" else traffic.tasks
                await asyncio.gather(*(work(client, task) for task in range(tasks)))
                return
            begun: list[asyncio.Task[None]] = []
            for number, at in enumerate(_times(traffic)):
                if at > clock.monotonic():
                    await clock.asleep(at - clock.monotonic())
                begun.append(asyncio.ensure_future(one(client, number)))
            await asyncio.gather(*begun)

    asyncio.run(main())


def _run_sync(
    traffic: Traffic, transport: Any, limiter: Any, clock: Watch, calls: list[CallRecord], hosts: Any, settings: Any
) -> None:
    with RateWiseClient(transport=transport, rate_limiter=limiter, clock=clock, **settings) as client:

        def one(task: int) -> None:
            call = _new(traffic, calls, clock, hosts, task)
            CALL.set(call)
            try:
                call.status = client.get(f"https://{call.host}{call.route}", headers=_headers(traffic, call)).status_code
            except Exception as error:
                call.error = error
            call.ended = clock.monotonic()

        def work(task: int) -> None:
            if traffic.sticky:
                clock.sleep(dict(traffic.begins).get(traffic.routes[task % len(traffic.routes)], 0.0))
            while clock.monotonic() < traffic.seconds and not 0 < traffic.n <= len(calls):
                one(task)
                clock.sleep(traffic.think or 1e-9)

        if traffic.kind == "burst":
            clock.run(*((lambda task=task: one(task)) for task in range(traffic.n)))
        else:
            clock.run(*((lambda task=task: work(task)) for task in range(1 if traffic.kind == "serial" else traffic.tasks)))

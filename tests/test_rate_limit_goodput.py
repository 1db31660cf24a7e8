"""How much of a limit is used, and how much is refused, when it is known only from what the server tells. In virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import math
import random
from typing import Any, Callable, NamedTuple

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limited import EPOCH, STYLES, Bucket, Headers, Policy, Quota, Reply, Window, ietf, nothing, xratelimit
from virtual import LimitedWire, Result, VirtualClock, drive, run

from ratewise import AsyncLayerTransport, AsyncRateLimitTransport, RateLimiter, RateLimitLayer, RetryConfig, RetryLayer

TOLD = ("window", "ietf", "openai", "penalty", "halved")
"""The styles that tell their limits; `anthropic` too, which takes minutes."""


class Outcome(NamedTuple):
    """What came of one run."""

    result: Result
    policy: Policy
    wire: LimitedWire


def through(style: str, n: int = 480, tasks: int = 50, wire: Any = None, limiter: Any = None, **policy: Any) -> Outcome:
    """`n` requests by so many tasks at a time, through retries and a limiter that knows nothing, to a cold server."""
    return drive_virtually(STYLES[style](**policy), n, tasks, wire, limiter)


def drive_virtually(served: Any, n: int, tasks: int, wire: Any = None, limiter: Any = None) -> Outcome:
    """The same, to any server."""

    async def main() -> Outcome:
        limited = LimitedWire(served, **(wire or {}))
        retries = RetryLayer(RetryConfig(budget=False, initial_delay=0.1), uniform=random.Random(1).random)
        layers = retries, RateLimitLayer(RateLimiter(**(limiter or {})))
        transport = AsyncLayerTransport(limited, *layers, clock=VirtualClock(offset=7.7))
        return Outcome(await drive(transport, n, tasks), served, limited)

    return run(main(), most=3600)


def check(outcome: Outcome, efficiency: float, refused: float) -> None:
    """All came through, as fast as that and with no more refusals."""
    result, policy, _ = outcome
    assert (result.lost, result.errors) == (0, [])
    assert policy.refused <= refused * policy.accepted
    assert result.efficiency(policy) >= efficiency


@pytest.mark.parametrize("style", TOLD)
def test_cold(style: str) -> None:
    """50 tasks, 480 requests, 20 a second: nearly as fast as can be, and nearly nothing refused."""
    check(through(style), 0.97, 0.005)


@pytest.mark.parametrize("style", TOLD)
@pytest.mark.parametrize(
    "otherwise",
    [
        {"date_skew": 3.0, "epoch": EPOCH + 0.4},
        {"date_skew": -3.0, "epoch": EPOCH + 0.9},
        {"wire": {"failures": 0.02, "seed": 1}},
        {"wire": {"jitter": 0.02, "seed": 2}},
        {"tasks": 200},
        {"tasks": 20},
    ],
    ids=str,
)
def test_otherwise(style: str, otherwise: Any) -> None:
    """The `Date` off, 503s by chance, jitter, many tasks and few: hardly worse."""
    check(through(style, 280, **otherwise), 0.94, 0.005)


@pytest.mark.parametrize(("style", "efficiency"), [("window", 0.94), ("ietf", 0.97), ("penalty", 0.97)])
def test_many_requests(style: str, efficiency: float) -> None:
    """Of 20 whole windows hardly a request is wasted to see when they turn: of one whose length is told, none."""
    check(through(style, 2000), efficiency, 0.001)


@pytest.mark.parametrize("style", ["window", "ietf"])
@pytest.mark.parametrize("phase", [0.02, 0.7, 1.3, 2.5, 3.9, 4.6])
def test_windows_by_the_wall_clock(style: str, phase: float) -> None:
    """It comes in the middle of a window, wherever that turns."""
    check(through(style, anchor="wall", epoch=EPOCH + phase), 0.94, 0.005)


@pytest.mark.parametrize("anchor", ["first", "wall"])
def test_everything_at_once(anchor: str) -> None:
    """2,000 requests by 200 tasks, a window by the wall clock, a `Date` that is wrong, jitter and 503s."""
    wire = {"failures": 0.02, "jitter": 0.005, "seed": 3}
    outcome = through("window", 2000, 200, wire, anchor=anchor, epoch=EPOCH + 1.77, date_skew=3.0)
    check(outcome, 0.93, 0.005)
    assert outcome.wire.failed > 20


@pytest.mark.parametrize("anchor", ["first", "wall"])
@pytest.mark.parametrize("speak", [xratelimit, ietf])
@pytest.mark.parametrize(("limit", "seconds"), [(5, 1), (10, 1), (30, 1), (10, 4), (100, 6), (10, 7), (60, 60)])
def test_other_windows(limit: int, seconds: int, speak: Any, anchor: Any) -> None:
    """Short ones, small ones, and odd lengths: none is taken for another one for long."""
    served = Window(limit, seconds, speak, anchor=anchor, epoch=EPOCH + 0.37)
    outcome = drive_virtually(served, 12 * limit + limit // 2, 50, limiter={"max_wait": 300})
    check(outcome, 0.9, 0.03)


def test_whole_seconds_of_a_bucket() -> None:
    """When it will be full is told in whole seconds, by the server's clock: what is left tells more, and the rate is found."""
    check(through("anthropic", 200, 20, date_skew=3.0, epoch=EPOCH + 0.4), 0.97, 0.005)


def test_a_wait_is_fair() -> None:
    """Nobody waits longer than a perfect first-come-first-served queue would let it wait, but for a little."""
    outcome = through("openai")
    assert outcome.result.p99 <= 1.1 * 50 / 20


@pytest.mark.parametrize("style", ["window", "openai"])
def test_a_stated_limit_too(style: str) -> None:
    """A limit that is stated lower than the server's is kept to; what the server tells is kept to where it is higher."""
    slow = through(style, 100, limiter={"rate": 10, "burst": 5})
    assert slow.policy.refused == 0
    assert slow.result.wall == pytest.approx(9.5, abs=0.1)
    check(through(style, limiter={"rate": 1000, "burst": 1000}), 0.97, 0.005)


def test_pace() -> None:
    """With `pace` a window is not spent at its first instant: in no second do more than about a fifth of it come."""
    outcome = through("window", 200, limiter={"pace": True})
    assert (outcome.result.lost, outcome.policy.refused) == (0, 0)
    seconds = [int(at) for at, _ in outcome.wire.log]
    assert max(map(seconds.count, set(seconds))) <= 40


def test_without_limits() -> None:
    """A server that tells nothing is waited for once, by all, for one answer."""
    served = Bucket(10**6, 1, nothing)

    async def main() -> Result:
        return await drive(AsyncRateLimitTransport(LimitedWire(served), clock=VirtualClock()), 500, 50)

    result = run(main())
    assert result.statuses == {200: 500}
    assert result.wall == pytest.approx(0.02 + 10 * 0.02)


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line for each time that there is waiting, and not one for each who waits."""
    with caplog.at_level(logging.WARNING, "ratewise"):
        through("window", 300)
    assert 2 <= len(caplog.messages) <= 6
    assert all("https://api.example.com wait" in line and "used up" in line for line in caplog.messages)


class Both:
    """Two limits at once: a request must keep to each, and is told of both."""

    latency = Policy.latency

    def __init__(self, *policies: Policy) -> None:
        self.policies = policies
        self.accepted = self.refused = 0

    def answer(self, now: float) -> Reply:
        accepted = all(copy.copy(policy).answer(now).status == 200 for policy in self.policies)
        asked = self.policies if accepted else [copy.copy(policy) for policy in self.policies]
        self.accepted += accepted
        self.refused += not accepted
        answers = [policy.answer(now).headers for policy in asked]
        fields = [(field, ", ".join(dict(headers)[field] for headers in answers)) for field in ("RateLimit", "RateLimit-Policy")]
        return Reply(200 if accepted else 429, fields)


def named(name: str) -> Callable[[Quota], Headers]:
    """What `ietf` tells, of a policy of this name."""
    return lambda quota: [(field, value.replace("default", name)) for field, value in ietf(quota)]


@pytest.mark.parametrize("tasks", [1, 10, 50])
def test_two_limits_at_once(tasks: int) -> None:
    """10 a second, and 100 in 20 seconds: the tightest binds at any time."""
    policy = Both(Window(10, 1, named("second")), Window(100, 20, named("minute")))
    outcome = drive_virtually(policy, 210, tasks)
    assert (outcome.result.lost, outcome.result.errors) == (0, [])
    assert policy.refused <= 2
    assert outcome.result.wall <= 40 * 1.05


@given(
    st.integers(1, 40),
    st.integers(1, 8),
    st.integers(1, 4) | st.none(),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 0.5) | st.none(), st.booleans()), min_size=1, max_size=25),
)
def test_a_stated_limit_holds_whatever_happens(rate: int, burst: int, concurrency: int | None, calls: list[Any]) -> None:
    """However requests come, fail and are cancelled: never more than stated in any interval or at once; nothing is left over."""
    limiter, times, now, peak = RateLimiter(rate=rate, burst=burst, concurrency=concurrency), list[float](), 0, 0

    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal now, peak
            times.append(asyncio.get_running_loop().time())
            now += 1
            peak = max(peak, now)
            try:
                await asyncio.sleep(0.03)
            finally:
                now -= 1
            if request.url.path == "/fails":
                raise httpx.ReadError("no")
            return httpx.Response(200, content=b"ok")

    async def main() -> None:
        transport = AsyncRateLimitTransport(Wire(), limiter, clock=VirtualClock())

        async def call(start: float, patience: float | None, fails: bool) -> None:
            await asyncio.sleep(start)
            with anyio.move_on_after(math.inf if patience is None else patience) as scope:
                with contextlib.suppress(httpx.ReadError):
                    request = httpx.Request("GET", "https://api.example.com/fails" if fails else "https://api.example.com/")
                    assert (await transport.handle_async_request(request)).status_code == 200
            assert patience is not None or not scope.cancelled_caught

        await asyncio.gather(*(call(*each) for each in calls))

    run(main())
    for first, start in enumerate(times):
        for number, end in enumerate(times[first:], 1):
            assert number <= burst + (end - start + 1e-5) * rate
    assert peak <= (concurrency or len(calls))
    (room,) = limiter.rooms.values()
    assert (len(room.queue), room.governor._sent, room.governor._busy) == (0, {}, 0)

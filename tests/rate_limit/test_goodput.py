"""How much of a server's limit is used, and how many requests are refused, without a stated limit. In virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import random
from typing import Any, Callable, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise import AsyncLayerTransport, AsyncRateLimitTransport, Clock, RateLimiter, RateLimitLayer, RetryConfig, RetryLayer
from ratewise._core.clock import TimeoutExpired
from ratewise.testing import FixedWindow, Limit, Quota, SlidingWindow, TokenBucket
from ratewise.testing.families import Headers, ietf
from ratewise.testing.limits import EPOCH
from ratewise.testing.responder import Answer
from tests.kit.styles import LATENCY, UNLIMITED, Served, styled
from tests.kit.virtual import LimitedWire, Offered, Result, drive, offer, run

TOLD = ("window", "ietf", "openai", "penalty", "halved")
"""The styles whose responses carry rate-limit fields, except `anthropic`, which takes minutes."""


class Outcome(NamedTuple):
    """The outcome of one run."""

    result: Result
    served: Served
    wire: LimitedWire

    @property
    def limit(self) -> Limit:
        return self.served.limit


def through(style: str, n: int = 480, tasks: int = 50, wire: Any = None, limiter: Any = None, **server: Any) -> Outcome:
    """Send `n` requests from `tasks` tasks through retries and a limiter without prior knowledge, to a server of this style."""
    return drive_virtually(styled(style, **server), n, tasks, wire, limiter)


def drive_virtually(served: Any, n: int, tasks: int, wire: Any = None, limiter: Any = None) -> Outcome:
    """As `through`, to any server."""
    delay = 0.1 if served.tells not in (None, "retry-after") else 1.0  # who is refused by chance is not to be last by far

    async def main() -> Outcome:
        limited = LimitedWire(served, **(wire or {}))
        retries = RetryLayer(RetryConfig(budget=False, initial_delay=delay), uniform=random.Random(1).random)
        layers = retries, RateLimitLayer(RateLimiter(**(limiter or {})))
        return Outcome(await drive(AsyncLayerTransport(limited, *layers), n, tasks), served, limited)

    return run(main(), start=EPOCH + 7.7)  # a wall clock that is fast


def check(outcome: Outcome, efficiency: float, refused: float) -> None:
    """Check that no request was lost, and the bounds on efficiency and on the fraction refused."""
    result, limit = outcome.result, outcome.limit
    assert (result.lost, result.errors) == (0, [])
    assert limit.refused <= refused * limit.accepted
    assert result.efficiency(limit) >= efficiency


def check_silent(outcome: Outcome, efficiency: float = 0.90) -> None:
    """The same for a server that tells nothing: 12 % refused, 20 % in the first 10 seconds."""
    check(outcome, efficiency, 0.20)
    late = [status == 200 for at, status in outcome.wire.log if at >= 10]
    assert late.count(False) <= 0.12 * late.count(True)


@pytest.mark.parametrize("style", TOLD)
def test_cold(style: str) -> None:
    """480 requests of 50 tasks at 20 a second reach 96 % of the limit with at most 0.5 % refused."""
    check(through(style), 0.96, 0.005)


@pytest.mark.parametrize("style", TOLD)
@pytest.mark.parametrize(
    "otherwise",
    [
        {"date_skew": 3.0, "epoch": EPOCH + 0.4},
        {"sheds": 0.02, "seed": 1},
        {"wire": {"jitter": 0.02, "seed": 2}},
        {"tasks": 200},
    ],
    ids=str,
)
def test_otherwise(style: str, otherwise: Any) -> None:
    """A wrong `Date`, random 503s, jitter, and more tasks reduce the efficiency to 94 % at worst."""
    check(through(style, 280, **otherwise), 0.94, 0.005)


@pytest.mark.parametrize(("style", "efficiency"), [("window", 0.94), ("ietf", 0.97), ("penalty", 0.97)])
def test_many_requests(style: str, efficiency: float) -> None:
    """Over 10 windows at most 0.1 % of the requests are refused, whether or not the length of a window is stated."""
    check(through(style, 1000), efficiency, 0.001)


@pytest.mark.parametrize("style", ["window", "ietf"])
@pytest.mark.parametrize("phase", [0.02, 1.3, 4.6])
def test_windows_by_the_wall_clock(style: str, phase: float) -> None:
    """Windows aligned to the wall clock reach 94 %, at whatever phase of the window the first request comes."""
    check(through(style, anchor="wall", epoch=EPOCH + phase), 0.94, 0.005)


def test_everything_at_once() -> None:
    """2,000 requests of 200 tasks, with a wrong `Date`, jitter and random 503s, reach 93 %."""
    wire = {"jitter": 0.005, "seed": 3}
    outcome = through("window", 2000, 200, wire, anchor="wall", epoch=EPOCH + 1.77, date_skew=3.0, sheds=0.02)
    check(outcome, 0.93, 0.005)
    assert outcome.served.responder.failed > 20


@pytest.mark.parametrize("anchor", ["first", "wall"])
@pytest.mark.parametrize("tells", ["x-ratelimit", "ietf"])
@pytest.mark.parametrize(("limit", "seconds"), [(5, 1), (30, 1), (10, 4), (60, 60)])
def test_other_windows(limit: int, seconds: int, tells: str, anchor: Any) -> None:
    """Short windows, small limits and odd lengths reach 90 %: a wrong guess of the length is corrected quickly."""
    served = Served(FixedWindow(limit, seconds, anchor=anchor, epoch=EPOCH + 0.37), tells)
    outcome = drive_virtually(served, 12 * limit + limit // 2, 50, limiter={"max_wait": 300})
    check(outcome, 0.9, 0.03)


def test_whole_seconds_of_a_bucket() -> None:
    """If the reset is in whole seconds of the server's clock, the remaining count yields the refill rate."""
    check(through("anthropic", 200, 20, date_skew=3.0, epoch=EPOCH + 0.4), 0.97, 0.005)


def test_a_wait_is_fair() -> None:
    """The 99th percentile of the waits is within 10 % of a perfect first-come-first-served queue."""
    outcome = through("openai")
    assert outcome.result.p99 <= 1.1 * 50 / 20


@pytest.mark.parametrize("style", ["window", "openai"])
def test_a_stated_limit_too(style: str) -> None:
    """A stated limit below the server's is kept; one above it leaves the server's own fields in force."""
    slow = through(style, 100, limiter={"rate": 10, "burst": 5})
    assert slow.limit.refused == 0
    assert slow.result.wall == pytest.approx(9.5, abs=0.1)
    check(through(style, limiter={"rate": 1000, "burst": 1000}), 0.97, 0.005)


def test_pace() -> None:
    """`pace` spreads a window's quota: at most about a fifth of it is sent in any one second."""
    outcome = through("window", 200, limiter={"pace": True})
    assert (outcome.result.lost, outcome.limit.refused) == (0, 0)
    seconds = [int(at) for at, _ in outcome.wire.log]
    assert max(map(seconds.count, set(seconds))) <= 40


def test_without_limits() -> None:
    """With a server that sends no rate-limit fields, only the first answer is waited for."""
    served = Served(TokenBucket(10**6, 1))

    async def main() -> Result:
        return await drive(AsyncRateLimitTransport(LimitedWire(served)), 500, 50)

    result = run(main())
    assert result.statuses == {200: 500}
    assert result.wall == pytest.approx(0.02 + 10 * 0.02)


def test_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Each period of waiting logs one line, not one for each waiting request."""
    with caplog.at_level(logging.WARNING, "ratewise"):
        through("window", 300)
    assert 2 <= len(caplog.messages) <= 6
    assert all("holding requests to https://api.example.com" in line and "used up" in line for line in caplog.messages)


class Both:
    """Two limits at once: a request must satisfy both, and the response carries the fields of both."""

    latency = LATENCY
    tells = "ietf"

    def __init__(self, *served: Served) -> None:
        self.served = served
        self.refused = 0

    def answer(self, now: float) -> Answer:
        accepted = all(each.limit.copy().take(now).accepted for each in self.served)
        self.refused += not accepted
        answers = [(each if accepted else copy.deepcopy(each)).answer(now) for each in self.served]
        told = [dict(answer.headers) for answer in answers]
        fields = [(field, ", ".join(headers[field] for headers in told)) for field in ("RateLimit", "RateLimit-Policy")]
        return Answer(200 if accepted else 429, fields, b"", accepted)


def named(name: str) -> Callable[[Quota], Headers]:
    """The fields of `ietf`, with this name as the name of the policy."""
    return lambda quota: [(field, value.replace("default", name)) for field, value in ietf(quota)]


@pytest.mark.parametrize("tasks", [1, 10, 50])
def test_two_limits_at_once(tasks: int) -> None:
    """With 10 a second and 100 in 20 seconds, the tighter limit applies at any time."""
    both = Both(Served(FixedWindow(10, 1), named("second")), Served(FixedWindow(100, 20), named("minute")))
    outcome = drive_virtually(both, 210, tasks)
    assert (outcome.result.lost, outcome.result.errors) == (0, [])
    assert both.refused <= 2
    assert outcome.result.wall <= 40 * 1.05


@given(
    st.integers(1, 40),
    st.integers(1, 8),
    st.integers(1, 4) | st.none(),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 0.5) | st.none(), st.booleans()), min_size=1, max_size=25),
)
def test_a_stated_limit_holds_whatever_happens(rate: int, burst: int, concurrency: int | None, calls: list[Any]) -> None:
    """Failing and cancelled requests never break the rate, in any interval, or the concurrency, and leave no state behind."""
    limiter, times, now, peak = RateLimiter(rate=rate, burst=burst, concurrency=concurrency), list[float](), 0, 0

    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal now, peak
            times.append(Clock().monotonic())
            now += 1
            peak = max(peak, now)
            try:
                await Clock().asleep(0.03)
            finally:
                now -= 1
            if request.url.path == "/fails":
                raise httpx.LocalProtocolError("no")
            return httpx.Response(200, content=b"ok")

    async def main() -> None:
        transport = AsyncRateLimitTransport(Wire(), limiter)

        async def send(path: str) -> None:
            with contextlib.suppress(httpx.LocalProtocolError):
                request = httpx.Request("GET", f"https://api.example.com{path}")
                assert (await transport.handle_async_request(request)).status_code == 200

        async def call(start: float, patience: float | None, fails: bool) -> None:
            await Clock().asleep(start)
            path = "/fails" if fails else "/"
            if patience is None:
                await send(path)
            else:
                with contextlib.suppress(TimeoutExpired):
                    await Clock().within(patience, send, path)

        await asyncio.gather(*(call(*each) for each in calls))

    run(main())
    for first, start in enumerate(times):
        for number, end in enumerate(times[first:], 1):
            assert number <= burst + (end - start + 1e-5) * rate
    assert peak <= (concurrency or len(calls))
    (gate,) = limiter._gates.values()
    assert all(not (lane.queue or lane.unanswered or lane.taken) for lane in gate.lanes.values())


def test_a_stated_limit_holds_in_an_outage() -> None:
    """Nor do broken connections break it."""
    times: list[float] = []

    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            times.append(Clock().monotonic())
            raise httpx.ConnectError("no")

    async def main() -> None:
        transport = AsyncRateLimitTransport(Wire(), RateLimiter(rate=1))
        for _ in range(8):
            with contextlib.suppress(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", "https://api.example.com"))

    run(main())
    assert times[-1] - times[0] >= 6.9


# -- servers that refuse and send no rate-limit fields


SILENT = ("seconds", "bare", "bare-window", "bare-halved", "slots")
"""The styles that send no rate-limit fields, except `shuts`."""

USED = {"slots": 0.85}
"""How much of a limit is used at least, where it is not 0.90."""


@pytest.mark.parametrize("wire", [{}, {"jitter": 0.005, "seed": 2}], ids=str)
@pytest.mark.parametrize("style", SILENT)
def test_silent(style: str, wire: Any) -> None:
    """From refusals alone the limiter discovers the limit: 90 % of it are used, 85 % of slots."""
    check_silent(through(style, wire=wire), USED.get(style, 0.90))


@pytest.mark.parametrize("style", SILENT)
def test_silent_and_cautious(style: str) -> None:
    """With `cautious` as much is used, and no more is refused."""
    check_silent(through(style, limiter={"cautious": True}), USED.get(style, 0.90))


def test_penalties() -> None:
    """Where one excess request shuts the client out for 5 s, 62 % of the limit are used."""
    check_silent(through("shuts"), 0.62)


def again(style: str, pause: float = 6.0) -> list[Outcome]:
    """Run twice with a new limiter each time; the second one restores the snapshot of the first."""
    outcomes: list[Outcome] = []
    snapshots: list[str] = []

    async def main() -> None:
        for _ in range(2):
            limiter, served = RateLimiter(), styled(style)
            if snapshots:
                limiter.restore(snapshots[-1])
            wire = LimitedWire(served)
            transport = AsyncLayerTransport(wire, RetryLayer(), RateLimitLayer(limiter))
            outcomes.append(Outcome(await drive(transport), served, wire))
            snapshots.append(limiter.snapshot())
            await Clock().asleep(pause)

    run(main())
    return outcomes


@pytest.mark.parametrize("style", SILENT)
def test_warm(style: str) -> None:
    """With the limits of a snapshot hardly less is used, though windows are not in it, and no more is refused."""
    check_silent(again(style)[1], USED.get(style, 0.85))


@pytest.mark.parametrize(
    "limit",
    [
        TokenBucket(5, 1),
        TokenBucket(37, 1),
        TokenBucket(10, 10),
        TokenBucket(1, 0.5),
        FixedWindow(60, 60),
        FixedWindow(60, 60, anchor="wall", epoch=EPOCH + 17.3),
        FixedWindow(40, 7),
        SlidingWindow(10, 10),
        SlidingWindow(20, 1),
    ],
)
def test_other_silent_limits(limit: Limit) -> None:
    """Limits of other kinds, sizes and lengths: at most 5 % of the calls use up their retries, and 70 % of the limit are used."""
    outcome = drive_virtually(Served(limit), 300, 50, {"jitter": 0.003}, {"max_wait": 600})
    assert outcome.result.errors == []
    assert outcome.result.lost <= 0.05 * 300
    assert limit.refused <= 0.7 * 300
    assert outcome.result.efficiency(limit) >= 0.7


@pytest.mark.parametrize("refusal", [429, 503])
@pytest.mark.parametrize("connects", [True, False])
def test_an_outage(refusal: int, connects: bool) -> None:
    """An outage of 5 s: few requests are sent meanwhile, none is lost, and later requests do not wait for the backlog."""

    tried: list[float] = []

    class Gone(LimitedWire):
        """A server that is unreachable during the outage, unless it answers 503."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not connects and 2 <= self.now < 7:
                tried.append(self.now)
                raise httpx.ConnectError("refused", request=request)
            return await super().handle_async_request(request)

    server = Served(TokenBucket(200, 1), refusal=refusal, outages=[(2, 7)])

    async def main() -> list[Offered]:
        retries = RetryLayer(uniform=random.Random(1).random)
        transport = AsyncLayerTransport(Gone(server), retries, RateLimitLayer(RateLimiter()))
        return await offer(transport, 100, 12)

    offered = run(main())
    assert {each.status for each in offered} == {200}
    assert len(tried) + server.responder.failed <= 0.1 * 500
    waits = sorted(each.ended - each.begun for each in offered if each.begun >= 7)
    assert waits[len(waits) // 2] < 0.5
    assert waits[-len(waits) // 20] < 5
    assert any(each.ended < 10 for each in offered if each.begun >= 7)


def test_a_silent_server_without_a_limit() -> None:
    """Without a limit the limiter only waits for the first answer and for half of the first batch; random 503s add no waits."""

    async def main() -> Result:
        wire = LimitedWire(Served(UNLIMITED.copy(), sheds=0.03, seed=4))
        layers = RetryLayer(RetryConfig(initial_delay=0.01)), RateLimitLayer(RateLimiter())
        return await drive(AsyncLayerTransport(wire, *layers), 2000, 50)

    result = run(main())
    assert result.statuses == {200: 2000}
    assert result.wall <= 1.15 * 2000 / 50 * 0.02

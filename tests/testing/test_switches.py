"""no_waiting, retries_off and installed clocks: on clients that exist already, nested, in threads and event loops."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ratewise import (
    Bulkhead,
    CacheConfig,
    CircuitBreaker,
    Clock,
    ExponentialBackoff,
    InMemoryCache,
    RateLimiter,
    RetryConfig,
    Waiter,
    exchange_of,
    options,
)
from ratewise.testing import FakeClock, no_waiting, retries_off
from ratewise.testing import switches as module
from tests.kit.patience import PATIENCE, wait_until
from tests.kit.world import World

LONG = ExponentialBackoff(initial_delay=50.0, max_delay=50.0, jitter=False)
"""Waits that would fail the time-out of a test if they were real."""

HOUR = "3600"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test the clock is the real one, but for the time that has passed, and retries are on."""
    yield
    assert (module._STATE.installed, module._STATE.no_waiting, module._STATE.retries_off) == ([], 0, 0)
    assert all(Clock.__dict__[name] is value for name, value in module._REAL.items() if name != "monotonic")


class Server:
    """A handler for `MockTransport`: answers by a script of statuses, then with 200, and counts."""

    def __init__(self, world: World, *statuses: int, headers: Any = None) -> None:
        self.httpx, self.statuses, self.headers = world.httpx, iter(statuses), headers
        self.requests: list[Any] = []
        self._lock = threading.Lock()

    @property
    def received(self) -> int:
        return len(self.requests)

    def __call__(self, request: Any) -> Any:
        with self._lock:
            self.requests.append(request)
            status = next(self.statuses, 200)
        return self.httpx.Response(status, headers=self.headers if status != 200 else None, content=b"ok")


def client_of(world: World, handler: Any, **settings: Any) -> Any:
    return world.RateWiseClient("https://api.example.com", transport=world.httpx.MockTransport(handler), **settings)


async def status_of(world: World, client: Any, **keywords: Any) -> int:
    return (await world(client.get, "/", **keywords)).status_code  # type: ignore[no-any-return]


# -- no_waiting


async def test_retries_do_not_wait(world: World) -> None:
    """A client that was made before retries as ever, and its history has the waits."""
    server = Server(world, 503, 503)
    client = client_of(world, server, backoff_strategy=LONG)
    with no_waiting():
        response = await world(client.get, "/")
    assert (response.status_code, server.received) == (200, 3)
    assert exchange_of(response).waits == pytest.approx((50, 50))


async def test_the_limiter_does_not_wait(world: World) -> None:
    """A told limit is kept, in a time that passes at once."""
    now = Clock().monotonic
    accepted: list[float] = []

    def handler(request: Any) -> Any:
        if accepted and now() < accepted[0] + 60:
            left = accepted[0] + 60 - now()
            return world.httpx.Response(429, headers={"Retry-After": f"{left:.3f}"})
        accepted[:0] = [now()]
        return world.httpx.Response(
            200, headers={"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}
        )

    client = client_of(world, handler)
    with no_waiting():
        now = Clock().monotonic
        assert [await status_of(world, client) for _ in range(4)] == [200] * 4
    assert all(later - earlier >= 60 for later, earlier in zip(accepted, accepted[1:]))


async def test_who_waits_for_a_call_waits_for_it(world: World) -> None:
    """Bulkhead and single flight wait for the call in front as long as that takes, not until their time is over."""
    going = threading.Event()

    def handler(request: Any) -> Any:
        going.wait(0.05)  # real work
        return world.httpx.Response(200, headers={"Cache-Control": "max-age=60"}, content=b"ok")

    for settings in ({"bulkhead": Bulkhead(1, max_wait=5.0)}, {"cache": InMemoryCache()}):
        client = client_of(world, handler, rate_limiter=None, **settings)
        with no_waiting():
            assert await world.gather(*[lambda client=client: status_of(world, client)] * 4) == [200] * 4  # type: ignore[misc]


async def test_a_full_bulkhead_refuses_at_once(world: World) -> None:
    """Who waits for a slot that its own thread or task holds has waited enough at once."""
    stream = [b"o", b"k"]

    class Body(world.httpx.SyncByteStream, world.httpx.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[bytes]:
            yield from stream

        async def __aiter__(self) -> Any:
            for chunk in stream:
                yield chunk

    client = client_of(world, lambda request: world.httpx.Response(200, stream=Body()), bulkhead=Bulkhead(1), rate_limiter=None)
    with no_waiting():
        async with world.within(client.stream("GET", "/")):
            with pytest.raises(world.ratewise.BulkheadFull, match=r"waited 3\d"):
                await world(client.get, "/")


async def test_skipped_waits_have_passed(world: World) -> None:
    """Waits count against the deadline and the bounds of waits, as if they had been slept."""
    server = Server(world, *[503] * 9)
    client = client_of(world, server, retry_config=RetryConfig(9, backoff=LONG), total_timeout=120.0)
    with no_waiting():
        assert await status_of(world, client) == 503
        assert server.received == 3
        server = Server(world, 429, headers={"Retry-After": HOUR})
        client = client_of(world, server)
        with pytest.raises(world.ratewise.RateLimitExceeded):
            await world(client.get, "/")
        assert server.received == 1


async def test_an_open_circuit_refuses(world: World) -> None:
    """A circuit breaker does not wait, it refuses: also here."""
    server = Server(world, *[500] * 9)
    client = client_of(world, server, circuit_breaker=CircuitBreaker(2, recovery_timeout=60), max_retries=0)
    with no_waiting():
        assert [await status_of(world, client) for _ in range(2)] == [500, 500]
        for _ in range(2):
            with pytest.raises(world.ratewise.CircuitBreakerOpen):
                await world(client.get, "/")
    assert server.received == 2


async def test_stale_responses_are_refreshed_in_the_background(world: World) -> None:
    """Background work goes on, with its waits skipped."""
    server = Server(world, headers=None)
    headers = {"Cache-Control": "max-age=0, stale-while-revalidate=60"}

    def handler(request: Any) -> Any:
        answer = server(request)
        return world.httpx.Response(answer.status_code, headers=headers, content=str(server.received).encode())

    client = client_of(world, handler, cache=InMemoryCache(), cache_config=CacheConfig(), backoff_strategy=LONG)
    with no_waiting():
        async with world.within(client):
            assert await status_of(world, client) == 200
            server.statuses = iter([503])
            assert await status_of(world, client) == 200
            await world.until(lambda: server.received == 3)  # the 503 was retried


# -- retries_off


async def test_everything_is_sent_once(world: World) -> None:
    """Whatever asks for retries, by settings, options, `decide` or the server; errors, too."""
    eager = RetryConfig(5, decide=lambda response, exception, attempt: True)
    server = Server(world, *[503] * 9, headers={"x-should-retry": "true", "Retry-After": "1"})
    client = client_of(world, server, retry_config=eager, rate_limiter=None)
    with retries_off():
        assert await status_of(world, client) == 503
        assert await status_of(world, client, extensions=options(max_attempts=9)) == 503
        response = await world(client.get, "/")
    assert server.received == 3
    assert exchange_of(response).attempts == 1

    def broken(request: Any) -> Any:
        server.requests.append(request)
        raise world.httpx.ConnectError("no")

    client = client_of(world, broken)
    with retries_off(), pytest.raises(world.httpx.ConnectError):
        await world(client.get, "/")
    assert server.received == 4
    with no_waiting(), pytest.raises(world.httpx.ConnectError):
        await world(client.get, "/")
    assert server.received == 8


async def test_a_refusal_is_the_end(world: World, ratewise_retries_off: None) -> None:
    """A 429 raises at once where the client raises for it."""
    server = Server(world, 429, headers={"Retry-After": HOUR})
    with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
        await world(client_of(world, server).get, "/")
    assert raised.value.attempts == server.received == 1


# -- nested, in threads, in decorators


def test_they_are_counted() -> None:
    """They hold until the last is left, in whatever order, by whatever thread, one object entered twice included."""
    first, second, off = no_waiting(), no_waiting(), retries_off()
    state = module._STATE
    with first, first, off:
        second.__enter__()
        assert (state.no_waiting, state.retries_off) == (3, 1)
    assert (state.no_waiting, state.retries_off) == (1, 0)
    thread = threading.Thread(target=second.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert state.no_waiting == 0
    with pytest.raises(ValueError, match="inside"), no_waiting():
        raise ValueError("inside")


@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
async def test_threads_that_are_older(world: World) -> None:
    """It holds for all threads of the process, those of a pool that exists already included."""
    server = Server(world, *[503] * 8)
    client = client_of(world, server, backoff_strategy=LONG, rate_limiter=None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(time.sleep, [0.001] * 4))
        with no_waiting():
            assert [response.status_code for response in pool.map(client.get, ["/"] * 8)] == [200] * 8


def test_monotonic_never_goes_back() -> None:
    """What has passed stays passed for `Clock.monotonic`, so that no limiter waits for a time that was. `time` returns."""
    seen = [Clock().monotonic()]
    for clock in (FakeClock(auto=True), FakeClock(auto=True)):
        with clock.installed():
            seen.append(Clock().monotonic())
            Clock().sleep(1000)
            seen.append(Clock().monotonic())
        seen.append(Clock().monotonic())
        with no_waiting():
            seen.append(Clock().monotonic())
            Clock().sleep(1000)
            seen.append(Clock().monotonic())
    assert seen == sorted(seen)
    assert 4000 <= seen[-1] - seen[0] < 4100


def test_a_decorator() -> None:
    """Functions, coroutine functions and methods run inside, with their names and signatures; other things are refused."""

    @no_waiting()
    def plain(a: int, *, b: int = 2) -> int:
        """Sleep."""
        Clock().sleep(100)
        return a + b

    @retries_off()
    @no_waiting()
    async def coroutine(a: int) -> int:
        await Clock().asleep(100)
        return a

    @no_waiting()
    def generator() -> Iterator[int]:
        yield 4
        Clock().sleep(100)

    assert list(generator()) == [4]
    assert plain(1, b=1) == 2
    assert asyncio.run(coroutine(3)) == 3
    assert inspect.iscoroutinefunction(coroutine)
    assert plain.__doc__ == "Sleep."
    assert str(inspect.signature(plain)) == "(a: 'int', *, b: 'int' = 2) -> 'int'"

    async def agenerator() -> Any:
        yield 1

    for other in (type("Case", (), {}), agenerator):
        with pytest.raises(TypeError, match=r"no_waiting decorates functions and coroutine functions: use `with` in"):
            no_waiting()(other)


def test_a_wait_that_has_begun_ends_with_it() -> None:
    """A thread that still waits when it is left goes on at once; one that began before waits as ever."""
    ended: list[str] = []

    def wait(name: str, seconds: float) -> None:
        Clock().sleep(seconds)
        ended.append(name)

    with no_waiting():
        module._STATE.skipping._begin("a call")  # type: ignore[union-attr]  # somebody at work: no time is skipped
        thread = threading.Thread(target=wait, args=("inside", 3600), daemon=True)
        thread.start()
        wait_until(lambda: module._STATE.skipping.waiting)  # type: ignore[union-attr]
        assert ended == []
    thread.join(PATIENCE)
    assert ended == ["inside"]


def test_a_wait_never_takes_longer() -> None:
    """If a call is at work all the time, a wait ends when it would without."""
    with no_waiting():
        clock = module._STATE.skipping
        assert clock is not None
        clock._begin("a call")
        Clock().sleep(0.01)
        assert not Clock().park(Waiter(), 0.01)
        asyncio.run(Clock().asleep(0.01))
        clock._end("a call")


# -- an installed clock


async def test_the_clock_of_all(world: World) -> None:
    """An installed clock is that of clients that exist already; one with its own keeps that."""
    server, own = Server(world, 503, 503), FakeClock(auto=True)
    old = client_of(world, server, backoff_strategy=LONG)
    keeps = client_of(world, server, backoff_strategy=LONG, clock=own)
    with FakeClock(auto=True).installed() as clock:
        assert await status_of(world, old) == 200
        assert clock.elapsed == pytest.approx(100)
        server.statuses = iter([503])
        assert await status_of(world, keeps) == 200
    assert (clock.sleeps, own.sleeps) == ([50, 50], [50])


async def test_a_manual_clock_is_hurried(world: World) -> None:
    """no_waiting() within an installed manual clock makes its time pass by itself, and no longer."""
    clock = FakeClock()
    with clock.installed():
        with no_waiting():
            await world(Clock().sleep if world.is_sync else Clock().asleep, 100)
        assert clock.elapsed == 100
        assert not clock._hurried
        assert module._STATE.skipping is None


def test_the_latest_counts() -> None:
    """Of several installed clocks the last one counts; leaving it ends the waits on it, in order, at their time."""
    outer, inner, woken = FakeClock(), FakeClock(), list[tuple[float, float]]()

    def wait(seconds: float) -> None:
        Clock().sleep(seconds)
        woken.append((seconds, inner.elapsed))

    with outer.installed():
        with inner.installed():
            threads = [threading.Thread(target=wait, args=(seconds,), daemon=True) for seconds in (2000, 1000)]
            for thread in threads:
                thread.start()
            inner.wait_for(2)
        for thread in threads:
            thread.join(PATIENCE)
        assert Clock().monotonic() == outer.monotonic() >= inner.monotonic()
    assert sorted(seconds for seconds, _ in woken) == [1000, 2000]
    assert inner.elapsed == 2000


def test_leaving_it_ends_no_wait_twice() -> None:
    """A wait that was cut short does not move the time when the clock is left."""
    clock = FakeClock()

    async def main() -> None:
        task = asyncio.create_task(clock.asleep(50))
        await clock.await_for(1)
        task.cancel()
        await asyncio.wait([task])

    with clock.installed():
        asyncio.run(main())
    assert clock.elapsed == 0


def test_one_clock_twice() -> None:
    """A clock that is installed twice is the clock of all until it is left twice."""
    clock = FakeClock(auto=True)
    with clock.installed():
        with clock.installed():
            pass
        Clock().sleep(100)
    assert clock.elapsed == 100


async def test_limits_of_calls_outlive_it(world: World) -> None:
    """Leaving a clock ends waits, not the calls that have a deadline."""
    if world.is_sync:
        return
    clock, entered = FakeClock(), list[int]()

    async def work() -> str:
        entered.append(1)
        await Waiter().await_(0.05)
        return "done"

    async def leave() -> None:
        await world.until(lambda: entered)
        context.__exit__(None, None, None)

    context = clock.installed()
    context.__enter__()
    assert await world.gather(lambda: Clock().within(30, work), leave) == ["done", None]


async def test_shared_objects_take_the_clock_of_the_stack(world: World, tmp_path: Any) -> None:
    """A breaker, limiter, bulkhead and store without a clock of their own go by that of the stack that was built last."""
    from ratewise import SQLiteCache

    early, clock = FakeClock(auto=True), FakeClock(auto=True)
    breaker, limiter, bulkhead = CircuitBreaker(1, recovery_timeout=10, jitter=0), RateLimiter(), Bulkhead()
    store = SQLiteCache(tmp_path / "cache.db", ttl=60)
    settings = {"circuit_breaker": breaker, "rate_limiter": limiter, "bulkhead": bulkhead, "cache": store}
    client_of(world, Server(world), clock=early, **settings)
    client = client_of(world, Server(world, 500), clock=clock, max_retries=0, **settings)
    assert await status_of(world, client) == 500
    early.advance(5)
    assert breaker.get_state()["retry_after"] == 10
    clock.advance(4)
    assert breaker.get_state()["retry_after"] == 6
    clock.advance(6)
    store.set("k", b"v", 60)
    clock.advance(59)
    assert store.get("k") == b"v"
    clock.advance(1)
    assert store.get("k") is None
    client_of(world, Server(world), **settings)  # in real time
    assert type(limiter._clock.clock) is Clock
    own = CircuitBreaker(1, recovery_timeout=10, jitter=0, clock=early)
    client_of(world, Server(world), clock=clock, circuit_breaker=own)
    own.force_open()
    clock.advance(100)
    assert own.get_state()["opened_at"] == early.time()
    store.close()


@pytest.mark.parametrize("make", [CircuitBreaker, RateLimiter, Bulkhead])
def test_bad_clocks(make: Any) -> None:
    """What is no clock is refused."""
    with pytest.raises(TypeError, match="clock must be a Clock, not 5"):
        make(clock=5)

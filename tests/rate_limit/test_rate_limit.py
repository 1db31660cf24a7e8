"""The rate limiter: a stated limit is kept to exactly, and a refusal holds everyone back."""

from __future__ import annotations

import asyncio
import copy
import logging
import math
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ratewise.exceptions
from ratewise import CircuitBreaker, RateLimiter, RetryBudget, RetryConfig, RetryDecision, Waiter, exchange_of, options
from ratewise._http.credentials import _digests, credential
from ratewise._http.rate_limit_headers import NOTHING, Told
from ratewise.rate_limit.governor import Came, Governor, Verdict
from ratewise.rate_limit.limits import KnownLimit
from tests.kit.clock import PATIENCE, FakeClock
from tests.kit.server import Received, Reply, Server
from tests.kit.wire import Body, Scripted, Timed, failing, response
from tests.kit.world import World, only
from tests.rate_limit.transport import limited

URL = "https://api.example.com/"


def fields(**headers: str) -> list[tuple[bytes, bytes, bytes]]:
    """As flavours give them."""
    names = [name.replace("_", "-") for name in headers]
    return [(name.encode(), name.lower().encode(), value.encode()) for name, value in zip(names, headers.values())]


def queued(limiter: RateLimiter, number: int) -> None:
    """Block until so many wait in its queues."""
    until = time.monotonic() + PATIENCE
    while sum(len(room.queue) for room in list(limiter.rooms.values())) < number:
        assert time.monotonic() < until
        time.sleep(0.001)


# -- the stated limit


@given(
    st.floats(0.1, 1000),
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 30)), min_size=1, max_size=30),
)
def test_never_more_than_stated(rate: float, per: float, burst: int, knocks: list[tuple[float, int]]) -> None:
    """Whatever comes when: in any interval of t seconds at most burst + t * rate / per requests go, and no fewer than could."""
    limit, now, sent = KnownLimit(rate, per, burst), 1_800_000_000.0, list[float]()
    for wait, wanting in knocks:
        now += wait * per / rate
        for _ in range(min(wanting, limit.free(now, 0, 0))):
            assert limit.free(now, 0, 0) > 0
            limit.come(now)
            sent.append(now)
        if limit.free(now, 0, 0) == 0:
            assert 0 < limit.opens(now, 0, 0, 0) <= per / rate + 1e-5
            now += limit.opens(now, 0, 0, 0)
            assert limit.free(now, 0, 0) > 0
    for first, start in enumerate(sent):
        for count, end in enumerate(sent[first:], 1):
            assert count <= burst + (end - start + 1e-5) * rate / per


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        ({"rate": 10}, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"rate": 100, "per": 60, "burst": 3}, [0, 0, 0, 0.6, 1.2, 1.8]),
        ({"rate": 0.5, "burst": 2}, [0, 0, 2, 4, 6, 8]),
        ({}, [0, 0, 0, 0, 0, 0]),
    ],
)
async def test_the_pace(world: World, clock: FakeClock, settings: Any, times: list[float]) -> None:
    """`burst` go at once, and then one after the other, `rate` in `per` seconds."""
    wire = Timed(clock, *[200] * 6)
    transport = limited(world, wire, RateLimiter(**settings), clock)
    for _ in range(6):
        await world.send(transport)
    assert wire.times == times


async def test_many_callers_share_it(world: World) -> None:
    """20 threads or tasks on a real clock: the server never sees more than the limit allows, and everyone is answered."""
    times: list[float] = []
    lock = threading.Lock()

    def answer(received: Received) -> Reply:
        with lock:
            times.append(time.monotonic())
        return Reply()

    limiter = RateLimiter(rate=200, burst=5)
    with Server(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            started = time.monotonic()
            await world.gather(*[call] * 20)
    assert len(times) == 20
    assert max(times) - started >= 15 / 200


def test_threads_and_event_loops_share_it() -> None:
    """Three event loops and five threads at once: no more than is allowed between them, and everyone is answered."""
    limiter = RateLimiter(rate=400, burst=5)
    seen: list[int] = []

    def threads(url: str) -> None:
        with ratewise.RateWiseClient(url, rate_limiter=limiter, trust_env=False) as client:
            seen.extend(client.get("/").status_code for _ in range(4))

    async def tasks(url: str) -> None:
        async with ratewise.AsyncRateWiseClient(url, rate_limiter=limiter, trust_env=False) as client:
            seen.extend(response.status_code for response in await asyncio.gather(*(client.get("/") for _ in range(10))))

    with Server(lambda received: Reply()) as server:
        began = time.monotonic()
        workers = [threading.Thread(target=threads, args=[server.url]) for _ in range(5)]
        workers += [threading.Thread(target=lambda: asyncio.run(tasks(server.url))) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert seen == [200] * 50
    assert time.monotonic() - began >= 45 / 400


async def test_first_come_first_served(world: World, clock: FakeClock) -> None:
    """Nobody is overtaken, neither by who comes later nor by who has just been served."""
    limiter, order = RateLimiter(rate=100), list[int]()
    transport = limited(world, Scripted(*[200] * 12), limiter)

    async def call(number: int) -> None:
        while sum(len(room.queue) for room in limiter.queue.rooms.values()) != max(number - 1, 0) or len(order) < min(number, 1):
            waiter = Waiter()
            await world(waiter.wait if world.is_sync else waiter.await_, 0.0005)
        await world.send(transport)
        order.append(number)

    await world.gather(*(lambda number=number: call(number) for number in range(4)))  # type: ignore[misc]
    assert order == [*range(4)]


# -- refusals


@pytest.mark.parametrize(
    ("headers", "pause"),
    [({"Retry-After": "7"}, 7), ({"retry-after-ms": "1500"}, 1.5), ({"RateLimit": '"d";r=0;t=9'}, 9), ({}, 1)],
)
async def test_a_refusal_pauses_everyone(world: World, clock: FakeClock, headers: Any, pause: float) -> None:
    """A 429 holds back all requests of its key, and of no other, for as long as the server says, or for a second."""
    wire = Timed(clock, response(429, headers), 200, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    assert (await world.send(transport)).status_code == 429
    await world.send(transport, url="https://other.example/")
    await world.send(transport, headers={"Authorization": "Bearer another"})
    await world.send(transport)
    assert wire.times == [0, 0, 0, pause]


async def test_an_older_answer_ends_no_pause(world: World, clock: FakeClock) -> None:
    """What was sent before the refusal, and answered well after it, says nothing of what the server wants now."""
    limiter = RateLimiter()
    first, second = threading.Event(), threading.Event()

    def answer(received: Received) -> Reply:
        if received.target == "/slow":
            assert second.wait(PATIENCE)
            return Reply()
        if received.target == "/limited":
            assert first.wait(PATIENCE)
            return Reply(429, (("Retry-After", "30"),))
        return Reply()

    with Server(answer) as server:
        settings = {"rate_limiter": limiter, "trust_env": False, "clock": clock, "raise_on_rate_limit": False, "max_retries": 0}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:
            await world(client.get, "/")

            async def slow() -> None:
                first.set()
                assert (await world(client.get, "/slow")).status_code == 200

            async def refused() -> None:
                assert (await world(client.get, "/limited")).status_code == 429
                second.set()

            await world.gather(slow, refused)
            (room,) = limiter.rooms.values()
            room.governor.answered(Verdict.ACCEPTED, NOTHING, Came(clock.now - 1, 9, 9), clock.now)
            assert (room.governor.quiet, room.governor.free(clock.now, 1)) == (False, 0)
            began = clock.now
            assert (await world(client.get, "/")).status_code == 200
            assert clock.now - began == pytest.approx(30, abs=0.1)


async def test_a_refusal_reaches_who_waits_already(world: World) -> None:
    """Who is in the queue when a 429 says "in an hour" is told at once, and does not wait for nothing."""
    limiter = RateLimiter(rate=5)
    queued = threading.Event()

    def answer(received: Received) -> Reply:
        assert queued.wait(PATIENCE)
        return Reply(429, (("Retry-After", "3600"),))

    with Server(answer) as server:
        settings = {"rate_limiter": limiter, "trust_env": False, "max_retries": 0, "raise_on_rate_limit": False}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:
            seen: list[Any] = []

            async def call() -> None:
                try:
                    seen.append((await world(client.get, "/")).status_code)
                except world.ratewise.WaitTooLong as error:
                    seen.append(math.ceil(error.retry_after))

            async def watch() -> None:
                while sum(len(room.queue) for room in limiter.queue.rooms.values()) < 2 or not server.received:
                    waiter = Waiter()
                    await world(waiter.wait if world.is_sync else waiter.await_, 0.001)
                queued.set()

            await world.gather(*[call] * 3, watch)
    assert sorted(map(str, seen)) == ["3600", "3600", "429"]
    assert len(server.received) == 1


def test_pauses_without_a_word() -> None:
    """The lengths that windows have, then each minute; what was under way when it began adds nothing; success forgets."""
    governor, now = Governor(), 0.0
    for asked in (0, 1, 2, 5, 10, 15, 30, 60, 120, 180):
        now = float(asked)
        assert governor.free(now, 9) > 0
        came = governor.come(now)
        governor.gone(came)
        governor.answered(Verdict.REFUSED, NOTHING, came, now)
        assert governor.free(now + 0.9, 9) == 0
    assert governor.opens(now, 9) == (60, "the server refuses all, and does not say for how long")
    assert not governor.idle(now)
    governor.refused(Told((), 65, None, False), now)
    governor.refused(Told((), 3, None, False), now)
    assert governor.opens(now, 9) == (65, "the server asks for it")


async def test_retries_wait_for_it(world: World, clock: FakeClock) -> None:
    """The bundled client: a refused request comes again when the pause is over, and everything else waits with it."""
    wire = Timed(clock, response(429, {"Retry-After": "5"}), 200, 200)
    config = RetryConfig(jitter=False)
    client = world.RateWiseClient(URL, transport=wire, rate_limiter=RateLimiter(), retry_config=config, clock=clock)
    result = await world(client.get, "/")
    assert (result.status_code, exchange_of(result).attempts) == (200, 2)
    assert 5 <= wire.times[1] <= 5.5


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (response(403, {"Retry-After": "60"}), 60),
        (response(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "60", "X-RateLimit-Reset": "30"}), 30),
        (response(403, {"X-RateLimit-Remaining": "3", "X-RateLimit-Limit": "60", "X-RateLimit-Reset": "30"}), 0),
        (response(403), 0),
        (response(503, {"Retry-After": "9"}), 9),
        (response(503), 0),
        (response(429, {"X-RateLimit-Remaining": "5", "X-RateLimit-Limit": "60", "X-RateLimit-Reset": "30"}), 1),
    ],
    ids=["403 after 60 s", "403 used up", "403 with some left", "403", "503 after 9 s", "503", "429 with some left"],
)
async def test_what_is_a_refusal(world: World, clock: FakeClock, answer: Any, pause: float) -> None:
    """429; 403, as GitHub has it, and 503 if they say when to come back. A 429 with something left is a 429."""
    wire = Timed(clock, answer, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    await world.send(transport)
    await world.send(transport)
    assert pause <= wire.times[1] <= pause + 1


async def test_a_refusal_for_longer_than_anyone_may_wait(world: World, clock: FakeClock) -> None:
    """Is handed on at once, with the answer: as one of `total_timeout`, or of `max_retry_after`."""
    for asked, settings, reason in (
        (125, {}, r"its limit is used up for 125 s, longer than max_wait \(90 s\)"),
        (30, {"total_timeout": 20}, "Retry-After asks for 30 s, with 20 s left of total_timeout"),
    ):
        wire = Scripted(response(429, {"Retry-After": str(asked)}), 200)
        client = world.RateWiseClient(URL, transport=wire, clock=clock, **settings)
        with pytest.raises(world.ratewise.RateLimitExceeded, match=reason) as raised:
            await world(client.get, "/")
        assert (raised.value.attempts, len(wire.sent)) == (1, 1)
        assert (raised.value.retry_after, raised.value.response.status_code) == (asked, 429)
        assert (client.get_retry_delays(), clock.sleeps) == ([], [])


async def test_a_wait_that_was_decided(world: World, clock: FakeClock) -> None:
    """The retry layer makes the wait that `decide` asks for; the limiter what is left, unless the deadline comes before."""
    config = RetryConfig(decide=lambda response, error, attempt: RetryDecision(True, 1) if attempt == 1 else None)
    wire = Timed(clock, *[step for _ in range(2) for step in (response(429, {"Retry-After": "3"}), 200)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    assert (await world(client.get, "/")).status_code == 200
    assert (wire.times, clock.sleeps) == ([0, 3], [1])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config, total_timeout=2.5)
    with pytest.raises(
        world.ratewise.WaitTooLong, match=r"not sent again .* A higher total_timeout would let it wait$"
    ) as raised:
        await world(client.get, "/")
    assert (raised.value.attempts, raised.value.retry_after) == (1, 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Rate-Limit-Limit": "0", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "30"},
        {"RateLimit": '"c";r=0;t=30', "RateLimit-Policy": '"c";q=5;qu="concurrent-requests"'},
        {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999"},
        {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "30"},
    ],
    ids=str,
)
async def test_a_refusal_that_tells_nothing_of_use(world: World, clock: FakeClock, headers: Any) -> None:
    """Its retries wait all the same, longer each time: windows are as long."""
    wire = Timed(clock, *[response(429, headers) for _ in range(4)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, raise_on_rate_limit=False, max_retries=3, rate_limiter=True)
    await world(client.get, "/")
    assert wire.times in ([0, 1, 2, 5], [0])  # or it is handed on: the retry rules believe what the limiter does not


async def test_a_pause_is_over_for_what_comes_after_it(world: World, clock: FakeClock) -> None:
    """A call that was refused once, and then fails for another reason, waits by the backoff again."""
    config = RetryConfig(jitter=False)
    limiter = RateLimiter()
    wire = Timed(clock, response(429, {"retry-after-ms": "1"}), 500, 500, 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config, rate_limiter=limiter)
    spent = response(429, {"Content-Type": "application/json"}, Body(b'{"code": "insufficient_quota"}'))
    assert (await world(client.get, "/")).status_code == 200
    assert clock.sleeps == [2, 4]
    quiet = Timed(clock, 200, 429, 500, spent)
    client = world.RateWiseClient(URL, transport=quiet, clock=clock, retry_config=config, rate_limiter=limiter)
    await world(client.get, "/a")
    with pytest.raises(world.ratewise.TooManyRequests, match="credit"):
        await world(client.get, "/b")
    assert clock.sleeps == [2, 4, 2]


async def test_the_history_has_the_waits(world: World, clock: FakeClock) -> None:
    """Those that the limiter made: a second after a bare 429, exactly what was asked after another one."""
    wire = Scripted(429, response(429, {"Retry-After": "5"}), 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock)
    result = await world(client.get, "/")
    assert exchange_of(result).waits == pytest.approx([1, 5], abs=0.01)
    assert clock.sleeps == []


async def test_a_window_that_turns_after_the_deadline(world: World, clock: FakeClock) -> None:
    """The limiter knows better than the answer how long it takes: it is not waited for in vain."""
    left = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}
    client = world.RateWiseClient(URL, transport=Scripted(response(429, left)), clock=clock, total_timeout=9.95)
    with pytest.raises(world.ratewise.TooManyRequests, match=r"its limit is used up for 10 s, with 9\.95 s left"):
        await world(client.get, "/")


async def test_403_is_retried(world: World, clock: FakeClock) -> None:
    """By the bundled client, where it is a rate limit; POST too, for nothing was done."""
    wire = Timed(clock, response(403, {"Retry-After": "5"}), 200, 403)
    client = world.RateWiseClient(URL, transport=wire, clock=clock)
    assert (await world(client.post, "/")).status_code == 200
    assert wire.times[1] == 5
    assert (await world(client.post, "/")).status_code == 403


async def test_spent_credit_holds_nobody(world: World, clock: FakeClock) -> None:
    """That the caller's credit is spent is no limit on the rate: each who asks is told so at once, and nobody waits."""
    answer = response(429, {"Content-Type": "application/json"}, Body(b'{"error": {"code": "insufficient_quota"}}'))
    wire = Timed(clock, *[copy.copy(answer) for _ in range(3)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock)
    for _ in range(3):
        with pytest.raises(world.ratewise.TooManyRequests, match="credit") as raised:
            await world(client.get, "/")
        assert raised.value.response.json()["error"]["code"] == "insufficient_quota"
    assert wire.times == [0, 0, 0]


async def test_nonsense_holds_nobody(world: World, clock: FakeClock) -> None:
    """What no server can mean is not believed: a limit of 0, a reset in the year 9999, a turn that has long been."""
    for headers in (
        {"X-Rate-Limit-Limit": "0", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "30"},
        {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"},
        {"RateLimit-Policy": '"c";q=5;qu="concurrent-requests"', "RateLimit": '"c";r=0;t=30'},
        {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "30"},
        {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "NaN", "X-RateLimit-Reset": "30"},
        {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0"},
        {"X-RateLimit-Remaining": "999999999", "X-RateLimit-Reset": "30"},
    ):
        wire = Timed(clock, *[response(200, headers) for _ in range(3)])
        transport = limited(world, wire, RateLimiter(), clock)
        for _ in range(3):
            await world.send(transport)
        assert wire.times == [0, 0, 0]
    past = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "86400000000"}
    wire = Timed(clock, *[response(200, past) for _ in range(3)])
    for _ in range(3):
        await world.send(limited(world, wire, RateLimiter(), clock))
    assert wire.times[2] <= 9


# -- buckets that the server names


async def test_buckets(world: World, clock: FakeClock) -> None:
    """Discord's: routes that the server counts apart wait apart, once that is known; the others as the first that was seen."""

    def told(bucket: str, remaining: int) -> Any:
        left = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset-After": "30.0"}
        return response(200, {**left, "X-RateLimit-Bucket": bucket})

    limiter = RateLimiter()
    wire = Timed(clock, told("a", 4), told("b", 0), told("a", 3), told("b", 4), told("a", 2), told("c", 4), told("b", 3))
    transport = limited(world, wire, limiter, clock)
    for path in ("a", "b", "a", "b", "new", "b", "b"):
        await world.send(transport, url=URL + path)
    assert wire.times[:3] == [0, 0, 0]
    assert 30 <= wire.times[3] <= 30.5
    assert len(set(wire.times[3:])) == 1
    key = (("https", "api.example.com", None), "")
    assert set(limiter.rooms) == {key, (key, "b"), (key, "c")}
    assert limiter.parts == {(key, "GET", "/b"): (key, "b")}


async def test_policies_are_buckets_too(world: World, clock: FakeClock) -> None:
    """Routes whose policies (RateLimit) have no name in common are counted apart; a route that comes back is one of the first."""

    def told(policies: str) -> Any:
        return response(200, {"RateLimit": policies})

    wire = Timed(
        clock, told('"day";r=9;t=50, "x";r=9;t=9'), told('"search";r=0;t=20'), told('"day";r=8;t=50'), told('"x";r=5;t=9')
    )
    limiter = RateLimiter()
    transport = limited(world, wire, limiter, clock)
    for path in ("a", "search", "b", "search"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 20]
    assert limiter.parts == {}


async def test_a_refusal_for_one_bucket_and_for_all(world: World, clock: FakeClock) -> None:
    """It holds back those of its bucket, and all of the key if it is said to be global."""
    named = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset-After": "1.0"}
    one = response(200, {**named, "X-RateLimit-Bucket": "a"})
    two = response(200, {**named, "X-RateLimit-Bucket": "b"})
    only = response(429, {"Retry-After": "3", "X-RateLimit-Bucket": "b"})
    every = response(429, {"Retry-After": "7", "X-RateLimit-Global": "true", "X-RateLimit-Bucket": "b"})
    wire = Timed(clock, one, two, only, 200, 200, every, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("a", "b", "b", "a", "b", "b", "a", "b"):
        await world.send(transport, url=URL + path)
    assert wire.times == [0, 0, 0, 0, 3, 3, 10, 10]


async def test_many_routes(world: World, clock: FakeClock) -> None:
    """No more are remembered than so many."""
    limiter = RateLimiter()
    transport = limited(world, wire := Scripted(), limiter, clock)
    for number in range(1010):
        wire.steps.append(response(200, {"X-RateLimit-Bucket": f"b{number}"}))
        await world.send(transport, url=f"{URL}{number}")
    assert (len(limiter.parts), len(limiter.rooms)) == (1000, 1000)


# -- who goes first


async def test_the_opening(world: World) -> None:
    """One goes first, and the others wait for its answer; then all go."""
    limiter = RateLimiter()

    def answer(received: Received) -> Reply:
        if len(server.received) == 1:
            queued(limiter, 11)
            assert len(server.received) == 1
        return Reply()

    with Server(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(*[call] * 12)
    assert len(server.received) == 12


async def test_a_first_answer_that_does_not_come(world: World, clock: FakeClock) -> None:
    """A long poll holds nobody back for more than a second."""
    done = threading.Event()
    began = clock.now

    def answer(received: Received) -> Reply:
        if received.target == "/poll":
            assert done.wait(PATIENCE)
        return Reply()

    with Server(answer) as server:
        async with world.within(world.RateWiseClient(server.url, clock=clock, trust_env=False)) as client:

            async def poll() -> None:
                assert (await world(client.get, "/poll")).status_code == 200

            async def call() -> None:
                while not server.received:
                    waiter = Waiter()
                    await world(waiter.wait if world.is_sync else waiter.await_, 0.001)
                assert (await world(client.get, "/")).status_code == 200
                done.set()

            await world.gather(poll, call)
    assert clock.now - began == pytest.approx(1, abs=0.01)


async def test_a_first_one_that_fails(world: World, clock: FakeClock) -> None:
    """Then the next one goes first, at once."""
    wire = Timed(clock, failing("ConnectError"), 200)
    transport = limited(world, wire, RateLimiter(), clock)
    with pytest.raises(world.httpx.ConnectError):
        await world.send(transport)
    await world.send(transport)
    assert wire.times == [0, 0]


async def test_who_was_refused_comes_first(world: World) -> None:
    """Its place in the line is kept: it is asked again before all who came later, although they wait longer than it."""
    order: list[str] = []
    lock = threading.Lock()
    limiter = RateLimiter()

    def answer(received: Received) -> Reply:
        with lock:
            order.append(received.target)
            count = len(order)
        if count > 1:
            return Reply()
        queued(limiter, 4)
        return Reply(429, (("retry-after-ms", "50"),))

    with Server(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call(number: int) -> None:
                while number and not order:
                    waiter = Waiter()
                    await world(waiter.wait if world.is_sync else waiter.await_, 0.001)
                assert (await world(client.get, f"/{number}")).status_code == 200

            await world.gather(*(lambda number=number: call(number) for number in range(5)))  # type: ignore[misc]
    assert order[:2] == ["/0", "/0"]
    assert sorted(order[2:]) == ["/1", "/2", "/3", "/4"]


def test_the_line() -> None:
    """Those who come again stand where they stood: before all who came later, behind all who came before."""
    queue = RateLimiter().queue
    for number in (None, 5, 2, None, 3, 9, 1):
        queue.enter("key", 0.0, math.inf, number)
    (room,) = queue.rooms.values()
    numbers = [place.number for place in room.queue]
    assert numbers == sorted(numbers)
    assert len(numbers) == 6


async def test_a_refusal_costs_no_budget(world: World, clock: FakeClock) -> None:
    """A retry that the limiter paces is no storm: however many there are, they are not given up."""
    config = RetryConfig(max_attempts=2, budget=RetryBudget(ratio=0, min_per_second=0.001))
    wire = Timed(clock, *[step for _ in range(20) for step in (response(429, {"Retry-After": "2"}), 200)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    for _ in range(20):
        assert (await world(client.get, "/")).status_code == 200
    assert clock.sleeps == []


# -- concurrency


async def test_concurrency(world: World) -> None:
    """No more than so many are in flight at once, to the end of their bodies; the rest waits its turn."""
    peak, now = 0, 0
    lock = threading.Lock()

    def answer(received: Received) -> Reply:
        nonlocal peak, now
        with lock:
            now += 1
            peak = max(peak, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return Reply()

    with Server(answer) as server:
        limiter = RateLimiter(concurrency=3)
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(*[call] * 12)
    assert peak == 3


async def test_who_waits_for_a_place_sleeps(world: World) -> None:
    """It is woken when there is one, and does not keep asking."""
    limiter, looks = RateLimiter(concurrency=1), 0
    look = limiter.queue.look

    def counted(place: Any, now: float) -> float:
        nonlocal looks
        looks += 1
        return look(place, now)

    limiter.queue.look = counted  # type: ignore[method-assign]  (to count)

    def answer(received: Received) -> Reply:
        if len(server.received) == 1:
            queued(limiter, 1)
            time.sleep(0.05)
        return Reply()

    with Server(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(call, call)
    assert looks <= 4


async def test_concurrency_holds_the_body(world: World, clock: FakeClock) -> None:
    """A place is free again when the body is closed, or the request has failed."""
    limiter = RateLimiter(concurrency=1, max_wait=0.5)
    wire = Scripted(response(200, body=Body(b"abc")), 200, failing("ReadError"), 200)
    async with world.within(world.Client(transport=limited(world, wire, limiter, clock))) as client:
        async with world.within(client.stream("GET", URL)):
            with pytest.raises(world.ratewise.WaitTooLong, match="as many are in flight as may be"):
                await world(client.get, URL)
        assert (await world(client.get, URL)).status_code == 200
        with pytest.raises(world.httpx.ReadError):
            await world(client.get, URL)
        assert (await world(client.get, URL)).status_code == 200


# -- waiting too long


async def test_a_wait_that_is_too_long(world: World, clock: FakeClock) -> None:
    """Refused at once, with the time until its turn; an error of the library and of ours, not retried; it leaves no hole."""
    wire = Scripted(response(429, {"Retry-After": "91"}), 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, max_retries=2, raise_on_rate_limit=False)
    await world(client.get, "/", extensions=options(retry=False))
    with pytest.raises(world.ratewise.WaitTooLong) as raised:
        await world(client.get, "/?token=hunter2")
    error = raised.value
    assert isinstance(error, world.httpx.RequestError)
    assert isinstance(error, world.ratewise.RateLimitExceeded)
    assert isinstance(error, ratewise.exceptions.WaitTooLong)
    assert (error.attempts, error.retry_after, error.response, clock.sleeps) == (0, 91, None, [])
    assert str(error) == (
        "GET https://api.example.com/?token=REDACTED was not sent: its turn at https://api.example.com would come in 91 s: "
        "the server asks for it. A higher max_wait would let it wait"
    )
    clock.now += 1
    assert (await world(client.get, "/")).status_code == 200
    assert len(wire.sent) == 2


async def test_the_queue_counts(world: World, clock: FakeClock) -> None:
    """With 100 before it, and 10 a second, its turn comes in 10 seconds: with less patience it does not begin to wait."""
    limiter = RateLimiter(rate=10, max_wait=5)
    key = (("https", "api.example.com", None), "")
    for _ in range(51):
        limiter.queue.enter(key, clock.now, math.inf)
    with pytest.raises(world.ratewise.WaitTooLong) as raised:
        await world.send(limited(world, Scripted(), limiter, clock))
    assert raised.value.retry_after == pytest.approx(5.1, abs=1e-5)
    assert limiter.forecast(limiter.queue.rooms[key].queue[-1], clock.now, 9)[0] == pytest.approx(5, abs=1e-5)


async def test_the_deadline_counts(world: World, clock: FakeClock) -> None:
    """A turn that comes after the call's deadline is not waited for."""
    wire = Scripted(200)
    client = world.RateWiseClient(URL, transport=wire, rate_limiter=RateLimiter(rate=0.1), clock=clock, total_timeout=9)
    await world(client.get, "/")
    with pytest.raises(world.ratewise.WaitTooLong) as raised:
        await world(client.get, "/")
    assert raised.value.retry_after == pytest.approx(10, abs=1e-5)


async def test_patience_that_ends(world: World, clock: FakeClock) -> None:
    """Whose turn does not come although it should have (those before it are gone) is refused when its time is over."""
    limiter = RateLimiter(rate=1, max_wait=0.5)
    key = (("https", "api.example.com", None), "")
    transport = limited(world, Scripted(200), limiter, clock)
    await world.send(transport)
    limiter.queue.rooms[key].governor._limits[None] = limit = KnownLimit(4, 1, 1)
    limit.come(clock.now)
    limiter.queue.enter(key, clock.now, math.inf)
    with pytest.raises(world.ratewise.WaitTooLong, match=r"It has waited 0\.5"):
        await world.send(transport)
    assert len(limiter.queue.rooms[key].queue) == 1


async def test_long_waits_are_logged(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason and the seconds; short ones are not worth a line."""
    line = "Rate limit: requests to https://api.example.com wait 2 s: the stated limit is used up"
    for rate, lines in ((2.0, []), (0.5, [line])):
        transport = limited(world, Scripted(200, 200), RateLimiter(rate=rate), clock)
        with caplog.at_level(logging.WARNING, "ratewise"):
            await world.send(transport)
            await world.send(transport)
        assert caplog.messages == lines


@only("asyncio", "trio")
async def test_a_cancelled_waiter_leaves_no_hole(world: World) -> None:
    """Those behind it move up, and its request is not counted."""
    import anyio

    limiter = RateLimiter(rate=20)
    transport = limited(world, Scripted(200, 200), limiter)
    await world.send(transport)
    with anyio.move_on_after(0.005) as scope:
        await world.send(transport)
    assert scope.cancelled_caught
    assert all(not room.queue for room in limiter.queue.rooms.values())
    assert (await world.send(transport)).status_code == 200


async def test_waiting_is_no_news_of_the_server(world: World, clock: FakeClock) -> None:
    """For the breaker around it a request begins when it leaves the queue, and one that was not sent has not failed."""
    guard = CircuitBreaker(1, slow_call_duration=1, minimum_calls=1)
    client = world.RateWiseClient(
        URL, transport=Scripted(200, 200), rate_limiter=RateLimiter(rate=0.1, max_wait=10), circuit_breaker=guard, clock=clock
    )
    await world(client.get, "/")
    await world(client.get, "/")
    assert clock.now - 1_800_000_000 == pytest.approx(10, abs=1e-5)
    client.rate_limiter.max_wait = 5
    with pytest.raises(world.ratewise.WaitTooLong):
        await world(client.get, "/")
    assert guard.get_state()["state"] == "closed"


# -- keys and settings


async def test_a_limit_for_each_key(world: World, clock: FakeClock) -> None:
    """By origin and credential, however the header is written; or by what `key` makes of the request."""
    for key, apart, together in (
        (
            None,
            [{"Authorization": "Bearer a"}, {"authorization": "Bearer b"}, {"X-API-Key": "a"}, {}],
            {"AUTHORIZATION": "Bearer a"},
        ),
        (
            lambda request: request.headers.get("x-route"),
            [{"X-Route": "a"}, {"X-Route": "b"}],
            {"X-Route": "a", "X-API-Key": "z"},
        ),
    ):
        wire = Timed(clock, *[200] * 9)
        transport = limited(world, wire, RateLimiter(rate=1, key=key), clock)
        for headers in apart:
            await world.send(transport, headers=headers)
        await world.send(transport, headers=together)
        assert wire.times == [0] * len(apart) + [1]


def test_a_credential_is_no_secret() -> None:
    """What is remembered of it says nothing about it; cookies and other headers name nobody."""
    told = credential(fields(Accept="*/*", Authorization="Bearer hunter2"))
    assert told == credential(fields(authorization="Bearer hunter2"))
    assert len(told) == 20
    assert told != credential(fields(authorization="Bearer hunter3"))
    assert credential(fields(Cookie="session=hunter2", X_Request_Id="1")) == ""


def test_credentials_are_not_kept() -> None:
    """However many there are, only so many hashes of them are remembered."""
    for number in range(2500):
        credential(fields(Authorization=f"Bearer {number}"))
    assert len(_digests) <= 1000
    assert all(isinstance(key, int) for key in _digests)


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (
            'Digest username="Mufasa", realm="r", nonce="1", uri="/a", response="aa"',
            'Digest username="Mufasa", realm="r", nonce="2", uri="/", response="bb"',
            'Digest username="Simba", realm="r", nonce="1", uri="/a", response="aa"',
        ),
        (
            "AWS4-HMAC-SHA256 Credential=AKIA1/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=aa",
            "AWS4-HMAC-SHA256 Credential=AKIA1/20260102/eu/s3/aws4_request, SignedHeaders=host, Signature=bb",
            "AWS4-HMAC-SHA256 Credential=AKIA2/20260101/eu/s3/aws4_request, SignedHeaders=host, Signature=aa",
        ),
        ('Hawk id="a", ts="1", mac="aa="', 'Hawk id="a", ts="2", mac="bb="', 'Hawk id="", ts="1", mac="aa="'),
        ('Made-Up nonce="1"', 'Made-Up nonce="2"', 'Made-Over nonce="1"'),
        ("Basic dXNlcjpwYXNz==", "Basic dXNlcjpwYXNz==", "Basic dXNlcjpwYXNy=="),
    ],
)
def test_schemes_that_sign_each_request(one: str, same: str, other: str) -> None:
    """Of these the scheme and the user are the caller, and the rest is not."""
    keys = [credential(fields(Authorization=value)) for value in (one, same, other)]
    assert keys[0] == keys[1] != keys[2]


async def test_one_limiter_for_both_libraries(world: World, clock: FakeClock) -> None:
    """What requests of one library use up, those of the other cannot use."""
    limiter = RateLimiter(rate=1)
    other = World(f"{world.style}-{'httpx' if world.httpx.__name__ == 'httpx2' else 'httpx2'}")
    wire = Timed(clock, 200, 200)
    await world.send(limited(world, wire, limiter, clock))
    await other.send(limited(other, wire, limiter, clock))
    assert wire.times == [0, 1]


async def test_a_limit_that_has_recovered_may_be_forgotten(world: World, clock: FakeClock) -> None:
    """And one that has not, or that the server has paused, may not."""
    limiter = RateLimiter(rate=1, burst=2)
    await world.send(limited(world, Scripted(200), limiter, clock))
    (room,) = limiter.queue.rooms.values()
    assert [room.idle(clock.now), room.idle(clock.now), room.idle(clock.now + 1)] == [False, False, True]
    room.governor.refused(Told((), 9, None, False), clock.now)
    assert not room.idle(clock.now + 8)


async def test_errors_pass(world: World, clock: FakeClock) -> None:
    """A request that failed was sent all the same: it counts, and no more than that."""
    wire = Timed(clock, failing("ReadError"), 200)
    transport = limited(world, wire, RateLimiter(rate=1), clock)
    with pytest.raises(world.httpx.ReadError):
        await world.send(transport)
    await world.send(transport)
    assert wire.times == [0, 1]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rate": 0}, ValueError, "rate must be a finite number above 0, not 0"),
        ({"rate": -1}, ValueError, "rate"),
        ({"rate": math.nan}, ValueError, "rate"),
        ({"rate": math.inf}, ValueError, "rate"),
        ({"rate": True}, TypeError, "rate"),
        ({"rate": "10/s"}, TypeError, "rate must be a finite number above 0, not '10/s'"),
        ({"per": 60}, ValueError, "per must be left out where no rate is given, not 60"),
        ({"burst": 10}, ValueError, "burst must be left out where no rate is given, not 10"),
        ({"rate": 1, "per": 0}, ValueError, "per must be a finite number of seconds above 0, not 0"),
        ({"rate": 1, "burst": 0}, ValueError, "burst must be a whole number of at least 1, not 0"),
        ({"rate": 1, "burst": 1.5}, TypeError, "burst"),
        ({"concurrency": 0}, ValueError, "concurrency must be a whole number of at least 1, not 0"),
        ({"pace": 1}, TypeError, "pace must be True or False, not 1"),
        ({"max_wait": 0}, ValueError, "max_wait must be a finite number of seconds above 0, not 0"),
        ({"max_wait": None}, TypeError, "max_wait"),
        ({"key": "path"}, TypeError, "key must be a plain function of the request, also in async code, not 'path'"),
    ],
)
def test_bad_settings(settings: Any, error: type[Exception], message: str) -> None:
    """Refused at construction, by name, value and what is allowed."""
    with pytest.raises(error, match=message):
        RateLimiter(**settings)


async def test_the_limiter_must_be_one(world: World) -> None:
    """Anything else is refused, by transports and clients; what a limiter and its layer show has no secret."""
    for wrong in (5, RateLimiter):
        with pytest.raises(TypeError, match="rate_limiter must be a RateLimiter, not "):
            limited(world, Scripted(), wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="rate_limiter must be a RateLimiter, True or None, not "):
            world.RateWiseClient(URL, rate_limiter=wrong)
    transport = limited(world, None, None)
    assert repr(transport._layers) == "(RateLimitLayer(RateLimiter(max_wait=90)),)"
    shown = "RateLimiter(rate=100, per=60, burst=10, concurrency=8, max_wait=90, pace=True)"
    assert repr(RateLimiter(100, 60, 10, concurrency=8, pace=True)) == shown
    await world.close(transport)

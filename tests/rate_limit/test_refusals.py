"""Refusals: whom they hold back, and for how long."""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import pytest

from ratewise import ExponentialBackoff, RateLimiter, RetryConfig, RetryDecision, exchange_of
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, Timed, response
from tests.kit.world import World, only
from tests.rate_limit.limiters import URL, limited, waiting


@pytest.mark.parametrize(
    ("headers", "pause"), [({"Retry-After": "7"}, 7), ({"retry-after-ms": "5500"}, 5.5), ({"RateLimit": '"d";r=0;t=9'}, 9)]
)
async def test_a_refusal_pauses_its_route(world: World, clock: FakeClock, headers: Any, pause: float) -> None:
    """A 429 that tells a pause of 5 s or more pauses the requests of its route, and no others, for as long as the server says."""
    wire = Timed(clock, *[200] * 4, response(429, headers), *[200] * 4)
    transport = limited(world, wire, RateLimiter(), clock)
    others = [{"url": "https://other.example/"}, {"headers": {"Authorization": "Bearer another"}}, {"url": URL + "other"}]
    for request in (*others, {}):  # so that no first answer is waited for
        await world.send(transport, **request)
    assert (await world.send(transport)).status_code == 429
    for request in (*others, {}):
        await world.send(transport, **request)
    assert wire.times == [0] * 8 + [pause]


@pytest.mark.parametrize("headers", [{"Retry-After": "4"}, {"retry-after-ms": "1500"}, {}], ids=str)
async def test_a_refusal_may_be_about_one_call(world: World, clock: FakeClock, headers: Any) -> None:
    """A 429 that tells a pause of less than 5 s, or none, holds back the refused call alone: the server may shed load."""
    wire = Timed(clock, 200, *[response(429, headers), 200] * 3)
    transport = limited(world, wire, RateLimiter(), clock)
    for _ in range(7):
        await world.send(transport)
    assert max(wire.times) <= 0.5


@pytest.mark.parametrize(("headers", "pause"), [({"Retry-After": "4"}, 4), ({}, 0.1)], ids=str)
async def test_four_refusals_in_a_row(world: World, clock: FakeClock, headers: Any, pause: float) -> None:
    """They pause the route for as long as the server says, or until one request at a time finds that it accepts again."""
    wire = Timed(clock, 200, *[response(429, headers)] * 4, 200, 200, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    for path in ("", "", "", "", "", "other", ""):
        await world.send(transport, url=URL + path)
    *_, last, other, again = wire.times
    assert other == last <= 0.5
    assert again - last == pytest.approx(pause)


async def test_another_route_is_refused_too(world: World, clock: FakeClock) -> None:
    """If another route is refused as well, with no other one accepted lately, it is about all routes of the key."""
    refusals = [response(429, {"Retry-After": str(seconds)}) for seconds in (30, 20)]
    for accepted, held in (([], True), ([200], False)):
        wire = Timed(clock, 200, refusals[0], *accepted, refusals[1], 200)
        transport = limited(world, wire, RateLimiter(), clock)
        for path in ("d", "a", *("c" for _ in accepted), "b", "d"):
            await world.send(transport, url=URL + path)
            clock.advance(2)
        assert wire.times[-1] == pytest.approx(32 if held else 8, abs=0.1)


async def test_an_older_answer_ends_no_pause(world: World, clock: FakeClock) -> None:
    """A success for a request sent before the refusal does not end the pause."""
    refused = threading.Event()

    def answer(received: Received) -> Reply:
        if received.target == "/slow":
            assert refused.wait(PATIENCE)
        return Reply(429, (("Retry-After", "30"),)) if received.target == "/limited" else Reply()

    with LocalServer(answer) as server:
        limiter = RateLimiter(route=None)
        settings = {"rate_limiter": limiter, "trust_env": False, "clock": clock, "raise_on_rate_limit": False, "max_retries": 0}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:
            await world(client.get, "/")

            async def slow() -> None:
                assert (await world(client.get, "/slow")).status_code == 200

            async def limited() -> None:
                await world.until(lambda: len(server.received) == 2)
                clock.advance(0.001)
                assert (await world(client.get, "/limited")).status_code == 429
                refused.set()

            await world.gather(slow, limited)
            began = clock.elapsed
            assert (await world(client.get, "/")).status_code == 200
            assert clock.elapsed - began == pytest.approx(30, abs=0.1)


async def test_a_refusal_reaches_who_waits_already(world: World) -> None:
    """If a 429 asks for an hour, requests that are already queued fail at once."""
    limiter, clock = RateLimiter(rate=5), FakeClock()
    queued = threading.Event()

    def answer(received: Received) -> Reply:
        assert queued.wait(PATIENCE)
        return Reply(429, (("Retry-After", "3600"),))

    with LocalServer(answer) as server:
        settings = {"rate_limiter": limiter, "trust_env": False, "max_retries": 0, "raise_on_rate_limit": False, "clock": clock}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:
            seen: list[Any] = []

            async def call() -> None:
                try:
                    seen.append((await world(client.get, "/")).status_code)
                except world.ratewise.WaitTooLong as error:
                    seen.append(math.ceil(error.retry_after))

            async def watch() -> None:
                await world.until(lambda: waiting(limiter) == 2 and server.received)
                queued.set()

            await world.gather(*[call] * 3, watch)
    assert sorted(map(str, seen)) == ["3600", "3600", "429"]
    assert len(server.received) == 1


async def test_retries_wait_for_it(world: World, clock: FakeClock) -> None:
    """The bundled client sends a refused request again when the pause is over."""
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
        (response(429, {"X-RateLimit-Remaining": "5", "X-RateLimit-Limit": "60", "X-RateLimit-Reset": "30"}), 0),
    ],
    ids=["403 after 60 s", "403 used up", "403 with some left", "403", "503 after 9 s", "503", "429 with some left"],
)
async def test_what_is_a_refusal(world: World, clock: FakeClock, answer: Any, pause: float) -> None:
    """A refusal is a 429, and a 403 (as GitHub sends it) or 503 that says when to come back; a 429 needs no exhausted quota."""
    wire = Timed(clock, answer, 200)
    transport = limited(world, wire, RateLimiter(), clock)
    await world.send(transport)
    await world.send(transport)
    assert pause <= wire.times[1] <= pause + 1


async def test_a_refusal_for_longer_than_anyone_may_wait(world: World, clock: FakeClock) -> None:
    """A refusal longer than `max_wait` or `total_timeout` allows is raised at once, with the response."""
    for asked, settings, reason in (
        (125, {}, r"the limit is used up for 125 s, longer than max_wait \(90 s\)"),
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
    """The retry layer waits as long as `decide` says, the limiter for the rest; an earlier deadline raises `WaitTooLong`."""
    config = RetryConfig(decide=lambda response, error, attempt: RetryDecision(True, 1) if attempt == 1 else None)
    wire = Timed(clock, *[step for _ in range(2) for step in (response(429, {"Retry-After": "7"}), 200)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    assert (await world(client.get, "/")).status_code == 200
    assert (wire.times, clock.sleeps) == ([0, 7], [1])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config, total_timeout=6.5)
    with pytest.raises(world.ratewise.WaitTooLong, match=r"not sent again .* total_timeout exceeded") as raised:
        await world(client.get, "/")
    assert (raised.value.attempts, raised.value.retry_after) == (1, 6)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"X-Rate-Limit-Limit": "0", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "30"}, [30, 30, 30]),
        ({"RateLimit": '"c";r=0;t=30', "RateLimit-Policy": '"c";q=5;qu="concurrent-requests"'}, [30, 30, 30]),
        ({"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999"}, []),
        ({"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "30"}, [1, 2, 4]),
    ],
    ids=str,
)
async def test_a_refusal_that_tells_nothing_of_use(world: World, clock: FakeClock, headers: Any, waits: list[float]) -> None:
    """After a refusal with fields that are of no use to the limiter, a call waits by the rules of its retries."""
    wire = Timed(clock, *[response(429, headers) for _ in range(4)])
    settings = {"raise_on_rate_limit": False, "retry_config": RetryConfig(jitter=False), "rate_limiter": True}
    client = world.RateWiseClient(URL, transport=wire, clock=clock, **settings)
    await world(client.get, "/")
    seen = [after - before for before, after in zip(wire.times, wire.times[1:])]
    assert len(seen) == len(waits)
    assert all(least <= wait <= 1.1 * least for least, wait in zip(waits, seen))  # a tenth is added at random to what is told


async def test_a_pause_is_over_for_what_comes_after_it(world: World, clock: FakeClock) -> None:
    """A call that was refused once and then fails for another reason waits by the backoff again."""
    config = RetryConfig(jitter=False)
    limiter = RateLimiter()
    wire = Timed(clock, response(429, {"retry-after-ms": "1"}), 500, 500, 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config, rate_limiter=limiter)
    spent = response(429, {"Content-Type": "application/json"}, Body(b'{"code": "insufficient_quota"}'))
    assert (await world(client.get, "/")).status_code == 200
    assert clock.sleeps == pytest.approx([0.001, 2, 4], abs=1e-3)
    quiet = Timed(clock, 200, 429, 500, spent)
    client = world.RateWiseClient(URL, transport=quiet, clock=clock, retry_config=config, rate_limiter=limiter)
    await world(client.get, "/a")
    with pytest.raises(world.ratewise.TooManyRequests, match="credit"):
        await world(client.get, "/b")
    assert clock.sleeps == pytest.approx([0.001, 2, 4, 1, 2], abs=1e-3)


async def test_the_history_has_the_waits(world: World, clock: FakeClock) -> None:
    """`waits` of the exchange includes the limiter's: a backoff after a bare 429, exactly `Retry-After` after another one."""
    wire = Scripted(429, response(429, {"Retry-After": "5"}), 200)
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=RetryConfig(jitter=False))
    result = await world(client.get, "/")
    assert exchange_of(result).waits == pytest.approx([1, 5], abs=0.01)
    assert clock.sleeps == [1]


async def test_a_window_that_turns_after_the_deadline(world: World, clock: FakeClock) -> None:
    """The limiter's estimate of the wait, not the one in the answer, is compared with the deadline."""
    left = {"X-RateLimit-Limit": "5", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}
    client = world.RateWiseClient(URL, transport=Scripted(response(429, left)), clock=clock, total_timeout=9.95)
    with pytest.raises(world.ratewise.TooManyRequests, match=r"the limit is used up for 10 s, with 9\.95 s left"):
        await world(client.get, "/")


async def test_403_is_retried(world: World, clock: FakeClock) -> None:
    """The bundled client retries a 403 that is a rate limit, POST too, as the server has not processed the request."""
    wire = Timed(clock, response(403, {"Retry-After": "5"}), 200, 403)
    client = world.RateWiseClient(URL, transport=wire, clock=clock)
    assert (await world(client.post, "/")).status_code == 200
    assert wire.times[1] == 5
    assert (await world(client.post, "/")).status_code == 403


async def test_spent_credit_holds_nobody(world: World, clock: FakeClock) -> None:
    """A 429 for spent credit is not a rate limit: each request is answered at once, and none waits."""
    answer = response(429, {"Content-Type": "application/json"}, Body(b'{"error": {"code": "insufficient_quota"}}'))
    wire = Timed(clock, *[copy.copy(answer) for _ in range(3)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock)
    for _ in range(3):
        with pytest.raises(world.ratewise.TooManyRequests, match="credit") as raised:
            await world(client.get, "/")
        assert raised.value.response.json()["error"]["code"] == "insufficient_quota"
    assert wire.times == [0, 0, 0]


async def test_nonsense_holds_nobody(world: World, clock: FakeClock) -> None:
    """Implausible fields are ignored: a limit of 0, a reset in the year 9999, a turn long past."""
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


@pytest.mark.parametrize(
    "fields",
    [
        {"RateLimit": '"a";r=0;t=0'},
        {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"},
        {"x-ratelimit-limit-requests": "1000", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"},
    ],
    ids=["effective", "window", "bucket"],
)
@only("sync")
async def test_a_refusal_that_says_now(world: World, fields: dict[str, str], clock: FakeClock) -> None:
    """A refusal with a reset of 0 still makes the retries wait, so that they are not used up at once."""
    wire = Scripted(*[response(429, fields)] * 3, 200)
    rules = RetryConfig(backoff=ExponentialBackoff(jitter=False))
    client = world.RateWiseClient("https://api.example.com", transport=wire, clock=clock, retry_config=rules)
    began = clock.elapsed
    assert (await world(client.get, "/")).status_code == 200
    assert clock.elapsed - began >= 3

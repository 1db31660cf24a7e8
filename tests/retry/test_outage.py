"""A server that is down, behind a rate limiter: a call waits as long as its retries may, then ends with its last answer."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import RateLimiter, RetryConfig, RetryLayer, exchange_of, options
from ratewise._core.call_state import Reservation
from ratewise._core.exchange import state_of
from ratewise.testing import FakeClock, retries_off
from tests.kit.layers import Layer
from tests.kit.wire import Scripted, failing, response
from tests.kit.world import World
from tests.retry.plain import PLAIN

URL = "https://api.example.com/"


def behind(world: World, wire: Any, clock: FakeClock, *reservations: Reservation, seen: Any = None) -> Any:
    """A retry layer around a layer that reserves, one after the other, after each attempt."""
    left = iter(reservations)

    async def handle(request: Any, call: Any) -> Any:
        state = state_of(request)
        if seen is not None:
            seen.append(state.patience)
        try:
            return await call.send(request)
        finally:
            state.reservation = next(left, None)

    return world.LayerTransport(wire, RetryLayer(PLAIN), Layer(handle), clock=clock)


OVER = Reservation(1, 0.5, 90, backoff=True, over=True)


async def test_the_last_answer_of_a_server_that_is_down(world: World, clock: FakeClock) -> None:
    """The answer is returned as it is, with the reason in its history, and no attempt is made after it."""
    wire = Scripted(503, response(503, body=b"down"), 200)
    going = Reservation(1, 0.5, 90, backoff=True)
    result = await world.send(behind(world, wire, clock, going, OVER))
    assert (result.status_code, await world.read(result)) == (503, b"down")
    assert [(one.wait, one.reason) for one in exchange_of(result).history] == [(1, "backoff"), (None, "the server is down")]
    assert (len(wire.sent), clock.sleeps) == (2, [1])


async def test_the_last_error_of_a_server_that_is_down(world: World, clock: FakeClock) -> None:
    """Of a broken connection the error is raised."""
    wire = Scripted(failing("ConnectError"), 200)
    with pytest.raises(world.httpx.ConnectError) as raised:
        await world.send(behind(world, wire, clock, OVER))
    assert [one.reason for one in exchange_of(raised.value).history] == ["the server is down"]
    assert len(wire.sent) == 1


async def test_what_is_not_retried_keeps_its_reason(world: World, clock: FakeClock) -> None:
    """A call that would have ended anyway ends for the reason that it has."""
    result = await world.send(behind(world, Scripted(503), clock, OVER), "POST")
    (last,) = exchange_of(result).history
    assert last.reason == "POST is not idempotent, and the server may have acted on it"


async def test_patience_is_used_up_by_backoffs(world: World, clock: FakeClock) -> None:
    """A call may wait as long as its retries could sleep at most; what they sleep is taken from it, not what a limiter waits."""
    seen: list[float] = []
    waits = [Reservation(1, 9, 90, backoff=True), Reservation(1, 9, 90), Reservation(1, 9, 90, backoff=True)]
    await world.send(behind(world, Scripted(503, 503, 503, 503), clock, *waits, seen=seen))
    assert seen == [7, 6, 6, 2]
    assert clock.sleeps == [1, 4]


@pytest.mark.parametrize(("attempts", "patience"), [(None, 7), (1, 0), (2, 1), (6, 31)])
async def test_patience_of_one_call(world: World, clock: FakeClock, attempts: int | None, patience: float) -> None:
    """It follows the options of the call."""
    seen: list[float] = []
    given = {} if attempts is None else options(max_attempts=attempts)
    await world.send(behind(world, Scripted(200), clock, seen=seen), extensions=given)
    with retries_off():
        await world.send(behind(world, Scripted(200), clock, seen=seen), extensions=given)
    assert seen == [patience, 0]


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (RetryConfig(1), 0),
        (RetryConfig(), 7),
        (RetryConfig(jitter=True), 7.7),
        (RetryConfig(3, jitter="decorrelated"), 3 + 9),
        (RetryConfig(4, initial_delay=3, max_delay=5), 3 + 5 + 5),
        (RetryConfig(10**12, initial_delay=0), 0),
        (RetryConfig(10**12, initial_delay=5, max_delay=5), 5 * 99),
    ],
)
def test_most_waited(config: RetryConfig, most: float) -> None:
    """The longest waits of the backoff are added up, of 100 attempts at most."""
    assert config._most_waited(config.max_attempts) == pytest.approx(most)


def test_most_waited_of_another_number_of_attempts() -> None:
    """The number of attempts of one call counts, if it has its own."""
    assert [PLAIN._most_waited(most) for most in (1, 2, 3, 4)] == [0, 1, 3, 7]


# -- with a rate limiter


@pytest.mark.parametrize("down", [503, 500, "ConnectError", "ReadError"])
async def test_many_calls_to_a_server_that_is_down(world: World, clock: FakeClock, down: Any) -> None:
    """Each ends with an answer or error of the server, after the patience at most; those that were let go last say why."""
    wire = Scripted(otherwise=down if isinstance(down, int) else failing(down))
    async with world.within(
        world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=PLAIN, rate_limiter=RateLimiter())
    ) as client:

        async def one() -> Any:
            began = clock.elapsed
            try:
                return await world(client.get, "/")
            except world.httpx.TransportError as error:
                return error
            finally:
                took.append(clock.elapsed - began)

        took: list[float] = []
        results = await world.gather(*[one] * 12)
    assert {getattr(one, "status_code", type(one).__name__) for one in results} == {down}
    assert world.is_sync or max(took) <= 7 + 1e-6  # time may pass before a thread begins its call
    reasons = {exchange_of(one).history[-1].reason for one in results}
    assert reasons <= {"the server is down", "max_attempts (4) reached"}
    assert world.is_sync or "the server is down" in reasons  # threads may begin one after the other
    assert all(exchange_of(one).attempts <= 4 for one in results)


async def test_retries_in_an_outage_are_as_far_apart_as_ever(world: World, clock: FakeClock) -> None:
    """Calls that come one after the other do not use up their attempts in probes at short intervals."""
    wire = Scripted(otherwise=503)
    async with world.within(
        world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=PLAIN, rate_limiter=RateLimiter())
    ) as client:
        for _ in range(3):
            began = clock.elapsed
            first, second, third = exchange_of(await world(client.get, "/")).waits
            assert (first, second) == (1, 2)
            assert 3 < third <= 4  # what it waited for its turn to probe is a part of it
            assert clock.elapsed - began <= 7 + 1e-6


def once(world: World) -> Any:
    """A body that can be sent once."""

    async def chunks() -> Any:
        yield b"once"

    return iter([b"once"]) if world.is_sync else chunks()


@pytest.mark.parametrize(
    ("method", "config", "settings"),
    [
        ("GET", PLAIN, {"extensions": options(max_attempts=1)}),
        ("POST", PLAIN, {}),
        ("PUT", PLAIN, {"content": once}),
        ("GET", RetryConfig(4, retry_on_status={429}), {}),
    ],
)
async def test_what_is_not_retried_does_not_wait(
    method: str, config: RetryConfig, settings: Any, world: World, clock: FakeClock
) -> None:
    """In an outage a call whose failures are not retried is sent at once, as without a limiter."""
    limiter, wire = RateLimiter(), Scripted(otherwise=503)
    async with (
        world.within(world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=PLAIN, rate_limiter=limiter)) as first,
        world.within(world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config, rate_limiter=limiter)) as second,
    ):
        for _ in range(2):
            await world(first.get, "/")
        began = clock.elapsed
        for _ in range(5):
            given = {name: value(world) if callable(value) else value for name, value in settings.items()}
            assert (await world(second.request, method, "/", **given)).status_code == 503
        assert clock.elapsed == began


async def test_a_backoff_of_ones_own_is_asked_for_retries_only(world: World, clock: FakeClock) -> None:
    """It may count how often it is: a call is not held back by what it might say."""
    asked: list[int] = []

    class Counting:
        def delay(self, attempt: int, *, previous: float, uniform: float) -> float:
            asked.append(attempt)
            return 1.0

    config = RetryConfig(3, backoff=Counting(), budget=False)
    async with world.within(
        world.RateWiseClient(URL, transport=Scripted(otherwise=503), clock=clock, retry_config=config, rate_limiter=RateLimiter())
    ) as client:
        for _ in range(4):
            began = clock.elapsed
            assert (await world(client.get, "/")).status_code == 503
            assert clock.elapsed - began <= 2
    assert set(asked) <= {1, 2}
    assert len(asked) <= 8

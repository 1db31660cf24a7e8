"""Order of sending: the first request of a key goes alone, and a refused request goes before newer ones."""

from __future__ import annotations

import math
import threading

import pytest

from ratewise import RateLimiter, RetryBudget, RetryConfig
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.patience import PATIENCE
from tests.kit.wire import Timed, failing, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited, queued, waiting


async def test_the_opening(world: World) -> None:
    """The first request goes alone; the others wait for its answer, and then are sent."""
    limiter = RateLimiter()

    def answer(received: Received) -> Reply:
        if len(server.received) == 1:
            queued(limiter, 11)
            assert len(server.received) == 1
        return Reply()

    with LocalServer(answer) as server:
        settings = {"rate_limiter": limiter, "trust_env": False, "clock": FakeClock()}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(*[call] * 12)
    assert len(server.received) == 12


async def test_a_first_answer_that_does_not_come(world: World) -> None:
    """A long poll as the first request holds the others back for one second at most."""
    done, clock = threading.Event(), FakeClock()

    def answer(received: Received) -> Reply:
        if received.target == "/poll":
            assert done.wait(PATIENCE)
        return Reply()

    with LocalServer(answer) as server:
        async with world.within(world.RateWiseClient(server.url, clock=clock, trust_env=False)) as client:

            async def poll() -> None:
                assert (await world(client.get, "/poll")).status_code == 200

            async def call() -> None:
                await world.until(lambda: server.received)
                assert (await world(client.get, "/")).status_code == 200
                done.set()

            async def time() -> None:
                await world(clock.wait_for if world.is_sync else clock.await_for)
                await world(clock.advance if world.is_sync else clock.aadvance, 0.99)
                assert len(server.received) == 1
                await world(clock.advance if world.is_sync else clock.aadvance, 0.02)

            await world.gather(poll, call, time)
    assert clock.elapsed == 1.01


async def test_no_opening(world: World) -> None:
    """With `opening=False` nobody waits for a first answer."""
    together = threading.Barrier(3)

    def answer(received: Received) -> Reply:
        together.wait(PATIENCE)
        return Reply()

    with LocalServer(answer) as server:
        settings = {"rate_limiter": RateLimiter(opening=False), "trust_env": False, "clock": FakeClock()}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:

            async def call() -> None:
                assert (await world(client.get, "/")).status_code == 200

            await world.gather(*[call] * 3)


async def test_a_first_one_that_fails(world: World, clock: FakeClock) -> None:
    """If the first request fails, the next one is sent at once."""
    wire = Timed(clock, failing("ConnectError"), 200)
    transport = limited(world, wire, RateLimiter(), clock)
    with pytest.raises(world.httpx.ConnectError):
        await world.send(transport)
    await world.send(transport)
    assert wire.times == [0, 0]


@pytest.mark.parametrize(
    ("field", "first"), [(("RateLimit", '"d";r=0;t=30'), True), (("Retry-After", "30"), False)], ids=["told", "untold"]
)
async def test_who_was_refused(world: World, field: tuple[str, str], first: bool) -> None:
    """Who was refused as a limit is used up keeps its place in the queue; without a word of one, somebody else asks next."""
    order: list[str] = []
    lock = threading.Lock()
    limiter, clock = RateLimiter(), FakeClock()

    def answer(received: Received) -> Reply:
        with lock:
            order.append(received.target)
            count = len(order)
        if count > 1:
            return Reply()
        queued(limiter, 4)
        return Reply(429, (field,))

    with LocalServer(answer) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=limiter, trust_env=False, clock=clock)) as client:

            async def call(number: int) -> None:
                await world.until(lambda: order or number == 0)
                assert (await world(client.get, f"/{number}")).status_code == 200

            async def time_passes() -> None:
                await world.until(lambda: waiting(limiter) == 5)
                clock.advance(32)
                await world.until(lambda: len(order) > 1)
                await world.until(all_came)

            def all_came() -> bool:
                clock.advance(0.001)
                return len(order) == 6

            await world.gather(*(lambda number=number: call(number) for number in range(5)), time_passes)  # type: ignore[misc]
    assert (order[1] == "/0") == first
    assert sorted(order[1:]) == ["/0", "/1", "/2", "/3", "/4"]


def test_the_line() -> None:
    """A ticket that enters the queue again returns to its old position, in the order of the numbers."""
    queue = RateLimiter()._queue
    tickets = [queue.enter("key", 0.0, math.inf, number) for number in (None, 5, 2, None, 3, 9, 1)]
    ((lane,),) = [gate.lanes.values() for gate in queue.states.values()]
    numbers = [entry.number for entry in lane.queue]
    assert numbers == sorted(numbers)
    assert len(numbers) == len(tickets) - 1


async def test_a_refusal_costs_no_budget(world: World, clock: FakeClock) -> None:
    """Retries of what the server refused cost no retry budget, whether the limiter holds back that call alone or all."""
    config = RetryConfig(max_attempts=2, budget=RetryBudget(ratio=0, min_per_second=0.001))
    wire = Timed(clock, *[step for pause in range(1, 21) for step in (response(429, {"Retry-After": f"{pause}"}), 200)])
    client = world.RateWiseClient(URL, transport=wire, clock=clock, retry_config=config)
    for _ in range(20):
        assert (await world(client.get, "/")).status_code == 200
    assert len(clock.sleeps) == 4  # of pauses of less than 5 seconds

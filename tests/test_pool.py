"""The queue in front of a connection pool: requests wait there as they would in the pool, first come, first served."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

import anyio
import pytest

from ratewise import Bulkhead, CircuitBreaker, RateWiseError, RetryConfig, exchange_of
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.patience import PATIENCE
from tests.kit.world import World, only


class Held:
    """A server that answers `/held` only when it is let go, and counts the connections that are open at once."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self._go = threading.Event()

    def __call__(self, received: Received) -> Reply:
        self.targets.append(received.target)
        if received.target == "/held":
            self._go.wait(PATIENCE)
        return Reply(body=received.target.encode())

    def go(self) -> None:
        self._go.set()

    def again(self) -> None:
        self.targets.clear()
        self._go.clear()


def client(world: World, connections: int | None = 1, *, pool: float | None = PATIENCE, **more: Any) -> Any:
    limits = world.httpx.Limits(max_connections=connections)
    timeout = world.httpx.Timeout(PATIENCE, pool=pool)
    settings = {"limits": limits, "timeout": timeout, "max_retries": 0, "trust_env": False, "rate_limiter": None, **more}
    return world.RateWiseClient(**settings)


def layer_of(subject: Any) -> Any:
    """The queue in front of the pool of a client or transport; None if there is none."""
    transport = getattr(subject, "_transport", subject)
    return next((layer for layer in transport._layers if type(layer).__name__ == "PoolLayer"), None)


def waiting(subject: Any) -> int:
    """How many requests wait in front of the pool."""
    return sum(len(state.queue) for state in layer_of(subject)._queue.states.values())


def in_flight(subject: Any) -> int:
    return sum(len(state.taken) for state in layer_of(subject)._queue.states.values())


# -- whose pools have a queue


async def test_where_it_is(world: World) -> None:
    """Pools of the library have a queue as wide as they are; one without a limit, and wires of one's own, have none."""
    kind, limits = world.HTTPTransport, world.httpx.Limits
    for options, size in (
        ({}, 100),
        ({"limits": limits(max_connections=7)}, 7),
        ({"limits": limits(max_connections=7), "http2": True}, 700),
        ({"limits": limits(max_connections=7), "proxy": "http://localhost:1"}, 7),
        ({"limits": limits()}, None),
        ({"limits": limits(max_connections=0)}, None),
    ):
        inner = kind(**options)
        for subject in (world.LayerTransport(inner), world.LayerTransport(world.RetryTransport(inner))):
            found = layer_of(subject)
            assert (found and found.size) == size
            assert (f"PoolLayer(size={size})" in repr(subject._layers)) == (size is not None)
            assert "PoolLayer" not in repr(subject)
    assert layer_of(world.RetryTransport(type("Own", (kind,), {})())) is None


async def test_one_for_each_pool(world: World) -> None:
    """Two stacks around one transport share its queue; the mounts of a client have their own."""
    inner = world.HTTPTransport()
    assert layer_of(world.RetryTransport(inner)) is layer_of(world.LayerTransport(inner))
    subject = world.RateWiseClient(proxy="http://localhost:1", mounts={"http://a": world.HTTPTransport(), "http://b": None})
    queues = {id(layer_of(each)) for each in (subject, *filter(None, subject._mounts.values()))}
    assert len(queues) == 1 + sum(each is not None for each in subject._mounts.values())
    await world.close(subject)


async def test_its_place_in_the_stack(world: World) -> None:
    """Below the bulkhead, and above what must see a request right before it is sent."""
    subject = client(world, bulkhead=Bulkhead(), circuit_breaker=CircuitBreaker(), total_timeout=5)
    names = [type(layer).__name__ for layer in subject._transport._layers]
    assert names[-4:] == ["BulkheadLayer", "PoolLayer", "CircuitRecheckLayer", "WireDeadlineLayer"]
    await world.close(subject)


# -- how it waits


async def test_first_come_first_served(world: World) -> None:
    """Requests are sent in the order in which they came; a place is free when the body of the response is closed."""
    server_ = Held()
    with LocalServer(server_) as server:
        async with world.within(client(world, base_url=server.url)) as subject:

            async def later(number: int) -> None:
                await world.until(lambda: waiting(subject) == number and server_.targets)
                assert (await world(subject.get, f"/{number}")).text == f"/{number}"

            async def release() -> None:
                await world.until(lambda: waiting(subject) == 5)
                assert server_.targets == ["/held"]
                server_.go()

            await world.gather(lambda: world(subject.get, "/held"), *(lambda n=n: later(n) for n in range(5)), release)
            assert server_.targets == ["/held", *(f"/{number}" for number in range(5))]
            assert in_flight(subject) == 0


async def test_until_the_body_is_closed(world: World) -> None:
    """A streamed response holds its place until it is closed, read or not; a request that is waiting gets the place then."""
    with LocalServer(lambda received: Reply(body=b"x" * 100_000)) as server:
        async with world.within(client(world, base_url=server.url, pool=0.01)) as subject:
            for read in (True, False):
                async with world.within(subject.stream("GET", "/")) as response:
                    assert in_flight(subject) == 1
                    with pytest.raises(world.httpx.PoolTimeout):
                        await world(subject.get, "/")
                    if read:
                        await world.read(response)
                        assert in_flight(subject) == 0
                assert in_flight(subject) == 0
            assert (await world(subject.get, "/")).status_code == 200


async def test_until_the_stream_of_an_upgrade_is_closed(world: World) -> None:
    """A response with 101 holds its place until its stream is closed."""

    def upgraded(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
        return False

    with LocalServer(lambda received: upgraded) as server:
        async with world.within(client(world, base_url=server.url, pool=0.01)) as subject:
            async with world.within(subject.stream("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "x"})) as response:
                assert response.status_code == 101
                assert await world(response.extensions["network_stream"].read, 5) == b"hello"
                assert in_flight(subject) == 1
                with pytest.raises(world.httpx.PoolTimeout):
                    await world(subject.get, "/")
            assert in_flight(subject) == 0


async def test_the_pool_time_out(world: World) -> None:
    """The wait ends in the library's `PoolTimeout`, as the pool's own does, and is retried like it; None waits on."""
    with LocalServer(lambda received: Reply()) as server:
        plain = world.Client(limits=world.httpx.Limits(max_connections=1), timeout=world.httpx.Timeout(PATIENCE, pool=0.01))
        errors = []
        for subject in (plain, client(world, pool=0.01), client(world, pool=0)):
            async with world.within(subject), world.within(subject.stream("GET", server.url)):
                with pytest.raises(world.httpx.PoolTimeout) as raised:
                    await world(subject.get, server.url)
                errors.append(raised.value)
        assert {type(error) for error in errors} == {world.httpx.PoolTimeout}
        assert all(error.request.url == server.url for error in errors)
        assert str(errors[1]).startswith("no free connection after 0.01")

        async with world.within(client(world, pool=0.01, retry_config=RetryConfig(2, initial_delay=0.001))) as subject:
            async with world.within(subject.stream("GET", server.url)):
                with pytest.raises(world.httpx.PoolTimeout):
                    await world(subject.get, server.url)
            assert subject.get_stats().total_retries == 1

        held = Held()
        with LocalServer(held) as slow:
            async with world.within(client(world, base_url=slow.url, pool=None)) as subject:

                async def late() -> None:
                    await world.until(lambda: waiting(subject) == 1)
                    held.go()

                async def second() -> None:
                    await world.until(lambda: held.targets)
                    assert (await world(subject.get, "/second")).status_code == 200

                await world.gather(lambda: world(subject.get, "/held"), second, late)


async def test_the_wait_counts(world: World) -> None:
    """The pool's own wait is only as long as the time-out that is left; the caller's time-outs stay as they were."""
    held, seen = Held(), []

    async def pool(request: Any, call: Any) -> Any:
        seen.append(dict(request.extensions["timeout"]))
        return await call.send(request)

    with LocalServer(held) as server:
        inner = world.HTTPTransport(limits=world.httpx.Limits(max_connections=1))
        spy = type("Spy", (), {"_helper": True, "handle": staticmethod(pool)})()
        subject = world.LayerTransport(inner, spy)
        timeouts = {"connect": PATIENCE, "read": PATIENCE, "write": PATIENCE, "pool": PATIENCE}
        requests = [world.httpx.Request("GET", server.url + path, extensions={"timeout": timeouts}) for path in ("/held", "/")]

        async def first() -> None:
            await world.read(await world.send(subject, request=requests[0]))

        async def second() -> None:
            await world.until(lambda: held.targets)
            await world.read(await world.send(subject, request=requests[1]))

        async def late() -> None:
            await world.until(lambda: waiting(subject) == 1)
            held.go()

        await world.gather(first, second, late)
        await world.close(subject)
    assert seen[0] == timeouts
    assert {**seen[1], "pool": PATIENCE} == timeouts
    assert seen[1]["pool"] < PATIENCE
    assert requests[1].extensions["timeout"] == timeouts


async def test_the_deadline_of_the_call(world: World) -> None:
    """A call whose `total_timeout` expires while it waits raises `DeadlineExceeded`."""
    for pool, total_timeout, error in (
        (PATIENCE, 0.05, world.ratewise.DeadlineExceeded),
        (None, 0.05, world.ratewise.DeadlineExceeded),
        (0.01, PATIENCE, world.httpx.PoolTimeout),
    ):
        async with world.within(client(world, pool=pool, total_timeout=total_timeout)) as subject:
            held = layer_of(subject)._queue.enter(None, 0.0, 0)
            assert held.admitted
            with pytest.raises(error) as raised:
                await world(subject.get, "http://127.0.0.1:1/")
            assert exchange_of(raised.value).attempts == (error is world.httpx.PoolTimeout)
            assert (in_flight(subject), waiting(subject)) == (1, 0)


@only("asyncio", "trio")
async def test_cancelled_waiters_leave_no_hole(world: World) -> None:
    """Of requests that wait, each second one is cancelled; the others are sent in their order."""
    held = Held()
    with LocalServer(held) as server:
        async with client(world, base_url=server.url) as subject, anyio.create_task_group() as group:
            group.start_soon(subject.get, "/held")
            await world.until(lambda: held.targets)
            async with anyio.create_task_group() as cancelled:
                for number in range(10):
                    (cancelled if number % 2 else group).start_soon(subject.get, f"/{number}")
                    await world.until(lambda count=number + 1: waiting(subject) == count)
                cancelled.cancel_scope.cancel()
            assert waiting(subject) == 5
            held.go()
        assert held.targets == ["/held", "/0", "/2", "/4", "/6", "/8"]


async def test_the_breaker_does_not_see_it(world: World) -> None:
    """Waits in front of the pool are neither failures nor slow calls; what has waited is not sent if its circuit has opened."""
    breaker, held = CircuitBreaker(1, slow_call_duration=PATIENCE / 2), Held()
    with LocalServer(held) as server:
        async with world.within(client(world, base_url=server.url, pool=0.01, circuit_breaker=breaker)) as subject:
            async with world.within(subject.stream("GET", "/")):
                with pytest.raises(world.httpx.PoolTimeout):
                    await world(subject.get, "/")
            assert breaker.get_state()["state"] == "closed"
        async with world.within(client(world, base_url=server.url, circuit_breaker=breaker)) as subject:

            async def second() -> None:
                await world.until(lambda: "/held" in held.targets)
                with pytest.raises(world.ratewise.CircuitBreakerOpen):
                    await world(subject.get, "/second")

            async def opening() -> None:
                await world.until(lambda: waiting(subject) == 1)
                breaker.force_open()
                held.go()

            await world.gather(lambda: world(subject.get, "/held"), second, opening)
            assert "/second" not in held.targets


async def test_long_waits_are_logged_once(world: World, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for all requests that wait for longer than a second, and another one when requests wait again."""
    monkeypatch.setattr("ratewise._core.admission.LOGGED_WAIT", 0.0)
    held = Held()

    async def later() -> None:
        await world.until(lambda: held.targets)
        await world(subject.get, "/")

    async def release() -> None:
        await world.until(lambda: waiting(subject) == 4)
        held.go()

    with LocalServer(held) as server, caplog.at_level(logging.WARNING, "ratewise"):
        async with world.within(client(world, base_url=server.url, redact_httpx_logs=False)) as subject:
            for _ in range(2):
                held.again()
                await world.gather(lambda: world(subject.get, "/held"), *[later] * 4, release)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all(line.endswith("for a connection (3 more are waiting)") for line in lines)


async def test_a_crowd(world: World) -> None:
    """Two hundred requests at once through a pool of ten: never more than ten connections, and each gets its own answer."""
    with LocalServer(lambda received: Reply(body=received.target.encode())) as server:
        async with world.within(client(world, 10, base_url=server.url)) as subject:

            async def one(number: int) -> None:
                assert (await world(subject.get, f"/{number}")).text == f"/{number}"

            await world.gather(*(lambda number=number: one(number) for number in range(200)))
            wire = subject._transport._wire
            assert len(wire._pool.connections) <= 10
            assert in_flight(subject) == 0


async def test_what_is_not_sent_holds_no_place(world: World) -> None:
    """A request whose connection fails gives its place back."""
    async with world.within(client(world)) as subject:
        for _ in range(3):
            with pytest.raises(world.httpx.ConnectError) as raised:
                await world(subject.get, "http://127.0.0.1:1/")
            assert not isinstance(raised.value, RateWiseError)
            assert in_flight(subject) == 0

"""The circuit breaker around a transport: what counts, what the caller gets, and the number of probes at a real server."""

from __future__ import annotations

import logging
import threading
from typing import Any

import anyio
import pytest

import ratewise.exceptions
from ratewise import CircuitBreaker, Clock, exchange_of
from ratewise._util.durations import in_seconds
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.circuit_breaker.guards import brittle, guarded, outcome, unstreamed
from tests.kit.moments import Trace, allow
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only

ORIGIN = ("https", "api.example.com", None)


OUTCOMES = [
    *((status, True) for status in (500, 502, 503, 504)),
    *((status, False) for status in (200, 301, 400, 403, 408, 425, 429, 501, 505)),
    *((failing(name), True) for name in ("ConnectError", "ConnectTimeout", "ProxyError", "ReadTimeout", "WriteTimeout")),
    *((failing(name), True) for name in ("ReadError", "WriteError", "CloseError", "RemoteProtocolError")),
    *((failing(name), None) for name in ("PoolTimeout", "UnsupportedProtocol", "LocalProtocolError")),
    (ZeroDivisionError("a bug"), None),
]


@pytest.mark.parametrize(("step", "failed"), OUTCOMES)
async def test_what_a_closed_circuit_counts(world: World, clock: FakeClock, step: Any, failed: bool | None) -> None:
    """True: a failure. False: a success, which resets the count. None: neither."""
    guard = CircuitBreaker(2)
    transport = guarded(world, Scripted(500, step, 500), guard, clock)
    await outcome(world, transport)
    await outcome(world, transport)
    assert guard.get_state()["state"] == ("open" if failed else "closed")
    if not failed:
        await outcome(world, transport)
        assert guard.get_state()["state"] == ("closed" if failed is False else "open")


@pytest.mark.parametrize(("step", "failed"), OUTCOMES)
async def test_what_a_probe_tells(world: World, clock: FakeClock, step: Any, failed: bool | None) -> None:
    """A failed probe opens the circuit, a success closes it; after an outcome that tells neither, the next request is a probe."""
    guard = brittle()
    transport = guarded(world, Scripted(500, step, 200), guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    await outcome(world, transport)
    assert guard.get_state()["state"] == {True: "open", False: "closed", None: "half_open"}[failed]
    if failed is None:
        assert await outcome(world, transport) == 200
        assert guard.get_state()["state"] == "closed"


async def test_a_body_that_breaks_off_is_a_failure(world: World, clock: FakeClock) -> None:
    """A body that breaks off is a failure, in a stream and in a client's get(): headers alone are no success."""
    for name in ("ReadError", "ReadTimeout"):
        for state in ("closed", "half_open"):
            step = response(body=Body(b"a", error=failing(name)))
            for through_client in (True, False):
                guard = brittle()
                wire = Scripted(*([] if state == "closed" else [500]), step)
                if through_client:
                    client = world.RateWiseClient(
                        "https://api.example.com", transport=wire, circuit_breaker=guard, clock=clock, max_retries=0
                    )
                    transport = client._transport
                else:
                    transport = guarded(world, wire, guard, clock)
                if state == "half_open":
                    await outcome(world, transport)
                    clock.advance(60)
                if through_client:
                    with pytest.raises(world.httpx.TransportError):
                        await world(client.get, "/")
                else:
                    assert await outcome(world, transport) == name
                assert guard.get_state()["state"] == "open"


async def test_what_the_user_sees(world: World, clock: FakeClock) -> None:
    """Retries open the circuit; then CircuitBreakerOpen is raised without a retry, and the client's statistics count it."""
    guard = CircuitBreaker(2, jitter=0)
    url = "https://user:hunter2@api.example.com/users?token=hunter2"
    wire = Scripted(503, failing("ReadError"))
    client = world.RateWiseClient("https://api.example.com", transport=wire, circuit_breaker=guard, clock=clock)
    assert client.circuit_breaker is guard
    with pytest.raises(world.ratewise.CircuitBreakerOpen) as raised:
        await world(client.get, url)
    error = raised.value
    assert isinstance(error, world.httpx.TransportError)
    assert not isinstance(error, (world.httpx.ConnectError, world.httpx.TimeoutException))
    assert isinstance(error, ratewise.exceptions.CircuitBreakerOpen)
    left = 60 - clock.sleeps[1]
    assert (error.key, error.failure_count, error.retry_after) == (ORIGIN, 2, pytest.approx(left))
    assert error.request.url == url
    assert exchange_of(error).attempts == 2
    assert len(wire.sent) == 2
    assert str(error) == (
        "GET https://REDACTED@api.example.com/users?token=REDACTED was not sent again (2 attempts"
        + "".join(f"; {attempt}" for attempt in exchange_of(error).history)
        + "): circuit of https://api.example.com is open after 2 failures; "
        f"the next request is let through in {in_seconds(left)}"
    )
    assert client.get_retry_stats()["circuit_breaker_trips"] == 1
    assert client.get_stats().failed == 1
    late = world.RateWiseClient("https://api.example.com", transport=Scripted(), circuit_breaker=guard, clock=clock)
    assert late.get_stats().circuit_breaker_trips == 0
    with pytest.raises(world.ratewise.CircuitBreakerOpen):
        await world(late.get, "/")


async def test_what_is_told_of_other_refusals(world: World, clock: FakeClock) -> None:
    """The messages while a probe is in flight, and while the circuit is forced open."""
    guard = brittle()
    transport = guarded(world, Scripted(500, response(200)), guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    probe = await unstreamed(world, transport)
    with pytest.raises(
        world.ratewise.CircuitBreakerOpen,
        match=r"was not sent: .* is half-open, with a probe in flight, after 1 failure; the next request is let through in 30 s",
    ):
        await world.send(transport)
    await world.close(probe)
    guard.force_open()
    with pytest.raises(world.ratewise.CircuitBreakerOpen, match=r"is held open by force_open\(\); reset\(\)") as raised:
        await world.send(transport)
    assert raised.value.retry_after is None


async def test_a_body_that_is_left_is_no_failure(world: World, clock: FakeClock) -> None:
    """A probe gets its verdict at the end of its body: read completely, or closed early by the caller."""
    for read in (True, False):
        guard = brittle()
        transport = guarded(world, Scripted(500, response(body=Body(b"a", b"b"))), guard, clock)
        await outcome(world, transport)
        clock.advance(60)
        result = await unstreamed(world, transport)
        assert guard.get_state()["state"] == "half_open"
        await world(world.read if read else world.close, result)
        assert guard.get_state()["state"] == "closed"


async def test_a_stream_without_end_is_a_success(world: World, clock: FakeClock) -> None:
    """A probe whose body still arrives after half_open_timeout closes the circuit at the next request."""
    guard = brittle(half_open_timeout=5)
    transport = guarded(world, Scripted(500, response(body=Body(b"a")), 200), guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    endless = await unstreamed(world, transport)
    clock.advance(5)
    assert await outcome(world, transport) == 200
    assert guard.get_state()["state"] == "closed"
    await world.close(endless)


async def test_upgrades_are_successes(world: World, clock: FakeClock) -> None:
    """A 101 is a success: the breaker does not read the upgraded connection."""
    guard = brittle()
    transport = guarded(world, Scripted(500, response(101, body=Body(error=AssertionError("read")))), guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    assert (await world.send(transport)).status_code == 101
    assert guard.get_state()["state"] == "closed"


async def test_the_retry_after_of_a_503(world: World, clock: FakeClock) -> None:
    """A valid Retry-After of a 503 sets how long the circuit stays open; that of another status does not."""
    for status, value, seconds in ((503, "7", 7), (503, "soon", 60), (503, "0", 60), (500, "7", 60), (503, "9000", 600)):
        guard = brittle()
        await outcome(world, guarded(world, Scripted(response(status, {"Retry-After": value})), guard, clock))
        assert guard.get_state(now=clock.monotonic())["retry_after"] == seconds


async def test_slow_calls(world: World, clock: FakeClock) -> None:
    """The duration of a call is measured to the response headers, without the body."""

    def slow(request: Any) -> Any:
        clock.advance(2)
        return 200

    guard = CircuitBreaker(slow_call_duration=2, slow_call_rate=0.5, minimum_calls=4, jitter=0)
    transport = guarded(world, Scripted(200, 200, slow, slow), guard, clock)
    assert [await outcome(world, transport) for _ in range(5)] == [200, 200, 200, 200, "CircuitBreakerOpen"]


async def test_your_own_failures(world: World, clock: FakeClock) -> None:
    """`failure_on` is called first, with responses and errors; None leaves the verdict to the rules."""
    asked: list[Any] = []

    def failure_on(result: Any, error: Exception | None) -> bool | None:
        asked.append(result.status_code if error is None else type(error).__name__)
        return {200: True, 500: False, "ReadError": False, "PoolTimeout": True}.get(asked[-1])

    for step, opened in (
        *((200, True), (500, False), (503, True), (404, False)),
        *((failing("ReadError"), False), (failing("PoolTimeout"), True), (failing("ReadTimeout"), True)),
    ):
        guard = brittle(failure_on=failure_on)
        await outcome(world, guarded(world, Scripted(step), guard, clock))
        assert guard.get_state()["state"] == ("open" if opened else "closed")
    assert asked == [200, 500, 503, 404, "ReadError", "PoolTimeout", "ReadTimeout"]


async def test_a_mock(world: World, clock: FakeClock) -> None:
    """A response whose body is in memory gets its verdict at once."""
    guard = CircuitBreaker(2)
    transport = guarded(world, Scripted(500, world.httpx.Response(200), world.httpx.Response(200), 500), guard, clock)
    assert [await outcome(world, transport) for _ in range(4)] == [500, 200, 200, 500]
    assert guard.get_state()["failure_count"] == 1
    for said, state in ((True, "open"), (False, "closed"), (None, "closed")):
        guard = brittle(failure_on=lambda result, error, said=said: said)
        guard._report(ORIGIN, guard._admit(ORIGIN, clock.monotonic()), failed=True, now=clock.monotonic())
        clock.advance(60)
        await outcome(world, guarded(world, Scripted(world.httpx.Response(200)), guard, clock))
        assert guard.get_state()["state"] == state


async def test_a_failure_on_that_breaks(world: World, clock: FakeClock) -> None:
    """An exception in `failure_on` is raised, the response is closed, and the permit is released."""

    def failure_on(result: Any, error: Exception | None) -> bool | None:
        return None if result is None or result.status_code == 500 else bool(1 / 0)

    guard = brittle(failure_on=failure_on)
    wire = Scripted(500, 200, failing("ReadError"))
    transport = guarded(world, wire, guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    assert await outcome(world, transport) == "ZeroDivisionError"
    assert wire.bodies[-1].closed
    assert await outcome(world, transport) == "ReadError"


async def test_a_circuit_for_each_key(world: World, clock: FakeClock) -> None:
    """Each origin has its own circuit; `key=` chooses another key per request."""
    guard = brittle()
    transport = guarded(world, Scripted(500, 200), guard, clock)
    await world.send(transport)
    assert (await world.send(transport, url="https://other.example/")).status_code == 200
    assert [guard.get_state((*ORIGIN[:1], host, None))["state"] for host in ("api.example.com", "other.example")] == [
        "open",
        "closed",
    ]
    guard = brittle(key=lambda request: request.url.path.split("/")[1])
    transport = guarded(world, Scripted(500, 200), guard, clock)
    await world.send(transport, url="https://api.example.com/users/1")
    assert (await world.send(transport, url="https://api.example.com/orders/1")).status_code == 200
    with pytest.raises(world.ratewise.CircuitBreakerOpen, match="circuit of users is open"):
        await world.send(transport, url="https://api.example.com/users/2")


async def test_our_own_refusals_do_not_count(world: World, clock: FakeClock) -> None:
    """A request that a layer below did not send, such as BulkheadFull, is no verdict on the server."""
    guard, places = brittle(), ratewise.Bulkhead(1, max_queue=0)
    client = world.RateWiseClient(
        "https://api.example.com",
        transport=Scripted(500, 200),
        circuit_breaker=guard,
        bulkhead=places,
        clock=clock,
        max_retries=0,
    )
    await world(client.get, "/")
    clock.advance(60)
    held = places._enter(ORIGIN, clock.monotonic())
    assert held is not None
    with pytest.raises(world.ratewise.BulkheadFull):
        await world(client.get, "/")
    places._queue.leave(held, clock.monotonic())
    assert (await world(client.get, "/")).status_code == 200
    assert guard.get_state()["state"] == "closed"


async def test_the_wall_clock_changes_nothing(world: World) -> None:
    """The wall clock steps back an hour and forward a day; the recovery time does not change."""

    class Stepped(FakeClock):
        step = 0.0

        def time(self) -> float:
            return super().time() + self.step

    clock = Stepped(auto=True)
    guard = brittle()
    transport = guarded(world, Scripted(503, 200), guard, clock)
    await outcome(world, transport)
    for step, passed, expected in ((-3600, 59, "CircuitBreakerOpen"), (86400, 0.5, "CircuitBreakerOpen"), (86400, 0.5, 200)):
        clock.step = step
        clock.advance(passed)
        assert await outcome(world, transport) == expected


async def test_dry_run(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """dry_run sends every request and logs those it would have refused."""
    caplog.set_level(logging.INFO, "ratewise")
    transport = guarded(world, Scripted(500, 200, 200), brittle(dry_run=True), clock)
    assert [await outcome(world, transport) for _ in range(3)] == [500, 200, 200]
    assert caplog.messages[1:] == ["Circuit breaker: request to https://api.example.com would have been refused (dry run)"] * 2


async def test_one_breaker_for_both_libraries(world: World, clock: FakeClock) -> None:
    """A breaker that both libraries share applies what it learns from one to the other."""
    guard = brittle()
    other = World(f"{world.style}-{'httpx' if world.httpx.__name__ == 'httpx2' else 'httpx2'}")
    await outcome(world, guarded(world, Scripted(500), guard, clock))
    with pytest.raises(other.ratewise.CircuitBreakerOpen):
        await other.send(guarded(other, Scripted(), guard, clock))


async def test_a_time_out_is_slow_too(world: World, clock: FakeClock) -> None:
    """A slow call counts as slow even if it times out; a slow probe fails, although its body still arrives."""

    def late(request: Any) -> Any:
        clock.advance(3)
        return failing("ReadTimeout")

    guard = CircuitBreaker(9, slow_call_duration=2, minimum_calls=2, jitter=0, half_open_timeout=5)
    slow = response(body=Body(b"a", b"b"))
    transport = guarded(world, Scripted(late, late, lambda request: slow, 200), guard, clock)
    assert [await outcome(world, transport) for _ in range(3)] == ["ReadTimeout"] * 2 + ["CircuitBreakerOpen"]
    clock.advance(60)

    def slowly(request: Any) -> Any:
        clock.advance(2)
        return slow

    transport._wire.steps[0] = slowly
    probe = await unstreamed(world, transport)
    clock.advance(5)
    assert await outcome(world, transport) == 200  # the next probe: the slow one is no success
    assert guard.get_state()["state"] == "half_open"
    await world.close(probe)


async def test_what_a_failure_on_may_say(world: World, clock: FakeClock) -> None:
    """`failure_on` may return True, False or None; other values raise TypeError, for responses and errors, and count nothing."""
    for said in ("", 0, 1, "yes"):
        guard = brittle(failure_on=lambda result, error, said=said: said)
        for step in (200, failing("ReadError"), response(body=Body(b"a", error=failing("ReadError")))):
            assert await outcome(world, guarded(world, Scripted(step), guard, clock)) == "TypeError"
        assert guard.get_state()["state"] == "closed"


async def test_what_a_slow_reader_proves(world: World, clock: FakeClock) -> None:
    """A deadline exceeded because the caller reads slowly is no failure of the server."""
    guard = brittle()
    wire = Scripted(response(body=Body(b"a", b"b")))
    client = world.RateWiseClient("https://x.example", transport=wire, circuit_breaker=guard, clock=clock, total_timeout=10)
    async with world.within(client.stream("GET", "/")) as result:
        clock.advance(11)
        with pytest.raises(world.ratewise.DeadlineExceeded):
            await world.read(result)
    assert guard.get_state()["state"] == "closed"


async def test_a_deadline_below_counts(world: World, clock: FakeClock) -> None:
    """Around a stack with its own total_timeout, a server that uses up that time has failed."""

    def late(request: Any) -> Any:
        clock.advance(10)
        return failing("ReadTimeout")

    guard = brittle()
    transport = guarded(
        world, world.RateWiseTransport(Scripted(late), total_timeout=10, max_retries=0, clock=clock), guard, clock
    )
    assert await outcome(world, transport) == "DeadlineExceeded"
    assert guard.get_state()["state"] == "open"


@pytest.mark.parametrize("dry_run", [False, True])
async def test_who_waits_while_the_circuit_opens(world: World, dry_run: bool) -> None:
    """Requests that wait in the bulkhead of the same stack while the circuit opens are refused, not sent."""
    guard, places = brittle(dry_run=dry_run), ratewise.Bulkhead(1)
    queued = threading.Event()

    def answer(received: Received) -> Reply:
        assert queued.wait(PATIENCE)
        return Reply(500)

    with LocalServer(answer) as server:
        settings = {"circuit_breaker": guard, "rate_limiter": None, "bulkhead": places, "trust_env": False, "max_retries": 0}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:
            seen = []

            async def call() -> None:
                try:
                    seen.append((await world(client.get, "/")).status_code)
                except world.ratewise.CircuitBreakerOpen as error:
                    seen.append(error.failure_count)

            async def watch() -> None:
                await world.until(lambda: places.get_state() == {"in_flight": 1, "waiting": 4})
                queued.set()

            await world.gather(*[call] * 5, watch)
        assert len(server.received) == (5 if dry_run else 1)
    assert sorted(seen) == ([500] * 5 if dry_run else [1, 1, 1, 1, 500])


async def test_waiting_for_a_connection_is_no_failure(world: World) -> None:
    """A deadline reached while all connections are in use is no failure of the server: nothing was sent."""

    class Lenient(Clock):
        """Makes the wire's own time-out, which says what was waited for, expire before the deadline even on a slow machine."""

        async def within(self, seconds: float, function: Any, *args: Any) -> Any:
            return await super().within(seconds + PATIENCE, function, *args)

    guard = brittle()
    with LocalServer(lambda received: Reply()) as server:
        limits = world.httpx.Limits(max_connections=1)
        settings = {"circuit_breaker": guard, "limits": limits, "trust_env": False, "max_retries": 0, "clock": Lenient()}
        client = world.RateWiseClient(server.url, total_timeout=PATIENCE, **settings)
        async with world.within(client), world.within(client.stream("GET", "/")):
            allow(client, 0.1)
            with pytest.raises(world.ratewise.DeadlineExceeded):
                await world(client.get, "/")
    assert guard.get_state()["state"] == "closed"


# -- a real server


@pytest.mark.parametrize("permitted", [1, 3])
async def test_exactly_so_many_probes(world: World, permitted: int) -> None:
    """100 tasks, or 64 threads, use a half-open circuit at once: the server receives exactly the permitted probes."""
    callers = 64 if world.is_sync else 100
    healthy, all_refused = threading.Event(), threading.Event()

    def answer(received: Received) -> Reply:
        if not healthy.is_set():
            return Reply(500)
        assert all_refused.wait(PATIENCE)
        return Reply()

    clock = FakeClock(auto=True)
    guard = brittle(half_open_max_calls=permitted, success_threshold=permitted)
    with LocalServer(answer) as server:
        settings = {"circuit_breaker": guard, "clock": clock, "trust_env": False, "max_retries": 0}
        async with world.within(world.RateWiseClient(server.url, **settings)) as client:
            assert (await world(client.get, "/")).status_code == 500
            healthy.set()
            clock.advance(60)
            results: list[str] = []

            async def knock() -> None:
                try:
                    results.append(str((await world(client.get, "/")).status_code))
                except world.ratewise.CircuitBreakerOpen:
                    results.append("refused")
                    if results.count("refused") == callers - permitted:
                        all_refused.set()

            await world.gather(*[knock] * callers)
        assert sorted(results) == ["200"] * permitted + ["refused"] * (callers - permitted)
        assert len(server.received) == 1 + permitted
    assert guard.get_state()["state"] == "closed"


@only("asyncio", "trio")
@pytest.mark.parametrize("where", ["head", "body"])
async def test_a_cancelled_probe_gives_its_permit_back(world: World, clock: FakeClock, where: str) -> None:
    """A cancelled probe gives no verdict and releases its permit: the next request is the probe."""

    class Hanging(Body):
        async def __aiter__(self) -> Any:
            yield b"a"
            hangs.append("body")
            await anyio.sleep_forever()

    class Wire(Scripted):
        async def handle_async_request(self, request: Any) -> Any:
            result = await super().handle_async_request(request)
            if where == "head" and len(self.sent) == 2:
                hangs.append("head")
                await anyio.sleep_forever()
            return result

    async def probe() -> None:
        await world.read(await unstreamed(world, transport))

    guard, hangs = brittle(), list[str]()
    transport = guarded(world, Wire(500, response(body=Hanging()), 200), guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    await world.cancelled(probe, when=lambda: hangs == [where])
    assert guard.get_state()["state"] == "half_open"
    assert await outcome(world, transport) == 200
    assert guard.get_state()["state"] == "closed"


async def test_a_keyboard_interrupt_tells_nothing(world: World, clock: FakeClock) -> None:
    """KeyboardInterrupt in a probe gives no verdict: the next request is the probe."""
    guard = brittle()
    transport = guarded(world, Scripted(500, KeyboardInterrupt(), 200), guard, clock)
    await outcome(world, transport)
    clock.advance(60)
    with pytest.raises(KeyboardInterrupt):
        await world.send(transport)
    assert await outcome(world, transport) == 200


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
async def test_a_server_that_hangs_until_the_deadline_has_failed(world: World, head: bytes) -> None:
    """A server that hangs until the deadline has failed, whether the wait is cancelled (asyncio, trio) or times out (sync)."""

    def hang(connection: Any) -> bool:
        connection.sendall(head)
        connection.recv(1)
        return False

    guard, trace = brittle(), Trace()
    with LocalServer(lambda received: hang) as server:
        client = world.RateWiseClient(server.url, circuit_breaker=guard, total_timeout=0.2, trust_env=False, max_retries=0)
        async with world.within(client):
            for seconds in (0.2, 1.0, 5.0, PATIENCE):
                allow(client, seconds)
                with pytest.raises(world.ratewise.DeadlineExceeded):
                    await world(client.get, "/", extensions={"trace": trace.of(world)})
                if trace.seen("receive_response_headers.started"):
                    break  # otherwise the machine was too busy to send the request
    assert guard.get_state()["state"] == "open"


@pytest.mark.parametrize("wrong", [5, True, CircuitBreaker])
async def test_bad_settings(world: World, wrong: Any) -> None:
    """The transport and the clients refuse anything but a CircuitBreaker."""
    with pytest.raises(TypeError, match="circuit_breaker must be a CircuitBreaker, not "):
        guarded(world, Scripted(), wrong)
    with pytest.raises(TypeError, match="circuit_breaker must be a CircuitBreaker, not "):
        world.RateWiseClient("https://api.example.com", circuit_breaker=wrong)


async def test_without_settings(world: World) -> None:
    """Without arguments the transport has a new HTTPTransport and a new CircuitBreaker."""
    kind = world.ratewise.CircuitBreakerTransport if world.is_sync else world.ratewise.AsyncCircuitBreakerTransport
    transport = kind()
    assert repr(transport._layers[0]) == "CircuitBreakerLayer(<CircuitBreaker closed, circuits=0>)"
    assert repr(transport) == (f"<{kind.__name__}: CircuitBreakerLayer > {world.HTTPTransport.__name__}>")
    await world.close(transport)

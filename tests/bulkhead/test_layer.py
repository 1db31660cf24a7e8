"""The bulkhead around a transport: never more in flight than allowed, first come, first served, and no slot is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from typing import Any

import anyio
import pytest

from ratewise import Bulkhead, CircuitBreaker, Clock, Waiter, exceptions, exchange_of
from ratewise._core import admission
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from ratewise.testing.virtual_clock import nanoseconds
from tests.bulkhead.bulkheads import EMPTY, ONE, ORIGIN, URL, client, entered, transport
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only

# -- how long a slot is held


async def test_until_the_body_is_closed(world: World, clock: FakeClock) -> None:
    """A stream holds its slot until it is read to its end, closed early or broken off; the next request waits for it."""
    bulkhead, bodies = Bulkhead(1), [Body(b"one"), Body(b"one"), Body(b"one", error=failing("ReadError"))]
    subject = transport(world, Scripted(*(response(body=body) for body in bodies)), bulkhead, clock=clock)
    for read in (True, False, True):
        held = await world.send(subject)
        with pytest.raises(world.ratewise.BulkheadFull):
            await world.send(subject)
        with contextlib.suppress(world.httpx.ReadError):
            await world.read(held) if read else None
        for _ in range(2):
            await world.close(held)
            assert bulkhead.get_state() == EMPTY


async def test_a_client_that_reads_the_whole(world: World, clock: FakeClock) -> None:
    """get() has released its slot when it returns or raises; client.stream() when its block is left."""
    bulkhead = Bulkhead(1)
    steps = (200, response(body=Body(b"one", error=failing("ReadError"))), failing("ConnectError"), ZeroDivisionError(), 200)
    subject = client(world, Scripted(*steps), bulkhead, clock=clock, max_retries=0)
    for error in (None, world.httpx.ReadError, world.httpx.ConnectError, ZeroDivisionError):
        with pytest.raises(error) if error else contextlib.nullcontext():
            assert (await world(subject.get, "/")).content == b"ok"
        assert bulkhead.get_state() == EMPTY
    async with world.within(subject.stream("GET", "/")):
        assert bulkhead.get_state() == ONE
    assert bulkhead.get_state() == EMPTY


async def test_retries_and_redirects_with_one_place(world: World) -> None:
    """Each attempt and each redirect releases its slot before the next one; a wait holds none."""
    bulkhead = Bulkhead(1, max_queue=0)

    class Checking(FakeClock):
        def _enter(self, wait: Any) -> None:
            assert bulkhead.get_state() == EMPTY
            super()._enter(wait)

    clock, moved = Checking(auto=True), response(302, {"Location": URL + "next"}, b"moved")
    subject = client(world, Scripted(*[503, failing("ReadError"), moved, 200] * 2), bulkhead, clock=clock, follow_redirects=True)
    assert (await world(subject.get, "/")).content == b"ok"
    async with world.within(subject.stream("GET", "/")) as streamed:
        assert await world.read(streamed) == b"ok"
    assert (len(clock.sleeps), bulkhead.get_state()) == (4, EMPTY)


async def test_a_discarded_body(world: World, clock: FakeClock) -> None:
    """With a bulkhead too, a discarded body is not read to its end."""
    endless = Body(*[b"x" * 1000] * 1000)
    subject = client(world, Scripted(response(503, body=endless), 200), Bulkhead(1), clock=clock)
    assert (await world(subject.get, "/")).status_code == 200
    assert endless.read <= 132_000


async def test_a_429_that_breaks_off(world: World, clock: FakeClock) -> None:
    """With a bulkhead too, a 429 whose body breaks off is a 429: a POST is sent again, no earlier than the server asked."""
    broken = response(429, {"Retry-After": "7"}, Body(b"x", error=failing("ReadError")))
    subject = client(world, Scripted(broken, 200), Bulkhead(1), clock=clock)
    began = clock.elapsed
    assert (await world(subject.post, "/")).status_code == 200
    assert clock.elapsed >= began + 7


async def test_what_holds_no_connection_holds_no_slot(world: World) -> None:
    """A 101, whose connection belongs to the caller, and bodies in memory, as mocks return them, hold no slot."""
    bulkhead, upgraded = Bulkhead(1, max_queue=0), response(101, body=Body(error=AssertionError("read")))
    subject = transport(world, Scripted(upgraded, lambda request: world.httpx.Response(200, content=b"a")), bulkhead)
    for status in (101, 200):
        assert (await world.send(subject)).status_code == status
        assert bulkhead.get_state() == EMPTY


@only("asyncio", "trio")
@pytest.mark.parametrize("victim", range(3))
@pytest.mark.parametrize("how", ["get", "stream"])
async def test_cancelled_at_each_step(world: World, how: str, victim: int) -> None:
    """task.cancel() and cancel scopes, in the queue, in flight and in the body: no slot is lost, and the others are served."""

    async def call(number: int) -> None:
        if how == "get":
            await subject.get("/")
        else:
            async with subject.stream("GET", "/") as streamed:
                await streamed.aread()
        served.add(number)

    async def cancellable(number: int, native: bool) -> None:
        if native:
            task = asyncio.ensure_future(call(number))
            cancels[number] = task.cancel
            await asyncio.wait([task])
        else:
            with anyio.CancelScope() as scope:
                cancels[number] = scope.cancel
                await call(number)

    for native, steps in [(native, steps) for native in {False, world.style == "asyncio"} for steps in range(60)]:
        bulkhead, served, cancels = Bulkhead(1), set[int](), dict[int, Any]()
        wire = Scripted(*[lambda request: response(body=Body(b"a", b"b"))] * 3)
        subject = client(world, wire, bulkhead, clock=FakeClock())  # no offer expires
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(cancellable, number, native)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                cancels.get(victim, str)()
        assert (served | {victim}, bulkhead.get_state()) == ({0, 1, 2}, EMPTY)


@pytest.mark.parametrize("stage", ["queue", "in flight", "body"])
async def test_interrupted(world: World, stage: str) -> None:
    """A KeyboardInterrupt at any wait loses no slot."""

    class Interrupted(FakeClock):
        def _enter(self, wait: Any) -> None:
            raise KeyboardInterrupt

    bulkhead = Bulkhead(1)
    others = [entered(bulkhead)] if stage == "queue" else []
    step = KeyboardInterrupt() if stage == "in flight" else response(body=Body(b"one", error=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        await world(client(world, Scripted(step), bulkhead, clock=Interrupted()).get, "/")
    assert bulkhead.get_state() == {"in_flight": len(others), "waiting": 0}


@only("sync")
async def test_what_the_garbage_collector_closes(world: World, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """The garbage collector may close an abandoned stream at any line, also within `enter`, without a deadlock."""

    class Collecting(admission.Ticket):
        __slots__ = ()

        def __init__(self, *args: Any) -> None:
            gc.collect()
            super().__init__(*args)

    def rows(me: list[Any]) -> Any:
        with subject.stream("GET", "/") as streamed:
            yield from streamed.iter_bytes()

    async def get() -> None:
        assert subject.get("/").content == b"ok"

    bulkhead = Bulkhead(1)
    subject = client(world, Scripted(200, 200), bulkhead, clock=clock)
    ring: list[Any] = []
    ring.append(rows(ring))
    next(ring[0])
    del ring
    assert bulkhead.get_state() == ONE
    monkeypatch.setattr(admission, "Ticket", Collecting)
    await world.gather(get)


# -- refusals


async def test_a_full_queue(world: World, clock: FakeClock) -> None:
    """A request beyond max_queue is refused at once, not sent and not retried, with an error of this library and of ours."""
    url = "https://user:hunter2@api.example.com/?api_key=hunter2"
    for max_queue in (0, 2):
        bulkhead = Bulkhead(1, max_queue=max_queue)
        for _ in range(1 + max_queue):
            entered(bulkhead)
        with pytest.raises(world.httpx.TransportError) as raised:
            await world(client(world, Scripted(), bulkhead, clock=clock).get, url)
        error: Any = raised.value
        assert type(error) is world.ratewise.BulkheadFull
        assert isinstance(error, exceptions.BulkheadFull)
        assert (error.key, error.waited, error.request.url) == (ORIGIN, 0, url)
        assert str(error) == (
            "GET https://REDACTED@api.example.com/?api_key=REDACTED was not sent: bulkhead full for "
            "https://api.example.com (1 in flight, queue full)"
        )
        assert (clock.sleeps, bulkhead.get_state()) == ([], {"in_flight": 1, "waiting": max_queue})


async def test_a_long_queue(world: World, clock: FakeClock) -> None:
    """After max_wait a request is refused, before a later deadline; the text has the seconds, and masks the key."""
    bulkhead = Bulkhead(1, max_wait=2.5, key=lambda request: "https://x.example/?token=hunter2")
    entered(bulkhead, "https://x.example/?token=hunter2")
    with pytest.raises(world.ratewise.BulkheadFull, match=r"token=REDACTED \(1 in flight, waited 2\.5 s\)") as raised:
        await world(client(world, Scripted(), bulkhead, clock=clock, total_timeout=3).get, "/")
    assert raised.value.waited == pytest.approx(2.5)
    assert bulkhead.get_state() == ONE


@pytest.mark.parametrize("real", [False, True])
async def test_a_deadline_in_the_queue(world: World, clock: FakeClock, real: bool) -> None:
    """A total_timeout shorter than max_wait ends the wait."""
    bulkhead = Bulkhead(1)
    entered(bulkhead)
    more = {"total_timeout": 0.02} if real else {"total_timeout": 10, "clock": clock}
    with pytest.raises(world.ratewise.DeadlineExceeded):
        await world(client(world, Scripted(), bulkhead, **more).get, "/")
    assert bulkhead.get_state() == ONE


@only("asyncio", "trio")
async def test_the_breaker_learns_nothing_of_the_queue(world: World) -> None:
    """A request that the deadline cancels in the queue was never sent, and says nothing about the server."""

    class Late(Clock):
        async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
            return await super().apark(waiter, PATIENCE)  # so that the deadline comes first

    bulkhead, breaker = Bulkhead(1), CircuitBreaker(failure_threshold=1)
    entered(bulkhead)
    subject = client(world, Scripted(), bulkhead, circuit_breaker=breaker, total_timeout=0.02, clock=Late())
    with pytest.raises(world.ratewise.DeadlineExceeded):
        await subject.get("/")
    assert (bulkhead.get_state(), breaker._trips) == (ONE, 0)


async def test_what_was_not_sent_is_not_counted(world: World, clock: FakeClock) -> None:
    """An error raised in the queue reports no requests sent."""
    bulkhead = Bulkhead(1)
    entered(bulkhead)
    for total_timeout in (10, 50):
        with pytest.raises(world.httpx.TransportError) as raised:
            await world(client(world, Scripted(), bulkhead, clock=clock, total_timeout=total_timeout).get, "/")
        assert exchange_of(raised.value).attempts == 0


@pytest.mark.parametrize("seconds", [0.99, 1.5])
async def test_long_waits_are_logged(world: World, caplog: pytest.LogCaptureFixture, seconds: float) -> None:
    """Waits of a second or more are logged, with the seconds and the masked key; shorter ones are not."""

    class Freeing(FakeClock):
        def _enter(self, wait: Any) -> None:
            super()._enter(wait)
            self._set(nanoseconds(seconds))
            bulkhead._queue.leave(first, self.monotonic())

    bulkhead = Bulkhead(1, key=lambda request: "https://a/?token=hunter2")
    first = entered(bulkhead, "https://a/?token=hunter2")
    with caplog.at_level(logging.DEBUG, "ratewise"):
        await world.send(transport(world, Scripted(200), bulkhead, clock=Freeing()))
    told = ["Bulkhead: waited 1.5 s for 1 of 1 slots of https://a/?token=REDACTED (0 more are waiting)"]
    assert [record.getMessage() for record in caplog.records] == (told if seconds > 1 else [])


# -- order, and the limit


async def test_the_key(world: World, clock: FakeClock) -> None:
    """Requests are counted by scheme, host and port, however they are written, or by what `key` returns."""
    by_origin, by_path = Bulkhead(1, max_queue=0), Bulkhead(1, max_queue=0, key=lambda request: request.url.path)
    held: list[Any] = []
    for bulkhead, same, other in (
        (by_origin, "https://API.example.com:443/x", ["http://api.example.com", URL[:-1] + ":444", "https://b.example.com"]),
        (by_path, "https://b.example.com/", [URL + "x"]),
    ):
        subject = transport(world, Scripted(*[200] * 4), bulkhead, clock=clock)
        held += [await world.send(subject)]
        with pytest.raises(world.ratewise.BulkheadFull):
            await world.send(subject, url=same)
        held += [await world.send(subject, url=url) for url in other]
    assert by_origin.get_state(ORIGIN) == by_path.get_state("/") == ONE
    assert (by_origin.get_state(), by_origin.get_state("nobody")) == ({"in_flight": 4, "waiting": 0}, EMPTY)


async def test_first_come_first_served(world: World) -> None:
    """A caller that was served and comes again goes to the end of the queue: five that share one slot take turns."""
    bulkhead, order, clock = Bulkhead(1), list[int](), FakeClock()  # no offer expires
    subject = transport(world, Scripted(*[200] * 15), bulkhead, clock=clock)
    first = entered(bulkhead)

    async def call(number: int) -> None:
        await world.until(lambda: bulkhead.get_state() == {"in_flight": 1, "waiting": number})
        for _ in range(3 if number < 5 else 0):
            held = await world.send(subject)
            order.append(number)
            await world.close(held)
        bulkhead._queue.leave(first, clock.monotonic())

    await world.gather(*(lambda number=number: call(number) for number in range(6)))  # type: ignore[misc]
    assert (order, bulkhead.get_state()) == ([*range(5)] * 3, EMPTY)


# trio warns of each abandoned generator, with a plain client too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_stream_that_is_forgotten(world: World) -> None:
    """A stream that is half read and abandoned releases its slot when it is garbage-collected, as it does its connection."""
    bulkhead = Bulkhead(1, max_queue=0)
    wire = Scripted(*[response(body=Body(b"a", b"b"))] * 2)
    subject = transport(world, wire, bulkhead)
    for _ in range(2):
        result = await world.send(subject)
        chunks = iter(result.stream) if world.is_sync else result.stream.__aiter__()
        assert (next(chunks) if world.is_sync else await chunks.__anext__()) == b"a"
        wire.answers.clear()
        del result, chunks
        gc.collect()
    assert bulkhead.get_state() == EMPTY


class Counting:
    """A server's answer that counts the requests in flight. The first `limit` of them wait for one another."""

    def __init__(self, limit: int) -> None:
        self.lock, self.barrier, self.limit = threading.Lock(), threading.Barrier(limit), limit
        self.now = self.peak = self.total = 0

    def __call__(self, received: Received) -> Reply:
        with self.lock:
            self.now, self.total = self.now + 1, self.total + 1
            self.peak = max(self.peak, self.now)
            first = self.total <= self.limit
        threading.Event().wait(0.002)
        if first:
            self.barrier.wait(PATIENCE)
        with self.lock:
            self.now -= 1
        return Reply()


async def many(world: World, server: LocalServer, bulkhead: Bulkhead, calls: int) -> None:
    settings = {"bulkhead": bulkhead, "rate_limiter": None, "trust_env": False, "clock": FakeClock()}
    async with world.within(world.RateWiseClient(server.url, **settings)) as subject:
        results = await world.gather(*[lambda: world(subject.get, "/")] * calls)
        assert {result.content for result in results} == {b"ok"}


async def test_a_real_server(world: World) -> None:
    """200 tasks, or 64 threads, and 7 slots: the server has 7 requests at once, never an 8th, and all are answered."""
    answer, bulkhead, calls = Counting(7), Bulkhead(7, max_queue=200), 64 if world.is_sync else 200
    with LocalServer(answer) as server:
        await many(world, server, bulkhead, calls)
    assert (answer.peak, answer.total, bulkhead.get_state()) == (7, calls, EMPTY)


def test_shared_by_all() -> None:
    """One bulkhead of 3 slots, shared by both libraries, threads, two asyncio loops and a trio run, admits 3 at once."""
    answer, bulkhead = Counting(3), Bulkhead(3)
    worlds = [World(name) for name in ("sync-httpx", "sync-httpx2", "asyncio-httpx", "asyncio-httpx2", "trio-httpx")]
    with LocalServer(answer) as server:
        threads = [
            threading.Thread(target=world.run, args=(lambda world=world: many(world, server, bulkhead, 15),), daemon=True)
            for world in worlds
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert (answer.peak, answer.total, bulkhead.get_state()) == (3, 15 * 5, EMPTY)

"""The seam: what a layer is given, in threads, asyncio and trio."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

import anyio
import httpx
import pytest
import trio

import ratewise
from ratewise import Exchange, LayerTransport, RetryConfig, Waiter, exchange_of
from ratewise._core.step import step
from tests.kit.clock import PATIENCE, FakeClock
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only


class Layer:
    """A layer made of a function."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle


def marking(name: str, log: list[str]) -> Layer:
    async def handle(request: Any, call: Any) -> Any:
        log.append(f"{name} in")
        try:
            return await call.send(request)
        finally:
            log.append(f"{name} out")

    return Layer(handle)


async def test_layers_run_outermost_first(world: World) -> None:
    """The first layer sees the request first and the response last."""
    log: list[str] = []
    transport = world.LayerTransport(Scripted(200), marking("a", log), marking("b", log))
    assert (await world.send(transport)).status_code == 200
    assert log == ["a in", "b in", "b out", "a out"]


async def test_errors_pass_the_layers(world: World) -> None:
    """What the wire raises comes out of every layer as it is."""
    error = world.httpx.ConnectError("no")
    log: list[str] = []
    with pytest.raises(world.httpx.ConnectError) as raised:
        await world.send(world.LayerTransport(Scripted(error), marking("a", log)))
    assert raised.value is error
    assert log == ["a in", "a out"]


async def test_a_chain_is_taken_over(world: World) -> None:
    """A RateWise transport around another one has one chain, and one Exchange for it."""
    log: list[str] = []
    wire = Scripted(200)
    inner = world.LayerTransport(wire, marking("b", log))
    outer = world.LayerTransport(inner, marking("a", log))
    inner._send = None  # nobody may come through the inner transport's own chain
    await world.send(outer)
    assert log == ["a in", "b in", "b out", "a out"]
    assert repr(outer) == f"<{type(outer).__name__}: Layer > Layer > Scripted>"


async def test_a_subclass_is_nested(world: World) -> None:
    """What a user's subclass does on its way is not lost."""
    log: list[str] = []

    class Mine(world.LayerTransport):  # type: ignore[misc, name-defined]
        def handle_request(self, request: Any) -> Any:
            log.append("mine")
            return super().handle_request(request)

        def handle_async_request(self, request: Any) -> Any:
            log.append("mine")
            return super().handle_async_request(request)

    transport = world.LayerTransport(Mine(Scripted(200), marking("b", log)), marking("a", log))
    result = await world.send(transport)
    assert log == ["a in", "mine", "b in", "b out", "a out"]
    assert isinstance(result.extensions["ratewise"], Exchange)


async def test_the_clock_comes_with_the_chain(world: World, clock: FakeClock) -> None:
    """An outer transport goes by the clock of the chain that it takes over, unless it is given its own."""
    inner = world.LayerTransport(Scripted(), clock=clock)
    assert world.LayerTransport(inner)._clock is clock
    mine = FakeClock()
    assert world.LayerTransport(inner, clock=mine)._clock is mine


async def test_closing_goes_through_what_was_given(world: World) -> None:
    """Entering and closing reach the given transport, whose chain was taken over, and the wire behind it."""
    wire = Scripted(200)
    closed: list[str] = []
    inner = world.LayerTransport(wire)
    inner._http.background = Watched(closed, world)
    outer = world.LayerTransport(inner)
    async with world.within(outer) as entered:
        assert entered is outer
        await world.send(outer)
    assert wire.events == ["entered", "exited"]
    assert closed == ["background"]
    await world.close(outer)
    assert wire.events == ["entered", "exited", "closed"]


class Watched:
    """A stand-in for a transport's background work that tells when it is closed."""

    def __init__(self, log: list[str], world: World) -> None:
        self.log = log

    def close(self) -> None:
        self.log.append("background")

    async def aclose(self) -> None:
        self.close()


async def test_the_method_of_the_wire_is_looked_up_at_each_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock that patches a transport's class after the stack was built is called."""
    transport = world.RateWiseTransport()
    mock = Scripted(204)
    method = "handle_request" if world.is_sync else "handle_async_request"
    monkeypatch.setattr(world.HTTPTransport, method, lambda self, request: getattr(mock, method)(request))
    assert (await world.send(transport)).status_code == 204
    await world.close(transport)


async def test_via_takes_the_function_of_its_world(world: World) -> None:
    """`call.via` runs the first of a pair in sync, the second in asyncio and trio, with the arguments."""

    def sync(x: int, *, y: int) -> Any:
        return "sync", x, y

    async def asynchronous(x: int, *, y: int) -> Any:
        await anyio.lowlevel.checkpoint()
        return "async", x, y

    seen = []

    async def handle(request: Any, call: Any) -> Any:
        seen.append(await call.via(sync, asynchronous, 1, y=2))
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert seen == [("sync" if world.is_sync else "async", 1, 2)]


async def test_sleep_goes_by_the_clock(world: World, clock: FakeClock) -> None:
    """A layer's waits are the clock's."""

    async def handle(request: Any, call: Any) -> Any:
        await call.sleep(2.5)
        assert call.clock is clock
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle), clock=clock))
    assert clock.sleeps == [2.5]


async def test_the_real_clock_waits(world: World) -> None:
    """The default clock sleeps in this world, and tells both times."""

    async def handle(request: Any, call: Any) -> Any:
        before = call.clock.monotonic()
        await call.sleep(0.002)
        assert call.clock.monotonic() >= before + 0.001
        assert call.clock.time() > 1_700_000_000
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle)))


@only("sync")
async def test_awaiting_something_else_in_sync_is_told(world: World) -> None:
    """A layer that awaits an event loop's own things in a sync transport gets a clear error, and is closed."""
    log: list[str] = []

    async def handle(request: Any, call: Any) -> Any:
        try:
            await asyncio.sleep(0)
        finally:
            log.append("closed")

    with pytest.raises(RuntimeError, match=r"call\.sleep\(\) or call\.park\(\)"):
        await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert log == ["closed"]


# -- park


async def test_a_waiter_is_woken_by_another(world: World) -> None:
    """One caller parks, another one's `wake` lets it go on."""
    waiter = Waiter()
    order: list[str] = []

    async def handle(request: Any, call: Any) -> Any:
        if request.url.path == "/wait":
            assert await call.park(waiter, PATIENCE)
            order.append("woken")
        else:
            order.append("waking")
            waiter.wake()
        return await call.send(request)

    transport = world.LayerTransport(Scripted(200, 200), Layer(handle))
    await world.gather(
        lambda: world.send(transport, url="https://x.example/wait"),
        lambda: world.send(transport, url="https://x.example/wake"),
    )
    assert order == ["waking", "woken"]


async def test_a_waiter_woken_first_does_not_wait(world: World) -> None:
    """`wake` before `park` is not lost."""
    waiter = Waiter()
    waiter.wake()
    waiter.wake()

    async def handle(request: Any, call: Any) -> Any:
        assert await call.park(waiter)
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert waiter.woken


async def test_parking_ends_with_its_time(world: World) -> None:
    """Nobody wakes: False after the timeout, on the real clock."""

    async def handle(request: Any, call: Any) -> Any:
        assert not await call.park(Waiter(), 0.002)
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle)))


async def test_a_waiter_is_woken_from_any_thread(world: World) -> None:
    """`wake` from a thread that has no event loop reaches a parked thread or task, with and without a timeout."""
    for timeout in (None, PATIENCE):
        waiter = Waiter()
        thread = threading.Timer(0.005, waiter.wake)

        async def handle(request: Any, call: Any, waiter: Waiter = waiter, timeout: float | None = timeout) -> Any:
            assert await call.park(waiter, timeout)
            return await call.send(request)

        thread.start()
        await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
        thread.join()


def test_waking_who_is_gone_does_no_harm() -> None:
    """The loop of a parked task is over: `wake` neither raises nor blocks."""
    for run in (asyncio.run, lambda scenario: trio.run(lambda: scenario)):
        waiter = Waiter()
        run(_give_up(waiter))
        waiter.wake()
        assert waiter.woken


async def _give_up(waiter: Waiter) -> None:
    with anyio.move_on_after(0.002):
        await waiter.await_()


def test_waking_in_the_moment_of_giving_up() -> None:
    """asyncio: a wake that arrives after the timeout has let the waiter go changes nothing."""

    async def scenario() -> None:
        waiter = Waiter()
        task = asyncio.ensure_future(waiter.await_(0))
        await asyncio.sleep(0.002)
        waiter.wake()
        await asyncio.sleep(0)
        await task

    asyncio.run(scenario())


# -- tap


class Recorder:
    """A watcher that writes down what it sees."""

    def __init__(self, name: str, log: list[Any], body: Body) -> None:
        self.name, self.log, self.body = name, log, body

    def chunk(self, data: bytes) -> None:
        self.log.append((self.name, data))

    def failed(self, error: BaseException) -> None:
        self.log.append((self.name, "failed", type(error).__name__))

    async def complete(self) -> None:
        self.log.append((self.name, "complete", "released" if self.body.closed else "held"))

    def closed(self) -> None:
        self.log.append((self.name, "closed"))


def tapping(name: str, log: list[Any], body: Body) -> Layer:
    async def handle(request: Any, call: Any) -> Any:
        return call.tap(await call.send(request), Recorder(name, log, body))

    return Layer(handle)


async def test_a_tap_sees_the_body_pass(world: World) -> None:
    """Raw chunks, the end after the connection is free, closed once; the caller gets status, headers, extensions and body."""
    log: list[Any] = []
    body = Body(b"one", b"two")
    inner = world.httpx.Response(203, headers=[("X-A", "1"), ("X-A", "2")], stream=body, extensions={"http_version": b"HTTP/2"})
    result = await world.send(world.LayerTransport(Scripted(inner), tapping("t", log, body)))
    assert log == []
    assert await world.read(result) == b"onetwo"
    await world.close(result)
    assert log == [("t", b"one"), ("t", b"two"), ("t", "complete", "released"), ("t", "closed")]
    assert (result.status_code, result.headers.get_list("x-a")) == (203, ["1", "2"])
    assert result.http_version == "HTTP/2"
    assert body.closed == 1


async def test_taps_share_one_new_response(world: World) -> None:
    """Two layers that watch cost one rebuilt response; the inner one sees each chunk first."""
    log: list[Any] = []
    body = Body(b"x")
    built: list[Any] = []

    async def handle(request: Any, call: Any) -> Any:
        built.append(await call.send(request))
        return built[0]

    layers = tapping("outer", log, body), Layer(handle), tapping("inner", log, body)
    result = await world.send(world.LayerTransport(Scripted(response(body=body)), *layers))
    assert result is built[0]
    await world.read(result)
    assert [entry[0] for entry in log] == ["inner", "outer"] * 3


async def test_a_body_given_up_is_closed_not_complete(world: World) -> None:
    """The caller closes in the middle of the body: `closed`, never `complete`."""
    log: list[Any] = []
    body = Body(b"one", b"two")
    result = await world.send(world.LayerTransport(Scripted(response(body=body)), tapping("t", log, body)))
    if world.is_sync:
        next(chunks := result.iter_raw())
        chunks.close()
    else:
        await (chunks := result.aiter_raw()).__anext__()
        await chunks.aclose()
    await world.close(result)
    assert log == [("t", b"one"), ("t", "closed")]
    assert body.closed == 1


async def test_a_body_that_breaks_off_is_closed_not_complete(world: World) -> None:
    """The wire fails in the middle of the body: the error comes through, `failed` and `closed`, never `complete`."""
    log: list[Any] = []
    body = Body(b"one", error=world.httpx.ReadError("gone"))
    result = await world.send(world.LayerTransport(Scripted(response(body=body)), tapping("t", log, body)))
    with pytest.raises(world.httpx.ReadError):
        await world.read(result)
    await world.close(result)
    assert log == [("t", b"one"), ("t", "failed", "ReadError"), ("t", "closed")]


async def test_a_body_that_cannot_be_watched_passes(world: World) -> None:
    """An upgraded connection (101) and a body that was read before are handed on untouched; the watcher is closed."""
    upgraded, read_before = (world.httpx.Response(status, stream=Body(b"ok")) for status in (101, 200))
    await world.read(read_before)
    for inner in (upgraded, read_before):
        log: list[Any] = []
        result = await world.send(world.LayerTransport(Scripted(inner), tapping("t", log, Body())))
        assert result is inner
        assert log == [("t", "closed")]


async def test_a_body_in_memory_can_be_watched(world: World) -> None:
    """`Response(content=...)`, as mocks give it, is watched like any other."""
    log: list[Any] = []
    wire = Scripted(world.httpx.Response(200, content=b"abc"))
    result = await world.send(world.LayerTransport(wire, tapping("t", log, Body())))
    assert await world.read(result) == b"abc"
    assert log == [("t", b"abc"), ("t", "complete", "held"), ("t", "closed")]


async def test_closing_while_another_reads(world: World) -> None:
    """A response that one task reads and another one closes: closing is no error."""
    if world.is_sync:
        return  # a thread that reads cannot be reached
    reading, go_on = Waiter(), Waiter()

    class Waiting(Body):
        async def __aiter__(self) -> Any:
            reading.wake()
            await go_on.await_(PATIENCE)
            yield b"late"

    body = Waiting()
    result = await world.send(world.LayerTransport(Scripted(response(body=body))))

    async def close() -> None:
        await reading.await_(PATIENCE)
        await result.aclose()
        go_on.wake()

    async def read() -> None:
        assert [chunk async for chunk in result.stream] == [b"late"]

    await world.gather(read, close)
    assert body.closed == 1


# -- close


async def test_close_reads_a_short_rest(world: World) -> None:
    """About 64 KiB of what is thrown away are read, then it is closed; a rest that breaks off is no error."""
    endless = Body(*[b"x" * 1000] * 1000)
    unwaiting = Body(*[b"x" * 1000] * 1000, waits=False)
    for body, least, most in (
        (Body(b"x" * 1000, b"y" * 1000), 2000, 2000),
        (endless, 65_536, 66_000 if world.is_sync else 70_000),
        (unwaiting, 65_536, 66_000 if world.is_sync else 132_000),
        (Body(b"x", error=failing("ReadError")), 1, 1),
    ):

        async def handle(request: Any, call: Any) -> Any:
            await call.close(await call.send(request))
            return world.httpx.Response(204)

        await world.send(world.LayerTransport(Scripted(response(body=body)), Layer(handle)))
        assert body.closed == 1
        assert least <= body.read <= most


async def test_close_of_what_is_closed(world: World) -> None:
    """A response that was read before can be closed again, and an iteration without `aclose` is no obstacle."""

    class Bare(Body):
        def __aiter__(self) -> Any:
            class Chunks:
                def __aiter__(self) -> Any:
                    return self

                async def __anext__(self) -> bytes:
                    raise StopAsyncIteration

            return Chunks()

    async def handle(request: Any, call: Any) -> Any:
        inner = await call.send(request)
        await world.read(inner)
        await call.close(inner)
        await call.close(world.httpx.Response(200, stream=Bare()))
        return inner

    result = await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert result.content == b"ok"


# -- spawn


async def test_background_work_goes_on_behind_the_request(world: World) -> None:
    """The response does not wait for it, and it runs with the layer's own call."""
    started, release, done = threading.Event(), Waiter(), Waiter()

    async def handle(request: Any, call: Any) -> Any:
        async def work() -> None:
            started.set()
            await call.park(release, PATIENCE)
            done.wake()

        call.spawn(work)
        return await call.send(request)

    transport = world.LayerTransport(Scripted(200), Layer(handle))
    await world.send(transport)
    assert not done.woken
    release.wake()
    await world(done.wait if world.is_sync else done.await_, PATIENCE)
    assert done.woken
    assert started.is_set()
    await world.close(transport)
    assert not transport._http.background._jobs


async def test_closing_ends_background_work(world: World) -> None:
    """Tasks are cancelled and waited for; a thread is waited for."""
    log: list[str] = []
    release = Waiter()

    async def handle(request: Any, call: Any) -> Any:
        async def work() -> None:
            log.append("started")
            try:
                await call.park(release, 0.05 if world.is_sync else PATIENCE)
            finally:
                log.append("ended")

        call.spawn(work)
        return await call.send(request)

    transport = world.LayerTransport(Scripted(200), Layer(handle))
    await world.send(transport)
    await world.close(transport)
    assert log == ["started", "ended"]


async def test_work_cancelled_before_it_starts_never_runs(world: World) -> None:
    """Closing at once: no work is half done, and no coroutine is left behind unawaited."""
    if world.is_sync:
        return  # a thread has started by then
    log: list[str] = []

    async def work() -> None:
        log.append("started")
        await anyio.lowlevel.checkpoint()
        log.append("went on")

    transport = world.LayerTransport(Scripted())
    transport._http.spawn(work)
    await world.close(transport)
    assert "went on" not in log
    gc.collect()


async def test_failing_background_work_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An error in it ends nothing else; the log names its kind, and not its text, which may hold a secret."""

    async def work() -> None:
        raise ValueError("token=hunter2")

    transport = world.LayerTransport(Scripted())
    with caplog.at_level(logging.ERROR, "ratewise"):
        transport._http.spawn(work)
        for _ in range(1000):
            if not transport._http.background._jobs:
                break
            await world(world_pause, world)
    await world.close(transport)
    assert [record.getMessage() for record in caplog.records] == ["Background work failed: ValueError"]


async def world_pause(world: World) -> None:
    waiter = Waiter()
    await world(waiter.wait if world.is_sync else waiter.await_, 0.001)


def test_background_work_of_a_loop_that_is_over() -> None:
    """A client used in one `asyncio.run` and closed in another does not wait for what ended with the first."""
    from ratewise._core.background import Background

    background = Background()

    async def start() -> None:
        background.spawn_task(lambda: asyncio.sleep(PATIENCE * 10))
        job = next(iter(background._jobs))
        background._jobs.add(job._replace(over=Waiter()))  # as one whose end was never told

    asyncio.run(start())
    assert background._jobs
    asyncio.run(background.aclose())
    assert not background._jobs


# -- Exchange


async def test_the_exchange_of_a_call(world: World) -> None:
    """Layers find it in the request, the caller in the response; the request is left as it was."""
    seen: list[Any] = []

    async def handle(request: Any, call: Any) -> Any:
        seen.append(request.extensions["ratewise"])
        return await call.send(request)

    options = ratewise.options(max_attempts=2)
    for extensions in ({"timeout": {}}, {"timeout": {}, **options}):
        request = world.httpx.Request("GET", "https://api.example.com", extensions=extensions)
        result = await world.send(world.LayerTransport(Scripted(200), Layer(handle)), request=request)
        assert result.extensions["ratewise"] is exchange_of(result) is seen[-1]
        assert request.extensions == extensions
    assert isinstance(seen[0], Exchange)
    assert seen[0] is not seen[1]
    assert (seen[0].options.max_attempts, seen[1].options.max_attempts) == (None, 2)
    assert seen[0].streamed
    assert "attempts=1" in repr(seen[0])


async def test_the_exchange_of_a_failure(world: World) -> None:
    """Also when the call raises, the request carries nothing of it, and the error does."""
    request = world.httpx.Request("GET", "https://api.example.com", extensions={"timeout": {}})
    with pytest.raises(world.httpx.ConnectError) as raised:
        await world.send(world.RetryTransport(Scripted(world.httpx.ConnectError("no")), RetryConfig(1)), request=request)
    assert request.extensions == {"timeout": {}}
    assert exchange_of(raised.value).attempts == 1


def test_what_has_no_exchange() -> None:
    """Responses and errors that came another way are told apart."""
    for other in (httpx.Response(200), httpx.ConnectError("no"), None):
        with pytest.raises(LookupError, match="no call through a RateWise transport is known"):
            exchange_of(other)


async def test_options_must_be_options(world: World) -> None:
    """`extensions={"ratewise": ...}` of the user's own making is refused with the way to do it."""
    with pytest.raises(TypeError, match=r"ratewise\.options"):
        await world.send(world.LayerTransport(Scripted()), extensions={"ratewise": {"retry": False}})


async def test_a_layer_that_drops_the_exchange(world: World) -> None:
    """A request that a layer made by itself carries none: the layers below make do with a new one."""

    async def handle(request: Any, call: Any) -> Any:
        return await call.send(world.httpx.Request("GET", "https://api.example.com/other"))

    wire = Scripted(503, 200)
    transport = world.LayerTransport(world.RetryTransport(wire, clock=FakeClock()), Layer(handle))
    result = await world.send(transport)
    assert result.status_code == 200
    assert len(wire.sent) == 2


# -- construction


@pytest.mark.parametrize("wrong", [None, object(), Layer, "layer"])
def test_a_layer_must_be_one(wrong: Any) -> None:
    """Anything without `handle`, and a class in place of its object, is refused at construction."""
    with pytest.raises(TypeError, match="layer must be an object with `async def handle"):
        LayerTransport(Scripted(), wrong)


class BaseTransport:
    """Of a library that nobody knows."""

    def handle_request(self, request: Any) -> Any: ...


@pytest.mark.parametrize("wrong", [None, 5, httpx.Client, httpx.HTTPTransport, object(), BaseTransport()])
def test_a_transport_must_be_one(wrong: Any) -> None:
    """Anything else than a transport is refused at construction."""
    with pytest.raises(TypeError, match="transport must be an httpx"):
        LayerTransport(wrong)


async def test_a_transport_of_the_other_world_is_refused(world: World) -> None:
    """A sync transport in an async wrapper, and the other way round, is told at construction."""
    wrong = world.httpx.AsyncHTTPTransport if world.is_sync else world.httpx.HTTPTransport
    base = f"{world.httpx.__name__}.{world.BaseTransport.__name__}"
    with pytest.raises(TypeError, match=rf"transport must be an {base}\. Sync transports go into RateWise's sync classes"):
        world.LayerTransport(wrong())


async def test_a_transport_by_its_method_is_taken(world: World) -> None:
    """A duck with the method, as some mocks are, is taken as it is."""

    class Duck:
        handle_request = Scripted(200).handle_request
        handle_async_request = Scripted(200).handle_async_request

    assert (await world.send(world.LayerTransport(Duck()))).status_code == 200


async def test_retrying_twice_is_warned_of(world: World) -> None:
    """A stack with two retry layers says so when it is built, at the line that builds it."""
    with pytest.warns(UserWarning, match="retries twice") as warned:
        world.RetryTransport(world.RetryTransport(Scripted()))
    assert warned[0].filename == __file__


def test_step_hands_on_what_a_coroutine_raises() -> None:
    """`step` is transparent to results and errors."""

    async def result() -> int:
        return 5

    async def error() -> None:
        raise KeyError("x")

    assert step(result()) == 5
    with pytest.raises(KeyError):
        step(error())

"""An exception out of a signal handler, at any instant of a call: no place stays taken, and counts equal a recount."""

from __future__ import annotations

import contextlib
import gc
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import httpx2
import pytest

import ratewise
from ratewise import Bulkhead, CircuitBreaker, Clock, InMemoryCache, LogConfig, RateLimiter
from ratewise.cache.stores.memory import _cost
from ratewise.exceptions import RateWiseError
from tests.kit.marks import HALF_READ, SIGNALS
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body
from tests.kit.world import World, only

PACKAGES = tuple(str(Path(package.__file__).parent) for package in (ratewise, httpx, httpx2))
URL, ORIGIN = "https://api.example.com", ("https", "api.example.com", None)

# What interrupts the end of an abandoned body cannot be raised.
pytestmark = [HALF_READ, pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")]


class Interruption(Exception):  # noqa: N818  (it is no error)
    """What a signal handler raises, such as a time-out of the user's own."""


class Interrupt(BaseException):
    """What a signal handler raises, such as KeyboardInterrupt."""


class Interrupter:
    """Raises at the instants at which CPython looks for signals in our code and httpx's: functions begin, and calls end.

    No timer meets each of them, and none the same twice.
    """

    def __init__(self, error: type[BaseException], at: int) -> None:
        self.error, self.at, self.seen = error, at, 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_return") and self.seen < self.at and frame.f_code.co_filename.startswith(PACKAGES):
            self.seen += 1
            if self.seen == self.at:
                raise self.error

    def __enter__(self) -> Interrupter:
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


class Standing(Clock):
    """Time that passes where someone waits for it."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def park(self, waiter: Any, timeout: float | None) -> bool:
        self.now += 0 if waiter.woken else timeout or 0
        return bool(waiter.woken)


def wire_of(world: World) -> Any:
    """Return a transport that keeps no response, as a scripted one does."""

    class Wire(world.BaseTransport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: Any) -> Any:
            return world.httpx.Response(200, headers={"Cache-Control": "max-age=9"}, stream=Body(b"a", b"b"))

    return Wire()


class Stage:
    """A client with everything on."""

    def __init__(self, world: World) -> None:
        self.clock, self.bulkhead, self.limiter = Standing(), Bulkhead(2), RateLimiter(concurrency=2)
        self.breaker, self.cache = CircuitBreaker(1, jitter=0), InMemoryCache(max_size=2)
        self.numbers = iter(range(10**9))
        self.client = world.RateWiseClient(
            URL,
            transport=wire_of(world),
            clock=self.clock,
            bulkhead=self.bulkhead,
            rate_limiter=self.limiter,
            circuit_breaker=self.breaker,
            cache=self.cache,
            log_config=LogConfig(),
            total_timeout=1000.0,
        )

    def half_open(self) -> None:
        """Let the next request be a probe."""
        self.breaker.reset()
        self.breaker._report(ORIGIN, self.breaker._admit(ORIGIN, self.clock.now), True, self.clock.now)  # type: ignore[arg-type]
        self.clock.now += 61

    def call(self, streamed: bool) -> None:
        path = f"/{next(self.numbers)}"
        if streamed:
            with self.client.stream("GET", path) as streaming:
                assert b"".join(streaming.iter_raw()) == b"ab"
        else:
            assert self.client.get(path).content == b"ab"

    def check(self) -> None:
        """Nothing is taken, and all counts equal a recount."""
        gc.collect()
        assert self.bulkhead.get_state() == {"in_flight": 0, "waiting": 0}
        for circuit in self.breaker._circuits.values():
            assert not circuit.probes
        for gate in self.limiter._gates.values():
            for lane in gate.lanes.values():
                assert (lane.taken, len(lane.queue), lane.unanswered) == (set(), 0, set())
        store, stats = self.cache._memory, self.client.get_stats()
        assert not store.single_flight._requests
        assert store._changing or store.bytes == sum(map(_cost, store.entries.values()))
        assert stats.total_requests == stats.successful + stats.failed
        assert not self.client._transport._runtime.background._jobs


@pytest.fixture
def frozen() -> Iterator[None]:
    """Let the garbage collector look only at what the test makes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@only("sync")
@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize(("streamed", "error"), [(False, Interrupt), (True, Interruption)])
def test_at_every_instant(world: World, streamed: bool, error: type[BaseException]) -> None:
    """A probe through a whole stack is interrupted at each instant in turn; the next request goes through, and all is counted."""
    at, reached = 0, True
    while reached:
        at += 1
        stage = Stage(world)
        stage.half_open()
        with contextlib.suppress(error), Interrupter(error, at) as interrupter:
            stage.call(streamed)
        reached = interrupter.seen == at
        stage.check()
        stage.call(streamed)
        stage.check()
        assert not stage.cache._memory._changing
    assert at > 100


@only("sync")
@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("kind", ["bulkhead", "rate_limiter"])
def test_at_every_instant_of_a_wait(world: World, kind: str) -> None:
    """A request that waits, in vain, is interrupted at each instant in turn: it leaves the queue."""
    at, reached, clock = 0, True, Standing()
    while reached:
        at += 1
        part: Any = Bulkhead(1, max_wait=2) if kind == "bulkhead" else RateLimiter(concurrency=1, max_wait=2)
        with world.RateWiseClient(URL, transport=wire_of(world), clock=clock, max_retries=0, **{kind: part}) as client:
            with client.stream("GET", "/"):
                with contextlib.suppress(Interrupt, RateWiseError), Interrupter(Interrupt, at) as interrupter:
                    client.get("/")
                reached = interrupter.seen == at
                gc.collect()
                (state,) = (lane for entry in part._queue.states.values() for lane in entry.lanes_in_use())
                state.purge()
                assert (len(state.taken), len(state.queue)) == (1, 0)
            assert client.get("/").content == b"ab"
        assert not state.taken
    assert at > 100


# Python 3.9 looks for signals between the end of a `with` block and the release of its lock, which then stays locked.
@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 may leave a lock locked that a signal interrupts")
@SIGNALS
@only("sync")
@pytest.mark.usefixtures("frozen")
def test_signals_at_random(world: World) -> None:
    """Five hundred signals (a thousand with both libraries), each at a random instant of some call."""
    stage, armed, fire, rng = Stage(world), False, threading.Semaphore(0), random.Random(world.httpx.__name__)
    main, over = threading.get_ident(), False

    def handler(*_: object) -> None:
        nonlocal armed
        armed = False
        raise Interruption

    def send() -> None:
        while fire.acquire(timeout=PATIENCE) and not over:
            time.sleep(rng.random() / 1000)
            signal.pthread_kill(main, signal.SIGUSR1)

    def calls(streamed: bool) -> None:
        while armed:  # in a function of its own: Python 3.13 raises at the end of a loop as if that were outside its `with` block
            stage.call(streamed=streamed)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for number in range(500):
            if number % 3 == 0:
                stage.half_open()
            with contextlib.suppress(Interruption):
                armed = True
                fire.release()
                calls(streamed=number % 2 == 0)
            stage.check()
    finally:
        over = True
        fire.release()
        thread.join(PATIENCE)
        signal.signal(signal.SIGUSR1, before)

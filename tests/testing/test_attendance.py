"""FakeClock: who is at work, so that time stands still, and who cannot do anything, and so keeps no time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any

import anyio
import pytest
import trio

from ratewise import Waiter
from ratewise._core.clock import current_task
from ratewise.testing import FakeClock
from tests.kit.patience import PATIENCE
from tests.kit.world import World


def ends(clock: FakeClock, seconds: float) -> None:
    """Sleep in a thread of its own, and fail if that does not end."""
    thread = threading.Thread(target=clock.sleep, args=(seconds,), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_loop_that_a_task_blocks() -> None:
    """Other tasks of a loop, woken or at work on a call, do nothing while one of them sleeps in sync code."""
    clock, seen = FakeClock(auto=True), list[float]()

    async def blocks() -> None:
        await clock.asleep(1)
        clock._begin(asyncio.current_task())
        clock.sleep(5)
        clock._end(asyncio.current_task())
        seen.append(clock.elapsed)

    async def other() -> None:
        await clock.asleep(1)
        seen.append(clock.elapsed)

    async def main() -> None:
        await asyncio.gather(blocks(), other())

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert seen == [6, 6]


@pytest.mark.parametrize("auto", [True, False])
def test_a_loop_that_is_stopped(auto: bool) -> None:
    """A call in a loop that does not run now does not keep the time from passing; it goes on when the loop does."""
    clock, loop, seen = FakeClock(auto=auto), asyncio.new_event_loop(), list[float]()

    async def call() -> None:
        clock._begin(asyncio.current_task())
        await clock.asleep(60)
        clock._end(asyncio.current_task())
        seen.append(clock.elapsed)

    async def begin() -> None:
        await asyncio.sleep(0)

    task = loop.create_task(call())
    loop.run_until_complete(begin())
    if auto:
        ends(clock, 100)
    else:
        clock.advance(100)
    loop.run_until_complete(task)
    loop.close()
    assert seen[0] >= 100


@pytest.mark.filterwarnings("ignore:coroutine|Task was destroyed")
def test_a_loop_that_was_closed() -> None:
    """The sleepers of an event loop that was closed with its tasks are passed by, without an error."""
    clock, loop = FakeClock(), asyncio.new_event_loop()
    task = loop.create_task(clock.asleep(5))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    clock.advance(10)
    assert clock.elapsed == 10
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would log it


def test_a_loop_that_is_over() -> None:
    """A thread whose loop waited when it ended is at work when it makes a call."""
    clock = FakeClock(auto=True)

    async def main() -> None:
        await clock.asleep(1)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    clock._begin(threading.get_ident())
    thread = threading.Thread(target=clock.sleep, args=(100,), daemon=True)
    thread.start()
    clock.wait_for(1)
    time.sleep(0.05)
    assert clock.elapsed == 1
    clock._end(threading.get_ident())
    thread.join(PATIENCE)
    assert clock.elapsed == 101


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forks() -> None:
    """In a child process nobody waits but its own thread, whatever the threads of its parent were doing at the fork."""
    clock = FakeClock(auto=True)
    clock._begin("a call of another thread")
    clock._begin(threading.get_ident())
    sleeper = threading.Thread(target=clock.sleep, args=(50,), daemon=True)
    sleeper.start()
    clock.wait_for(1)
    with clock._lock:  # as another thread may
        child = os.fork()
        if not child:  # pragma: no cover  (another process)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(PATIENCE))  # which ends it
            clock.sleep(100)
            clock._end(threading.get_ident())
            os._exit(clock.elapsed != 100 or clock.waiting)
    assert os.waitpid(child, 0)[1] == 0
    clock._end(threading.get_ident())
    clock._end("a call of another thread")
    sleeper.join(PATIENCE)
    assert clock.elapsed == 50


async def through_gather(clock: FakeClock) -> None:
    await asyncio.gather(clock.asleep(1), clock.asleep(1))


async def through_wait(clock: FakeClock) -> None:
    await asyncio.wait([asyncio.ensure_future(clock.asleep(1))])


async def through_a_task_group(clock: FakeClock) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(clock.asleep, 1)


async def through_rounds(clock: FakeClock) -> None:
    await clock.asleep(1)
    for _ in range(100):
        await asyncio.sleep(0)


class Opaque(asyncio.SelectorEventLoop):
    """An event loop that does not show what is ready, as those that are not written in Python."""

    def __getattribute__(self, name: str) -> Any:
        if name == "_ready" and sys._getframe(1).f_globals["__name__"] == "ratewise.testing.idle":
            raise AttributeError(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, Opaque])
@pytest.mark.parametrize("through", [through_gather, through_wait, through_a_task_group, through_rounds])
def test_who_is_about_to_be_woken_is_at_work(loop: Any, through: Any) -> None:
    """A task that others are about to wake, by way of callbacks of the event loop, goes on before time does."""
    clock = FakeClock(auto=True)

    async def main() -> float:
        later = asyncio.ensure_future(clock.asleep(10))
        await through(clock)
        elapsed = clock.elapsed
        await later
        return elapsed

    with contextlib.closing(loop()) as running:
        assert running.run_until_complete(main()) == 1
    assert clock.elapsed == 10


def test_two_clocks_in_one_event_loop() -> None:
    """Neither waits for the other's look at what is ready."""
    clocks = FakeClock(auto=True), FakeClock(auto=True)

    async def main() -> None:
        await asyncio.gather(*(clock.asleep(5) for clock in clocks))

    asyncio.run(main())
    assert [clock.elapsed for clock in clocks] == [5, 5]


async def in_a_task(clock: FakeClock) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(clock.asleep, 5)


async def in_a_call_of_a_task(clock: FakeClock) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(within_a_call, clock, clock.asleep, 5)


async def in_a_call_of_its_own(clock: FakeClock) -> None:
    await within_a_call(clock, in_a_task, clock)


async def below_another_clock(clock: FakeClock) -> None:
    await within_a_call(FakeClock(), in_a_call_of_a_task, clock)


async def in_a_thread(clock: FakeClock) -> None:
    await anyio.to_thread.run_sync(clock.sleep, 5)


async def within_a_call(clock: FakeClock, function: Any, *args: Any) -> None:
    clock._begin(owner := current_task())
    await function(*args)
    clock._end(owner)


@pytest.mark.parametrize("waits", [in_a_task, in_a_call_of_a_task, in_a_call_of_its_own, below_another_clock, in_a_thread])
@pytest.mark.parametrize("world", ["asyncio-httpx", "trio-httpx"], indirect=True)
async def test_a_call_that_waits_for_its_own_tasks(world: World, waits: Any) -> None:
    """A call waits where what it has begun does; another one, which is at work meanwhile, holds the time still."""
    clock, seen = FakeClock(auto=True), list[float]()

    async def works() -> None:
        await anyio.sleep(0.05)
        seen.append(clock.elapsed)

    await world.gather(lambda: within_a_call(clock, waits, clock), lambda: within_a_call(clock, works))
    assert seen == [0]
    assert clock.elapsed == 5
    assert (clock._works, clock._working, clock.waiting) == ({}, 0, 0)


def test_a_task_that_outlives_the_call_in_which_it_was_begun() -> None:
    """Its waits are no longer those of a call, not of a later one of the same task either."""
    clock = FakeClock(auto=True)

    async def main() -> None:
        later: list[Any] = []

        async def begin() -> None:
            later.append(asyncio.ensure_future(anyio.sleep(0.01)))
            later[0].add_done_callback(lambda _: later.append(asyncio.ensure_future(clock.asleep(5))))

        await within_a_call(clock, begin)
        await within_a_call(clock, anyio.sleep, 0.05)
        assert clock.elapsed == 0
        await asyncio.gather(*later)

    asyncio.run(main())
    assert clock.elapsed == 5


def test_a_callback_that_is_always_ready() -> None:
    """One that is called again and again, and is no task, keeps time from passing for a few rounds only."""
    clock = FakeClock(auto=True)

    async def main() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.ensure_future(clock.asleep(5))

        def again() -> None:
            if not ended.done():
                loop.call_soon(again)

        again()
        await ended

    asyncio.run(main())
    assert clock.elapsed == 5


def test_a_thread_that_blocks_its_event_loop() -> None:
    """A sync wait within a task, which blocks its event loop, is a wait all the same."""
    clock = FakeClock(auto=True)

    async def main() -> None:
        async def other() -> None:
            await clock.asleep(9)

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        clock.sleep(5)
        assert clock.elapsed == 5
        await task

    asyncio.run(main())
    assert clock.elapsed == 9


def test_one_clock_in_several_event_loops() -> None:
    """Event loops that have ended, or were stopped, do not hold the time still."""
    clock = FakeClock(auto=True)
    for _ in range(3):
        asyncio.run(clock.asleep(1))
        trio.run(clock.asleep, 1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(clock.asleep(1))
    clock.sleep(1)
    loop.run_until_complete(clock.asleep(1))
    loop.close()
    assert clock.elapsed == 9


def test_a_wait_in_the_place_of_a_call() -> None:
    """A server that waits lets time pass in the place of the call that it answers, also of one within a call; woken, no more."""
    clock = FakeClock(auto=True)
    for _ in range(2):  # a stack within a stack
        clock._begin("a call")
    assert not clock._park_for_call(Waiter(), 30)
    assert clock.elapsed == 30
    clock._end("a call")
    waiter = Waiter()
    waiter.wake()
    assert clock._park_for_call(waiter, 30)
    sleeper = threading.Thread(target=clock.sleep, args=(100,), daemon=True)
    sleeper.start()
    clock.wait_for(1)
    time.sleep(0.05)
    assert clock.elapsed == 30
    clock._end("a call")
    sleeper.join(PATIENCE)
    assert clock.elapsed == 130


def test_what_a_forked_process_forgets() -> None:
    """Threads and tasks of others, and their waits. The calls of its own thread go on."""
    clock, here = FakeClock(auto=True), threading.get_ident()
    clock._begin("a call of another thread")
    clock._begin(here)
    threading.Thread(target=clock.sleep, args=(50,), daemon=True).start()
    clock.wait_for(1)
    clock._after_fork()
    assert clock.waiting == 0
    assert list(clock._works) == [here]
    clock.sleep(100)
    clock._end(here)
    assert clock.elapsed == 100

"""FakeClock: the same order of events as with the real clock, in threads, asyncio and trio."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import time
from typing import Any

import anyio
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from ratewise import Clock, Waiter
from ratewise._core.clock import TimeoutExpired
from ratewise._core.step import step
from ratewise.testing import FakeClock
from ratewise.testing import clock as module
from tests.kit.patience import PATIENCE, wait_until
from tests.kit.world import World, only

UNIT = 0.03
"""Seconds between the events of a scenario in real time."""

Act = tuple[Any, ...]
"""("sleep", units), ("park", waiter, units or None), ("wake", waiter), ("within", units, *acts)."""

SCENARIOS: dict[str, list[list[Act]]] = {
    "sleeps": [[("sleep", 3)], [("sleep", 1)], [("sleep", 2)]],
    "interleaved": [
        [("sleep", 2), ("sleep", 2), ("sleep", 2)],
        [("sleep", 3), ("sleep", 4)],
        [("sleep", 1), ("sleep", 4)],
    ],
    "a waiter is woken": [[("park", "a", 5)], [("sleep", 2), ("wake", "a"), ("sleep", 1)]],
    "a waiter has waited enough": [[("park", "a", 2), ("sleep", 2)], [("sleep", 3), ("wake", "a")]],
    "woken before it waits": [[("sleep", 2), ("park", "a", 9), ("sleep", 1)], [("sleep", 1), ("wake", "a"), ("sleep", 1.5)]],
    "waits without a limit": [[("park", "a", None)], [("park", "b", None), ("wake", "a")], [("sleep", 1), ("wake", "b")]],
    "waits of no time": [[("park", "a", 0), ("sleep", 2)], [("sleep", 1), ("sleep", 0), ("sleep", 2)]],
    "parks twice": [[("park", "a", 1), ("park", "a", 3)], [("sleep", 2), ("wake", "a"), ("sleep", 3)]],
}
LIMITED: dict[str, list[list[Act]]] = {
    "a limit ends a sleep": [[("within", 2, ("sleep", 9)), ("sleep", 2)], [("sleep", 3)]],
    "a limit is not reached": [[("within", 5, ("sleep", 1), ("sleep", 1))], [("sleep", 6)]],
    "a limit ends a park": [[("within", 2, ("park", "a", None))], [("sleep", 1), ("sleep", 2)]],
    "a limit within a limit": [[("within", 4, ("within", 2, ("sleep", 9)), ("sleep", 9))], [("sleep", 3), ("sleep", 2)]],
    "a cancelled limit": [[("within", 2, ("within", 4, ("sleep", 9)))], [("sleep", 3), ("sleep", 2)]],
}


class Stage:
    """Performs a scenario by a clock, and notes its events: which actor, the number of its act, and how a wait ended."""

    def __init__(self, world: World, clock: Clock, unit: float) -> None:
        self.world, self.clock, self.unit = world, clock, unit
        self.waiters: dict[str, Waiter] = {}
        self.events: list[tuple[Any, ...]] = []
        self.began = clock.monotonic()
        self.late = [0.0]
        """How many seconds after its time each sleeper woke."""

    async def actor(self, name: int, acts: Any) -> None:
        planned = 0.0
        for number, act in enumerate(acts):
            result = await self.act(name, act)
            if act[0] == "sleep":
                planned += act[1]
                self.late.append(self.clock.monotonic() - self.began - planned * self.unit)
            else:
                planned = (self.clock.monotonic() - self.began) / self.unit
            self.events.append((name, number, act[0], result))

    async def act(self, name: int, act: Act) -> Any:
        pair, (kind, *values) = self.world, act
        if kind == "sleep":
            return await pair(self.clock.sleep if pair.is_sync else self.clock.asleep, values[0] * self.unit)
        if kind == "within":
            try:
                await self.clock.within(values[0] * self.unit, self.actor, f"{name}'", values[1:])
            except TimeoutExpired:
                return "over"
            return "in time"
        waiter = self.waiters.setdefault(values[0], Waiter())
        if kind == "wake":
            return waiter.wake()
        limit = None if values[1] is None else values[1] * self.unit
        return await pair(self.clock.park if pair.is_sync else self.clock.apark, waiter, limit)

    async def perform(self, scenario: list[list[Act]]) -> list[tuple[Any, ...]]:
        actors = [lambda name=name, acts=acts: self.actor(name, acts) for name, acts in enumerate(scenario)]  # type: ignore[misc]
        if isinstance(self.clock, FakeClock) and self.world.is_sync:
            self.clock.run(*(lambda actor=actor: step(actor()) for actor in actors))  # type: ignore[misc]
        else:
            await self.world.gather(*actors)
        return self.events


async def as_in_real_time(world: World, scenario: list[list[Act]]) -> None:
    """Assert that a scenario has the same events in both times. A real run whose machine was late is repeated."""
    virtual = await Stage(world, FakeClock(auto=True), 1).perform(scenario)
    for _ in range(20):
        stage = Stage(world, Clock(), UNIT)
        real = await stage.perform(scenario)
        if max(stage.late) < UNIT / 3:
            break
    assert virtual == real


@only("httpx")
@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_order_of_the_real_clock(world: World, name: str) -> None:
    """Sleepers and waiters wake in the same order as in real time."""
    await as_in_real_time(world, SCENARIOS[name])


@pytest.mark.parametrize("name", LIMITED)
@pytest.mark.parametrize("world", ["asyncio-httpx", "trio-httpx"], indirect=True)
async def test_the_limits_of_the_real_clock(world: World, name: str) -> None:
    """`within` ends at the same event as in real time."""
    await as_in_real_time(world, LIMITED[name])


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
@given(st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=4), min_size=1, max_size=5))
def test_sleepers_wake_in_order(style: str, sleepers: list[list[int]]) -> None:
    """Any number of sleepers, each at its time, and at one time in the order in which they fell asleep."""
    world, clock = World(f"{style}-httpx"), FakeClock(auto=True)
    woken: list[tuple[float, int]] = []

    async def sleeper(number: int) -> None:
        for seconds in sleepers[number]:
            await world(clock.sleep if world.is_sync else clock.asleep, seconds)
            woken.append((clock.elapsed, number))

    async def main() -> None:
        await world.gather(*(lambda number=number: sleeper(number) for number in range(len(sleepers))))  # type: ignore[misc]

    if world.is_sync:
        clock.run(*(lambda number=number: step(sleeper(number)) for number in range(len(sleepers))))  # type: ignore[misc]
    else:
        world.run(main)
    expected = sorted((sum(each[: last + 1]), number) for number, each in enumerate(sleepers) for last in range(len(each)))
    assert [at for at, _ in woken] == [at for at, _ in expected]
    assert sorted(woken) == expected
    assert clock.elapsed == max(map(sum, sleepers))
    assert clock.waiting == 0


# -- advancing


@only("httpx")
async def test_advance_goes_from_wake_to_wake(world: World) -> None:
    """Each sleeper sees its own time, and sleeps again within the same advance."""
    clock, seen = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *lengths: float) -> None:
        for seconds in lengths:
            await world(clock.sleep if world.is_sync else clock.asleep, seconds)
            seen.append((name, clock.elapsed))

    async def mover() -> None:
        await world(clock.wait_for if world.is_sync else clock.await_for, 2)
        for seconds in (0.5, 9.5):
            await world(clock.advance if world.is_sync else clock.aadvance, seconds)
        assert clock.elapsed == 10

    await world.gather(lambda: sleeper("a", 3, 4), lambda: sleeper("b", 5, 5), mover)
    assert seen == [("a", 3), ("b", 5), ("a", 7), ("b", 10)]


def test_sums_are_exact() -> None:
    """Many small steps make the whole."""
    clock = FakeClock(start=1e9)
    before = clock.monotonic()
    for _ in range(600):
        clock.advance(0.1)
    assert clock.elapsed == 60
    assert clock.time() == 1e9 + 60
    assert clock.monotonic() == before + 60


def test_it_starts_now() -> None:
    """Without `start` the wall time is the present, and the monotonic time is never before that of the real clock."""
    before, earlier = Clock().monotonic(), math.floor(time.time())
    clock = FakeClock()
    assert clock.time() in range(earlier, math.floor(time.time()) + 1)
    assert clock.monotonic() >= before


async def test_advance_in_an_event_loop(world: World) -> None:
    """Where it would block the loop, `advance` wakes in order and returns at once."""
    if world.is_sync:
        return
    clock, seen = FakeClock(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.asleep(seconds)
        seen.append(seconds)

    async def mover() -> None:
        await clock.await_for(2)
        clock.advance(10)
        assert clock.elapsed == 10
        assert seen == []

    await world.gather(lambda: sleeper(3), lambda: sleeper(2), mover)
    assert sorted(seen) == [2, 3]


def test_who_does_not_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`advance` returns although somebody is at work for longer, and others wake in their order."""
    monkeypatch.setattr(module, "STALLED", 0.01)
    clock, woken = FakeClock(), list[int]()
    clock._begin("a call")
    thread = threading.Thread(target=lambda: (clock.sleep(3), woken.append(3)), daemon=True)
    thread.start()
    clock.wait_for(1)
    clock.advance(5)
    thread.join(PATIENCE)
    asyncio.run(clock.aadvance(5))
    assert (woken, clock.elapsed) == ([3], 10)


def test_a_call_that_advances_its_own_clock() -> None:
    """A handler of a call may let time pass: its own call does not keep it from doing so."""
    clock = FakeClock()
    clock._begin(threading.get_ident())
    clock.advance(5)
    clock._end(threading.get_ident())
    assert clock.elapsed == 5


async def test_nobody_comes(world: World) -> None:
    """`wait_for` and `await_for` say how many wait."""
    clock = FakeClock()
    with pytest.raises(TimeoutError, match=r"after 0\.05 s 0 wait on the FakeClock, not 2"):
        await world(clock.wait_for if world.is_sync else clock.await_for, 2, timeout=0.05)
    if not world.is_sync:
        with pytest.raises(RuntimeError, match=r"would block the event loop: await await_for\(\) there"):
            clock.wait_for()


def test_nobody_advances(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread, which nobody advances, gets an error that says what to do; one that is advanced goes on."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    clock = FakeClock()
    with pytest.raises(TimeoutError, match=r"was not advanced for 0\.05 s: call advance\(\) in another thread, or make it Fake"):
        clock.sleep(5)
    assert clock.waiting == 0

    def mover() -> None:
        for _ in range(10):
            clock.advance(1)
            time.sleep(0.02)

    thread = threading.Thread(target=mover, daemon=True)
    thread.start()
    clock.sleep(5)
    thread.join()
    assert clock.elapsed >= 5


# -- running by itself


def test_calls_of_threads_between_which_others_wait() -> None:
    """Without `run`, time passes when the threads that are known wait."""
    clock, ended = FakeClock(auto=True), list[float]()
    threads = [threading.Thread(target=lambda n=n: (clock.sleep(n), ended.append(n)), daemon=True) for n in (3, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(ended) == [1, 2, 3]


def test_run_returns_results_and_raises_errors() -> None:
    """Results come in order; the first function that failed decides, once all have ended."""
    clock, ended = FakeClock(auto=True), list[str]()
    assert clock.run(lambda: clock.sleep(2) or "a", lambda: "b") == ["a", "b"]  # type: ignore[func-returns-value]

    def fails() -> None:
        clock.sleep(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        clock.run(fails, lambda: (clock.sleep(5), ended.append("late")))
    assert ended == ["late"]
    with pytest.raises(RuntimeError, match=r"needs FakeClock\(auto=True\)"):
        FakeClock().run(lambda: None)


def test_run_waits_for_who_works() -> None:
    """Real work of a function that `run` calls holds the time still."""
    clock, began = FakeClock(auto=True), threading.Event()

    def works() -> float:
        began.wait(PATIENCE)
        time.sleep(0.05)
        return clock.elapsed

    def sleeps() -> float:
        began.set()
        clock.sleep(100)
        return clock.elapsed

    assert clock.run(works, sleeps) == [0, 100]


def test_event_loops_in_threads_of_run() -> None:
    """A thread whose event loop waits is one that waits; loops and threads wake in one order."""
    clock, woken = FakeClock(auto=True), list[int]()

    async def tasks(*lengths: int) -> None:
        async def task(seconds: int) -> None:
            await clock.asleep(seconds)
            woken.append(seconds)

        async with anyio.create_task_group() as group:
            for seconds in lengths:
                group.start_soon(task, seconds)

    clock.run(
        lambda: (clock.sleep(10), woken.append(10), clock.sleep(20), woken.append(30)),
        lambda: asyncio.run(tasks(15, 35)),
        lambda: trio.run(tasks, 5, 25),
    )
    assert woken == [5, 10, 15, 25, 30, 35]


@only("httpx")
async def test_a_cancelled_wait_is_gone(world: World) -> None:
    """Cancellation ends a wait at once; the time goes on to the next one."""
    if world.is_sync:
        return
    clock = FakeClock()
    await world.cancelled(lambda: clock.asleep(5), lambda: clock.waiting)
    await world.cancelled(lambda: clock.apark(Waiter(), 5), lambda: clock.waiting)
    assert clock.waiting == 0
    await clock.aadvance(10)
    assert clock.elapsed == 10


async def test_no_wait_is_lost_in_a_crowd(world: World) -> None:
    """Hundreds of waiters, of which some are woken by others: all go on, and none is kept."""
    clock, waiters = FakeClock(auto=True), [Waiter() for _ in range(40)]

    async def wait(number: int) -> bool:
        park = clock.park if world.is_sync else clock.apark
        for _ in range(5):
            if not await world(park, Waiter(), 0.1 * number + 1):
                waiters[-1 - number].wake()
        return bool(await world(park, waiters[number], None))

    if world.is_sync:
        assert all(clock.run(*(lambda number=number: step(wait(number)) for number in range(40))))  # type: ignore[misc]
    else:
        assert all(await world.gather(*(lambda number=number: wait(number) for number in range(40))))  # type: ignore[misc]
    assert clock.waiting == 0


def test_waits_that_are_over_are_not_kept() -> None:
    """A long time-out of a waiter that is woken early leaves nothing behind."""
    clock = FakeClock()

    async def main() -> None:
        for _ in range(1000):
            waiter = Waiter()
            asyncio.get_running_loop().call_soon(waiter.wake)
            assert await clock.apark(waiter, 3600)

    asyncio.run(main())
    gc.collect()
    assert len(clock._waits) <= 101


async def test_woken_between_two_steps(world: World) -> None:
    """A waiter that is woken just as it begins to wait does not wait."""

    class Waking(FakeClock):
        def _enter(self, wait: Any) -> None:
            waiter.wake()
            super()._enter(wait)

    clock, waiter = Waking(), Waiter()
    assert await world(clock.park if world.is_sync else clock.apark, waiter, None)
    assert clock.waiting == 0


# -- what it refuses


@pytest.mark.parametrize(("settings", "told"), [({"auto": 1}, "auto must be True or False"), ({"start": -1}, "start must be a")])
def test_bad_settings(settings: Any, told: str) -> None:
    """Errors name the setting and what is allowed."""
    with pytest.raises((TypeError, ValueError), match=told):
        FakeClock(**settings)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_bad_times(seconds: float) -> None:
    """Time goes forward, by finite steps; a sleep has a length."""
    clock = FakeClock()
    with pytest.raises(ValueError, match="seconds must be"):
        clock.advance(seconds)
    with pytest.raises(ValueError, match="waiting must be a whole number of at least 1, not 0"):
        clock.wait_for(0)
    assert clock.elapsed == 0


def test_sleeps_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the real clocks: nothing is slept for 0 seconds, a negative number is refused in sync code, NaN everywhere."""
    clock = FakeClock()
    clock.sleep(0)
    asyncio.run(clock.asleep(-5))
    assert clock.sleeps == [0, -5]
    with pytest.raises(ValueError, match="seconds must be at least 0, not -5"):
        clock.sleep(-5)
    with pytest.raises(ValueError, match="seconds must be a number, not nan"):
        asyncio.run(clock.asleep(float("nan")))
    assert clock.sleeps == [0, -5]


def test_a_sleep_without_end() -> None:
    """An endless sleep moves no time, and keeps nobody from sleeping."""
    clock = FakeClock(auto=True)
    thread = threading.Thread(target=clock.sleep, args=(float("inf"),), daemon=True)
    thread.start()
    clock.wait_for(1)
    clock.sleep(3)
    assert clock.elapsed == 3
    wait_until(lambda: clock.waiting == 1)
    assert repr(clock) == "<FakeClock: 3 s elapsed, 1 waiting>"
    clock._let_go()

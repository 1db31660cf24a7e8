"""Sleeping and parking by the clock, and waking, in threads, asyncio and trio."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import anyio
import pytest
import trio

from ratewise import Waiter
from ratewise._core.clock import running_trio
from ratewise.testing import FakeClock
from tests.kit.layers import Layer
from tests.kit.patience import PATIENCE
from tests.kit.wire import Scripted
from tests.kit.world import World


async def test_sleep_goes_by_the_clock(world: World, clock: FakeClock) -> None:
    """A layer's waits go through the clock."""

    async def handle(request: Any, call: Any) -> Any:
        await call.sleep(2.5)
        assert call.clock is clock
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle), clock=clock))
    assert clock.sleeps == [2.5]


async def test_the_real_clock_waits(world: World) -> None:
    """The default clock sleeps under sync, asyncio and trio, and returns both times."""

    async def handle(request: Any, call: Any) -> Any:
        before = call.clock.monotonic()
        await call.sleep(0.002)
        assert call.clock.monotonic() >= before + 0.001
        assert call.clock.time() > 1_700_000_000
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle)))


# -- park


async def test_a_waiter_is_woken_by_another(world: World) -> None:
    """One caller parks, and another one's `wake` resumes it."""
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


async def test_trio_before_0_29(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old trio, which shows only by an error that no task of it is running."""
    if hasattr(trio.lowlevel, "in_trio_task"):
        monkeypatch.delattr(trio.lowlevel, "in_trio_task")
    assert (running_trio() is trio) is (world.style == "trio")


def test_where_trio_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trio loaded no task of it is running, and it is not imported."""
    monkeypatch.delitem(sys.modules, "trio")
    assert running_trio() is None
    assert "trio" not in sys.modules


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
    """Without a `wake`, park returns False after the timeout, on the real clock."""

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
    """After the loop of a parked task has ended, `wake` neither raises nor blocks."""
    for run in (asyncio.run, lambda scenario: trio.run(lambda: scenario)):
        waiter = Waiter()
        run(_give_up(waiter))
        waiter.wake()
        assert waiter.woken


async def _give_up(waiter: Waiter) -> None:
    with anyio.move_on_after(0.002):
        await waiter.await_()


def test_waking_in_the_moment_of_giving_up() -> None:
    """asyncio: a wake that arrives after the timeout has resumed the waiter has no effect."""

    async def scenario() -> None:
        waiter = Waiter()
        task = asyncio.ensure_future(waiter.await_(0))
        await asyncio.sleep(0.002)
        waiter.wake()
        await asyncio.sleep(0)
        await task

    asyncio.run(scenario())

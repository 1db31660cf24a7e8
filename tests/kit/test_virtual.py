"""Virtual time: timers, deadlocks and errors, and a rate-limited server behind a wire."""

from __future__ import annotations

import asyncio
import itertools
import selectors
import time
from typing import Any, Callable

import httpx
import pytest

from ratewise import AsyncRetryTransport, RetryConfig, Waiter
from ratewise._core.clock import TimeoutExpired
from ratewise.testing.limits import EPOCH
from tests.kit.styles import styled
from tests.kit.virtual import Deadlock, LimitedWire, VirtualClock, VirtualLoop, drive, run


def test_virtual_time() -> None:
    """Hours of sleeps, sequential and concurrent, and waits on a clock take no real time and end in the right order."""

    async def main() -> list[float]:
        loop, clock, order = asyncio.get_running_loop(), VirtualClock(offset=7), []

        async def sleeper(seconds: float) -> None:
            for _ in range(int(3600 / seconds)):
                await asyncio.sleep(seconds)
                order.append(loop.time())

        await asyncio.gather(*map(sleeper, (3600, 6, 420)))
        assert order == sorted(order)
        assert loop.time() == pytest.approx(3600)
        assert clock.time() == EPOCH + 7 + clock.monotonic() == EPOCH + 7 + loop.time()
        await clock.asleep(900)
        waiter = Waiter()
        assert not await clock.apark(waiter, 900)
        loop.call_later(900, waiter.wake)
        assert await clock.apark(waiter, None)
        with pytest.raises(TimeoutExpired):
            await clock.within(900, asyncio.sleep, 3600)
        return [loop.time()]

    assert run(main(), start=0) == [pytest.approx(7200)]


async def _never() -> None:
    """Wait for an event that nobody sets, with a task that does the same."""
    task = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.sleep(5)
    await task


async def _forever() -> None:
    """Sleep again and again, for ever."""
    for seconds in itertools.repeat(1):
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(("main", "told"), [(_never, "no timer is set"), (_forever, "still not over at second 160")])
def test_deadlocks_are_found(main: Callable[[], Any], told: str) -> None:
    """A wait that cannot end raises Deadlock, as does a coroutine that runs too long; the tasks are cancelled."""
    with pytest.raises(Deadlock, match=told):
        run(main(), start=60, most=100)


def test_an_error_comes_out() -> None:
    """`run` raises the exception of the main coroutine; other tasks are cancelled."""
    ended: list[str] = []

    async def other() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("other")
            raise

    async def main() -> None:
        task = asyncio.ensure_future(other())
        await asyncio.sleep(1)
        assert isinstance(asyncio.get_running_loop(), VirtualLoop)
        raise KeyError(task.done())

    with pytest.raises(KeyError, match="False"):
        run(main())
    assert ended == ["other"]


def test_a_wire() -> None:
    """The server decides after half the latency; the seed determines the jitter."""

    def sent(sheds: float = 0.0, **options: Any) -> Any:
        async def main() -> Any:
            served = styled("window", sheds=sheds, seed=4)
            wire = LimitedWire(served, **options)
            return await drive(wire, 300, 10), wire, served

        return run(main())

    result, wire, served = sent()
    assert result.wall == pytest.approx(0.6)
    assert [round(second, 3) for second, _ in wire.log[::100]] == [0.01, 0.21, 0.41]
    assert (result.statuses, result.lost, result.p99) == ({200: 100, 429: 200}, 200, pytest.approx(0.02))
    assert (served.limit.accepted, served.limit.refused) == (100, 200)
    assert result.efficiency(served.limit) == 0  # the server would have accepted 100 at once

    result, wire, served = sent(sheds=0.3, jitter=0.5, seed=4)
    assert 60 < served.responder.failed == result.statuses[503] < 120
    assert max(result.waits) <= 1.02 + 1e-9
    assert wire.log == sent(sheds=0.3, jitter=0.5, seed=4)[1].log != sent(sheds=0.3, jitter=0.5, seed=5)[1].log


def test_errors_are_kept() -> None:
    """A request that raises does not stop the others."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    result = run(drive(httpx.MockTransport(broken), 30, 4))
    assert [str(error) for error in result.errors] == ["gone"] * 30
    assert (result.lost, len(result.waits)) == (0, 30)


def test_retries_in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute of retries against a window of 100 in 5 s takes no real time; all succeed, within the limit."""
    waits: list[float | None] = []
    select = selectors.DefaultSelector.select

    def selects(self: Any, timeout: float | None = None) -> Any:
        waits.append(timeout)
        return select(self, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", selects)
    monkeypatch.setattr(time, "sleep", waits.append)
    served = styled("window")
    config = RetryConfig(51, budget=False)
    result = run(drive(AsyncRetryTransport(LimitedWire(served), config, clock=VirtualClock())))
    assert set(waits) == {0}
    assert result.statuses == {200: 480}
    assert served.limit.accepted == 480
    assert 0.8 < result.efficiency(served.limit) <= 1

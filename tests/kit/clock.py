"""Clocks that the tests control, and the time-out for waiting on real threads and tasks."""

from __future__ import annotations

import math
import time
from typing import Callable

import anyio

from ratewise._core.clock import Clock, Waiter

PATIENCE = 25.0
"""Seconds after which a test that waits for a real thread or task fails; long enough for a busy machine."""


def wait_until(condition: Callable[[], object]) -> None:
    """Block until a condition on other threads or processes holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "they have not"
        time.sleep(0.001)


class FakeClock(Clock):
    """A clock that advances only when someone waits. `sleeps` lists the sleeps, in order."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await anyio.lowlevel.checkpoint()

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        return super().park(waiter, self._wait(waiter, timeout))

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        return await super().apark(waiter, self._wait(waiter, timeout))

    def _wait(self, waiter: Waiter, timeout: float | None) -> float:
        if timeout is None:
            return PATIENCE
        if not waiter.woken:
            self.now += timeout
        return 0


class StillClock(FakeClock):
    """A clock that advances only when the test moves it: waiters check it every `look` real seconds.

    `parks` lists the time-outs of the waits, in order.
    """

    def __init__(self, look: float = 0.001) -> None:
        super().__init__()
        self.parks: list[float] = []
        self._look = look

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        until = self._until(timeout)
        while not waiter.wait(self._look) and self.now < until:
            pass
        return waiter.woken

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        until = self._until(timeout)
        while not await waiter.await_(self._look) and self.now < until:
            pass
        return waiter.woken

    def _until(self, timeout: float | None) -> float:
        self.parks.append(math.inf if timeout is None else timeout)
        return self.now + self.parks[-1]

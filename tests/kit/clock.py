"""A clock that the tests own, and how long they wait for what is real."""

from __future__ import annotations

import anyio

from ratewise._core.clock import Clock, Waiter

PATIENCE = 5.0
"""Seconds after which a test that waits for a real thread or task has failed."""


class FakeClock(Clock):
    """Time that passes only when someone waits. `sleeps` has the waits, in order."""

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

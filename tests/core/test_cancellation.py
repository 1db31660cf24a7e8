"""Cancellation is deferred where a connection would be lost, and never lost itself."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from ratewise._core.cancellation import MAX_CHECKPOINTS, defer_cancellation


def run(scenario: Any) -> None:
    asyncio.run(scenario())


def cancelled_at_once(work: Any, *message: str) -> None:
    """Run it as a task that is cancelled at its first checkpoint."""

    async def scenario() -> None:
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel(*message)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario)


def test_results_and_errors_pass() -> None:
    """Without a cancellation `defer_cancellation` has no effect, under asyncio and trio."""

    async def good() -> int:
        await anyio.lowlevel.checkpoint()
        await anyio.sleep(0.001)
        return 5

    async def bad() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("x")

    async def scenario() -> None:
        assert await defer_cancellation(good()) == 5
        with pytest.raises(KeyError):
            await defer_cancellation(bad())

    run(scenario)
    trio.run(scenario)


def test_a_bare_checkpoint_is_passed() -> None:
    """Cancelled at `sleep(0)`, the coroutine runs on to its next real wait."""
    log: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        log.append("past the checkpoint")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    cancelled_at_once(lambda: defer_cancellation(work()))
    assert log == ["past the checkpoint", "cancelled"]


def test_with_nothing_more_to_wait_for() -> None:
    """The result is returned, and the task is cancelled once, at its next wait."""
    log: list[Any] = []

    async def work() -> int:
        await asyncio.sleep(0)
        return 5

    async def outer() -> None:
        log.append(await defer_cancellation(work()))
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    cancelled_at_once(outer)
    assert log == [5, "cancelled"]


# Older Pythons have no such time-outs, and their tasks do not count cancellations.
@pytest.mark.skipif(sys.version_info < (3, 11), reason="its subject, asyncio.timeout, came with 3.11")
def test_time_outs_still_know_their_own_cancellation() -> None:
    """asyncio.timeout() counts cancellations: a deferred one counts once."""

    async def work() -> None:
        while True:
            await asyncio.sleep(0)
            if deadline.expired():
                return

    async def late() -> None:
        global deadline
        async with asyncio.timeout(0) as deadline:
            await defer_cancellation(work())
            await asyncio.sleep(10)

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await late()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run(scenario)


deadline: Any = None


def test_the_cancellation_of_a_scope_is_not_deferred() -> None:
    """anyio's own cancellation respects shields, and is not deferred at a bare checkpoint."""
    log: list[str] = []

    async def work() -> None:
        while True:
            await asyncio.sleep(0)
            log.append("round")

    async def scenario() -> None:
        with anyio.CancelScope() as scope:
            asyncio.get_running_loop().call_soon(scope.cancel)
            await defer_cancellation(work())
        assert scope.cancelled_caught

    run(scenario)
    assert len(log) < 10


def test_closing_a_coroutine_that_waits() -> None:
    """A coroutine that is never finished is closed normally."""
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            log.append("closed")

    async def outer() -> None:
        await defer_cancellation(work())

    running = outer()
    running.send(None)
    running.close()
    assert log == ["closed"]


def test_an_error_does_not_swallow_it() -> None:
    """An error after a deferred cancellation is raised unchanged, and the task is cancelled at its next wait."""
    log: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    async def outer() -> None:
        with pytest.raises(KeyError):
            await defer_cancellation(work())
        log.append("failed")
        await asyncio.sleep(10)
        log.append("not cancelled")

    cancelled_at_once(outer, "a message of the user's own")
    assert log == ["failed"]


def test_a_wait_that_cannot_be_cancelled() -> None:
    """If a future is done by the time it is awaited, the cancellation is deferred to the next one."""
    log: list[str] = []

    class Done(asyncio.Future):  # type: ignore[type-arg]
        def cancel(self, msg: Any = None) -> bool:
            return False

    async def work() -> None:
        await asyncio.sleep(0)
        done = Done()
        asyncio.get_running_loop().call_soon(done.set_result, None)
        await done
        log.append("past what was done")
        await asyncio.sleep(10)
        log.append("not cancelled")

    cancelled_at_once(lambda: defer_cancellation(work()))
    assert log == ["past what was done"]


def test_what_never_waits_is_cancelled_all_the_same() -> None:
    """A loop of bare checkpoints is no lock: it is cancelled after a few of them."""
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    cancelled_at_once(lambda: defer_cancellation(work()))
    assert 1 <= rounds <= MAX_CHECKPOINTS

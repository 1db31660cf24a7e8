"""Background work of a request: it outlives the request, and ends with its transport."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

import anyio
import pytest

from ratewise import Waiter
from tests.kit.layers import Layer
from tests.kit.patience import PATIENCE
from tests.kit.wire import Scripted
from tests.kit.world import World


async def test_background_work_goes_on_behind_the_request(world: World) -> None:
    """The response does not wait for it, and it uses the call of the layer."""
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
    assert not transport._runtime.background._jobs


async def test_closing_ends_background_work(world: World) -> None:
    """Closing cancels tasks and waits for them; it waits for a thread."""
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
    """Closing at once leaves no work half done and no coroutine unawaited."""
    if world.is_sync:
        return  # a thread has started by then
    log: list[str] = []

    async def work() -> None:
        log.append("started")
        await anyio.lowlevel.checkpoint()
        log.append("went on")

    transport = world.LayerTransport(Scripted())
    transport._runtime.spawn(work)
    await world.close(transport)
    assert "went on" not in log
    gc.collect()


async def test_failing_background_work_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An error in it affects nothing else; the log has its type, and not its text, which may contain a secret."""

    async def work() -> None:
        raise ValueError("token=hunter2")

    transport = world.LayerTransport(Scripted())
    with caplog.at_level(logging.ERROR, "ratewise"):
        transport._runtime.spawn(work)
        await world.until(lambda: not transport._runtime.background._jobs)
    await world.close(transport)
    assert [record.getMessage() for record in caplog.records] == ["Background work failed: ValueError"]


def test_background_work_of_a_loop_that_is_over() -> None:
    """A client used in one `asyncio.run` and closed in another does not wait for work that ended with the first."""
    from ratewise._core.background import Background

    background = Background()

    async def start() -> None:
        background.spawn_task(lambda: asyncio.sleep(PATIENCE * 10))
        job = next(iter(background._jobs))
        background._jobs.add(job._replace(finished=Waiter()))  # as of work whose end was never reported

    asyncio.run(start())
    assert background._jobs
    asyncio.run(background.aclose())
    assert not background._jobs

"""Coroutines in the sync world: they are stepped to their end, and never wait for anything else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ratewise._core.step import step
from tests.kit.layers import Layer
from tests.kit.wire import Scripted
from tests.kit.world import World, only


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


def test_step_hands_on_what_a_coroutine_raises() -> None:
    """`step` is transparent to results and errors."""

    async def result() -> int:
        return 5

    async def error() -> None:
        raise KeyError("x")

    assert step(result()) == 5
    with pytest.raises(KeyError):
        step(error())

"""Coroutines under a sync transport: they run to their end without suspending."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
import trio

from ratewise._core.step import step
from tests.kit.layers import Layer
from tests.kit.wire import Scripted
from tests.kit.world import World, only

SAID = "which cannot work in a sync transport: wait with call.sleep() or call.park(), and do I/O with call.via()"


class Waiting:
    """A layer that waits for an event loop."""

    def __init__(self, wait: Any) -> None:
        self.wait = wait
        self.log: list[str] = []

    async def handle(self, request: Any, call: Any) -> Any:
        try:
            await self.wait()
        finally:
            self.log.append("closed")


class Ready:
    """Something awaitable of one's own."""

    def __await__(self) -> Any:
        yield


async def ready() -> None:
    await Ready()


@pytest.mark.parametrize(
    ("wait", "awaited"),
    [
        (lambda: asyncio.sleep(0), " (asyncio.sleep)"),  # which yields to the loop
        (lambda: asyncio.sleep(1), " (asyncio.sleep)"),  # which looks for it
        (lambda: anyio.sleep(1), " (anyio.sleep)"),
        (lambda: trio.sleep(1), " (trio.sleep)"),  # noqa: ASYNC105  (awaited there)
        (ready, " (tests.ready)"),
        (Ready, ""),
    ],
)
@pytest.mark.parametrize("retried", [True, False])
@only("sync")
async def test_awaiting_something_else_in_sync(world: World, wait: Any, awaited: str, retried: bool) -> None:
    """The error names the layer and what it awaited, and says how to wait; the layer is closed."""
    layer = Waiting(wait)
    transport = world.LayerTransport(Scripted(200), layer)
    if retried:
        transport = world.RetryTransport(transport)
    with pytest.raises(RuntimeError) as raised:
        await world.send(transport)
    assert str(raised.value) == f"Waiting.handle awaited something that `call` did not provide{awaited}, {SAID}"
    assert layer.log == ["closed"]


@only("sync")
async def test_a_layer_without_a_name(world: World) -> None:
    """Of one that is made of a function, the class is not known."""

    async def handle(request: Any, call: Any) -> Any:
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match=r"^a layer awaited something that `call` did not provide \(asyncio\.sleep\), which"):
        await world.send(world.LayerTransport(Scripted(200), Layer(handle)))


def test_step_hands_on_what_a_coroutine_raises() -> None:
    """`step` passes results and errors on."""

    async def result() -> int:
        return 5

    async def error() -> None:
        raise KeyError("x")

    async def other() -> None:
        raise RuntimeError("of the user's own")

    assert step(result()) == 5
    with pytest.raises(KeyError):
        step(error())
    with pytest.raises(RuntimeError, match=r"^of the user's own$"):
        step(other())

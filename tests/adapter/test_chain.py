"""The chain of a transport: the order of its layers, what closing it closes, and what may be in it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from ratewise import Exchange, LayerTransport
from ratewise.testing import FakeClock
from tests.kit.layers import Layer
from tests.kit.wire import Scripted
from tests.kit.world import World


def marking(name: str, log: list[str]) -> Layer:
    async def handle(request: Any, call: Any) -> Any:
        log.append(f"{name} in")
        try:
            return await call.send(request)
        finally:
            log.append(f"{name} out")

    return Layer(handle)


async def test_layers_run_outermost_first(world: World) -> None:
    """The first layer sees the request first and the response last."""
    log: list[str] = []
    transport = world.LayerTransport(Scripted(200), marking("a", log), marking("b", log))
    assert (await world.send(transport)).status_code == 200
    assert log == ["a in", "b in", "b out", "a out"]


async def test_errors_pass_the_layers(world: World) -> None:
    """An exception of the wire passes all layers unchanged."""
    error = world.httpx.ConnectError("no")
    log: list[str] = []
    with pytest.raises(world.httpx.ConnectError) as raised:
        await world.send(world.LayerTransport(Scripted(error), marking("a", log)))
    assert raised.value is error
    assert log == ["a in", "a out"]


async def test_a_chain_is_taken_over(world: World) -> None:
    """A RateWise transport around another one has one chain and one Exchange."""
    log: list[str] = []
    wire = Scripted(200)
    inner = world.LayerTransport(wire, marking("b", log))
    outer = world.LayerTransport(inner, marking("a", log))
    inner._send = None  # the inner transport's own chain must not be used
    await world.send(outer)
    assert log == ["a in", "b in", "b out", "a out"]
    assert repr(outer) == f"<{type(outer).__name__}: Layer > Layer > Scripted>"


async def test_a_subclass_is_nested(world: World) -> None:
    """What a user's subclass adds to handle_request is not lost."""
    log: list[str] = []

    class Mine(world.LayerTransport):  # type: ignore[misc, name-defined]
        def handle_request(self, request: Any) -> Any:
            log.append("mine")
            return super().handle_request(request)

        def handle_async_request(self, request: Any) -> Any:
            log.append("mine")
            return super().handle_async_request(request)

    transport = world.LayerTransport(Mine(Scripted(200), marking("b", log)), marking("a", log))
    result = await world.send(transport)
    assert log == ["a in", "mine", "b in", "b out", "a out"]
    assert isinstance(result.extensions["ratewise"], Exchange)


async def test_the_clock_comes_with_the_chain(world: World, clock: FakeClock) -> None:
    """An outer transport uses the clock of the chain that it takes over, unless it has its own."""
    inner = world.LayerTransport(Scripted(), clock=clock)
    assert world.LayerTransport(inner)._clock is clock
    mine = FakeClock(auto=True)
    assert world.LayerTransport(inner, clock=mine)._clock is mine


async def test_closing_goes_through_what_was_given(world: World) -> None:
    """Entering and closing reach the given transport, whose chain was taken over, and the wire behind it."""
    wire = Scripted(200)
    closed: list[str] = []
    inner = world.LayerTransport(wire)
    inner._runtime.background = Watched(closed, world)
    outer = world.LayerTransport(inner)
    async with world.within(outer) as entered:
        assert entered is outer
        await world.send(outer)
    assert wire.events == ["entered", "exited"]
    assert closed == ["background"]
    await world.close(outer)
    assert wire.events == ["entered", "exited", "closed"]


class Watched:
    """A stand-in for a transport's background work that records when it is closed."""

    def __init__(self, log: list[str], world: World) -> None:
        self.log = log

    def close(self) -> None:
        self.log.append("background")

    async def aclose(self) -> None:
        self.close()


async def test_the_method_of_the_wire_is_looked_up_at_each_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock that patches a transport's class after the stack was built is called."""
    transport = world.RateWiseTransport()
    mock = Scripted(204)
    method = "handle_request" if world.is_sync else "handle_async_request"
    monkeypatch.setattr(world.HTTPTransport, method, lambda self, request: getattr(mock, method)(request))
    assert (await world.send(transport)).status_code == 204
    await world.close(transport)


async def test_via_takes_the_function_of_its_world(world: World) -> None:
    """`call.via` runs the first of a pair in sync, the second in asyncio and trio, with the arguments."""

    def sync(x: int, *, y: int) -> Any:
        return "sync", x, y

    async def asynchronous(x: int, *, y: int) -> Any:
        await anyio.lowlevel.checkpoint()
        return "async", x, y

    seen = []

    async def handle(request: Any, call: Any) -> Any:
        seen.append(await call.via(sync, asynchronous, 1, y=2))
        return await call.send(request)

    await world.send(world.LayerTransport(Scripted(200), Layer(handle)))
    assert seen == [("sync" if world.is_sync else "async", 1, 2)]


# -- construction


@pytest.mark.parametrize("wrong", [None, object(), Layer, "layer"])
def test_a_layer_must_be_one(wrong: Any) -> None:
    """An object without `handle`, and a class in place of an instance, is refused at construction."""
    with pytest.raises(TypeError, match="layer must be an object with `async def handle"):
        LayerTransport(Scripted(), wrong)


class BaseTransport:
    """Of an unknown library."""

    def handle_request(self, request: Any) -> Any: ...


@pytest.mark.parametrize("wrong", [None, 5, httpx.Client, httpx.HTTPTransport, object(), BaseTransport()])
def test_a_transport_must_be_one(wrong: Any) -> None:
    """Anything but a transport is refused at construction."""
    with pytest.raises(TypeError, match="transport must be an httpx"):
        LayerTransport(wrong)


async def test_a_transport_of_the_other_world_is_refused(world: World) -> None:
    """A sync transport in an async wrapper, or the reverse, is refused at construction."""
    wrong = world.httpx.AsyncHTTPTransport if world.is_sync else world.httpx.HTTPTransport
    base = f"{world.httpx.__name__}.{world.BaseTransport.__name__}"
    with pytest.raises(TypeError, match=rf"transport must be an {base} \(sync transports go into the sync classes"):
        world.LayerTransport(wrong())


async def test_a_transport_by_its_method_is_taken(world: World) -> None:
    """An object that has only the method, as some mocks, is accepted."""

    class Duck:
        handle_request = Scripted(200).handle_request
        handle_async_request = Scripted(200).handle_async_request

    assert (await world.send(world.LayerTransport(Duck()))).status_code == 200


async def test_retrying_twice_is_warned_of(world: World) -> None:
    """A stack with two retry layers warns when it is built, at the line that builds it."""
    with pytest.warns(UserWarning, match="retries twice") as warned:
        world.RetryTransport(world.RetryTransport(Scripted()))
    assert warned[0].filename == __file__

"""The Exchange: what a call and its layers tell of a request."""

from __future__ import annotations

import inspect
import pickle
import threading
from typing import Any

import httpx
import pytest

import ratewise
from ratewise import Exchange, RetryConfig, exchange_of
from ratewise._core.call_state import CallState
from ratewise.testing import FakeClock
from tests.kit.layers import Layer
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World


async def test_the_exchange_of_a_call(world: World) -> None:
    """Layers find it in the request, the caller in the response; sent again, the request begins another call."""
    seen: list[Any] = []

    async def handle(request: Any, call: Any) -> Any:
        seen.append(request.extensions["ratewise"])
        return await call.send(request)

    options = ratewise.options(max_attempts=2)
    for extensions in ({"timeout": {}}, {"timeout": {}, **options}):
        request = world.httpx.Request("GET", "https://api.example.com", extensions=extensions)
        result = await world.send(world.LayerTransport(Scripted(200), Layer(handle)), request=request)
        assert result.extensions["ratewise"] is exchange_of(result) is seen[-1]
        assert exchange_of(request) is seen[-1]
        assert extensions == {"timeout": {}, **(options if options.keys() <= extensions.keys() else {})}
        await world.send(world.LayerTransport(Scripted(200), Layer(handle)), request=request)
        assert seen.pop() is not seen[-1]
    assert isinstance(seen[0], Exchange)
    assert seen[0] is not seen[1]
    assert seen[0].streamed
    assert "attempts=1" in repr(seen[0])


async def test_the_exchange_of_a_failure(world: World) -> None:
    """Also when the call raises, the error has it, and the request sent again begins another call."""
    request = world.httpx.Request("GET", "https://api.example.com", extensions={"timeout": {}})
    with pytest.raises(world.httpx.ConnectError) as raised:
        await world.send(world.RetryTransport(Scripted(world.httpx.ConnectError("no")), RetryConfig(1)), request=request)
    assert exchange_of(raised.value).attempts == 1
    await world.send(world.RetryTransport(Scripted(200)), request=request)
    assert exchange_of(request) is not exchange_of(raised.value)


async def test_a_body_that_breaks_off(world: World) -> None:
    """An error in the middle of a streamed body belongs to its call, in a client and under a bare transport."""

    def broken() -> Scripted:
        return Scripted(response(200, body=Body(b"abc", error=failing("ReadError"))))

    client = world.RateWiseClient("https://api.example.com", transport=broken())
    async with world.within(client.stream("GET", "/")) as streamed:
        with pytest.raises(world.httpx.ReadError) as raised:
            await world.read(streamed)
    assert exchange_of(raised.value) is exchange_of(streamed)
    plain = (world.httpx.Client if world.is_sync else world.httpx.AsyncClient)(transport=world.RetryTransport(broken()))
    with pytest.raises(world.httpx.ReadError) as raised:
        await world(plain.get, "https://api.example.com")
    assert exchange_of(raised.value).attempts == 1


async def test_the_exchange_of_a_status(world: World) -> None:
    """`raise_for_status()` raises an error that belongs to the call of its response."""
    client = world.RateWiseClient("https://api.example.com", transport=Scripted(404))
    answer = await world(client.get, "/")
    with pytest.raises(world.httpx.HTTPStatusError) as raised:
        answer.raise_for_status()
    assert exchange_of(raised.value) is exchange_of(answer)


async def test_a_request_left_by_a_call(world: World) -> None:
    """Sent again without RateWise, what a request was part of is not what its new response came of."""
    request = world.httpx.Request("GET", "https://api.example.com")
    await world.send(world.LayerTransport(Scripted(200)), request=request)
    plain = (world.httpx.Client if world.is_sync else world.httpx.AsyncClient)(transport=Scripted(200))
    with pytest.raises(LookupError):
        exchange_of(await world(plain.send, request))


def test_it_is_read_only() -> None:
    """Users see what happened, and change none of it."""
    exchange = Exchange()
    assert repr(exchange) == "<Exchange attempts=0 history=[]>"
    for name in (name for name in dir(exchange) if not name.startswith("_")):
        assert inspect.getdoc(getattr(type(exchange), name))
        assert getattr(exchange, name) in (0, None, (), [], True, exchange.id)
        with pytest.raises(AttributeError):
            setattr(exchange, name, 7)
    with pytest.raises(AttributeError):
        exchange.other = 7  # type: ignore[attr-defined]


def test_it_outlives_its_process() -> None:
    """An exception that goes to another process takes along what happened, and leaves what was for this one."""
    state = CallState()
    state.attempts, state.permit = 3, threading.Lock()
    found = pickle.loads(pickle.dumps(Exchange(state)))
    assert (found.attempts, found.id) == (3, state.id)


def test_what_has_no_exchange() -> None:
    """Responses and errors that came another way are told apart."""
    for other in (httpx.Response(200), httpx.ConnectError("no"), None):
        with pytest.raises(LookupError, match="did not come through a RateWise transport"):
            exchange_of(other)


async def test_options_must_be_options(world: World) -> None:
    """`extensions={"ratewise": ...}` of the user's own making is refused with the way to do it."""
    with pytest.raises(TypeError, match=r"ratewise\.options"):
        await world.send(world.LayerTransport(Scripted()), extensions={"ratewise": {"retry": False}})


async def test_a_layer_that_drops_the_exchange(world: World) -> None:
    """A request that a layer made by itself carries none: the layers below make do with a new one."""

    async def handle(request: Any, call: Any) -> Any:
        return await call.send(world.httpx.Request("GET", "https://api.example.com/other"))

    wire = Scripted(503, 200)
    transport = world.LayerTransport(world.RetryTransport(wire, clock=FakeClock(auto=True)), Layer(handle))
    result = await world.send(transport)
    assert result.status_code == 200
    assert len(wire.sent) == 2

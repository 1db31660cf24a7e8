"""A transport in a client of the other library, or a sync one in an async client, names the class to use instead."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import httpx2
import pytest

import ratewise
import ratewise.httpx2
from ratewise import RateWiseTransport
from tests.kit.world import World

NAMES = [name.removeprefix("Async") for name in ratewise.__all__ if name.startswith("Async") and name.endswith("Transport")]
OTHER = {httpx: (httpx2, "httpx2", "ratewise.httpx2"), httpx2: (httpx, "httpx", "ratewise")}


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_of_the_other_library(world: World, name: str) -> None:
    """The first request raises."""
    prefix = "" if world.is_sync else "Async"
    library, its_name, place = OTHER[world.httpx]
    transport = getattr(world.ratewise, prefix + name)(getattr(world.httpx, f"{prefix}HTTPTransport")())
    client = getattr(library, f"{prefix}Client")(transport=transport)
    said = f"this {prefix}{name} handles {world.httpx.__name__} requests, not {its_name} ones"
    with pytest.raises(TypeError) as raised:
        await world(client.get, "https://api.example.com")
    assert str(raised.value) == f"{said}: use the {prefix}{name} of `{place}`"
    await world.close(client)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("package", [ratewise, ratewise.httpx2])
def test_a_sync_transport_in_an_async_client(name: str, package: Any) -> None:
    """On entering the client, at the first request, and on closing it."""
    library = httpx if package is ratewise else httpx2
    transport = getattr(package, name)(library.HTTPTransport())
    client = library.AsyncClient(transport=transport)
    assert not any(hasattr(transport, wrong) for wrong in ("handle_async_request", "__aenter__", "aclose", "anything_else"))
    for step in (client.get("https://api.example.com"), client.aclose()):
        with pytest.raises(TypeError, match=f"^{name} is a sync transport: use Async{name} in an AsyncClient$"):
            step.send(None)
    with pytest.raises(TypeError, match=f"use Async{name} in an AsyncClient$"):
        library.AsyncClient(transport=transport).__aenter__().send(None)
    transport.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("package", [ratewise, ratewise.httpx2])
def test_an_async_transport_in_a_sync_client(name: str, package: Any) -> None:
    """On entering the client, at the first request, and on closing it."""
    library = httpx if package is ratewise else httpx2
    transport = getattr(package, f"Async{name}")(library.AsyncHTTPTransport())
    assert not any(hasattr(transport, wrong) for wrong in ("handle_request", "__enter__", "close", "anything_else"))
    client = library.Client(transport=transport)
    for step in (lambda: client.get("https://api.example.com"), client.close):
        with pytest.raises(TypeError, match=f"^Async{name} is an async transport: use {name} in a Client$"):
            step()
    with pytest.raises(TypeError, match=f"use {name} in a Client$"), library.Client(transport=transport):
        pass


def test_a_class_of_the_users_own() -> None:
    """The error of a user's subclass names the RateWise class; a subclass of Request is accepted."""

    class Mine(RateWiseTransport):
        pass

    class Request(httpx.Request):
        pass

    transport = Mine(httpx.MockTransport(lambda request: httpx.Response(200)))
    assert transport.handle_request(Request("GET", "https://x")).status_code == 200
    with pytest.raises(TypeError, match=r"^this RateWiseTransport handles httpx requests, not a str$"):
        transport.handle_request("https://x")  # type: ignore[arg-type]


def test_a_class_for_both_worlds() -> None:
    """A user's class that is both sync and async works in both clients."""

    class Both(RateWiseTransport, httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(201)

    async def scenario() -> int:
        async with httpx.AsyncClient(transport=Both(httpx.MockTransport(lambda request: httpx.Response(200)))) as client:
            return (await client.get("https://x")).status_code

    assert anyio.run(scenario) == 201

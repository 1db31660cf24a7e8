"""What a layer of the user's own returns."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest

from ratewise import RetryLayer
from tests.kit.wire import Scripted
from tests.kit.world import World


class Forgetful:
    """A layer that forgets to return the response, or returns something else."""

    def __init__(self, returned: Any = None) -> None:
        self.returned = returned

    async def handle(self, request: Any, call: Any) -> Any:
        await call.send(request)
        return self.returned


@pytest.mark.parametrize(("returned", "shown"), [(None, "None"), ("hunter2", "an object of type str")])
@pytest.mark.parametrize("place", [0, 1])
async def test_what_is_no_response(world: World, returned: Any, shown: str, place: int) -> None:
    """The error names the layer and what it has to return, wherever in the stack the layer is."""
    layers: list[Any] = [RetryLayer()]
    layers.insert(place, Forgetful(returned))
    with pytest.raises(TypeError) as raised:
        await world.send(world.LayerTransport(Scripted(200), *layers))
    wanted = f"it must return an {world.httpx.__name__}.Response, such as that of `await call.send(request)`"
    assert str(raised.value) == f"Forgetful.handle returned {shown}: {wanted}"


async def test_a_response_of_another_library(world: World) -> None:
    """It is refused where it comes from; a subclass of the library's own is in order."""

    class Other:
        status_code = 200

    own, other = world.httpx.__name__, httpx if world.httpx is httpx2 else httpx2
    for returned, shown in ((other.Response(200), f"{other.__name__}.Response"), (Other(), "tests.Other")):
        with pytest.raises(TypeError) as raised:
            await world.send(world.LayerTransport(Scripted(200), Forgetful(returned)))
        said = f"returned an object of type {shown}: it must return an {own}.Response, such as that of"
        assert str(raised.value) == f"Forgetful.handle {said} `await call.send(request)`"
    mine = type("Mine", (world.httpx.Response,), {})(201)
    assert (await world.send(world.LayerTransport(Scripted(200), Forgetful(mine)))).status_code == 201


@pytest.mark.parametrize("place", [0, 1])
async def test_a_plain_function(world: World, place: int) -> None:
    """It may return what `call.send` gives it, but nothing that cannot be awaited."""

    class Plain:
        def __init__(self, returned: Any = None) -> None:
            self.returned = returned

        def handle(self, request: Any, call: Any) -> Any:
            return call.send(request) if self.returned is None else self.returned

    def transport(layer: Any) -> Any:
        layers: list[Any] = [RetryLayer()]
        layers.insert(place, layer)
        return world.LayerTransport(Scripted(200), *layers)

    assert (await world.send(transport(Plain()))).status_code == 200
    wanted = "it must be a coroutine function: async def handle(self, request, call)"
    for returned, shown in ((world.httpx.Response(200), f"{world.httpx.__name__}.Response"), ("hunter2", "str")):
        with pytest.raises(TypeError) as raised:
            await world.send(transport(Plain(returned)))
        assert str(raised.value) == f"Plain.handle returned an object of type {shown}, which cannot be awaited: {wanted}"


async def test_its_own_type_error(world: World) -> None:
    """That of the layer's own code is left as it is."""

    class Mistaken:
        async def handle(self, request: Any, call: Any) -> Any:
            raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        await world.send(world.LayerTransport(Scripted(200), Mistaken()))

"""What a layer of the user's own returns."""

from __future__ import annotations

from typing import Any

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
    wanted = "it must return a response, such as that of `await call.send(request)`"
    assert str(raised.value) == f"Forgetful.handle returned {shown}: {wanted}"

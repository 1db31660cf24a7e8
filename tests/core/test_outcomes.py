"""What came of an attempt, as any layer may ask of it."""

from __future__ import annotations

from typing import Any

from ratewise._core.exchange import state_of
from ratewise._core.outcomes import outcome_of, read_outcome_of
from ratewise._http.throttling import Kind
from tests.kit.credit import SPENT
from tests.kit.layers import Layer
from tests.kit.wire import Scripted, response
from tests.kit.world import World


async def test_spent(world: World) -> None:
    """Any layer may ask, in any world, more than once: of a 429, and of nothing else."""
    for status, body, expected in ((429, SPENT, True), (429, b"no", False), (200, SPENT, False), (403, SPENT, False)):
        said: list[bool] = []

        async def handle(request: Any, call: Any, said: list[bool] = said) -> Any:
            result = await call.send(request)
            state = state_of(request)
            outcomes = [await read_outcome_of(result, request, state, call), outcome_of(result, state, call)]
            said += [outcome.kind is Kind.SPENT for outcome in outcomes]
            return result

        wire = Scripted(response(status, body=body))
        result = await world.send(world.LayerTransport(wire, Layer(handle)))
        assert said == [expected] * 2
        assert wire.bodies[0].read == (len(body) if status == 429 else 0)
        assert await world.read(result) == body

"""The bulkhead's table of keys, and its settings."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ratewise import Bulkhead, BulkheadLayer, Clock
from ratewise._core import admission
from tests.bulkhead.bulkheads import client, entered, transport
from tests.kit.wire import Scripted
from tests.kit.world import World


def test_the_table_is_bounded() -> None:
    """1000 keys are kept, and a key in use is never forgotten: its limit holds, however many others come."""
    bulkhead = Bulkhead(1, max_queue=1)
    for _ in range(2):
        entered(bulkhead, "busy")
    for number in range(3 * admission.MAX_KEYS):
        bulkhead._queue.leave(entered(bulkhead, number), 0)
    assert len(bulkhead._queue.states) == 1000
    assert bulkhead._enter("busy", 0) is None
    assert bulkhead.get_state() == bulkhead.get_state("busy") == {"in_flight": 1, "waiting": 1}


@pytest.mark.parametrize(
    ("setting", "allowed", "wrong"),
    [
        ("max_in_flight", "a whole number of at least 1", [0, -1, True, 1.0, "1", None, float("nan"), float("inf")]),
        ("max_queue", "a whole number of at least 0", [-1, False, 1.0, "1", None, float("nan"), float("inf")]),
        ("max_wait", "a finite number of seconds above 0", [0, -1, True, "1", None, float("nan"), float("inf"), 10**400]),
        ("key", "a plain function of the request, also in async code", [5, "host", anyio.sleep]),
    ],
)
def test_bad_values(setting: str, allowed: str, wrong: list[Any]) -> None:
    """An invalid setting is refused at construction; the error has its name, its value and what is allowed."""
    for value in wrong:
        with pytest.raises((TypeError, ValueError)) as raised:
            Bulkhead(**{setting: value})
        assert str(raised.value) == f"{setting} must be {allowed}, not {value!r}"


async def test_the_longest_wait(world: World) -> None:
    """Any valid max_wait can be waited for, even many years."""
    bulkhead = Bulkhead(1, max_wait=1e12)
    first = entered(bulkhead)

    async def leave() -> None:
        await world.until(lambda: bulkhead.get_state() == {"in_flight": 1, "waiting": 1})
        bulkhead._queue.leave(first, Clock().monotonic())

    answer, _ = await world.gather(lambda: world.send(transport(world, Scripted(200), bulkhead)), leave)
    assert answer.status_code == 200


async def test_a_bulkhead_must_be_one(world: World) -> None:
    """Transports, stacks and clients take one; a transport without one makes its own. No repr shows anything of a request."""
    for make in (lambda: transport(world, bulkhead=5), lambda: client(world, None, 5), lambda: BulkheadLayer(False)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="bulkhead must be a Bulkhead, not"):
            make()
    async with world.within(transport(world)) as subject:
        assert repr(subject) == f"<{type(subject).__name__}: BulkheadLayer > {world.HTTPTransport.__name__}>"
    bulkhead = Bulkhead(2, max_queue=3, max_wait=4)
    entered(bulkhead, "hunter2")
    assert repr(BulkheadLayer(bulkhead)) == "BulkheadLayer(Bulkhead(max_in_flight=2, max_queue=3, max_wait=4))"

"""Tables that forget what is idle: in whatever order keys are asked for, and whatever is idle."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ratewise._util.bounded_table import Table

MOST = 4


class Thing:
    """An entry that is idle unless it is held; each question counts."""

    def __init__(self, key: object) -> None:
        self.key, self.held = key, False

    def idle(self, now: float) -> bool:
        assert now == 7.0
        return not self.held


@given(st.lists(st.tuples(st.sampled_from(["use", "hold", "release"]), st.integers(0, 9)), max_size=60))
def test_what_is_held_stays(steps: list[tuple[str, int]]) -> None:
    """The table never grows beyond its bound; an entry that is held is never forgotten, nor made twice."""
    table = Table(Thing, MOST, SimpleNamespace(monotonic=lambda: 7.0))
    held: dict[int, Thing] = {}
    for step, key in steps:
        thing = table[key]
        assert thing.key == key
        if key in held:
            assert thing is held[key]
        if step == "hold" and key in table:
            thing.held, held[key] = True, thing
        if step == "release":
            thing.held = False
            held.pop(key, None)
        assert len(table) <= MOST
        assert all(table.get(each) is one for each, one in held.items())
        assert key in table or len(held) == MOST

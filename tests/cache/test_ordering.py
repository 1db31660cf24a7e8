"""The order of events for a key, and how many of them are remembered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ratewise.cache.ordering import MAX_RECENT_KEYS, Recent, RequestOrder


def test_what_is_remembered_is_bounded() -> None:
    """The record is bounded; a forgotten event is treated as the safe assumption requires."""
    recent = Recent()
    for number in range(1002):
        recent.note(number, float(number))
    assert recent.since(500, 500.0)
    assert not recent.since(500, 501.0)
    assert recent.since("never seen", 1.0)
    assert not recent.since("never seen", 1.5)
    assert not recent.known_since("never seen", 0.0)
    assert recent.known_since(1001, 1001.0)
    recent.note_all(5000.0)
    assert recent
    assert recent.since(1001, 5000.0)
    assert not recent.known_since(1001, 0.0)
    recent.note(1, 6000.0)
    recent.forget(1)
    assert recent.since(1, 5000.0)
    assert not Recent()


def test_order() -> None:
    """The answer to the request that was begun last wins, in whatever order the answers arrive."""
    order = RequestOrder()
    first, second, third = (order.begin() for _ in range(3))
    order.answered("key", second)
    order.answered("key", first)
    assert [order.superseded("key", number) for number in (first, second, third)] == [True, False, False]
    order.invalidated("key")
    assert order.superseded("key", third)
    assert not order.superseded("other", first)
    looked = order.begin()
    assert not order.changed_since("key", looked)
    now = order.changed("key")
    assert order.changed_since("key", looked)
    assert not order.changed_since("key", now)


@given(st.lists(st.tuples(st.sampled_from(["note", "note", "forget", "all", "many"]), st.integers(0, 3)), max_size=20))
def test_nothing_recent_is_missed(steps: list[tuple[str, int]]) -> None:
    """`since` never says no to an event that happened, and `known_since` never yes to one that did not."""
    recent, events, now = Recent(), dict[object, float](), 0.0
    for step, key in steps:
        now += 1.0
        if step == "note":
            recent.note(key, now)
            events[key] = now
        elif step == "forget":
            assert recent.forget(key) in (None, events.pop(key, None))
        elif step == "all":
            recent.note_all(now)
            events = dict.fromkeys(range(4), now)
        else:  # the others are forgotten
            for other in range(MAX_RECENT_KEYS):
                recent.note(f"{now} {other}", now)
        assert len(recent.times) <= MAX_RECENT_KEYS
        for each in range(4):
            happened = events.get(each)
            assert happened is None or recent.since(each, happened)
            assert not recent.known_since(each, 0.0 if happened is None else happened + 0.5)

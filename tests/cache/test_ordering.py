"""The order of events for a key, and how many of them are remembered."""

from __future__ import annotations

from ratewise.cache.ordering import Recent, RequestOrder


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

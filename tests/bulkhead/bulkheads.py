"""Helpers: bulkheads around a wire, and tickets for their slots."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from ratewise import Bulkhead
from tests.kit.world import World

URL = "https://api.example.com/"
ORIGIN = ("https", "api.example.com", None)
EMPTY = {"in_flight": 0, "waiting": 0}
ONE = {"in_flight": 1, "waiting": 0}


def transport(world: World, *args: Any, **kwargs: Any) -> Any:
    return getattr(world.ratewise, "BulkheadTransport" if world.is_sync else "AsyncBulkheadTransport")(*args, **kwargs)


def client(world: World, wire: Any, bulkhead: Any, **settings: Any) -> Any:
    return world.RateWiseClient(URL, transport=wire, bulkhead=bulkhead, **settings)


def entered(bulkhead: Bulkhead, key: Any = ORIGIN, now: float = 0) -> Any:
    """Return a ticket, admitted or queued, that is held as long as the bulkhead exists."""
    ticket = bulkhead._enter(key, now)
    assert ticket is not None
    _HELD.setdefault(bulkhead, []).append(ticket)
    return ticket


_HELD: WeakKeyDictionary[Bulkhead, list[Any]] = WeakKeyDictionary()

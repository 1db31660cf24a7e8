"""The bulkhead around a transport."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from typing import Any

from .._core.admission import Held, Place, wait_turn
from .._core.exchange import Exchange
from .._core.order import Kind, Ordered
from .._validation import refusal
from ..layer import Call, Q, R
from .bulkhead import Bulkhead

logger = logging.getLogger("ratewise")

LONG = 1.0
"""Seconds of waiting that are worth a line in the log."""


class BulkheadLayer(Ordered):
    """Sends a request when it has a place in the bulkhead, and holds the place until the response's body is closed."""

    kind: Kind | None = "bulkhead"

    def __init__(self, bulkhead: Bulkhead | None = None) -> None:
        if bulkhead is not None and not isinstance(bulkhead, Bulkhead):
            raise TypeError(refusal("bulkhead", bulkhead, "a Bulkhead"))
        self.bulkhead = bulkhead or Bulkhead()

    def __repr__(self) -> str:
        return f"BulkheadLayer({self.bulkhead!r})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request as soon as there is room for it, or raise `BulkheadFull`."""
        bulkhead, http = self.bulkhead, call.http
        key = http.origin(request) if bulkhead.key is None else bulkhead.key(request)
        place = bulkhead.enter(key, call.clock.monotonic())
        if place is None:
            raise http.BulkheadFull(request, Exchange.of(request.extensions), key, bulkhead.max_in_flight, 0.0)
        try:
            if not place.inside:
                await self._wait(place, key, request, call)
            response = await call.send(request)
        except BaseException:
            bulkhead.queue.leave(place, call.clock.monotonic())
            raise
        if http.in_memory(response):
            bulkhead.queue.leave(place, call.clock.monotonic())
            return response
        return http.tap(response, Held(bulkhead.queue, place, call.clock))

    async def _wait(self, place: Place, key: Hashable, request: Any, call: Call[Any, Any]) -> None:
        """Until it is inside."""
        bulkhead, clock = self.bulkhead, call.clock
        exchange = Exchange.of(request.extensions)
        deadline = math.inf if exchange.deadline is None else exchange.deadline
        begun = clock.monotonic()
        try:
            now = await wait_turn(bulkhead.queue, place, min(begun + bulkhead.max_wait, deadline), call)
        finally:
            exchange.queued_until = clock.monotonic()
        if not place.inside and now >= deadline:
            raise call.http.DeadlineExceeded(request, exchange)
        if not place.inside:
            raise call.http.BulkheadFull(request, exchange, key, bulkhead.max_in_flight, now - begun)
        if now - begun >= LONG:
            waited, places, shown = now - begun, bulkhead.max_in_flight, exchange.redactor.key(key)
            logger.warning("Bulkhead: waited %.3g s for one of %d places to %s", waited, places, shown, extra=exchange.told)

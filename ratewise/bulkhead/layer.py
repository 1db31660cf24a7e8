"""The bulkhead as a layer around a transport."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from typing import Any

from .._core.admission import HeldTicket, wait_turn
from .._core.call_state import CallState
from .._core.exchange import state_of
from .._core.key_state import Ticket
from .._core.order import LayerKind, Ordered
from .._core.own_clock import OwnClock
from .._validation import refusal
from ..layer import Call, Q, R
from .bulkhead import Bulkhead

logger = logging.getLogger("ratewise")


class BulkheadLayer(Ordered):
    """Sends a request when it has a slot of the bulkhead, and holds the slot until the response's body is closed."""

    _kind: LayerKind | None = "bulkhead"

    def __init__(self, bulkhead: Bulkhead | None = None) -> None:
        if bulkhead is not None and not isinstance(bulkhead, Bulkhead):
            raise TypeError(refusal("bulkhead", bulkhead, "a Bulkhead"))
        self.bulkhead = bulkhead or Bulkhead()

    def __repr__(self) -> str:
        return f"BulkheadLayer({self.bulkhead!r})"

    @property
    def _own_clock(self) -> OwnClock:
        return self.bulkhead._clock

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request as soon as a slot is available. Raises `BulkheadFull` if the queue is full, or after `max_wait`."""
        bulkhead, http, state = self.bulkhead, call.http, state_of(request)
        key = state.origin(request, http) if bulkhead.key is None else bulkhead.key(request)
        ticket = bulkhead._enter(key, call.clock.monotonic())
        if ticket is None:
            raise http.BulkheadFull(request, state, key, bulkhead.max_in_flight, 0.0)
        try:
            if not ticket.admitted:
                await self._wait(ticket, key, state, request, call)
            response = await call.send(request)
        except BaseException:
            bulkhead._queue.leave(ticket, call.clock.monotonic())
            raise
        if http.in_memory(response):
            bulkhead._queue.leave(ticket, call.clock.monotonic())
            return response
        return http.tap(response, HeldTicket(bulkhead._queue, ticket, call.clock))

    async def _wait(self, ticket: Ticket, key: Hashable, state: CallState, request: Any, call: Call[Any, Any]) -> None:
        """Wait until the ticket is admitted."""
        bulkhead, clock = self.bulkhead, call.clock
        deadline = math.inf if state.deadline is None else state.deadline
        begun = clock.monotonic()
        now = await wait_turn(bulkhead._queue, ticket, min(begun + bulkhead.max_wait, deadline), state, call)
        if not ticket.admitted and now >= deadline:
            raise call.http.DeadlineExceeded(request, state)
        if not ticket.admitted:
            raise call.http.BulkheadFull(request, state, key, bulkhead.max_in_flight, now - begun)
        if ticket.state.is_worth_logging(now - begun):
            logger.warning(
                "Bulkhead: waited %.3g s for 1 of %d slots of %s (%d more are waiting)",
                *(now - begun, bulkhead.max_in_flight, state.redactor.key(key), len(ticket.state.queue)),
                extra=state.log_fields,
            )

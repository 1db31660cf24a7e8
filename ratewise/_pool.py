"""The queue in front of a connection pool."""

from __future__ import annotations

import logging
import math
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from ._core.admission import HeldTicket, Queue, Slots, wait_turn
from ._core.exchange import state_of
from ._core.key_state import Ticket
from ._util.durations import in_seconds
from .layer import Call, Q, R

logger = logging.getLogger("ratewise")


class PoolLayer:
    """Hands requests to a connection pool as it has room for them, first come, first served.

    The pools of httpx look through all their connections for each request that waits, whenever a request begins or ends: so none
    waits there. A place is held until the body of the response is closed. `size`: requests that the pool sends at once; at
    least 1.
    """

    _helper = True
    _of: ClassVar[WeakKeyDictionary[Any, PoolLayer]] = WeakKeyDictionary()

    @classmethod
    def of(cls, wire: Any, size: int) -> PoolLayer:
        """Return the queue in front of the pool of a transport, the same for all stacks."""
        return cls._of.setdefault(wire, cls(size))

    def __init__(self, size: int) -> None:
        self.size = size
        self._queue = Queue(lambda _: Slots(size))

    def __repr__(self) -> str:
        return f"PoolLayer(size={self.size})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request when the pool has room. Raises the `PoolTimeout` of the library after the `pool` time-out."""
        queue, clock = self._queue, call.clock
        ticket = queue.enter(None, clock.monotonic(), math.inf)
        assert ticket is not None  # the queue has no end
        try:
            if ticket.admitted:
                response = await call.send(request)
            else:
                response = await self._send_in_turn(ticket, request, call)
        except BaseException:
            queue.leave(ticket, clock.monotonic())
            raise
        if not call.http.watch(response, HeldTicket(queue, ticket, clock)):
            queue.leave(ticket, clock.monotonic())
        return response

    async def _send_in_turn(self, ticket: Ticket, request: Any, call: Call[Any, R]) -> R:
        """Wait until the pool has room; its own wait is only as long as the time-out that is left then."""
        state, timeouts, begun = state_of(request), request.extensions.get("timeout", {}), call.clock.monotonic()
        timeout, deadline = timeouts.get("pool"), math.inf if state.deadline is None else state.deadline
        until = math.inf if timeout is None else begun + timeout
        waited = await wait_turn(self._queue, ticket, min(until, deadline), state, call) - begun
        if not ticket.admitted and deadline < until:
            raise call.http.DeadlineExceeded(request, state)
        if not ticket.admitted:
            state.attempts += 1  # as one that waits in the pool itself
            raise call.http.PoolTimeout(f"no free connection after {in_seconds(waited)}", request=request)
        if ticket.state.is_worth_logging(waited):
            logger.warning(
                "Connection pool: waited %.3g s for a connection (%d more are waiting)",
                *(waited, len(ticket.state.queue)),
                extra=state.log_fields,
            )
        if timeout is None:
            return await call.send(request)
        request.extensions = {**request.extensions, "timeout": {**timeouts, "pool": max(timeout - waited, 0.0)}}
        try:
            return await call.send(request)
        finally:
            request.extensions["timeout"] = timeouts

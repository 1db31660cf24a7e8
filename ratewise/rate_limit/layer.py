"""The rate limiter around a transport."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from typing import Any

from .._core.admission import LOGGED_WAIT, HeldTicket, Ticket, wait_turn
from .._core.call_state import CallState
from .._core.exchange import state_of
from .._core.failure import Failure
from .._core.order import LayerKind, Ordered
from .._core.outcomes import outcome_of, read_outcome_of
from .._core.own_clock import OwnClock
from .._http.credentials import credential
from .._http.rate_limit_headers import NO_FIELDS
from .._http.throttling import Kind, Outcome
from .._util.durations import in_seconds
from .._validation import refusal
from ..layer import Call, Q, R
from .governor import UNCOUNTED, Came, Signal
from .limiter import RateLimiter

logger = logging.getLogger("ratewise")

UNRELATED = (Kind.FINE, Kind.OUTAGE)
"""Kinds of outcomes that say nothing about a limit unless their header fields do."""


class RateLimitLayer(Ordered):
    """Sends a request when its limits allow it, and reports to the limiter what the server says about them."""

    _kind: LayerKind | None = "rate limit"

    def __init__(self, rate_limiter: RateLimiter | None = None) -> None:
        if rate_limiter is not None and not isinstance(rate_limiter, RateLimiter):
            raise TypeError(refusal("rate_limiter", rate_limiter, "a RateLimiter"))
        self.rate_limiter = rate_limiter or RateLimiter()

    def __repr__(self) -> str:
        return f"RateLimitLayer({self.rate_limiter!r})"

    @property
    def _own_clock(self) -> OwnClock:
        return self.rate_limiter._clock

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request as soon as it may go, or raise `WaitTooLong`."""
        limiter, http, state = self.rate_limiter, call.http, state_of(request)
        number, state.number = state.number, None
        if limiter.key is None:
            key: Hashable = (state.origin(request, http), credential(http.fields(request.headers)))
        else:
            key = limiter.key(request)
        part = limiter._part(key, request) if limiter._parts else key
        governor = limiter._states[part].governor
        ticket = None if governor.quiet else await self._ticket(part, number, state, request, call)
        came = Came(call.clock.monotonic(), UNCOUNTED, governor.answers) if ticket is None else ticket.acquired
        try:
            response = await call.send(request)
            if response.status_code == 429:
                outcome = await read_outcome_of(response, request, state, call)
            else:
                outcome = outcome_of(response, state, call)
            if ticket is None and governor.quiet and outcome.fields is NO_FIELDS and outcome.kind in UNRELATED:
                governor.passed()
                return response
            self._answered(key, request, ticket, came, outcome, state, call)
        except BaseException as error:
            failed = outcome_of(error, state, call) if isinstance(error, http.TransportError) else None
            if failed is not None and failed.failure is Failure.NOT_CONNECTED:
                self._answered(key, request, ticket, came, failed, state, call)
            elif ticket is not None:
                limiter._lost(ticket)
            if ticket is not None:
                limiter._queue.leave(ticket, call.clock.monotonic())
            raise
        if ticket is None:
            return response
        if limiter.concurrency is None or http.in_memory(response):
            limiter._queue.leave(ticket, call.clock.monotonic())
            return response
        return http.tap(response, HeldTicket(limiter._queue, ticket, call.clock))

    async def _ticket(self, part: Hashable, number: float | None, state: CallState, request: Any, call: Call[Any, Any]) -> Ticket:
        """Its place among those in flight, when it may go."""
        queue, clock = self.rate_limiter._queue, call.clock
        ticket = queue.enter(part, clock.monotonic(), math.inf, number)
        assert ticket is not None  # the queue has no end
        if not ticket.admitted:
            await self._wait(ticket, state, request, call)
        return ticket

    def _answered(
        self, key: Hashable, request: Any, ticket: Ticket | None, came: Came, outcome: Outcome, state: CallState, call: Any
    ) -> None:
        """Report an outcome to the limiter, and its plan for a refused request to the retry layer."""
        now = call.clock.monotonic()
        state.reservation = self.rate_limiter._answered(key, request, ticket, came, signal_of(outcome), outcome.fields, now)

    async def _wait(self, ticket: Ticket, state: CallState, request: Any, call: Call[Any, Any]) -> None:
        """Until it may go."""
        limiter, clock = self.rate_limiter, call.clock
        key = state.origin(request, call.http) if limiter.key is None else ticket.key
        begun = clock.monotonic()
        until, setting = min((begun + limiter.max_wait, "max_wait"), (state.deadline or math.inf, "total_timeout"))

        def check(now: float) -> None:
            left, reason = limiter._forecast(ticket, now, until - now)
            if now >= until or now + left > until:
                raise call.http.WaitTooLong(request, state, key, now - begun, left, reason, setting)
            limits = ticket.state
            if left > LOGGED_WAIT and now >= limits.logged_until:
                limits.logged_until = now + left  # one line for all who wait
                shown, told = state.redactor.key(key), state.log_fields
                logger.warning("Rate limit: holding requests to %s for %s: %s", shown, in_seconds(left), reason, extra=told)

        try:
            now = await wait_turn(limiter._queue, ticket, until, state, call, check)
            if not ticket.admitted:
                check(now)
        except BaseException:
            limiter._queue.leave(ticket, clock.monotonic())
            raise


def signal_of(outcome: Outcome) -> Signal:
    """Return what an outcome says about the limits of a server."""
    kind = outcome.kind
    if kind is Kind.REFUSED or (kind is Kind.OVERLOADED and outcome.fields.retry_after is not None):
        return Signal.REFUSED
    down = kind is Kind.OVERLOADED or outcome.failure is Failure.NOT_CONNECTED
    return Signal.FAILED if down else Signal.ACCEPTED

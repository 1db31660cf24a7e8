"""The rate limiter around a transport."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from typing import Any, NamedTuple

from .._core.admission import LOGGED_WAIT, MAX_KEYS, HeldTicket, wait_turn
from .._core.call_state import CallState, Reservation
from .._core.exchange import state_of
from .._core.key_state import Ticket
from .._core.order import LayerKind, Ordered
from .._core.outcomes import outcome_of, read_outcome_of
from .._core.own_clock import OwnClock
from .._http.credentials import credential
from .._http.rate_limit_headers import NO_FIELDS, silent
from .._http.throttling import Kind, Outcome
from .._util.durations import in_seconds
from .._validation import refusal
from ..layer import Call, Field, Q, R
from .lane import LOOK, Lane, Sent, Signal
from .limiter import RateLimiter
from .meter import BINDING, WIDTH
from .quotas import MOST_QUOTAS

logger = logging.getLogger("ratewise")

SPREADS, SPREAD = 50, 0.02
"""The requests of an outage that have waited long enough are let go in so many groups, so many seconds apart."""


class _Head(NamedTuple):
    """The header of a refusal, as far as it is about limits."""

    fields: tuple[Field, ...]


class RateLimitLayer(Ordered):
    """Sends a request when its limits allow it, and reports to the limiter what the server says about them."""

    _kind: LayerKind | None = "rate limit"

    def __init__(self, rate_limiter: RateLimiter | None = None, *, width: int | None = None) -> None:
        if rate_limiter is not None and not isinstance(rate_limiter, RateLimiter):
            raise TypeError(refusal("rate_limiter", rate_limiter, "a RateLimiter"))
        self.rate_limiter = rate_limiter or RateLimiter()
        self._width = width or WIDTH

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
        route = limiter._route(request)
        gate = limiter._gates[key]
        lane, ticket = gate.lanes.get(route), None
        if lane is None or not gate.quiet or lane.queue:
            gate.width = self._width
            ticket = await self._ticket(key, route, number, state, request, call)
            lane = ticket.state
        sent: Sent = lane.gate.passes(call.clock.monotonic()) if ticket is None else ticket.acquired
        try:
            response = await call.send(request)
            if response.status_code == 429:
                outcome = await read_outcome_of(response, request, state, call)
            else:
                outcome = outcome_of(response, state, call)
            if ticket is None and gate.quiet and outcome.fields is NO_FIELDS and outcome.kind is Kind.FINE:
                lane.meter.passed(sent.at)
                return response
            self._answered(lane, ticket, sent, outcome, request, response, state, call)
        except BaseException as error:
            failed = outcome_of(error, state, call) if isinstance(error, http.TransportError) else None
            if failed is not None and failed.kind is Kind.OUTAGE:
                self._answered(lane, ticket, sent, failed, request, None, state, call)
            else:
                limiter._lost(lane, sent)
            if ticket is not None:
                limiter._queue.leave(ticket, call.clock.monotonic())
            raise
        if ticket is None:
            return response
        if limiter.concurrency is None or http.in_memory(response):
            limiter._queue.leave(ticket, call.clock.monotonic())
            return response
        return http.tap(response, HeldTicket(limiter._queue, ticket, call.clock))

    async def _ticket(
        self, key: Hashable, route: Hashable, number: float | None, state: CallState, request: Any, call: Call[Any, Any]
    ) -> Ticket:
        """Return its place among those in flight, when it may go."""
        limiter = self.rate_limiter
        if key not in limiter._gates and not limiter._said_full:
            limiter._said_full = True
            origin = state.redactor.key(state.origin(request, call.http))
            logger.warning("Rate limit: %d keys are in use; %s is not limited", MAX_KEYS, origin, extra=state.log_fields)
        ticket = limiter._queue.enter(key, call.clock.monotonic(), math.inf, number, route)
        assert ticket is not None  # the queue has no end
        if not ticket.admitted:
            await self._wait(ticket, state, request, call)
        return ticket

    async def _wait(self, ticket: Ticket, state: CallState, request: Any, call: Call[Any, Any]) -> None:
        """Wait until it may go. If only an outage, or the first answer, holds it back, it goes in the end."""
        limiter, clock = self.rate_limiter, call.clock
        key = state.origin(request, call.http) if limiter.key is None else ticket.key
        begun = clock.monotonic()
        latest = begun + limiter.max_wait - state.limited
        until, setting = min((latest, "max_wait"), (state.deadline or math.inf, "total_timeout"))
        patience = begun + max(state.patience - ticket.number % SPREADS * SPREAD, 0.0)

        def check(now: float) -> float:
            lane: Lane = ticket.state
            if lane.down and now < until:
                return min(until, max(patience, now + min(lane.gate.opens_in_outage(now), LOGGED_WAIT)))
            left, reason = limiter._forecast(ticket, now, until - now)
            if (now >= until or now + left > until) and not lane.gate.may_go_anyway(lane, now):
                refused = lane.refusal and call.http.respond(lane.refusal[0], lane.refusal[1], b"")
                raise call.http.WaitTooLong(request, state, key, now - begun, left, reason, setting, refused)
            if left > LOGGED_WAIT and now >= lane.gate.logged_until:
                lane.gate.logged_until = now + left  # one line for all who wait
                shown, told = state.redactor.key(key), state.log_fields
                logger.warning("Rate limit: holding requests to %s for %s: %s", shown, in_seconds(left), reason, extra=told)
            return until

        try:
            now = begun
            while not ticket.admitted and now < check(now):
                now = await wait_turn(limiter._queue, ticket, until, state, call, check)
            insists = not ticket.admitted
            if insists:
                limiter._queue.take(ticket, now)
        except BaseException:
            limiter._queue.leave(ticket, clock.monotonic())
            raise
        finally:
            waited = clock.monotonic() - begun
            state.limited += waited
            state.patience -= waited
        if insists:
            state.patience = 0.0

    def _answered(
        self,
        lane: Lane,
        ticket: Ticket | None,
        sent: Sent,
        outcome: Outcome,
        request: Any,
        response: Any,
        state: CallState,
        call: Call[Any, Any],
    ) -> None:
        """Report an outcome to the limiter, and its plan for a refused request to the retry layer."""
        queue, now = self.rate_limiter._queue, call.clock.monotonic()
        signal, told = signal_of(outcome), outcome.fields
        opens = 0.0
        with self.rate_limiter._gates.lock:
            gate, was_down = lane.gate, lane.down
            gate.gone(lane, sent)
            concerns = gate.answered(lane, signal, told, sent, now)
            if was_down and not lane.down:
                for each in gate.lanes.values():
                    each.reopen(next(queue.numbers))
            if signal is Signal.REFUSED and response is not None:
                fields = call.http.fields(response.headers)
                lane.refusal = response.status_code, _Head(tuple(field for field in fields if not silent((field,))))
            if signal is Signal.REFUSED or (concerns and signal is not Signal.ACCEPTED):
                place: float = next(queue.numbers)
                if ticket is not None and not ticket.returning and lane.paused is None:
                    place = ticket.number  # the first time it keeps its place
                opens, most = gate.opens(lane, now, 0)[0], self.rate_limiter.max_wait
                wait, left = opens if opens < math.inf else 0.0, state.patience if lane.down else math.inf
                again = ticket is not None and ticket.returning  # what is known of the limit was not enough for this call
                brief = wait if again and told.quotas else told.retry_after
                # in an outage its retries are as far apart as without a limiter: probes at short intervals would use them up
                alone = not concerns or lane.down or (brief is not None and brief < BINDING)
                state.reservation = Reservation(place, wait, most, backoff=alone, over=left <= 0, patience=left)
            waiting = next((each for each in gate.lanes.values() if each.queue), None)
            turned = (lane.down and not was_down) or (concerns and LOOK <= opens < math.inf)
        if gate.quotas.full and not gate.said_so:
            gate.said_so = True
            origin, most, told_of = state.redactor.key(state.origin(request, call.http)), MOST_QUOTAS, state.log_fields
            logger.warning("Rate limit: %s names more than %d limits; the oldest are forgotten", origin, most, extra=told_of)
        if waiting is not None:
            queue.changed(waiting, now, worse=concerns, wake_all=turned)  # and who waits on the key's other routes


def signal_of(outcome: Outcome) -> Signal:
    """Return what an outcome says about the limits of a server."""
    kind = outcome.kind
    if kind is Kind.OVERLOADED:
        return Signal.OVERLOADED if outcome.fields.retry_after is None else Signal.REFUSED
    return Signal.REFUSED if kind is Kind.REFUSED else Signal.FAILED if kind is Kind.OUTAGE else Signal.ACCEPTED

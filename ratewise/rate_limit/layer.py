"""The rate limiter around a transport."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable
from typing import Any

from .._core.admission import Held, Place, wait_turn
from .._core.credit import spent
from .._core.exchange import Exchange, Turn
from .._core.failure import Failure
from .._core.order import Kind, Ordered
from .._http.credentials import credential
from .._http.rate_limit_headers import NOTHING, Told, silent, told
from .._validation import refusal
from ..layer import Call, Q, R
from .governor import UNCOUNTED, Came, Verdict
from .limiter import RateLimiter

logger = logging.getLogger("ratewise")

LONG = 1.0
"""Seconds of waiting that are worth a line in the log."""


class RateLimitLayer(Ordered):
    """Sends a request when its limit allows it, and tells the limiter what the server tells."""

    kind: Kind | None = "rate limit"

    def __init__(self, rate_limiter: RateLimiter | None = None) -> None:
        if rate_limiter is not None and not isinstance(rate_limiter, RateLimiter):
            raise TypeError(refusal("rate_limiter", rate_limiter, "a RateLimiter"))
        self.rate_limiter = rate_limiter or RateLimiter()

    def __repr__(self) -> str:
        return f"RateLimitLayer({self.rate_limiter!r})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request as soon as it may go, or raise `WaitTooLong`."""
        limiter, http = self.rate_limiter, call.http
        if limiter.key is None:
            key: Hashable = (http.origin(request), credential(http.fields(request.headers)))
        else:
            key = limiter.key(request)
        part = limiter.part(key, request) if limiter.parts else key
        governor = limiter.rooms[part].governor
        place = None if governor.quiet else await self._place(part, request, call)
        came = Came(call.clock.monotonic(), UNCOUNTED, governor.answers) if place is None else place.came
        try:
            response = await call.send(request)
            status = response.status_code
            if place is None and governor.quiet and status not in (429, 503) and silent(http.fields(response.headers)):
                governor.passed()
                return response
            hopeless = status == 429 and await spent(response, request, call)
            said = NOTHING if silent(http.fields(response.headers)) else told(response.headers.raw, call.clock.time())
            verdict = Verdict.ACCEPTED if hopeless else verdict_on(status, said)
            turn = limiter.answered(key, request, place, came, verdict, said, call.clock.monotonic())
        except BaseException as error:
            if isinstance(error, http.TransportError) and http.failure(error) is Failure.NOT_CONNECTED:
                turn = limiter.answered(key, request, place, came, Verdict.FAILED, NOTHING, call.clock.monotonic())
                _take_turn(request, turn)
            elif place is not None:
                limiter.lost(place)
            if place is not None:
                limiter.queue.leave(place, call.clock.monotonic())
            raise
        _take_turn(request, turn)
        if place is None:
            return response
        if limiter.concurrency is None or http.in_memory(response):
            limiter.queue.leave(place, call.clock.monotonic())
            return response
        return http.tap(response, Held(limiter.queue, place, call.clock))

    async def _place(self, part: Hashable, request: Any, call: Call[Any, Any]) -> Place:
        """Its place among those in flight, when it may go."""
        queue, clock = self.rate_limiter.queue, call.clock
        exchange = Exchange.of(request.extensions)
        turn, exchange.turn = exchange.turn, None
        place = queue.enter(part, clock.monotonic(), math.inf, None if turn is None else turn.number)
        assert place is not None  # the queue has no end
        if not place.inside:
            await self._wait(place, exchange, request, call)
        return place

    async def _wait(self, place: Place, exchange: Exchange, request: Any, call: Call[Any, Any]) -> None:
        """Until it may go."""
        limiter, clock = self.rate_limiter, call.clock
        key = call.http.origin(request) if limiter.key is None else place.key
        begun = clock.monotonic()
        until, setting = min((begun + limiter.max_wait, "max_wait"), (exchange.deadline or math.inf, "total_timeout"))

        def check(now: float) -> None:
            left, reason = limiter.forecast(place, now, until - now)
            if now >= until or now + left > until:
                raise call.http.WaitTooLong(request, exchange, key, now - begun, left, reason, setting)
            room = place.room
            if left > LONG and now >= room.logged_until:
                room.logged_until = now + left  # one line for all who wait
                shown, told = exchange.redactor.key(key), exchange.told
                logger.warning("Rate limit: requests to %s wait %g s: %s", shown, round(left, 2), reason, extra=told)

        try:
            now = await wait_turn(limiter.queue, place, until, call, check)
            if not place.inside:
                check(now)
        except BaseException:
            limiter.queue.leave(place, clock.monotonic())
            raise
        finally:
            exchange.queued_until = clock.monotonic()


def _take_turn(request: Any, turn: Turn | None) -> None:
    """Tell the retry layer what the limiter does with a request that was refused."""
    if turn is not None:
        Exchange.of(request.extensions).turn = turn


def verdict_on(status: int, said: Told) -> Verdict:
    """429 asks to come back later, and so do 403 (GitHub) and 503 (RFC 9110, 10.2.3) where a header says so."""
    refused = status == 429
    if status == 403:
        refused = said.retry_after is not None or any(quota.remaining == 0 and quota.reset for quota in said.quotas)
    elif status == 503:
        refused = said.retry_after is not None
    if refused:
        return Verdict.REFUSED
    return Verdict.FAILED if status == 503 else Verdict.ACCEPTED

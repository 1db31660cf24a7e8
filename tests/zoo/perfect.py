"""A client that knows the server, to show that the laws can be kept, and what the best is."""

from __future__ import annotations

import math
from bisect import insort
from typing import Any

import httpx

from ratewise import Waiter
from ratewise.exceptions import RateWiseError, WaitTooLong
from ratewise.testing.limits import nanoseconds
from tests.zoo.laws import IN_A_ROW, PATIENCE, SHORT
from tests.zoo.servers import Server
from tests.zoo.traffic import CALL, CallRecord, Watch, Wire

WIDTH = 100
"""Requests in flight, at most."""


class TooLong(WaitTooLong):
    """More than `max_wait` would have to be waited."""

    def __init__(self, request: httpx.Request, attempts: int, wait: float) -> None:
        RateWiseError.__init__(self, "max_wait exceeded", request)
        self.response = httpx.Response(429)  # the laws want the last refusal, and there was none
        self.attempts, self.retry_after = attempts, wait


def decide(response: Any, exception: Exception | None, attempt: int) -> bool | None:
    """Of a `RetryConfig`: what was sent at the end of its patience is not sent again."""
    call = CALL.get()
    return False if call is not None and call.last else None


class Perfect(httpx.AsyncBaseTransport):
    """Sends what will be accepted, holds the rest in a line for each route, and keeps told pauses.

    It begins with four in flight after an outage, and adds one for each accepted answer.
    `margin`: the most seconds by which an arrival may be late.
    """

    def __init__(self, wire: Wire, clock: Watch, margin: float, max_wait: float) -> None:
        self.wire, self.clock, self.margin, self.max_wait = wire, clock, margin, max_wait
        self.shadows = {host: Server(server.spec) for host, server in wire.servers.items()}
        self.lines: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
        self.turns: dict[tuple[float, int], Waiter] = {}
        self.flying: dict[str, int] = {}
        self.cap: dict[str, float] = {}
        self.paused: dict[tuple[str, str, str], float] = {}
        self.row: dict[tuple[str, str, str], int] = {}
        """Refusals with a pause in a row."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = CALL.get()
        assert call is not None
        who, begun = request.headers.get("Authorization", ""), self.clock.monotonic()
        place, ticket = (call.host, call.route, who), (call.began, call.number)
        line = self.lines.setdefault(place, [])
        insort(line, ticket)
        spent = call.slept + call.parked
        # whose patience ends together are still not sent together
        until = begun + max(0.0, PATIENCE - call.slept - call.parked) - sum(map(len, self.lines.values())) // (WIDTH // 2) * 0.002
        try:
            while True:
                away, wait = self._wait(call, who)
                now = self.clock.monotonic()
                if not away and spent + now - begun + wait > self.max_wait:
                    raise TooLong(request, len(call.attempts), wait)
                left = until - now if away else math.inf
                if left <= 1e-9:
                    call.last = True
                    break
                if line[0] != ticket:
                    turn = self.turns[ticket] = Waiter()
                    await self.clock.apark(turn, min(left, 1.0))
                    del self.turns[ticket]
                elif wait > 0:
                    await self.clock.asleep(min(wait, left))
                else:
                    break
            self.shadows[call.host].decide(call.route, who, self._latest(call.host))
        finally:
            line.remove(ticket)
            if line and line[0] in self.turns:
                self.turns[line[0]].wake()
        for flying in place[:2]:
            self.flying[flying] = self.flying.get(flying, 0) + 1
        sent = self.clock.monotonic()
        try:
            response = await self.wire.handle_async_request(request)
        finally:
            for flying in place[:2]:
                self.flying[flying] -= 1
        self.cap[call.host] = min(self.cap.get(call.host, WIDTH) + (response.status_code == 200), WIDTH)
        pause = float(response.headers.get("Retry-After", 0)) if response.status_code in (429, 503, 403) else 0.0
        self.row[place] = self.row.get(place, 0) + 1 if pause else 0
        if pause >= SHORT or self.row[place] >= IN_A_ROW - 2:
            self.paused[place] = max(self.paused.get(place, 0.0), sent + pause)
        return response

    def _latest(self, host: str) -> float:
        """Return when a request that is sent now arrives at the latest."""
        return self.clock.monotonic() + self.shadows[host].spec.latency / 2 + self.margin

    def _wait(self, call: CallRecord, who: str) -> tuple[bool, float]:
        """Return whether the server is away, and the seconds until it may be time to send; 0: it is."""
        shadow, now, latest = self.shadows[call.host], self.clock.monotonic(), self._latest(call.host)
        wait = max(0.0, self.paused.get((call.host, call.route, who), 0.0) - now)
        earliest = now + shadow.spec.latency / 2
        back = shadow.returns(earliest)
        if back > earliest:
            if shadow.spec.outages:
                self.cap[call.host] = 4
            return True, max(wait, min(back - earliest + 1e-6, 600.0))
        wait = max(wait, shadow.opens(call.route, who, latest) - latest)
        full = self.flying.get(call.host, 0) >= self.cap.get(call.host, WIDTH)
        for number in shadow.binding(call.route, now):
            rule = shadow.spec.rules[number]
            if rule.kind == "slots" and shadow.spec.jitter:  # when one is free is unknown
                flying = [call.route] if rule.apart else [route for _, route, _ in self.lines if rule.binds(route, now)]
                limit = shadow.limit(number, call.route, who, now).limit_at(nanoseconds(now))
                full = full or sum(self.flying.get(route, 0) for route in flying) >= limit
        if full:
            wait = max(wait, 1e-3)
        return False, wait

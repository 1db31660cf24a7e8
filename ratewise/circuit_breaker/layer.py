"""The circuit breaker around a transport."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .._core.exchange import Exchange
from .._core.order import Kind, Ordered
from .._http.retry_advice import RETRY_AFTER, retry_advice
from .._validation import refusal
from ..exceptions import RateWiseError
from ..layer import Call, Q, R
from .breaker import SILENT, STATUSES, CircuitBreaker, Refusal
from .circuit import Permit

INSTANT = 0.001
"""Seconds: what left a queue so lately had no time to be sent."""


class CircuitBreakerLayer(Ordered):
    """Asks a circuit before a request is sent, and tells it what came of it.

    A response is good when its head came and, if its body is read, that came whole. `rechecked`: there is a
    `CircuitRecheckLayer` below it.
    """

    kind: Kind | None = "circuit breaker"

    def __init__(self, circuit_breaker: CircuitBreaker | None = None, *, rechecked: bool = False) -> None:
        if circuit_breaker is not None and not isinstance(circuit_breaker, CircuitBreaker):
            raise TypeError(refusal("circuit_breaker", circuit_breaker, "a CircuitBreaker"))
        self.circuit_breaker = circuit_breaker or CircuitBreaker()
        self._rechecked = rechecked

    def __repr__(self) -> str:
        return f"CircuitBreakerLayer({self.circuit_breaker!r})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request if its circuit lets it through, else raise `CircuitBreakerOpen`."""
        breaker, http, clock = self.circuit_breaker, call.http, call.clock
        key = _key(breaker, request, http)
        circuit = breaker.circuits[key]
        circuit.used = True
        if circuit.state == "closed":
            permit = circuit.permit
        else:
            exchange = Exchange.of(request.extensions)
            admitted = breaker.admit(key, clock.monotonic(), exchange)
            if isinstance(admitted, Refusal):
                raise http.CircuitBreakerOpen(request, exchange, admitted)
            permit = admitted
        if self._rechecked:
            Exchange.of(request.extensions).permit = permit
        patience = breaker.slow_call_duration
        started = 0.0 if patience is None else clock.monotonic()
        try:
            response = await call.send(request)
        except BaseException as error:
            slow = patience is not None and _in_flight(request, started, clock.monotonic()) >= patience
            _Attempt(breaker, key, permit, slow, request, call).failed(error)
            raise
        good = response.status_code not in STATUSES and breaker.failure_on is None
        now = clock.monotonic()
        slow = patience is not None and _in_flight(request, started, now) >= patience
        if good and http.in_memory(response):
            if slow or not circuit.noted(permit, now):
                breaker.report(key, permit, False, now, slow, exchange=Exchange.of(request.extensions))
            return response
        attempt = _Attempt(breaker, key, permit, slow, request, call)
        try:
            if not good and attempt.is_bad(response):
                return response
        except BaseException as error:  # out of the user's own function
            attempt.failed(error)
            await call.close(response, request)
            raise
        if http.in_memory(response):
            attempt.closed()
            return response
        permit.answered = not slow
        return http.tap(response, attempt)


def _key(breaker: CircuitBreaker, request: Any, http: Any) -> Hashable:
    return http.origin(request) if breaker.key is None else breaker.key(request)  # type: ignore[no-any-return]


def _in_flight(request: Any, started: float, now: float) -> float:
    """Seconds since it left the last queue of ours."""
    return now - max(started, Exchange.of(request.extensions).queued_until)


class CircuitRecheckLayer:
    """Below a `CircuitBreakerLayer`, and below what makes requests wait: what waited while its circuit opened is not sent."""

    def __init__(self, circuit_breaker: CircuitBreaker) -> None:
        self.circuit_breaker = circuit_breaker

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request if what let it through still stands, else raise `CircuitBreakerOpen`."""
        exchange = Exchange.of(request.extensions)
        permit = exchange.permit
        if permit is not None and permit.circuit.state != "closed":
            breaker = self.circuit_breaker
            refused = breaker.recheck(_key(breaker, request, call.http), permit, call.clock.monotonic())
            if refused is not None:
                raise call.http.CircuitBreakerOpen(request, exchange, refused)
        return await call.send(request)


class _Attempt:
    """One request that a circuit let through, until the verdict. Watches the body that the caller reads: see `Watcher`."""

    __slots__ = ("_breaker", "_call", "_exchange", "_key", "_permit", "_slow")

    def __init__(self, breaker: CircuitBreaker, key: Hashable, permit: Permit, slow: bool, request: Any, call: Any) -> None:
        self._breaker, self._key, self._slow, self._call = breaker, key, slow, call
        self._exchange = Exchange.of(request.extensions)
        self._permit: Permit | None = permit

    def _report(self, failed: bool | None, asked: float | None = None) -> None:
        """The verdict, once. None: nothing was learnt."""
        permit, self._permit = self._permit, None
        if permit is None:
            return
        if failed is None:
            self._breaker.withdraw(permit)
        else:
            now = self._call.clock.monotonic()
            self._breaker.report(self._key, permit, failed, now, self._slow, asked=asked, exchange=self._exchange)

    def is_bad(self, response: Any) -> bool:
        """Whether the head of a response is a failure already; if so, it is reported."""
        said, asked = self._said(response, None), None
        if said is False or (said is None and response.status_code not in STATUSES):
            return False
        if response.status_code == 503:
            advice = retry_advice(response.headers.raw, self._call.clock.time())
            asked = advice.wait if advice.source in RETRY_AFTER else None
        self._report(True, asked)
        return True

    def _said(self, response: Any, error: Any) -> bool | None:
        """What `failure_on` says of an outcome."""
        failure_on = self._breaker.failure_on
        said = None if failure_on is None else failure_on(response, error)
        if not (said is None or isinstance(said, bool)):
            raise TypeError(refusal("what failure_on returns", said, "True, False or None"))
        return said

    def failed(self, error: BaseException) -> None:
        """The request, or its body, ended in an error."""
        http, failed = self._call.http, None
        if isinstance(error, RateWiseError) and error.__cause__ is None:
            pass  # it was not sent, or its reader took too long; with a cause, the deadline cut a wait for the server short
        elif isinstance(error, http.TransportError):
            try:
                failed = self._said(None, error)
            except BaseException:
                self._report(None)
                raise
            if failed is None:
                failed = None if http.failure(error) in SILENT else True
        elif not isinstance(error, Exception):  # cancelled: by the call's own deadline, or by the caller
            exchange, now = self._exchange, self._call.clock.monotonic()
            late = exchange.deadline is not None and now >= exchange.deadline
            failed = True if late and now - exchange.queued_until > INSTANT else None
        self._report(failed)

    def chunk(self, data: bytes) -> None: ...

    async def complete(self) -> None:
        self.closed()

    def closed(self) -> None:
        """Nothing went wrong. What the caller did not want to read says nothing against the server."""
        self._report(False)

"""The circuit breaker around a transport."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from weakref import ref

from .._core.call_state import CallState
from .._core.exchange import state_of
from .._core.order import LayerKind, Ordered
from .._core.outcomes import outcome_of
from .._core.own_clock import OwnClock
from .._http.throttling import FAILING, Kind
from .._validation import refusal
from ..exceptions import RateWiseError
from ..layer import Call, Q, R, Watcher
from .breaker import CircuitBreaker, Refusal
from .circuit import Permit

SENT_AFTER = 0.001
"""Seconds after leaving a queue from which on a request counts as sent."""


class CircuitBreakerLayer(Ordered):
    """Asks the circuit before a request is sent, and reports the outcome to it.

    A response is a success when its head has arrived and its body, if it is read, is complete; the response to a probe whose
    caller streams the body, when its head has arrived.
    """

    _kind: LayerKind | None = "circuit breaker"

    def __init__(self, circuit_breaker: CircuitBreaker | None = None) -> None:
        if circuit_breaker is not None and not isinstance(circuit_breaker, CircuitBreaker):
            raise TypeError(refusal("circuit_breaker", circuit_breaker, "a CircuitBreaker"))
        self.circuit_breaker = circuit_breaker or CircuitBreaker()

    def __repr__(self) -> str:
        return f"CircuitBreakerLayer({self.circuit_breaker!r})"

    @property
    def _own_clock(self) -> OwnClock:
        return self.circuit_breaker._clock

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request if its circuit lets it through, else raise `CircuitBreakerOpen`."""
        breaker, http, clock, state = self.circuit_breaker, call.http, call.clock, state_of(request)
        key: Hashable = state.origin(request, http) if breaker.key is None else breaker.key(request)
        circuit = breaker._circuits[key]
        circuit.used = True
        if circuit.state == "closed":
            permit = circuit.permit
            probe = None
        else:
            admitted = breaker._admit(key, clock.monotonic(), state)
            if isinstance(admitted, Refusal):
                raise http.CircuitBreakerOpen(request, state, admitted)
            permit = admitted
            probe = ref(permit)
        state.permit = key, circuit, probe  # weak: what may be kept longer than the request must not keep a probe
        patience = breaker.slow_call_duration
        started = 0.0 if patience is None else clock.monotonic()
        try:
            response = await call.send(request)
        except BaseException as error:
            slow = patience is not None and _in_flight(state, started, clock.monotonic()) >= patience
            _Attempt(breaker, key, permit, slow, state, call).failed(error)
            raise
        good = response.status_code not in FAILING and breaker.failure_on is None
        now = clock.monotonic()
        slow = patience is not None and _in_flight(state, started, now) >= patience
        if good and http.in_memory(response):
            if slow or not circuit.noted(permit, now):
                breaker._report(key, permit, False, now, slow, call_state=state)
            return response
        attempt = _Attempt(breaker, key, permit, slow, state, call)
        try:
            if not good and attempt.is_bad(response):
                return response
        except BaseException as error:  # raised by `failure_on`
            attempt.failed(error)
            await call.close(response, request)
            raise
        is_probe = permit is not circuit.permit
        if http.in_memory(response) or (is_probe and state.streamed):  # a stream may take any time, and keeps all others out
            attempt.closed()
            return response
        permit.answered = not slow
        return http.tap(response, attempt)


def _in_flight(state: CallState, started: float, now: float) -> float:
    """Return the seconds since the request left the last queue."""
    return now - max(started, state.left_queue_at)


class CircuitRecheckLayer:
    """Below a `CircuitBreakerLayer` and the layers with queues: refuses a request whose circuit opened while it waited."""

    _helper = True

    def __init__(self, circuit_breaker: CircuitBreaker) -> None:
        self.circuit_breaker = circuit_breaker

    @property
    def _own_clock(self) -> OwnClock:
        return self.circuit_breaker._clock

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request if its permit is still valid, else raise `CircuitBreakerOpen`."""
        state = state_of(request)
        given, state.permit = state.permit, None
        if given is not None and given[1].state != "closed":
            key, circuit, probe = given
            refused = self.circuit_breaker._recheck(key, circuit, probe and probe(), call.clock.monotonic())
            if refused is not None:
                raise call.http.CircuitBreakerOpen(request, state, refused)
        return await call.send(request)


class _Attempt(Watcher):
    """One request that a circuit let through, until its outcome is reported. Follows the body that the caller reads."""

    __slots__ = ("_breaker", "_call", "_key", "_permit", "_slow", "_state")

    def __init__(self, breaker: CircuitBreaker, key: Hashable, permit: Permit, slow: bool, state: CallState, call: Any) -> None:
        self._breaker, self._key, self._slow, self._call = breaker, key, slow, call
        self._state = state
        self._permit: Permit | None = permit

    def _report(self, failed: bool | None, asked: float | None = None) -> None:
        """Report the outcome, once. `failed`: None if it says nothing about the server."""
        permit, self._permit = self._permit, None
        if permit is None:
            return
        if failed is None:
            self._breaker._withdraw(permit)
        else:
            now = self._call.clock.monotonic()
            self._breaker._report(self._key, permit, failed, now, self._slow, asked=asked, call_state=self._state)

    def is_bad(self, response: Any) -> bool:
        """Return whether the head of a response is a failure, and report it then."""
        said = self._said(response, None)
        outcome = outcome_of(response, self._state, self._call)
        if said is False or (said is None and not outcome.failing):
            return False
        self._report(True, outcome.fields.retry_after if outcome.kind is Kind.OVERLOADED else None)
        return True

    def _said(self, response: Any, error: Any) -> bool | None:
        """Return what `failure_on` says about an outcome."""
        failure_on = self._breaker.failure_on
        said = None if failure_on is None else failure_on(response, error)
        if not (said is None or isinstance(said, bool)):
            raise TypeError(refusal("what failure_on returns", said, "True, False or None"))
        return said

    def failed(self, error: BaseException) -> None:
        """The request, or its body, ended in an error."""
        http, failed = self._call.http, None
        if isinstance(error, RateWiseError) and error.__cause__ is None:
            pass  # not sent, or its reader was too slow; with a cause, the deadline ended a wait for the server
        elif isinstance(error, http.TransportError):
            try:
                failed = self._said(None, error)
            except BaseException:
                self._report(None)
                raise
            if failed is None:
                failed = outcome_of(error, self._state, self._call).failing or None
        elif not isinstance(error, Exception):  # cancelled by the deadline of the call, or by the caller
            state, now = self._state, self._call.clock.monotonic()
            late = state.deadline is not None and now >= state.deadline
            failed = True if late and now - state.left_queue_at > SENT_AFTER else None
        self._report(failed)

    async def complete(self) -> None:
        self.closed()

    def closed(self) -> None:
        """Report a success. A body that the caller does not read is not a failure of the server."""
        self._report(False)

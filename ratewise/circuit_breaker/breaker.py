"""The circuit breaker: one circuit per server, shared by any number of clients, threads and event loops."""

from __future__ import annotations

import logging
import random
from collections.abc import Hashable
from typing import Any, Callable, NamedTuple, Optional
from urllib.parse import urlsplit
from weakref import WeakSet

from .._core.call_state import CallState
from .._core.clock import Clock
from .._core.forks import renew_after_fork
from .._core.own_clock import OwnClock
from .._keywords import explained
from .._redaction.masker import DEFAULT_MASKER
from .._util.bounded_table import Table
from .._validation import clock as checked_clock
from .._validation import factor, flag, function, key_function, rate, refusal, seconds, whole
from .circuit import Circuit, CircuitState, Permit, Rules

logger = logging.getLogger("ratewise")

PORTS = {"http": 80, "https": 443}
"""The default port of each scheme, which the key of an origin leaves out."""

MAX_CIRCUITS = 1000
"""Circuits that are remembered, at most. An idle one is forgotten for each new one."""

SEVERITY = ("closed", "half_open", "open")
"""The states, the worst last."""

FailureOn = Callable[[Any, Optional[Exception]], Optional[bool]]
OnStateChange = Callable[[Any, CircuitState, CircuitState], None]


class Refusal(NamedTuple):
    """The reason why a request must not be sent."""

    key: Hashable
    state: CircuitState
    failure_count: int
    retry_after: float | None


@explained()
class CircuitBreaker:
    """Stops sending to a server that fails, and probes whether it has recovered.

    A closed circuit lets every request through and counts failures; an open one refuses all; a half-open one lets a few through
    as probes, and closes or opens again depending on their outcomes. Each origin (scheme, host and port) has its own circuit.
    May be shared by any number of clients, threads and event loops, of both libraries.

    - `failure_threshold`: consecutive failures that open a circuit; at least 1.
    - `success_threshold`: successful probes that close it; at least 1.
    - `recovery_timeout`: seconds above 0 for which it stays open before it is probed. It doubles with each failed recovery, at
      most to `max_recovery_timeout` (ten times as long if None), and is lengthened by a random part of it, at most `jitter`
      (0 to 1). If the 503 that opened the circuit had a Retry-After, that is used instead, up to the same maximum.
    - `failure_rate`: above 0 and at most 1. In place of `failure_threshold`: the circuit opens if this part of the calls within
      `window` (seconds above 0) failed, out of at least `minimum_calls` (at least 1).
    - `slow_call_duration`: seconds above 0 until the head of the response, from which on a call is slow. `slow_call_rate`: the
      circuit opens if this part (above 0 and at most 1; 1 if None) of the calls within `window` is slow. A slow probe has failed.
    - `half_open_max_calls`: concurrent probes; at least 1. A probe without an outcome after `half_open_timeout` seconds (above 0)
      is abandoned, or counts as successful if its body is still arriving.
    - `failure_on`: `failure_on(response, exception)` is called with every outcome; one of the two is None. It returns True for a
      failure, False for none, and None for the default: transport errors, time-outs, 500, 502, 503 and 504 are failures, 429 and
      other statuses are not, and cancellations and errors that say nothing about the server do not count. The response has no
      `request` yet, and its body has not been read.
    - `key`: `key(request)` returns the key of the circuit, in place of the origin. Any hashable value.
    - `dry_run`: count and log, but refuse nothing.
    - `on_state_change`: `on_state_change(key, old, new)` is called after each change. An exception that it raises is logged.
    - `clock`: the time that it waits and measures by; for tests. None: that of the client or transport.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        success_threshold: int = 2,
        recovery_timeout: float = 60.0,
        *,
        max_recovery_timeout: float | None = None,
        jitter: float = 0.1,
        failure_rate: float | None = None,
        window: float = 30.0,
        minimum_calls: int = 10,
        slow_call_duration: float | None = None,
        slow_call_rate: float | None = None,
        half_open_max_calls: int = 1,
        half_open_timeout: float = 30.0,
        failure_on: FailureOn | None = None,
        key: Callable[[Any], Hashable] | None = None,
        dry_run: bool = False,
        on_state_change: OnStateChange | None = None,
        clock: Clock | None = None,
    ) -> None:
        recovery_timeout = seconds("recovery_timeout", recovery_timeout, above_zero=True)
        if max_recovery_timeout is None:
            max_recovery_timeout = 10 * recovery_timeout
        elif seconds("max_recovery_timeout", max_recovery_timeout) < recovery_timeout:
            allowed = f"at least recovery_timeout ({recovery_timeout:g} s)"
            raise ValueError(refusal("max_recovery_timeout", max_recovery_timeout, allowed))
        if slow_call_duration is None and slow_call_rate is not None:
            raise TypeError("slow_call_rate was given without slow_call_duration: say when a call is slow")
        if slow_call_duration is not None:
            slow_call_duration = seconds("slow_call_duration", slow_call_duration, above_zero=True)
            slow_call_rate = 1.0 if slow_call_rate is None else rate("slow_call_rate", slow_call_rate)
        self.slow_call_duration = slow_call_duration
        self.failure_on = None if failure_on is None else function("failure_on", failure_on, "response and exception")
        self.key = None if key is None else key_function(key, "CircuitBreaker")
        self.dry_run = flag("dry_run", dry_run)
        self.on_state_change = (
            None if on_state_change is None else function("on_state_change", on_state_change, "key, old and new state")
        )
        self._rules = Rules(
            failure_threshold=whole("failure_threshold", failure_threshold, least=1),
            success_threshold=whole("success_threshold", success_threshold, least=1),
            recovery_timeout=recovery_timeout,
            max_recovery_timeout=max_recovery_timeout,
            jitter=factor("jitter", jitter, least=0, most=1),
            failure_rate=None if failure_rate is None else rate("failure_rate", failure_rate),
            slow_call_rate=slow_call_rate,
            window=seconds("window", window, above_zero=True),
            minimum_calls=whole("minimum_calls", minimum_calls, least=1),
            half_open_max_calls=whole("half_open_max_calls", half_open_max_calls, least=1),
            half_open_timeout=seconds("half_open_timeout", half_open_timeout, above_zero=True),
        )
        self._trips = 0
        """The number of times that failures opened a circuit."""
        self._clock = OwnClock(checked_clock(clock))
        self._circuits = Table(lambda _: self._new_circuit(), MAX_CIRCUITS, self._clock)
        self._forced: tuple[CircuitState, float] | None = None
        """The state that `force_open` or `force_closed` sets for all circuits, and since when."""
        renew_after_fork(self)

    def _after_fork(self) -> None:
        for circuit in self._circuits.values():
            circuit.probes = WeakSet()

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.get_state()['state']}, circuits={len(self._circuits)}>"

    # -- for the layer

    def _admit(self, key: Hashable, now: float, call_state: CallState | None = None) -> Permit | Refusal:
        """Return a permit for a request of this key, to be reported or withdrawn, or the reason why it must not be sent.

        `now`: seconds, monotonic. `call_state`: of the call, for the log.
        """
        circuit = self._circuits[key]
        circuit.used = True
        if circuit.state == "closed":
            return circuit.permit
        with self._circuits.lock:
            old = circuit.state
            permit = circuit.admit(now)
            new = circuit.state
            refused = Refusal(key, new, circuit.opened_by, circuit.retry_after(now))
        if old != new:
            self._tell(key, old, new, call_state)
        if permit is not None:
            return permit
        if self.dry_run:
            _log(logging.INFO, "request to %s would have been refused (dry run)", key, call_state)
            return Permit(circuit)  # a void one
        return refused

    def _recheck(self, key: Hashable, circuit: Circuit, permit: Permit | None, now: float) -> Refusal | None:
        """Return why a request that was admitted before it waited must not be sent any more; None if it may."""
        with self._circuits.lock:
            if self.dry_run or circuit.state == "closed" or permit in circuit.probes:
                return None
            circuit.refused += 1
            return Refusal(key, circuit.state, circuit.opened_by, circuit.retry_after(now))

    def _report(
        self,
        key: Hashable,
        permit: Permit,
        failed: bool,
        now: float,
        slow: bool = False,
        *,
        asked: float | None = None,
        call_state: CallState | None = None,
    ) -> None:
        """Report the outcome of a request. `asked`: the Retry-After of a 503, in seconds."""
        circuit = permit.circuit
        if not failed and not slow and circuit.noted(permit, now):
            return
        with self._circuits.lock:
            old = circuit.state
            circuit.report(permit, failed, now, slow, uniform=random.random(), asked=asked)
            new = circuit.state
            self._trips += old != new == "open"
        if old != new:
            self._tell(key, old, new, call_state)

    def _withdraw(self, permit: Permit) -> None:
        """Return a permit without an outcome: the request was cancelled, or not sent."""
        circuit = permit.circuit
        if permit is not circuit.permit:
            with self._circuits.lock:
                circuit.withdraw(permit)

    # -- for the user

    def get_state(self, key: Hashable = None, *, now: float | None = None) -> dict[str, Any]:
        """Return the circuit of this key or, without a key, the worst of all. An origin may be a URL: "https://api.example.com".

        `state`: "closed", "open" or "half_open". `failure_count`: consecutive failures, or failures within the window.
        `success_count`: successful probes, or successes within the window. `opened_at`: seconds since the epoch, None if closed.
        `retry_after`: seconds, at most, until a request is let through; None if `force_open` holds it open. `refused`: the
        number of refused requests.

        `now`: seconds, monotonic; for tests.
        """
        now, key = self._clock.monotonic() if now is None else now, self._named(key)
        with self._circuits.lock:
            if key is None:
                circuits = self._circuits.values()
                circuit = max(circuits, key=lambda one: (SEVERITY.index(one.state), one.failures), default=self._new_circuit())
            else:
                circuit = self._circuits.get(key) or self._new_circuit()
            failures, successes = circuit.counts(now)
            opened = circuit.opened_at
            return {
                "state": circuit.state,
                "failure_count": failures,
                "success_count": successes,
                "opened_at": None if opened is None else self._clock.time() - (now - opened),
                "retry_after": circuit.retry_after(now),
                "refused": circuit.refused,
            }

    def force_open(self, key: Hashable = None) -> None:
        """Refuse every request of this key, or of all keys without one, until `reset()` or `force_closed()`."""
        self._force("open", key)

    def force_closed(self, key: Hashable = None) -> None:
        """Let every request of this key, or of all keys without one, through until `reset()` or `force_open()`."""
        self._force("closed", key)

    def reset(self, key: Hashable = None) -> None:
        """Close the circuit of this key, or all circuits without one, and clear what was counted and forced."""
        self._force(None, key)

    def _named(self, key: Hashable) -> Hashable:
        """Return the key of an origin that is given as a URL."""
        if self.key is not None or not isinstance(key, str) or "://" not in key:
            return key
        url = urlsplit(key)
        return url.scheme, url.hostname, None if url.port == PORTS.get(url.scheme) else url.port

    def _force(self, state: CircuitState | None, key: Hashable) -> None:
        changes, now, key = [], self._clock.monotonic(), self._named(key)
        with self._circuits.lock:
            if key is None:
                self._forced = None if state is None else (state, now)
            else:
                self._circuits[key] = self._circuits[key]  # a forced state is kept even if the table is full
            for each in [*self._circuits] if key is None else [key]:
                circuit = self._circuits[each]
                old = circuit.state
                if state is None:
                    circuit.reset()
                else:
                    circuit.force(state, now)
                changes.append((each, old, circuit.state))
        for each, old, new in changes:
            if old != new:
                self._tell(each, old, new, None)

    def _new_circuit(self) -> Circuit:
        circuit = Circuit(self._rules)
        if self._forced is not None:
            circuit.force(*self._forced)
        return circuit

    def _tell(self, key: Hashable, old: CircuitState, new: CircuitState, call_state: CallState | None) -> None:
        """Log a change and call `on_state_change`, outside the lock."""
        level = logging.WARNING if new == "open" else logging.INFO
        _log(level, f"circuit of %s changed from {old} to {new}", key, call_state)
        if self.on_state_change is not None:
            try:
                self.on_state_change(key, old, new)
            except Exception as error:  # its text may contain the key, and the key a secret
                told = None if call_state is None else call_state.log_fields
                logger.error("Circuit breaker: on_state_change raised %s", type(error).__name__, extra=told)


def _log(level: int, text: str, key: Hashable, call_state: CallState | None) -> None:
    """Log a line with the fields of the call; without them if the user changed the state."""
    if logger.isEnabledFor(level):
        redactor, told = (DEFAULT_MASKER, None) if call_state is None else (call_state.redactor, call_state.log_fields)
        logger.log(level, f"Circuit breaker: {text}", redactor.key(key), extra=told)

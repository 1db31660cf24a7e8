"""One circuit. Time and random numbers are arguments; callers hold a lock.

An exception out of a signal handler may interrupt at any line: what would have no way back, such as an open circuit that does not
know when to be probed, is assigned in an order in which it does not come about.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple
from weakref import WeakSet

from .window import Window

CircuitState = Literal["closed", "open", "half_open"]

MAX_NOTED = 100
"""Successful calls that are noted without a lock before they are counted, at most."""


class Rules(NamedTuple):
    """The settings of a `CircuitBreaker` that decide when a circuit changes its state."""

    failure_threshold: int
    success_threshold: int
    recovery_timeout: float
    max_recovery_timeout: float
    jitter: float
    failure_rate: float | None
    slow_call_rate: float | None
    window: float
    minimum_calls: int
    half_open_max_calls: int
    half_open_timeout: float


class Permit:
    """The permission to send one request. All requests of a closed circuit share one, until its state changes."""

    __slots__ = ("__weakref__", "answered", "circuit", "overdue")

    def __init__(self, circuit: Circuit, overdue: float = math.inf) -> None:
        self.circuit = circuit
        self.answered = False
        """The head of a good response has arrived; its body may still break off."""
        self.overdue = overdue
        """When a probe is abandoned, in seconds on the monotonic clock."""


class Circuit:
    """The state of one circuit.

    An outcome counts only if its permit is valid: each change of state invalidates all earlier permits.
    """

    __slots__ = (
        "failed_recoveries",
        "failures",
        "forced",
        "opened_at",
        "opened_by",
        "permit",
        "probes",
        "refused",
        "reopens_at",
        "rules",
        "state",
        "successes",
        "troubled",
        "used",
        "window",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.used = False
        self.forced = False
        self.refused = self.opened_by = 0
        self.failed_recoveries = 0
        self._become("closed")

    def _become(self, state: CircuitState) -> None:
        rules = self.rules
        self.permit = Permit(self)
        self.probes: WeakSet[Permit] = WeakSet()
        """Those in flight. One that nobody holds any more is none."""
        if state != "open":  # an open circuit keeps what opened it
            self.failures = self.successes = 0
            self.troubled = False
        self.state: CircuitState = state
        if state == "closed":
            self.failed_recoveries = 0
            self.opened_at: float | None = None
            self.reopens_at = math.inf
            windowed = rules.failure_rate is not None or rules.slow_call_rate is not None
            self.window = Window(rules.window) if windowed else None

    def idle(self, now: float) -> bool:
        """Whether it can be forgotten: unused since the last time this was called, and not open, forced or lately probed."""
        used, self.used = self.used, False
        needed = self.state != "closed" and now < self.reopens_at + self.rules.max_recovery_timeout
        return not (used or self.forced or needed)

    # -- before a request

    def admit(self, now: float) -> Permit | None:
        """Return a permit, or None if the request must not be sent."""
        if self.state == "open" and not self.forced and now >= self.reopens_at:
            self._become("half_open")
        if self.state == "half_open":
            self._give_up_on_probes(now)  # may close it
        if self.state == "closed":
            return self.permit
        if self.state == "half_open" and len(self.probes) < self.rules.half_open_max_calls:
            probe = Permit(self, now + self.rules.half_open_timeout)
            self.probes.add(probe)
            return probe
        self.refused += 1
        return None

    def _give_up_on_probes(self, now: float) -> None:
        for probe in [probe for probe in self.probes if now >= probe.overdue]:
            if probe.answered and probe in self.probes:  # a long stream, without an error so far
                self._probed(probe)
            else:
                self.withdraw(probe)

    def retry_after(self, now: float) -> float | None:
        """Return the seconds, at most, until a request is let through; None if it is forced open."""
        if self.state == "closed":
            return 0.0
        if self.forced:
            return None
        if self.state == "open":
            return max(self.reopens_at - now, 0.0)
        if len(self.probes) < self.rules.half_open_max_calls:
            return 0.0
        return max(min((probe.overdue for probe in self.probes), default=now) - now, 0.0)

    # -- after a request

    def report(
        self, permit: Permit, failed: bool, now: float, slow: bool = False, *, uniform: float = 0.0, asked: float | None = None
    ) -> None:
        """Count an outcome.

        `uniform`: a random number from 0 to 1. `asked`: the Retry-After of a failure, in seconds.
        """
        if permit is self.permit and self.state == "closed" and not self.forced:
            window = self.window
            if window is not None:
                window.add(failed, slow, now)
            if window is not None and self.rules.failure_rate is not None:
                self.failures = window.failures
            else:
                self.failures = self.failures + 1 if failed else 0
            self.troubled = self.failures > 0 or (window is not None and window.slow > 0)
            if self.troubled and self._is_too_much():
                self._open(now, uniform, asked)
        elif permit in self.probes:
            if failed or slow:
                self.failures += 1
                self.failed_recoveries += 1
                self._open(now, uniform, asked)
            else:
                self._probed(permit)

    def withdraw(self, permit: Permit) -> None:
        """Return a permit without an outcome."""
        self.probes.discard(permit)

    def _is_too_much(self) -> bool:
        rules, window = self.rules, self.window
        if rules.failure_rate is None and self.failures >= rules.failure_threshold:
            return True
        if window is None or window.calls < rules.minimum_calls:
            return False
        return (rules.failure_rate is not None and window.failures / window.calls >= rules.failure_rate) or (
            rules.slow_call_rate is not None and window.slow / window.calls >= rules.slow_call_rate
        )

    def _probed(self, probe: Permit) -> None:
        self.probes.discard(probe)
        self.successes += 1
        if self.successes >= self.rules.success_threshold:
            self._become("closed")

    def _open(self, now: float, uniform: float, asked: float | None) -> None:
        """Open for as long as the server asks, else longer after each failed recovery."""
        rules = self.rules
        seconds = asked or rules.recovery_timeout * 2.0 ** min(self.failed_recoveries, 60)
        self.opened_by = self.failures + (self.opened_by if self.state == "half_open" else 0)
        self.opened_at = now
        self.reopens_at = now + min(seconds, rules.max_recovery_timeout) * (1 + rules.jitter * uniform)
        self._become("open")

    def noted(self, permit: Permit, now: float) -> bool:
        """Note a success without a lock if there is no failure to weigh it against; return False if it must be reported."""
        if permit is not self.permit or self.troubled:
            return False
        window = self.window
        if window is None or self.forced:
            return True
        good = window.good
        if len(good) >= MAX_NOTED:
            return False
        good.append(now)
        return True

    def counts(self, now: float) -> tuple[int, int]:
        """Return failures and successes: consecutive, within the window, or of probes."""
        window = self.window
        if self.state != "closed" or window is None:
            return self.failures, self.successes
        window.count()
        window.forget(now)
        return self.failures if self.rules.failure_rate is None else window.failures, window.calls - window.failures

    # -- by hand

    def force(self, state: CircuitState, now: float) -> None:
        """Stay in this state until `reset`."""
        self._become(state)
        self.forced = True
        if state == "open":
            self.opened_at = now
            self.reopens_at = math.inf

    def reset(self) -> None:
        """Close, and clear all counts."""
        self.forced = False
        self.refused = 0
        self._become("closed")

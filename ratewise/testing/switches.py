"""What is switched in the whole process, for clients and transports that exist already: time, waiting, retries."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, Generic, TypeVar, cast

from .._core.clock import Clock
from .._core.forks import at_fork
from ..retry.layer import RetryLayer
from .virtual_clock import SECOND, VirtualClock

C = TypeVar("C", bound=VirtualClock)
F = TypeVar("F", bound=Callable[..., Any])

SWITCHED = ("time", "monotonic", "sleep", "asleep", "within", "park", "apark", "_tracker")
"""The attributes of `Clock` that another clock takes over."""

_REAL = {name: Clock.__dict__[name] for name in SWITCHED}


class _Skipping(VirtualClock):
    """The real time, from which waits are left out when everyone waits. A wait never takes longer than with the real time."""

    def __init__(self) -> None:
        self._made = time.monotonic_ns()
        super().__init__(True, time.time())

    def _now(self) -> int:
        return time.monotonic_ns() - self._made + self._passed

    def _real(self, at: float) -> float | None:
        return max(0.0, (at - self._now()) / SECOND)


class _State:
    """What is switched on."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.installed: list[VirtualClock] = []
        self.no_waiting = self.retries_off = 0
        self.skipping: _Skipping | None = None
        self.ahead = 0.0
        """Seconds by which `Clock.monotonic` is ahead of the real time, so that it never goes back."""

    def apply(self) -> None:
        RetryLayer._off = self.retries_off > 0
        if self.skipping is not None and not self.no_waiting:
            self.skipping._let_go()
        before = Clock().monotonic()
        for clock in self.installed:
            clock._hurry(self.no_waiting > 0)
        if self.installed:
            _switch(self.installed[-1], before)
        elif self.no_waiting:
            self.skipping = self.skipping or _Skipping()
            _switch(self.skipping, before)
        else:
            self.skipping = None
            for name, value in _REAL.items():
                setattr(Clock, name, value)
            self.ahead = before - time.monotonic()
            if self.ahead > 0:
                setattr(Clock, "monotonic", staticmethod(_ahead))  # noqa: B010


def _ahead() -> float:
    """Return the seconds on a monotonic clock that never goes back: time that has passed stays passed."""
    return time.monotonic() + _STATE.ahead


def _switch(clock: VirtualClock, least: float) -> None:
    """Let all stacks without a clock of their own use `clock`, whose monotonic time is `least` at least."""
    clock._origin += max(0.0, least - clock.monotonic())
    for name in SWITCHED:
        value = getattr(clock, name)
        setattr(Clock, name, value if name == "_tracker" else staticmethod(value))


_STATE = _State()
at_fork(before=_STATE.lock.acquire, after_in_parent=_STATE.lock.release, after_in_child=_STATE.lock.release)


class _Switch(ABC):
    """A context manager and decorator. For the whole process, from the first that is entered to the last that is left."""

    @abstractmethod
    def _change(self, step: int) -> None:
        """Count it, inside `_STATE.lock`."""

    def __enter__(self) -> object:
        with _STATE.lock:
            self._change(1)
            _STATE.apply()
        return self

    def __exit__(self, *_: object) -> None:
        with _STATE.lock:
            self._change(-1)
            _STATE.apply()

    def __call__(self, function: F) -> F:
        """Return `function`, a plain, coroutine or generator function, as called within this context."""
        if isasyncgenfunction(function) or isinstance(function, type):
            raise TypeError(f"{type(self).__name__} decorates functions and coroutine functions: use `with` in {function!r}")
        if isgeneratorfunction(function):

            @wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return (yield from function(*args, **kwargs))

            return cast(F, generate)
        if iscoroutinefunction(function):

            @wraps(function)
            async def acall(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast(F, acall)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast(F, call)


class no_waiting(_Switch):  # noqa: N801  (used as a function)
    """`with no_waiting():` all waits of RateWise pass at once, in clients and transports that exist already, too.

    The waits of retries, rate limiter, circuit breaker, bulkhead and cache are skipped when everyone waits: the time that
    RateWise sees jumps to the end of the next wait, so that limits and time-outs end in their order. A wait for another call in
    progress takes as long as that call does. Never is a wait longer than without this.

    It holds for the whole process, all threads and event loops, from the first that is entered to the last that is left, and for
    the waits that begin meanwhile, which end with it. In async code it is a plain `with`, too; it can decorate plain, coroutine
    and generator functions. A stack with a clock of its own keeps that; an installed `FakeClock` becomes `auto`. Waits of other
    code (`time.sleep`, `asyncio.sleep`, the time-outs of the HTTP library) are not changed.
    """

    def _change(self, step: int) -> None:
        _STATE.no_waiting += step


class retries_off(_Switch):  # noqa: N801  (used as a function)
    """`with retries_off():` every request is sent once, whatever the retry settings, by existing clients and transports, too.

    Its first response or error is the last. It holds for the whole process, as `no_waiting` does: a call that waits for its next
    attempt when this is entered makes that one, and no further.
    """

    def _change(self, step: int) -> None:
        _STATE.retries_off += step


class Installation(_Switch, Generic[C]):
    """What `FakeClock.installed` returns."""

    def __init__(self, clock: C) -> None:
        self._clock = clock

    def __enter__(self) -> C:
        super().__enter__()
        return self._clock

    def _change(self, step: int) -> None:
        if step > 0:
            _STATE.installed.append(self._clock)
        else:
            _STATE.installed.remove(self._clock)
            if self._clock not in _STATE.installed:
                self._clock._hurry(False)
                self._clock._let_go()

"""Rate limits with time as an argument: they accept or refuse requests, and compute the least time in which N can be accepted.

Internally times are whole nanoseconds: a request at the exact instant of a reset is accepted, one nanosecond earlier refused.
"""

from __future__ import annotations

import copy
import heapq
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, Callable, Literal, NamedTuple, TypeVar, Union

from .. import _validation

EPOCH = 1_800_000_000.0
"""The default wall time at second 0 of a limit, in seconds since the epoch. A multiple of the usual windows."""

SECOND = 10**9
"""Nanoseconds."""

LimitT = TypeVar("LimitT", bound="Limit")
_Instant = Union[int, float]  # nanoseconds; -inf: before every request
_Opens = Callable[[int], int]


class Quota(NamedTuple):
    """The state of a limit just after a request. Times are whole nanoseconds, so that rounding them is exact."""

    accepted: bool
    limit: int
    """Requests in a window, in a burst, or at a time."""
    per: int
    """The length of the window, the time in which an empty bucket fills, or the time that a request takes."""
    remaining: int
    wait: int
    """Time until one more request would be accepted; 0: now."""
    reset: int
    """Time until the whole quota is available again."""
    wall: int
    """Time since the epoch, on the server's clock."""
    unit: str = "requests"
    """What is counted: "requests" or "concurrent-requests"."""

    @property
    def retry_after(self) -> int:
        """Whole seconds, rounded up, until one more request would be accepted."""
        return up(self.wait)

    @property
    def reset_after(self) -> int:
        """Whole seconds, rounded up, until the whole quota is available again."""
        return up(self.reset)

    @property
    def reset_at(self) -> int:
        """When the whole quota is available again, in whole seconds since the epoch, rounded up."""
        return up(self.wall + self.reset)


class Limit(ABC):
    """The base class of the limits: `limit` requests per `per` seconds.

    - `changes`: pairs of a second and the limit from then on, ascending.
    - `shuts_out`: seconds for which all requests are refused after one that exceeds the limit; 0: not at all.
    - `epoch`: the wall time at second 0, in seconds since the epoch. A `LimitedServer` sets it from its clock.

    `accepted` and `refused` count the requests, `shutouts` the times that the limit began to refuse everything.
    """

    takes = 0.0
    """Seconds that the server works on an accepted request."""

    unit = "requests"
    """What is counted."""

    def __init__(
        self,
        limit: int,
        per: float,
        *,
        changes: Sequence[tuple[float, int]] = (),
        shuts_out: float = 0.0,
        epoch: float = EPOCH,
    ) -> None:
        self.accepted = self.refused = self.shutouts = 0
        self._first = _validation.whole("limit", limit, least=1)
        self._per = _period("per", per)
        self._changes = [(_instant("changes", at), _validation.whole("changes", size, least=1)) for at, size in changes]
        if [at for at, _ in self._changes] != sorted({at for at, _ in self._changes}):
            raise ValueError(
                _validation.refusal("changes", changes, "pairs of a second and a limit, in ascending order of the seconds")
            )
        self._shuts = _instant("shuts_out", shuts_out)
        self._shut_until: _Instant = -math.inf
        self._epoch = _instant("epoch", epoch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._first}, {self._per / SECOND:g})"

    def take(self, now: float) -> Quota:
        """Count a request at second `now`; return whether it is accepted, and the state after it. `now` never decreases."""
        at = nanoseconds(now)
        fits, shut = self._fits(at), at < self._shut_until
        accepted = fits and not shut
        if self._shuts and not (accepted or shut):
            self.shutouts += 1
            self._shut_until = at + self._shuts
        self.accepted += accepted
        self.refused += not accepted
        self._count(at, accepted)
        size, remaining, wait, reset = self._state(at)
        wait = max(wait, int(max(self._shut_until - at, 0)))
        return Quota(accepted, size, self._per, remaining, wait, reset, at + self._epoch, self.unit)

    def fastest(self, n: int, start: float = 0.0, *, outages: Sequence[tuple[float, float]] = ()) -> float:
        """Return the least number of seconds in which `n` requests can be accepted, from second `start` on, if none came before.

        Exact, without latency: no client can be faster, and one that knows the limit is as fast. `outages`: pairs of the second
        in which a period begins, and the second in which it ends, in which the server accepts nothing.
        """
        closed = sorted((nanoseconds(since), nanoseconds(until)) for since, until in outages)

        def opens(at: int) -> int:
            """Return the first instant from `at` on that is in no outage."""
            for since, until in closed:
                if since <= at < until:
                    at = until
            return at

        begin = nanoseconds(start)
        return (self._finish(n, begin, opens) - begin) / SECOND if n > 0 else 0.0

    def limit_at(self, at: _Instant) -> int:
        """Return the limit at an instant in nanoseconds."""
        return next((size for since, size in reversed(self._changes) if since <= at), self._first)

    def copy(self: LimitT, *, epoch: float | None = None) -> LimitT:
        """Return a copy that counts on its own, with another `epoch` if one is given."""
        copied = copy.deepcopy(self)
        if epoch is not None:
            copied._epoch = _instant("epoch", epoch)
        return copied

    def _after(self, at: _Instant) -> list[int]:
        """Return the instants after `at` when the limit changes."""
        return [since for since, _ in self._changes if since > at]

    @abstractmethod
    def _fits(self, at: int) -> bool:
        """Bring the state to an instant; return whether a request is within the limit."""

    @abstractmethod
    def _count(self, at: int, accepted: bool) -> None:
        """Count a request that was accepted or refused at the instant given to `_fits` before."""

    @abstractmethod
    def _state(self, at: int) -> tuple[int, int, int, int]:
        """Return limit, remaining, wait and reset of a `Quota` at the same instant."""

    @abstractmethod
    def _finish(self, n: int, start: int, opens: _Opens) -> int:
        """Return the earliest instant when the last of `n` requests can be accepted, if there are none before `start`.

        `opens` returns the first instant from another one on when the server is available.
        """


class FixedWindow(Limit):
    """A counter that restarts with each window of `per` seconds; the limit of a window is the one at its beginning.

    `anchor`: "first": a window begins with the first request after the previous one, as with Redis's INCR and EXPIRE. "wall":
    windows begin at multiples of their length since the epoch.
    """

    def __init__(
        self,
        limit: int,
        per: float,
        *,
        anchor: Literal["first", "wall"] = "first",
        changes: Sequence[tuple[float, int]] = (),
        shuts_out: float = 0.0,
        epoch: float = EPOCH,
    ) -> None:
        super().__init__(limit, per, changes=changes, shuts_out=shuts_out, epoch=epoch)
        if anchor not in ("first", "wall"):
            raise ValueError(_validation.refusal("anchor", anchor, '"first" or "wall"'))
        self._anchor = anchor
        self._end: _Instant = -math.inf
        self._size = self._left = 0

    def _begin(self, at: int) -> int:
        """Return the beginning of a window whose first request is at an instant."""
        return at if self._anchor == "first" else at - (at + self._epoch) % self._per

    def _fits(self, at: int) -> bool:
        if at >= self._end:
            begin = self._begin(at)
            self._end, self._size = begin + self._per, self.limit_at(begin)
            self._left = self._size
        return self._left > 0

    def _count(self, at: int, accepted: bool) -> None:
        self._left -= accepted

    def _state(self, at: int) -> tuple[int, int, int, int]:
        reset = int(self._end) - at
        return self._size, self._left, 0 if self._left else reset, reset

    def _finish(self, n: int, start: int, opens: _Opens) -> int:
        """Search all ways to open windows: a client may profit from opening a window later, with a greater limit."""
        ways, most = [(start, 0)], 1  # when the next window can begin, and the requests accepted by then, negated
        while True:
            free, accepted = heapq.heappop(ways)
            if -accepted >= n:
                return free
            if accepted >= most:
                continue  # another way accepted as many earlier
            most = accepted
            for at in (free, *(self._after(free) if self._anchor == "first" else ())):
                opened = opens(at)
                begin = self._begin(opened)
                reached = accepted - self.limit_at(begin)
                heapq.heappush(ways, (opened if -reached >= n else begin + self._per, reached))


class SlidingWindow(Limit):
    """A log of the accepted requests: at most `limit` in any period of `per` seconds."""

    def __init__(
        self,
        limit: int,
        per: float,
        *,
        changes: Sequence[tuple[float, int]] = (),
        shuts_out: float = 0.0,
        epoch: float = EPOCH,
    ) -> None:
        super().__init__(limit, per, changes=changes, shuts_out=shuts_out, epoch=epoch)
        self._taken: deque[int] = deque()

    def _fits(self, at: int) -> bool:
        while self._taken and self._taken[0] <= at - self._per:
            self._taken.popleft()
        return len(self._taken) < self.limit_at(at)

    def _count(self, at: int, accepted: bool) -> None:
        self._taken.extend([at] * accepted)

    def _state(self, at: int) -> tuple[int, int, int, int]:
        size = self.limit_at(at)
        over = len(self._taken) - size
        wait = self._taken[over] + self._per - at if over >= 0 else 0
        return size, max(-over, 0), wait, self._taken[-1] + self._per - at if self._taken else 0

    def _finish(self, n: int, start: int, opens: _Opens) -> int:
        """Take each place as early as possible: the earlier it is taken, the earlier it is free again."""
        taken: list[int] = []
        at = start
        for _ in range(n):
            while True:
                size = self.limit_at(at)
                soonest = opens(max(at, taken[-size] + self._per) if len(taken) >= size else at)
                if soonest == at:
                    break
                at = min([soonest, *self._after(at)])
            taken.append(at)
        return at


class ConcurrencyLimit(SlidingWindow):
    """At most `limit` requests at a time. Each takes the server `takes` seconds, above 0; refusing takes it none."""

    unit = "concurrent-requests"

    def __init__(
        self,
        limit: int,
        takes: float,
        *,
        changes: Sequence[tuple[float, int]] = (),
        shuts_out: float = 0.0,
        epoch: float = EPOCH,
    ) -> None:
        _period("takes", takes)
        # A request in progress is one that was accepted less than `takes` seconds ago.
        super().__init__(limit, takes, changes=changes, shuts_out=shuts_out, epoch=epoch)
        self.takes = self._per / SECOND


class TokenBucket(Limit):
    """A bucket of `limit` tokens that fills continuously, from empty in `per` seconds. A request takes one.

    `penalty`: a refused request takes one too, down to a debt of `limit`.
    """

    def __init__(
        self,
        limit: int,
        per: float,
        *,
        penalty: bool = False,
        changes: Sequence[tuple[float, int]] = (),
        shuts_out: float = 0.0,
        epoch: float = EPOCH,
    ) -> None:
        super().__init__(limit, per, changes=changes, shuts_out=shuts_out, epoch=epoch)
        self._penalty = _validation.flag("penalty", penalty)
        self._at = 0
        self._level = self._full = self._first * self._per

    def _filled(self, since: int, level: int, at: int) -> int:
        """Return a level at a later instant. A token counts as `per`: each nanosecond adds `limit`, and levels are integers."""
        for until in (*(change for change in self._after(since) if change < at), at):
            size = self.limit_at(since)
            level, since = min(level + size * (until - since), size * self._per), until
        return min(level, self.limit_at(at) * self._per)

    def _fits(self, at: int) -> bool:
        self._level, self._at = self._filled(self._at, self._level, at), at
        return self._level >= self._per

    def _count(self, at: int, accepted: bool) -> None:
        if accepted or self._penalty:
            self._level = max(self._level - self._per, -self.limit_at(at) * self._per)

    def _state(self, at: int) -> tuple[int, int, int, int]:
        size = self.limit_at(at)
        wait, reset = (max(0, -(-(level - self._level) // size)) for level in (self._per, size * self._per))
        return size, max(0, self._level // self._per), wait, reset

    def _finish(self, n: int, start: int, opens: _Opens) -> int:
        """Take each token as early as possible: that only makes room in the bucket."""
        since, level = start, self._filled(0, self._full, start)
        for _ in range(n):
            while True:
                full = since - (level - self._per) // self.limit_at(since)
                at = opens(since) if level >= self._per else min([full, *self._after(since)])
                if at == since:
                    break
                level, since = self._filled(since, level, at), at
            level -= self._per
        return since


def nanoseconds(seconds: float) -> int:
    """Round seconds to whole nanoseconds, so that errors of floating point move no instant."""
    return round(seconds * SECOND)


def up(number: int, unit: int = SECOND) -> int:
    """Convert nanoseconds to whole units, rounded up."""
    return -(-number // unit)


def _instant(setting: str, value: Any) -> int:
    return nanoseconds(_validation.seconds(setting, value))


def _period(setting: str, value: Any) -> int:
    """Return seconds above 0 as at least one nanosecond."""
    return max(1, nanoseconds(_validation.seconds(setting, value, above_zero=True)))

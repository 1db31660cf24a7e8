"""Policies of rate-limited servers, with time as an argument: they enforce a limit, count, and compute the least possible time.

Internally times are whole nanoseconds: a request at the exact instant of a reset is accepted, one nanosecond earlier refused.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from email.utils import formatdate
from functools import partial
from typing import Callable, Literal, NamedTuple, Union

EPOCH = 1_800_000_000.0
"""The default wall time at a server's second 0, in seconds since the epoch. A multiple of the usual windows."""

SECOND = 10**9

Headers = list[tuple[str, str]]
Instant = Union[int, float]
"""Nanoseconds on the server's clock. -inf: before every request."""


class Reply(NamedTuple):
    """A policy's answer to a request."""

    status: int
    headers: Headers
    seconds: float = 0.0
    """Seconds that the server works on the request."""


class Quota(NamedTuple):
    """The state of a policy just after a request. Times in nanoseconds."""

    accepted: bool
    size: int
    """Requests in a window, or in a burst."""
    per: int
    """The length of the window, or the time in which an empty bucket fills."""
    remaining: int
    wait: int
    """Time until one more request would be accepted; 0: now."""
    whole: int
    """Time until the whole quota is available again."""
    wall: int
    """The time since the epoch, on the server's clock."""


Speak = Callable[[Quota], Headers]
"""Returns the header fields that a server sends for a quota."""


class Policy(ABC):
    """One limit for all requests: `limit` in `seconds`.

    - `speak`: makes the header fields of an answer, in addition to `Date`.
    - `changes`: pairs of a second on the server's clock and the limit from then on, ascending.
    - `epoch`: the wall time at the server's second 0. `date_skew`: seconds by which its wall clock is fast.

    - `refusal`: the status of a refusal.

    `accepted` and `refused` count the answers. `latency`: seconds from sending a request to receiving its answer.
    """

    latency = 0.02

    def __init__(
        self,
        limit: int,
        seconds: float,
        speak: Speak,
        *,
        changes: Sequence[tuple[float, int]] = (),
        epoch: float = EPOCH,
        date_skew: float = 0.0,
        refusal: int = 429,
    ) -> None:
        self.accepted = self.refused = 0
        self._refusal = refusal
        self._per = nanoseconds(seconds)
        self._speak = speak
        self._first = limit
        self._changes = [(nanoseconds(at), size) for at, size in changes]
        self._epoch = nanoseconds(epoch)
        self._skew = nanoseconds(date_skew)

    def answer(self, now: float) -> Reply:
        """Accept (200) or refuse a request at second `now` of the server's clock, which never decreases."""
        at = nanoseconds(now)
        quota = self._take(at, at + self._epoch + self._skew)
        self.accepted += quota.accepted
        self.refused += not quota.accepted
        date = ("Date", formatdate(quota.wall // SECOND, usegmt=True))
        return Reply(200 if quota.accepted else self._refusal, [date, *self._speak(quota)], self._works(quota))

    def _works(self, quota: Quota) -> float:
        """Seconds that the server works on a request."""
        return 0.0

    def fastest(self, n: int, elapsed_start: float = 0.0) -> float:
        """Return the least number of seconds in which `n` requests can be accepted, from `elapsed_start` on an unused server.

        Exact, without latency: no client can be faster, and one that knows the limit is as fast.
        """
        start = nanoseconds(elapsed_start)
        return (self._finish(n, start) - start) / SECOND if n > 0 else 0.0

    def limit(self, at: Instant) -> int:
        """Return the limit at a time."""
        return next((size for since, size in reversed(self._changes) if since <= at), self._first)

    def _after(self, at: Instant) -> list[int]:
        """Return the times after `at` when the limit changes."""
        return [since for since, _ in self._changes if since > at]

    @abstractmethod
    def _take(self, at: int, wall: int) -> Quota:
        """Accept or refuse a request, and return the state after it."""

    @abstractmethod
    def _finish(self, n: int, start: int) -> int:
        """Return the earliest time when the last of `n` requests can be accepted, if there are none before `start`."""


class Window(Policy):
    """A counter that restarts with each window; the limit of a window is the one at its beginning.

    `anchor`: "first": a window begins with the first request after the previous one, as with Redis's INCR and EXPIRE. "wall":
    windows begin at multiples of their length since the epoch.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        speak: Speak,
        *,
        anchor: Literal["first", "wall"] = "first",
        changes: Sequence[tuple[float, int]] = (),
        epoch: float = EPOCH,
        date_skew: float = 0.0,
    ) -> None:
        super().__init__(limit, seconds, speak, changes=changes, epoch=epoch, date_skew=date_skew)
        self._anchor = anchor
        self._end: Instant = -math.inf
        self._size = self._left = 0

    def _begin(self, at: int) -> int:
        """Return the beginning of a window whose first request is at a time."""
        return at if self._anchor == "first" else at - (at + self._epoch) % self._per

    def _take(self, at: int, wall: int) -> Quota:
        if at >= self._end:
            begin = self._begin(at)
            self._end, self._size = begin + self._per, self.limit(begin)
            self._left = self._size
        accepted = self._left > 0
        self._left -= accepted
        turn = int(self._end) - at
        return Quota(accepted, self._size, self._per, self._left, 0 if self._left else turn, turn, wall)

    def _finish(self, n: int, start: int) -> int:
        """Search all ways to open windows: a client may profit from opening a window later, with a greater limit."""
        ways, most = [(start, 0)], 1  # when the next window can begin, and the requests accepted by then, negated
        while True:
            free, accepted = heapq.heappop(ways)
            if -accepted >= n:
                return free
            if accepted >= most:
                continue  # another way accepted as many earlier
            most = accepted
            for opened in (free, *(self._after(free) if self._anchor == "first" else ())):
                begin = self._begin(opened)
                reached = accepted - self.limit(begin)
                heapq.heappush(ways, (opened if -reached >= n else begin + self._per, reached))


class Bucket(Policy):
    """A bucket of `limit` tokens, refilled continuously in `seconds`. A request takes one.

    - `penalty`: a refused request takes one too, down to a debt of `limit`.
    - `shuts`: seconds for which all requests are refused after one too many. `penalties` counts these periods.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        speak: Speak,
        *,
        penalty: bool = False,
        shuts: float = 0.0,
        changes: Sequence[tuple[float, int]] = (),
        epoch: float = EPOCH,
        date_skew: float = 0.0,
        refusal: int = 429,
    ) -> None:
        super().__init__(limit, seconds, speak, changes=changes, epoch=epoch, date_skew=date_skew, refusal=refusal)
        self._penalty = penalty
        self.penalties = 0
        self._shuts = nanoseconds(shuts)
        self._shut_until: Instant = -math.inf
        self._at: Instant = -math.inf
        self._level = 0

    def _filled(self, since: Instant, level: int, at: int) -> int:
        """Return a level at a later time. A token counts as `per`: each nanosecond adds `limit`, and levels are integers."""
        for until in (*(change for change in self._after(since) if change < at), at):
            size = self.limit(since)
            level, since = min(level + size * (until - since), size * self._per), until  # type: ignore[assignment]
        return min(level, self.limit(at) * self._per)

    def _take(self, at: int, wall: int) -> Quota:
        self._level, self._at = self._filled(self._at, self._level, at), at
        size, per = self.limit(at), self._per
        shut = at < self._shut_until
        accepted = self._level >= per and not shut
        if self._shuts and not accepted and not shut:
            self.penalties += 1
            self._shut_until = at + self._shuts
        if accepted or self._penalty:
            self._level = max(self._level - per, -size * per)
        wait, whole = (max(0, -(-(level - self._level) // size)) for level in (per, size * per))
        wait = max(wait, int(max(self._shut_until - at, 0)))
        return Quota(accepted, size, per, max(0, self._level // per), wait, whole, wall)

    def _finish(self, n: int, start: int) -> int:
        """Take each token as early as possible: that only makes room in the bucket."""
        since, level = start, self._filled(-math.inf, 0, start)
        for _ in range(n):
            while level < self._per:
                at = min([since - (level - self._per) // self.limit(since), *self._after(since)])
                level, since = self._filled(since, level, at), at
            level -= self._per
        return since


class Slots(Policy):
    """At most `limit` requests at a time; each takes `seconds`, including the time to the server and back."""

    latency = 0.0

    def __init__(self, limit: int, seconds: float, speak: Speak, *, epoch: float = EPOCH, refusal: int = 429) -> None:
        super().__init__(limit, seconds, speak, epoch=epoch, refusal=refusal)
        self._ends: tuple[int, ...] = ()
        """When the requests in progress end, ascending."""

    def _take(self, at: int, wall: int) -> Quota:
        self._ends = tuple(end for end in self._ends if end > at)
        accepted = len(self._ends) < self._first
        if accepted:
            self._ends += (at + self._per,)
        left = self._first - len(self._ends)
        wait = 0 if left else self._ends[0] - at
        return Quota(accepted, self._first, self._per, left, wait, self._ends[-1] - at, wall)

    def _works(self, quota: Quota) -> float:
        return self._per / SECOND if quota.accepted else 0.0

    def _finish(self, n: int, start: int) -> int:
        return start + (-(-n // self._first) - 1) * self._per


class Down:
    """A server that answers 503 from second `since` to `until`; `sent` counts these answers."""

    def __init__(self, policy: Policy, since: float, until: float) -> None:
        self._policy = policy
        self.since, self.until, self.latency = since, until, policy.latency
        self.sent = 0

    def answer(self, now: float) -> Reply:
        """Answer a request as the policy does, or with 503 during the outage."""
        if not self.since <= now < self.until:
            return self._policy.answer(now)
        self.sent += 1
        return Reply(503, [])


def xratelimit(quota: Quota) -> Headers:
    """X-RateLimit-*, with the reset in whole seconds since the epoch, and Retry-After in whole seconds."""
    reset = _up(quota.wall + quota.whole, SECOND)
    told = [("X-RateLimit-Limit", str(quota.size)), ("X-RateLimit-Remaining", str(quota.remaining))]
    return [*told, ("X-RateLimit-Reset", str(reset)), *retry_after(quota)]


def ietf(quota: Quota) -> Headers:
    """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), without Retry-After."""
    told = f'"default";r={quota.remaining};t={_up(quota.whole, SECOND)}'
    return [("RateLimit-Policy", f'"default";q={quota.size};w={quota.per // SECOND}'), ("RateLimit", told)]


def openai(quota: Quota) -> Headers:
    """x-ratelimit-*-requests, with the reset as a Go duration, and the wait in milliseconds and in seconds."""
    told = [("x-ratelimit-limit-requests", str(quota.size)), ("x-ratelimit-remaining-requests", str(quota.remaining))]
    told.append(("x-ratelimit-reset-requests", go_duration(_up(quota.whole, 10**6))))
    if not quota.accepted:
        told.append(("retry-after-ms", str(_up(quota.wait, 10**6))))
    return [*told, *((name.lower(), value) for name, value in retry_after(quota))]


def anthropic(quota: Quota) -> Headers:
    """anthropic-ratelimit-requests-*, with the time of a full quota in RFC 3339, and Retry-After in whole seconds."""
    full = datetime.fromtimestamp(_up(quota.wall + quota.whole, SECOND), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = [("limit", str(quota.size)), ("remaining", str(quota.remaining)), ("reset", full)]
    return [*((f"anthropic-ratelimit-requests-{name}", value) for name, value in told), *retry_after(quota)]


def retry_after(quota: Quota) -> Headers:
    """Only Retry-After, in whole seconds, in refusals."""
    return [] if quota.accepted else [("Retry-After", str(_up(quota.wait, SECOND)))]


def nothing(quota: Quota) -> Headers:
    """No header fields."""
    return []


def go_duration(milliseconds: int) -> str:
    """Format a duration as Go's `time.Duration` does: "52ms", "1.02s", "6m0s"."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}.{rest % 1000:03}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + seconds


def nanoseconds(seconds: float) -> int:
    """Round to whole nanoseconds, so that float errors move no instant."""
    return round(seconds * SECOND)


def _up(number: int, unit: int) -> int:
    """Convert to whole units, rounded up."""
    return -(-number // unit)


STYLES: Mapping[str, Callable[..., Policy]] = {
    "window": partial(Window, 100, 5, xratelimit),
    "ietf": partial(Window, 100, 5, ietf),
    "openai": partial(Bucket, 20, 1, openai),
    "anthropic": partial(Bucket, 50, 60, anthropic),
    "penalty": partial(Bucket, 20, 1, openai, penalty=True),
    "halved": partial(Window, 100, 5, xratelimit, changes=((10, 50), (20, 100))),
    "seconds": partial(Bucket, 20, 1, retry_after),
    "bare": partial(Bucket, 20, 1, nothing),
    "bare-window": partial(Window, 100, 5, nothing),
    "bare-halved": partial(Bucket, 20, 1, nothing, changes=((10, 10), (20, 20))),
    "shuts": partial(Bucket, 20, 1, retry_after, shuts=5, refusal=403),
    "slots": partial(Slots, 8, 0.2, nothing, refusal=503),
}
"""Makers of policies, of about 20 requests a second each. `STYLES["window"](anchor="wall", date_skew=30)` makes one."""


def away(epoch: float = EPOCH) -> Down:
    """A server with a limit of 200 requests a second that is unavailable from second 2 to 7."""
    return Down(Bucket(200, 1, nothing, epoch=epoch), 2, 7)


def unlimited(epoch: float = EPOCH) -> Policy:
    """A server that accepts every request."""
    return Window(10**9, 1, nothing, epoch=epoch)

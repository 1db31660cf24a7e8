"""Policies of rate-limited servers, with time as an argument: they enforce a limit, count, and know the least possible time.

Inside, times are whole nanoseconds: what is refused one instant before a limit turns is accepted at that instant exactly.
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
"""The wall time at a server's second 0, unless it is told another one. A multiple of the usual windows."""

SECOND = 10**9

Headers = list[tuple[str, str]]
Instant = Union[int, float]
"""Nanoseconds on the server's clock. -inf: before everything."""


class Reply(NamedTuple):
    """What a policy answers."""

    status: int
    headers: Headers
    seconds: float = 0.0
    """How long the server works on it."""


class Quota(NamedTuple):
    """How a policy stands just after a request. Times in nanoseconds."""

    accepted: bool
    size: int
    """Requests in a window, or in a burst."""
    per: int
    """The length of the window, or how long an empty bucket takes to fill."""
    remaining: int
    wait: int
    """Until one more would be accepted; 0: now."""
    whole: int
    """Until all of it is there again."""
    wall: int
    """The time since the epoch, by the server's clock."""


Speak = Callable[[Quota], Headers]
"""What of a quota is told, and how."""


class Policy(ABC):
    """One limit for all requests: `limit` in `seconds`.

    - `speak`: the dialect of its headers. It always sends a `Date` besides.
    - `changes`: pairs of a second on the server's clock, and the limit from then on; ascending.
    - `epoch`: the wall time at the server's second 0. `date_skew`: seconds that its wall clock is fast.

    - `refusal`: the status of a refusal.

    `accepted` and `refused` count what it answered. `latency`: seconds that a request and its answer are on the way.
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
        """Accept (200) or refuse a request that comes at second `now` of the server's clock, which never runs back."""
        at = nanoseconds(now)
        quota = self._take(at, at + self._epoch + self._skew)
        self.accepted += quota.accepted
        self.refused += not quota.accepted
        date = ("Date", formatdate(quota.wall // SECOND, usegmt=True))
        return Reply(200 if quota.accepted else self._refusal, [date, *self._speak(quota)], self._works(quota))

    def _works(self, quota: Quota) -> float:
        """Seconds that it works on a request."""
        return 0.0

    def fastest(self, n: int, elapsed_start: float = 0.0) -> float:
        """Seconds in which `n` requests can be accepted at the least, by a cold server whose clock shows `elapsed_start`.

        Without latency, and exactly: no client can be faster, and one that knows everything is as fast.
        """
        start = nanoseconds(elapsed_start)
        return (self._finish(n, start) - start) / SECOND if n > 0 else 0.0

    def limit(self, at: Instant) -> int:
        """The limit at a time."""
        return next((size for since, size in reversed(self._changes) if since <= at), self._first)

    def _after(self, at: Instant) -> list[int]:
        """The times after `at` when the limit changes."""
        return [since for since, _ in self._changes if since > at]

    @abstractmethod
    def _take(self, at: int, wall: int) -> Quota:
        """Decide about a request."""

    @abstractmethod
    def _finish(self, n: int, start: int) -> int:
        """When the last of `n` requests is accepted at the earliest, if none came before `start`."""


class Window(Policy):
    """A counter that starts anew with each window, of the limit that holds when the window begins.

    `anchor`: "first": a window begins with the first request that finds none, as Redis's INCR and EXPIRE have it. "wall":
    windows begin at the multiples of their length since the epoch.
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
        """When the window begins that is opened at a time."""
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
        """The best of all ways: who may choose when a window begins may do well to wait for a greater limit."""
        ways, most = [(start, 0)], 1  # when the next window can begin, and how many were accepted by then, negative
        while True:
            free, accepted = heapq.heappop(ways)
            if -accepted >= n:
                return free
            if accepted >= most:
                continue  # another way came as far, and earlier
            most = accepted
            for opened in (free, *(self._after(free) if self._anchor == "first" else ())):
                begin = self._begin(opened)
                reached = accepted - self.limit(begin)
                heapq.heappush(ways, (opened if -reached >= n else begin + self._per, reached))


class Bucket(Policy):
    """Tokens that come back all the time, `limit` in `seconds`, and are saved up to `limit`. A request takes one.

    - `penalty`: a refusal takes one too, on credit, down to a debt of `limit`.
    - `shuts`: seconds for which a request too many shuts everyone out. `penalties` counts how often that was.
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
        """What a level has grown to. A token counts as `per`, so that a nanosecond brings `limit`, and all is whole."""
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
        """Each as early as can be: what is taken early only makes room."""
        since, level = start, self._filled(-math.inf, 0, start)
        for _ in range(n):
            while level < self._per:
                at = min([since - (level - self._per) // self.limit(since), *self._after(since)])
                level, since = self._filled(since, level, at), at
            level -= self._per
        return since


class Slots(Policy):
    """At most `limit` requests at a time, each of which takes `seconds`, the way there and back included."""

    latency = 0.0

    def __init__(self, limit: int, seconds: float, speak: Speak, *, epoch: float = EPOCH, refusal: int = 429) -> None:
        super().__init__(limit, seconds, speak, epoch=epoch, refusal=refusal)
        self._ends: tuple[int, ...] = ()
        """When those are done that are worked on, in order."""

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
    """A server that is away from second `since` to `until`: whatever comes then gets a 503, which `sent` counts."""

    def __init__(self, policy: Policy, since: float, until: float) -> None:
        self._policy = policy
        self.since, self.until, self.latency = since, until, policy.latency
        self.sent = 0

    def answer(self, now: float) -> Reply:
        """See `Policy`."""
        if not self.since <= now < self.until:
            return self._policy.answer(now)
        self.sent += 1
        return Reply(503, [])


def xratelimit(quota: Quota) -> Headers:
    """X-RateLimit-*, the reset in whole epoch seconds, and a Retry-After in whole seconds."""
    reset = _up(quota.wall + quota.whole, SECOND)
    told = [("X-RateLimit-Limit", str(quota.size)), ("X-RateLimit-Remaining", str(quota.remaining))]
    return [*told, ("X-RateLimit-Reset", str(reset)), *retry_after(quota)]


def ietf(quota: Quota) -> Headers:
    """RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers has them; no Retry-After."""
    told = f'"default";r={quota.remaining};t={_up(quota.whole, SECOND)}'
    return [("RateLimit-Policy", f'"default";q={quota.size};w={quota.per // SECOND}'), ("RateLimit", told)]


def openai(quota: Quota) -> Headers:
    """x-ratelimit-*-requests, the reset as a Go duration, and how long to wait in milliseconds and in seconds."""
    told = [("x-ratelimit-limit-requests", str(quota.size)), ("x-ratelimit-remaining-requests", str(quota.remaining))]
    told.append(("x-ratelimit-reset-requests", go_duration(_up(quota.whole, 10**6))))
    if not quota.accepted:
        told.append(("retry-after-ms", str(_up(quota.wait, 10**6))))
    return [*told, *((name.lower(), value) for name, value in retry_after(quota))]


def anthropic(quota: Quota) -> Headers:
    """anthropic-ratelimit-requests-*, when it will be full in RFC 3339, and Retry-After in whole seconds."""
    full = datetime.fromtimestamp(_up(quota.wall + quota.whole, SECOND), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = [("limit", str(quota.size)), ("remaining", str(quota.remaining)), ("reset", full)]
    return [*((f"anthropic-ratelimit-requests-{name}", value) for name, value in told), *retry_after(quota)]


def retry_after(quota: Quota) -> Headers:
    """Nothing but a Retry-After in whole seconds, in a refusal."""
    return [] if quota.accepted else [("Retry-After", str(_up(quota.wait, SECOND)))]


def nothing(quota: Quota) -> Headers:
    """Not a word."""
    return []


def go_duration(milliseconds: int) -> str:
    """As Go's `time.Duration` prints itself: "52ms", "1.02s", "6m0s"."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000}.{rest % 1000:03}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + seconds


def nanoseconds(seconds: float) -> int:
    """To the nearest one, so that no rounding of floats moves an instant."""
    return round(seconds * SECOND)


def _up(number: int, unit: int) -> int:
    """In whole units, rounded up."""
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
"""About 20 requests a second each. `STYLES["window"](anchor="wall", date_skew=30)` makes one."""


def away(epoch: float = EPOCH) -> Down:
    """A server that takes 200 a second, and is away from second 2 to 7."""
    return Down(Bucket(200, 1, nothing, epoch=epoch), 2, 7)


def unlimited(epoch: float = EPOCH) -> Policy:
    """A server that takes whatever comes."""
    return Window(10**9, 1, nothing, epoch=epoch)

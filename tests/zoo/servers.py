"""Servers in virtual time: what they allow, tell, break and count. Second 0 is the beginning of a run."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from ratewise._http.dates import http_date_of
from ratewise.testing import ConcurrencyLimit, FixedWindow, Limit, Reply, SlidingWindow, TokenBucket
from ratewise.testing.families import FAMILIES
from ratewise.testing.limits import EPOCH, SECOND, Quota, nanoseconds

KINDS = {"window": FixedWindow, "sliding": SlidingWindow, "bucket": TokenBucket, "slots": ConcurrencyLimit}

TELLING = frozenset(FAMILIES) - {
    "nothing",
    "retry-after",
    "retry-after-date",
    "stripe",
    "slack",
    "notion",
    "google",
    "github-secondary",
}
"""The families that tell what remains. The others say at most how long to wait."""


class Brief:
    """Shows only what differs from the defaults."""

    def __repr__(self) -> str:
        given = [each for each in fields(self) if getattr(self, each.name) != each.default]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{each.name}={getattr(self, each.name)!r}' for each in given)})"


@dataclass(frozen=True, repr=False)
class Rule(Brief):
    """One limit: `limit` requests in `per` seconds (of slots: at a time, each of which takes `per`)."""

    kind: str = "window"
    limit: int = 100
    per: float = 5.0
    tells: str | None = None
    """A header family; None: a bare refusal."""
    refusal: int | None = None
    """The status of refusals; None: that of the family."""
    routes: tuple[str, ...] = ()
    """The routes that it binds; (): all."""
    apart: bool = False
    """Whether each route is counted by itself."""
    changes: tuple[tuple[float, int], ...] = ()
    shuts_out: float = 0.0
    since: float = 0.0
    until: float = math.inf
    """From when until when it holds."""
    penalty: bool = False
    """Of a bucket: whether refused requests are counted too."""
    wall: bool = False
    """Of a window: whether it turns with the wall clock, instead of beginning with the first request."""
    spent: int = 0
    """How much of it is used up when the first request comes."""

    def build(self) -> Limit:
        extra: dict[str, Any] = {"changes": self.changes, "shuts_out": self.shuts_out}
        if self.kind == "bucket":
            extra["penalty"] = self.penalty
        if self.kind == "window" and self.wall:
            extra["anchor"] = "wall"
        limit: Limit = KINDS[self.kind](self.limit, self.per, **extra)
        return limit

    def begin(self, now: float) -> Limit:
        """Return a limit in use."""
        limit = self.build()
        for _ in range(self.spent):
            limit.take(now)
        return limit

    @property
    def told(self) -> bool:
        """Whether answers tell what remains."""
        return self.tells in TELLING

    @property
    def per_second(self) -> float:
        return min([self.limit, *(size for _, size in self.changes)]) / self.per

    def binds(self, route: str, now: float = 0.0) -> bool:
        return self.since <= now < self.until and (not self.routes or route in self.routes)


class Outage(NamedTuple):
    """From `since` to `until`: "503", "refused" (port), "reset", "hang", "429"."""

    since: float
    until: float
    how: str = "503"


@dataclass(frozen=True, repr=False)
class Spec(Brief):
    """A server. Times in seconds."""

    name: str = ""
    rules: tuple[Rule, ...] = ()
    latency: float = 0.02
    """From sending to the answer; the server counts after half of it."""
    jitter: float = 0.0
    """At most added to each half."""
    takes: float = 0.0
    """What the server works on an accepted request."""
    refusal_takes: float = 0.0
    """What it works on a refusal."""
    sheds: float = 0.0
    """The fraction of requests that it refuses at random."""
    shed_status: int = 429
    shed_after: int | None = None
    """The `Retry-After` of those."""
    shed_burst: tuple[float, float] | None = None
    """Refuse all for the first seconds of each period: (length, period)."""
    shed_until: float = math.inf
    outages: tuple[Outage, ...] = ()
    capacity: float | None = None
    """Requests a second that it can work off, one after the other; beyond `queue` seconds of work: 503."""
    queue: float = 0.5
    skew: float = 0.0
    """Seconds by which its wall clock is fast."""
    outsider: float = 0.0
    """Requests a second that somebody else makes on the same key, up to `outsider_until`."""
    absurd: tuple[tuple[float, int, str], ...] = ()
    """(second, status, Retry-After): the first request from then on gets that; of a 200: as the reset of a used-up limit."""
    buckets: int = 0
    """How many bucket names it tells, one after the other."""
    stall: tuple[float, float] | None = None
    """The client's machine does nothing for the first seconds of each period: (length, period)."""
    seed: int = 0

    @property
    def told(self) -> bool:
        return bool(self.rules) and all(rule.told for rule in self.rules)

    @property
    def free_from(self) -> float:
        """When the server begins to accept everything for good; inf: never."""
        ends = [0.0, *(rule.until for rule in self.rules), *(outage.until for outage in self.outages)]
        ends += [self.shed_until] if self.sheds or self.shed_burst else []
        return max(ends) if self.capacity is None else math.inf

    def loaded(self) -> Spec:
        """The same server seen from a machine under fourfold load: its tasks run late and in heaps."""
        return replace(self, name=f"{self.name}, loaded", stall=(0.06, 0.08), jitter=self.jitter + 0.005)


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    accepted: bool
    seconds: float
    how: str = ""
    """"refused", "reset" or "hang" in place of an answer."""


@dataclass
class Seen:
    """One request as the server saw it."""

    sent: float
    at: float
    route: str
    status: int
    """0: no answer."""
    accepted: bool
    told: float | None = None
    """The `Retry-After` of the answer, in seconds."""
    ended: float = math.inf
    """When the client had the answer, or the error."""
    call: int = -1
    host: str = ""


class Server:
    """Decides with time as an argument, and counts."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.random = random.Random(spec.seed)
        self.limits: dict[tuple[int, str, str], Limit] = {}
        self.seen: list[Seen] = []
        self.busy_until = 0.0
        self.outside = 0.0
        self.absurd = list(spec.absurd)
        self.count = 0

    def limit(self, number: int, route: str, who: str, now: float) -> Limit:
        rule = self.spec.rules[number]
        key = number, route if rule.apart else "", who
        if key not in self.limits:
            self.limits[key] = rule.begin(now)
        return self.limits[key]

    def binding(self, route: str, now: float) -> list[int]:
        return [number for number, rule in enumerate(self.spec.rules) if rule.binds(route, now)]

    def opens(self, route: str, who: str, now: float) -> float:
        """Return the first second from `now` on in which limits and queue accept a request, if none comes before."""
        at = now
        for number in self.binding(route, now):
            limit, instant = self.limit(number, route, who, now), nanoseconds(now)
            if not limit._fits(instant) or instant < limit._shut_until:
                wait = max(limit._state(instant)[2], int(max(limit._shut_until - instant, 0)))
                at = max(at, min(now + wait / SECOND, self.spec.rules[number].until))
        if self.spec.capacity is not None:
            at = max(at, self.busy_until - self.spec.queue * 0.9)
        return at

    def returns(self, now: float) -> float:
        """Return the first second from `now` on in which it is neither away nor shedding."""
        at = now
        for outage in self.spec.outages:
            if outage.since <= now < outage.until:
                at = max(at, outage.until)
        burst = self.spec.shed_burst
        if burst is not None and now < self.spec.shed_until and now % burst[1] < burst[0]:
            at = max(at, now - now % burst[1] + burst[0])
        return at

    def decide(self, route: str, who: str, now: float) -> Answer:
        """Answer a request that arrives at this second, which never decreases."""
        spec = self.spec
        self._others(now)
        self.count += 1
        for outage in spec.outages:
            if outage.since <= now < outage.until:
                if outage.how.isdigit():
                    return self._answer(int(outage.how), now, seconds=spec.refusal_takes)
                return Answer(0, [], b"", False, 0.0, outage.how)
        if self.absurd and now >= self.absurd[0][0]:
            _, status, after = self.absurd.pop(0)
            if status == 200:
                names = ("Limit", "10"), ("Remaining", "0"), ("Reset", str(int(EPOCH + now + float(after))))
                return self._answer(200, now, [(f"X-RateLimit-{name}", value) for name, value in names], accepted=True)
            return self._answer(status, now, [("Retry-After", after)])
        burst = spec.shed_burst
        if now < spec.shed_until and (self.random.random() < spec.sheds or (burst is not None and now % burst[1] < burst[0])):
            after_field = [] if spec.shed_after is None else [("Retry-After", str(spec.shed_after))]
            return self._answer(spec.shed_status, now, after_field, seconds=spec.refusal_takes)
        if spec.capacity is not None:
            self.busy_until = max(self.busy_until, now)
            if self.busy_until - now > spec.queue:
                return self._answer(503, now, seconds=spec.refusal_takes)
            self.busy_until += 1 / spec.capacity
            return self._answer(200, now, accepted=True, seconds=self.busy_until - now)
        return self._by_rules(route, who, now)

    def _by_rules(self, route: str, who: str, now: float) -> Answer:
        """All limits that bind the route must have room; what any of them refuses is counted by none of the others."""
        instant = nanoseconds(now)
        numbers = self.binding(route, now)
        limits = [self.limit(number, route, who, now) for number in numbers]
        open_ = [limit._fits(instant) and instant >= limit._shut_until for limit in limits]
        headers: list[tuple[str, str]] = []
        if not all(open_):
            number = numbers[open_.index(False)]
            rule, limit = self.spec.rules[number], limits[open_.index(False)]
            reply = self._told(rule, limit.take(now))
            status = rule.refusal or reply.status
            return self._answer(status, now, list(reply.fields()), body=reply.body, seconds=self.spec.refusal_takes)
        work = self.spec.takes
        for number, limit in zip(numbers, limits):
            reply = self._told(self.spec.rules[number], limit.take(now))
            headers += reply.fields()
            work = max(work, limit.takes)
        return self._answer(200, now, headers, accepted=True, seconds=work)

    def _told(self, rule: Rule, quota: Quota) -> Reply:
        quota = quota._replace(wall=quota.wall + nanoseconds(self.spec.skew))
        told = FAMILIES[rule.tells or "nothing"](quota)
        if isinstance(told, Reply):
            return told
        pairs = tuple(told.items() if isinstance(told, Mapping) else told)
        return Reply(200 if quota.accepted else 429, pairs, b"ok" if quota.accepted else b"rate limit exceeded")

    def _answer(
        self,
        status: int,
        now: float,
        headers: list[tuple[str, str]] | tuple[()] = (),
        *,
        accepted: bool = False,
        seconds: float = 0.0,
        body: bytes = b"",
    ) -> Answer:
        date = ("Date", http_date_of(int(EPOCH + now + self.spec.skew)).decode())
        told = [date, *headers]
        if self.spec.buckets:
            name = f"bucket-{self.count % self.spec.buckets}"
            told += [("X-RateLimit-Bucket", name), ("X-RateLimit-Limit", "1000"), ("X-RateLimit-Remaining", "999")]
            told += [("X-RateLimit-Reset-After", "3600")]
        return Answer(status, told, body, accepted, seconds)

    def _others(self, now: float) -> None:
        """Count what the outsider asked since the last request."""
        if not self.spec.outsider:
            return
        while self.outside <= now:
            for key, limit in self.limits.items():
                if self.spec.rules[key[0]].binds(key[1], self.outside):
                    limit.take(self.outside)
            self.outside += self.random.expovariate(self.spec.outsider)


def told_pause(answer: Answer) -> float | None:
    """Return the `Retry-After` of an answer in seconds, if it has one in that form."""
    for name, value in answer.headers:
        if name.lower() == "retry-after" and value.replace(".", "", 1).isdigit():
            return float(value)
    return None

"""Conversations with an origin through a cache, by the names and intentions of the suite at https://cache-tests.fyi.

Its tests of the kind "check" ask how a cache behaves, and not whether that is right: our choice is noted beside the case.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any, NamedTuple

import pytest

from ratewise.cache import CacheConfig, InMemoryCache
from ratewise.testing import FakeClock
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World

HOST = "https://api.example.com"
CONDITIONS = ("if-none-match", "if-modified-since")
STATUSES = {"cached": "hit; ttl=", "sent": "fwd=", "validated": "fwd=", "instead": "fwd=stale; "}
"""The beginning of the cache's member in Cache-Status."""


class Step(NamedTuple):
    """One request and its expected outcome. Header fields are `Name: value | Name: value`, a date is `@seconds from now`."""

    expected: str
    """
    - cached: the response is served from the store. sent: it is the server's. validated: the server answers 304.
    - instead: the stored response is served instead of the server's error. error: the server's error is raised.
    """
    answer: str = ""
    """Header fields of the server's response."""
    ask: str = ""
    """Header fields of the request."""
    method: str = "GET"
    path: str = "/"
    status: int = 200
    """The status of the server's response."""
    body: bytes | None = None
    """The body of the server's response; None for a unique one."""
    error: str = ""
    """The exception that the inner transport raises instead of a response."""
    after: float = 0.0
    """Seconds that pass before the request."""
    asked: str | None = None
    """The conditions that are sent to the server, in alphabetical order."""
    given: int | None = None
    """The status that the caller gets, if it is neither the server's nor the 200 of the stored response."""
    sees: str = ""
    """Header fields that the caller gets."""
    lacks: str = ""
    """Names of header fields that the caller must not get."""
    reads: bytes | None = None
    """The body that the caller reads; None for the server's, or the last one that it sent."""


def sent(answer: str = "", ask: str = "", **more: Any) -> Step:
    return Step("sent", answer, ask, **more)


def cached(ask: str = "", **more: Any) -> Step:
    return Step("cached", "", ask, **more)


def validated(answer: str = "", ask: str = "", **more: Any) -> Step:
    return Step("validated", answer, ask, status=304, **more)


def instead(**more: Any) -> Step:
    return Step("instead", **more)


def fields(text: str, now: float) -> list[tuple[bytes, bytes]]:
    """Parse header fields as written above."""
    found = []
    for line in text.split(" | ") if text else ():
        name, _, value = line.partition(":")
        value = re.sub(r"@(-?\d+)", lambda match: formatdate(now + int(match[1]), usegmt=True), value)
        found.append((name.encode(), value.removeprefix(" ").encode("latin-1") if value else b""))
    return found


class Conversation:
    """A client with a cache, a scripted origin, and checks of what passes between them."""

    def __init__(self, world: World, cache: InMemoryCache | None = None, **config: Any) -> None:
        self.world, self.clock, self.origin = world, FakeClock(auto=True), Scripted()
        self.cache = cache or InMemoryCache()
        kind = world.ratewise.CacheTransport if world.is_sync else world.ratewise.AsyncCacheTransport
        transport = kind(self.origin, self.cache, CacheConfig(**config), clock=self.clock)
        self.client = world.Client(transport=transport, trust_env=False)
        self.last = b""

    async def hold(self, *steps: Step) -> None:
        for number, step in enumerate(steps):
            await self.take(step, f"step {number + 1}, {step.method} {step.path}")
        await self.world.close(self.client)
        assert [body.closed for body in self.origin.bodies] == [1] * len(self.origin.bodies), "connections"

    async def take(self, step: Step, where: str) -> None:
        self.clock.advance(step.after)
        self.client.cookies.clear()  # the client's own request would differ
        now, before = self.clock.time(), len(self.origin.sent)
        ask = fields(step.ask, now)
        body = step.body if step.body is not None else b"" if step.status in (204, 304) else b"answer %d" % before
        raw = b"" if step.method == "HEAD" else body
        answer = failing(step.error) if step.error else response(step.status, fields(step.answer, now), Body(raw))
        self.origin.steps = [] if step.expected == "cached" else [answer]
        request = self.client.build_request(step.method, HOST + step.path, headers=ask)
        mine = list(request.headers.raw)
        if step.expected == "error":
            with pytest.raises(getattr(self.world.httpx, step.error)):
                await self.world(self.client.send, request)
            return
        seen = await self.world(self.client.send, request)
        wire = self.origin.sent[before:]
        assert len(wire) == (step.expected != "cached"), f"{where}: {len(wire)} requests for it"
        assert seen.request is request, f"{where}: another request"
        assert list(request.headers.raw) == mine, f"{where}: the caller's request"
        if wire:
            assert wire[0].request.method == step.method, f"{where}: method"
            asked = [f"{name}: {value}" for name, value in wire[0].request.headers.multi_items() if name.lower() in CONDITIONS]
            if step.expected == "validated":
                assert asked, f"{where}: no condition"
            if step.asked is not None:
                wanted = " | ".join(f"{name.decode()}: {value.decode('latin-1')}" for name, value in fields(step.asked, now))
                assert " | ".join(sorted(asked)).lower() == wanted.lower(), f"{where}: conditions"
        statuses = [value for name, value in seen.headers.multi_items() if name.lower() == "cache-status"]
        unstored = step.expected == "cached" and step.given == 504 and step.reads is None
        beginning = "RateWise; detail" if unstored else f"RateWise; {STATUSES[step.expected]}"
        assert len(statuses) == 1, f"{where}: {statuses}"
        assert statuses[0].startswith(beginning), f"{where}: {statuses}"
        given = step.given or (step.status if step.expected == "sent" else 200)
        assert seen.status_code == given, f"{where}: status"
        if step.expected == "sent" and 200 <= step.status < 300 and step.method == "GET":
            self.last = body
        expected = step.reads if step.reads is not None else body if step.expected == "sent" else self.last
        bodiless = step.method == "HEAD" or given == 304 or unstored
        assert seen.content == (b"" if bodiless else expected), f"{where}: body"
        for name, value in fields(step.sees, now):
            assert seen.headers.get(name.decode(), "-").encode("latin-1") == value, f"{where}: {name.decode()}"
        for name in step.lacks.split():
            assert name not in seen.headers, f"{where}: {name}"


class Case(NamedTuple):
    id: str
    steps: tuple[Step, ...]
    config: dict[str, Any]


def case(name: str, *steps: Step, **config: Any) -> Case:
    return Case(name, steps, config)


def twice(name: str, expected: str, answer: str, ask: str = "", again: str = "", after: float = 3.0, **config: Any) -> Case:
    """The same request twice."""
    return Case(
        name,
        (sent(answer, ask), Step(expected, ask=again or ask, after=after, status=304 if expected == "validated" else 200)),
        config,
    )


FRESH = "Cache-Control: max-age=100000 | Expires: @100000 | Last-Modified: @0 | Date: @0"

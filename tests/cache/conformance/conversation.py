"""Conversations with an origin through a cache, by the names and intentions of the suite at https://cache-tests.fyi.

Its tests of the kind "check" ask what a cache does, and not whether that is right: what is chosen there stands beside the case.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any, NamedTuple

import pytest

from ratewise.cache import CacheConfig, InMemoryCache
from tests.kit.clock import FakeClock
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World

HOST = "https://api.example.com"
CONDITIONS = ("if-none-match", "if-modified-since")
STATUSES = {"cached": "hit; ttl=", "sent": "fwd=", "validated": "fwd=", "instead": "fwd=stale; "}
"""How Cache-Status begins."""


class Step(NamedTuple):
    """One request, and what is to come of it. Header fields are `Name: value | Name: value`, a date is `@seconds from now`."""

    expected: str
    """
    - cached: the answer comes from the store. sent: from the server. validated: the server is asked, and says 304.
    - instead: the server is asked, and what is stored is given instead of its error. error: its error is raised.
    """
    answer: str = ""
    """Header fields of the server's answer."""
    ask: str = ""
    """Header fields of the request."""
    method: str = "GET"
    path: str = "/"
    status: int = 200
    """Of the server's answer."""
    body: bytes | None = None
    """Of the server's answer; None for one like no other."""
    error: str = ""
    """What the server's side raises instead of an answer."""
    after: float = 0.0
    """Seconds that pass before."""
    asked: str | None = None
    """Conditions that the server is asked with, in alphabetical order."""
    given: int | None = None
    """The status that the caller sees, if it is another one than the server's, or not the 200 of what is stored."""
    sees: str = ""
    """Header fields that the caller sees."""
    lacks: str = ""
    """Names of header fields that it does not see."""
    reads: bytes | None = None
    """The body that it reads; None for the server's, or the last one that it gave."""


def sent(answer: str = "", ask: str = "", **more: Any) -> Step:
    return Step("sent", answer, ask, **more)


def cached(ask: str = "", **more: Any) -> Step:
    return Step("cached", "", ask, **more)


def validated(answer: str = "", ask: str = "", **more: Any) -> Step:
    return Step("validated", answer, ask, status=304, **more)


def instead(**more: Any) -> Step:
    return Step("instead", **more)


def fields(text: str, now: float) -> list[tuple[bytes, bytes]]:
    """Header fields as they are written above."""
    found = []
    for line in text.split(" | ") if text else ():
        name, _, value = line.partition(":")
        value = re.sub(r"@(-?\d+)", lambda match: formatdate(now + int(match[1]), usegmt=True), value)
        found.append((name.encode(), value.removeprefix(" ").encode("latin-1") if value else b""))
    return found


class Conversation:
    """A client with a cache, an origin that is told what to say, and checks of what passes between them."""

    def __init__(self, world: World, cache: InMemoryCache | None = None, **config: Any) -> None:
        self.world, self.clock, self.origin = world, FakeClock(), Scripted()
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
        self.clock.now += step.after
        self.client.cookies.clear()  # what the client would send is another request
        now, before = self.clock.now, len(self.origin.sent)
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
    """The same request two times."""
    return Case(
        name,
        (sent(answer, ask), Step(expected, ask=again or ask, after=after, status=304 if expected == "validated" else 200)),
        config,
    )


FRESH = "Cache-Control: max-age=100000 | Expires: @100000 | Last-Modified: @0 | Date: @0"

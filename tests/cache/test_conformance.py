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


CC_FRESHNESS = (
    twice("freshness-none", "sent", ""),
    twice("freshness-max-age", "cached", "Cache-Control: max-age=3600"),
    twice("freshness-max-age-stale", "sent", "Cache-Control: max-age=2"),
    twice("freshness-max-age-0", "sent", "Cache-Control: max-age=0"),
    twice("freshness-max-age-max-minus-1", "cached", "Cache-Control: max-age=2147483647"),
    twice("freshness-max-age-max", "cached", "Cache-Control: max-age=2147483648"),
    twice("freshness-max-age-max-plus-1", "cached", "Cache-Control: max-age=2147483649"),
    twice("freshness-max-age-max-plus", "cached", "Cache-Control: max-age=99999999999"),
    twice("freshness-max-age-endless", "cached", "Cache-Control: max-age=" + "9" * 5000),
    twice("freshness-max-age-age", "sent", "Date: @0 | Cache-Control: max-age=3600 | Age: 7200"),
    twice("freshness-max-age-date", "sent", "Date: @-7200 | Cache-Control: max-age=3600"),
    twice("freshness-max-age-expires", "cached", "Cache-Control: max-age=3600 | Expires: @-7200 | Date: @0"),
    twice("freshness-max-age-expires-invalid", "cached", "Cache-Control: max-age=3600 | Expires: 0 | Date: @0"),
    twice("freshness-max-age-0-expires", "sent", "Expires: @3600 | Cache-Control: max-age=0 | Date: @0"),
    twice("freshness-max-age-extension", "cached", "Cache-Control: foobar, max-age=3600"),
    twice("freshness-max-age-case-insensitive", "cached", "Cache-Control: MaX-aGe=3600"),
    twice("freshness-max-age-negative", "sent", "Cache-Control: max-age=-3600"),
    twice("freshness-max-age-s-maxage-private", "sent", "Cache-Control: s-maxage=3600, max-age=1"),
    twice("freshness-max-age-s-maxage-private-multiple", "sent", "Cache-Control: s-maxage=3600 | Cache-Control: max-age=1"),
    twice("freshness-s-maxage-private", "sent", "Cache-Control: s-maxage=3600"),
    twice("freshness-s-maxage-shared", "cached", "Cache-Control: s-maxage=3600", shared=True),
    twice("freshness-max-age-s-maxage-shared-longer", "sent", "Cache-Control: max-age=3600, s-maxage=1", shared=True),
    twice("freshness-max-age-s-maxage-shared-longer-reversed", "sent", "Cache-Control: s-maxage=1, max-age=3600", shared=True),
    twice(
        "freshness-max-age-s-maxage-shared-longer-multiple",
        "sent",
        "Cache-Control: max-age=3600 | Cache-Control: s-maxage=1",
        shared=True,
    ),
    twice("freshness-max-age-s-maxage-shared-shorter", "cached", "Cache-Control: max-age=1, s-maxage=3600", shared=True),
    twice(
        "freshness-max-age-s-maxage-shared-shorter-expires",
        "cached",
        "Expires: @-10 | Cache-Control: max-age=0, s-maxage=3600",
        shared=True,
    ),
)

CC_PARSE = (
    # A check. Of values that differ none is believed (RFC 9111, 4.2.1).
    twice("freshness-max-age-two-fresh-stale-sameline", "sent", "Cache-Control: max-age=1800, max-age=1"),
    twice("freshness-max-age-two-fresh-stale-sepline", "sent", "Cache-Control: max-age=1800 | Cache-Control: max-age=1"),
    twice("freshness-max-age-two-stale-fresh-sameline", "sent", "Cache-Control: max-age=1, max-age=1800"),
    twice("freshness-max-age-two-stale-fresh-sepline", "sent", "Cache-Control: max-age=1 | Cache-Control: max-age=1800"),
    twice("freshness-max-age-two-alike", "cached", "Cache-Control: max-age=1800 | Cache-Control: max-age=1800"),
    twice("freshness-max-age-ignore-quoted", "sent", 'Cache-Control: extension="max-age=3600", max-age=1'),
    twice("freshness-max-age-ignore-quoted-rev", "sent", 'Cache-Control: max-age=1, extension="max-age=3600"'),
    twice("freshness-max-age-quoted", "cached", 'Cache-Control: max-age="3600"'),
    twice("freshness-max-age-space-before-equals", "sent", "Cache-Control: max-age =3600"),
    twice("freshness-max-age-space-after-equals", "sent", "Cache-Control: max-age= 3600"),
    twice("freshness-max-age-leading-zero", "cached", "Cache-Control: max-age=003600"),
    twice("freshness-max-age-single-quoted", "sent", "Cache-Control: max-age='3600'"),
    # Checks. What is no number of seconds is as good as stale.
    twice("freshness-max-age-decimal-zero", "sent", "Cache-Control: max-age=3600.0"),
    twice("freshness-max-age-decimal-five", "sent", "Cache-Control: max-age=3600.5"),
    twice("freshness-max-age-a100", "sent", "Cache-Control: max-age=a3600"),
    twice("freshness-max-age-100a", "sent", "Cache-Control: max-age=3600a"),
    twice("freshness-max-age-other-digits", "sent", "Cache-Control: max-age=\xb2\xb3"),
    twice("quoted-no-store-is-none", "cached", 'Cache-Control: extension="no-store", max-age=3600'),
    twice("unclosed-quote-hides-nothing", "sent", 'Cache-Control: max-age=3600, extension="a, no-store'),
    twice("empty-members", "cached", "Cache-Control: , ,max-age=3600,,"),
)

AGE_PARSE = tuple(
    twice(f"age-parse-{name}", expected, f"Date: @0 | Cache-Control: max-age=3600 | {age}")
    for name, expected, age in (
        ("nonnumeric", "cached", "Age: abc"),
        ("negative", "cached", "Age: -7200"),
        ("float", "cached", "Age: 7200.0"),
        ("large-minus-one", "sent", "Age: 2147483647"),
        ("large", "sent", "Age: 2147483648"),
        ("larger", "sent", "Age: 2147483649"),
        ("endless", "sent", "Age: " + "9" * 5000),
        ("suffix", "sent", "Age: 7200, 0"),
        ("prefix", "cached", "Age: 0, 7200"),
        ("suffix-twoline", "sent", "Age: 7200 | Age: 0"),
        ("prefix-twoline", "cached", "Age: 0 | Age: 7200"),
        ("dup-0", "cached", "Age: 0, 0"),
        ("dup-0-twoline", "cached", "Age: 0 | Age: 0"),
        ("dup-old", "cached", "Age: 1800 | Age: 1800"),
        # Checks. A number with a parameter is no number.
        ("parameter", "cached", "Age: 7200;foo=bar"),
        ("numeric-parameter", "cached", "Age: 7200;foo=111"),
    )
)

EXPIRES = (
    twice("freshness-expires-future", "cached", "Expires: @2592000 | Date: @0"),
    twice("freshness-expires-past", "sent", "Expires: @-2592000 | Date: @0"),
    twice("freshness-expires-present", "sent", "Expires: @0 | Date: @0", after=0),
    twice("freshness-expires-old-date", "sent", "Expires: @300 | Date: @400"),
    twice("freshness-expires-invalid", "sent", "Expires: 0 | Date: @0"),
    twice("freshness-expires-invalid-date", "cached", "Date: foo | Expires: @10", after=0),
    twice("freshness-expires-age-slow-date", "sent", "Date: @-10 | Expires: @10 | Age: 25", after=0),
    twice("freshness-expires-age-fast-date", "sent", "Date: @10 | Expires: @20 | Age: 15", after=0),
    *(
        twice(f"freshness-expires-{name}", expected, f"Expires: {value} | Date: @0")
        for name, expected, value in (
            ("32bit", "cached", "Tue, 19 Jan 2038 14:14:08 GMT"),
            ("far-future", "cached", "Sun, 21 Nov 2286 04:46:39 GMT"),
            ("rfc850", "cached", "Thursday, 18-Aug-50 02:01:18 GMT"),
            ("ansi-c", "cached", "Thu Aug 18 02:01:18 2050"),
            ("wrong-case-weekday", "cached", "THU, 18 Aug 2050 02:01:18 GMT"),
            ("wrong-case-month", "cached", "Thu, 18 AUG 2050 02:01:18 GMT"),
            ("wrong-case-tz", "cached", "Thu, 18 Aug 2050 02:01:18 gMT"),
            ("invalid-utc", "sent", "Thu, 18 Aug 2050 02:01:18 UTC"),
            ("invalid-aest", "sent", "Thu, 18 Aug 2050 02:01:18 AEST"),
            ("invalid-2-digit-year", "sent", "Thu, 18 Aug 50 02:01:18 GMT"),
            ("invalid-no-comma", "sent", "Thu 18 Aug 2050 02:01:18 GMT"),
            ("invalid-multiple-spaces", "sent", "Thu, 18  Aug  2050 02:01:18 GMT"),
            ("invalid-date-dashes", "sent", "Thu, 18-Aug-2050 02:01:18 GMT"),
            ("invalid-time-periods", "sent", "Thu, 18 Aug 2050 02.01.18 GMT"),
            ("invalid-1-digit-hour", "sent", "Thu, 18 Aug 2050 2:01:18 GMT"),
            ("invalid-multiple-lines", "sent", "Thu, 18 Aug 2050 02:01:18 GMT | Expires: Thu, 18 Aug 2050 02:01:19 GMT"),
        )
    ),
)

HEURISTIC = (
    *(
        case(
            f"heuristic-{status}-{expected}{'-public' if more else ''}",
            sent(f"Last-Modified: @-86400 | Date: @0{more}", status=status, body=body),
            Step(expected, status=status if expected == "sent" else 200, given=status, reads=body, body=body),
        )
        for status, expected, more, body in (
            *((status, "cached", "", b"x") for status in (200, 203, 300, 301, 308, 404, 405, 410, 414, 501)),
            (204, "cached", "", b""),
            *((status, "sent", "", b"x") for status in (201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599)),
            (599, "cached", " | Cache-Control: public", b"x"),
            (201, "cached", " | Cache-Control: private", b"x"),
        )
    ),
    # Checks. A tenth of the time since.
    *(
        twice(f"heuristic-delta-{delta}", "cached" if delta > 30 else "sent", f"Last-Modified: @-{delta} | Date: @0")
        for delta in (5, 10, 30, 60, 300, 600, 1200, 1800, 3600, 43200, 86400)
    ),
    twice("heuristic-no-more-than-a-week", "cached", "Last-Modified: @-864000000 | Date: @0", after=604799),
    twice("heuristic-a-week", "sent", "Last-Modified: @-864000000 | Date: @0", after=604800),
    twice("heuristic-from-the-future", "sent", "Last-Modified: @1000 | Date: @0"),
)

CC_RESPONSE = (
    twice("cc-resp-private-shared", "sent", "Cache-Control: private, max-age=3600", shared=True),
    twice("cc-resp-private-private", "cached", "Cache-Control: private, max-age=3600"),
    twice("cc-resp-no-store", "sent", "Cache-Control: no-store"),
    twice("cc-resp-no-store-case-insensitive", "sent", "Cache-Control: No-StOrE"),
    twice("cc-resp-no-store-fresh", "sent", "Cache-Control: max-age=10000, no-store | Expires: @10000 | Date: @0"),
    twice("cc-resp-no-store-argument", "sent", "Cache-Control: max-age=10000, no-store=1"),
    case(  # a check: the first is used if the newer one is never asked for, and forgotten if it is
        "cc-resp-no-store-old-new",
        sent("Cache-Control: max-age=10000 | Date: @0 | A: 1"),
        cached(after=3, sees="A: 1"),
        sent("Cache-Control: no-store | Date: @0 | A: 2", "Cache-Control: no-cache"),
        sent(after=3, lacks="A"),
    ),
    case(
        "cc-resp-no-store-old-max-age",
        sent("Cache-Control: max-age=10000 | Date: @0 | A: 1"),
        cached(after=3, sees="A: 1"),
        sent("Cache-Control: no-store, max-age=0 | Date: @0 | A: 2", "Cache-Control: no-cache"),
        sent(after=3, lacks="A"),
    ),
    twice("cc-resp-no-cache", "sent", "Cache-Control: max-age=10000, no-cache | Expires: @10000 | Date: @0"),
    twice("cc-resp-no-cache-case-insensitive", "sent", "Cache-Control: max-age=10000, No-CaChE | Expires: @10000 | Date: @0"),
    twice("cc-resp-no-cache-revalidate", "validated", 'Cache-Control: no-cache | ETag: "abcd"'),
    twice("cc-resp-no-cache-revalidate-fresh", "validated", 'Cache-Control: max-age=10000, no-cache | ETag: "abcd"'),
    # Checks. With field names as without (RFC 9111, 5.2.2.4: "many caches").
    twice(
        "headers-omit-headers-listed-in-Cache-Control-no-cache-single",
        "sent",
        'Cache-Control: no-cache="a" | a: 1 | b: 2 | Cache-Control: max-age=3600 | Date: @0',
    ),
    twice(
        "headers-omit-headers-listed-in-Cache-Control-no-cache",
        "sent",
        'Cache-Control: no-cache="a, b" | a: 1 | b: 2 | c: 3 | Cache-Control: max-age=3600 | Date: @0',
    ),
    twice("cc-resp-private-field-shared", "sent", 'Cache-Control: private="a", max-age=3600', shared=True),
    twice("cc-resp-must-revalidate-fresh", "cached", 'Cache-Control: max-age=10000, must-revalidate | ETag: "abcd"'),
    case(
        "cc-resp-must-revalidate-stale",
        sent('Cache-Control: max-age=2, must-revalidate | ETag: "abcd"'),
        cached(),
        validated('Cache-Control: max-age=2, must-revalidate | ETag: "abcd"', after=3, asked='If-None-Match: "abcd"'),
    ),
    twice("cc-resp-immutable-fresh", "cached", 'Cache-Control: max-age=10000, immutable | ETag: "abcd"'),
    # A browser's reload is no such request: here whoever asks with max-age=0 means it.
    twice(
        "cc-resp-immutable-reload",
        "validated",
        'Cache-Control: max-age=10000, immutable | ETag: "abcd"',
        again="Cache-Control: max-age=0",
    ),
    twice("cc-resp-immutable-stale", "validated", 'Cache-Control: max-age=2, immutable | ETag: "abcd"'),
)

CC_REQUEST = (
    twice("ccreq-ma0", "sent", "Cache-Control: max-age=3600", again="Cache-Control: max-age=0"),
    twice("ccreq-ma1", "sent", "Cache-Control: max-age=3600", again="Cache-Control: max-age=1"),
    twice("ccreq-magreaterage", "sent", "Cache-Control: max-age=3600 | Age: 1800", again="Cache-Control: max-age=600"),
    twice("ccreq-max-stale", "cached", "Cache-Control: max-age=1", again="Cache-Control: max-stale=1000"),
    twice("ccreq-max-stale-any", "cached", "Cache-Control: max-age=1", again="Cache-Control: max-stale"),
    twice("ccreq-max-stale-too-old", "sent", "Cache-Control: max-age=1", again="Cache-Control: max-stale=1"),
    twice("ccreq-max-stale-forbidden", "sent", "Cache-Control: max-age=1, must-revalidate", again="Cache-Control: max-stale"),
    twice("ccreq-max-stale-invalid", "sent", "Cache-Control: max-age=1", again="Cache-Control: max-stale=a"),
    twice("ccreq-min-fresh", "sent", "Cache-Control: max-age=1500", again="Cache-Control: min-fresh=2000"),
    twice("ccreq-min-fresh-enough", "cached", "Cache-Control: max-age=1500", again="Cache-Control: min-fresh=1000"),
    twice("ccreq-min-fresh-age", "sent", "Cache-Control: max-age=1500 | Age: 1000", again="Cache-Control: min-fresh=1000"),
    case("ccreq-max-stale-age", sent("Cache-Control: max-age=1500 | Age: 2000"), cached("Cache-Control: max-stale=1000")),
    twice("ccreq-no-cache", "sent", "Cache-Control: max-age=3600", again="Cache-Control: no-cache"),
    case(
        "ccreq-no-cache-lm",
        sent("Cache-Control: max-age=3600 | Last-Modified: @-10000 | Date: @0"),
        validated("", "Cache-Control: no-cache", asked="If-Modified-Since: @-10000"),
    ),
    case(
        "ccreq-no-cache-etag",
        sent('Cache-Control: max-age=3600 | ETag: "abc"'),
        validated("", "Cache-Control: no-cache", asked='If-None-Match: "abc"'),
    ),
    # A check. RFC 9111, 5.2.1.5: it "does not apply to the already stored response".
    twice("ccreq-no-store", "cached", "Cache-Control: max-age=3600", again="Cache-Control: no-store"),
    case("ccreq-no-store-storing", sent("Cache-Control: max-age=3600", "Cache-Control: no-store"), sent()),
    case("ccreq-oic", cached("Cache-Control: only-if-cached", given=504)),
    twice("ccreq-oic-fresh", "cached", "Cache-Control: max-age=3600", again="Cache-Control: only-if-cached"),
    case("ccreq-oic-stale", sent("Cache-Control: max-age=1"), cached("Cache-Control: only-if-cached", after=3, given=504)),
)

PRAGMA = (
    # A check. As Cache-Control: no-cache, where there is no Cache-Control.
    twice("pragma-request-no-cache", "sent", "Cache-Control: max-age=3600", again="Pragma: no-cache"),
    twice("pragma-request-no-cache-and-cc", "cached", "Cache-Control: max-age=3600", again="Pragma: no-cache | Cache-Control: a"),
    twice("pragma-request-extension", "cached", "Cache-Control: max-age=3600", again="Pragma: unrecognised-extension"),
    twice("pragma-response-no-cache", "cached", "Cache-Control: max-age=3600 | Pragma: no-cache"),
    twice("pragma-response-no-cache-heuristic", "cached", "Last-Modified: @-10000 | Pragma: no-cache"),
    twice("pragma-response-extension", "cached", "Cache-Control: max-age=3600 | Pragma: unrecognised-extension"),
)

FRESH = "Cache-Control: max-age=100000 | Expires: @100000 | Last-Modified: @0 | Date: @0"

OTHER = (
    case("other-age-gen", sent(FRESH), cached(after=3, sees="Age: 3")),
    case("other-age-update-expires", sent("Expires: @2592000 | Date: @0 | Age: 30"), cached(after=3, sees="Age: 33")),
    case("other-age-update-max-age", sent(f"{FRESH} | Age: 30"), cached(after=3, sees="Age: 33")),
    case("other-date-update", sent("Cache-Control: max-age=99 | Date: @0"), cached(after=3, sees="Date: @-3")),
    case("other-date-update-expires", sent("Expires: @99 | Date: @0"), cached(after=3, sees="Date: @-3")),
    case("other-date-update-expires-update", sent("Expires: @99 | Date: @0"), cached(after=3, sees="Expires: @96")),
    case("other-date-added", sent("Cache-Control: max-age=99"), cached(after=3, sees="Date: @-3")),
    case("query-args-different", sent(FRESH, path="/?test=1"), sent(path="/?test=2"), sent(path="/")),
    case("query-args-same", sent(FRESH, path="/?test=1"), cached(path="/?test=1")),
    case("fragment-same", sent(FRESH, path="/a"), cached(path="/a#b")),
    case("escapes-same", sent(FRESH, path="/%7ea%2fb"), cached(path="/~a%2Fb"), sent(path="/~a/b")),
    case("no-query-is-not-an-empty-one", sent(FRESH, path="/a"), sent(path="/a?")),
    twice(
        "other-heuristic-content-disposition-attachment",
        "cached",
        "Last-Modified: @-100000 | Date: @0 | Content-Disposition: attachment; filename=example.txt",
    ),
    twice("other-fresh-content-disposition-attachment", "cached", f"{FRESH} | Content-Disposition: attachment; filename=a"),
    case("other-set-cookie", sent(f"{FRESH} | Set-Cookie: a=b", sees="Set-Cookie: a=b"), cached(lacks="Set-Cookie")),
    # A credential: what is answered to one who has it is not for others, nor the other way round.
    twice("other-cookie", "sent", FRESH, again="Cookie: a=b"),
    twice("other-cookie-same", "cached", FRESH, ask="Cookie: a=b"),
)

AUTH = (
    twice("other-authorization", "sent", FRESH, ask="Authorization: FOO", again="A: b", shared=True),
    twice("other-authorization-same", "sent", FRESH, ask="Authorization: FOO", shared=True),
    *(
        entry
        for name, more in (
            ("public", "public, max-age"),
            ("must-revalidate", "must-revalidate, max-age"),
            ("smaxage", "s-maxage"),
        )
        for answer in (f"Cache-Control: {more}=3600 | Date: @0",)
        for entry in (
            # Credentials keep answers apart in a shared cache too, unless it is told which fields do.
            twice(f"other-authorization-{name}", "sent", answer, ask="Authorization: FOO", again="A: b", shared=True),
            twice(f"other-authorization-{name}-same", "cached", answer, ask="Authorization: FOO", shared=True),
            twice(
                f"other-authorization-{name}-unpartitioned",
                "cached",
                answer,
                ask="Authorization: FOO",
                again="A: b",
                shared=True,
                partition=(),
            ),
        )
    ),
    twice("authorization-private-same", "cached", FRESH, ask="Authorization: FOO"),
    twice("authorization-private-other", "sent", FRESH, ask="Authorization: FOO", again="Authorization: BAR"),
    twice("authorization-private-none", "sent", FRESH, ask="Authorization: FOO", again="A: b"),
    *(
        twice(f"credential-{name.lower()}", "sent", FRESH, ask=f"{name}: one", again=f"{name}: two")
        for name in ("Cookie", "X-API-Key", "Proxy-Authorization", "X-Auth-Token", "Api-Key", "X-Forwarded-User", "DPoP")
    ),
    twice("no-credential-x-csrf-token", "cached", FRESH, ask="X-CSRF-Token: one", again="X-CSRF-Token: two"),
)

CDN = (
    *(
        twice(f"cdn-{name}", expected, answer, shared=True, targeted=["CDN-Cache-Control"])
        for name, expected, answer in (
            ("max-age", "cached", "CDN-Cache-Control: max-age=3600"),
            ("max-age-max", "cached", "CDN-Cache-Control: max-age=2147483648"),
            ("max-age-max-plus", "cached", "CDN-Cache-Control: max-age=99999999999"),
            ("max-age-age", "sent", "Date: @0 | CDN-Cache-Control: max-age=3600 | Age: 7200"),
            ("max-age-space-before-equals", "sent", "Cache-Control: max-age=1 | CDN-Cache-Control: max-age =100"),
            ("max-age-space-after-equals", "sent", "Cache-Control: max-age=1 | CDN-Cache-Control: max-age= 100"),
            ("max-age-0", "sent", "CDN-Cache-Control: max-age=0"),
            ("max-age-extension", "cached", "CDN-Cache-Control: foobar, max-age=3600"),
            ("max-age-case-insensitive", "sent", "CDN-Cache-Control: MaX-aGe=3600"),  # a check: keys are in lower case
            ("max-age-expires", "cached", "CDN-Cache-Control: max-age=3600 | Expires: @-10000 | Date: @0"),
            ("max-age-cc-max-age-invalid-expires", "cached", "CDN-Cache-Control: max-age=3600 | Expires: 0 | Date: @0"),
            ("max-age-0-expires", "sent", "CDN-Cache-Control: max-age=0 | Expires: @10000 | Date: @0"),
            ("max-age-short-cc-max-age", "cached", "Cache-Control: max-age=1 | CDN-Cache-Control: max-age=3600"),
            ("max-age-long-cc-max-age", "sent", "Cache-Control: max-age=3600 | CDN-Cache-Control: max-age=1"),
            ("private", "sent", "CDN-Cache-Control: private | Cache-Control: max-age=10000 | Expires: @10000 | Date: @0"),
            ("no-cache", "sent", "CDN-Cache-Control: no-cache | Cache-Control: max-age=10000 | Expires: @10000 | Date: @0"),
            (
                "no-store-cc-fresh",
                "sent",
                "Cache-Control: max-age=10000 | CDN-Cache-Control: no-store | Expires: @10000 | Date: @0",
            ),
            ("fresh-cc-nostore", "cached", "Cache-Control: no-store | CDN-Cache-Control: max-age=10000"),
            ("cc-invalid-sh-type-unknown", "sent", "CDN-Cache-Control: max-age=10000, &&&&& | Cache-Control: no-store"),
            ("cc-invalid-sh-type-wrong", "sent", 'CDN-Cache-Control: max-age="10000" | Cache-Control: no-store'),
        )
    ),
    twice("cdn-untargeted", "sent", "CDN-Cache-Control: max-age=3600", shared=True),
    case(
        "cdn-remove-header",
        sent("Cache-Control: max-age=10000 | CDN-Cache-Control: foo", sees="CDN-Cache-Control: foo"),
        targeted=["CDN-Cache-Control"],
    ),
    case(
        "cdn-exceed",
        sent("Cache-Control: max-age=1 | Expires: @1 | CDN-Cache-Control: max-age=10000 | Date: @0"),
        cached(after=3, sees="Date: @-3 | Expires: @-2 | Age: 3"),
        targeted=["CDN-Cache-Control"],
    ),
)


def conditional(name: str, tag: str, wanted: str, given: int) -> Case:
    """A fresh response with an entity tag, and a request that says what it has."""
    return case(
        f"conditional-etag-{name}",
        sent(f"{FRESH} | ETag: {tag}"),
        cached(f"If-None-Match: {wanted}", given=given, sees=f"ETag: {tag}", after=3),
    )


CONDITIONAL = (
    conditional("strong-respond", '"abcdef"', '"abcdef"', 304),
    conditional("strong-respond-obs-text", '"abcdef\xfc"', '"abcdef\xfc"', 304),
    conditional("strong-respond-other", '"abcdef"', '"abcdeg"', 200),
    conditional("strong-respond-any", '"abcdef"', "*", 304),
    conditional("weak-respond", 'W/"abcdef"', 'W/"abcdef"', 304),
    conditional("weak-respond-strong", 'W/"abcdef"', '"abcdef"', 304),
    conditional("strong-respond-multiple-first", '"abcdef"', '"abcdef", "1234", "5678"', 304),
    conditional("strong-respond-multiple-second", '"abcdef"', '"1234", "abcdef", "5678"', 304),
    conditional("strong-respond-multiple-last", '"abcdef"', '"1234", "5678", "abcdef"', 304),
    conditional("strong-respond-multiple-lines", '"abcdef"', '"1234" | If-None-Match: "abcdef"', 304),
    conditional("strong-respond-comma-within", '"a,b"', '"1234", "a,b"', 304),
    # Checks. What is not spelled as a tag is the same only letter by letter.
    conditional("quoted-respond-unquoted", '"abcdef"', "abcdef", 200),
    conditional("unquoted-respond-unquoted", "abcdef", "abcdef", 304),
    conditional("unquoted-respond-quoted", "abcdef", '"abcdef"', 200),
    conditional("weak-respond-lowercase", 'w/"abcdef"', 'w/"abcdef"', 200),
    conditional("weak-respond-backslash", 'W\\"abcdef"', 'W\\"abcdef"', 200),
    conditional("weak-respond-omit-slash", 'W"abcdef"', 'W"abcdef"', 200),
    case(
        "conditional-etag-precedence",
        sent('Cache-Control: max-age=9999 | Last-Modified: @-5000 | ETag: "abcdef" | Date: @0'),
        cached('If-None-Match: "abcdef" | If-Modified-Since: @-6000', given=304),
        cached('If-None-Match: "other" | If-Modified-Since: @-1', given=200),
    ),
    case(
        "conditional-etag-vary-headers",
        sent('Expires: @1 | ETag: "abcdef" | Date: @0 | Vary: Abc', "Abc: 123"),
        validated("", "Abc: 123", after=3, asked='If-None-Match: "abcdef"'),
    ),
    case(  # a check: all the tags that there are, so that the server may select one
        "conditional-etag-vary-headers-mismatch",
        sent('Expires: @10000 | ETag: "abcdef" | Date: @0 | Vary: Abc', "Abc: 123"),
        sent("", "Abc: 456", after=3, asked='If-None-Match: "abcdef"'),
    ),
    case(
        "conditional-etag-strong-generate",
        sent('Cache-Control: max-age=2 | ETag: "abcdef"'),
        validated(after=3, asked='If-None-Match: "abcdef"'),
    ),
    case(
        "conditional-etag-weak-generate-weak",
        sent('Cache-Control: max-age=2 | ETag: W/"abcdef"'),
        validated(after=3, asked='If-None-Match: W/"abcdef"'),
    ),
    case(  # a check: as the server spells it
        "conditional-etag-strong-generate-unquoted",
        sent("Cache-Control: max-age=2 | ETag: abcdef"),
        validated(after=3, asked="If-None-Match: abcdef"),
    ),
    case("conditional-etag-forward", sent(ask='If-None-Match: "abcdef"', asked='If-None-Match: "abcdef"')),
    case("conditional-etag-forward-unquoted", sent(ask="If-None-Match: abcdef", asked="If-None-Match: abcdef")),
    case(
        "conditional-etag-forward-304",
        sent('ETag: "abcdef"', 'If-None-Match: "abcdef"', status=304, asked='If-None-Match: "abcdef"'),
        sent(),
    ),
    case(
        "conditional-lm-fresh",
        sent("Cache-Control: max-age=100000 | Last-Modified: @-3000 | Date: @0"),
        cached("If-Modified-Since: @-3003", after=3, given=304, sees="Last-Modified: @-3003"),
    ),
    case(
        "conditional-lm-fresh-no-lm",
        sent("Cache-Control: max-age=100000 | Date: @0"),
        cached("If-Modified-Since: @-3", after=3, given=304),
    ),
    case(
        "conditional-lm-fresh-earlier",
        sent("Cache-Control: max-age=100000 | Last-Modified: @-3000 | Date: @0"),
        cached("If-Modified-Since: @-2000", after=3, given=304),
    ),
    case(
        "conditional-lm-fresh-later",
        sent("Cache-Control: max-age=100000 | Last-Modified: @-3000 | Date: @0"),
        cached("If-Modified-Since: @-4000", after=3, given=200),
        cached("If-Modified-Since: yesterday", after=3, given=200),
    ),
    case(
        "conditional-lm-stale",
        sent("Cache-Control: max-age=2 | Last-Modified: @-3000 | Date: @0"),
        validated("", "If-Modified-Since: @-3003", after=3, given=304, asked="If-Modified-Since: @-3003"),
    ),
)

HEADERS: dict[str, tuple[str, str, str]] = {
    # Value, another value, and whether it is stored and updated ("yes"), stored only ("stored") or neither ("no").
    "Test-Header": ("1", "2", "yes"),
    "X-Test-Header": ("1", "2", "yes"),
    "Content-Foo": ("1", "2", "yes"),
    "X-Content-Foo": ("1", "2", "yes"),
    "Cache-Control": ("max-age=1", "max-age=3600", "yes"),
    "Connection": ("x", "y", "no"),
    "Content-Encoding": ("x", "y", "stored"),
    "Content-Length": ("8", "10", "stored"),
    "Content-Location": ("/foo", "/bar", "yes"),
    "Content-MD5": ("rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g==", "yes"),
    "Content-Range": ("x", "y", "stored"),
    "Content-Security-Policy": ("default-src 'self'", "default-src 'self' cdn.example.com", "yes"),
    "Content-Type": ("text/plain", "text/plain;charset=utf-8", "yes"),
    "Clear-Site-Data": ("cache", "cookies", "yes"),
    "Expires": ("Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT", "yes"),
    "Keep-Alive": ("x", "y", "no"),
    "Proxy-Authenticate": ("x", "y", "no"),
    "Proxy-Authentication-Info": ("x", "y", "no"),
    "Proxy-Authorization": ("x", "y", "no"),
    "Proxy-Connection": ("x", "y", "no"),
    "Public-Key-Pins": ("x", "y", "yes"),
    "Set-Cookie": ("a=b", "a=c", "no"),  # the suite's caches store it: here it is for the one who asked
    "Set-Cookie2": ("a=b", "a=c", "no"),
    "TE": ("x", "y", "no"),
    "Trailer": ("x", "y", "no"),
    "Transfer-Encoding": ("x", "y", "no"),
    "Upgrade": ("x", "y", "no"),
    "X-Frame-Options": ("deny", "sameorigin", "yes"),
    "X-XSS-Protection": ("1", "1; mode=block", "yes"),
}


def stored_header(name: str, value: str, how: str) -> Case:
    control = "" if name == "Cache-Control" else " | Cache-Control: max-age=3600"
    shown: dict[str, Any] = {"lacks": name} if how == "no" else {"sees": f"{name}: {value}"}
    return case(f"headers-store-{name}", sent(f"Date: @0 | {name}: {value}{control}"), cached(**shown))


def updated_header(name: str, before: str, now: str, how: str) -> Case:
    control = "" if name == "Cache-Control" else " | Cache-Control: max-age=2"
    shown: dict[str, Any] = {"lacks": name} if how == "no" else {"sees": f"{name}: {now if how == 'yes' else before}"}
    return case(
        f"304-etag-update-response-{name}",
        sent(f'Date: @0 | ETag: "abc" | {name}: {before}{control}'),
        validated(f'Date: @0 | ETag: "abc" | {name}: {now}{control}', after=3, **shown),
        cached(**shown),
    )


STORED_HEADERS = (
    case(
        "headers-omit-headers-listed-in-Connection",
        sent(f"{FRESH} | Connection: a, b | a: 1 | b: 2 | c: 3", sees="a: 1"),
        cached(sees="c: 3", lacks="a b connection"),
    ),
    *(stored_header(name, now, how) for name, (_, now, how) in HEADERS.items() if name != "Content-Length"),
    stored_header("Content-Length", "8", "stored"),
    case("headers-store-twice", sent(f"{FRESH} | A: 1 | A: 2"), cached(sees="A: 1, 2")),
)

UPDATE_304 = (
    case(
        "304-lm-use-stored-Test-Header",
        sent("Cache-Control: max-age=2 | Last-Modified: @-9999 | Date: @0 | Test-Header: a"),
        validated("Last-Modified: @-10002 | Date: @0", after=3, sees="Test-Header: a", asked="If-Modified-Since: @-10002"),
        cached(after=1, sees="Test-Header: a"),
    ),
    *(updated_header(name, *values) for name, values in HEADERS.items() if name != "Cache-Control"),
    updated_header("Cache-Control", "max-age=1", "max-age=3600", "yes"),
    case(
        "304-etag-update-response-ETag",
        sent('Date: @0 | ETag: W/"abc" | Cache-Control: max-age=2'),
        validated('Date: @0 | ETag: "abc" | Cache-Control: max-age=99', after=3, sees='ETag: "abc"'),
        cached(sees='ETag: "abc"'),
    ),
    case(
        "304-several-fields-for-one",
        sent('Date: @0 | ETag: "abc" | Cache-Control: max-age=2 | A: 1 | A: 2'),
        validated("A: 3 | Cache-Control: max-age=9", after=3, sees="A: 3"),
        cached(sees="A: 3"),
    ),
    case(
        "304-age",
        sent('Date: @0 | ETag: "abc" | Cache-Control: max-age=20 | Age: 15'),
        validated("Date: @0 | Age: 5", after=6, sees="Age: 5"),
        cached(after=2, sees="Age: 7"),
    ),
    case(
        "304-connection",
        sent('Date: @0 | ETag: "abc" | Cache-Control: max-age=2 | A: 1'),
        validated("Connection: A | A: 2 | Cache-Control: max-age=99", after=3, sees="A: 1", lacks="connection"),
    ),
)


def head(answer: str, *then: Step, **more: Any) -> tuple[Step, ...]:
    """A stored response that has become stale, and then a HEAD."""
    return sent("Cache-Control: max-age=2 | Template-A: 1"), Step("sent", answer, method="HEAD", after=3, **more), *then


UPDATE_HEAD = (
    case("head-writethrough", *head("")),
    case("head-200-freshness-update", *head("Cache-Control: max-age=1000", cached(sees="Template-A: 1"))),
    case(
        "head-200-update",
        *head("Template-A: 2 | Cache-Control: max-age=1000", cached(sees="Template-A: 2"), cached(method="HEAD")),
    ),
    # A check. What is gone is nothing that the stored response could be freshened with.
    case("head-410-update", *head("Template-A: 2 | Cache-Control: max-age=1000", sent(), status=410)),
    case(  # a check: the answer to HEAD is passed on as it is
        "head-200-retain",
        *head("", lacks="Template-A"),
    ),
    case("head-served-from-get", sent(FRESH), cached(method="HEAD")),
    case("head-not-for-get", sent(FRESH, method="HEAD"), cached(method="HEAD"), sent()),
    case(
        "head-length-changed",
        *head("Content-Length: 99 | Cache-Control: max-age=1000", sent()),
    ),
    case(
        "head-etag-changed",
        sent('Cache-Control: max-age=2 | ETag: "a"'),
        Step("sent", 'Cache-Control: max-age=1000 | ETag: "b"', method="HEAD", after=3),
        sent(),
    ),
    case(
        "head-length-same",
        sent("Cache-Control: max-age=2 | Content-Length: 8"),
        Step("sent", "Cache-Control: max-age=1000 | Content-Length: 8", method="HEAD", after=3),
        cached(),
    ),
    case(
        "head-validates",
        sent('Cache-Control: max-age=2 | ETag: "a"'),
        validated("Cache-Control: max-age=1000", method="HEAD", after=3, asked='If-None-Match: "a"'),
        cached(after=3),
    ),
)

INVALIDATION = (
    *(
        entry
        for method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO")
        for entry in (
            case(f"invalidate-{method}", sent(FRESH), sent(method=method), sent()),
            case(f"invalidate-{method}-failed", sent(FRESH), sent(method=method, status=500), cached(reads=b"answer 0")),
            case(f"invalidate-{method}-refused", sent(FRESH), sent(method=method, status=404), cached(reads=b"answer 0")),
            case(f"invalidate-{method}-redirected", sent(FRESH), sent(method=method, status=303), sent()),
            # Checks: yes, both.
            case(
                f"invalidate-{method}-location",
                sent(FRESH, path="/location_target"),
                sent("Location: location_target | Content-Location: content_location_target", method=method),
                sent(path="/location_target"),
            ),
            case(
                f"invalidate-{method}-cl",
                sent(FRESH, path="/content_location_target"),
                sent("Location: location_target | Content-Location: content_location_target", method=method),
                sent(path="/content_location_target"),
            ),
        )
    ),
    *(
        case(f"invalidate-not-by-{method}", sent(FRESH), sent(method=method), cached(reads=b"answer 0"))
        for method in ("OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY")
    ),
    case("invalidate-absolute", sent(FRESH, path="/a"), sent(f"Location: {HOST}/a", method="POST"), sent(path="/a")),
    case("invalidate-own-port", sent(FRESH, path="/a"), sent(f"Location: {HOST}:443/a", method="POST"), sent(path="/a")),
    case(
        "invalidate-head-too",
        sent(FRESH, method="HEAD"),
        sent(method="POST"),
        sent(method="HEAD"),
    ),
    case("invalidate-all-variants", sent(f"{FRESH} | Vary: Foo", "Foo: 1"), sent(method="PUT", ask="Foo: 2"), sent(ask="Foo: 1")),
    case("invalidate-nonsense", sent(FRESH), sent("Location: http://[", method="POST"), sent()),
    case("invalidate-other-path-not", sent(FRESH, path="/a"), sent(method="POST", path="/b"), cached(path="/a")),
)

TEN = "Cache-Control: max-age=3600 | A: 1"


def part(name: str, wanted: str, status: int, reads: bytes, content_range: str = "", stored: str = TEN, **more: Any) -> Case:
    """A range of a response that is stored whole."""
    shown = {"sees": f"Content-Range: {content_range} | Content-Length: {len(reads)}"} if content_range else {}
    whole = sent(stored, body=b"01234567890")
    return case(f"partial-{name}", whole, cached(f"Range: {wanted}", given=status, reads=reads, **shown, **more))


PARTIAL = (
    part("store-complete-reuse-partial", "bytes=0-1", 206, b"01", "bytes 0-1/11"),
    part("store-complete-reuse-partial-no-last", "bytes=1-", 206, b"1234567890", "bytes 1-10/11"),
    part("store-complete-reuse-partial-suffix", "bytes=-1", 206, b"0", "bytes 10-10/11"),
    part("suffix-longer-than-all", "bytes=-99", 206, b"01234567890", "bytes 0-10/11"),
    part("last-beyond-end", "bytes=9-99", 206, b"90", "bytes 9-10/11"),
    part("beyond-end", "bytes=11-", 416, b"", "bytes */11"),
    part("no-suffix", "bytes=-0", 416, b"", "bytes */11"),
    part("backwards", "bytes=5-2", 200, b"01234567890"),
    part("upper-case", "Bytes=0-1", 206, b"01", "bytes 0-1/11"),
    case("partial-use-stored-headers", sent(TEN, body=b"0123"), cached("Range: bytes=0-1", given=206, reads=b"01", sees="A: 1")),
    *(
        case(f"partial-{name}", sent(TEN), sent("Content-Range: x", f"Range: {wanted}", status=206), cached(reads=b"answer 0"))
        for name, wanted in (("several", "bytes=0-1,3-4"), ("other-unit", "lines=1-2"), ("nonsense", "bytes=a-b"))
    ),
    case(
        "partial-if-range-same",
        sent(f'{TEN} | ETag: "a"', body=b"0123"),
        cached('Range: bytes=0-1 | If-Range: "a"', given=206, reads=b"01"),
        cached('Range: bytes=0-1 | If-Range: "b"', reads=b"0123"),
        cached('Range: bytes=0-1 | If-Range: W/"a"', reads=b"0123"),
    ),
    case(
        "partial-if-range-date",
        sent(f"{TEN} | Last-Modified: @-60 | Date: @0", body=b"0123"),
        cached("Range: bytes=0-1 | If-Range: @-60", given=206, reads=b"01"),
        cached("Range: bytes=0-1 | If-Range: @-59", reads=b"0123"),
    ),
    case(
        "partial-not-modified-first",
        sent(f'{TEN} | ETag: "a"', body=b"0123"),
        cached('Range: bytes=0-1 | If-None-Match: "a"', given=304),
    ),
    case("partial-head-has-none", sent(TEN, body=b"0123"), cached("Range: bytes=0-1", method="HEAD")),
    # The suite's optimal cache stores parts, and makes them whole. This one does not.
    *(
        case(
            f"partial-store-partial-{name}",
            sent("Cache-Control: max-age=3600 | Content-Range: bytes 4-9/10", "Range: bytes=-5", status=206, body=b"01234"),
            sent("Cache-Control: max-age=3600 | Content-Range: bytes 4-9/10", again, status=206 if again else 200),
            sent("", "Range: bytes=-5", status=206) if again else cached(),
        )
        for name, again in (
            ("reuse-partial", "Range: bytes=-5"),
            ("reuse-partial-byterange", "Range: bytes=6-8"),
            ("reuse-partial-absent", "Range: bytes=6-"),
            ("reuse-partial-suffix", "Range: bytes=-1"),
            ("complete", ""),
        )
    ),
    case(
        "partial-206-unasked",
        sent("Cache-Control: max-age=3600 | Content-Range: bytes 0-1/9", status=206),
        sent(),
    ),
    case(
        "partial-stale",
        sent('Cache-Control: max-age=2 | ETag: "a"', body=b"0123"),
        sent('Content-Range: bytes 0-1/4 | ETag: "a"', "Range: bytes=0-1", status=206, body=b"01", after=3, asked=""),
        validated(asked='If-None-Match: "a"', reads=b"0123"),
    ),
    case("partial-whole-answer-is-stored", sent(TEN, "Range: bytes=0-1", body=b"0123"), cached(reads=b"0123")),
    case("partial-416-is-not-stored", sent(TEN, "Range: bytes=99-", status=416), sent()),
)

STATUS = (
    *(
        entry
        for status in (200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599)
        for entry in (
            case(
                f"status-{status}-fresh",
                sent(FRESH, status=status, body=b"" if status == 204 else b"x"),
                cached(given=status, reads=b"" if status == 204 else b"x"),
            ),
            case(f"status-{status}-stale", sent("Expires: @-5000 | Last-Modified: @-100000 | Date: @0", status=status), sent()),
        )
    ),
    *(
        case(f"status-{status}-never", sent("Cache-Control: public, max-age=3600", status=status), sent(status=status))
        for status in (428, 429, 431, 511)
    ),
    *(
        case(f"status-{status}-must-understand", sent(answer, status=status), Step(expected, given=given, reads=reads))
        for answer in ("Cache-Control: max-age=3600, no-store, must-understand",)
        for status, expected, given, reads in ((599, "sent", None, None), (200, "cached", 200, None))
    ),
    case("status-206-must-understand", sent("Cache-Control: max-age=9, no-store, must-understand", status=206), sent()),
)

STALE = (
    # Checks: not unless someone says so.
    case("stale-close", sent("Cache-Control: max-age=2"), Step("error", error="RemoteProtocolError", after=3)),
    case("stale-503", sent("Cache-Control: max-age=2"), sent(status=503, after=3)),
    case(
        "stale-while-revalidate-window",
        sent('Cache-Control: max-age=1, stale-while-revalidate=4 | ETag: "abc"'),
        sent(after=5, asked='If-None-Match: "abc"'),
    ),
    *(
        case(
            f"stale-sie-{name}",
            sent("Cache-Control: max-age=2, stale-if-error=60"),
            instead(after=3, **how),
            instead(after=59, **how),
            Step(late, after=1, **how),
        )
        for name, how, late in (
            *((name, {"error": name}, "error") for name in ("RemoteProtocolError", "ConnectError", "ReadTimeout")),
            *((str(status), {"status": status}, "sent") for status in (500, 502, 503, 504)),
        )
    ),
    *(
        case(
            f"stale-close-{name}",
            sent(f"Cache-Control: max-age=2, stale-if-error=60, {control}"),
            Step("error", error="RemoteProtocolError", after=3),
            sent(status=503),
            stale_if_error=60,
            shared=shared,
        )
        for name, control, shared in (
            ("must-revalidate", "must-revalidate", False),
            ("proxy-revalidate", "proxy-revalidate", True),
            ("no-cache", "no-cache", False),
            ("s-maxage=2", "s-maxage=2", True),
        )
    ),
    case(
        "stale-proxy-revalidate-private",
        sent("Cache-Control: max-age=2, stale-if-error=60, proxy-revalidate"),
        instead(status=503, after=3),
    ),
    case(
        "stale-sie-404",
        sent("Cache-Control: max-age=2, stale-if-error=60"),
        sent(status=404, after=3),
    ),
    case(
        "stale-sie-config",
        sent("Cache-Control: max-age=2"),
        instead(status=429, after=3),
        instead(error="ConnectTimeout"),
        stale_if_error=60,
    ),
    case(
        "stale-sie-request",
        sent("Cache-Control: max-age=2"),
        instead(ask="Cache-Control: stale-if-error=60", status=503, after=3),
        sent(status=503),
        sent(ask="Cache-Control: stale-if-error=60, no-cache", status=503),
    ),
    case(
        "stale-sie-unlike",
        sent("Cache-Control: max-age=2, stale-if-error=60 | Vary: Foo", "Foo: 1"),
        sent(ask="Foo: 2", status=503, after=3),
    ),
)


def vary(name: str, expected: str, ask: str, again: str, varied: str = "Foo", **more: Any) -> Case:
    answer = f"Cache-Control: max-age=5000 | Last-Modified: @-3000 | Date: @0 | Vary: {varied}"
    return twice(name, expected, answer, ask, again or "Other: 1", **more)


THREE = ("Foo: 1 | Bar: abc | Baz: 789", "Foo, Bar, Baz")

VARY = (
    vary("vary-match", "cached", "Foo: 1", "Foo: 1"),
    vary("vary-no-match", "sent", "Foo: 1", "Foo: 2"),
    vary("vary-omit-stored", "sent", "", "Foo: 1"),
    vary("vary-omit", "sent", "Foo: 1", ""),
    vary("vary-empty-is-not-absent", "sent", "Foo:", ""),
    vary("vary-case-of-unknown", "sent", "Foo: a", "Foo: A"),
    case(
        "vary-invalidate",
        sent(f"{FRESH} | Vary: Foo", "Foo: 1", body=b"foo_1"),
        sent(f"{FRESH} | Vary: Foo", "Foo: 2", body=b"foo_2"),
        cached("Foo: 1", reads=b"foo_1"),
        cached("Foo: 2", reads=b"foo_2"),
    ),
    vary("vary-cache-key", "cached", "Foo: 1 | Other: 2", "Foo: 1 | Other: 3"),
    vary("vary-2-match", "cached", "Foo: 1 | Bar: abc", "Foo: 1 | Bar: abc", "Foo, Bar"),
    vary("vary-2-no-match", "sent", "Foo: 1 | Bar: abc", "Foo: 2 | Bar: abc", "Foo, Bar"),
    vary("vary-2-match-omit", "sent", "Foo: 1 | Bar: abc", "", "Foo, Bar"),
    vary("vary-2-lines", "sent", "Foo: 1 | Bar: abc", "Foo: 1 | Bar: d", "Foo | Vary: Bar"),
    vary("vary-3-match", "cached", THREE[0], THREE[0], THREE[1]),
    vary("vary-3-no-match", "sent", THREE[0], "Foo: 2 | Bar: abc | Baz: 789", THREE[1]),
    vary("vary-3-order", "sent", THREE[0], "Foo: 1 | Baz: 789 | Bar: abcde", THREE[1]),
    vary("vary-3-omit", "cached", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", THREE[1]),
    vary("vary-star", "sent", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", "*"),
    vary("vary-name-case", "cached", "foo: 1", "FOO: 1", "fOO"),
    vary("vary-normalise-combine", "cached", "Foo: 1, 2", "Foo: 1 | Foo: 2"),
    vary("vary-normalise-space", "cached", "Foo: 1,2", "Foo:  1, 2 "),
    vary("vary-normalise-lang-case", "cached", "Accept-Language: en, de", "Accept-Language: eN, De", "Accept-Language"),
    vary("vary-normalise-lang-space", "cached", "Accept-Language: en, de", "Accept-Language:  en ,   de", "Accept-Language"),
    # The suite's optimal cache knows what order and weights mean. Here they are what they are: one request more.
    vary("vary-normalise-lang-order", "sent", "Accept-Language: en, de", "Accept-Language: de, en", "Accept-Language"),
    vary(
        "vary-normalise-lang-select",
        "sent",
        "Accept-Language: en, de",
        "Accept-Language: fr;q=0.5, de;q=1.0",
        "Accept-Language | Content-Language: de",
    ),
    *(
        vary(f"vary-syntax-{name}", "sent", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", value)
        for name, value in (
            ("star-star", "*, *"),
            ("star-star-lines", "* | Vary: *"),
            ("empty-star", ", *"),
            ("empty-star-lines", " | Vary: *"),
            ("star-foo", "*, Foo"),
            ("foo-star", "Foo, *"),
        )
    ),
    case(
        "vary-304-picks-one",
        sent('Cache-Control: max-age=2 | ETag: "a" | Vary: Foo', "Foo: 1", body=b"a"),
        sent('Cache-Control: max-age=2 | ETag: "b" | Vary: Foo', "Foo: 2", body=b"b"),
        validated('ETag: "a" | Cache-Control: max-age=99', "Foo: 3", asked='If-None-Match: "b", "a"', reads=b"a"),
        cached("Foo: 3", reads=b"a"),
        cached("Foo: 2", reads=b"b"),
    ),
    case(
        "vary-changes",
        sent("Cache-Control: max-age=99 | Vary: Foo", "Foo: 1 | Bar: 1", body=b"a"),
        sent("Cache-Control: max-age=99 | Vary: Bar", "Foo: 2 | Bar: 2", body=b"b"),
        cached("Foo: 3 | Bar: 2", reads=b"b"),
        sent("", "Foo: 3 | Bar: 3"),
    ),
)

METHOD = (
    # The suite's optimal cache answers GET with what a POST gave. This one stores no answer to it.
    case("method-POST", sent("Expires: @2592000 | Content-Location: / | Date: @0", method="POST"), sent()),
    *(
        case(f"method-{method}-never-stored", sent(FRESH, method=method), sent(FRESH, method=method), sent())
        for method in ("OPTIONS", "QUERY", "PROPFIND", "FOO")
    ),
    case("interim-not-cached", sent("Cache-Control: max-age=9", status=103), sent()),
)

CASES = [
    *CC_FRESHNESS,
    *CC_PARSE,
    *AGE_PARSE,
    *EXPIRES,
    *HEURISTIC,
    *CC_RESPONSE,
    *CC_REQUEST,
    *PRAGMA,
    *OTHER,
    *AUTH,
    *CDN,
    *CONDITIONAL,
    *STORED_HEADERS,
    *UPDATE_304,
    *UPDATE_HEAD,
    *INVALIDATION,
    *PARTIAL,
    *STATUS,
    *STALE,
    *VARY,
    *METHOD,
]

EVERYWHERE = frozenset(
    "freshness-max-age freshness-max-age-stale cc-resp-must-revalidate-stale ccreq-oic conditional-etag-precedence "
    "304-lm-use-stored-Test-Header head-200-update head-validates invalidate-POST invalidate-POST-location "
    "partial-store-complete-reuse-partial stale-sie-503 stale-sie-ConnectError vary-304-picks-one status-204-fresh".split()
)


@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
async def test_conformance(world: World, case: Case) -> None:
    """Each conversation goes as it should, and every connection is given back."""
    await Conversation(world, **case.config).hold(*case.steps)


@pytest.mark.parametrize("case", [case for case in CASES if case.id in EVERYWHERE], ids=lambda case: case.id)
async def test_conformance_everywhere(world: World, case: Case) -> None:
    """Those that take another way through the layer go alike in every world."""
    await Conversation(world, **case.config).hold(*case.steps)


def test_the_names_are_unique() -> None:
    """No case hides another one, and those that run everywhere exist."""
    names = [case.id for case in CASES]
    assert len(names) == len(set(names))
    assert set(names) >= EVERYWHERE

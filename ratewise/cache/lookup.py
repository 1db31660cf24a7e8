"""One request, as the cache sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..layer import Call
from . import rules
from .conditions import Part, brief, not_modified, part, partial, unsatisfiable
from .directives import LONGEST, Fields
from .entry import Entries, Entry, Field, unpack
from .key import Keys

if TYPE_CHECKING:
    from .._core.call_state import CallState

SKEW = 60.0
"""Seconds that the clocks of machines may differ."""


class Asked:
    """A request that is not answered at once, and what is stored for it."""

    def __init__(
        self,
        request: Any,
        state: CallState,
        call: Call[Any, Any],
        number: int,
        fields: Fields,
        keys: Keys,
        key: bytes,
        entries: Entries,
        entry: Entry | None,
    ) -> None:
        self.request = request
        self.call = call
        self.number = number
        """See `Order`."""
        self.looked = number
        """As of when `stored` is known, by the same numbers."""
        self.fields = fields
        self.keys = keys
        self.key = key
        self.stored = entries
        """What is stored under its key."""
        head = request.method == "HEAD"
        self.entries = entries if head or not entries else tuple(entry for entry in entries if not entry.head_only)
        """What of it may answer its method: of an answer to HEAD nobody knows the body."""
        self.entry = entry
        """Which of these matches it."""
        self.state = state
        self.control = rules.asks(fields)
        self.began = call.clock.monotonic()
        self.began_at = call.clock.time()

    @property
    def shareable(self) -> bool:
        """What the server says to it may be the answer to others like it (RFC 9111, 4: "collapsed requests")."""
        plain = not self.control and rules.OWN.isdisjoint(self.fields)
        return plain and self.request.method == "GET" and self.state.options.cache is None

    @property
    def sent_at(self) -> float:
        """When the request was last sent, by the wall clock: it may have waited, and been tried before."""
        return max(self.state.sent_at, self.began_at)

    @property
    def forward(self) -> str:
        """Why it is sent to the server (RFC 9211, 2.2)."""
        if self.entry is None:
            return "vary-miss" if self.entries else "uri-miss"
        return "request" if self.age(self.entry) < self.entry.policy.lifetime and not self.entry.policy.no_cache else "stale"

    def age(self, entry: Entry) -> float:
        """4.2.3: current_age."""
        age = self.call.clock.time() - entry.born
        return max(age, 0.0) if age > -SKEW else LONGEST  # the clock was set back, and nobody knows

    def answer(self, entry: Entry, note: str) -> Any:
        """A response from what is stored; None if the request wants a part that only the server can give."""
        status, body = entry.status, entry.body
        age = self.age(entry)
        head: Served | Made = Served.of(entry, age, note.encode())
        if not_modified(entry, self.fields):
            status, body, head = 304, b"", Made(brief(head.fields))
        elif self.request.method == "HEAD":
            body = b""
        else:
            wanted = part(entry, self.fields)
            if wanted is Part.UNKNOWN:
                return None
            if wanted is Part.NONE:
                status, body, head = 416, b"", Made(unsatisfiable(head.fields, len(body)))
            elif isinstance(wanted, range):
                head = Made(partial(head.fields, wanted, len(body)))
                status, body = 206, body[wanted.start : wanted.stop]
        return self.call.http.respond(status, head, body)


class Served(NamedTuple):
    """The header of a stored response as it is served: the same again for a second."""

    head: bytes
    """See `Entry`."""
    age: int
    note: bytes
    ttl: int

    @classmethod
    def of(cls, entry: Entry, age: float, note: bytes) -> Served:
        return cls(entry.head, int(age), note, int(entry.policy.lifetime - age))

    @property
    def fields(self) -> tuple[Field, ...]:
        """4: "MUST generate an Age header field"."""
        status = b"RateWise; %b; ttl=%d" % (self.note, self.ttl)
        return (*unpack(self.head), (b"Age", b"age", b"%d" % self.age), (b"Cache-Status", b"cache-status", status))


class Made(NamedTuple):
    """The header of a response that was made of a stored one."""

    fields: tuple[Field, ...]


def noted(response: Any, note: str, call: Call[Any, Any]) -> Any:
    """The response to hand on, which tells what the cache did (RFC 9211)."""
    return call.http.with_member(response, "Cache-Status", f"RateWise; {note}")


def only_if_cached(call: Call[Any, Any]) -> Any:
    """5.2.1.7: "or respond with a 504 (Gateway Timeout) status code"."""
    status = b'RateWise; detail="only-if-cached"'
    fields = (b"Cache-Status", b"cache-status", status), (b"Content-Length", b"content-length", b"0")
    return call.http.respond(504, Made(fields), b"")

"""One request, and what the store has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .._http.dates import MAX_DELTA_SECONDS
from ..layer import Call
from . import rules
from .conditions import NoRange, fields_of_206, fields_of_304, fields_of_416, not_modified, requested_range
from .directives import FieldValues
from .entry import Entries, Entry, Field, unpack
from .key import Keys

if TYPE_CHECKING:
    from .._core.call_state import CallState

SKEW = 60.0
"""Seconds by which the clocks of two machines may differ."""


class Lookup:
    """A request that is not answered at once, and what is stored for it."""

    def __init__(
        self,
        request: Any,
        state: CallState,
        call: Call[Any, Any],
        number: int,
        fields: FieldValues,
        keys: Keys,
        key: bytes,
        entries: Entries,
        entry: Entry | None,
    ) -> None:
        self.request = request
        self.call = call
        self.number = number
        """The number of the request in the store's `RequestOrder`."""
        self.looked = number
        """The number as of which `stored` is known."""
        self.fields = fields
        """The header fields of the request."""
        self.keys = keys
        self.key = key
        self.stored = entries
        """What is stored under `key`."""
        head = request.method == "HEAD"
        self.entries = entries if head or not entries else tuple(entry for entry in entries if not entry.head_only)
        """The part of `stored` that can answer the method: a response to HEAD has no body for a GET."""
        self.entry = entry
        """The one of `entries` that matches the request; None if none does."""
        self.state = state
        self.control = rules.request_directives(fields)
        """The Cache-Control directives of the request."""
        self.began = call.clock.monotonic()
        self.began_at = call.clock.time()

    @property
    def shareable(self) -> bool:
        """Whether the response may answer other requests like this one (RFC 9111, 4: "collapsed requests")."""
        plain = not self.control and rules.CONDITIONAL.isdisjoint(self.fields)
        return plain and self.request.method == "GET" and self.state.options.cache is None

    @property
    def sent_at(self) -> float:
        """When the request was last sent, by the wall clock. It may have waited, or been retried."""
        return max(self.state.sent_at, self.began_at)

    @property
    def forward(self) -> str:
        """Why the request goes to the server (RFC 9211, 2.2)."""
        if self.entry is None:
            return "vary-miss" if self.entries else "uri-miss"
        return "request" if self.age(self.entry) < self.entry.policy.lifetime and not self.entry.policy.no_cache else "stale"

    def age(self, entry: Entry) -> float:
        """RFC 9111, 4.2.3: the current age of an entry, in seconds."""
        age = self.call.clock.time() - entry.born
        return max(age, 0.0) if age > -SKEW else MAX_DELTA_SECONDS  # the clock was set back: the age is unknown

    def answer(self, entry: Entry, note: str) -> Any:
        """Return a response made from an entry; None if the request wants a range that only the server can give."""
        status, body = entry.status, entry.body
        age = self.age(entry)
        head: ServedHead | DerivedHead = ServedHead.of(entry, age, note.encode())
        if not_modified(entry, self.fields):
            status, body, head = 304, b"", DerivedHead(fields_of_304(head.fields))
        elif self.request.method == "HEAD":
            body = b""
        else:
            wanted = requested_range(entry, self.fields)
            if wanted is NoRange.UNSUPPORTED:
                return None
            if wanted is NoRange.UNSATISFIABLE:
                status, body, head = 416, b"", DerivedHead(fields_of_416(head.fields, len(body)))
            elif isinstance(wanted, range):
                head = DerivedHead(fields_of_206(head.fields, wanted, len(body)))
                status, body = 206, body[wanted.start : wanted.stop]
        return self.call.http.respond(status, head, body)


class ServedHead(NamedTuple):
    """The header of a stored response as it is served. Equal within one second, so that its headers are built once."""

    head: bytes
    """The stored fields, packed."""
    age: int
    """Seconds."""
    note: bytes
    """What Cache-Status says (RFC 9211)."""
    ttl: int
    """Seconds for which the response is still fresh; negative if it is stale."""

    @classmethod
    def of(cls, entry: Entry, age: float, note: bytes) -> ServedHead:
        return cls(entry.head, int(age), note, int(entry.policy.lifetime - age))

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, with Age (RFC 9111, 4: "MUST generate an Age header field") and Cache-Status."""
        status = b"RateWise; %b; ttl=%d" % (self.note, self.ttl)
        return (*unpack(self.head), (b"Age", b"age", b"%d" % self.age), (b"Cache-Status", b"cache-status", status))


class DerivedHead(NamedTuple):
    """The header of a response that is made from a stored one, such as a 206 or 304."""

    fields: tuple[Field, ...]


def with_cache_status(response: Any, note: str, call: Call[Any, Any]) -> Any:
    """Return the response with a Cache-Status that says how the cache handled it (RFC 9211)."""
    return call.http.with_member(response, "Cache-Status", f"RateWise; {note}")


def gateway_timeout(call: Call[Any, Any]) -> Any:
    """Return the response to `only-if-cached` (RFC 9111, 5.2.1.7: "or respond with a 504 (Gateway Timeout) status code")."""
    status = b'RateWise; detail="only-if-cached"'
    fields = (b"Cache-Status", b"cache-status", status), (b"Content-Length", b"content-length", b"0")
    return call.http.respond(504, DerivedHead(fields), b"")

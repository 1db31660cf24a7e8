"""A caller's own conditions and ranges, evaluated against a stored response (RFC 9110, 13 and 14; RFC 9111, 4.3.2)."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from .._util.lazy_regex import regex
from .directives import FieldValues, date_of, etags, opaque_tag
from .entry import Entry, Field

ORIGIN_CONDITIONS = frozenset({b"if-match", b"if-unmodified-since"})
"""RFC 9111, 4.3.2: "A cache MUST NOT evaluate conditional header fields that only apply to an origin server"."""

NOT_MODIFIED = frozenset(b"age cache-control cache-status content-location date etag expires vary".split())
"""RFC 9110, 15.4.5: the fields of the stored response that a 304 has; `Last-Modified` too, if there is no ETag."""

_RANGE = regex(rb"bytes[ \t]*=[ \t]*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))[ \t]*", re.ASCII | re.IGNORECASE)
"""A Range of bytes with one range (RFC 9110, 14.1.2)."""

STRONG_AFTER = 1.0
"""Seconds by which Date must be later than Last-Modified for the latter to be a strong validator (RFC 9110, 8.8.2.2)."""


class NoRange(enum.Enum):
    """Why a request is not answered with a range of bytes of a stored response."""

    IGNORED = enum.auto()
    """It has no Range, or an invalid one, or one that does not apply: the whole response is the answer."""
    UNSATISFIABLE = enum.auto()
    """The range begins after the end of the body: 416."""
    UNSUPPORTED = enum.auto()
    """Several ranges, another unit, or a range of an encoded body: only the server can answer."""


def not_modified(entry: Entry, request: FieldValues) -> bool:
    """RFC 9110, 13.2.2: whether the condition of a request evaluates to 304 for a stored response."""
    # RFC 9110, 13.2.1: conditions apply to what "would have been 2xx".
    if not 200 <= entry.status < 300:
        return False
    wanted = request.get(b"if-none-match")
    if wanted is not None:
        tag = entry.get(b"etag")
        # RFC 9110, 13.1.2: "*" matches any current representation; tags are compared weakly.
        return wanted.strip() == b"*" or (tag is not None and opaque_tag(tag) in map(opaque_tag, etags(wanted)))
    since = date_of(request, b"if-modified-since", entry.received)
    if since is None:  # RFC 9110, 13.1.3: an invalid date is ignored
        return False
    fields = {name: value for _, name, value in entry.fields}
    modified = date_of(fields, b"last-modified", entry.received)
    if modified is None:  # RFC 9111, 4.3.2: then the Date of the stored response, or "the time that [it] was received"
        modified = date_of(fields, b"date", entry.received)
    return (entry.received if modified is None else modified) <= since


def requested_range(entry: Entry, request: FieldValues) -> NoRange | range:
    """RFC 9110, 14.2: return the range of bytes that a GET asks for, or why it gets none."""
    wanted = request.get(b"range")
    # "A server MUST ignore a Range header field" that comes with another result than 200.
    if wanted is None or entry.status != 200:
        return NoRange.IGNORED
    match = _RANGE.fullmatch(wanted)
    if match is None or entry.get(b"content-encoding") is not None:  # a part of an encoded body cannot be decoded
        return NoRange.UNSUPPORTED
    if not _current(entry, request):
        return NoRange.IGNORED
    size = len(entry.body)
    first, last, suffix = match.groups()
    if suffix is not None:
        if not int(suffix):
            return NoRange.UNSATISFIABLE
        if not size:  # satisfiable, but no Content-Range can describe it
            return NoRange.IGNORED
        return range(max(size - int(suffix), 0), size)
    if last is not None and int(last) < int(first):  # RFC 9110, 14.1.1: "invalid", and ignored
        return NoRange.IGNORED
    start, stop = int(first), size if last is None else min(int(last) + 1, size)
    return range(start, stop) if start < size else NoRange.UNSATISFIABLE


def _current(entry: Entry, request: FieldValues) -> bool:
    """RFC 9110, 13.1.5: whether the request has no If-Range, or one that matches this representation."""
    wanted = request.get(b"if-range")
    if wanted is None:
        return True
    wanted = wanted.strip()
    if wanted.endswith(b'"'):
        return wanted == entry.get(b"etag") and not wanted.startswith(b"W/")
    fields = {name: value for _, name, value in entry.fields}
    modified, date = (date_of(fields, name, entry.received) for name in (b"last-modified", b"date"))
    if modified is None or date is None or date - modified < STRONG_AFTER:
        return False
    return date_of(request, b"if-range", entry.received) == modified


def fields_of_304(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Return the fields of a 304 that stands for a response with these fields."""
    tagged = any(name == b"etag" for _, name, _ in fields)
    return tuple(field for field in fields if field[1] in NOT_MODIFIED or (field[1] == b"last-modified" and not tagged))


def fields_of_206(fields: Sequence[Field], wanted: range, size: int) -> tuple[Field, ...]:
    """RFC 9110, 15.3.7: return the fields of a 206 with a range of a body of `size` bytes."""
    return (
        *(field for field in fields if field[1] not in (b"content-length", b"content-range")),
        _new_field("Content-Range", f"bytes {wanted.start}-{wanted.stop - 1}/{size}"),
        _new_field("Content-Length", str(len(wanted))),
    )


def fields_of_416(fields: Sequence[Field], size: int) -> tuple[Field, ...]:
    """RFC 9110, 15.5.17: return the fields of a 416 for a body of `size` bytes."""
    return (
        *(field for field in fields if field[1] in (b"date", b"cache-status")),
        _new_field("Content-Range", f"bytes */{size}"),
        _new_field("Content-Length", "0"),
    )


def _new_field(name: str, value: str) -> Field:
    raw = name.encode()
    return raw, raw.lower(), value.encode()

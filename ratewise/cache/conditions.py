"""The caller's own conditions and ranges, answered from what is stored (RFC 9110, 13 and 14; RFC 9111, 4.3.2). Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from .._util.lazy_regex import regex
from .directives import Fields, date_of, etags, weak
from .entry import Entry, Field

ORIGINS = frozenset({b"if-match", b"if-unmodified-since"})
"""RFC 9111, 4.3.2: "A cache MUST NOT evaluate conditional header fields that only apply to an origin server"."""

NOT_MODIFIED = frozenset(b"age cache-control cache-status content-location date etag expires vary".split())
"""RFC 9110, 15.4.5: what a 304 tells of the response that it stands for; `Last-Modified` where there is no ETag."""

_RANGE = regex(rb"bytes[ \t]*=[ \t]*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))[ \t]*", re.ASCII | re.IGNORECASE)

STRONG_AFTER = 1.0
"""Seconds between Last-Modified and Date from which on no second change can have gone unseen (RFC 9110, 8.8.2.2)."""


class Part(enum.Enum):
    """What of a stored response a request asks for, where that is no range of bytes."""

    ALL = enum.auto()
    NONE = enum.auto()
    """The range begins after its end: 416."""
    UNKNOWN = enum.auto()
    """Several ranges, another unit, or a part of what is encoded: the server's business."""


def not_modified(entry: Entry, asked: Fields) -> bool:
    """RFC 9110, 13.2.2: the condition of the request says that its caller has this response already."""
    # 13.2.1: conditions are for what "would have been 2xx".
    if not 200 <= entry.status < 300:
        return False
    wanted = asked.get(b"if-none-match")
    if wanted is not None:
        tag = entry.get(b"etag")
        # 13.1.2: "*" is for any current representation; tags compare weakly.
        return wanted.strip() == b"*" or (tag is not None and weak(tag) in map(weak, etags(wanted)))
    since = date_of(asked, b"if-modified-since", entry.received)
    if since is None:  # 13.1.3: one that is no date is ignored
        return False
    fields = {name: value for _, name, value in entry.fields}
    modified = date_of(fields, b"last-modified", entry.received)
    if modified is None:  # RFC 9111, 4.3.2: then the Date of the stored response, or "the time that [it] was received"
        modified = date_of(fields, b"date", entry.received)
    return (entry.received if modified is None else modified) <= since


def part(entry: Entry, asked: Fields) -> Part | range:
    """RFC 9110, 14.2: the bytes that a GET asks for."""
    wanted = asked.get(b"range")
    # "A server MUST ignore a Range header field" that comes with another result than 200.
    if wanted is None or entry.status != 200:
        return Part.ALL
    match = _RANGE.fullmatch(wanted)
    if match is None or entry.get(b"content-encoding") is not None:  # nobody could decode a part of that
        return Part.UNKNOWN
    if not _current(entry, asked):
        return Part.ALL
    size = len(entry.body)
    first, last, suffix = match.groups()
    if suffix is not None:
        if not int(suffix):
            return Part.NONE
        return range(max(size - int(suffix), 0), size) if size else Part.ALL  # the last bytes of none: no range can tell them
    if last is not None and int(last) < int(first):  # 14.1.1: "invalid", and to be ignored
        return Part.ALL
    start, stop = int(first), size if last is None else min(int(last) + 1, size)
    return range(start, stop) if start < size else Part.NONE


def _current(entry: Entry, asked: Fields) -> bool:
    """RFC 9110, 13.1.5: whether If-Range, if there is one, is about this very representation."""
    wanted = asked.get(b"if-range")
    if wanted is None:
        return True
    wanted = wanted.strip()
    if wanted.endswith(b'"'):
        return wanted == entry.get(b"etag") and not wanted.startswith(b"W/")
    fields = {name: value for _, name, value in entry.fields}
    modified, date = (date_of(fields, name, entry.received) for name in (b"last-modified", b"date"))
    if modified is None or date is None or date - modified < STRONG_AFTER:
        return False
    return date_of(asked, b"if-range", entry.received) == modified


def brief(fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields of a 304 in place of a response that has these."""
    tagged = any(name == b"etag" for _, name, _ in fields)
    return tuple(field for field in fields if field[1] in NOT_MODIFIED or (field[1] == b"last-modified" and not tagged))


def partial(fields: Sequence[Field], wanted: range, size: int) -> tuple[Field, ...]:
    """The fields of a 206 (RFC 9110, 15.3.7) with these bytes of a response that has these."""
    return (
        *(field for field in fields if field[1] not in (b"content-length", b"content-range")),
        _field("Content-Range", f"bytes {wanted.start}-{wanted.stop - 1}/{size}"),
        _field("Content-Length", str(len(wanted))),
    )


def unsatisfiable(fields: Sequence[Field], size: int) -> tuple[Field, ...]:
    """The fields of a 416 (RFC 9110, 15.5.17)."""
    return (
        *(field for field in fields if field[1] in (b"date", b"cache-status")),
        _field("Content-Range", f"bytes */{size}"),
        _field("Content-Length", "0"),
    )


def _field(name: str, value: str) -> Field:
    raw = name.encode()
    return raw, raw.lower(), value.encode()

"""Parsers for the header fields that matter to a cache. None of them raises, whatever the input."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Optional, TypeVar

from .._http.dates import MAX_DELTA_SECONDS, http_date
from .._http.structured_fields import parse_dictionary
from .._util.lazy_regex import regex
from .entry import Field

T = TypeVar("T")

FORBIDDING = frozenset({"no-cache", "no-store", "private"})
"""Response directives that restrict storing or reuse. They count even where the field is malformed."""

FieldValues = Mapping[bytes, bytes]
"""Field values by lower-case field name; the lines of a field are combined into one value (RFC 9110, 5.2)."""

Directives = Mapping[str, Optional[str]]
"""Directives by lower-case name, with their argument: None if there is none, "" if it is invalid."""

_DIGITS = regex(r"[0-9]+", re.ASCII)
"""A number of seconds or bytes."""

_PART = regex(r'(?:[^,"]+|"(?:[^"\\]|\\.)*")+', re.DOTALL)
"""A member of a list that is separated by commas; strings may contain commas."""

_ESCAPED = regex(r"\\(.)", re.DOTALL)
"""An escaped character of a quoted string."""

_QUOTED = regex(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
"""A quoted string."""

_CLOSED = regex(r'"(?:[^"\\]|\\.)*("?)', re.DOTALL)
"""The same; one that is not closed matches to the end of the text, so that matching stays linear. Its group tells them apart."""

_MAX_KNOWN_VALUES = 1000
"""Values whose parsed form is kept, of each kind, at most; and bytes of one that is kept, at most."""

# Servers repeat themselves: each value is parsed once.
_known: dict[bytes, Directives] = {}
_dates: dict[bytes, float] = {}
_lists: dict[bytes, tuple[bytes, ...]] = {}
_NOTHING: Directives = {}
"""The directives of a message without the field."""


def joined(fields: Sequence[Field]) -> dict[bytes, bytes]:
    """Return field values by name. RFC 9110, 5.3: the lines of one field form one list."""
    found = {name: value for _, name, value in fields}
    if len(found) != len(fields):
        lines: dict[bytes, list[bytes]] = {}
        for _, name, value in fields:
            lines.setdefault(name, []).append(value)
        found = {name: b", ".join(values) for name, values in lines.items()}
    return found


def directives(value: bytes | None) -> Directives:
    """Parse a Cache-Control field (RFC 9111, 5.2)."""
    if value is None:
        return _NOTHING
    found = _known.get(value)
    if found is None:
        found = _read(value.decode("latin-1"))
        _remember(_known, value, found)
    return found


def _read(value: str) -> Directives:
    parts: Sequence[str]
    if '"' not in value:
        parts = value.split(",")
    elif not all(_CLOSED.findall(value)):  # an unclosed quote hides no directive after it
        parts = value.replace('"', "").split(",")
    else:
        parts = _PART.findall(value)
    found: dict[str, str | None] = {}
    for part in parts:
        name, equals, argument = part.strip(" \t").partition("=")
        plain = name.strip(" \t").lower()
        given: str | None = None
        if equals:
            quoted = _QUOTED.fullmatch(argument)
            given = argument if quoted is None else _ESCAPED.sub(r"\1", quoted[1])
            if plain != name.lower():  # whitespace before the `=` is invalid
                given = ""
        if plain:
            # RFC 9111, 4.2.1: conflicting values are invalid.
            found[plain] = given if plain not in found or found[plain] == given else ""
        if ";" in part:  # in place of a comma: directives that restrict count all the same
            found.update(dict.fromkeys(FORBIDDING.intersection(map(str.strip, part.lower().split(";")))))
    return found


def targeted(value: bytes | None) -> Directives:
    """Parse a targeted field, a Dictionary (RFC 9213, 2.1). Return no directives if it is malformed, empty or missing."""
    found: dict[str, str | None] = {}
    for name, given in parse_dictionary("" if value is None else value.decode("latin-1")).items():
        # RFC 9213, 2.1: a member of an unexpected type is ignored; but directives that restrict count all the same.
        if given is True or (isinstance(given, int) and given is not False):
            found[name] = None if given is True else str(given)
        elif given is not False and name in FORBIDDING:
            found[name] = ""
    return found


def delta(given: Directives, name: str) -> float | None:
    """Return the seconds of a directive; None if it is missing, 0 if it is invalid (RFC 9111, 4.2.1: considered stale)."""
    if name not in given:
        return None
    value = given[name]
    return delta_seconds(value) if value is not None and _DIGITS.fullmatch(value) else 0.0


def delta_seconds(digits: str) -> float:
    """Return ASCII digits as a number of seconds: at most `MAX_DELTA_SECONDS` (RFC 9111, 1.2.2)."""
    return min(float(digits), MAX_DELTA_SECONDS)


def date_of(fields: FieldValues, name: bytes, now: float) -> float | None:
    """Return the date in a field, in seconds since the epoch; None if missing or invalid. `now` completes two-digit years."""
    value = fields.get(name)
    if value is None:
        return None
    found = _dates.get(value)
    if found is None:
        found = http_date(value.decode("latin-1").strip(" \t"), now)
        if found is not None and len(value) == len(
            "Thu, 01 Jan 1970 00:00:00 GMT"
        ):  # with a four-digit year it does not depend on `now`
            _remember(_dates, value, found)
    return found


def gmt(value: bytes, now: float) -> float | None:
    """Parse a date, in seconds since the epoch; None if invalid. RFC 9111, 4.2: in another zone than GMT it is invalid."""
    text = value.decode("latin-1").strip(" \t")
    return None if text.lower().endswith("utc") else http_date(text, now)


def age_of(fields: FieldValues) -> float:
    """Return the seconds of Age. RFC 9111, 5.1: the first member of a list counts, and an invalid one is ignored (0)."""
    value = fields.get(b"age")
    first = b"" if value is None else value.split(b",", 1)[0].strip(b" \t")
    text = first.decode("latin-1")
    return delta_seconds(text) if _DIGITS.fullmatch(text) else 0.0


def etags(value: bytes) -> list[bytes]:
    """Return the entity tags of an If-None-Match or ETag (RFC 9110, 8.8.3). A tag may contain a comma."""
    return _ETAG.findall(value) or [part for part in map(bytes.strip, value.split(b",")) if part]


_ETAG = regex(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
"""An entity tag (RFC 9110, 8.8.3)."""


def opaque_tag(tag: bytes) -> bytes:
    """Return the part of an entity tag that counts in the weak comparison (RFC 9110, 8.8.3.2)."""
    return tag[2:] if tag.startswith(b"W/") else tag


def listed(value: bytes | None) -> tuple[bytes, ...]:
    """Return the distinct members of a list of tokens, in lower case and sorted."""
    if value is None:
        return ()
    found = _lists.get(value)
    if found is None:
        found = tuple(sorted({part for part in map(bytes.strip, value.lower().split(b",")) if part}))
        _remember(_lists, value, found)
    return found


def length_of(fields: FieldValues) -> int | None:
    """Return the Content-Length, in bytes; None if it is missing or invalid."""
    value = fields.get(b"content-length", b"").strip(b" \t").decode("latin-1")
    return int(value) if _DIGITS.fullmatch(value) and len(value) < 19 else None


def _remember(known: dict[bytes, T], value: bytes, found: T) -> None:
    if len(known) >= _MAX_KNOWN_VALUES:
        known.clear()
    if len(value) <= _MAX_KNOWN_VALUES:
        known[value] = found

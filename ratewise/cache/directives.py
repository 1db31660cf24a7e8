"""What header fields say to a cache, in any spelling. Pure. Never raises, whatever comes in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Optional, TypeVar

from .._http.dates import http_date
from .._http.structured_fields import parse_dictionary
from .._util.lazy_regex import regex
from .entry import Field

T = TypeVar("T")

FORBIDDING = frozenset({"no-cache", "no-store", "private"})

LONGEST = 2.0**31
"""Seconds. RFC 9111, 1.2.2: what a number that is too large to hold stands for."""

Fields = Mapping[bytes, bytes]
"""Header fields by their names in lower case; the values of one that stands there more than once are joined."""

Directives = Mapping[str, Optional[str]]
"""The directives of a Cache-Control by their names in lower case, with the argument; None without one, "" for an invalid one."""

_DIGITS = regex(r"[0-9]+", re.ASCII)
_PART = regex(r'(?:[^,"]+|"(?:[^"\\]|\\.)*")+', re.DOTALL)
_ESCAPED = regex(r"\\(.)", re.DOTALL)
_QUOTED = regex(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CLOSED = regex(r'"(?:[^"\\]|\\.)*("?)', re.DOTALL)  # to the end if it never closes: read once either way

_MOST = 1000
# A server says the same thing again and again: each is read once.
_known: dict[bytes, Directives] = {}
_dates: dict[bytes, float] = {}
_lists: dict[bytes, tuple[bytes, ...]] = {}
_NOTHING: Directives = {}


def joined(fields: Sequence[Field]) -> dict[bytes, bytes]:
    """Header fields by name. RFC 9110, 5.3: the lines of one field are one list."""
    found = {name: value for _, name, value in fields}
    if len(found) != len(fields):
        lines: dict[bytes, list[bytes]] = {}
        for _, name, value in fields:
            lines.setdefault(name, []).append(value)
        found = {name: b", ".join(values) for name, values in lines.items()}
    return found


def directives(value: bytes | None) -> Directives:
    """The directives of a Cache-Control (RFC 9111, 5.2)."""
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
    elif not all(_CLOSED.findall(value)):  # one that never closes hides nothing that comes after it
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
            if plain != name.lower():  # no blank may stand before the `=`
                given = ""
        if plain:
            # RFC 9111, 4.2.1: of values that differ none is to be believed.
            found[plain] = given if plain not in found or found[plain] == given else ""
        if ";" in part:  # in place of a comma: what forbids to store is heard all the same
            found.update(dict.fromkeys(FORBIDDING.intersection(map(str.strip, part.lower().split(";")))))
    return found


def targeted(value: bytes | None) -> Directives:
    """The directives of a targeted field: a Dictionary (RFC 9213, 2.1). Nothing if it is malformed or empty, as if not there."""
    found: dict[str, str | None] = {}
    for name, given in parse_dictionary("" if value is None else value.decode("latin-1")).items():
        # "if a member's value is not of the expected type", it is ignored; but what forbids to store is not overheard.
        if given is True or (isinstance(given, int) and given is not False):
            found[name] = None if given is True else str(given)
        elif given is not False and name in FORBIDDING:
            found[name] = ""
    return found


def delta(given: Directives, name: str) -> float | None:
    """Seconds that a directive says; None if it is not there, and 0 if it is not valid (RFC 9111, 4.2.1: as good as stale)."""
    if name not in given:
        return None
    value = given[name]
    return seconds(value) if value is not None and _DIGITS.fullmatch(value) else 0.0


def seconds(digits: str) -> float:
    """A number of ASCII digits, not beyond `LONGEST`."""
    return min(float(digits), LONGEST)


def date_of(fields: Fields, name: bytes, now: float) -> float | None:
    """Seconds since the epoch that a field says; None if it is not there or no HTTP-date."""
    value = fields.get(name)
    if value is None:
        return None
    found = _dates.get(value)
    if found is None:
        found = http_date(value.decode("latin-1").strip(" \t"), now)
        if found is not None and len(value) == len("Thu, 01 Jan 1970 00:00:00 GMT"):  # its century is told
            _remember(_dates, value, found)
    return found


def gmt(value: bytes, now: float) -> float | None:
    """Seconds since the epoch. RFC 9111, 4.2: a date in another zone than GMT is invalid."""
    text = value.decode("latin-1").strip(" \t")
    return None if text.lower().endswith("utc") else http_date(text, now)


def age_of(fields: Fields) -> float:
    """What `Age` says. RFC 9111, 5.1: of a list the first member counts, and one that is not valid is ignored."""
    value = fields.get(b"age")
    first = b"" if value is None else value.split(b",", 1)[0].strip(b" \t")
    text = first.decode("latin-1")
    return seconds(text) if _DIGITS.fullmatch(text) else 0.0


def etags(value: bytes) -> list[bytes]:
    """The entity tags in an If-None-Match, or the one in an ETag (RFC 9110, 8.8.3). A tag may have a comma in it."""
    return _ETAG.findall(value) or [part for part in map(bytes.strip, value.split(b",")) if part]


_ETAG = regex(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def weak(tag: bytes) -> bytes:
    """What of a tag counts in the weak comparison (RFC 9110, 8.8.3.2)."""
    return tag[2:] if tag.startswith(b"W/") else tag


def listed(value: bytes | None) -> tuple[bytes, ...]:
    """The members of a list of tokens, in lower case, sorted, each once."""
    if value is None:
        return ()
    found = _lists.get(value)
    if found is None:
        found = tuple(sorted({part for part in map(bytes.strip, value.lower().split(b",")) if part}))
        _remember(_lists, value, found)
    return found


def length_of(fields: Fields) -> int | None:
    """Bytes that a body is said to have."""
    value = fields.get(b"content-length", b"").strip(b" \t").decode("latin-1")
    return int(value) if _DIGITS.fullmatch(value) and len(value) < 19 else None


def _remember(known: dict[bytes, T], value: bytes, found: T) -> None:
    if len(known) >= _MOST:
        known.clear()
    if len(value) <= _MOST:
        known[value] = found

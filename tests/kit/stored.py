"""Header fields and stored responses, as the tests of the cache's rules write them."""

from __future__ import annotations

from typing import Any

from ratewise._http.dates import http_date_of
from ratewise.cache import CacheConfig
from ratewise.cache.directives import FieldValues, joined
from ratewise.cache.entry import Entry, Field, Policy, pack
from ratewise.cache.rules import storable

NOW = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT."""
PRIVATE = CacheConfig()
SHARED = CacheConfig(shared=True)


def at(seconds: float) -> str:
    """The date so many seconds after NOW."""
    return http_date_of(NOW + seconds).decode()


def raw(text: str = "") -> list[Field]:
    """Header fields, from `Name: value | Name: value`."""
    found = []
    for line in filter(None, text.split(" | ")):
        name, value = line.encode("latin-1").split(b":", 1)
        found.append((name, name.lower(), value[1:]))
    return found


def said(text: str = "") -> FieldValues:
    """The same, by name."""
    return joined(raw(text))


def judged(
    text: str = "",
    config: CacheConfig = PRIVATE,
    *,
    method: str = "GET",
    asked: str = "",
    status: int = 200,
    ttl: float | None = None,
    date: float = NOW,
) -> Policy | str:
    """What `storable` says of a response with these fields."""
    return storable(method, said(asked), status, said(text), config, ttl, date)


def policy(text: str = "", config: CacheConfig = PRIVATE, **more: Any) -> Policy:
    """The same of one that is stored: it has a validator, so that it is of use however stale."""
    found = judged(f'{text} | ETag: "a"' if text else 'ETag: "a"', config, **more)
    assert isinstance(found, Policy), found
    return found


def stored(text: str = "", body: bytes = b"0123456789", *, status: int = 200, head_only: bool = False, **more: Any) -> Entry:
    """A stored response with these fields."""
    settings = {"born": NOW, "received": NOW, "policy": Policy(60.0), **more}
    return Entry(status, pack(raw(text)), body, head_only=head_only, **settings)

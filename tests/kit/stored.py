"""Helpers to write header fields and stored responses in tests of the cache's rules."""

from __future__ import annotations

from typing import Any

from ratewise._http.dates import http_date_of
from ratewise.cache import CacheConfig
from ratewise.cache.directives import FieldValues, joined
from ratewise.cache.entry import Entry, Field, Policy, pack
from ratewise.cache.rules import storable

NOW = 1_800_000_000.0
"""Fri, 15 Jan 2027 08:00:00 GMT, in seconds since the epoch."""
PRIVATE = CacheConfig()
SHARED = CacheConfig(shared=True)


def at(seconds: float) -> str:
    """Return the HTTP-date that many seconds after NOW."""
    return http_date_of(NOW + seconds).decode()


def raw(text: str = "") -> list[Field]:
    """Parse header fields written as `Name: value | Name: value`."""
    found = []
    for line in filter(None, text.split(" | ")):
        name, value = line.encode("latin-1").split(b":", 1)
        found.append((name, name.lower(), value[1:]))
    return found


def said(text: str = "") -> FieldValues:
    """The same fields, joined by name."""
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
    """Return the verdict of `storable` on a response with these fields."""
    return storable(method, said(asked), status, said(text), config, ttl, date)


def policy(text: str = "", config: CacheConfig = PRIVATE, **more: Any) -> Policy:
    """Return the policy of a response with these fields and an ETag, so that it is stored even if it is stale."""
    found = judged(f'{text} | ETag: "a"' if text else 'ETag: "a"', config, **more)
    assert isinstance(found, Policy), found
    return found


def stored(text: str = "", body: bytes = b"0123456789", *, status: int = 200, head_only: bool = False, **more: Any) -> Entry:
    """Return a stored response with these fields."""
    settings = {"born": NOW, "received": NOW, "policy": Policy(60.0), **more}
    return Entry(status, pack(raw(text)), body, head_only=head_only, **settings)

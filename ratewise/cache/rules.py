"""The rules of HTTP caching (RFC 9111), one by one, without a store, a clock or an HTTP library.

Before a request, `usable` decides whether a stored response may answer it, and `conditions` returns the fields to revalidate it
with. After a response, `storable` decides whether it may be stored, `identified` and `updated` apply a 304, and `invalidates`
says whether stored responses become invalid. Comments quote the RFC and section that the next line implements.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._http.dates import MAX_DELTA_SECONDS, http_date_of
from .directives import (
    Directives,
    FieldValues,
    age_of,
    date_of,
    delta,
    directives,
    etags,
    gmt,
    length_of,
    listed,
    opaque_tag,
    targeted,
)
from .entry import Entries, Entry, Field, Policy

if TYPE_CHECKING:
    from .config import CacheConfig

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"})
"""RFC 9110, 9.2.1, and the registry of methods: the safe methods. An unknown method is not safe."""

HEURISTIC = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""RFC 9110, 15.1: the statuses that are "heuristically cacheable"."""

TTL = frozenset({200, 203, 204, 300, 301, 308})
"""The statuses to which the `ttl` of a store applies, and the only ones stored in the mode "force"."""

UNDERSTOOD = frozenset({*range(200, 206), *range(300, 304), 305, 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)})
"""The final statuses of RFC 9110, which this cache understands (RFC 9111, 5.2.2.3)."""

UNSTORABLE = {
    206: "part of a response",
    304: "part of a response",
    # RFC 6585, 3 to 6: "MUST NOT be stored by a cache".
    428: "status 428",
    429: "status 429",
    431: "status 431",
    511: "status 511",
}
"""The statuses that are never stored, and the reason in Cache-Status."""

ERRORS = frozenset({500, 502, 503, 504})
"""RFC 5861, 4: an error "is any situation that would result in" one of these statuses."""

UNSTORED = frozenset(
    # RFC 9111, 3.1: fields "which are required to be removed before forwarding the message", and those of a proxy.
    b"connection keep-alive proxy-connection te transfer-encoding upgrade trailer".split()
    + b"proxy-authenticate proxy-authentication-info proxy-authorization".split()
    # A cookie is for the caller alone; Age is computed anew for each answer.
    + b"set-cookie set-cookie2 age".split()
)
"""Response fields that are not stored."""

NOT_UPDATED = UNSTORED | {b"content-encoding", b"content-length", b"content-range"}
"""Stored fields that a 304 does not update (RFC 9111, 3.2): those not stored, and those that describe the stored body."""

PART_OF_LAST_MODIFIED = 0.1
"""Heuristic lifetime, as a fraction of the time since Last-Modified. RFC 9111, 4.2.2: "a typical setting [...] might be 10%"."""

LONGEST_HEURISTIC = 7 * 86400.0
"""Seconds of heuristic lifetime, at most."""

AGE_LIMITS = frozenset({"max-age", "max-stale", "min-fresh"})
"""Request directives that limit the age of an answer."""


class Use(enum.Enum):
    """How a stored response may be used for a request."""

    FRESH = enum.auto()
    """It is the answer."""
    REFRESH = enum.auto()
    """It is the answer, stale, and is to be refreshed in the background."""
    STALE = enum.auto()
    """It is the answer, stale, because the request allows that."""
    VALIDATE = enum.auto()
    """It has to be revalidated first."""


def usable(policy: Policy, age: float, control: Directives, config: CacheConfig) -> Use:
    """RFC 9111, 4: decide whether a stored response that matches a request with these directives may be used, and how."""
    # RFC 9111, 5.2.1.4: the client "prefers stored response not be used [...] without successful validation".
    if "no-cache" in control:
        return Use.VALIDATE
    # RFC 9111, 5.2.2.4: no-cache "MUST NOT be used to satisfy any other request without forwarding it for validation".
    if policy.no_cache:
        return Use.VALIDATE
    # RFC 9111, 5.2.1.1: max-age "prefers a response whose age is less than or equal to the specified number of seconds".
    oldest = delta(control, "max-age")
    if oldest is not None and age > oldest:
        return Use.VALIDATE
    # RFC 9111, 5.2.1.3: min-fresh "will still be fresh for at least the specified number of seconds".
    left = policy.lifetime - age
    least = delta(control, "min-fresh")
    if least is not None and left < least:
        return Use.VALIDATE
    # RFC 9111, 4.2: response_is_fresh = (freshness_lifetime > current_age)
    if left > 0:
        return Use.FRESH
    # RFC 9111, 4.2.4: "MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive".
    if policy.must_revalidate:
        return Use.VALIDATE
    # RFC 9111, 5.2.1.2: max-stale "without a value [...] will accept a stale response of any age".
    if "max-stale" in control and (control["max-stale"] is None or -left <= (delta(control, "max-stale") or 0)):
        return Use.STALE
    # RFC 5861, 3: "caches MAY serve the response [...] after it becomes stale, up to the indicated number of seconds";
    # RFC 9111, 5.2.1.1: with one of these "the client does not wish to receive a stale response", or not one so stale.
    if AGE_LIMITS.isdisjoint(control) and -left < _or(policy.stale_while_revalidate, config.stale_while_revalidate):
        return Use.REFRESH
    return Use.VALIDATE


def instead_of_error(policy: Policy, age: float, control: Directives, config: CacheConfig) -> bool:
    """RFC 5861, 4: whether a stored response may be used if the server returns an error or cannot be reached."""
    if policy.no_cache or policy.must_revalidate or "no-cache" in control:
        return False
    allowed = max(_or(policy.stale_if_error, config.stale_if_error), delta(control, "stale-if-error") or 0)
    return allowed > 0 and age - policy.lifetime <= allowed


def request_directives(fields: FieldValues) -> Directives:
    """Return the Cache-Control directives of a request."""
    # RFC 9111, 5.4: Pragma counts only without Cache-Control.
    if b"pragma" in fields and b"cache-control" not in fields and b"no-cache" in listed(fields[b"pragma"]):
        return directives(b"no-cache")
    return directives(fields.get(b"cache-control"))


def storable(
    method: str, request: FieldValues, status: int, fields: FieldValues, config: CacheConfig, ttl: float | None, date: float
) -> Policy | str:
    """RFC 9111, 3: return the policy of a response that may be stored, or the reason why it may not be."""
    control, expires = governing(fields, config)
    # RFC 9111, 3: "the request method is understood by the cache".
    if method not in ("GET", "HEAD"):
        return "method"
    # RFC 9111, 3: "the response status code is final".
    if status < 200:
        return "not final"
    if status in UNSTORABLE:
        return UNSTORABLE[status]
    # The response to a range or conditional request of the caller answers the plain request only if it is a 200.
    if status != 200 and any(name in request for name in CONDITIONAL):
        return "own condition"
    # RFC 9111, 5.2.1.5: no-store in a request: "MUST NOT store any part of either this request or any response to it".
    if "no-store" in request_directives(request):
        return "no-store"
    # RFC 9111, 4.1: "A stored response with a Vary header field value containing a member "*" always fails to match".
    if b"*" in vary_names(fields):
        return "vary"
    if config.mode == "force":
        checkable = b"etag" in fields or b"last-modified" in fields
        return Policy(ttl or 0.0, checkable=checkable) if status in TTL else f"status {status}"
    # RFC 9111, 5.2.2.3: must-understand overrides no-store for a status that is understood, and forbids storing for any other.
    if "must-understand" in control:
        if status not in UNDERSTOOD:
            return "must-understand"
    # RFC 9111, 3: "the no-store cache directive is not present in the response".
    elif "no-store" in control:
        return "no-store"
    if config.shared:
        # RFC 9111, 3: "the private response directive is either not present or allows a shared cache to store".
        if "private" in control:
            return "private"
        # RFC 9111, 3.5: "MUST NOT use a cached response to a request with an Authorization header field [...] unless".
        if b"authorization" in request and not any(name in control for name in ("public", "s-maxage", "must-revalidate")):
            return "authorization"
    explicit = _explicit(control, expires, date, config)
    # RFC 9111, 3: "at least one of the following": public, private, Expires, max-age, s-maxage, a heuristically cacheable status.
    if explicit is None and status not in HEURISTIC and not ("public" in control or "private" in control):
        return f"status {status}"
    lifetime = explicit
    if lifetime is None and ttl is not None and status in TTL and "no-cache" not in control:
        lifetime = ttl
    if lifetime is None:
        lifetime = _heuristic(fields, date)
    checkable = b"etag" in fields or b"last-modified" in fields
    policy = Policy(
        lifetime,
        # RFC 9111, 5.2.2.4: no-cache with field names is treated as without them, as "many caches" do.
        "no-cache" in control,
        # RFC 9111, 5.2.2.2, 5.2.2.8, 5.2.2.10 (s-maxage "incorporates the semantics of the proxy-revalidate").
        "must-revalidate" in control or (config.shared and ("proxy-revalidate" in control or "s-maxage" in control)),
        delta(control, "stale-while-revalidate"),
        delta(control, "stale-if-error"),
        checkable,
    )
    if lifetime <= 0 and not (checkable or stale_for(policy, config)):
        return "no freshness"  # it could be neither used nor revalidated
    return policy


def stale_for(policy: Policy, config: CacheConfig) -> float:
    """Return the seconds for which a response may be used stale, for any reason."""
    return max(
        _or(policy.stale_while_revalidate, config.stale_while_revalidate), _or(policy.stale_if_error, config.stale_if_error)
    )


def _or(said: float | None, setting: float) -> float:
    """Return what the server says or, if it says nothing, the setting."""
    return setting if said is None else said


def governing(fields: FieldValues, config: CacheConfig) -> tuple[Directives, bytes | None]:
    """Return the response directives and the Expires that apply."""
    # RFC 9213, 2.2: the first targeted field that is valid and not empty is used, "ignoring the Cache-Control and Expires".
    for name in config.targeted:
        found = targeted(fields.get(name))
        if found:
            return found, None
    return directives(fields.get(b"cache-control")), fields.get(b"expires")


def _explicit(control: Directives, expires: bytes | None, date: float, config: CacheConfig) -> float | None:
    """RFC 9111, 4.2.1: return the explicit freshness lifetime, "the first match of the following"; None if there is none."""
    # "If the cache is shared and the s-maxage response directive is present".
    if config.shared and "s-maxage" in control:
        return delta(control, "s-maxage")
    if "max-age" in control:
        return delta(control, "max-age")
    # "use its value minus the value of the Date response header field".
    if expires is not None:
        until = gmt(expires, date)
        # RFC 9111, 5.3: "MUST interpret invalid date formats, especially the value "0", as representing a time in the past".
        return 0.0 if until is None else min(max(until - date, 0.0), MAX_DELTA_SECONDS)
    return None


def _heuristic(fields: FieldValues, date: float) -> float:
    """RFC 9111, 4.2.2: return the heuristic lifetime, a fraction of the time since the last modification."""
    modified = date_of(fields, b"last-modified", date)
    if modified is None or modified > date:
        return 0.0
    return min((date - modified) * PART_OF_LAST_MODIFIED, LONGEST_HEURISTIC)


def dated(fields: FieldValues, received: float) -> float:
    """Return the Date of a response. RFC 9110, 6.6.1: without one, when it was received."""
    date = date_of(fields, b"date", received)
    return received if date is None else date


def born(fields: FieldValues, date: float, sent_at: float, received: float) -> float:
    """RFC 9111, 4.2.3: return when the age of a response was 0. All times are by the wall clock."""
    # apparent_age = max(0, response_time - date_value)
    apparent = max(0.0, received - date)
    # response_delay = response_time - request_time; corrected_age_value = age_value + response_delay
    corrected = age_of(fields) + max(0.0, received - sent_at)
    # corrected_initial_age = max(apparent_age, corrected_age_value)
    return received - max(apparent, corrected)


def stored_fields(raw: Sequence[Field], fields: FieldValues, received: float) -> Sequence[Field]:
    """RFC 9111, 3.1: return the fields to store, including those in `UNSTORED`, which are removed when they are packed."""
    # The fields named in Connection are not stored either.
    named = listed(fields.get(b"connection"))
    if not UNSTORED.issuperset(named):
        removed = frozenset(named)
        raw = [field for field in raw if field[1] not in removed]
    # RFC 9110, 6.6.1: "MUST record the time it was received and append a corresponding Date header field".
    dates = b"date" in fields and b"date" not in named
    return raw if dates else [*raw, (b"Date", b"date", http_date_of(received))]


def vary_names(fields: FieldValues) -> tuple[bytes, ...]:
    """RFC 9111, 4.1: return the request fields that the Vary of a response names."""
    return listed(fields.get(b"vary"))


CONDITIONAL = frozenset({b"if-match", b"if-unmodified-since", b"if-none-match", b"if-modified-since", b"if-range", b"range"})
"""Fields that make a request conditional, or a range request."""


def conditions(entries: Entries, matching: Entry | None, request: FieldValues) -> dict[bytes, bytes]:
    """RFC 9111, 4.3.1: return the fields to revalidate stored responses with; none if no stored response has a validator."""
    own = etags(request.get(b"if-none-match", b""))
    # Another variant may have the same weak tag: only that of the matching entry is sent.
    ours = [tag for entry in entries if (tag := entry.get(b"etag")) and (entry is matching or not tag.startswith(b"W/"))]
    found: dict[bytes, bytes] = {}
    if ours and own != [b"*"]:
        # All of them, for the server to select one; RFC 9111, 4.3.2: "the cache MAY combine" the caller's own with them.
        found[b"If-None-Match"] = b", ".join(dict.fromkeys((*own, *ours)))
    modified = None if matching is None else matching.get(b"last-modified")
    if modified is not None and not own:
        found[b"If-Modified-Since"] = modified
    return found


def identified(entries: Entries, matching: Entry | None, fields: FieldValues) -> Entries:
    """RFC 9111, 4.3.4: return the stored responses that a 304 is about. `matching`: the one that the request selects."""
    tag = fields.get(b"etag")
    if tag:
        strong = [entry for entry in entries if entry.get(b"etag") == tag and not tag.startswith(b"W/")]
        # "All the stored responses [...] with one of those same strong validators"; with a weak one, the matching response. Some
        # servers omit the `W/` in a 304, or add it.
        alike = matching is not None and opaque_tag(matching.get(b"etag") or b"") == opaque_tag(tag)
        marked = [entry for entry in entries if entry.get(b"etag") == opaque_tag(tag)]
        return tuple(strong) or ((matching,) if alike and matching is not None else tuple(marked[:1]))
    if b"last-modified" in fields:
        # Only the date of the matching response was sent; others may have the same one.
        alike = matching is not None and matching.get(b"last-modified") == fields[b"last-modified"]
        return (matching,) if alike and matching is not None else ()
    # "does not include any form of validator": it applies only if one response is stored.
    return entries if len(entries) == 1 else ()


def updated(entry: Entry, raw: Sequence[Field], fields: FieldValues, received: float) -> list[Field]:
    """RFC 9111, 3.2: return the stored fields, updated by those of a 304 or of a response to HEAD."""
    new = [field for field in stored_fields(raw, fields, received) if field[1] not in NOT_UPDATED]
    names = {name for _, name, _ in new}
    return [field for field in entry.fields if field[1] not in names] + new


def freshens(entry: Entry, fields: FieldValues) -> bool:
    """RFC 9111, 4.3.5: whether a response to HEAD has no validator and no length that differs from the stored response."""
    length = length_of(fields)
    alike = all(fields[name] == entry.get(name) for name in (b"etag", b"last-modified") if name in fields)
    return alike and (length is None or length == len(entry.body))


KEEPS_STORED = frozenset({206, 304, 408, 412, 416, 425, 429})
"""Statuses below 500 that say nothing about the whole response to the plain request."""


def replaces(status: int) -> bool:
    """Whether a response with this status replaces what is stored: it is about the whole, and no failure."""
    return status not in KEEPS_STORED and 200 <= status < 500


def contradicts(entry: Entry | None, fields: FieldValues) -> bool:
    """Whether a response, such as a 206 or 304, has another ETag than a stored one, which is then outdated."""
    own = None if entry is None else entry.get(b"etag")
    return own is not None and b"etag" in fields and opaque_tag(own) != opaque_tag(fields[b"etag"])


def invalidates(method: str, status: int) -> bool:
    """RFC 9111, 4.4: "MUST invalidate [...] when it receives a non-error status code in response to an unsafe request method"."""
    return method not in SAFE_METHODS and 200 <= status < 400

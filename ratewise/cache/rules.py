"""The rules of HTTP caching (RFC 9111), one by one. Pure: no store, no clock, no HTTP library.

Before a request `usable` tells of a stored response whether it may be the answer, and `conditions` what to ask the server with
otherwise. After a response `storable` tells whether it may be kept, `identified` and `updated` what a 304 is about, `invalidates`
what is no longer true. The sentences above the lines are those of RFC 9111 where no other is named.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._http.dates import http_date_of
from .directives import (
    LONGEST,
    Directives,
    Fields,
    age_of,
    date_of,
    delta,
    directives,
    etags,
    gmt,
    length_of,
    listed,
    targeted,
    weak,
)
from .entry import Entries, Entry, Field, Policy

if TYPE_CHECKING:
    from .config import CacheConfig

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"})
"""RFC 9110, 9.2.1, and the registry of methods. What is not known is not safe."""

HEURISTIC = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""RFC 9110, 15.1: "heuristically cacheable"."""

TTL = frozenset({200, 203, 204, 300, 301, 308})
"""What the store's `ttl` is for, and all that is stored in the mode "force"."""

UNDERSTOOD = frozenset(
    {*range(200, 206), *range(300, 304), 305, 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)}  # of RFC 9110
)

UNSTORABLE = {
    206: "part of a response",
    304: "part of a response",
    # RFC 6585, 3 to 6: "MUST NOT be stored by a cache".
    428: "status 428",
    429: "status 429",
    431: "status 431",
    511: "status 511",
}

ERRORS = frozenset({500, 502, 503, 504})
"""RFC 5861, 4: an error "is any situation that would result in" one of these."""

UNSTORED = frozenset(
    # 3.1: fields "which are required to be removed before forwarding the message", and those of a proxy.
    b"connection keep-alive proxy-connection te transfer-encoding upgrade trailer".split()
    + b"proxy-authenticate proxy-authentication-info proxy-authorization".split()
    # The cookie is for the one who asked; the age of an answer is told anew each time.
    + b"set-cookie set-cookie2 age".split()
)

NOT_UPDATED = UNSTORED | {b"content-encoding", b"content-length", b"content-range"}
"""3.2: "The Content-Length header field", and those that the stored body depends upon."""

PART_OF_LAST_MODIFIED = 0.1
"""4.2.2: "A typical setting of this fraction might be 10%"."""

LONGEST_HEURISTIC = 7 * 86400.0


OWN_BOUNDS = frozenset({"max-age", "max-stale", "min-fresh"})
"""By which a request says how old an answer may be."""


class Use(enum.Enum):
    """What a stored response is good for."""

    FRESH = "the answer"
    REFRESH = "the answer, and to be asked for anew"
    STALE = "the answer, as the request allows"
    VALIDATE = "to be asked for"


def usable(policy: Policy, age: float, asked: Directives, config: CacheConfig) -> Use:
    """4: whether a stored response that matches the request may be used without asking the server."""
    # 5.2.1.4: no-cache "indicates that the client prefers stored response not be used [...] without successful validation".
    if "no-cache" in asked:
        return Use.VALIDATE
    # 5.2.2.4: no-cache "MUST NOT be used to satisfy any other request without forwarding it for validation".
    if policy.no_cache:
        return Use.VALIDATE
    # 5.2.1.1: max-age "prefers a response whose age is less than or equal to the specified number of seconds".
    oldest = delta(asked, "max-age")
    if oldest is not None and age > oldest:
        return Use.VALIDATE
    # 5.2.1.3: min-fresh "will still be fresh for at least the specified number of seconds".
    left = policy.lifetime - age
    least = delta(asked, "min-fresh")
    if least is not None and left < least:
        return Use.VALIDATE
    # 4.2: response_is_fresh = (freshness_lifetime > current_age)
    if left > 0:
        return Use.FRESH
    # 4.2.4: "MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive".
    if policy.must_revalidate:
        return Use.VALIDATE
    # 5.2.1.2: max-stale "without a value [...] will accept a stale response of any age".
    if "max-stale" in asked and (asked["max-stale"] is None or -left <= (delta(asked, "max-stale") or 0)):
        return Use.STALE
    # RFC 5861, 3: "caches MAY serve the response [...] after it becomes stale, up to the indicated number of seconds";
    # 5.2.1.1: with one of these "the client does not wish to receive a stale response", or not one so stale.
    if OWN_BOUNDS.isdisjoint(asked) and -left < _or(policy.stale_while_revalidate, config.stale_while_revalidate):
        return Use.REFRESH
    return Use.VALIDATE


def instead_of_error(policy: Policy, age: float, asked: Directives, config: CacheConfig) -> bool:
    """RFC 5861, 4: whether a stored response may be used where the server gives an error, or none can be reached."""
    if policy.no_cache or policy.must_revalidate or "no-cache" in asked:
        return False
    allowed = max(_or(policy.stale_if_error, config.stale_if_error), delta(asked, "stale-if-error") or 0)
    return allowed > 0 and age - policy.lifetime <= allowed


def asks(fields: Fields) -> Directives:
    """The directives of a request."""
    # 5.4: Pragma is for those who know no Cache-Control.
    if b"pragma" in fields and b"cache-control" not in fields and b"no-cache" in listed(fields[b"pragma"]):
        return directives(b"no-cache")
    return directives(fields.get(b"cache-control"))


def storable(
    method: str, asked: Fields, status: int, fields: Fields, config: CacheConfig, ttl: float | None, date: float
) -> Policy | str:
    """3: the policy of a response that may be stored, or why it may not be."""
    control, expires = governing(fields, config)
    # 3: "the request method is understood by the cache".
    if method not in ("GET", "HEAD"):
        return "method"
    # 3: "the response status code is final".
    if status < 200:
        return "not final"
    if status in UNSTORABLE:
        return UNSTORABLE[status]
    # A response to a range, or to a condition of the caller's own, is one to the plain request only if it is a success.
    if status != 200 and any(name in asked for name in OWN):
        return "own condition"
    # 5.2.1.5: no-store in a request: "MUST NOT store any part of either this request or any response to it".
    if "no-store" in asks(asked):
        return "no-store"
    # 4.1: "A stored response with a Vary header field value containing a member "*" always fails to match".
    if b"*" in varies(fields):
        return "vary"
    if config.mode == "force":
        checkable = b"etag" in fields or b"last-modified" in fields
        return Policy(ttl or 0.0, checkable=checkable) if status in TTL else f"status {status}"
    # 5.2.2.3: must-understand with a status that is understood overrides no-store; with another it forbids to store.
    if "must-understand" in control:
        if status not in UNDERSTOOD:
            return "must-understand"
    # 3: "the no-store cache directive is not present in the response".
    elif "no-store" in control:
        return "no-store"
    if config.shared:
        # 3: "if the cache is shared: the private response directive is either not present or allows a shared cache to store".
        if "private" in control:
            return "private"
        # 3.5: "MUST NOT use a cached response to a request with an Authorization header field [...] unless".
        if b"authorization" in asked and not any(name in control for name in ("public", "s-maxage", "must-revalidate")):
            return "authorization"
    explicit = _explicit(control, expires, date, config)
    # 3: "at least one of the following": public, private, Expires, max-age, s-maxage, a status that is heuristically cacheable.
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
        # 5.2.2.4: with field names too, as "many caches" do: none of those fields is to be used unasked.
        "no-cache" in control,
        # 5.2.2.2, 5.2.2.8, 5.2.2.10 (s-maxage "incorporates the semantics of the proxy-revalidate").
        "must-revalidate" in control or (config.shared and ("proxy-revalidate" in control or "s-maxage" in control)),
        delta(control, "stale-while-revalidate"),
        delta(control, "stale-if-error"),
        checkable,
    )
    if lifetime <= 0 and not (checkable or stale_for(policy, config)):
        return "no freshness"  # of no use: it could neither be used nor be asked for
    return policy


def stale_for(policy: Policy, config: CacheConfig) -> float:
    """Seconds for which a response may be used stale, for any reason."""
    return max(
        _or(policy.stale_while_revalidate, config.stale_while_revalidate), _or(policy.stale_if_error, config.stale_if_error)
    )


def _or(said: float | None, setting: float) -> float:
    """What the server says counts, if it says anything."""
    return setting if said is None else said


def governing(fields: Fields, config: CacheConfig) -> tuple[Directives, bytes | None]:
    """The directives that count, and the Expires that does."""
    # RFC 9213, 2.2: the first targeted field that is valid and not empty is used, "ignoring the Cache-Control and Expires".
    for name in config.targeted:
        found = targeted(fields.get(name))
        if found:
            return found, None
    return directives(fields.get(b"cache-control")), fields.get(b"expires")


def _explicit(control: Directives, expires: bytes | None, date: float, config: CacheConfig) -> float | None:
    """4.2.1: the freshness lifetime that the server says, "the first match of the following"."""
    # "If the cache is shared and the s-maxage response directive is present".
    if config.shared and "s-maxage" in control:
        return delta(control, "s-maxage")
    if "max-age" in control:
        return delta(control, "max-age")
    # "use its value minus the value of the Date response header field".
    if expires is not None:
        until = gmt(expires, date)
        # 5.3: "MUST interpret invalid date formats, especially the value "0", as representing a time in the past".
        return 0.0 if until is None else min(max(until - date, 0.0), LONGEST)
    return None


def _heuristic(fields: Fields, date: float) -> float:
    """4.2.2: without an explicit lifetime, a part of the time since it was last modified."""
    modified = date_of(fields, b"last-modified", date)
    if modified is None or modified > date:
        return 0.0
    return min((date - modified) * PART_OF_LAST_MODIFIED, LONGEST_HEURISTIC)


def dated(fields: Fields, received: float) -> float:
    """When a response was made. RFC 9110, 6.6.1: without a Date, when it was received."""
    date = date_of(fields, b"date", received)
    return received if date is None else date


def born(fields: Fields, date: float, asked_at: float, received: float) -> float:
    """4.2.3: when the age of a response was 0. All by the wall clock."""
    # apparent_age = max(0, response_time - date_value)
    apparent = max(0.0, received - date)
    # response_delay = response_time - request_time; corrected_age_value = age_value + response_delay
    corrected = age_of(fields) + max(0.0, received - asked_at)
    # corrected_initial_age = max(apparent_age, corrected_age_value)
    return received - max(apparent, corrected)


def kept(raw: Sequence[Field], fields: Fields, received: float) -> Sequence[Field]:
    """3.1: the fields that are stored, but for those in `UNSTORED`."""
    # "the fields named in the Connection header field" go with it.
    named = listed(fields.get(b"connection"))
    if not UNSTORED.issuperset(named):
        gone = frozenset(named)
        raw = [field for field in raw if field[1] not in gone]
    # RFC 9110, 6.6.1: "MUST record the time it was received and append a corresponding Date header field".
    dates = b"date" in fields and b"date" not in named
    return raw if dates else [*raw, (b"Date", b"date", http_date_of(received))]


def varies(fields: Fields) -> tuple[bytes, ...]:
    """4.1: the request fields that a response varies by."""
    return listed(fields.get(b"vary"))


OWN = frozenset({b"if-match", b"if-unmodified-since", b"if-none-match", b"if-modified-since", b"if-range", b"range"})
"""What makes a request conditional, or one for a part."""


def conditions(entries: Entries, matching: Entry | None, asked: Fields) -> dict[bytes, bytes]:
    """4.3.1: the fields to ask the server with whether what is stored is still good; none if there is nothing to ask with."""
    own = etags(asked.get(b"if-none-match", b""))
    # A weak tag may be that of another variant as well: only the one that matches may be asked with it.
    ours = [tag for entry in entries if (tag := entry.get(b"etag")) and (entry is matching or not tag.startswith(b"W/"))]
    found: dict[bytes, bytes] = {}
    if ours and own != [b"*"]:
        # All of them, for the server to select one; 4.3.2: "the cache MAY combine" the caller's own with them.
        found[b"If-None-Match"] = b", ".join(dict.fromkeys((*own, *ours)))
    modified = None if matching is None else matching.get(b"last-modified")
    if modified is not None and not own:
        found[b"If-Modified-Since"] = modified
    return found


def identified(entries: Entries, matching: Entry | None, fields: Fields) -> Entries:
    """4.3.4: the stored responses that a 304 is about; `matching`: the one that the request selects."""
    tag = fields.get(b"etag")
    if tag:
        strong = [entry for entry in entries if entry.get(b"etag") == tag and not tag.startswith(b"W/")]
        # "All the stored responses [...] with one of those same strong validators"; of weak ones that which matches. Some servers
        # leave the `W/` out of a 304, or put it in.
        alike = matching is not None and weak(matching.get(b"etag") or b"") == weak(tag)
        marked = [entry for entry in entries if entry.get(b"etag") == weak(tag)]
        return tuple(strong) or ((matching,) if alike and matching is not None else tuple(marked[:1]))
    if b"last-modified" in fields:
        # Only of the one that matches it was asked with: others may have been modified at the same time.
        alike = matching is not None and matching.get(b"last-modified") == fields[b"last-modified"]
        return (matching,) if alike and matching is not None else ()
    # "does not include any form of validator": then it can only be about one.
    return entries if len(entries) == 1 else ()


def updated(entry: Entry, raw: Sequence[Field], fields: Fields, received: float) -> list[Field]:
    """3.2: the stored fields, those of a 304 (or of a HEAD) in their place."""
    new = [field for field in kept(raw, fields, received) if field[1] not in NOT_UPDATED]
    names = {name for _, name, _ in new}
    return [field for field in entry.fields if field[1] not in names] + new


def freshens(entry: Entry, fields: Fields) -> bool:
    """4.3.5: a response to HEAD is about the stored one: its validators, and its length, are the same where it has them."""
    length = length_of(fields)
    alike = all(fields[name] == entry.get(name) for name in (b"etag", b"last-modified") if name in fields)
    return alike and (length is None or length == len(entry.body))


NO_ANSWER = frozenset({206, 304, 408, 412, 416, 425, 429})


def replaces(status: int) -> bool:
    """A response after which what is stored is so no longer: it tells of the whole, and is no failure."""
    return status not in NO_ANSWER and 200 <= status < 500


def contradicts(entry: Entry | None, fields: Fields) -> bool:
    """A response, such as a 206 or 304, that has another tag than a stored one: that is so no longer."""
    own = None if entry is None else entry.get(b"etag")
    return own is not None and b"etag" in fields and weak(own) != weak(fields[b"etag"])


def invalidates(method: str, status: int) -> bool:
    """4.4: "MUST invalidate the target URI when it receives a non-error status code in response to an unsafe request method"."""
    return method not in SAFE and 200 <= status < 400

"""What a cache stores and updates: RFC 9111, 3 and 5.2.2, and RFC 6585, as tables."""

from __future__ import annotations

import pytest

from ratewise.cache import CacheConfig
from ratewise.cache.entry import Field, Policy, pack, unpack
from ratewise.cache.rules import HEURISTIC, TTL, UNDERSTOOD, UNSTORED, storable, stored_fields, updated, vary_names
from tests.kit.stored import NOW, PRIVATE, SHARED, at, judged, policy, raw, said, stored

FINAL = range(200, 1000)
PARTS = {206, 304}
NEVER_STORED = {428, 429, 431, 511}
"""The statuses of RFC 6585, 3 to 6."""
FRESH = "Cache-Control: max-age=60"
OWN = ["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"]


# Storing


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_3_methods_understood(method: str) -> None:
    """RFC 9111, 3: responses to GET and HEAD are stored."""
    assert judged(FRESH, method=method) == Policy(60.0)


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "CONNECT", "get", ""]
)
def test_3_methods_not_understood(method: str) -> None:
    """RFC 9111, 3: responses to other methods are not stored, even with explicit freshness."""
    for config in (PRIVATE, SHARED, CacheConfig("force")):
        assert judged(f"{FRESH}, public", config, method=method, ttl=60.0) == "method"


@pytest.mark.parametrize("status", range(100, 200))
def test_3_final(status: int) -> None:
    """RFC 9111, 3: a status that is not final is not stored."""
    assert judged(FRESH, status=status) == "not final"
    assert judged(FRESH, CacheConfig("force"), status=status, ttl=60.0) == "not final"


@pytest.mark.parametrize("status", FINAL)
def test_3_every_status(status: int) -> None:
    """RFC 9111, 3: with explicit freshness any final status is stored, known or not, except 206, 304 and those of RFC 6585."""
    found = judged(FRESH, status=status)
    if status in PARTS:
        assert found == "part of a response"
    elif status in NEVER_STORED:
        assert found == f"status {status}"
    else:
        assert found == Policy(60.0)
    assert judged(f"Expires: {at(60)}", status=status) == found
    assert judged(f"{FRESH}, public, s-maxage=60", SHARED, status=status) in (found, Policy(60.0, must_revalidate=True))


@pytest.mark.parametrize("status", sorted(NEVER_STORED))
def test_6585_must_not_be_stored(status: int) -> None:
    """RFC 6585: 428, 429, 431 and 511 "MUST NOT be stored by a cache"."""
    for config in (PRIVATE, SHARED, CacheConfig("force")):
        for control in ("public, max-age=60", "max-age=60, must-understand, no-store"):
            assert judged(f"Cache-Control: {control}", config, status=status, ttl=60.0) == f"status {status}"


@pytest.mark.parametrize("status", FINAL)
def test_5_2_2_3_must_understand(status: int) -> None:
    """RFC 9111, 5.2.2.3: must-understand overrides no-store for understood statuses, and forbids to store the others."""
    for no_store in ("", ", no-store"):
        found = judged(f"{FRESH}, must-understand{no_store}", status=status)
        if status in UNDERSTOOD:
            assert found == Policy(60.0)
        else:
            assert isinstance(found, str)
            assert status in PARTS | NEVER_STORED or found == "must-understand"


def test_5_2_2_3_which_statuses() -> None:
    """RFC 9111, 5.2.2.3: the understood statuses are those of RFC 9110, except 206 and 304."""
    assert HEURISTIC - {206} <= UNDERSTOOD
    assert not UNDERSTOOD & (PARTS | NEVER_STORED | {226, 306, 418, 451, 506, 599} | set(range(100, 200)))
    assert {200, 307, 404, 421, 422, 426, 500, 503, 505} <= UNDERSTOOD


@pytest.mark.parametrize(
    "control",
    [
        "no-store",
        "no-store, max-age=60",
        "max-age=60, NO-STORE",
        "public, max-age=60, no-store",
        "private, no-store",
        "no-store=0",
        'no-store="x"',
        'private="a, no-store',
        'max-age=60, x="y, no-store',
    ],
)
def test_3_no_store(control: str) -> None:
    """RFC 9111, 3: a response with no-store is not stored, whatever other directives it has."""
    for config in (PRIVATE, SHARED):
        assert judged(f"Cache-Control: {control}", config, ttl=60.0) == "no-store"


@pytest.mark.parametrize("asked", ["no-store", "NO-STORE", "max-age=0, no-store", 'x="a, no-store', "no-store=1"])
def test_5_2_1_5_request_no_store(asked: str) -> None:
    """RFC 9111, 5.2.1.5: a response to a request with no-store is not stored."""
    for config in (PRIVATE, SHARED, CacheConfig("force")):
        assert judged(f"{FRESH}, public", config, asked=f"Cache-Control: {asked}", ttl=60.0) == "no-store"
    assert judged(f"{FRESH}, must-understand", asked=f"Cache-Control: {asked}") == "no-store"


@pytest.mark.parametrize("control", ["private", "PRIVATE", 'private="set-cookie"', 'private=""', 'private="a, b"', "private=x"])
def test_3_private(control: str) -> None:
    """RFC 9111, 3: a shared cache stores no private response, even if only some fields are private; a private cache does."""
    for more in ("", ", public", ", s-maxage=60", ", must-revalidate"):
        assert judged(f"{FRESH}, {control}{more}", SHARED) == "private"
        assert isinstance(judged(f"{FRESH}, {control}{more}"), Policy)


@pytest.mark.parametrize(
    ("control", "allowed"),
    [
        ("", False),
        ("max-age=60", False),
        ("max-age=60, public", True),
        ("max-age=60, must-revalidate", True),
        ("s-maxage=60", True),
        ("s-maxage=0", True),
        ("public", True),
        ("max-age=60, proxy-revalidate", False),
        ("max-age=60, no-cache", False),
        ("max-age=60, x=public", False),
        ('max-age=60, x="public, s-maxage=60"', False),
        ("max-age=60, immutable, stale-if-error=60", False),
    ],
)
def test_3_5_authorization(control: str, allowed: bool) -> None:
    """RFC 9111, 3.5: a shared cache stores a response to a request with Authorization only where the server allows it."""
    text = f'Cache-Control: {control} | ETag: "a" | Last-Modified: {at(-1000)}'
    found = judged(text, SHARED, asked="Authorization: Bearer x")
    assert isinstance(found, Policy) if allowed else found == "authorization"
    assert isinstance(judged(text, SHARED, asked="Proxy-Authorization: Basic x"), Policy)
    assert isinstance(judged(text, asked="Authorization: Bearer x"), Policy)


@pytest.mark.parametrize(
    ("text", "private", "shared"),
    [
        ("", False, False),
        (f"Last-Modified: {at(-1000)}", False, False),
        ("Cache-Control: no-cache", False, False),
        ("Cache-Control: must-revalidate", False, False),
        ("Cache-Control: immutable, foo", False, False),
        ("Cache-Control: stale-if-error=60, stale-while-revalidate=60", False, False),
        ("Pragma: public", False, False),
        ("Cache-Control: public", True, True),
        ("Cache-Control: private", True, False),
        (f"Expires: {at(60)}", True, True),
        ("Expires: 0", True, True),
        ("Expires:", True, True),
        ("Cache-Control: max-age=60", True, True),
        ("Cache-Control: max-age=0", True, True),
        ("Cache-Control: max-age", True, True),
        ("Cache-Control: s-maxage=60", False, True),
    ],
)
def test_3_at_least_one_of(text: str, private: bool, shared: bool) -> None:
    """RFC 9111, 3: without heuristic cacheability a response needs a lifetime or a mark as cacheable."""
    text = f'{text} | ETag: "a"' if text else 'ETag: "a"'
    for status in (201, 302, 307, 403, 500, 503, 299, 599, 999):
        assert isinstance(judged(text, status=status, ttl=60.0), Policy) is private
        assert isinstance(judged(text, SHARED, status=status, ttl=60.0), Policy) is shared
        if not private:
            assert judged(text, status=status) == f"status {status}"


@pytest.mark.parametrize("own", OWN)
def test_own_condition(own: str) -> None:
    """The response to a conditional or range request of the caller is stored only if it is the whole representation."""
    for config in (PRIVATE, CacheConfig("force")):
        assert judged(FRESH, config, asked=f"{own}: x", ttl=60.0) == Policy(60.0)
        for status in (203, 404, 412, 416, 301):
            assert judged(FRESH, config, asked=f"{own}: x", status=status, ttl=60.0) == "own condition"


@pytest.mark.parametrize("vary", ["*", "Accept, *", "*, Accept", " * ", "Accept | Vary: *", ",*"])
def test_4_1_vary_star(vary: str) -> None:
    """RFC 9111, 4.1: a response with Vary: * never matches, and is not stored."""
    for config in (PRIVATE, SHARED, CacheConfig("force")):
        assert judged(f"{FRESH} | Vary: {vary}", config, ttl=60.0) == "vary"


def test_4_1_vary() -> None:
    """RFC 9111, 4.1: all lines of Vary apply, in any case; an empty one is ignored."""
    assert vary_names(said("Vary: B, a | vary: A ,, C")) == (b"a", b"b", b"c")
    assert vary_names(said("Vary:")) == vary_names(said("")) == ()
    assert vary_names(said("Vary: *a")) == (b"*a",)
    assert judged(f"{FRESH} | Vary: *a") == Policy(60.0)


def test_of_no_use() -> None:
    """A response that could be neither reused nor validated is not stored."""
    assert judged() == "no freshness"
    assert judged("Cache-Control: max-age=0") == judged("Cache-Control: no-cache") == judged("Expires: 0") == "no freshness"
    assert judged("Cache-Control: max-age=0", ttl=300.0) == "no freshness"
    assert judged(ttl=300.0) == Policy(300.0)
    assert judged('ETag: "a"') == judged("Last-Modified: x") == Policy(0.0, checkable=True)
    assert judged("Cache-Control: max-age=0, stale-while-revalidate=5") == Policy(0.0, stale_while_revalidate=5.0)
    assert judged("Cache-Control: max-age=0, stale-if-error=5") == Policy(0.0, stale_if_error=5.0)
    assert judged("Cache-Control: max-age=0", CacheConfig(stale_if_error=5)) == Policy(0.0)
    assert judged("Cache-Control: max-age=0", CacheConfig(stale_while_revalidate=5)) == Policy(0.0)
    assert judged('Cache-Control: no-cache | ETag: "a"') == Policy(0.0, no_cache=True, checkable=True)


@pytest.mark.parametrize(
    ("control", "private", "shared"),
    [
        ("max-age=60", Policy(60.0), Policy(60.0)),
        ("max-age=60, no-cache", Policy(60.0, True), Policy(60.0, True)),
        ('max-age=60, no-cache="x"', Policy(60.0, True), Policy(60.0, True)),
        ('max-age=60, no-cache=""', Policy(60.0, True), Policy(60.0, True)),
        ("max-age=60, NO-CACHE", Policy(60.0, True), Policy(60.0, True)),
        ("max-age=60, must-revalidate", Policy(60.0, False, True), Policy(60.0, False, True)),
        ("max-age=60, proxy-revalidate", Policy(60.0), Policy(60.0, False, True)),
        ("max-age=60, s-maxage=9", Policy(60.0), Policy(9.0, False, True)),
        ("max-age=60, stale-while-revalidate=5", Policy(60.0, False, False, 5.0), Policy(60.0, False, False, 5.0)),
        ("max-age=60, stale-if-error=5", Policy(60.0, False, False, None, 5.0), Policy(60.0, False, False, None, 5.0)),
        ("max-age=60, immutable", Policy(60.0), Policy(60.0)),
        ("max-age=60, no-transform, only-if-cached, min-fresh=99, max-stale, foo=bar", Policy(60.0), Policy(60.0)),
    ],
)
def test_5_2_2_response_directives(control: str, private: Policy, shared: Policy) -> None:
    """RFC 9111, 5.2.2: every response directive sets its part of the policy; unknown and request directives are ignored."""
    assert judged(f"Cache-Control: {control}") == private
    assert judged(f"Cache-Control: {control}", SHARED) == shared


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_checkable(validator: str) -> None:
    """A response with either validator can be validated."""
    assert policy(f"{FRESH} | {validator}: x").checkable
    forced = judged(f"{validator}: x", CacheConfig("force"), ttl=60.0)
    assert forced == Policy(60.0, checkable=True)


def test_5_4_pragma_of_a_response() -> None:
    """RFC 9111, 5.4: Pragma in a response is ignored."""
    for config in (PRIVATE, SHARED):
        assert judged(f"{FRESH} | Pragma: no-cache", config) == Policy(60.0)
        assert judged("Pragma: no-cache, no-store", config, ttl=60.0) == Policy(60.0)


@pytest.mark.parametrize("status", FINAL)
def test_force(status: int) -> None:
    """With the mode "force" a successful response is fresh for `ttl`, whatever the server says, and no other is stored."""
    for config in (CacheConfig("force"), CacheConfig("force", shared=True)):
        for text in ("", "Cache-Control: no-store, private, max-age=5, no-cache, must-revalidate | Expires: 0"):
            found = judged(text, config, status=status, ttl=9.0, asked="Authorization: x")
            assert found == Policy(9.0) if status in TTL else isinstance(found, str)
    assert judged(config=CacheConfig("force"), ttl=0.0) == judged(config=CacheConfig("force")) == Policy(0.0)


# Fields that are stored, and updated


def remaining(text: str, received: float = NOW) -> list[Field]:
    """Return those of these fields that are stored."""
    return list(unpack(pack(stored_fields(raw(text), said(text), received), UNSTORED)))


def test_3_1_fields() -> None:
    """RFC 9111, 3.1: all fields but those of the connection are stored, known or not, as written and in their order."""
    text = f"X-Unknown: 1 | DATE: {at(0)} | x-unknown: 2 | Content-Type: a/b | Content-Length: 10 | WWW-Authenticate: x"
    assert remaining(text) == raw(text)


@pytest.mark.parametrize("name", sorted(UNSTORED))
def test_3_1_fields_left_out(name: bytes) -> None:
    """RFC 9111, 3.1: fields of the connection, a proxy, one user, and another cache's age are neither stored nor updated."""
    text = f"{name.decode().title()}: x | Date: {at(0)} | A: 1"
    assert remaining(text) == raw(f"Date: {at(0)} | A: 1")
    assert updated(stored("B: 1"), raw(text), said(text), NOW) == raw(f"B: 1 | Date: {at(0)} | A: 1")


def test_3_1_which_fields() -> None:
    """RFC 9111, 3.1: the complete list of these fields."""
    assert {b"connection", b"proxy-authenticate", b"proxy-authentication-info", b"proxy-authorization"} <= UNSTORED
    assert {b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"trailer", b"set-cookie"} <= UNSTORED
    assert not UNSTORED & {b"etag", b"vary", b"cache-control", b"expires", b"www-authenticate", b"warning", b"content-encoding"}


@pytest.mark.parametrize("connection", ["A", "a", "close, A", "A,close", "close | Connection: a", " a ,, b"])
def test_3_1_connection(connection: str) -> None:
    """RFC 9111, 3.1: the fields that Connection names are not stored."""
    text = f"Connection: {connection} | A: 1 | a: 2 | C: 3 | Date: {at(0)}"
    assert remaining(text) == raw(f"C: 3 | Date: {at(0)}")


def test_6_6_1_date_is_recorded() -> None:
    """RFC 9110, 6.6.1: a response without Date gets the time of its receipt; an existing Date is kept, whatever it says."""
    assert remaining("A: 1", NOW + 0.9) == raw(f"A: 1 | Date: {at(0)}")
    assert remaining("Date: x") == raw("Date: x")
    assert remaining(f"Connection: date | Date: {at(-9)}") == raw(f"Date: {at(0)}")
    assert updated(stored(f"Date: {at(-60)}"), [], {}, NOW) == raw(f"Date: {at(0)}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("A: 1 | B: 2", "B: 3", "A: 1 | B: 3"),
        ("A: 1 | a: 2 | B: 3", "A: 4", "B: 3 | A: 4"),
        ("A: 1", "a: 2 | A: 3", "a: 2 | A: 3"),
        ("A: 1", "C: 2", "A: 1 | C: 2"),
        ("A: 1", "", "A: 1"),
        ("ETag: W/1 | Cache-Control: a", "ETag: 1 | Cache-Control: b", "ETag: 1 | Cache-Control: b"),
        ("Content-Type: a", "Content-Type: b", "Content-Type: b"),
        ("Content-Length: 10", "Content-Length: 0", "Content-Length: 10"),
        ("A: 1", "Content-Length: 0", "A: 1"),
        ("Content-Encoding: gzip", "Content-Encoding: br", "Content-Encoding: gzip"),
        ("A: 1", "Content-Range: bytes 0-1/2", "A: 1"),
        ("A: 1", "Connection: A | A: 2", "A: 1"),
        ("A: 1", "Set-Cookie: x | Age: 9 | Transfer-Encoding: chunked", "A: 1"),
    ],
)
def test_3_2_updating(old: str, new: str, expected: str) -> None:
    """RFC 9111, 3.2: the fields of a 304 replace the stored ones; others are kept, as are those of the body's length and form."""
    date = f"Date: {at(0)}"
    new = f"{new} | {date}" if new else date
    assert updated(stored(old), raw(new), said(new), NOW) == raw(f"{expected} | {date}")


def test_storable_by_hand() -> None:
    """The rule takes plain values: it needs no request, no store and no clock."""
    assert storable("GET", {}, 200, {b"cache-control": b"max-age=5"}, PRIVATE, None, NOW) == Policy(5.0)

"""When a stored response is reused, validated or invalidated: RFC 9111, 4 and 5.2.1, and RFC 5861, as tables."""

from __future__ import annotations

import pytest

from ratewise.cache import CacheConfig
from ratewise.cache.directives import directives
from ratewise.cache.entry import Policy
from ratewise.cache.rules import (
    SAFE_METHODS,
    Use,
    conditions,
    contradicts,
    freshens,
    identified,
    instead_of_error,
    invalidates,
    replaces,
    request_directives,
    usable,
)
from tests.kit.stored import PRIVATE, at, policy, said, stored

FINAL = range(200, 1000)
FRESH = "Cache-Control: max-age=60"


def use(age: float, asked: str = "", settings: CacheConfig = PRIVATE, **more: float) -> Use:
    """What a response of this age, fresh for 60 seconds, may be used for."""
    return usable(Policy(**{"lifetime": 60.0, **more}), age, directives(asked.encode()), settings)


# Reuse


@pytest.mark.parametrize(
    ("age", "more", "expected"),
    [
        (0, {}, Use.FRESH),
        (59.9, {}, Use.FRESH),
        (60, {}, Use.VALIDATE),  # freshness_lifetime > current_age
        (60.1, {}, Use.VALIDATE),
        (0, {"lifetime": 0.0}, Use.VALIDATE),
        (0, {"no_cache": True}, Use.VALIDATE),
        (99, {"no_cache": True, "stale_while_revalidate": 999.0}, Use.VALIDATE),
        (59, {"must_revalidate": True}, Use.FRESH),
        (60, {"must_revalidate": True, "stale_while_revalidate": 999.0}, Use.VALIDATE),
        (60, {"stale_while_revalidate": 10.0}, Use.REFRESH),
        (69.9, {"stale_while_revalidate": 10.0}, Use.REFRESH),
        (70, {"stale_while_revalidate": 10.0}, Use.VALIDATE),
        (59, {"stale_while_revalidate": 10.0}, Use.FRESH),
        (65, {"stale_while_revalidate": 0.0}, Use.VALIDATE),
        (60, {"stale_if_error": 10.0}, Use.VALIDATE),
    ],
)
def test_4_reuse(age: float, more: dict[str, float], expected: Use) -> None:
    """RFC 9111, 4: a response is used while it is fresh, and stale only where the server allows it."""
    assert use(age, **more) is expected


@pytest.mark.parametrize(("age", "expected"), [(60, Use.REFRESH), (64.9, Use.REFRESH), (65, Use.VALIDATE)])
def test_4_2_4_stale_by_configuration(age: float, expected: Use) -> None:
    """RFC 9111, 4.2.4: the settings may allow a stale response, unless the server prohibits it."""
    config = CacheConfig(stale_while_revalidate=5)
    assert use(age, settings=config) is expected
    assert use(age, settings=config, must_revalidate=True) is use(age, settings=config, no_cache=True) is Use.VALIDATE


def test_4_2_4_prohibited() -> None:
    """RFC 9111, 4.2.4: no request and no setting overrides the server's prohibition of stale responses."""
    lax = CacheConfig(stale_while_revalidate=999, stale_if_error=999)
    lax_shared = CacheConfig(shared=True, stale_while_revalidate=999, stale_if_error=999)
    asked = directives(b"max-stale, stale-if-error=999")
    for control in ("no-cache", 'no-cache="x"', "must-revalidate"):
        for config in (lax, lax_shared):
            found = policy(f"{FRESH}, stale-while-revalidate=999, stale-if-error=999, {control}", config)
            assert usable(found, 61, asked, config) is Use.VALIDATE
            assert not instead_of_error(found, 61, asked, config)
    for control in ("proxy-revalidate", "s-maxage=60"):
        text = f"{FRESH}, stale-while-revalidate=999, stale-if-error=999, {control}"
        assert usable(policy(text, lax_shared), 61, asked, lax_shared) is Use.VALIDATE
        assert not instead_of_error(policy(text, lax_shared), 61, asked, lax_shared)
        assert usable(policy(text, lax), 61, asked, lax) is Use.STALE
        assert instead_of_error(policy(text, lax), 61, asked, lax)


@pytest.mark.parametrize(
    ("asked", "age", "expected"),
    [
        ("max-age=10", 9, Use.FRESH),
        ("max-age=10", 10, Use.FRESH),  # "less than or equal to"
        ("max-age=10", 10.1, Use.VALIDATE),
        ("max-age=0", 0, Use.FRESH),
        ("max-age=0", 0.1, Use.VALIDATE),
        ("MAX-AGE=0", 1, Use.VALIDATE),
        ('max-age="10"', 9, Use.FRESH),
        ("max-age", 1, Use.VALIDATE),
        ("max-age=", 1, Use.VALIDATE),
        ("max-age=x", 1, Use.VALIDATE),
        ("max-age=-1", 1, Use.VALIDATE),
        ("max-age=10, max-age=20", 5, Use.VALIDATE),
        ("max-age=999", 61, Use.VALIDATE),
        ("max-age=999999999999999", 59, Use.FRESH),
        ("max-age=70, max-stale=20", 65, Use.STALE),
        ("max-age=70, max-stale=20", 71, Use.VALIDATE),
        ("max-age=70, max-stale=2", 65, Use.VALIDATE),
    ],
)
def test_5_2_1_1_max_age(asked: str, age: float, expected: Use) -> None:
    """RFC 9111, 5.2.1.1: a request gets nothing older than its max-age; an invalid value counts as 0."""
    assert use(age, asked) is expected


@pytest.mark.parametrize(
    ("asked", "age", "expected"),
    [
        ("max-stale", 61, Use.STALE),
        ("max-stale", 1e9, Use.STALE),
        ("MAX-STALE", 61, Use.STALE),
        ("max-stale", 59, Use.FRESH),
        ("max-stale=10", 60, Use.STALE),
        ("max-stale=10", 70, Use.STALE),  # "by no more than"
        ("max-stale=10", 70.1, Use.VALIDATE),
        ('max-stale="10"', 70, Use.STALE),
        ("max-stale=0", 60, Use.STALE),
        ("max-stale=0", 61, Use.VALIDATE),
        ("max-stale=", 61, Use.VALIDATE),
        ('max-stale=""', 61, Use.VALIDATE),
        ("max-stale=x", 61, Use.VALIDATE),
        ("max-stale=-10", 61, Use.VALIDATE),
        ("max-stale=1.5", 61, Use.VALIDATE),
        ("max-stale =10", 61, Use.VALIDATE),
        ("max-stale, max-stale=10", 61, Use.VALIDATE),
        ("max-stale, min-fresh=0", 61, Use.VALIDATE),
        ("max-stale, no-cache", 61, Use.VALIDATE),
    ],
)
def test_5_2_1_2_max_stale(asked: str, age: float, expected: Use) -> None:
    """RFC 9111, 5.2.1.2: a request may accept stale responses, of any age or up to some seconds; an invalid value allows none."""
    assert use(age, asked) is expected


@pytest.mark.parametrize(
    ("asked", "age", "expected"),
    [
        ("min-fresh=10", 50, Use.FRESH),  # "no less than"
        ("min-fresh=10", 50.1, Use.VALIDATE),
        ("min-fresh=61", 0, Use.VALIDATE),
        ("min-fresh=0", 59, Use.FRESH),
        ('min-fresh="10"', 50.1, Use.VALIDATE),
        ("MIN-FRESH=10", 55, Use.VALIDATE),
        ("min-fresh", 59, Use.FRESH),
        ("min-fresh=x", 59, Use.FRESH),
        ("min-fresh=x", 61, Use.VALIDATE),
    ],
)
def test_5_2_1_3_min_fresh(asked: str, age: float, expected: Use) -> None:
    """RFC 9111, 5.2.1.3: a request may demand that a response stays fresh for some seconds."""
    assert use(age, asked) is expected


@pytest.mark.parametrize("asked", ["max-age=999", "max-stale=1", "min-fresh=0", "max-age=x", "max-stale=x"])
def test_5_2_1_one_who_wants_nothing_stale(asked: str) -> None:
    """RFC 9111, 5.2.1: a request that limits the age gets no stale response, even where the server allows one."""
    for config in (PRIVATE, CacheConfig(stale_while_revalidate=99)):
        age = 60.0 if asked == "min-fresh=0" else 65.0
        assert use(age, asked, config, stale_while_revalidate=99.0) is Use.VALIDATE
        assert use(age, "foo", config, stale_while_revalidate=99.0) is Use.REFRESH


@pytest.mark.parametrize(
    "asked", ["no-cache", "NO-CACHE", 'no-cache="x"', "no-cache=", "no-cache, max-stale", "max-age=99, no-cache"]
)
def test_5_2_1_4_no_cache(asked: str) -> None:
    """RFC 9111, 5.2.1.4: a request with no-cache is answered only after validation."""
    assert use(0, asked) is Use.VALIDATE
    assert not instead_of_error(Policy(60.0, stale_if_error=99.0), 0, directives(asked.encode()), PRIVATE)


@pytest.mark.parametrize(
    "asked", ["", "no-store", "no-transform", "only-if-cached", "public", "must-revalidate", "s-maxage=0", "foo"]
)
def test_5_2_1_of_no_matter(asked: str) -> None:
    """RFC 9111, 5.2.1: other directives of a request, response directives included, do not prevent a fresh hit."""
    assert use(59, asked) is Use.FRESH
    assert use(60, asked) is Use.VALIDATE


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", {}),
        ("Pragma: no-cache", {"no-cache": None}),
        ("Pragma: NO-CACHE", {"no-cache": None}),
        ("Pragma: foo, no-cache", {"no-cache": None}),
        ("Pragma: foo | Pragma: no-cache", {"no-cache": None}),
        ("Pragma: foo", {}),
        ("Pragma: no-store", {}),
        ("Pragma: no-cache | Cache-Control: max-age=60", {"max-age": "60"}),
        ("Pragma: no-cache | Cache-Control:", {}),
        ("Cache-Control: no-store", {"no-store": None}),
    ],
)
def test_5_4_pragma_of_a_request(asked: str, expected: dict[str, str | None]) -> None:
    """RFC 9111, 5.4: Pragma: no-cache applies where there is no Cache-Control."""
    assert request_directives(said(asked)) == expected


@pytest.mark.parametrize(
    ("age", "more", "asked", "settings", "expected"),
    [
        (65, {"stale_if_error": 10.0}, "", {}, True),
        (70, {"stale_if_error": 10.0}, "", {}, True),
        (70.1, {"stale_if_error": 10.0}, "", {}, False),
        (1, {"stale_if_error": 10.0}, "", {}, True),
        (1, {}, "", {}, False),
        (61, {}, "", {}, False),
        (61, {"stale_while_revalidate": 99.0}, "", {}, False),
        (65, {}, "stale-if-error=10", {}, True),
        (70.1, {}, "stale-if-error=10", {}, False),
        (75, {"stale_if_error": 10.0}, "stale-if-error=20", {}, True),
        (65, {}, 'STALE-IF-ERROR="10"', {}, True),
        (61, {}, "stale-if-error", {}, False),
        (61, {}, "stale-if-error=x", {}, False),
        (61, {}, "stale-if-error=-1", {}, False),
        (61, {}, "stale-if-error=0", {}, False),
        (65, {}, "", {"stale_if_error": 10}, True),
        (70.1, {}, "", {"stale_if_error": 10}, False),
        (65, {"stale_if_error": 10.0, "must_revalidate": True}, "", {"stale_if_error": 10}, False),
        (65, {"stale_if_error": 10.0, "no_cache": True}, "", {"stale_if_error": 10}, False),
        (65, {"stale_if_error": 10.0}, "no-cache", {"stale_if_error": 10}, False),
        (65, {"stale_if_error": 0.0}, "", {"stale_if_error": 10}, False),  # takes precedence over the settings
        (65, {"stale_if_error": 0.0}, "stale-if-error=10", {}, True),
        (65, {"stale_if_error": 10.0}, "max-age=0", {}, True),  # "regardless of other freshness information"
    ],
)
def test_5861_4_stale_if_error(
    age: float, more: dict[str, float], asked: str, settings: dict[str, float], expected: bool
) -> None:
    """RFC 5861, 4: on an error a response may be as stale as it, the request or the settings allow."""
    found = Policy(**{"lifetime": 60.0, **more})
    assert instead_of_error(found, age, directives(asked.encode()), CacheConfig(**settings)) is expected


# Validation


A = stored('ETag: "a" | Last-Modified: one')
B = stored('ETag: "b"')
WEAK = stored('ETag: W/"a"')
OLD = stored("Last-Modified: one")
BARE = stored("A: 1")
ODD = stored('ETag: "\xe9"')


@pytest.mark.parametrize(
    ("entries", "matching", "asked", "expected"),
    [
        ((A,), A, "", {"If-None-Match": '"a"', "If-Modified-Since": "one"}),
        ((B,), B, "", {"If-None-Match": '"b"'}),
        ((WEAK,), WEAK, "", {"If-None-Match": 'W/"a"'}),
        ((OLD,), OLD, "", {"If-Modified-Since": "one"}),
        ((BARE,), BARE, "", {}),
        ((), None, "", {}),
        ((A, B), A, "", {"If-None-Match": '"a", "b"', "If-Modified-Since": "one"}),
        ((A, B), B, "", {"If-None-Match": '"a", "b"'}),
        ((A, A), A, "", {"If-None-Match": '"a"', "If-Modified-Since": "one"}),
        ((A, B), None, "", {"If-None-Match": '"a", "b"'}),
        ((OLD,), None, "", {}),
        ((A,), A, 'If-None-Match: "c"', {"If-None-Match": '"c", "a"'}),
        ((A,), A, 'If-None-Match: "c" | If-None-Match: "d"', {"If-None-Match": '"c", "d", "a"'}),
        ((A,), A, 'If-None-Match: "a", "c,d"', {"If-None-Match": '"a", "c,d"'}),
        ((A,), A, "If-None-Match: *", {}),
        ((OLD,), OLD, 'If-None-Match: "c"', {}),
        ((A,), A, "If-Modified-Since: two", {"If-None-Match": '"a"', "If-Modified-Since": "one"}),
        ((OLD,), OLD, "If-Modified-Since: two", {"If-Modified-Since": "one"}),
        ((BARE,), BARE, "If-Modified-Since: two", {}),
        ((ODD,), ODD, 'If-None-Match: "\xe8"', {"If-None-Match": '"\xe8", "\xe9"'}),
    ],
)
def test_4_3_1_conditions(entries: tuple, matching: object, asked: str, expected: dict[str, str]) -> None:
    """RFC 9111, 4.3.1: validation sends all tags, the caller's included, and the date of the matching response."""
    bytewise = {name.encode(): value.encode("latin-1") for name, value in expected.items()}
    assert conditions(entries, matching, said(asked)) == bytewise


X, Y, Z = stored('ETag: "a" | A: 1'), stored('ETag: "a" | A: 2'), stored('ETag: W/"a" | A: 3')


@pytest.mark.parametrize(
    ("entries", "text", "expected"),
    [
        ((X, B, Y), 'ETag: "a"', (X, Y)),
        ((Z, X, Y), 'ETag: "a"', (X, Y)),
        ((X, B), 'ETag: "b"', (B,)),
        ((X, B), 'ETag: "c"', ()),
        ((X, B), f'ETag: "c" | Last-Modified: {at(0)}', ()),
        ((OLD,), 'ETag: "c" | Last-Modified: one', ()),
        ((BARE,), 'ETag: "a"', ()),
        ((B, X, Y, Z), 'ETag: W/"a"', (X,)),
        ((Z, X), 'ETag: W/"a"', (Z,)),
        ((B, X), 'ETag: W/"c"', ()),
        ((Z, B, WEAK), 'ETag: "a"', (Z,)),  # some servers omit the W/ in a 304
        ((B, Z, WEAK), 'ETag: "a"', ()),
        ((A, OLD), "Last-Modified: one", (A,)),
        ((OLD, A), "Last-Modified: one", (OLD,)),
        ((B, OLD), "Last-Modified: one", ()),
        ((A, OLD), "Last-Modified: two", ()),
        ((B,), "Last-Modified: one", ()),
        ((BARE,), "", (BARE,)),
        ((BARE, BARE), "", ()),
        ((A, B), "", ()),
        ((), "", ()),
        ((), 'ETag: "a"', ()),
        ((BARE,), "ETag:", (BARE,)),
        ((BARE, B), "ETag:", ()),
    ],
)
def test_4_3_4_identified(entries: tuple, text: str, expected: tuple) -> None:
    """RFC 9111, 4.3.4: a 304 updates all with its strong tag, the first with its weak tag or date, or the only one."""
    found = identified(entries, entries[0] if entries else None, said(text))
    assert [id(entry) for entry in found] == [id(entry) for entry in expected]


@pytest.mark.parametrize(
    ("entry", "text", "expected"),
    [
        ('ETag: "a" | Content-Length: 10', "", True),
        ('ETag: "a" | Content-Length: 10', 'ETag: "a"', True),
        ('ETag: "a" | Content-Length: 10', 'ETag: "a" | Content-Length: 10', True),
        ('ETag: "a" | Content-Length: 10', "Content-Length: 10", True),
        ('ETag: "a" | Content-Length: 10', "Content-Length: 11", False),
        ('ETag: "a" | Content-Length: 10', 'ETag: "b" | Content-Length: 10', False),
        ('ETag: "a"', 'ETag: W/"a"', False),
        ('ETag: "a"', "Last-Modified: one", False),
        ("Last-Modified: one", "Last-Modified: one", True),
        ("Last-Modified: one", "Last-Modified: two", False),
        ('ETag: "a" | Last-Modified: one', 'ETag: "a" | Last-Modified: two', False),
        ("A: 1", 'ETag: "a"', False),
        ("A: 1", "A: 2", True),
        ("Transfer-Encoding: chunked", "Content-Length: 10", True),
    ],
)
def test_4_3_5_head(entry: str, text: str, expected: bool) -> None:
    """RFC 9111, 4.3.5: a HEAD updates a stored response if its validators and length agree."""
    assert freshens(stored(entry, body=bytes(10)), said(text)) is expected


# Invalidation


@pytest.mark.parametrize("status", FINAL)
def test_what_is_no_longer_so(status: int) -> None:
    """An unstored full response replaces the stored one, unless it is a failure or not about the whole."""
    silent = {206, 304, 408, 412, 416, 425, 429}
    assert replaces(status) is (status < 500 and status not in silent)


@pytest.mark.parametrize(
    ("entry", "text", "expected"),
    [
        ('ETag: "a"', 'ETag: "b"', True),
        ('ETag: "a"', 'ETag: "a"', False),
        ('ETag: "a"', 'ETag: W/"a"', False),
        ('ETag: "a"', "Last-Modified: one", False),
        ("A: 1", 'ETag: "a"', False),
        (None, 'ETag: "a"', False),
    ],
)
def test_what_has_changed_meanwhile(entry: str | None, text: str, expected: bool) -> None:
    """A 206, or a 304 to a caller's own tag, contradicts a stored response that has another tag."""
    assert contradicts(None if entry is None else stored(entry), said(text)) is expected


@pytest.mark.parametrize("status", [*range(100, 600), 600, 999])
def test_4_4_invalidation(status: int) -> None:
    """RFC 9111, 4.4: an unsafe or unknown method that succeeds or is redirected invalidates; a safe one never does."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "MKCOL", "CONNECT", "M-SEARCH", "get"):
        assert invalidates(method, status) is (200 <= status < 400)
    assert not any(invalidates(method, status) for method in SAFE_METHODS)


def test_9_2_1_safe_methods() -> None:
    """RFC 9110, 9.2.1: the safe methods are those of the RFC and of the IANA registry."""
    assert {"GET", "HEAD", "OPTIONS", "TRACE"} <= SAFE_METHODS
    assert not SAFE_METHODS & {"POST", "PUT", "DELETE", "PATCH", "CONNECT", "LOCK", "MOVE"}

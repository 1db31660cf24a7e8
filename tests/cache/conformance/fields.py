"""Which fields are stored, and updated by a 304 or a HEAD."""

from __future__ import annotations

from typing import Any

from tests.cache.conformance.conversation import FRESH, Case, Step, cached, case, sent, validated

HEADERS: dict[str, tuple[str, str, str]] = {
    # Value, another value, and whether it is stored and updated ("yes"), stored only ("stored") or neither ("no").
    "Test-Header": ("1", "2", "yes"),
    "X-Test-Header": ("1", "2", "yes"),
    "Content-Foo": ("1", "2", "yes"),
    "X-Content-Foo": ("1", "2", "yes"),
    "Cache-Control": ("max-age=1", "max-age=3600", "yes"),
    "Connection": ("x", "y", "no"),
    "Content-Encoding": ("x", "y", "stored"),
    "Content-Length": ("8", "10", "stored"),
    "Content-Location": ("/foo", "/bar", "yes"),
    "Content-MD5": ("rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g==", "yes"),
    "Content-Range": ("x", "y", "stored"),
    "Content-Security-Policy": ("default-src 'self'", "default-src 'self' cdn.example.com", "yes"),
    "Content-Type": ("text/plain", "text/plain;charset=utf-8", "yes"),
    "Clear-Site-Data": ("cache", "cookies", "yes"),
    "Expires": ("Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT", "yes"),
    "Keep-Alive": ("x", "y", "no"),
    "Proxy-Authenticate": ("x", "y", "no"),
    "Proxy-Authentication-Info": ("x", "y", "no"),
    "Proxy-Authorization": ("x", "y", "no"),
    "Proxy-Connection": ("x", "y", "no"),
    "Public-Key-Pins": ("x", "y", "yes"),
    "Set-Cookie": ("a=b", "a=c", "no"),  # the suite's caches store it; this one reserves it for the caller that received it
    "Set-Cookie2": ("a=b", "a=c", "no"),
    "TE": ("x", "y", "no"),
    "Trailer": ("x", "y", "no"),
    "Transfer-Encoding": ("x", "y", "no"),
    "Upgrade": ("x", "y", "no"),
    "X-Frame-Options": ("deny", "sameorigin", "yes"),
    "X-XSS-Protection": ("1", "1; mode=block", "yes"),
}


def stored_header(name: str, value: str, how: str) -> Case:
    control = "" if name == "Cache-Control" else " | Cache-Control: max-age=3600"
    shown: dict[str, Any] = {"lacks": name} if how == "no" else {"sees": f"{name}: {value}"}
    return case(f"headers-store-{name}", sent(f"Date: @0 | {name}: {value}{control}"), cached(**shown))


def updated_header(name: str, before: str, now: str, how: str) -> Case:
    control = "" if name == "Cache-Control" else " | Cache-Control: max-age=2"
    shown: dict[str, Any] = {"lacks": name} if how == "no" else {"sees": f"{name}: {now if how == 'yes' else before}"}
    return case(
        f"304-etag-update-response-{name}",
        sent(f'Date: @0 | ETag: "abc" | {name}: {before}{control}'),
        validated(f'Date: @0 | ETag: "abc" | {name}: {now}{control}', after=3, **shown),
        cached(**shown),
    )


STORED_HEADERS = (
    case(
        "headers-omit-headers-listed-in-Connection",
        sent(f"{FRESH} | Connection: a, b | a: 1 | b: 2 | c: 3", sees="a: 1"),
        cached(sees="c: 3", lacks="a b connection"),
    ),
    *(stored_header(name, now, how) for name, (_, now, how) in HEADERS.items() if name != "Content-Length"),
    stored_header("Content-Length", "8", "stored"),
    case("headers-store-twice", sent(f"{FRESH} | A: 1 | A: 2"), cached(sees="A: 1, 2")),
)

UPDATE_304 = (
    case(
        "304-lm-use-stored-Test-Header",
        sent("Cache-Control: max-age=2 | Last-Modified: @-9999 | Date: @0 | Test-Header: a"),
        validated("Last-Modified: @-10002 | Date: @0", after=3, sees="Test-Header: a", asked="If-Modified-Since: @-10002"),
        cached(after=1, sees="Test-Header: a"),
    ),
    *(updated_header(name, *values) for name, values in HEADERS.items() if name != "Cache-Control"),
    updated_header("Cache-Control", "max-age=1", "max-age=3600", "yes"),
    case(
        "304-etag-update-response-ETag",
        sent('Date: @0 | ETag: W/"abc" | Cache-Control: max-age=2'),
        validated('Date: @0 | ETag: "abc" | Cache-Control: max-age=99', after=3, sees='ETag: "abc"'),
        cached(sees='ETag: "abc"'),
    ),
    case(
        "304-several-fields-for-one",
        sent('Date: @0 | ETag: "abc" | Cache-Control: max-age=2 | A: 1 | A: 2'),
        validated("A: 3 | Cache-Control: max-age=9", after=3, sees="A: 3"),
        cached(sees="A: 3"),
    ),
    case(
        "304-age",
        sent('Date: @0 | ETag: "abc" | Cache-Control: max-age=20 | Age: 15'),
        validated("Date: @0 | Age: 5", after=6, sees="Age: 5"),
        cached(after=2, sees="Age: 7"),
    ),
    case(
        "304-connection",
        sent('Date: @0 | ETag: "abc" | Cache-Control: max-age=2 | A: 1'),
        validated("Connection: A | A: 2 | Cache-Control: max-age=99", after=3, sees="A: 1", lacks="connection"),
    ),
)


def head(answer: str, *then: Step, **more: Any) -> tuple[Step, ...]:
    """A stored response that has become stale, followed by a HEAD."""
    return sent("Cache-Control: max-age=2 | Template-A: 1"), Step("sent", answer, method="HEAD", after=3, **more), *then


UPDATE_HEAD = (
    case("head-writethrough", *head("")),
    case("head-200-freshness-update", *head("Cache-Control: max-age=1000", cached(sees="Template-A: 1"))),
    case(
        "head-200-update",
        *head("Template-A: 2 | Cache-Control: max-age=1000", cached(sees="Template-A: 2"), cached(method="HEAD")),
    ),
    # A check. A 410 to a HEAD does not freshen the stored response.
    case("head-410-update", *head("Template-A: 2 | Cache-Control: max-age=1000", sent(), status=410)),
    case(  # a check: the response to HEAD is passed on unchanged
        "head-200-retain",
        *head("", lacks="Template-A"),
    ),
    case("head-served-from-get", sent(FRESH), cached(method="HEAD")),
    case("head-not-for-get", sent(FRESH, method="HEAD"), cached(method="HEAD"), sent()),
    case(
        "head-length-changed",
        *head("Content-Length: 99 | Cache-Control: max-age=1000", sent()),
    ),
    case(
        "head-etag-changed",
        sent('Cache-Control: max-age=2 | ETag: "a"'),
        Step("sent", 'Cache-Control: max-age=1000 | ETag: "b"', method="HEAD", after=3),
        sent(),
    ),
    case(
        "head-length-same",
        sent("Cache-Control: max-age=2 | Content-Length: 8"),
        Step("sent", "Cache-Control: max-age=1000 | Content-Length: 8", method="HEAD", after=3),
        cached(),
    ),
    case(
        "head-validates",
        sent('Cache-Control: max-age=2 | ETag: "a"'),
        validated("Cache-Control: max-age=1000", method="HEAD", after=3, asked='If-None-Match: "a"'),
        cached(after=3),
    ),
)

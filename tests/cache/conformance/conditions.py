"""Conditional requests, answered from a stored response."""

from __future__ import annotations

from tests.cache.conformance.conversation import FRESH, Case, cached, case, sent, validated


def conditional(name: str, tag: str, wanted: str, given: int) -> Case:
    """A fresh response with an entity tag, and a conditional request."""
    return case(
        f"conditional-etag-{name}",
        sent(f"{FRESH} | ETag: {tag}"),
        cached(f"If-None-Match: {wanted}", given=given, sees=f"ETag: {tag}", after=3),
    )


CONDITIONAL = (
    conditional("strong-respond", '"abcdef"', '"abcdef"', 304),
    conditional("strong-respond-obs-text", '"abcdef\xfc"', '"abcdef\xfc"', 304),
    conditional("strong-respond-other", '"abcdef"', '"abcdeg"', 200),
    conditional("strong-respond-any", '"abcdef"', "*", 304),
    conditional("weak-respond", 'W/"abcdef"', 'W/"abcdef"', 304),
    conditional("weak-respond-strong", 'W/"abcdef"', '"abcdef"', 304),
    conditional("strong-respond-multiple-first", '"abcdef"', '"abcdef", "1234", "5678"', 304),
    conditional("strong-respond-multiple-second", '"abcdef"', '"1234", "abcdef", "5678"', 304),
    conditional("strong-respond-multiple-last", '"abcdef"', '"1234", "5678", "abcdef"', 304),
    conditional("strong-respond-multiple-lines", '"abcdef"', '"1234" | If-None-Match: "abcdef"', 304),
    conditional("strong-respond-comma-within", '"a,b"', '"1234", "a,b"', 304),
    # Checks. Anything but a valid tag is compared literally.
    conditional("quoted-respond-unquoted", '"abcdef"', "abcdef", 200),
    conditional("unquoted-respond-unquoted", "abcdef", "abcdef", 304),
    conditional("unquoted-respond-quoted", "abcdef", '"abcdef"', 200),
    conditional("weak-respond-lowercase", 'w/"abcdef"', 'w/"abcdef"', 200),
    conditional("weak-respond-backslash", 'W\\"abcdef"', 'W\\"abcdef"', 200),
    conditional("weak-respond-omit-slash", 'W"abcdef"', 'W"abcdef"', 200),
    case(
        "conditional-etag-precedence",
        sent('Cache-Control: max-age=9999 | Last-Modified: @-5000 | ETag: "abcdef" | Date: @0'),
        cached('If-None-Match: "abcdef" | If-Modified-Since: @-6000', given=304),
        cached('If-None-Match: "other" | If-Modified-Since: @-1', given=200),
    ),
    case(
        "conditional-etag-vary-headers",
        sent('Expires: @1 | ETag: "abcdef" | Date: @0 | Vary: Abc', "Abc: 123"),
        validated("", "Abc: 123", after=3, asked='If-None-Match: "abcdef"'),
    ),
    case(  # a check: all known tags are sent, so that the server may select one
        "conditional-etag-vary-headers-mismatch",
        sent('Expires: @10000 | ETag: "abcdef" | Date: @0 | Vary: Abc', "Abc: 123"),
        sent("", "Abc: 456", after=3, asked='If-None-Match: "abcdef"'),
    ),
    case(
        "conditional-etag-strong-generate",
        sent('Cache-Control: max-age=2 | ETag: "abcdef"'),
        validated(after=3, asked='If-None-Match: "abcdef"'),
    ),
    case(
        "conditional-etag-weak-generate-weak",
        sent('Cache-Control: max-age=2 | ETag: W/"abcdef"'),
        validated(after=3, asked='If-None-Match: W/"abcdef"'),
    ),
    case(  # a check: sent as the server spells it
        "conditional-etag-strong-generate-unquoted",
        sent("Cache-Control: max-age=2 | ETag: abcdef"),
        validated(after=3, asked="If-None-Match: abcdef"),
    ),
    case("conditional-etag-forward", sent(ask='If-None-Match: "abcdef"', asked='If-None-Match: "abcdef"')),
    case("conditional-etag-forward-unquoted", sent(ask="If-None-Match: abcdef", asked="If-None-Match: abcdef")),
    case(
        "conditional-etag-forward-304",
        sent('ETag: "abcdef"', 'If-None-Match: "abcdef"', status=304, asked='If-None-Match: "abcdef"'),
        sent(),
    ),
    case(
        "conditional-lm-fresh",
        sent("Cache-Control: max-age=100000 | Last-Modified: @-3000 | Date: @0"),
        cached("If-Modified-Since: @-3003", after=3, given=304, sees="Last-Modified: @-3003"),
    ),
    case(
        "conditional-lm-fresh-no-lm",
        sent("Cache-Control: max-age=100000 | Date: @0"),
        cached("If-Modified-Since: @-3", after=3, given=304),
    ),
    case(
        "conditional-lm-fresh-earlier",
        sent("Cache-Control: max-age=100000 | Last-Modified: @-3000 | Date: @0"),
        cached("If-Modified-Since: @-2000", after=3, given=304),
    ),
    case(
        "conditional-lm-fresh-later",
        sent("Cache-Control: max-age=100000 | Last-Modified: @-3000 | Date: @0"),
        cached("If-Modified-Since: @-4000", after=3, given=200),
        cached("If-Modified-Since: yesterday", after=3, given=200),
    ),
    case(
        "conditional-lm-stale",
        sent("Cache-Control: max-age=2 | Last-Modified: @-3000 | Date: @0"),
        validated("", "If-Modified-Since: @-3003", after=3, given=304, asked="If-Modified-Since: @-3003"),
    ),
)

"""Responses that vary by fields of the request."""

from __future__ import annotations

from typing import Any

from tests.cache.conformance.conversation import FRESH, Case, cached, case, sent, twice, validated


def vary(name: str, expected: str, ask: str, again: str, varied: str = "Foo", **more: Any) -> Case:
    answer = f"Cache-Control: max-age=5000 | Last-Modified: @-3000 | Date: @0 | Vary: {varied}"
    return twice(name, expected, answer, ask, again or "Other: 1", **more)


THREE = ("Foo: 1 | Bar: abc | Baz: 789", "Foo, Bar, Baz")

VARY = (
    vary("vary-match", "cached", "Foo: 1", "Foo: 1"),
    vary("vary-no-match", "sent", "Foo: 1", "Foo: 2"),
    vary("vary-omit-stored", "sent", "", "Foo: 1"),
    vary("vary-omit", "sent", "Foo: 1", ""),
    vary("vary-empty-is-not-absent", "sent", "Foo:", ""),
    vary("vary-case-of-unknown", "sent", "Foo: a", "Foo: A"),
    case(
        "vary-invalidate",
        sent(f"{FRESH} | Vary: Foo", "Foo: 1", body=b"foo_1"),
        sent(f"{FRESH} | Vary: Foo", "Foo: 2", body=b"foo_2"),
        cached("Foo: 1", reads=b"foo_1"),
        cached("Foo: 2", reads=b"foo_2"),
    ),
    vary("vary-cache-key", "cached", "Foo: 1 | Other: 2", "Foo: 1 | Other: 3"),
    vary("vary-2-match", "cached", "Foo: 1 | Bar: abc", "Foo: 1 | Bar: abc", "Foo, Bar"),
    vary("vary-2-no-match", "sent", "Foo: 1 | Bar: abc", "Foo: 2 | Bar: abc", "Foo, Bar"),
    vary("vary-2-match-omit", "sent", "Foo: 1 | Bar: abc", "", "Foo, Bar"),
    vary("vary-2-lines", "sent", "Foo: 1 | Bar: abc", "Foo: 1 | Bar: d", "Foo | Vary: Bar"),
    vary("vary-3-match", "cached", THREE[0], THREE[0], THREE[1]),
    vary("vary-3-no-match", "sent", THREE[0], "Foo: 2 | Bar: abc | Baz: 789", THREE[1]),
    vary("vary-3-order", "sent", THREE[0], "Foo: 1 | Baz: 789 | Bar: abcde", THREE[1]),
    vary("vary-3-omit", "cached", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", THREE[1]),
    vary("vary-star", "sent", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", "*"),
    vary("vary-name-case", "cached", "foo: 1", "FOO: 1", "fOO"),
    vary("vary-normalise-combine", "cached", "Foo: 1, 2", "Foo: 1 | Foo: 2"),
    vary("vary-normalise-space", "cached", "Foo: 1,2", "Foo:  1, 2 "),
    vary("vary-normalise-lang-case", "cached", "Accept-Language: en, de", "Accept-Language: eN, De", "Accept-Language"),
    vary("vary-normalise-lang-space", "cached", "Accept-Language: en, de", "Accept-Language:  en ,   de", "Accept-Language"),
    # The suite's optimal cache interprets order and weights. This one does not: it sends one more request.
    vary("vary-normalise-lang-order", "sent", "Accept-Language: en, de", "Accept-Language: de, en", "Accept-Language"),
    vary(
        "vary-normalise-lang-select",
        "sent",
        "Accept-Language: en, de",
        "Accept-Language: fr;q=0.5, de;q=1.0",
        "Accept-Language | Content-Language: de",
    ),
    *(
        vary(f"vary-syntax-{name}", "sent", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", value)
        for name, value in (
            ("star-star", "*, *"),
            ("star-star-lines", "* | Vary: *"),
            ("empty-star", ", *"),
            ("empty-star-lines", " | Vary: *"),
            ("star-foo", "*, Foo"),
            ("foo-star", "Foo, *"),
        )
    ),
    case(
        "vary-304-picks-one",
        sent('Cache-Control: max-age=2 | ETag: "a" | Vary: Foo', "Foo: 1", body=b"a"),
        sent('Cache-Control: max-age=2 | ETag: "b" | Vary: Foo', "Foo: 2", body=b"b"),
        validated('ETag: "a" | Cache-Control: max-age=99', "Foo: 3", asked='If-None-Match: "b", "a"', reads=b"a"),
        cached("Foo: 3", reads=b"a"),
        cached("Foo: 2", reads=b"b"),
    ),
    case(
        "vary-changes",
        sent("Cache-Control: max-age=99 | Vary: Foo", "Foo: 1 | Bar: 1", body=b"a"),
        sent("Cache-Control: max-age=99 | Vary: Bar", "Foo: 2 | Bar: 2", body=b"b"),
        cached("Foo: 3 | Bar: 2", reads=b"b"),
        sent("", "Foo: 3 | Bar: 3"),
    ),
)

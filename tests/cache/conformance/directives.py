"""Directives of responses and requests, Pragma, Authorization, and CDN-Cache-Control."""

from __future__ import annotations

from tests.cache.conformance.conversation import FRESH, cached, case, sent, twice, validated

CC_RESPONSE = (
    twice("cc-resp-private-shared", "sent", "Cache-Control: private, max-age=3600", shared=True),
    twice("cc-resp-private-private", "cached", "Cache-Control: private, max-age=3600"),
    twice("cc-resp-no-store", "sent", "Cache-Control: no-store"),
    twice("cc-resp-no-store-case-insensitive", "sent", "Cache-Control: No-StOrE"),
    twice("cc-resp-no-store-fresh", "sent", "Cache-Control: max-age=10000, no-store | Expires: @10000 | Date: @0"),
    twice("cc-resp-no-store-argument", "sent", "Cache-Control: max-age=10000, no-store=1"),
    case(  # a check: the first is served if the newer one is not validated, and dropped if it is
        "cc-resp-no-store-old-new",
        sent("Cache-Control: max-age=10000 | Date: @0 | A: 1"),
        cached(after=3, sees="A: 1"),
        sent("Cache-Control: no-store | Date: @0 | A: 2", "Cache-Control: no-cache"),
        sent(after=3, lacks="A"),
    ),
    case(
        "cc-resp-no-store-old-max-age",
        sent("Cache-Control: max-age=10000 | Date: @0 | A: 1"),
        cached(after=3, sees="A: 1"),
        sent("Cache-Control: no-store, max-age=0 | Date: @0 | A: 2", "Cache-Control: no-cache"),
        sent(after=3, lacks="A"),
    ),
    twice("cc-resp-no-cache", "sent", "Cache-Control: max-age=10000, no-cache | Expires: @10000 | Date: @0"),
    twice("cc-resp-no-cache-case-insensitive", "sent", "Cache-Control: max-age=10000, No-CaChE | Expires: @10000 | Date: @0"),
    twice("cc-resp-no-cache-revalidate", "validated", 'Cache-Control: no-cache | ETag: "abcd"'),
    twice("cc-resp-no-cache-revalidate-fresh", "validated", 'Cache-Control: max-age=10000, no-cache | ETag: "abcd"'),
    # Checks. Field names in a directive are ignored (RFC 9111, 5.2.2.4: "many caches").
    twice(
        "headers-omit-headers-listed-in-Cache-Control-no-cache-single",
        "sent",
        'Cache-Control: no-cache="a" | a: 1 | b: 2 | Cache-Control: max-age=3600 | Date: @0',
    ),
    twice(
        "headers-omit-headers-listed-in-Cache-Control-no-cache",
        "sent",
        'Cache-Control: no-cache="a, b" | a: 1 | b: 2 | c: 3 | Cache-Control: max-age=3600 | Date: @0',
    ),
    twice("cc-resp-private-field-shared", "sent", 'Cache-Control: private="a", max-age=3600', shared=True),
    twice("cc-resp-must-revalidate-fresh", "cached", 'Cache-Control: max-age=10000, must-revalidate | ETag: "abcd"'),
    case(
        "cc-resp-must-revalidate-stale",
        sent('Cache-Control: max-age=2, must-revalidate | ETag: "abcd"'),
        cached(),
        validated('Cache-Control: max-age=2, must-revalidate | ETag: "abcd"', after=3, asked='If-None-Match: "abcd"'),
    ),
    twice("cc-resp-immutable-fresh", "cached", 'Cache-Control: max-age=10000, immutable | ETag: "abcd"'),
    # Unlike a browser's reload, a request with max-age=0 is taken literally.
    twice(
        "cc-resp-immutable-reload",
        "validated",
        'Cache-Control: max-age=10000, immutable | ETag: "abcd"',
        again="Cache-Control: max-age=0",
    ),
    twice("cc-resp-immutable-stale", "validated", 'Cache-Control: max-age=2, immutable | ETag: "abcd"'),
)

CC_REQUEST = (
    twice("ccreq-ma0", "sent", "Cache-Control: max-age=3600", again="Cache-Control: max-age=0"),
    twice("ccreq-ma1", "sent", "Cache-Control: max-age=3600", again="Cache-Control: max-age=1"),
    twice("ccreq-magreaterage", "sent", "Cache-Control: max-age=3600 | Age: 1800", again="Cache-Control: max-age=600"),
    twice("ccreq-max-stale", "cached", "Cache-Control: max-age=1", again="Cache-Control: max-stale=1000"),
    twice("ccreq-max-stale-any", "cached", "Cache-Control: max-age=1", again="Cache-Control: max-stale"),
    twice("ccreq-max-stale-too-old", "sent", "Cache-Control: max-age=1", again="Cache-Control: max-stale=1"),
    twice("ccreq-max-stale-forbidden", "sent", "Cache-Control: max-age=1, must-revalidate", again="Cache-Control: max-stale"),
    twice("ccreq-max-stale-invalid", "sent", "Cache-Control: max-age=1", again="Cache-Control: max-stale=a"),
    twice("ccreq-min-fresh", "sent", "Cache-Control: max-age=1500", again="Cache-Control: min-fresh=2000"),
    twice("ccreq-min-fresh-enough", "cached", "Cache-Control: max-age=1500", again="Cache-Control: min-fresh=1000"),
    twice("ccreq-min-fresh-age", "sent", "Cache-Control: max-age=1500 | Age: 1000", again="Cache-Control: min-fresh=1000"),
    case("ccreq-max-stale-age", sent("Cache-Control: max-age=1500 | Age: 2000"), cached("Cache-Control: max-stale=1000")),
    twice("ccreq-no-cache", "sent", "Cache-Control: max-age=3600", again="Cache-Control: no-cache"),
    case(
        "ccreq-no-cache-lm",
        sent("Cache-Control: max-age=3600 | Last-Modified: @-10000 | Date: @0"),
        validated("", "Cache-Control: no-cache", asked="If-Modified-Since: @-10000"),
    ),
    case(
        "ccreq-no-cache-etag",
        sent('Cache-Control: max-age=3600 | ETag: "abc"'),
        validated("", "Cache-Control: no-cache", asked='If-None-Match: "abc"'),
    ),
    # A check. RFC 9111, 5.2.1.5: it "does not apply to the already stored response".
    twice("ccreq-no-store", "cached", "Cache-Control: max-age=3600", again="Cache-Control: no-store"),
    case("ccreq-no-store-storing", sent("Cache-Control: max-age=3600", "Cache-Control: no-store"), sent()),
    case("ccreq-oic", cached("Cache-Control: only-if-cached", given=504)),
    twice("ccreq-oic-fresh", "cached", "Cache-Control: max-age=3600", again="Cache-Control: only-if-cached"),
    case("ccreq-oic-stale", sent("Cache-Control: max-age=1"), cached("Cache-Control: only-if-cached", after=3, given=504)),
)

PRAGMA = (
    # A check. Treated as Cache-Control: no-cache, where there is no Cache-Control.
    twice("pragma-request-no-cache", "sent", "Cache-Control: max-age=3600", again="Pragma: no-cache"),
    twice("pragma-request-no-cache-and-cc", "cached", "Cache-Control: max-age=3600", again="Pragma: no-cache | Cache-Control: a"),
    twice("pragma-request-extension", "cached", "Cache-Control: max-age=3600", again="Pragma: unrecognised-extension"),
    twice("pragma-response-no-cache", "cached", "Cache-Control: max-age=3600 | Pragma: no-cache"),
    twice("pragma-response-no-cache-heuristic", "cached", "Last-Modified: @-10000 | Pragma: no-cache"),
    twice("pragma-response-extension", "cached", "Cache-Control: max-age=3600 | Pragma: unrecognised-extension"),
)

OTHER = (
    case("other-age-gen", sent(FRESH), cached(after=3, sees="Age: 3")),
    case("other-age-update-expires", sent("Expires: @2592000 | Date: @0 | Age: 30"), cached(after=3, sees="Age: 33")),
    case("other-age-update-max-age", sent(f"{FRESH} | Age: 30"), cached(after=3, sees="Age: 33")),
    case("other-date-update", sent("Cache-Control: max-age=99 | Date: @0"), cached(after=3, sees="Date: @-3")),
    case("other-date-update-expires", sent("Expires: @99 | Date: @0"), cached(after=3, sees="Date: @-3")),
    case("other-date-update-expires-update", sent("Expires: @99 | Date: @0"), cached(after=3, sees="Expires: @96")),
    case("other-date-added", sent("Cache-Control: max-age=99"), cached(after=3, sees="Date: @-3")),
    case("query-args-different", sent(FRESH, path="/?test=1"), sent(path="/?test=2"), sent(path="/")),
    case("query-args-same", sent(FRESH, path="/?test=1"), cached(path="/?test=1")),
    case("fragment-same", sent(FRESH, path="/a"), cached(path="/a#b")),
    case("escapes-same", sent(FRESH, path="/%7ea%2fb"), cached(path="/~a%2Fb"), sent(path="/~a/b")),
    case("no-query-is-not-an-empty-one", sent(FRESH, path="/a"), sent(path="/a?")),
    twice(
        "other-heuristic-content-disposition-attachment",
        "cached",
        "Last-Modified: @-100000 | Date: @0 | Content-Disposition: attachment; filename=example.txt",
    ),
    twice("other-fresh-content-disposition-attachment", "cached", f"{FRESH} | Content-Disposition: attachment; filename=a"),
    case("other-set-cookie", sent(f"{FRESH} | Set-Cookie: a=b", sees="Set-Cookie: a=b"), cached(lacks="Set-Cookie")),
    # A response to a request with a credential is not served to one without it, nor the other way round.
    twice("other-cookie", "sent", FRESH, again="Cookie: a=b"),
    twice("other-cookie-same", "cached", FRESH, ask="Cookie: a=b"),
)

AUTH = (
    twice("other-authorization", "sent", FRESH, ask="Authorization: FOO", again="A: b", shared=True),
    twice("other-authorization-same", "sent", FRESH, ask="Authorization: FOO", shared=True),
    *(
        entry
        for name, more in (
            ("public", "public, max-age"),
            ("must-revalidate", "must-revalidate, max-age"),
            ("smaxage", "s-maxage"),
        )
        for answer in (f"Cache-Control: {more}=3600 | Date: @0",)
        for entry in (
            # Credentials separate responses in a shared cache too, unless `partition` names the fields that do.
            twice(f"other-authorization-{name}", "sent", answer, ask="Authorization: FOO", again="A: b", shared=True),
            twice(f"other-authorization-{name}-same", "cached", answer, ask="Authorization: FOO", shared=True),
            twice(
                f"other-authorization-{name}-unpartitioned",
                "cached",
                answer,
                ask="Authorization: FOO",
                again="A: b",
                shared=True,
                partition=(),
            ),
        )
    ),
    twice("authorization-private-same", "cached", FRESH, ask="Authorization: FOO"),
    twice("authorization-private-other", "sent", FRESH, ask="Authorization: FOO", again="Authorization: BAR"),
    twice("authorization-private-none", "sent", FRESH, ask="Authorization: FOO", again="A: b"),
    *(
        twice(f"credential-{name.lower()}", "sent", FRESH, ask=f"{name}: one", again=f"{name}: two")
        for name in ("Cookie", "X-API-Key", "Proxy-Authorization", "X-Auth-Token", "Api-Key", "X-Forwarded-User", "DPoP")
    ),
    twice("no-credential-x-csrf-token", "cached", FRESH, ask="X-CSRF-Token: one", again="X-CSRF-Token: two"),
)

CDN = (
    *(
        twice(f"cdn-{name}", expected, answer, shared=True, targeted=["CDN-Cache-Control"])
        for name, expected, answer in (
            ("max-age", "cached", "CDN-Cache-Control: max-age=3600"),
            ("max-age-max", "cached", "CDN-Cache-Control: max-age=2147483648"),
            ("max-age-max-plus", "cached", "CDN-Cache-Control: max-age=99999999999"),
            ("max-age-age", "sent", "Date: @0 | CDN-Cache-Control: max-age=3600 | Age: 7200"),
            ("max-age-space-before-equals", "sent", "Cache-Control: max-age=1 | CDN-Cache-Control: max-age =100"),
            ("max-age-space-after-equals", "sent", "Cache-Control: max-age=1 | CDN-Cache-Control: max-age= 100"),
            ("max-age-0", "sent", "CDN-Cache-Control: max-age=0"),
            ("max-age-extension", "cached", "CDN-Cache-Control: foobar, max-age=3600"),
            ("max-age-case-insensitive", "sent", "CDN-Cache-Control: MaX-aGe=3600"),  # a check: directive names are in lower case
            ("max-age-expires", "cached", "CDN-Cache-Control: max-age=3600 | Expires: @-10000 | Date: @0"),
            ("max-age-cc-max-age-invalid-expires", "cached", "CDN-Cache-Control: max-age=3600 | Expires: 0 | Date: @0"),
            ("max-age-0-expires", "sent", "CDN-Cache-Control: max-age=0 | Expires: @10000 | Date: @0"),
            ("max-age-short-cc-max-age", "cached", "Cache-Control: max-age=1 | CDN-Cache-Control: max-age=3600"),
            ("max-age-long-cc-max-age", "sent", "Cache-Control: max-age=3600 | CDN-Cache-Control: max-age=1"),
            ("private", "sent", "CDN-Cache-Control: private | Cache-Control: max-age=10000 | Expires: @10000 | Date: @0"),
            ("no-cache", "sent", "CDN-Cache-Control: no-cache | Cache-Control: max-age=10000 | Expires: @10000 | Date: @0"),
            (
                "no-store-cc-fresh",
                "sent",
                "Cache-Control: max-age=10000 | CDN-Cache-Control: no-store | Expires: @10000 | Date: @0",
            ),
            ("fresh-cc-nostore", "cached", "Cache-Control: no-store | CDN-Cache-Control: max-age=10000"),
            ("cc-invalid-sh-type-unknown", "sent", "CDN-Cache-Control: max-age=10000, &&&&& | Cache-Control: no-store"),
            ("cc-invalid-sh-type-wrong", "sent", 'CDN-Cache-Control: max-age="10000" | Cache-Control: no-store'),
        )
    ),
    twice("cdn-untargeted", "sent", "CDN-Cache-Control: max-age=3600", shared=True),
    case(
        "cdn-remove-header",
        sent("Cache-Control: max-age=10000 | CDN-Cache-Control: foo", sees="CDN-Cache-Control: foo"),
        targeted=["CDN-Cache-Control"],
    ),
    case(
        "cdn-exceed",
        sent("Cache-Control: max-age=1 | Expires: @1 | CDN-Cache-Control: max-age=10000 | Date: @0"),
        cached(after=3, sees="Date: @-3 | Expires: @-2 | Age: 3"),
        targeted=["CDN-Cache-Control"],
    ),
)

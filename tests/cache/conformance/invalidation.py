"""Which statuses and methods are stored, and which requests invalidate stored responses."""

from __future__ import annotations

from tests.cache.conformance.conversation import FRESH, HOST, Step, cached, case, sent

INVALIDATION = (
    *(
        entry
        for method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO")
        for entry in (
            case(f"invalidate-{method}", sent(FRESH), sent(method=method), sent()),
            case(f"invalidate-{method}-failed", sent(FRESH), sent(method=method, status=500), cached(reads=b"answer 0")),
            case(f"invalidate-{method}-refused", sent(FRESH), sent(method=method, status=404), cached(reads=b"answer 0")),
            case(f"invalidate-{method}-redirected", sent(FRESH), sent(method=method, status=303), sent()),
            # Checks: both are invalidated.
            case(
                f"invalidate-{method}-location",
                sent(FRESH, path="/location_target"),
                sent("Location: location_target | Content-Location: content_location_target", method=method),
                sent(path="/location_target"),
            ),
            case(
                f"invalidate-{method}-cl",
                sent(FRESH, path="/content_location_target"),
                sent("Location: location_target | Content-Location: content_location_target", method=method),
                sent(path="/content_location_target"),
            ),
        )
    ),
    *(
        case(f"invalidate-not-by-{method}", sent(FRESH), sent(method=method), cached(reads=b"answer 0"))
        for method in ("OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY")
    ),
    case("invalidate-absolute", sent(FRESH, path="/a"), sent(f"Location: {HOST}/a", method="POST"), sent(path="/a")),
    case("invalidate-own-port", sent(FRESH, path="/a"), sent(f"Location: {HOST}:443/a", method="POST"), sent(path="/a")),
    case(
        "invalidate-head-too",
        sent(FRESH, method="HEAD"),
        sent(method="POST"),
        sent(method="HEAD"),
    ),
    case("invalidate-all-variants", sent(f"{FRESH} | Vary: Foo", "Foo: 1"), sent(method="PUT", ask="Foo: 2"), sent(ask="Foo: 1")),
    case("invalidate-nonsense", sent(FRESH), sent("Location: http://[", method="POST"), sent()),
    case("invalidate-other-path-not", sent(FRESH, path="/a"), sent(method="POST", path="/b"), cached(path="/a")),
)

STATUS = (
    *(
        entry
        for status in (200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599)
        for entry in (
            case(
                f"status-{status}-fresh",
                sent(FRESH, status=status, body=b"" if status == 204 else b"x"),
                cached(given=status, reads=b"" if status == 204 else b"x"),
            ),
            case(f"status-{status}-stale", sent("Expires: @-5000 | Last-Modified: @-100000 | Date: @0", status=status), sent()),
        )
    ),
    *(
        case(f"status-{status}-never", sent("Cache-Control: public, max-age=3600", status=status), sent(status=status))
        for status in (428, 429, 431, 511)
    ),
    *(
        case(f"status-{status}-must-understand", sent(answer, status=status), Step(expected, given=given, reads=reads))
        for answer in ("Cache-Control: max-age=3600, no-store, must-understand",)
        for status, expected, given, reads in ((599, "sent", None, None), (200, "cached", 200, None))
    ),
    case("status-206-must-understand", sent("Cache-Control: max-age=9, no-store, must-understand", status=206), sent()),
)

METHOD = (
    # The suite's optimal cache answers GET with the response to a POST. This one does not store that.
    case("method-POST", sent("Expires: @2592000 | Content-Location: / | Date: @0", method="POST"), sent()),
    *(
        case(f"method-{method}-never-stored", sent(FRESH, method=method), sent(FRESH, method=method), sent())
        for method in ("OPTIONS", "QUERY", "PROPFIND", "FOO")
    ),
    case("interim-not-cached", sent("Cache-Control: max-age=9", status=103), sent()),
)

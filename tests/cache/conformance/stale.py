"""Stale responses, and when they are served."""

from __future__ import annotations

from tests.cache.conformance.conversation import Step, case, instead, sent

STALE = (
    # Checks: a stale response is served only if server, request or settings allow it.
    case("stale-close", sent("Cache-Control: max-age=2"), Step("error", error="RemoteProtocolError", after=3)),
    case("stale-503", sent("Cache-Control: max-age=2"), sent(status=503, after=3)),
    case(
        "stale-while-revalidate-window",
        sent('Cache-Control: max-age=1, stale-while-revalidate=4 | ETag: "abc"'),
        sent(after=5, asked='If-None-Match: "abc"'),
    ),
    *(
        case(
            f"stale-sie-{name}",
            sent("Cache-Control: max-age=2, stale-if-error=60"),
            instead(after=3, **how),
            instead(after=59, **how),
            Step(late, after=1, **how),
        )
        for name, how, late in (
            *((name, {"error": name}, "error") for name in ("RemoteProtocolError", "ConnectError", "ReadTimeout")),
            *((str(status), {"status": status}, "sent") for status in (500, 502, 503, 504)),
        )
    ),
    *(
        case(
            f"stale-close-{name}",
            sent(f"Cache-Control: max-age=2, stale-if-error=60, {control}"),
            Step("error", error="RemoteProtocolError", after=3),
            sent(status=503),
            stale_if_error=60,
            shared=shared,
        )
        for name, control, shared in (
            ("must-revalidate", "must-revalidate", False),
            ("proxy-revalidate", "proxy-revalidate", True),
            ("no-cache", "no-cache", False),
            ("s-maxage=2", "s-maxage=2", True),
        )
    ),
    case(
        "stale-proxy-revalidate-private",
        sent("Cache-Control: max-age=2, stale-if-error=60, proxy-revalidate"),
        instead(status=503, after=3),
    ),
    case(
        "stale-sie-404",
        sent("Cache-Control: max-age=2, stale-if-error=60"),
        sent(status=404, after=3),
    ),
    case(
        "stale-sie-config",
        sent("Cache-Control: max-age=2"),
        instead(status=429, after=3),
        instead(error="ConnectTimeout"),
        stale_if_error=60,
    ),
    case(
        "stale-sie-request",
        sent("Cache-Control: max-age=2"),
        instead(ask="Cache-Control: stale-if-error=60", status=503, after=3),
        sent(status=503),
        sent(ask="Cache-Control: stale-if-error=60, no-cache", status=503),
    ),
    case(
        "stale-sie-unlike",
        sent("Cache-Control: max-age=2, stale-if-error=60 | Vary: Foo", "Foo: 1"),
        sent(ask="Foo: 2", status=503, after=3),
    ),
)

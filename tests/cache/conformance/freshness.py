"""Freshness lifetimes: Cache-Control, Age, Expires, and heuristics."""

from __future__ import annotations

from tests.cache.conformance.conversation import Step, case, sent, twice

CC_FRESHNESS = (
    twice("freshness-none", "sent", ""),
    twice("freshness-max-age", "cached", "Cache-Control: max-age=3600"),
    twice("freshness-max-age-stale", "sent", "Cache-Control: max-age=2"),
    twice("freshness-max-age-0", "sent", "Cache-Control: max-age=0"),
    twice("freshness-max-age-max-minus-1", "cached", "Cache-Control: max-age=2147483647"),
    twice("freshness-max-age-max", "cached", "Cache-Control: max-age=2147483648"),
    twice("freshness-max-age-max-plus-1", "cached", "Cache-Control: max-age=2147483649"),
    twice("freshness-max-age-max-plus", "cached", "Cache-Control: max-age=99999999999"),
    twice("freshness-max-age-endless", "cached", "Cache-Control: max-age=" + "9" * 5000),
    twice("freshness-max-age-age", "sent", "Date: @0 | Cache-Control: max-age=3600 | Age: 7200"),
    twice("freshness-max-age-date", "sent", "Date: @-7200 | Cache-Control: max-age=3600"),
    twice("freshness-max-age-expires", "cached", "Cache-Control: max-age=3600 | Expires: @-7200 | Date: @0"),
    twice("freshness-max-age-expires-invalid", "cached", "Cache-Control: max-age=3600 | Expires: 0 | Date: @0"),
    twice("freshness-max-age-0-expires", "sent", "Expires: @3600 | Cache-Control: max-age=0 | Date: @0"),
    twice("freshness-max-age-extension", "cached", "Cache-Control: foobar, max-age=3600"),
    twice("freshness-max-age-case-insensitive", "cached", "Cache-Control: MaX-aGe=3600"),
    twice("freshness-max-age-negative", "sent", "Cache-Control: max-age=-3600"),
    twice("freshness-max-age-s-maxage-private", "sent", "Cache-Control: s-maxage=3600, max-age=1"),
    twice("freshness-max-age-s-maxage-private-multiple", "sent", "Cache-Control: s-maxage=3600 | Cache-Control: max-age=1"),
    twice("freshness-s-maxage-private", "sent", "Cache-Control: s-maxage=3600"),
    twice("freshness-s-maxage-shared", "cached", "Cache-Control: s-maxage=3600", shared=True),
    twice("freshness-max-age-s-maxage-shared-longer", "sent", "Cache-Control: max-age=3600, s-maxage=1", shared=True),
    twice("freshness-max-age-s-maxage-shared-longer-reversed", "sent", "Cache-Control: s-maxage=1, max-age=3600", shared=True),
    twice(
        "freshness-max-age-s-maxage-shared-longer-multiple",
        "sent",
        "Cache-Control: max-age=3600 | Cache-Control: s-maxage=1",
        shared=True,
    ),
    twice("freshness-max-age-s-maxage-shared-shorter", "cached", "Cache-Control: max-age=1, s-maxage=3600", shared=True),
    twice(
        "freshness-max-age-s-maxage-shared-shorter-expires",
        "cached",
        "Expires: @-10 | Cache-Control: max-age=0, s-maxage=3600",
        shared=True,
    ),
)

CC_PARSE = (
    # A check. Of values that differ none is used (RFC 9111, 4.2.1).
    twice("freshness-max-age-two-fresh-stale-sameline", "sent", "Cache-Control: max-age=1800, max-age=1"),
    twice("freshness-max-age-two-fresh-stale-sepline", "sent", "Cache-Control: max-age=1800 | Cache-Control: max-age=1"),
    twice("freshness-max-age-two-stale-fresh-sameline", "sent", "Cache-Control: max-age=1, max-age=1800"),
    twice("freshness-max-age-two-stale-fresh-sepline", "sent", "Cache-Control: max-age=1 | Cache-Control: max-age=1800"),
    twice("freshness-max-age-two-alike", "cached", "Cache-Control: max-age=1800 | Cache-Control: max-age=1800"),
    twice("freshness-max-age-ignore-quoted", "sent", 'Cache-Control: extension="max-age=3600", max-age=1'),
    twice("freshness-max-age-ignore-quoted-rev", "sent", 'Cache-Control: max-age=1, extension="max-age=3600"'),
    twice("freshness-max-age-quoted", "cached", 'Cache-Control: max-age="3600"'),
    twice("freshness-max-age-space-before-equals", "sent", "Cache-Control: max-age =3600"),
    twice("freshness-max-age-space-after-equals", "sent", "Cache-Control: max-age= 3600"),
    twice("freshness-max-age-leading-zero", "cached", "Cache-Control: max-age=003600"),
    twice("freshness-max-age-single-quoted", "sent", "Cache-Control: max-age='3600'"),
    # Checks. An invalid number of seconds makes the response stale.
    twice("freshness-max-age-decimal-zero", "sent", "Cache-Control: max-age=3600.0"),
    twice("freshness-max-age-decimal-five", "sent", "Cache-Control: max-age=3600.5"),
    twice("freshness-max-age-a100", "sent", "Cache-Control: max-age=a3600"),
    twice("freshness-max-age-100a", "sent", "Cache-Control: max-age=3600a"),
    twice("freshness-max-age-other-digits", "sent", "Cache-Control: max-age=\xb2\xb3"),
    twice("quoted-no-store-is-none", "cached", 'Cache-Control: extension="no-store", max-age=3600'),
    twice("unclosed-quote-hides-nothing", "sent", 'Cache-Control: max-age=3600, extension="a, no-store'),
    twice("empty-members", "cached", "Cache-Control: , ,max-age=3600,,"),
)

AGE_PARSE = tuple(
    twice(f"age-parse-{name}", expected, f"Date: @0 | Cache-Control: max-age=3600 | {age}")
    for name, expected, age in (
        ("nonnumeric", "cached", "Age: abc"),
        ("negative", "cached", "Age: -7200"),
        ("float", "cached", "Age: 7200.0"),
        ("large-minus-one", "sent", "Age: 2147483647"),
        ("large", "sent", "Age: 2147483648"),
        ("larger", "sent", "Age: 2147483649"),
        ("endless", "sent", "Age: " + "9" * 5000),
        ("suffix", "sent", "Age: 7200, 0"),
        ("prefix", "cached", "Age: 0, 7200"),
        ("suffix-twoline", "sent", "Age: 7200 | Age: 0"),
        ("prefix-twoline", "cached", "Age: 0 | Age: 7200"),
        ("dup-0", "cached", "Age: 0, 0"),
        ("dup-0-twoline", "cached", "Age: 0 | Age: 0"),
        ("dup-old", "cached", "Age: 1800 | Age: 1800"),
        # Checks. A number with a parameter is invalid.
        ("parameter", "cached", "Age: 7200;foo=bar"),
        ("numeric-parameter", "cached", "Age: 7200;foo=111"),
    )
)

EXPIRES = (
    twice("freshness-expires-future", "cached", "Expires: @2592000 | Date: @0"),
    twice("freshness-expires-past", "sent", "Expires: @-2592000 | Date: @0"),
    twice("freshness-expires-present", "sent", "Expires: @0 | Date: @0", after=0),
    twice("freshness-expires-old-date", "sent", "Expires: @300 | Date: @400"),
    twice("freshness-expires-invalid", "sent", "Expires: 0 | Date: @0"),
    twice("freshness-expires-invalid-date", "cached", "Date: foo | Expires: @10", after=0),
    twice("freshness-expires-age-slow-date", "sent", "Date: @-10 | Expires: @10 | Age: 25", after=0),
    twice("freshness-expires-age-fast-date", "sent", "Date: @10 | Expires: @20 | Age: 15", after=0),
    *(
        twice(f"freshness-expires-{name}", expected, f"Expires: {value} | Date: @0")
        for name, expected, value in (
            ("32bit", "cached", "Tue, 19 Jan 2038 14:14:08 GMT"),
            ("far-future", "cached", "Sun, 21 Nov 2286 04:46:39 GMT"),
            ("rfc850", "cached", "Thursday, 18-Aug-50 02:01:18 GMT"),
            ("ansi-c", "cached", "Thu Aug 18 02:01:18 2050"),
            ("wrong-case-weekday", "cached", "THU, 18 Aug 2050 02:01:18 GMT"),
            ("wrong-case-month", "cached", "Thu, 18 AUG 2050 02:01:18 GMT"),
            ("wrong-case-tz", "cached", "Thu, 18 Aug 2050 02:01:18 gMT"),
            ("invalid-utc", "sent", "Thu, 18 Aug 2050 02:01:18 UTC"),
            ("invalid-aest", "sent", "Thu, 18 Aug 2050 02:01:18 AEST"),
            ("invalid-2-digit-year", "sent", "Thu, 18 Aug 50 02:01:18 GMT"),
            ("invalid-no-comma", "sent", "Thu 18 Aug 2050 02:01:18 GMT"),
            ("invalid-multiple-spaces", "sent", "Thu, 18  Aug  2050 02:01:18 GMT"),
            ("invalid-date-dashes", "sent", "Thu, 18-Aug-2050 02:01:18 GMT"),
            ("invalid-time-periods", "sent", "Thu, 18 Aug 2050 02.01.18 GMT"),
            ("invalid-1-digit-hour", "sent", "Thu, 18 Aug 2050 2:01:18 GMT"),
            ("invalid-multiple-lines", "sent", "Thu, 18 Aug 2050 02:01:18 GMT | Expires: Thu, 18 Aug 2050 02:01:19 GMT"),
        )
    ),
)

HEURISTIC = (
    *(
        case(
            f"heuristic-{status}-{expected}{'-public' if more else ''}",
            sent(f"Last-Modified: @-86400 | Date: @0{more}", status=status, body=body),
            Step(expected, status=status if expected == "sent" else 200, given=status, reads=body, body=body),
        )
        for status, expected, more, body in (
            *((status, "cached", "", b"x") for status in (200, 203, 300, 301, 308, 404, 405, 410, 414, 501)),
            (204, "cached", "", b""),
            *((status, "sent", "", b"x") for status in (201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599)),
            (599, "cached", " | Cache-Control: public", b"x"),
            (201, "cached", " | Cache-Control: private", b"x"),
        )
    ),
    # Checks. A tenth of the time since Last-Modified.
    *(
        twice(f"heuristic-delta-{delta}", "cached" if delta > 30 else "sent", f"Last-Modified: @-{delta} | Date: @0")
        for delta in (5, 10, 30, 60, 300, 600, 1200, 1800, 3600, 43200, 86400)
    ),
    twice("heuristic-no-more-than-a-week", "cached", "Last-Modified: @-864000000 | Date: @0", after=604799),
    twice("heuristic-a-week", "sent", "Last-Modified: @-864000000 | Date: @0", after=604800),
    twice("heuristic-from-the-future", "sent", "Last-Modified: @1000 | Date: @0"),
)

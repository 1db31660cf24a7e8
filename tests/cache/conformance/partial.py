"""Ranges of a stored response."""

from __future__ import annotations

from typing import Any

from tests.cache.conformance.conversation import Case, cached, case, sent, validated

TEN = "Cache-Control: max-age=3600 | A: 1"


def part(name: str, wanted: str, status: int, reads: bytes, content_range: str = "", stored: str = TEN, **more: Any) -> Case:
    """A range of a response that is stored whole."""
    shown = {"sees": f"Content-Range: {content_range} | Content-Length: {len(reads)}"} if content_range else {}
    whole = sent(stored, body=b"01234567890")
    return case(f"partial-{name}", whole, cached(f"Range: {wanted}", given=status, reads=reads, **shown, **more))


PARTIAL = (
    part("store-complete-reuse-partial", "bytes=0-1", 206, b"01", "bytes 0-1/11"),
    part("store-complete-reuse-partial-no-last", "bytes=1-", 206, b"1234567890", "bytes 1-10/11"),
    part("store-complete-reuse-partial-suffix", "bytes=-1", 206, b"0", "bytes 10-10/11"),
    part("suffix-longer-than-all", "bytes=-99", 206, b"01234567890", "bytes 0-10/11"),
    part("last-beyond-end", "bytes=9-99", 206, b"90", "bytes 9-10/11"),
    part("beyond-end", "bytes=11-", 416, b"", "bytes */11"),
    part("no-suffix", "bytes=-0", 416, b"", "bytes */11"),
    part("backwards", "bytes=5-2", 200, b"01234567890"),
    part("upper-case", "Bytes=0-1", 206, b"01", "bytes 0-1/11"),
    case("partial-use-stored-headers", sent(TEN, body=b"0123"), cached("Range: bytes=0-1", given=206, reads=b"01", sees="A: 1")),
    *(
        case(f"partial-{name}", sent(TEN), sent("Content-Range: x", f"Range: {wanted}", status=206), cached(reads=b"answer 0"))
        for name, wanted in (("several", "bytes=0-1,3-4"), ("other-unit", "lines=1-2"), ("nonsense", "bytes=a-b"))
    ),
    case(
        "partial-if-range-same",
        sent(f'{TEN} | ETag: "a"', body=b"0123"),
        cached('Range: bytes=0-1 | If-Range: "a"', given=206, reads=b"01"),
        cached('Range: bytes=0-1 | If-Range: "b"', reads=b"0123"),
        cached('Range: bytes=0-1 | If-Range: W/"a"', reads=b"0123"),
    ),
    case(
        "partial-if-range-date",
        sent(f"{TEN} | Last-Modified: @-60 | Date: @0", body=b"0123"),
        cached("Range: bytes=0-1 | If-Range: @-60", given=206, reads=b"01"),
        cached("Range: bytes=0-1 | If-Range: @-59", reads=b"0123"),
    ),
    case(
        "partial-not-modified-first",
        sent(f'{TEN} | ETag: "a"', body=b"0123"),
        cached('Range: bytes=0-1 | If-None-Match: "a"', given=304),
    ),
    case("partial-head-has-none", sent(TEN, body=b"0123"), cached("Range: bytes=0-1", method="HEAD")),
    # The suite's optimal cache stores partial responses, and combines them. This one does not.
    *(
        case(
            f"partial-store-partial-{name}",
            sent("Cache-Control: max-age=3600 | Content-Range: bytes 4-9/10", "Range: bytes=-5", status=206, body=b"01234"),
            sent("Cache-Control: max-age=3600 | Content-Range: bytes 4-9/10", again, status=206 if again else 200),
            sent("", "Range: bytes=-5", status=206) if again else cached(),
        )
        for name, again in (
            ("reuse-partial", "Range: bytes=-5"),
            ("reuse-partial-byterange", "Range: bytes=6-8"),
            ("reuse-partial-absent", "Range: bytes=6-"),
            ("reuse-partial-suffix", "Range: bytes=-1"),
            ("complete", ""),
        )
    ),
    case(
        "partial-206-unasked",
        sent("Cache-Control: max-age=3600 | Content-Range: bytes 0-1/9", status=206),
        sent(),
    ),
    case(
        "partial-stale",
        sent('Cache-Control: max-age=2 | ETag: "a"', body=b"0123"),
        sent('Content-Range: bytes 0-1/4 | ETag: "a"', "Range: bytes=0-1", status=206, body=b"01", after=3, asked=""),
        validated(asked='If-None-Match: "a"', reads=b"0123"),
    ),
    case("partial-whole-answer-is-stored", sent(TEN, "Range: bytes=0-1", body=b"0123"), cached(reads=b"0123")),
    case("partial-416-is-not-stored", sent(TEN, "Range: bytes=99-", status=416), sent()),
)

"""Conditions and ranges of the caller, evaluated against a stored response: RFC 9110, 8.8, 13, 14 and 15, as tables."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise.cache.conditions import (
    ORIGIN_CONDITIONS,
    NoRange,
    fields_of_206,
    fields_of_304,
    fields_of_416,
    not_modified,
    requested_range,
)
from ratewise.cache.directives import opaque_tag
from tests.kit.growth import growth
from tests.kit.stored import NOW, at, raw, said, stored

BODY = b"0123456789"
DATED = f"Date: {at(0)}"
MODIFIED = f"Last-Modified: {at(-1000)} | {DATED}"


# Conditions


@pytest.mark.parametrize(
    ("one", "other", "strong", "weakly"),
    [
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
    ],
)
def test_8_8_3_2_comparison(one: str, other: str, strong: bool, weakly: bool) -> None:
    """RFC 9110, 8.8.3.2: If-None-Match compares weakly, If-Range strongly, in either order of the tags."""
    for first, second in ((one, other), (other, one)):
        assert (opaque_tag(first.encode()) == opaque_tag(second.encode())) is weakly
        assert not_modified(stored(f"ETag: {first}"), said(f"If-None-Match: {second}")) is weakly
        found = requested_range(stored(f"ETag: {first}"), said(f"Range: bytes=0-1 | If-Range: {second}"))
        assert found == (range(2) if strong else NoRange.IGNORED)


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ('ETag: "a"', '"a"', True),
        ('ETag: "a"', '"b"', False),
        ('ETag: "a"', '"A"', False),
        ('ETag: "a"', '"b", "a"', True),
        ('ETag: "a"', '"b",W/"a" , "c"', True),
        ('ETag: "a"', '"b" | If-None-Match: "a"', True),
        ('ETag: "a,b"', '"a,b", "c"', True),
        ('ETag: "a,b"', '"c", "a,b"', True),
        ('ETag: "a"', '"a,b"', False),
        ('ETag: "b"', '"a,b"', False),
        ('ETag: ""', '""', True),
        ('ETag: "\xe9"', '"\xe9"', True),
        ('ETag: "*"', '"*"', True),
        ('ETag: "a"', "*", True),
        ('ETag: "a"', " * ", True),
        ("", "*", True),
        ('ETag: "a"', '"*"', False),
        ('ETag: "a"', '"b", *', False),
        ("", '"a"', False),
        ("", '""', False),
        ("ETag:", "", False),
        ('ETag: "a"', "", False),
        ('ETag: "a"', ",", False),
        ("ETag: a", "a", True),
        ('ETag: "a"', "a", False),
        ("ETag: a", '"a"', False),
        ('ETag: "a"', 'w/"b"', False),
        ('ETag: "a"', '"b, "a"', True),
        ('ETag: "a b"', '"a b"', True),
    ],
)
def test_13_1_2_if_none_match(text: str, wanted: str, expected: bool) -> None:
    """RFC 9110, 13.1.2: a 304 if a tag matches the stored one weakly, or for any stored response with `*`."""
    assert not_modified(stored(text), said(f"If-None-Match: {wanted}")) is expected


@pytest.mark.parametrize("status", [200, 203, 204, 206, 226, 299, 199, 300, 301, 304, 404, 410, 500, 501])
def test_13_2_1_for_what_succeeded(status: int) -> None:
    """RFC 9110, 13.2.1: conditions apply to successful responses only; errors and redirects are returned unchanged."""
    entry = stored(f'ETag: "a" | {MODIFIED}', status=status)
    for asked in ('If-None-Match: "a"', "If-None-Match: *", f"If-Modified-Since: {at(0)}"):
        assert not_modified(entry, said(asked)) is (200 <= status < 300)


@pytest.mark.parametrize(
    ("text", "since", "expected"),
    [
        (MODIFIED, at(-1000), True),
        (MODIFIED, at(-999), True),
        (MODIFIED, at(-1001), False),
        (MODIFIED, at(99999), True),
        (MODIFIED, at(-1000).lower(), True),
        (MODIFIED, f" {at(-1000)} ", True),
        (MODIFIED, "Fri Jan 15 07:43:20 2027", True),
        (MODIFIED, "Friday, 15-Jan-27 07:43:20 GMT", True),
        (MODIFIED, "Friday, 15-Jan-27 07:43:19 GMT", False),
        (MODIFIED, "0", False),
        (MODIFIED, "", False),
        (MODIFIED, "tomorrow", False),
        (MODIFIED, "*", False),
        (MODIFIED, "Fri, 32 Jan 2027 08:00:00 GMT", False),
        (MODIFIED, "Fri, 15 Jan 27 08:00:00 GMT", False),
        (MODIFIED, f"{at(0)}, {at(0)}", False),
        (MODIFIED, f"{at(0)} | If-Modified-Since: {at(0)}", False),
        (DATED, at(0), True),  # RFC 9111, 4.3.2: without Last-Modified, Date is compared
        (DATED, at(-1), False),
        (f"Date: {at(-50)}", at(-50), True),
        (f"Date: {at(-50)}", at(-51), False),
        (f"Last-Modified: x | {DATED}", at(0), True),
        (f"Last-Modified: x | {DATED}", at(-1), False),
        ("", at(0), True),  # and without Date, the time of receipt
        ("", at(-1), False),
        ("Date: x", at(0), True),
        ("Date: x", at(-1), False),
    ],
)
def test_13_1_3_if_modified_since(text: str, since: str, expected: bool) -> None:
    """RFC 9110, 13.1.3: a 304 if the stored response has not changed since; invalid and multiple dates are ignored."""
    assert not_modified(stored(text), said(f"If-Modified-Since: {since}")) is expected


@pytest.mark.parametrize("wanted", ['"b"', "", "b", '"'])
def test_13_2_2_precedence(wanted: str) -> None:
    """RFC 9110, 13.2.2: with If-None-Match, even an invalid one, If-Modified-Since is ignored."""
    entry = stored(f'ETag: "a" | {MODIFIED}')
    asked = f"If-Modified-Since: {at(0)}"
    assert not_modified(entry, said(asked))
    assert not not_modified(entry, said(f"{asked} | If-None-Match: {wanted}"))
    assert not_modified(entry, said(f'If-Modified-Since: {at(-9999)} | If-None-Match: "a"'))
    assert not not_modified(entry, {})


def test_4_3_2_not_for_a_cache() -> None:
    """RFC 9111, 4.3.2: If-Match and If-Unmodified-Since are for the origin alone."""
    assert {b"if-match", b"if-unmodified-since"} == ORIGIN_CONDITIONS
    entry = stored(f'ETag: "a" | {MODIFIED}')
    assert not not_modified(entry, said(f'If-Match: "a" | If-Unmodified-Since: {at(0)}'))


# Ranges


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-3", range(4)),
        ("bytes=3-3", range(3, 4)),
        ("bytes=3-9", range(3, 10)),
        ("bytes=0-9", range(10)),
        ("bytes=0-10", range(10)),
        ("bytes=3-99", range(3, 10)),
        ("bytes=3-", range(3, 10)),
        ("bytes=0-", range(10)),
        ("bytes=9-", range(9, 10)),
        ("bytes=00-03", range(4)),
        ("bytes=10-", NoRange.UNSATISFIABLE),
        ("bytes=10-20", NoRange.UNSATISFIABLE),
        ("bytes=99-", NoRange.UNSATISFIABLE),
        ("bytes=999999999999999999-", NoRange.UNSATISFIABLE),
        ("bytes=0-999999999999999999", range(10)),
        ("bytes=-1", range(9, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-10", range(10)),
        ("bytes=-11", range(10)),
        ("bytes=-999999999999999999", range(10)),
        ("bytes=-0", NoRange.UNSATISFIABLE),
        ("bytes=-00", NoRange.UNSATISFIABLE),
        ("bytes=3-2", NoRange.IGNORED),
        ("bytes=99-98", NoRange.IGNORED),
        ("BYTES=0-3", range(4)),
        ("Bytes=0-3", range(4)),
        ("bytes=0-3 ", range(4)),
        ("bytes= 0-3", range(4)),
        ("bytes=0-1,3-4", NoRange.UNSUPPORTED),
        ("bytes=0-1, -1", NoRange.UNSUPPORTED),
        ("bytes=0-1,", NoRange.UNSUPPORTED),
        ("bytes=0-1 | Range: bytes=3-4", NoRange.UNSUPPORTED),
        ("seconds=0-1", NoRange.UNSUPPORTED),
        ("items=0-5", NoRange.UNSUPPORTED),
        ("bytes", NoRange.UNSUPPORTED),
        ("bytes=", NoRange.UNSUPPORTED),
        ("bytes=-", NoRange.UNSUPPORTED),
        ("bytes=a-b", NoRange.UNSUPPORTED),
        ("bytes=0", NoRange.UNSUPPORTED),
        ("bytes=0-1-2", NoRange.UNSUPPORTED),
        ("bytes=--1", NoRange.UNSUPPORTED),
        ("bytes=+0-1", NoRange.UNSUPPORTED),
        ("bytes=0 - 1", NoRange.UNSUPPORTED),
        ("bytes=0x0-1", NoRange.UNSUPPORTED),
        ("bytes=\xb2-3", NoRange.UNSUPPORTED),
        ("bytes=1000000000000000000-", NoRange.UNSUPPORTED),
        (f"bytes=0-{10**400}", NoRange.UNSUPPORTED),
        (f"bytes=-{10**400}", NoRange.UNSUPPORTED),
        ("0-1", NoRange.UNSUPPORTED),
        ("", NoRange.UNSUPPORTED),
    ],
)
def test_14_1_2_ranges(wanted: str, expected: range | NoRange) -> None:
    """RFC 9110, 14.1.2: one byte range is served; an invalid one is ignored, and several ranges are left to the server."""
    assert requested_range(stored(DATED), said(f"Range: {wanted}")) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-", NoRange.UNSATISFIABLE),
        ("bytes=0-0", NoRange.UNSATISFIABLE),
        ("bytes=5-9", NoRange.UNSATISFIABLE),
        ("bytes=-0", NoRange.UNSATISFIABLE),
        ("bytes=-5", NoRange.IGNORED),  # satisfiable, but no Content-Range can express it
        ("bytes=1-0", NoRange.IGNORED),
        ("bytes=0-1,2-3", NoRange.UNSUPPORTED),
    ],
)
def test_14_1_2_empty_body(wanted: str, expected: NoRange) -> None:
    """RFC 9110, 14.1.2: no range of an empty body can be satisfied."""
    assert requested_range(stored(DATED, b""), said(f"Range: {wanted}")) == expected


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_14_1_2_as_slices(size: int, first: int, last: int) -> None:
    """RFC 9110, 14.1.2: a range selects the same bytes as a Python slice."""
    body = bytes(range(size))
    entry = stored(DATED, body)
    found = requested_range(entry, {b"range": b"bytes=%d-%d" % (first, last)})
    if isinstance(found, range):
        assert body[found.start : found.stop] == body[first : last + 1] != b""
    else:
        assert found is (NoRange.IGNORED if last < first else NoRange.UNSATISFIABLE)
        assert last < first or first >= size
    end = requested_range(entry, {b"range": b"bytes=-%d" % last})
    if isinstance(end, range):
        assert body[end.start : end.stop] == body[-last:] != b""
    else:
        assert end is (NoRange.IGNORED if last else NoRange.UNSATISFIABLE)
        assert not (size and last)


@pytest.mark.parametrize("status", [201, 203, 204, 206, 301, 404, 410, 416, 500])
@pytest.mark.parametrize("wanted", ["bytes=0-1", "bytes=99-", "bytes=-0", "items=0-1", "bytes=0-1,3-4", ""])
def test_14_2_another_status(status: int, wanted: str) -> None:
    """RFC 9110, 14.2: Range is ignored for any status but 200."""
    assert requested_range(stored(DATED, status=status), said(f"Range: {wanted}")) is NoRange.IGNORED
    assert requested_range(stored(DATED, status=status), said(f'Range: {wanted} | If-Range: "a"')) is NoRange.IGNORED


def test_14_2_no_range() -> None:
    """RFC 9110, 14.2: without Range the whole body is served; If-Range alone is ignored."""
    assert requested_range(stored(DATED), {}) is NoRange.IGNORED
    assert requested_range(stored('ETag: "a"'), said('If-Range: "a"')) is NoRange.IGNORED


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ('ETag: "a"', '"a"', True),
        ('ETag: "a"', ' "a" ', True),
        ('ETag: "a"', '"b"', False),
        ('ETag: "a"', 'W/"a"', False),
        ('ETag: W/"a"', 'W/"a"', False),
        ('ETag: W/"a"', '"a"', False),
        ('ETag: "a"', '"a", "b"', False),
        ('ETag: "a"', '"b", "a"', False),
        ('ETag: "a"', "*", False),
        ("", '"a"', False),
        ("", '""', False),
        ("ETag: a", "a", False),
        ('ETag: "a"', "", False),
        (MODIFIED, at(-1000), True),
        (MODIFIED, at(-1000).lower(), True),
        (MODIFIED, "Fri Jan 15 07:43:20 2027", True),
        (MODIFIED, at(-999), False),  # an exact match
        (MODIFIED, at(-1001), False),
        (MODIFIED, at(0), False),
        (MODIFIED, "0", False),
        (MODIFIED, f"{at(-1000)}, {at(-1000)}", False),
        (f'ETag: "a" | {MODIFIED}', at(-1000), True),
        (f'ETag: W/"a" | {MODIFIED}', at(-1000), True),
        (f"Last-Modified: {at(-1)} | {DATED}", at(-1), True),  # RFC 9110, 8.8.2.2: strong one second after
        (f"Last-Modified: {at(0)} | {DATED}", at(0), False),
        (f"Last-Modified: {at(1)} | {DATED}", at(1), False),
        (f"Last-Modified: {at(-1000)}", at(-1000), False),
        (f"Last-Modified: {at(-1000)} | Date: x", at(-1000), False),
        (f"Last-Modified: x | {DATED}", "x", False),
        (DATED, at(0), False),
    ],
)
def test_13_1_5_if_range(text: str, wanted: str, expected: bool) -> None:
    """RFC 9110, 13.1.5: a range is served only if If-Range has the same strong tag, or the same strong date."""
    found = requested_range(stored(text), said(f"Range: bytes=2-3 | If-Range: {wanted}"))
    assert found == (range(2, 4) if expected else NoRange.IGNORED)
    beyond = requested_range(stored(text), said(f"Range: bytes=99- | If-Range: {wanted}"))
    assert beyond is (NoRange.UNSATISFIABLE if expected else NoRange.IGNORED)


# Responses


ALL = (
    f"Cache-Control: max-age=60 | Content-Type: a/b | Content-Length: 10 | Content-Encoding: gzip | {DATED}"
    f" | Content-Language: de | Content-Location: /x"
    f" | Expires: {at(9)} | Vary: Accept | X-Foo: 1 | Age: 7 | Cache-Status: RateWise; hit"
)


@pytest.mark.parametrize(
    ("validators", "left"),
    [('ETag: "a"', 'ETag: "a"'), (f'ETag: "a" | Last-Modified: {at(-9)}', 'ETag: "a"'), (f"Last-Modified: {at(-9)}",) * 2],
)
def test_15_4_5_not_modified(validators: str, left: str) -> None:
    """RFC 9110, 15.4.5: a 304 has Age and the fields that guide a cache, Last-Modified only without ETag, no body fields."""
    expected = (
        f"Cache-Control: max-age=60 | {DATED} | Content-Location: /x | Expires: {at(9)} | Vary: Accept | Age: 7"
        f" | Cache-Status: RateWise; hit | {left}"
    )
    assert list(fields_of_304(raw(f"{ALL} | {validators}"))) == raw(expected)
    assert fields_of_304([]) == ()


def test_15_3_7_partial_content() -> None:
    """RFC 9110, 15.3.7: a 206 has all fields of the whole, the length of the part, and Content-Range."""
    fields = raw('A: 1 | content-length: 10 | ETag: "a" | A: 2 | Content-Range: bytes 0-9/10 | Content-Encoding: gzip')
    expected = raw('A: 1 | ETag: "a" | A: 2 | Content-Encoding: gzip | Content-Range: bytes 2-5/10 | Content-Length: 4')
    assert list(fields_of_206(fields, range(2, 6), 10)) == expected
    assert list(fields_of_206([], range(1), 1)) == raw("Content-Range: bytes 0-0/1 | Content-Length: 1")


def test_15_5_17_range_not_satisfiable() -> None:
    """RFC 9110, 15.5.17: a 416 states the length of the whole, and nothing else of it."""
    expected = f"{DATED} | Cache-Status: RateWise; hit | Content-Range: bytes */10 | Content-Length: 0"
    assert list(fields_of_416(raw(f'{ALL} | ETag: "a"'), 10)) == raw(expected)
    assert list(fields_of_416([], 0)) == raw("Content-Range: bytes */0 | Content-Length: 0")


# Arbitrary input


VALUES = st.binary(max_size=40) | st.text('bytes=0123-, "W/a*', max_size=40).map(str.encode)


@given(VALUES, VALUES, VALUES)
def test_nothing_raises(one: bytes, two: bytes, three: bytes) -> None:
    """For arbitrary bytes in request and response nothing raises, and a range lies within the body."""
    one, two, three = (value.replace(b"\n", b"") for value in (one, two, three))
    entry = stored("", BODY)
    entry.head = b"\n".join((b"ETag", one, b"Last-Modified", two, b"Date", three))
    for name, value in ((b"if-none-match", one), (b"if-modified-since", two)):
        assert not_modified(entry, {name: value}) in (True, False)
    for own in ({}, {b"if-range": one}, {b"if-range": two}):
        found = requested_range(entry, {b"range": three, **own})
        assert isinstance(found, NoRange) or 0 <= found.start < found.stop <= len(BODY)


@pytest.mark.parametrize("prefix", [b"", b"bytes", b"bytes=", b"bytes=0-", b"bytes=-", b"bytes=0-1", b'"', b'W/"'])
@pytest.mark.parametrize("unit", [b" ", b"0", b"-", b",", b"=", b"0-1,", b'"', b'W/"', b'"a",'])
def test_linear(prefix: bytes, unit: bytes) -> None:
    """Eight times the input takes about eight times the work."""
    small, large = (prefix + unit * (size // len(unit)) for size in (4000, 32_000))
    entry = stored(f'ETag: "a" | {MODIFIED}')

    def conditional(value: bytes) -> None:
        not_modified(entry, {b"if-none-match": value})
        not_modified(entry, {b"if-modified-since": value})
        requested_range(entry, {b"range": value})
        requested_range(entry, {b"range": b"bytes=0-1", b"if-range": value})

    assert any(growth(conditional, small, large) < 25 for _ in range(10))


def test_the_clock_has_no_part() -> None:
    """Conditions are evaluated against the stored response, independent of the current time."""
    assert time.time() != NOW
    assert not_modified(stored(f"Last-Modified: {at(10**8)}"), said(f"If-Modified-Since: {at(10**8)}"))

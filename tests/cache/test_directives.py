"""Parsing of header fields in any spelling: RFC 9111, 5, RFC 9110, 5.2 and 8, and RFC 9213, as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratewise.cache import CacheConfig
from ratewise.cache import directives as module
from ratewise.cache.directives import (
    age_of,
    date_of,
    delta,
    directives,
    etags,
    gmt,
    joined,
    length_of,
    listed,
    opaque_tag,
    targeted,
)
from ratewise.cache.entry import Policy
from tests.kit.growth import growth
from tests.kit.stored import NOW, at, judged, policy, raw, said

LAST_MODIFIED = f"Last-Modified: {at(-1000)}"
OTHER_DIGITS = "\u0661".encode().decode("latin-1")
"""ARABIC-INDIC DIGIT ONE, as its bytes come over the wire."""


# Cache-Control


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ("", {}),
        (" \t ", {}),
        (",", {}),
        (", ,,", {}),
        ("no-store", {"no-store": None}),
        ("NO-Store", {"no-store": None}),
        (" no-store\t", {"no-store": None}),
        (",no-store,", {"no-store": None}),
        ("no-store,no-cache", {"no-store": None, "no-cache": None}),
        ("no-store , \t no-cache", {"no-store": None, "no-cache": None}),
        ("Max-Age=60, PUBLIC", {"max-age": "60", "public": None}),
        ("max-age=60,,public", {"max-age": "60", "public": None}),
        ("max-age =60", {"max-age": ""}),
        ("max-age= 60", {"max-age": " 60"}),
        ("max-age = 60", {"max-age": ""}),
        ("max-age\t=60", {"max-age": ""}),
        ("max-age=", {"max-age": ""}),
        ("max-age=a=b", {"max-age": "a=b"}),
        ("=60", {}),
        ("=", {}),
        (' ="a, b", x', {"x": None}),
        ('private=""', {"private": ""}),
        ('private="a, b"', {"private": "a, b"}),
        ('private="a, b", no-store', {"private": "a, b", "no-store": None}),
        ('private = "a, b", no-store', {"private": "", "no-store": None}),
        ('no-cache="x"', {"no-cache": "x"}),
        ('x="a, no-store"', {"x": "a, no-store"}),
        ('x="a\\", no-store", y', {"x": 'a", no-store', "y": None}),
        ('x="a\\\\", no-store', {"x": "a\\", "no-store": None}),
        ('x="a\\b"', {"x": "ab"}),
        ('x="a"b', {"x": '"a"b'}),
        ('x="a" "b", no-store', {"x": '"a" "b"', "no-store": None}),
        ('"no-store"', {'"no-store"': None}),
        ('"a, b", no-store', {'"a, b"': None, "no-store": None}),
        ('private="a, no-store', {"private": "a", "no-store": None}),
        ('no-store, private="a', {"private": "a", "no-store": None}),
        ('private="a, b", x="c, no-store', {"private": "a", "b": None, "x": "c", "no-store": None}),
        ('private="a\\", no-store', {"private": "a\\", "no-store": None}),
        ('private=", no-store', {"private": "", "no-store": None}),
        ('no-store"', {"no-store": None}),
        ('"no-store', {"no-store": None}),
        ("no-store, x=\\", {"no-store": None, "x": "\\"}),
        ("x='a, no-store'", {"x": "'a", "no-store'": None}),
        ("foo, bar=1, no-store", {"foo": None, "bar": "1", "no-store": None}),
        ("caf\xe9=1", {"caf\xe9": "1"}),
        ("a=1, A=1", {"a": "1"}),
        ("a=1, A=2", {"a": ""}),
        ("a, a=1", {"a": ""}),
        ("a=1, a", {"a": ""}),
        ("a, a", {"a": None}),
        ("no-store, no-store=x", {"no-store": ""}),
        ("no-store; max-age=5", {"no-store; max-age": "5", "no-store": None}),
        ("max-age=5; Private ;x", {"max-age": "5; Private ;x", "private": None}),
        ("max-age=5;x=no-store", {"max-age": "5;x=no-store"}),
    ],
)
def test_5_2_cache_control(value: str | None, expected: dict[str, str | None]) -> None:
    """RFC 9111, 5.2: names are case-insensitive, arguments may be tokens or quoted; an unclosed quote hides no directive."""
    assert directives(None if value is None else value.encode("latin-1")) == expected


@given(st.text('a="\\ ,\t', max_size=30))
@example('private="a')
@example('x="\\')
def test_5_2_nothing_hides_no_store(text: str) -> None:
    """RFC 9111, 5.2: no-store is found at the beginning and at the end, whatever else the field has."""
    assert "no-store" in directives(f"{text}, no-store".encode())
    assert "no-store" in directives(f"no-store,{text}".encode())


def test_5_2_many_values() -> None:
    """RFC 9111, 5.2: parsed values are remembered, in bounded number, and long ones are not."""
    for number in range(1200):
        assert directives(b"max-age=%d" % number) == {"max-age": str(number)}
        assert listed(b"b, A%d" % number) == (b"a%d" % number, b"b")
        assert date_of({b"date": at(number).encode()}, b"date", NOW) == NOW + number
    assert directives(b"max-age=1") is directives(b"max-age=1")
    long = b"x" * 1001
    assert directives(long) is not directives(long)
    assert all(len(known) <= 1000 and long not in known for known in (module._known, module._dates, module._lists))


def test_5_2_lines() -> None:
    """RFC 9110, 5.2: the lines of one field are one list in their order; different fields are not merged."""
    text = "Cache-Control: a | Vary: x | cache-control: b | VARY: y | CACHE-CONTROL: c"
    assert joined(raw(text)) == {b"cache-control": b"a, b, c", b"vary": b"x, y"}
    assert joined(raw("A: 1 | B: 2")) == {b"a": b"1", b"b": b"2"}
    assert joined([]) == {}
    assert policy("Cache-Control: max-age=60 | Cache-Control: must-revalidate") == Policy(60.0, False, True, checkable=True)
    assert judged("Cache-Control: max-age=60 | Cache-Control: no-store") == "no-store"


# RFC 9213


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", {}),
        (" ", {}),
        ("none", {"none": None}),
        ("max-age=60", {"max-age": "60"}),
        ("max-age=60, no-store", {"max-age": "60", "no-store": None}),
        ("  max-age=60 , no-store  ", {"max-age": "60", "no-store": None}),
        ("max-age=60;x=1;y, no-store;z", {"max-age": "60", "no-store": None}),
        ("max-age=1, max-age=60", {"max-age": "60"}),
        ("no-store=?1", {"no-store": None}),
        ("no-store=?0", {}),
        ("no-store=?0, max-age=5", {"max-age": "5"}),
        ("max-age=-1", {"max-age": "-1"}),
        ("max-age=60.0", {}),
        ('max-age="60"', {}),
        ("max-age=sixty", {}),
        ("max-age=:NjA=:", {}),
        ('max-age="60", s-maxage=5', {"s-maxage": "5"}),
        ('no-cache="set-cookie"', {"no-cache": ""}),
        ('private="a, b", max-age=5', {"private": "", "max-age": "5"}),
        ("no-store=1.5", {"no-store": ""}),
        ("no-store=yes", {"no-store": ""}),
        ("max-age=60,", {}),
        (",max-age=60", {}),
        ("max-age=60,,no-store", {}),
        ("max-age =60", {}),
        ("max-age= 60", {}),
        ("max-age=", {}),
        ("MAX-AGE=60", {}),
        ("max-age=60 no-store", {}),
        ("max-age=60, &&&&&", {}),
        ('private="a', {}),
        ("max-age=9999999999999999", {}),
        ("\tmax-age=60", {}),
        ("x=\xe9", {}),
        ('no-store, ext=(a "b)");x=1', {"no-store": None}),
        ("private=(a b)", {"private": ""}),
        ("private=(a", {}),
    ],
)
def test_9213_2_1_targeted(value: str, expected: dict[str, str | None]) -> None:
    """RFC 9213, 2.1: a targeted field is a Dictionary: an empty or malformed one is ignored, a wrong type permits nothing."""
    assert targeted(value.encode("latin-1")) == expected
    assert targeted(None) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B: max-age=2 | A: max-age=1 | Cache-Control: max-age=3", 1),
        ("B: max-age=2 | Cache-Control: no-store", 2),
        (f"B: max-age=2 | Expires: {at(9)}", 2),
        (f"A: none | B: max-age=2 | Expires: {at(9)} | Cache-Control: max-age=3 | {LAST_MODIFIED}", 100),
        ("A: | B: max-age=2", 2),
        ("A: max-age=1, | B: max-age=2", 2),
        ('A: max-age="1" | B: max-age=2', 2),
        ("A: max-age=1 | A: max-age=5", 5),
        ("A: max-age=-1 | B: max-age=2", 0),
        ("A: | B: & | Cache-Control: max-age=3", 3),
        (f"A: | B: & | Expires: {at(9)}", 9),
        ("C: max-age=1 | Cache-Control: max-age=3", 3),
        ("A: max-age=60, s-maxage=5", 60),
        ("A: no-store | Cache-Control: max-age=3", "no-store"),
        ('A: private="x" | Cache-Control: public, max-age=3', 0),
    ],
)
def test_9213_2_2_target_list(text: str, expected: float | str) -> None:
    """RFC 9213, 2.2: the first valid, non-empty field of the list applies; Cache-Control and Expires only without one."""
    config = CacheConfig(targeted=["A", "B"])
    if isinstance(expected, str):
        assert judged(text, config) == expected
    else:
        assert policy(text, config).lifetime == expected
    if text.startswith("A: private"):
        assert judged(text, CacheConfig(shared=True, targeted=["A"])) == "private"
    if "s-maxage" in text:
        assert policy(text, CacheConfig(shared=True, targeted=["A"])).lifetime == 5


# Other fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"a"', ['"a"']),
        ('W/"a"', ['W/"a"']),
        ('"a", W/"b","c"', ['"a"', 'W/"b"', '"c"']),
        ('"a,b", "c"', ['"a,b"', '"c"']),
        ('""', ['""']),
        ('"\xe9"', ['"\xe9"']),
        ('"a\\", "b"', ['"a\\"', '"b"']),  # a backslash has no special meaning
        (',, "a" ,', ['"a"']),
        ("*", ["*"]),
        (" * ", ["*"]),
        ("abc", ["abc"]),
        ("a, b", ["a", "b"]),
        ('"a b"', ['"a b"']),
        ("", []),
        (" , ", []),
    ],
)
def test_8_8_3_entity_tags(value: str, expected: list[str]) -> None:
    """RFC 9110, 8.8.3: tags may have commas and be weak; a malformed tag is compared literally."""
    assert etags(value.encode("latin-1")) == [tag.encode("latin-1") for tag in expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ()), ("", ()), (" , ", ()), ("B,a", ("a", "b")), (" a ,, A\t, b", ("a", "b")), ("*", ("*",)), ("a, *", ("*", "a"))],
)
def test_lists(value: str | None, expected: tuple[str, ...]) -> None:
    """A list of tokens is read in lower case, sorted, without duplicates."""
    assert listed(None if value is None else value.encode()) == tuple(map(str.encode, expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("Content-Length: 0", 0),
        ("Content-Length: 10", 10),
        ("Content-Length:  10 ", 10),
        ("Content-Length: 999999999999999999", 10**18 - 1),
        ("Content-Length: 1000000000000000000", None),
        ("Content-Length: 10 | Content-Length: 10", None),
        ("Content-Length: -1", None),
        ("Content-Length: +1", None),
        ("Content-Length: 1.0", None),
        ("Content-Length: x", None),
        (f"Content-Length: {OTHER_DIGITS}", None),
    ],
)
def test_8_6_content_length(text: str, expected: int | None) -> None:
    """RFC 9110, 8.6: a length consists of ASCII digits only."""
    assert length_of(said(text)) == expected


# Arbitrary input


SHAPES: dict[str, Callable[[bytes], Any]] = {
    "directives": directives,
    "targeted": targeted,
    "delta": lambda value: delta(directives(value), "a"),
    "date_of": lambda value: date_of({b"date": value}, b"date", NOW),
    "gmt": lambda value: gmt(value, NOW),
    "age_of": lambda value: age_of({b"age": value}),
    "etags": etags,
    "opaque_tag": opaque_tag,
    "listed": listed,
    "length_of": lambda value: length_of({b"content-length": value}),
    "joined": lambda value: joined([(part, part.lower(), part) for part in value.split(b",")]),
    "storable": lambda value: judged(f"Cache-Control: {value.decode('latin-1').replace(' | ', '')}"),
}
VALUES = st.binary(max_size=60) | st.text('aA1=", \\\t;?:-*W/&\xe9\xb2', max_size=60).map(lambda text: text.encode("latin-1"))


@pytest.mark.parametrize("shape", SHAPES)
@given(VALUES)
def test_nothing_raises(shape: str, value: bytes) -> None:
    """For arbitrary bytes every parser returns a value of its type."""
    SHAPES[shape](value)


@pytest.mark.parametrize(
    ("prefix", "unit"),
    [
        (b'"', b'\\"'),
        (b'a="', b"\\"),
        (b'a="', b'\\"a='),
        (b"", b'"'),
        (b"", b'"a'),
        (b'a="', b"a"),
        (b"", b'a="b",'),
        (b"", b","),
        (b"", b", "),
        (b"", b" "),
        (b"a", b" "),
        (b"", b"a,"),
        (b"", b"="),
        (b"", b"a="),
        (b"", b"9"),
        (b"a=", b"9"),
        (b"a=", b"0"),
        (b"a=1", b"; "),
        (b"a=1", b";a=1"),
        (b'a="', b" "),
        (b"a=:", b"A"),
        (b"", b"a=1, "),
        (b"", b"W/"),
        (b"", b'W/"'),
        (b"Fri, ", b"1"),
    ],
)
def test_linear(prefix: bytes, unit: bytes) -> None:
    """Eight times the input takes about eight times the work in each of these functions."""
    small, large = (prefix + unit * (size // len(unit)) for size in (4000, 32_000))
    for name, function in SHAPES.items():
        assert any(growth(function, small, large) < 25 for _ in range(10)), name

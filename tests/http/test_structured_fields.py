"""RateLimit compared with another parser of structured fields (RFC 9651)."""

from __future__ import annotations

import base64
import re
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ratewise._http.rate_limit_headers import rate_limit_fields
from tests.http.telling import NOW

texts = st.text(st.sampled_from('ab "\\,;=r1'), max_size=4)
quoted = texts.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
tokens = st.from_regex(r"[a-z*][a-z0-9:/*!%.-]{0,3}", fullmatch=True)
numbers = st.integers(-(10**16), 10**16).map(str) | st.integers(0, 99).map(str)
decimals = st.decimals(-(10**13), 10**13, places=2).map(str)
binaries = st.binary(max_size=4).map(lambda raw: f":{base64.b64encode(raw).decode()}:")
others = st.sampled_from(["?0", "?1", "@5", '%"a"', "()", "(1 2)", "", "=", "1.", "A"])
bare = st.one_of(quoted, tokens, numbers, decimals, binaries, others)
keys = st.sampled_from(["r", "t", "pk", "x", "limit", "*a", "a.b"])
parameter = st.one_of(
    st.integers(0, 99).map("r={}".format),
    st.integers(0, 99).map("t={}".format),
    binaries.map("pk={}".format),
    st.tuples(keys, bare).map("=".join),
    keys,
)
member = st.tuples(quoted | tokens | bare, st.lists(parameter, max_size=3)).map(lambda parts: ";".join([parts[0], *parts[1]]))
good = st.tuples(quoted | tokens, st.integers(0, 99)).map(lambda parts: f"{parts[0]};r={parts[1]};t=5")
pair = st.tuples(st.sampled_from(["limit", "remaining", "reset", "x"]), st.integers(0, 99).map(str) | bare).map("=".join)
lists = st.lists(good | member, min_size=1, max_size=4).map(", ".join)
pairs = st.lists(pair, min_size=1, max_size=4).map(", ".join)
mutations = st.lists(
    st.tuples(st.integers(0, 80), st.sampled_from([0, 1]), st.sampled_from(["", *string.printable[:-5], "\xe9", " ,", "; "])),
    max_size=3,
)


def mutated(text: str, changes: list[tuple[int, int, str]]) -> str:
    for at, cut, added in changes:
        at %= len(text) + 1
        text = text[:at] + added + text[at + cut :]
    return text.strip(" \t")


def plain(value: Any) -> Any:
    """A bare item as a Python value; raises ValueError for types that no rate-limit field has."""
    if isinstance(value, (bool, int, bytes)):
        return value
    if isinstance(value, (float, Decimal)):
        return float(value)
    if type(value).__name__ in ("str", "Token"):
        return str(value)
    raise ValueError(value)


def split(member: Any) -> tuple[Any, dict[str, Any]]:
    value, parameters = member if isinstance(member, tuple) else (member, {})
    return plain(value), {key: plain(each) for key, each in parameters.items()}


def expected_from(text: str, sf: Any) -> list[tuple[Any, ...]]:
    """The quotas of a RateLimit field, parsed with http_sf; empty if that refuses the field."""
    try:
        if re.match(r"[a-z*][a-z0-9_.*-]*=", text):
            flat: dict[str, Any] = {}
            for key, each in sf.parse(text.encode("latin-1"), tltype="dictionary").items():
                flat[key], parameters = split(each)
                flat.update(parameters)
            told_of = [flat.get(key) for key in ("limit", "remaining", "reset")]
            assert all(each is None or (type(each) is int and each >= 0) for each in told_of)
            assume((told_of[2] or 0) < 1e9)  # larger values are instants
            enough = told_of[0] is not None or told_of[1] is not None or told_of[2]
            return [("", *told_of)] if enough else []
        found: dict[tuple[str, bytes], tuple[Any, ...]] = {}
        for item, parameters in map(split, sf.parse(text.encode("latin-1"), tltype="list")):
            r, t, pk = parameters.get("r"), parameters.get("t", 0), parameters.get("pk", b"")
            assert isinstance(item, str)
            assert isinstance(pk, bytes)
            assert all(type(each) is int and each >= 0 for each in (r, t))
            assert (item, pk) not in found
            found[item, pk] = item, pk, r, t if "t" in parameters else None
        return list(found.values())
    except (AssertionError, ValueError, KeyError, IndexError):
        return []


@pytest.fixture(scope="module")
def sf() -> Any:
    return pytest.importorskip("http_sf", minversion="1.5")  # older versions accept "1." as a number


@given(text=lists | pairs, changes=mutations)
@example(text='"a";r=1;pk=:YQ:', changes=[])
@example(text="a;r=1;x=1.", changes=[])
@example(text="a;r=1;x=1.2345", changes=[])
@example(text="a;r=1;x=1234567890123.1", changes=[])
@example(text='a;r=1;x="', changes=[])
def test_structured_fields(sf: Any, text: str, changes: list[tuple[int, int, str]]) -> None:
    """RateLimit is parsed as http_sf parses it, and refused if http_sf refuses it."""
    text = mutated(text, changes)
    assume(not re.search(r'=(@|%"|\().*=', text))  # unsupported types are refused even if another value replaces them
    found = rate_limit_fields([(b"ratelimit", b"ratelimit", text.encode("latin-1"))], NOW).quotas
    expected = expected_from(text, sf)
    if expected and len(expected[0]) == 4 and re.match(r"[a-z*][a-z0-9_.*-]*=", text):
        assert [(each.name, each.limit, each.remaining, each.reset) for each in found] == expected
    else:
        assert [(*partition(each.name, want), each.remaining, each.reset) for each, want in zip(found, expected)] == expected
        assert len(found) == len(expected)


def partition(name: str, want: tuple[Any, ...]) -> tuple[str, bytes]:
    """A quota's name without its partition key, and the bytes of that key."""
    if not want[1]:
        return name, b""
    name, _, key = name.rpartition(";pk=")
    return name, base64.b64decode(key.rstrip("=") + "=" * (-len(key.rstrip("=")) % 4))

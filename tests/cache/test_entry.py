"""Serialization of stored responses: any change to the bytes is detected."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratewise.cache import entry
from ratewise.cache.entry import MAGIC, Entry, Policy, decode, encode, pack, unpack
from ratewise.cache.key import SIZE
from tests.cache.keys import KEYS, SECRET, URL
from tests.kit.growth import growth
from tests.kit.stored import NOW, raw, stored

KEY = b"k" * SIZE
NAMES = st.binary(min_size=1, max_size=6).filter(lambda name: b"\n" not in name)
LISTS = st.lists(st.tuples(NAMES, NAMES | st.just(b"")), max_size=4)
ENTRIES = st.builds(
    lambda status, fields, body, times, policy, vary, head_only: Entry(
        status,
        pack([(name, name.lower(), value) for name, value in fields]),
        body,
        born=times[0],
        received=times[1],
        policy=Policy(*policy),
        vary=vary,
        selector=bytes(SIZE) if vary else b"",
        head_only=head_only,
    ),
    st.integers(200, 999),
    LISTS,
    st.binary(max_size=20),
    st.tuples(st.floats(0, 1e11), st.floats(0, 1e11)),
    st.tuples(st.floats(0, 2**31), st.booleans(), st.booleans(), st.floats(0, 2**31), st.floats(0, 2**31), st.booleans()),
    st.lists(NAMES, max_size=3).map(tuple),
    st.booleans(),
)


def told(found: Entry) -> list[object]:
    return [getattr(found, name) for name in Entry.__slots__]


@given(st.lists(ENTRIES, max_size=3))
def test_round_trip(entries: list[Entry]) -> None:
    """Entries are read back exactly as they were written."""
    found = decode(encode(entries, KEY, SECRET), KEY, SECRET)
    assert found is not None
    assert list(map(told, found)) == list(map(told, entries))


FULL = stored(
    'ETag: "a" | A: 1 | A: 2',
    b"body",
    vary=(b"accept", b"x"),
    selector=b"s" * SIZE,
    policy=Policy(1.5, True, True, 2.5, 3.5, True),
)
VALUE = encode([FULL, stored()], KEY, SECRET)


def test_every_bit() -> None:
    """With any single bit changed nothing is read."""
    assert decode(VALUE, KEY, SECRET) is not None
    for place in range(len(VALUE)):
        for bit in range(8):
            changed = bytearray(VALUE)
            changed[place] ^= 1 << bit
            assert decode(bytes(changed), KEY, SECRET) is None


def test_cut_short_or_added_to() -> None:
    """Bytes cut off at either end, added, or of only one of the entries read as nothing."""
    for length in range(len(VALUE)):
        assert decode(VALUE[:length], KEY, SECRET) is None
        assert decode(VALUE[length + 1 :], KEY, SECRET) is None
    for more in (b"\0", VALUE, MAGIC, b" "):
        assert decode(VALUE + more, KEY, SECRET) is None
        assert decode(more + VALUE, KEY, SECRET) is None


def test_another_key() -> None:
    """Under another key or secret, with another version, or as another type nothing is read."""
    for other in (b"l" * SIZE, b"", KEY[:-1], KEY + b"k"):
        assert decode(VALUE, other, SECRET) is None
    for secret in (b"t" * 32, b"s" * 31, b""):
        assert decode(VALUE, KEY, secret) is None
    for value in (
        None,
        "",
        VALUE.decode("latin-1"),
        1,
        bytearray(VALUE),
        memoryview(VALUE),
        [VALUE],
        b"",
        MAGIC,
        b"RWC0" + VALUE[4:],
    ):
        assert decode(value, KEY, SECRET) is None


@given(st.binary(max_size=200))
def test_any_bytes(value: bytes) -> None:
    """Arbitrary bytes read as nothing."""
    assert decode(value, KEY, SECRET) is None
    assert decode(MAGIC + value, KEY, SECRET) is None


def test_nothing_stored() -> None:
    """An empty list of entries is written and read back."""
    assert decode(encode([], KEY, SECRET), KEY, SECRET) == ()


def test_large() -> None:
    """A long Vary, head and body are written and read back."""
    vary = tuple(b"x%d" % number for number in range(20_000))
    large = stored(f"A: {'x' * 100_000}", b"x" * 1_000_000, vary=vary, selector=bytes(SIZE))
    found = decode(encode([large], KEY, SECRET), KEY, SECRET)
    assert found is not None
    assert told(found[0]) == told(large)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.binary(max_size=3) | st.sampled_from([b"\n", b"A\n"]), st.binary(max_size=3)), max_size=5))
def test_pack(pairs: list[tuple[bytes, bytes]]) -> None:
    """`FieldValues` are unpacked as they were packed, except one that could forge another field."""
    fields = [(name, name.lower(), value) for name, value in pairs]
    honest = tuple(field for field in fields if b"\n" not in field[0] + field[2])
    assert unpack(pack(fields)) == honest
    assert unpack(pack(fields, {b"a"})) == tuple(field for field in honest if field[1] != b"a")


def test_pack_forged() -> None:
    """A line break in a value adds no field."""
    fields = [(b"A", b"a", b"1\nSet-Cookie\nx"), (b"B", b"b", b"2"), (b"C\nD", b"c\nd", b"3")]
    assert unpack(pack(fields)) == ((b"B", b"b", b"2"),)
    assert unpack(pack([])) == ()


def test_unpacked_is_bounded() -> None:
    """Unpacked heads are remembered, in bounded number."""
    for number in range(1100):
        assert unpack(b"A\n%d" % number) == ((b"A", b"a", b"%d" % number),)
    assert unpack(b"A\n1") is unpack(b"A\n1")
    assert len(entry._unpacked) <= 1000


def test_entry() -> None:
    """An entry returns a field by name, its lines joined, and its size."""
    found = stored("A: 1 | B: 2 | a: 3 | C:", b"body")
    assert (found.get(b"a"), found.get(b"b"), found.get(b"c"), found.get(b"d")) == (b"1, 3", b"2", b"", None)
    assert found.fields == tuple(raw("A: 1 | B: 2 | a: 3 | C:"))
    assert found.size == len(found.head) + 4
    assert (found.born, found.received, found.status, found.vary, found.selector) == (NOW, NOW, 200, (), b"")


@pytest.mark.parametrize("unit", [b" ", b",", b", ", b'"', b"a", b"a,", b"a=", b'a="', b'a="\\"', b"\\", b"\0", b"\1"])
def test_linear_values(unit: bytes) -> None:
    """The work for a field is linear in its length, for credentials and Vary values, too."""
    small, large = (unit * (size // len(unit)) for size in (4000, 32_000))

    def keyed(value: bytes) -> None:
        KEYS.key(URL, {b"authorization": b"Digest " + value})
        KEYS.key(URL, {b"cookie": value, b"host": value})
        KEYS.selector((b"cookie",), {b"cookie": value})
        decode(encode([stored("", value)], KEY, SECRET), KEY, SECRET)
        unpack(pack([(b"a", b"a", value)] * 2))

    assert any(growth(keyed, small, large) < 25 for _ in range(10))

"""What a response is stored under, which stored one a request selects, and how it is written: keys, Vary, bytes, settings."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratewise._adapter.flavour import SyncFlavour
from ratewise._httpx.base import LIBRARY
from ratewise.cache import CacheConfig, entry, key
from ratewise.cache.directives import listed
from ratewise.cache.entry import MAGIC, Entry, Policy, decode, encode, pack, unpack
from ratewise.cache.key import SIZE, Keys, _framed, _normal
from tests.kit.growth import growth
from tests.kit.stored import NOW, raw, said, stored

SECRET = b"s" * 32
KEYS = Keys(SECRET, "space", None)
URL = "https://api.example.com/a"


def same(one: str, other: str, keys: Keys = KEYS, target: str = URL) -> bool:
    """Requests with these fields have one key."""
    return keys.key(target, said(one)) == keys.key(target, said(other))


def selects(vary: str, one: str, other: str) -> bool:
    """What was stored for the one request answers the other too."""
    names = listed(vary.encode())
    return KEYS.selector(names, said(one)) == KEYS.selector(names, said(other))


# Keys


PARTS = st.lists(st.binary(max_size=4) | st.text("\0\1\2a", max_size=4).map(str.encode), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_framed(one: list[bytes], other: list[bytes]) -> None:
    """No two lists of parts are spelled alike, whatever bytes they have."""
    assert (_framed(one) == _framed(other)) is (one == other)


@given(PARTS, PARTS)
def test_framed_in_sequence(one: list[bytes], other: list[bytes]) -> None:
    """Nor can what stands between two lists be moved from the one to the other."""
    pieces = {(_framed([*one[:cut], b""]), _framed(other)) for cut in range(len(one) + 1)}
    assert len({begun + rest for begun, rest in pieces}) == len(pieces)


TEXT = st.text("\0\1a/?=%41\xe9", max_size=5)
TRIPLES = st.tuples(
    TEXT, st.binary(max_size=4), st.dictionaries(st.sampled_from([b"authorization", b"cookie"]), st.binary(max_size=4))
)


@given(TRIPLES, TRIPLES)
def test_keys_do_not_collide(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Another target, host or credential has another key."""
    keys = [KEYS.key(target, {b"host": host, **credentials}) for target, host, credentials in (one, other)]
    same_target = _normal(one[0]) == _normal(other[0])
    assert (keys[0] == keys[1]) is (same_target and one[1:] == other[1:])
    assert all(len(found) == SIZE for found in keys)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "b"),
        ("", "a"),
        ("a", "a\0"),
        ("a\0", "a\1\2"),
        ("a\1", "a\1\1"),
        ("\nrfc9111\nprivate", "\nrfc9111\nshared"),
        ("\ud800", "\ud801"),
    ],
)
def test_spaces(one: str, other: str) -> None:
    """Another namespace, kind of cache or secret has other keys, and none can be spelled by a longer target."""
    keys = [Keys(SECRET, space, None).key(URL, {}) for space in (one, other)]
    assert keys[0] != keys[1]
    assert keys[0] == Keys(SECRET, one, None).key(URL, {})
    assert keys[0] != Keys(b"t" * 32, one, None).key(URL, {})
    assert Keys(SECRET, "a", None).key("bc", {}) != Keys(SECRET, "ab", None).key("c", {})
    assert Keys(SECRET, "a", None).key("c", {}) != Keys(SECRET, "a\0c", None).key("", {})


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/%7euser", "/~user"),
        ("/%7Euser", "/~user"),
        ("/%41%5a%30%2d%2E%5f", "/AZ0-._"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb", "/a%2Fb"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%25%34%31", "/%2541"),
        ("/%2541", "/%2541"),
        ("/%%41", "/%A"),
        ("/%4", "/%4"),
        ("/%zz", "/%zz"),
        ("/%", "/%"),
        ("/%\u0664\u0661", "/%\u0664\u0661"),
        ("/?a=%20b%2B", "/?a=%20b%2B"),
        ("/?q=%3f", "/?q=%3F"),
    ],
)
def test_6_2_2_percent_normalised(target: str, expected: str) -> None:
    """RFC 3986: escapes are in upper case, and none is where none is needed; nothing is decoded twice."""
    assert _normal(target) == expected
    assert KEYS.key(target, {}) == KEYS.key(expected, {})


@pytest.mark.parametrize(
    ("one", "other"), [("/a%2Fb", "/a/b"), ("/a%3Fb", "/a?b"), ("/a%25", "/a%"), ("/a%20", "/a+"), ("/a", "/A")]
)
def test_6_2_2_not_the_same(one: str, other: str) -> None:
    """What an escape keeps from having a meaning is another target."""
    assert KEYS.key(one, {}) != KEYS.key(other, {})


def test_targets() -> None:
    """Userinfo and fragment have no part in the target, a default port neither; the query has, with its order."""
    target = SyncFlavour(LIBRARY).target
    plain = target(httpx.URL(URL))
    for url in ("https://u:p@api.example.com/a", f"{URL}#part", "https://api.example.com:443/a", "HTTPS://API.example.com/a"):
        assert target(httpx.URL(url)) == plain
    others = [
        f"{URL}?",
        f"{URL}?a=1&b=2",
        f"{URL}?b=2&a=1",
        f"{URL}/",
        "http://api.example.com/a",
        "https://api.example.com:444/a",
    ]
    assert len({target(httpx.URL(url)) for url in [URL, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("", "", True),
        ("Accept: a", "Accept: b", True),
        ("Host: a", "Host: b", False),
        ("Host: a", "", False),
        ("Authorization: Bearer a", "Authorization: Bearer a", True),
        ("Authorization: Bearer a", "Authorization: Bearer b", False),
        ("Authorization: Bearer a", "", False),
        ("Authorization:", "", False),
        ("Authorization: Bearer a==", "Authorization: Bearer b==", False),
        ("Cookie: a=1", "Cookie: a=2", False),
        ("Cookie: a=1", "X-Api-Key: a=1", False),
        ("Cookie: a | X-Api-Key: b", "X-Api-Key: b | Cookie: a", True),
        ("Cookie: a | X-Api-Key: b", "Cookie: b | X-Api-Key: a", False),
        ("Cookie: a | Cookie: b", "Cookie: a, b", True),
        ("X-My-Token: a", "X-My-Token: b", False),
        ("Proxy-Authorization: Basic a", "Proxy-Authorization: Basic b", False),
        ('Authorization: Digest username="u", nonce="1"', 'Authorization: Digest username="u", nonce="2"', True),
        ('Authorization: Digest username="u", nonce="1"', 'Authorization: Digest username="v", nonce="1"', False),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=A/1/r, Signature=1",
            "Authorization: AWS4-HMAC-SHA256 Credential=A/2/r, Signature=2",
            True,
        ),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=A/1/r, Signature=1",
            "Authorization: AWS4-HMAC-SHA256 Credential=B/1/r, Signature=1",
            False,
        ),
        ('Authorization: Token token="a"', 'Authorization: Token token="b"', False),  # no name in it
        ("Authorization: Bearer a=b", "Authorization: Bearer a=c", False),
        ("Authorization: SharedAccessSignature sr=a&sig=1", "Authorization: SharedAccessSignature sr=a&sig=2", False),
        ("Authorization: Digest username*=UTF-8''a, nonce=1", "Authorization: Digest username*=UTF-8''b, nonce=1", False),
        ("Authorization: OAuth a", "Authorization: OAuth b", False),  # it is no signature but a token
        ("Authorization: OAuth a==", "Authorization: OAuth b==", False),
        ("Authorization: OAuth a, x=1", "Authorization: OAuth b, x=1", False),
        ("Authorization: Digest nonce=1", "Authorization: Digest nonce=2", False),  # it tells no user
        ("Authorization: Signature", "Authorization: Digest", False),
        ('Authorization: Digest username="C/u", nonce=1', 'Authorization: Digest username="C/v", nonce=1', False),
        ('Authorization: Digest username="a,u", nonce=1', 'Authorization: Digest username="a,v", nonce=1', False),
        ('Authorization: Digest username="a\\"u", nonce=1', 'Authorization: Digest username="a\\"v", nonce=1', False),
        ('Authorization: Digest username="u", realm="a"', 'Authorization: Digest username="u", realm="b"', False),
        ('Authorization: DIGEST username="u", nc=1', 'Authorization: Digest USERNAME="u", nc=2', True),
        ('Authorization: Hawk id="a", ts="1", mac="1"', 'Authorization: Hawk id="a", ts="2", mac="2"', True),
        ('Authorization: Custom id="a", key="1"', 'Authorization: Custom id="a", key="2"', False),
        ('Cookie: Digest username="u", nonce="1"', 'Cookie: Digest username="u", nonce="2"', False),  # it signs nothing
    ],
)
def test_11_6_credentials_apart(one: str, other: str, expected: bool) -> None:
    """Users are told apart by every credential; one that is signed anew each time, by scheme and user."""
    assert same(one, other) is expected


def test_partition() -> None:
    """`partition` says which fields tell users apart, and no others do."""
    keys = Keys(SECRET, "", frozenset({b"x-user", b"x-team"}))
    assert not same("X-User: a", "X-User: b", keys)
    assert not same("X-User: a", "X-Team: a", keys)
    assert not same("X-User: a", "", keys)
    assert same("X-User: a | X-Team: b", "X-Team: b | X-User: a", keys)
    assert same("Authorization: a", "Authorization: b", keys)
    assert same("Authorization: a", "", Keys(SECRET, "", frozenset()))


def test_known_names_are_bounded() -> None:
    """Whether a field is a credential is remembered for so many names, and then found out again."""
    for number in range(1100):
        assert same(f"X-A{number}: a", f"X-A{number}: b")
        assert not same(f"X-A{number}-Token: a", f"X-A{number}-Token: b")
    assert len(key._secret) <= 1000


# Vary


@pytest.mark.parametrize(
    ("vary", "one", "other", "expected"),
    [
        ("", "A: 1", "A: 2", True),
        ("A", "A: 1", "A: 1", True),
        ("A", "A: 1", "A: 2", False),
        ("A", "A: 1 | B: 1", "A: 1 | B: 2", True),
        ("a", "A: 1", "a: 1", True),
        ("A, B", "A: 1 | B: 2", "B: 2 | A: 1", True),
        ("A, B", "A: 1 | B: 2", "A: 2 | B: 1", False),
        ("A, B", "A: 1", "B: 1", False),
        ("A", "", "", True),
        ("A", "A: 1", "", False),
        ("A", "A:", "", False),  # absent only matches absent
        ("A", "A:", "A:", True),
        ("A", "A: =", "A:", False),
        ("A", "A: 1 | A: 2", "A: 1, 2", True),
        ("A", "A: 1,2", "A: 1 ,\t2", True),
        ("A", "A: 1, 2", "A: 2, 1", False),
        ("A", "A: x", "A: X", False),
        ("A", "A: 1 2", "A: 12", False),
        ("A", 'A: "x, y"', 'A: "x,y"', False),  # within quotes a blank may mean something
        ("Accept", 'Accept: a/b;p="X"', 'Accept: a/b;p="x"', False),
        ("Accept", "Accept: A/B;q=1", "Accept: a/b;q=1", True),
        ("Accept-Language", "Accept-Language: de, EN", "Accept-Language: DE,en", True),
        ("Accept-Language", "Accept-Language: de", "Accept-Language: de-at", False),
        ("Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: GZIP", True),
        ("Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: identity", False),
        ("Accept-Charset", "Accept-Charset: UTF-8", "Accept-Charset: utf-8", True),
        ("Accept-Encoding, User-Agent", "Accept-Encoding: gzip | User-Agent: a", "Accept-Encoding: GZIP | User-Agent: A", False),
        ("Cookie", "Cookie: a=1", "Cookie: a=2", False),
        ("A", "A: \0", "A: \1\2", False),
    ],
)
def test_4_1_vary(vary: str, one: str, other: str, expected: bool) -> None:
    """Requests match if the fields that a response varies by are alike, but for what has no meaning."""
    assert selects(vary, one, other) is expected
    assert selects(vary, one, one)


def test_4_1_selectors_are_bounded() -> None:
    """Selectors are remembered for fields that are no secrets, and not without end."""
    keys = Keys(SECRET, "", None)
    for number in range(1100):
        asked = {b"accept": b"a%d" % number, b"cookie": b"c%d" % number}
        assert keys.selector((b"accept",), asked) == KEYS.selector((b"accept",), asked)
        keys.selector((b"cookie",), asked)
        keys.selector((b"accept", b"cookie"), asked)
    assert len(keys._selectors) <= 1000
    assert all(names == (b"accept",) for names, *_ in keys._selectors)
    assert keys.selector((), {b"a": b"1"}) == b""
    assert keys.selector((b"a",), {}) != Keys(b"t" * 32, "", None).selector((b"a",), {})


def test_4_selection() -> None:
    """The first that matches is taken, which is the latest; what answers HEAD alone answers no GET."""

    def of(text: str, head_only: bool = False, vary: str = "Accept-Language") -> Entry:
        names = listed(vary.encode())
        return stored(vary=names, selector=KEYS.selector(names, said(text)), head_only=head_only)

    german, english, none = of("Accept-Language: de"), of("Accept-Language: en"), of("")
    head, plain = of("Accept-Language: en", True), stored()
    entries = (head, german, english, none, of("Accept-Language: de"))
    assert KEYS.selected(entries, said("Accept-Language: de"), "GET") is german
    assert KEYS.selected(entries, said("Accept-Language: DE"), "HEAD") is german
    assert KEYS.selected(entries, said("accept-language: en"), "GET") is english
    assert KEYS.selected(entries, said("accept-language: en"), "HEAD") is head
    assert KEYS.selected(entries, said(""), "GET") is none
    assert KEYS.selected(entries, said("Accept-Language: fr"), "GET") is None
    assert KEYS.selected((*entries, plain), said("Accept-Language: fr"), "GET") is plain
    assert KEYS.selected((plain, *entries), said("Accept-Language: de"), "GET") is plain
    assert KEYS.selected((), {}, "GET") is None


# As bytes


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
    """What is written is read again, to the last bit."""
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
    """With any single bit changed it is nothing."""
    assert decode(VALUE, KEY, SECRET) is not None
    for place in range(len(VALUE)):
        for bit in range(8):
            changed = bytearray(VALUE)
            changed[place] ^= 1 << bit
            assert decode(bytes(changed), KEY, SECRET) is None


def test_cut_short_or_added_to() -> None:
    """Cut short at either end or added to it is nothing, and neither is one entry without the other."""
    for length in range(len(VALUE)):
        assert decode(VALUE[:length], KEY, SECRET) is None
        assert decode(VALUE[length + 1 :], KEY, SECRET) is None
    for more in (b"\0", VALUE, MAGIC, b" "):
        assert decode(VALUE + more, KEY, SECRET) is None
        assert decode(more + VALUE, KEY, SECRET) is None


def test_another_key() -> None:
    """Under another key or secret, of another version or as another type it is nothing."""
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
    """Nothing that was not written here is read."""
    assert decode(value, KEY, SECRET) is None
    assert decode(MAGIC + value, KEY, SECRET) is None


def test_nothing_stored() -> None:
    """No entries are written and read as well."""
    assert decode(encode([], KEY, SECRET), KEY, SECRET) == ()


def test_large() -> None:
    """A long Vary, head and body are written and read."""
    vary = tuple(b"x%d" % number for number in range(20_000))
    large = stored(f"A: {'x' * 100_000}", b"x" * 1_000_000, vary=vary, selector=bytes(SIZE))
    found = decode(encode([large], KEY, SECRET), KEY, SECRET)
    assert found is not None
    assert told(found[0]) == told(large)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.binary(max_size=3) | st.sampled_from([b"\n", b"A\n"]), st.binary(max_size=3)), max_size=5))
def test_pack(pairs: list[tuple[bytes, bytes]]) -> None:
    """Fields are unpacked as they were packed, but for one that could forge another."""
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
    """Heads are unpacked once, and remembered without getting out of hand."""
    for number in range(1100):
        assert unpack(b"A\n%d" % number) == ((b"A", b"a", b"%d" % number),)
    assert unpack(b"A\n1") is unpack(b"A\n1")
    assert len(entry._unpacked) <= 1000


def test_entry() -> None:
    """An entry tells a field by name, its lines joined, and what it takes."""
    found = stored("A: 1 | B: 2 | a: 3 | C:", b"body")
    assert (found.get(b"a"), found.get(b"b"), found.get(b"c"), found.get(b"d")) == (b"1, 3", b"2", b"", None)
    assert found.fields == tuple(raw("A: 1 | B: 2 | a: 3 | C:"))
    assert found.size == len(found.head) + 4
    assert (found.born, found.received, found.status, found.vary, found.selector) == (NOW, NOW, 200, (), b"")


@pytest.mark.parametrize("unit", ["%", "%4", "%41", "%2f", "a", "%%41", "\x00"])
def test_linear_targets(unit: str) -> None:
    """Eight times the target takes about eight times the work."""
    small, large = ((unit * (size // len(unit))).encode() for size in (4000, 32_000))
    assert any(growth(lambda value: KEYS.key(value.decode(), {}), small, large) < 25 for _ in range(10))


@pytest.mark.parametrize("unit", [b" ", b",", b", ", b'"', b"a", b"a,", b"a=", b'a="', b'a="\\"', b"\\", b"\0", b"\1"])
def test_linear_values(unit: bytes) -> None:
    """Nor does a field take more, be it a credential or what a response varies by."""
    small, large = (unit * (size // len(unit)) for size in (4000, 32_000))

    def keyed(value: bytes) -> None:
        KEYS.key(URL, {b"authorization": b"Digest " + value})
        KEYS.key(URL, {b"cookie": value, b"host": value})
        KEYS.selector((b"cookie",), {b"cookie": value})
        decode(encode([stored("", value)], KEY, SECRET), KEY, SECRET)
        unpack(pack([(b"a", b"a", value)] * 2))

    assert any(growth(keyed, small, large) < 25 for _ in range(10))


# Settings


def test_config() -> None:
    """The defaults are a private cache's; names of fields count in any case, in the order given."""
    config = CacheConfig()
    assert (config.mode, config.shared, config.partition, config.targeted) == ("rfc9111", False, None, ())
    assert (config.stale_while_revalidate, config.stale_if_error, config.keep_stale) == (0.0, 0.0, 86400.0)
    assert (config.max_body_size, config.max_wait) == (5 * 1024 * 1024, 10.0)
    config = CacheConfig("force", partition=["X-B", "X-A"], targeted=iter(["B-Cache-Control", "A-Cache-Control"]))
    assert (config.partition, config.targeted) == ({b"x-a", b"x-b"}, (b"b-cache-control", b"a-cache-control"))
    assert repr(config) == "CacheConfig(mode='force', shared=False)"
    assert CacheConfig(partition=()).partition == frozenset()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "FORCE"}, ValueError),
        ({"mode": None}, ValueError),
        ({"shared": 1}, TypeError),
        ({"partition": "X-User"}, TypeError),
        ({"partition": b"X-User"}, TypeError),
        ({"partition": 1}, TypeError),
        ({"partition": [b"X-User"]}, TypeError),
        ({"partition": [1]}, TypeError),
        ({"partition": [""]}, ValueError),
        ({"targeted": ["a b"]}, ValueError),
        ({"targeted": ["caf\xe9"]}, ValueError),
        ({"targeted": ["a\n"]}, ValueError),
        ({"targeted": None}, TypeError),
        ({"stale_while_revalidate": -1}, ValueError),
        ({"stale_if_error": "1"}, TypeError),
        ({"stale_if_error": float("nan")}, ValueError),
        ({"max_body_size": -1}, ValueError),
        ({"max_body_size": 1.5}, TypeError),
        ({"max_wait": -1}, ValueError),
        ({"keep_stale": None}, TypeError),
    ],
)
def test_config_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    """A value that is not allowed is refused with its name."""
    with pytest.raises(error, match=next(iter(arguments))):
        CacheConfig(**arguments)

"""Cache keys, and which stored response a request selects: targets, credentials, Vary."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._adapter.messages import Messages
from ratewise._httpx.base import LIBRARY
from ratewise.cache import key
from ratewise.cache.directives import listed
from ratewise.cache.entry import Entry
from ratewise.cache.key import SIZE, Keys, _framed, _normal
from tests.cache.keys import KEYS, SECRET, URL
from tests.kit.growth import growth
from tests.kit.stored import said, stored


def same(one: str, other: str, keys: Keys = KEYS, target: str = URL) -> bool:
    """Whether requests with these fields have the same key."""
    return keys.key(target, said(one)) == keys.key(target, said(other))


def selects(vary: str, one: str, other: str) -> bool:
    """Whether the response stored for the first request also answers the second."""
    names = listed(vary.encode())
    return KEYS.selector(names, said(one)) == KEYS.selector(names, said(other))


# Keys


PARTS = st.lists(st.binary(max_size=4) | st.text("\0\1\2a", max_size=4).map(str.encode), min_size=1, max_size=4)


@given(PARTS, PARTS)
def test_framed(one: list[bytes], other: list[bytes]) -> None:
    """Different lists of parts are framed differently, whatever bytes they have."""
    assert (_framed(one) == _framed(other)) is (one == other)


@given(PARTS, PARTS)
def test_framed_in_sequence(one: list[bytes], other: list[bytes]) -> None:
    """Moving bytes from one list to the next changes the framing."""
    pieces = {(_framed([*one[:cut], b""]), _framed(other)) for cut in range(len(one) + 1)}
    assert len({begun + rest for begun, rest in pieces}) == len(pieces)


TEXT = st.text("\0\1a/?=%41\xe9", max_size=5)
TRIPLES = st.tuples(
    TEXT, st.binary(max_size=4), st.dictionaries(st.sampled_from([b"authorization", b"cookie"]), st.binary(max_size=4))
)


@given(TRIPLES, TRIPLES)
def test_keys_do_not_collide(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Different targets, hosts or credentials have different keys."""
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
    """Different namespaces, cache kinds or secrets have different keys, and no longer target can imitate them."""
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
    """RFC 3986, 6.2.2: escapes are upper-cased, unnecessary ones are removed, and nothing is decoded twice."""
    assert _normal(target) == expected
    assert KEYS.key(target, {}) == KEYS.key(expected, {})


@pytest.mark.parametrize(
    ("one", "other"), [("/a%2Fb", "/a/b"), ("/a%3Fb", "/a?b"), ("/a%25", "/a%"), ("/a%20", "/a+"), ("/a", "/A")]
)
def test_6_2_2_not_the_same(one: str, other: str) -> None:
    """RFC 3986, 6.2.2: a target in which a reserved character is escaped is a different one."""
    assert KEYS.key(one, {}) != KEYS.key(other, {})


def test_targets() -> None:
    """Userinfo, fragment and default port are not part of the target; the query is, in its order."""
    target = Messages(LIBRARY).target
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
        ('Authorization: Token token="a"', 'Authorization: Token token="b"', False),  # has no user name
        ("Authorization: Bearer a=b", "Authorization: Bearer a=c", False),
        ("Authorization: SharedAccessSignature sr=a&sig=1", "Authorization: SharedAccessSignature sr=a&sig=2", False),
        ("Authorization: Digest username*=UTF-8''a, nonce=1", "Authorization: Digest username*=UTF-8''b, nonce=1", False),
        ("Authorization: OAuth a", "Authorization: OAuth b", False),  # a token and not a signature
        ("Authorization: OAuth a==", "Authorization: OAuth b==", False),
        ("Authorization: OAuth a, x=1", "Authorization: OAuth b, x=1", False),
        ("Authorization: Digest nonce=1", "Authorization: Digest nonce=2", False),  # names no user
        ("Authorization: Signature", "Authorization: Digest", False),
        ('Authorization: Digest username="C/u", nonce=1', 'Authorization: Digest username="C/v", nonce=1', False),
        ('Authorization: Digest username="a,u", nonce=1', 'Authorization: Digest username="a,v", nonce=1', False),
        ('Authorization: Digest username="a\\"u", nonce=1', 'Authorization: Digest username="a\\"v", nonce=1', False),
        ('Authorization: Digest username="u", realm="a"', 'Authorization: Digest username="u", realm="b"', False),
        ('Authorization: DIGEST username="u", nc=1', 'Authorization: Digest USERNAME="u", nc=2', True),
        ('Authorization: Hawk id="a", ts="1", mac="1"', 'Authorization: Hawk id="a", ts="2", mac="2"', True),
        ('Authorization: Custom id="a", key="1"', 'Authorization: Custom id="a", key="2"', False),
        ('Cookie: Digest username="u", nonce="1"', 'Cookie: Digest username="u", nonce="2"', False),  # signs nothing
    ],
)
def test_11_6_credentials_apart(one: str, other: str, expected: bool) -> None:
    """RFC 9110, 11.6: users are told apart by every credential; one signed per request by its scheme and user."""
    assert same(one, other) is expected


def test_partition() -> None:
    """With `partition` only the fields that it names tell users apart."""
    keys = Keys(SECRET, "", frozenset({b"x-user", b"x-team"}))
    assert not same("X-User: a", "X-User: b", keys)
    assert not same("X-User: a", "X-Team: a", keys)
    assert not same("X-User: a", "", keys)
    assert same("X-User: a | X-Team: b", "X-Team: b | X-User: a", keys)
    assert same("Authorization: a", "Authorization: b", keys)
    assert same("Authorization: a", "", Keys(SECRET, "", frozenset()))


def test_known_names_are_bounded() -> None:
    """Whether a field is a credential is remembered for a bounded number of names, and determined again for the others."""
    for number in range(1100):
        assert same(f"X-A{number}: a", f"X-A{number}: b")
        assert not same(f"X-A{number}-Token: a", f"X-A{number}-Token: b")
    assert len(key._separating) <= 1000


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
        ("A", "A:", "", False),  # absent matches only absent
        ("A", "A:", "A:", True),
        ("A", "A: =", "A:", False),
        ("A", "A: 1 | A: 2", "A: 1, 2", True),
        ("A", "A: 1,2", "A: 1 ,\t2", True),
        ("A", "A: 1, 2", "A: 2, 1", False),
        ("A", "A: x", "A: X", False),
        ("A", "A: 1 2", "A: 12", False),
        ("A", 'A: "x, y"', 'A: "x,y"', False),  # within quotes a blank may be significant
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
    """RFC 9111, 4.1: requests match if the fields named by Vary are equal after normalization."""
    assert selects(vary, one, other) is expected
    assert selects(vary, one, one)


def test_4_1_selectors_are_bounded() -> None:
    """RFC 9111, 4.1: selectors are remembered in bounded number, and not for secret fields."""
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
    """RFC 9111, 4: the latest matching response is selected; a stored HEAD does not answer a GET."""

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


@pytest.mark.parametrize("unit", ["%", "%4", "%41", "%2f", "a", "%%41", "\x00"])
def test_linear_targets(unit: str) -> None:
    """A target eight times as long takes about eight times the work."""
    small, large = ((unit * (size // len(unit))).encode() for size in (4000, 32_000))
    assert any(growth(lambda value: KEYS.key(value.decode(), {}), small, large) < 25 for _ in range(10))

"""Any text: nothing raises, planted secrets are masked, and ordinary text is unchanged."""

from __future__ import annotations

from typing import Callable
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from ratewise._redaction.bodies import body
from ratewise._redaction.values import value
from ratewise._util.escapes import decoded, escaped, unescaped
from tests.redaction.samples import BARE, FULL, HASH, PARAMETERS, PARTIAL, TOKENS, masker

FUNCTIONS: list[Callable[[str], str]] = [
    FULL.url,
    FULL.text,
    PARTIAL.url,
    HASH.text,
    BARE.url,
    *(lambda value, name=name: FULL.header(name, value) for name in ("Link", "Refresh", "Location", "X-Note", "Cookie")),
]
PARTS = [*"/?#&;=@:%+.-_<>\"' \n\\[]", "//", "://", "%3D", "%2F", "%25", "token", "key", "Bearer ", "eyJ", "a", "x1", "\ud800"]
PARTS += ["-----BEGIN ", "PRIVATE KEY-----", "-----END ", *list(TOKENS.values())[:9]]
anything = st.one_of(st.text(st.characters()), st.lists(st.sampled_from(PARTS), max_size=40).map("".join))


@given(anything, anything)
def test_never_raises(text: str, name: str) -> None:
    """Any text is masked without an error, and masking it again changes nothing."""
    for function in FUNCTIONS:
        assert isinstance(function(text), str)
    assert isinstance(FULL.header(name, text), str)
    assert FULL.is_secret_parameter(name) in (True, False)
    assert FULL.text(FULL.text(text)) == FULL.text(text)


words = st.text("abcdefghijklmnop 0123456789-_.,", max_size=30)
plain = st.text("abcdefghij", max_size=9)


@given(st.sampled_from(sorted(TOKENS)), words, words)
def test_planted_tokens(kind: str, before: str, after: str) -> None:
    """A token planted between words is masked in every style."""
    token = TOKENS[kind]
    for redactor in (FULL, PARTIAL, HASH):
        assert token not in redactor.text(f"{before} {token} {after}")
        assert token not in redactor.header("X-Note", f"{before}={token}/{after}")


@given(st.sampled_from(sorted(PARAMETERS)), st.text(min_size=1), plain, plain, st.integers(0, 4))
def test_planted_parameters(name: str, secret: str, before: str, after: str, depth: int) -> None:
    """Any value of a secret parameter is masked, however deeply nested."""
    secret = quote("S3" + secret, safe="/?:")
    url = f"https://h/{before}?a={before}&{name}={secret}&b={after}"
    for _ in range(depth):
        url = f"https://h/{before}?next={quote(url, safe='')}&c={after}"
    assert "S3" not in FULL.url(url)
    assert "S3" not in PARTIAL.url(url) or depth == 0
    assert "S3" not in FULL.text(f"at {url} now")
    assert "S3" not in FULL.header("Link", f'<{url}>; rel="next"')


@given(plain, st.text(st.characters(blacklist_characters="/?#@", blacklist_categories=("Cs", "Z", "C")), min_size=1))
def test_planted_passwords(user: str, password: str) -> None:
    """The password in a URL is masked."""
    for url in (f"https://{user}:S3{password}@h/x", f"//{user}:S3{password}@h"):
        assert FULL.url(url) == url.partition("//")[0] + "//REDACTED@h" + url.partition("@h")[2]


@given(st.lists(plain.filter(bool), min_size=1, max_size=5), st.lists(st.tuples(plain, plain), max_size=5))
def test_ordinary_urls_stay(path: list[str], query: list[tuple[str, str]]) -> None:
    """A URL of ordinary words is unchanged."""
    pairs = "&".join(f"a{name}={value}" for name, value in query)
    url = f"https://example.com/{'/'.join(path)}?{pairs}#{path[0]}"
    assert FULL.url(url) == FULL.text(url) == FULL.header("Location", url) == url


urls = st.lists(st.sampled_from([*PARTS, "/a", "?b=1", "&c=2", "=", "code", "&"]), max_size=12).map("".join)


@given(urls | st.text(st.characters(max_codepoint=300)))
def test_the_short_way(text: str) -> None:
    """A URL that the quick check finds without secrets is one that the full search leaves unchanged."""
    for redactor in (FULL, BARE, masker(patterns=["c=2"])):
        if redactor._is_plain(text):
            assert redactor._url(text) == text


FORM = "application/x-www-form-urlencoded"
KINDS = ["application/json", "application/xml", FORM, "text/plain", "text/event-stream", "image/png", ""]
XML = [*"<>/=\"' &;", "<a>", "</a>", "<password>", "</password>", "&lt;", "\\u003c", "<!--", "]]>", "name", "value", "token"]
JSON = [*'{}[]:,"\\ 1', '"password":', '"a"', "true", "null", "\\u0041", '"{\\"key\\":', "-", "e9"]
texts = st.one_of(anything, *(st.lists(st.sampled_from(parts), max_size=40).map("".join) for parts in (XML, JSON)))


@given(st.sampled_from(KINDS), texts | st.binary(max_size=60), st.none() | st.integers(0, 10**6))
def test_any_body(kind: str, data: str | bytes, size: int | None) -> None:
    """Any body of any type becomes one line."""
    shown = body(FULL, kind, data if isinstance(data, bytes) else data.encode(errors="surrogatepass"), size)
    assert isinstance(shown, str)
    assert "\n" not in shown


leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=20)
things = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3), max_leaves=10
)


@given(st.sampled_from(["x", "Location", "password", ""]), things)
def test_any_value(name: str, thing: object) -> None:
    """Any value is masked without an error; one of a secret name is not shown."""
    shown = value(FULL, name, thing)
    assert name != "password" or thing is None or isinstance(thing, bool) or shown in ("REDACTED", "[REDACTED]")


@given(anything)
def test_any_escape(text: str) -> None:
    """Nothing raises; what is escaped is printable, and stays so."""
    assert isinstance(decoded(text), str)
    assert isinstance(unescaped(text), str)
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text)

"""Texts: tokens, credentials, URLs and keys in them, and their length."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ratewise._redaction.masker import MAX_TEXT_LENGTH
from tests.redaction.samples import BARE, CREDENTIALS, FULL, HASH, PARTIAL, PEM, TOKENS, masker, tokens

# Texts


@tokens
@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("the token is ", " I think"), ('{"a": "', '"}'), (r"line\n", " "), ("a%3D", "&b"), ("(", ")"), ("a=", ",b=2")],
)
def test_tokens_in_texts(token: str, before: str, after: str) -> None:
    """Each known format is masked at any position, and the text around it is unchanged."""
    assert FULL.text(before + token + after) == f"{before}[REDACTED]{after}"
    assert BARE.text(before + token + after) == before + token + after


@tokens
def test_tokens_in_urls(token: str) -> None:
    """Each known format is masked in a query of any name, in a path and in a fragment, encoded or not."""
    encoded = quote(token, safe="")
    for url in (f"https://h/?q={encoded}&p=1", f"https://h/{encoded}/x", f"https://h/x#{encoded}"):
        assert FULL.url(url) == url.replace(encoded, "REDACTED")
        assert FULL.text(f"GET <{url}>") == FULL.text(FULL.text(f"GET <{url}>"))
        assert encoded.rstrip(".") not in FULL.text(f"GET {url} 1")


@pytest.mark.parametrize(("kept", "secret"), CREDENTIALS.values(), ids=list(CREDENTIALS))
def test_credentials_in_texts(kept: str, secret: str) -> None:
    """The scheme before a credential is unchanged, and in each style the credential is masked once."""
    mask = "REDACTED" if "//" in kept else "[REDACTED]"
    assert FULL.text(f"({kept}{secret} )") == f"({kept}{mask} )"
    assert PARTIAL.text(f"({kept}{secret} )") == f"({kept}{PARTIAL.url('?key=' + secret)[5:] if len(secret) > 15 else mask} )"
    assert HASH.text(f"({kept}{secret} )") == f"({kept}{HASH.header('Cookie', secret)} )"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("for url 'https://h/?token=abc'\nsee", "for url 'https://h/?token=REDACTED'\nsee"),
        ("URL('https://u:p@h/x?a=b')", "URL('https://REDACTED@h/x?a=b')"),
        ('{"url":"https://u:p@h/?key=a","n":1}', '{"url":"https://REDACTED@h/?key=REDACTED","n":1}'),
        ("via socks5://u:p's#s@h:1 and https://h2", "via socks5://REDACTED@h:1 and https://h2"),
        ("see https://h/?key=a.", "see https://h/?key=REDACTED."),
        ("<https://h/?key=a><https://h/?key=b>", "<https://h/?key=REDACTED><https://h/?key=REDACTED>"),
        ("['https://a/?x=1','https://b/?key=c']", "['https://a/?x=REDACTED']"),
    ],
)
def test_urls_in_texts(text: str, shown: str) -> None:
    """A URL in a text is masked as a URL."""
    assert FULL.text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a {PEM} b", "a [REDACTED] b"),
        (f"{PEM}\n{PEM}", "[REDACTED]\n[REDACTED]"),
        ("a -----BEGIN PRIVATE KEY-----\nMII", "a [REDACTED]"),
        ("-----BEGIN PRIVATE KEY-----MII-----END PRIV", "[REDACTED]"),
        ("-----BEGIN -----BEGIN EC PRIVATE KEY-----MII", "-----BEGIN [REDACTED]"),
        ("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", None),
        ("-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----", None),
        ("-----BEGIN ", None),
    ],
)
def test_private_keys(text: str, shown: str | None) -> None:
    """Private keys are masked to their end, or that of the text; certificates and public keys are not."""
    assert FULL.text(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox; keyboard, author, monkey, task-force-management-systems.",
        "123e4567-e89b-12d3-a456-426614174000 0123456789abcdef0123456789abcdef",
        "Basic authentication required, Bearer authentication and bearer authorization too; basic information, basic.",
        "npm_config_registry_url hf_transformers_cache_dir pypi-warehouse-something-long risk-management-something",
        "code=404 key=value tokens: 12:AA",
        "12:30:45 2025-09-06T10:15:30Z 192.168.0.1:8080 a@b.c",
        "SG.1 SG.too.short eyJ eyJhbGc ghp_short AKIA AKIAX xoxb- sk- AIza ya29. hooks.slack.com/services/ ://@ ://a",
        '{"error": {"message": "Rate limit reached", "code": 429}}',
        "\x00\x1b[0m\r\n\ud800 \u202e \uff11",
    ],
)
def test_ordinary_texts(text: str) -> None:
    """Ordinary words, numbers and identifiers are unchanged."""
    for redactor in (FULL, PARTIAL, HASH):
        assert redactor.text(text) == text
        assert redactor.header("X-Note", text) == text


# Length


@pytest.mark.parametrize("length", [MAX_TEXT_LENGTH - 1, MAX_TEXT_LENGTH])
def test_long_texts(length: int) -> None:
    """A value of up to 16 KiB is shown whole."""
    text = "word " * (length // 5) + "x" * (length % 5)
    assert FULL.text(text) == text
    url = "/".join("x" * length)[:length]
    assert FULL.url(url) == url


def test_too_long_texts() -> None:
    """Of a longer one the beginning is shown, up to a whole word, and the number of characters left out."""
    assert FULL.text("word " * 4000) == "word " * 3276 + "... (3620 more characters)"
    assert FULL.url("abc/" * 5000) == "abc/" * 4096 + "... (3616 more characters)"
    assert FULL.header("Link", "<abc/>;" * 2400 + "<u>") == "<abc/>;" * 2340 + "... (423 more characters)"
    assert FULL.text("x" * 20_000) == "... (20000 more characters)"
    assert FULL.header("Cookie", "x" * 20_000) == "[REDACTED]"


@pytest.mark.parametrize("secret", [token for token in TOKENS.values() if " " not in token])
def test_secrets_at_the_cut(secret: str) -> None:
    """A secret at the cut is not shown in part."""
    for kept in range(1, len(secret), 3):
        assert secret[:16] not in FULL.text("x" * (MAX_TEXT_LENGTH - kept - 1) + f" {secret} end")
        assert secret[:16] not in FULL.url("https://h/" + "x" * (MAX_TEXT_LENGTH - kept - 13) + f"?q={secret}&a=b")


def test_own_patterns_at_the_cut() -> None:
    """A match of the user's pattern at the cut is not shown in part either, even with blanks in it."""
    own = masker(patterns=[r"card \d{4} \d{4}"])
    for kept in range(16):
        assert "card" not in own.text("x" * (MAX_TEXT_LENGTH - kept - 1) + " card 1234 5678 end")
        assert "1234" not in own.url("/" * (MAX_TEXT_LENGTH - kept - 1) + "card 1234 5678/end")

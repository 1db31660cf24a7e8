"""Mask styles, the user's names and patterns, and copies of redactors."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

from ratewise import Redactor
from ratewise._redaction.masker import DEFAULT_MASKER, Masker
from tests.redaction.samples import BARE, FULL, HASH, PARTIAL, PEM, TOKENS, masker

# Styles and the user's own


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("s" * 15, None), ("abcd" + "x" * 8 + "wxyz", "abcd...wxyz"), ("abcd" + "x" * 99 + "wxyz", "abcd...wxyz"), ("", None)],
)
def test_partial(secret: str, shown: str | None) -> None:
    """ "partial" shows the first and last four characters of 16 or more, and nothing of a shorter secret."""
    assert PARTIAL.header("Authorization", secret) == (shown or "[REDACTED]")
    assert PARTIAL.url(f"?token={secret}") == (f"?token={shown or 'REDACTED'}" if secret else "?token=")


def test_partial_in_texts() -> None:
    """In "partial" the ends of a token in a text or URL are shown; the scheme before it is unchanged."""
    token = TOKENS["github"]
    assert PARTIAL.text(f"a {token} b") == "a ghp_...aB3d b"
    assert PARTIAL.url(f"/x/{token}?q={token}&token={token}") == "/x/ghp_...aB3d?q=ghp_...aB3d&token=ghp_...aB3d"
    assert PARTIAL.text("Bearer aaaabbbbccccdddd") == "Bearer aaaa...dddd"


def test_hash() -> None:
    """ "hash" replaces equal secrets by equal hashes, different ones by different hashes, which reveal no secret."""
    one = HASH.header("Authorization", "sesame")
    assert re.fullmatch(r"hash-[0-9a-f]{12}", one)
    assert HASH.url("?token=sesame&key=other") == f"?token={one}&key={HASH.header('Cookie', 'other')}"
    assert one != HASH.header("Authorization", "sesamf")
    assert HASH.header("Authorization", "\ud800").startswith("hash-")


def test_own_lists() -> None:
    """The user's headers, parameters and patterns are masked in addition to the built-in ones."""
    own = Redactor(headers=["X_Plan"], query_params=["e-mail", "x[y]"], patterns=[r"\b\d{3}-\d{2}-\d{4}\b", r"user=\d+", "z*"])
    assert own.header("x-plan", "gold") == own.header("Cookie", "a") == "[REDACTED]"
    assert own.url("?E_Mail=a&token=b&x[y]=c&d=e") == "?E_Mail=REDACTED&token=REDACTED&x[y]=REDACTED&d=e"
    assert own.text("ssn 123-45-6789, ok") == "ssn [REDACTED], ok"
    assert own.url("/123-45-6789?q=123%2D45-6789&user=7") == "/REDACTED?q=REDACTED&REDACTED"
    assert own.header("X-Note", "a 123-45-6789") == "a [REDACTED]"


def test_own_patterns_of_what_is_masked() -> None:
    """A pattern leaves a value unchanged that was masked by the same name, and masks its other matches."""
    own = Redactor(patterns=[r"token=[\w-]+", r"plan=\w+"], mask_style="partial")
    assert own.url("?token=abc&x=1") == "?token=REDACTED&x=1"
    assert own.url("?token=0123456789abcdef&x=1") == "?token=0123...cdef&x=1"
    assert own.url("?plan=gold&x=1") == "?REDACTED&x=1"
    assert own.text("token=0123456789abcdef plan=gold") == "toke...cdef [REDACTED]"
    assert own.text("a plan=REDACTED") == "a [REDACTED]"


@pytest.mark.parametrize("redactor", [FULL, PARTIAL, HASH, BARE])
@pytest.mark.parametrize("masked", ["REDACTED", "[REDACTED]", "abcd...wxyz", "hash-0a1b2c3d4e5f"])
def test_masked_before(redactor: Masker, masked: str) -> None:
    """What another Redactor has masked is not masked again."""
    assert redactor.mask(masked) == redactor.header("Cookie", masked) == masked
    assert redactor.url(f"?token={masked}") == f"?token={masked}"


def test_keys() -> None:
    """Names of secret parameters and headers are secret as JSON keys, except ambiguous ones that the user does not list."""
    for name in ("password", "user[password]", "X-API-Key", "Cookie", "access_token", "Authorization"):
        assert FULL.is_secret_key(name)
    for name in ("code", "Key", "session", "auth", "sid", "pin", "sig", "name"):
        assert not FULL.is_secret_key(name)
    assert masker(query_params=["code"]).is_secret_key("Code")


def test_only_own_lists() -> None:
    """Without the defaults only the user's lists and userinfo are masked."""
    own = Redactor(headers=["x-plan"], query_params=["--", "plan"], patterns=["gold"], defaults=False)
    assert own.headers([("X-Plan", "a"), ("Cookie", "b"), ("X-Token", "c")]) == [
        ("X-Plan", "[REDACTED]"),
        ("Cookie", "b"),
        ("X-Token", "c"),
    ]
    assert own.url("https://u:p@h/?plan=a&token=b&[]=c") == "https://REDACTED@h/?plan=REDACTED&token=b&[]=c"
    assert own.text(f"gold {TOKENS['github']} {PEM} x://u:p@h") == f"[REDACTED] {TOKENS['github']} {PEM} x://REDACTED@h"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"mask_style": "none"}, ValueError, 'mask_style must be "full", "partial" or "hash", not \'none\''),
        ({"mask_style": None}, ValueError, "mask_style must be .*, not None"),
        ({"defaults": "no"}, TypeError, "defaults must be True or False, not 'no'"),
        ({"defaults": None}, TypeError, "defaults must be True or False, not None"),
        ({"headers": "cookie"}, TypeError, "headers must be a list of strings that are not empty, not 'cookie'"),
        ({"headers": None}, TypeError, "headers must be a list of strings that are not empty, not None"),
        ({"headers": [b"cookie"]}, TypeError, r"headers must be a list of strings that are not empty, not \[b'cookie'\]"),
        ({"headers": [""]}, ValueError, r"headers must be a list of strings that are not empty, not \[''\]"),
        ({"query_params": b"key"}, TypeError, "query_params must be a list of strings that are not empty, not b'key'"),
        ({"query_params": 5}, TypeError, "query_params must be a list of strings that are not empty, not 5"),
        ({"query_params": ["a", 5]}, TypeError, r"query_params must be a list of strings .*, not \['a', 5\]"),
        ({"patterns": "abc"}, TypeError, "patterns must be a list of strings that are not empty, not 'abc'"),
        ({"patterns": [""]}, ValueError, "patterns must be a list of strings that are not empty, not"),
        ({"patterns": ["ok", "(bad"]}, ValueError, r"patterns must be regular expressions \(.*\), not '\(bad'"),
        ({"patterns": ["a{9999999999999}"]}, ValueError, "patterns must be regular expressions"),
    ],
)
def test_bad_settings(settings: Any, error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction; the error has name, value and what is allowed."""
    with pytest.raises(error, match=message):
        Redactor(**settings)


def test_repr() -> None:
    """The repr has the style and nothing of the user's lists."""
    assert repr(Redactor(patterns=["sesame"], mask_style="hash")) == "Redactor(mask_style='hash')"
    assert repr(DEFAULT_MASKER) == "Masker(mask_style='full')"


# Copies


def test_copies_know_nothing() -> None:
    """Neither a copy nor a pickle contains the names met before, and both mask as before."""
    own = Redactor(headers=["X-Plan"], query_params=["plan"], patterns=["gold"], mask_style="hash")
    own.url("https://h/?internal_name=1")
    assert b"internal_name" not in pickle.dumps(own)
    for twin in (pickle.loads(pickle.dumps(own)), copy.copy(own), copy.deepcopy(own)):
        assert twin == own
        assert twin.url("?plan=a&b=gold&c=d") == own.url("?plan=a&b=gold&c=d")
        assert twin.header("x-plan", "a") == own.header("x-plan", "a")


def test_subclasses_are_others() -> None:
    """Redactors that mask differently are not equal."""

    class Own(Redactor):
        pass

    assert Own() != Redactor()
    assert Own() == Own()

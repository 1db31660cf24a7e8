"""What a response is stored under, and which of several a request selects. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Any

from .._http.credentials import lasting
from .._redaction.masker import DEFAULT as REDACTOR
from .._util.lazy_regex import regex
from .directives import Fields
from .entry import Entries, Entry

SIZE = 16
"""Bytes of a key, and of a selector."""

_CASELESS = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})
_AUTHORIZATION = frozenset({b"authorization", b"proxy-authorization"})

_ESCAPE = regex("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_IDENTITIES = frozenset(
    b"impersonate-user remote-user x-forwarded-email x-forwarded-user x-remote-user x-user-id x-tenant-id x-account-id "
    b"x-ms-client-principal-id x-ms-client-principal-name".split()
)
"""What names a user, and is no secret."""
_FORGERY = regex("csrf|xsrf")

_MOST = 1000
_secret: dict[bytes, bool] = {}
"""Whether a header field tells users apart, by its name."""


class Keys:
    """Makes the keys of one cache. Whatever it hashes has its length before it: no two requests can be spelled alike."""

    def __init__(self, secret: bytes, space: str, partition: Collection[bytes] | None) -> None:
        self.secret = secret
        self._partition = partition
        self._selectors: dict[tuple[Any, ...], bytes] = {}
        """For `_CASELESS` fields, in which clients send the same again and again."""
        begun = _framed([space.encode("utf-8", "surrogatepass"), b""])
        self._begun = hashlib.blake2b(begun, key=secret, digest_size=SIZE)

    def key(self, target: str, asked: Fields) -> bytes:
        """RFC 9111, 2: the target URI, and the request fields by which users are told apart. GET and HEAD have the same."""
        if "%" in target:
            target = _normal(target)
        parts = [target.encode(), asked.get(b"host", b"")]
        for name in self._apart(asked):
            value = asked[name]
            signs = b"=" in value and self._partition is None and name in _AUTHORIZATION  # what has no parameters does not
            parts += (name, lasting(value) if signs else value)
        digest = self._begun.copy()
        digest.update(_framed(parts))
        return digest.digest()

    def selector(self, vary: tuple[bytes, ...], asked: Fields) -> bytes:
        """4.1: what the fields that a response varies by are in a request, normalised."""
        if not vary:
            return b""
        values = (vary, *map(asked.get, vary))
        found = self._selectors.get(values)
        if found is None:
            parts: list[bytes] = []
            for name in vary:  # absent only matches absent
                parts += (name, b"=" + _plainly(name, asked[name]) if name in asked else b"")
            found = hashlib.blake2b(_framed(parts), key=self.secret, digest_size=SIZE).digest()
            if _CASELESS.issuperset(vary):  # others may be secrets, and are not kept
                if len(self._selectors) >= _MOST:
                    self._selectors.clear()
                self._selectors[values] = found
        return found

    def selected(self, entries: Entries, asked: Fields, method: str) -> Entry | None:
        """4: the stored response that matches, "the most recent one" if several do."""
        for entry in entries:
            if entry.head_only and method != "HEAD":
                continue
            if not entry.vary or entry.selector == self.selector(entry.vary, asked):
                return entry
        return None

    def _apart(self, asked: Fields) -> Collection[bytes]:
        if self._partition is not None:
            return sorted(self._partition & asked.keys())
        try:
            found = [name for name in asked if _secret[name]]
        except KeyError:
            found = [name for name in asked if _is_secret(name)]
        return sorted(found) if len(found) > 1 else found


def _is_secret(name: bytes) -> bool:
    found = _secret.get(name)
    if found is None:
        if len(_secret) >= _MOST:
            _secret.clear()
        text = name.decode("latin-1")
        # A token against forged requests is sent with unsafe ones alone, which must find what they invalidate.
        found = _secret[name] = name in _IDENTITIES or (REDACTOR.is_secret_header(text) and not _FORGERY.search(text))
    return found


def _framed(parts: Sequence[bytes]) -> bytes:
    """Parts in one piece, so that no others can be spelled alike."""
    piece = b"\0".join(parts)
    if piece.count(b"\0") == len(parts) - 1 and 1 not in piece:
        return piece
    return b"\0".join(part.replace(b"\1", b"\1\1").replace(b"\0", b"\1\2") for part in parts)


def _normal(target: str) -> str:
    """RFC 3986, 6.2.2: escapes in upper case, and none where none is needed."""

    def escape(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    return _ESCAPE.sub(escape, target)


def _plainly(name: bytes, value: bytes) -> bytes:
    """4.1: "normalizing both header field values in a way known to have identical semantics"."""
    if b'"' in value:  # in which a blank, a comma and the case may mean something
        return value
    value = b",".join(part.strip(b" \t") for part in value.split(b","))
    return value.lower() if name in _CASELESS else value

"""The keys that responses are stored under, and which of several variants a request selects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from typing import Any

from .._http.credentials import lasting
from .._redaction.masker import DEFAULT_MASKER
from .._util.lazy_regex import regex
from .directives import FieldValues
from .entry import Entries, Entry

SIZE = 16
"""Length of a key and of a selector, in bytes."""

_CASELESS = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})
"""Request fields whose values are compared in any case. None of them holds a secret."""

_AUTHORIZATION = frozenset({b"authorization", b"proxy-authorization"})
"""Request fields whose scheme may sign each request anew."""

_ESCAPE = regex("%([0-9A-Fa-f]{2})")
"""A percent-encoded byte."""

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""Characters that need no percent-encoding (RFC 3986, 2.3)."""

_IDENTITIES = frozenset(
    b"impersonate-user remote-user x-forwarded-email x-forwarded-user x-remote-user x-user-id x-tenant-id x-account-id "
    b"x-ms-client-principal-id x-ms-client-principal-name".split()
)
"""Request fields that name a user or an account without being secret."""

_FORGERY = regex("csrf|xsrf")
"""Request fields with a token against cross-site request forgery."""

_MAX_KNOWN = 1000
"""Selectors of one `Keys`, and names of fields, that are remembered, at most."""
_separating: dict[bytes, bool] = dict.fromkeys(b"accept accept-encoding connection content-type host user-agent".split(), False)
"""Whether a request field identifies its user, by field name."""


class Keys:
    """Makes the keys of one cache layer. Parts are framed before they are hashed, so that different ones never hash alike."""

    def __init__(self, secret: bytes, space: str, partition: Collection[bytes] | None) -> None:
        self.secret = secret
        self._partition = partition
        self._selectors: dict[tuple[Any, ...], bytes] = {}
        """Selectors by the values of `_CASELESS` fields, which clients repeat."""
        base = _framed([space.encode("utf-8", "surrogatepass"), b""])
        self._base = hashlib.blake2b(base, key=secret, digest_size=SIZE)

    def key(self, target: str, request: FieldValues) -> bytes:
        """RFC 9111, 2: return a hash of target URI and request fields that identify the user; the same for GET and HEAD."""
        if "%" in target:
            target = _normal(target)
        parts = [target.encode(), request.get(b"host", b"")]
        for name in self._partitioning(request):
            value = request[name]
            # Only a scheme with parameters can sign each request, and so differ between requests of one user.
            signs = b"=" in value and self._partition is None and name in _AUTHORIZATION
            parts += (name, lasting(value) if signs else value)
        digest = self._base.copy()
        digest.update(_framed(parts))
        return digest.digest()

    def selector(self, vary: tuple[bytes, ...], request: FieldValues) -> bytes:
        """RFC 9111, 4.1: return a hash of the values that the fields in `vary` have in a request, normalized."""
        if not vary:
            return b""
        values = (vary, *map(request.get, vary))
        found = self._selectors.get(values)
        if found is None:
            parts: list[bytes] = []
            for name in vary:  # a missing field matches only a missing one
                parts += (name, b"=" + _normalized(name, request[name]) if name in request else b"")
            found = hashlib.blake2b(_framed(parts), key=self.secret, digest_size=SIZE).digest()
            if _CASELESS.issuperset(vary):  # other values may be secrets, and are not remembered
                if len(self._selectors) >= _MAX_KNOWN:
                    self._selectors.clear()
                self._selectors[values] = found
        return found

    def selected(self, entries: Entries, request: FieldValues, method: str) -> Entry | None:
        """RFC 9111, 4: return the stored response that matches a request, "the most recent one" if several do, or None."""
        for entry in entries:
            if entry.head_only and method != "HEAD":
                continue
            if not entry.vary or entry.selector == self.selector(entry.vary, request):
                return entry
        return None

    def _partitioning(self, request: FieldValues) -> Collection[bytes]:
        if self._partition is not None:
            return sorted(self._partition & request.keys())
        try:
            found = [name for name in request if _separating[name]]
        except KeyError:
            found = [name for name in request if _separates(name)]
        return sorted(found) if len(found) > 1 else found


def _separates(name: bytes) -> bool:
    found = _separating.get(name)
    if found is None:
        if len(_separating) >= _MAX_KNOWN:
            _separating.clear()
        text = name.decode("latin-1")
        # A CSRF token comes with unsafe requests alone, which must have the key of what they invalidate.
        found = _separating[name] = name in _IDENTITIES or (DEFAULT_MASKER.is_secret_header(text) and not _FORGERY.search(text))
    return found


def _framed(parts: Sequence[bytes]) -> bytes:
    """Join parts so that no other parts give the same bytes."""
    piece = b"\0".join(parts)
    if piece.count(b"\0") == len(parts) - 1 and 1 not in piece:
        return piece
    return b"\0".join(part.replace(b"\1", b"\1\1").replace(b"\0", b"\1\2") for part in parts)


def _normal(target: str) -> str:
    """RFC 3986, 6.2.2: write escapes in upper case, and unreserved characters without them."""

    def escape(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    return _ESCAPE.sub(escape, target)


def _normalized(name: bytes, value: bytes) -> bytes:
    """RFC 9111, 4.1: "normalizing both header field values in a way known to have identical semantics"."""
    if b'"' in value:  # whitespace, commas and case may be significant within quotes
        return value
    value = b",".join(part.strip(b" \t") for part in value.split(b","))
    return value.lower() if name in _CASELESS else value

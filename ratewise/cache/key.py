"""What a response is stored under, and which of several a request selects. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import Any

from ..credential import named
from ..redact import DEFAULT as REDACTOR
from .entry import Entries, Entry
from .fields import Fields

SIZE = 16
"""Bytes of a key, and of a selector."""

_CASELESS = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})
_SIGNED = frozenset({b"authorization", b"proxy-authorization"})

_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_MOST = 1000
_plain: set[bytes] = set()
"""Names of header fields that are known to be no credential."""


class Keys:
    """Makes the keys of one cache. Whatever it hashes has its length before it: no two requests can be spelled alike."""

    def __init__(self, secret: bytes, space: str, partition: Collection[bytes] | None) -> None:
        self._secret = secret
        self._partition = partition
        self._begun = hashlib.blake2b(key=secret, digest_size=SIZE)
        _add(self._begun, space.encode("utf-8", "surrogatepass"))

    def key(self, target: str, asked: Fields) -> bytes:
        """RFC 9111, 2: the target URI, and the request fields by which users are told apart. GET and HEAD have the same."""
        digest = self._begun.copy()
        _add(digest, (_normal(target) if "%" in target else target).encode("utf-8", "surrogatepass"))
        _add(digest, asked.get(b"host", b""))
        for name in self._apart(asked):
            _add(digest, name)
            _add(digest, named(asked[name]) if name in _SIGNED else asked[name])
        return digest.digest()

    def selector(self, vary: Collection[bytes], asked: Fields) -> bytes:
        """4.1: what the fields that a response varies by are in a request, normalised."""
        if not vary:
            return b""
        digest = hashlib.blake2b(key=self._secret, digest_size=SIZE)
        for name in vary:
            value = asked.get(name)
            _add(digest, name)
            _add(digest, b"\0" if value is None else _plainly(name, value))  # absent only matches absent
        return digest.digest()

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
        if asked.keys() <= _plain:
            return ()
        found = []
        for name in asked:
            if REDACTOR.is_secret_header(name.decode("latin-1")):
                found.append(name)
            elif len(_plain) < _MOST:
                _plain.add(name)
        return sorted(found)


def _add(digest: Any, part: bytes) -> None:
    digest.update(b"%d:%b" % (len(part), part))


def _normal(target: str) -> str:
    """RFC 3986, 6.2.2: escapes in upper case, and none where none is needed."""

    def escape(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    return _ESCAPE.sub(escape, target)


def _plainly(name: bytes, value: bytes) -> bytes:
    """4.1: "normalizing both header field values in a way known to have identical semantics"."""
    value = b",".join(part.strip(b" \t") for part in value.split(b","))
    return value.lower() if name in _CASELESS else value

"""Whose limit a request counts against: what in it names the caller."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from .._http.credentials import lasting

_FIELDS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-auth-token", b"private-token"})

_SECRET = os.urandom(16)
_MOST = 1000

_digests: dict[int, str] = {}
"""By the hash of a header's value, so that none of these is kept."""


def credential(fields: Iterable[tuple[bytes, bytes, bytes]]) -> str:
    """A hash, of no use to anyone else, of what names the caller in a header; "" if nothing does. See `Flavour.fields`.

    Its last four digits, and they alone, are the same in all processes.
    """
    for field in fields:
        if field[1] in _FIELDS:
            return _digests.get(hash(field[2])) or _digest(field[2])
    return ""


def _digest(value: bytes) -> str:
    named = lasting(value, any_scheme=True)
    digest = hashlib.blake2b(named, key=_SECRET, digest_size=8).hexdigest() + hashlib.blake2b(named, digest_size=2).hexdigest()
    if len(_digests) >= _MOST:
        _digests.clear()
    _digests[hash(value)] = digest
    return digest

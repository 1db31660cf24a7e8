"""Identifies the caller of a request by its credential."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable

from .._util.lazy_regex import regex
from ..layer import Field

SIGNING = frozenset(b"aws4-ecdsa-p256-sha256 aws4-hmac-sha256 digest hawk oauth signature".split())
"""Authorization schemes that sign each request separately."""

_PARAMETER = regex(rb'(?<![\w*-])([\w*-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^",]*)', re.DOTALL)
"""A parameter of an Authorization: name and value."""

_ANEW = frozenset(
    b"cnonce nc nonce opaque response uri mac hash ts created expires sig signature signedheaders headers "
    b"oauth_nonce oauth_signature oauth_timestamp".split()
)
"""Parameters of these schemes that differ in each request (RFC 7616, 3.4; RFC 5849, 3.1; AWS Signature 4; Hawk)."""

_NAMING = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-auth-token", b"private-token"})
"""Header fields that identify the caller."""

_SECRET = os.urandom(16)
"""The key of the digests: 16 bytes, new in each process."""

_MAX_CREDENTIALS = 1000
"""Header values whose digest is kept, at most."""

_digests: dict[int, str] = {}
"""By the hash of a header value: no credential is kept in memory."""


def lasting(credential: bytes, *, any_scheme: bool = False) -> bytes:
    """Return the part of an Authorization that is the same in each request: all of it, unless its scheme is in `SIGNING`."""
    scheme, _, rest = credential.partition(b" ")
    scheme = scheme.lower()
    if not (any_scheme or scheme in SIGNING):
        return credential

    def same(match: re.Match[bytes]) -> bytes:
        name, value = match[1].lower(), match[2]
        if name == b"credential" and scheme.startswith(b"aws4-"):  # key/date/region/service
            value = value.partition(b"/")[0]
        return b"" if name in _ANEW else name + b"=" + value

    kept = _PARAMETER.sub(same, rest)
    if not kept.strip(b" \t,"):
        return scheme if any_scheme else credential
    return scheme + b" " + kept


def credential(fields: Iterable[Field]) -> str:
    """Return a keyed hash of the credential in header fields (name, lower-case name, value); "" if there is none.

    Only its last four digits are the same in all processes.
    """
    for field in fields:
        if field[1] in _NAMING:
            return _digests.get(hash(field[2])) or _digest(field[2])
    return ""


def _digest(value: bytes) -> str:
    named = lasting(value, any_scheme=True)
    digest = hashlib.blake2b(named, key=_SECRET, digest_size=8).hexdigest() + hashlib.blake2b(named, digest_size=2).hexdigest()
    if len(_digests) >= _MAX_CREDENTIALS:
        _digests.clear()
    _digests[hash(value)] = digest
    return digest

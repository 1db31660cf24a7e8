"""What in a request names its caller."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable

from .._util.lazy_regex import regex

SIGNING = frozenset(b"aws4-ecdsa-p256-sha256 aws4-hmac-sha256 digest hawk oauth signature".split())
"""Schemes that are known to sign each request anew."""

_PARAMETER = regex(rb'(?<![\w*-])([\w*-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^",]*)', re.DOTALL)
_ANEW = frozenset(
    b"cnonce nc nonce opaque response uri mac hash ts created expires sig signature signedheaders headers "
    b"oauth_nonce oauth_signature oauth_timestamp".split()
)
"""What those say anew with each request (RFC 7616, 3.4; RFC 5849, 3.1; AWS Signature 4; Hawk)."""

_NAMING = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-auth-token", b"private-token"})

_SECRET = os.urandom(16)
_MOST = 1000

_digests: dict[int, str] = {}
"""By the hash of a header's value, so that none of these is kept."""


def lasting(credential: bytes, *, any_scheme: bool = False) -> bytes:
    """What in an Authorization stays the same in each request: all of it, unless its scheme is one of `SIGNING` (or any)."""
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


def credential(fields: Iterable[tuple[bytes, bytes, bytes]]) -> str:
    """A hash, of no use to anyone else, of what names the caller in a header; "" if nothing does. See `Flavour.fields`.

    Its last four digits, and they alone, are the same in all processes.
    """
    for field in fields:
        if field[1] in _NAMING:
            return _digests.get(hash(field[2])) or _digest(field[2])
    return ""


def _digest(value: bytes) -> str:
    named = lasting(value, any_scheme=True)
    digest = hashlib.blake2b(named, key=_SECRET, digest_size=8).hexdigest() + hashlib.blake2b(named, digest_size=2).hexdigest()
    if len(_digests) >= _MOST:
        _digests.clear()
    _digests[hash(value)] = digest
    return digest

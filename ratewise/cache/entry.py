"""A stored response, in memory and as bytes. Pure."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

MAGIC = b"RWC1"
"""The version of the binary form: another one is not understood, and a miss."""

_MAC = 16
_HEAD = struct.Struct(">Hddd?dd???IIQ")
"""Status, born, received, lifetime, HEAD, stale-while-revalidate, stale-if-error, no-cache, must-revalidate, checkable; then
the lengths of what Vary names with the digest, of the fields, of the body."""

Field = tuple[bytes, bytes, bytes]
"""The name as it was written, in lower case, and the value. See `Flavour.fields`."""


_MOST, _LONG = 1000, 4096
_unpacked: dict[bytes, tuple[Field, ...]] = {}
"""What is used again and again is unpacked once, and all else is packed: it takes a third of the room."""


class Policy(NamedTuple):
    """What a response, and the settings, say about using it again. Seconds."""

    lifetime: float
    """It is fresh while its age is less than this."""
    no_cache: bool = False
    """Never used without asking the server."""
    must_revalidate: bool = False
    """Never used stale."""
    stale_while_revalidate: float | None = None
    """How long it may be used stale while it is asked for anew (RFC 5861, 3); None if the server does not say."""
    stale_if_error: float | None = None
    """How long it may be used stale instead of an error (RFC 5861, 4); None if the server does not say."""
    checkable: bool = False
    """The server can be asked whether it is still good."""


class Entry:
    """One stored response. Never changed once it is stored: many may be reading it."""

    __slots__ = ("body", "born", "head", "head_only", "policy", "received", "selector", "status", "vary")

    def __init__(
        self,
        status: int,
        head: bytes,
        body: bytes,
        *,
        born: float,
        received: float,
        policy: Policy,
        vary: tuple[bytes, ...] = (),
        selector: bytes = b"",
        head_only: bool = False,
    ) -> None:
        self.status = status
        self.head = head
        """Its header fields: see `pack`."""
        self.body = body
        """The bytes that came over the wire, not decoded."""
        self.born = born
        """When its age was 0, by the wall clock: RFC 9111, 4.2.3."""
        self.received = received
        """When it came, by the same clock."""
        self.policy = policy
        self.vary = vary
        """The request fields that it varies by, in lower case and sorted."""
        self.selector = selector
        """A keyed hash of what these were in the request."""
        self.head_only = head_only
        """It answers HEAD alone."""

    @property
    def fields(self) -> tuple[Field, ...]:
        return unpack(self.head)

    def get(self, name: bytes) -> bytes | None:
        """The values of a header field, joined; None if it is not there."""
        values = [value for _, lower, value in self.fields if lower == name]
        return b", ".join(values) if values else None

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.head) + len(self.body)


Entries = tuple[Entry, ...]
"""What is stored under one key: one for each selection that Vary makes, the latest first."""


def pack(fields: Iterable[Field], without: Collection[bytes] = ()) -> bytes:
    """Header fields in one piece, but for those `without`. One that could forge another is left out (RFC 9110, 5.5)."""
    pairs = [name + b"\n" + value for name, lower, value in fields if lower not in without]
    head = b"\n".join(pairs)
    if head.count(b"\n") == 2 * len(pairs) - 1 or not pairs:
        return head
    return pack([field for field in fields if b"\n" not in field[0] + field[2]], without)


def unpack(head: bytes) -> tuple[Field, ...]:
    """The fields of `pack`."""
    fields = _unpacked.get(head)
    if fields is None:
        parts = head.split(b"\n") if head else []
        names = parts[::2]
        fields = tuple(zip(names, map(bytes.lower, names), parts[1::2]))
        if len(_unpacked) >= _MOST:
            _unpacked.clear()
        if len(head) <= _LONG:
            _unpacked[head] = fields
    return fields


def encode(entries: Sequence[Entry], key: bytes, secret: bytes) -> bytes:
    """Entries as bytes, signed together with the key that they are stored under."""
    parts = []
    for entry in entries:
        varied = b"\n".join((entry.selector.hex().encode(), *entry.vary)) if entry.vary else b""
        policy = entry.policy
        parts += [
            _HEAD.pack(
                entry.status,
                entry.born,
                entry.received,
                policy.lifetime,
                entry.head_only,
                *(-1.0 if said is None else said for said in (policy.stale_while_revalidate, policy.stale_if_error)),
                policy.no_cache,
                policy.must_revalidate,
                policy.checkable,
                len(varied),
                len(entry.head),
                len(entry.body),
            ),
            varied,
            entry.head,
            entry.body,
        ]
    value = b"".join(parts)
    return b"".join((MAGIC, _signature(value, key, secret), value))


def decode(value: object, key: bytes, secret: bytes) -> Entries | None:
    """The entries in a value of `encode`; None if it is anything else, down to a single bit."""
    start = len(MAGIC) + _MAC
    if not isinstance(value, bytes) or value[: len(MAGIC)] != MAGIC:
        return None
    signed = memoryview(value)[start:]
    if not hmac.compare_digest(value[len(MAGIC) : start], _signature(signed, key, secret)):
        return None
    entries = []
    while start < len(value):
        status, born, received, lifetime, head_only, swr, sie, no_cache, strict, checkable, *lengths = _HEAD.unpack_from(
            value, start
        )
        start += _HEAD.size
        varied, head, body = (value[start : (start := start + length)] for length in lengths)
        selector, *vary = varied.split(b"\n") if varied else (b"",)
        revalidate, error = (None if said < 0 else said for said in (swr, sie))
        policy = Policy(lifetime, no_cache, strict, revalidate, error, checkable)
        entries.append(
            Entry(
                status,
                head,
                body,
                born=born,
                received=received,
                policy=policy,
                vary=tuple(vary),
                selector=bytes.fromhex(selector.decode()),
                head_only=head_only,
            )
        )
    return tuple(entries)


def _signature(value: bytes | memoryview, key: bytes, secret: bytes) -> bytes:
    digest = hashlib.blake2b(key, key=secret, digest_size=_MAC)
    digest.update(value)
    return digest.digest()

"""A stored response, in memory and as bytes."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

MAGIC = b"RWC1"
"""The version of the binary form. A value with another one is a miss."""

_MAC = 16
"""Bytes of a signature."""
_HEAD = struct.Struct(">Hddd?dd???IIQ")
"""Status, born, received, lifetime, head_only, stale-while-revalidate, stale-if-error, no-cache, must-revalidate, checkable; then
the lengths of the selector with the names in Vary, of the header and of the body."""

Field = tuple[bytes, bytes, bytes]
"""A header field: its name as received, the name in lower case, and its value."""

_MAX_UNPACKED, _MAX_UNPACKED_SIZE = 1000, 4096
"""Headers that are kept unpacked, at most; and the length in bytes up to which one is kept."""
_unpacked: dict[bytes, tuple[Field, ...]] = {}
"""Headers in frequent use. All others stay packed, which takes a third of the memory."""


class Policy(NamedTuple):
    """What a response and the settings say about reusing it. Durations are in seconds."""

    lifetime: float
    """The response is fresh while its age is less than this."""
    no_cache: bool = False
    """It may not be used without revalidation."""
    must_revalidate: bool = False
    """It may not be used stale."""
    stale_while_revalidate: float | None = None
    """How long it may be used stale while it is refreshed (RFC 5861, 3); None if the server does not say."""
    stale_if_error: float | None = None
    """How long it may be used stale instead of an error (RFC 5861, 4); None if the server does not say."""
    checkable: bool = False
    """It has a validator: the server can be asked whether it is still valid."""


class Entry:
    """One stored response. Not changed once it is stored: other threads may be reading it."""

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
        """Its header fields in the form of `pack`."""
        self.body = body
        """The body as it came over the wire, not decoded."""
        self.born = born
        """When its age was 0, by the wall clock (RFC 9111, 4.2.3)."""
        self.received = received
        """When it arrived, by the wall clock."""
        self.policy = policy
        self.vary = vary
        """The request fields that its Vary names, in lower case and sorted."""
        self.selector = selector
        """A keyed hash of the values of these fields in its request."""
        self.head_only = head_only
        """It is the response to a HEAD: it has no body and answers HEAD alone."""

    @property
    def fields(self) -> tuple[Field, ...]:
        return unpack(self.head)

    def get(self, name: bytes) -> bytes | None:
        """Return the combined value of a header field; None if it is missing."""
        values = [value for _, lower, value in self.fields if lower == name]
        return b", ".join(values) if values else None

    @property
    def size(self) -> int:
        """Bytes of its header and body."""
        return len(self.head) + len(self.body)


Entries = tuple[Entry, ...]
"""What is stored under one key: one entry for each variant (RFC 9111, 4.1), the latest first."""


def pack(fields: Iterable[Field], without: Collection[bytes] = ()) -> bytes:
    """Return header fields as one value, except those in `without` and those with a newline (RFC 9110, 5.5)."""
    pairs = [name + b"\n" + value for name, lower, value in fields if lower not in without]
    head = b"\n".join(pairs)
    if head.count(b"\n") == 2 * len(pairs) - 1 or not pairs:
        return head
    return pack([field for field in fields if b"\n" not in field[0] + field[2]], without)


def unpack(head: bytes) -> tuple[Field, ...]:
    """Return the fields of a value made by `pack`."""
    fields = _unpacked.get(head)
    if fields is None:
        parts = head.split(b"\n") if head else []
        names = parts[::2]
        fields = tuple(zip(names, map(bytes.lower, names), parts[1::2]))
        if len(_unpacked) >= _MAX_UNPACKED:
            _unpacked.clear()
        if len(head) <= _MAX_UNPACKED_SIZE:
            _unpacked[head] = fields
    return fields


def encode(entries: Sequence[Entry], key: bytes, secret: bytes) -> bytes:
    """Return entries as bytes, signed together with the key that they are stored under."""
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
                *(-1.0 if given is None else given for given in (policy.stale_while_revalidate, policy.stale_if_error)),
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
    """Return the entries in a value made by `encode` with this key and secret; None for any other value."""
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
        revalidate, error = (None if given < 0 else given for given in (swr, sie))
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

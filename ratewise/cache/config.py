"""The settings of a cache layer, whatever its store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from .._keywords import explained
from .._validation import flag, names_of, refusal, seconds, whole

Mode = Literal["rfc9111", "force"]

MEBIBYTE = 1024 * 1024
"""Bytes."""


@explained()
class CacheConfig:
    """How a cache behaves, whatever its store.

    - `mode`: "rfc9111" follows the server. "force" ignores it: a successful response is fresh for the `ttl` of the store.
    - `shared`: a shared cache, which serves a response to more than one user (RFC 9111, 1); otherwise a private one.
    - `partition`: request header fields whose values separate the stored responses of different users. None: every field that
      identifies a user, such as Authorization, Cookie and X-API-Key.
    - `targeted`: response header fields that replace Cache-Control and Expires, such as "CDN-Cache-Control", in the order of
      their precedence (RFC 9213).
    - `stale_while_revalidate`, `stale_if_error`: seconds for which a stale response may be used while it is refreshed, or
      instead of an error, if the server does not say (RFC 5861); at least 0.
    - `max_body_size`: bytes; a larger body is not stored; at least 0.
    - `max_wait`: seconds for which a request waits for one like it that is in progress, at most; at least 0.
    - `keep_stale`: seconds for which a stale response is kept so that it can be revalidated; at least 0.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        mode: Mode = "rfc9111",
        *,
        shared: bool = False,
        partition: Iterable[str] | None = None,
        targeted: Iterable[str] = (),
        stale_while_revalidate: float = 0.0,
        stale_if_error: float = 0.0,
        max_body_size: int = 5 * MEBIBYTE,
        max_wait: float = 10.0,
        keep_stale: float = 86400.0,
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(refusal("mode", mode, '"rfc9111" or "force"'))
        self.mode = mode
        self.shared = flag("shared", shared)
        self.partition = None if partition is None else frozenset(_field_names("partition", partition))
        self.targeted = tuple(_field_names("targeted", targeted))
        self.stale_while_revalidate = seconds("stale_while_revalidate", stale_while_revalidate)
        self.stale_if_error = seconds("stale_if_error", stale_if_error)
        self.max_body_size = whole("max_body_size", max_body_size, least=0)
        self.max_wait = seconds("max_wait", max_wait)
        self.keep_stale = seconds("keep_stale", keep_stale)

    def __repr__(self) -> str:
        return f"CacheConfig(mode={self.mode!r}, shared={self.shared})"


def _field_names(setting: str, names: Iterable[str]) -> Collection[bytes]:
    found = names_of(setting, names)
    if not all(name.isascii() and name.isprintable() and " " not in name for name in found):
        raise ValueError(refusal(setting, found, "names of header fields"))
    return [name.lower().encode() for name in found]

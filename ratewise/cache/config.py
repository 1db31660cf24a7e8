"""The settings of a cache that are not its store's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from .._keywords import explained
from .._validation import flag, names_of, refusal, seconds, whole

Mode = Literal["rfc9111", "force"]

MEBIBYTE = 1024 * 1024


@explained()
class CacheConfig:
    """How a cache behaves, whatever its store.

    - `mode`: "rfc9111" does what the server says. "force" does not ask it: what succeeded is fresh for the store's `ttl`.
    - `shared`: a cache for the answers to more than one user, with the rules for those (RFC 9111, 1). Else a private one.
    - `partition`: request header fields by whose values answers are kept apart. None: every field that is a credential.
    - `targeted`: response header fields that are obeyed instead of Cache-Control and Expires, such as "CDN-Cache-Control", the
      first one first (RFC 9213).
    - `stale_while_revalidate`, `stale_if_error`: seconds of at least 0 for which a stale response may be used while it is
      asked for anew, or instead of an error, where the server does not say (RFC 5861).
    - `max_body_size`: bytes of at least 0; what is larger is not stored.
    - `max_wait`: seconds of at least 0 that a request waits at most for one like it that is under way.
    - `keep_stale`: seconds of at least 0 for which a response is kept when it is stale, to be revalidated.

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
        self.partition = None if partition is None else frozenset(_names("partition", partition))
        self.targeted = tuple(_names("targeted", targeted))
        self.stale_while_revalidate = seconds("stale_while_revalidate", stale_while_revalidate)
        self.stale_if_error = seconds("stale_if_error", stale_if_error)
        self.max_body_size = whole("max_body_size", max_body_size, least=0)
        self.max_wait = seconds("max_wait", max_wait)
        self.keep_stale = seconds("keep_stale", keep_stale)

    def __repr__(self) -> str:
        return f"CacheConfig(mode={self.mode!r}, shared={self.shared})"


def _names(setting: str, names: Iterable[str]) -> Collection[bytes]:
    found = names_of(setting, names)
    if not all(name.isascii() and name.isprintable() and " " not in name for name in found):
        raise ValueError(refusal(setting, found, "names of header fields"))
    return [name.lower().encode() for name in found]

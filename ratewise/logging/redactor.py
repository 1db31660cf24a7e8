"""The redactor, which masks secrets by the built-in lists and by names and formats of the user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from .._keywords import explained
from .._redaction.masker import Masker, MaskStyle
from .._validation import compiled, flag, names_of, refusal


@explained()
class Redactor(Masker):
    """Masks secrets in headers, URLs, bodies and text.

    - `headers`, `query_params`, `patterns` (regular expressions): names and formats to mask in addition to the built-in ones;
      `defaults=False` disables the built-in ones.
    - `mask_style`: what a secret is replaced by. "full": `[REDACTED]`, in URLs `REDACTED`. "partial": its first and last 4
      characters if it has at least 16, else as "full"; also as "full" are Basic credentials and values that contain several
      secrets, such as cookies. "hash": a hash that is the same for equal secrets within this process, to tell secrets apart.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        *,
        headers: Iterable[str] = (),
        query_params: Iterable[str] = (),
        patterns: Iterable[str] = (),
        mask_style: MaskStyle = "full",
        defaults: bool = True,
    ) -> None:
        if mask_style not in get_args(MaskStyle):
            raise ValueError(refusal("mask_style", mask_style, '"full", "partial" or "hash"'))
        flag("defaults", defaults)
        super().__init__(
            names_of("headers", headers),
            names_of("query_params", query_params),
            compiled("patterns", patterns),
            mask_style,
            defaults,
        )


DEFAULT_REDACTOR = Redactor()
"""Masks by the built-in lists, in full."""

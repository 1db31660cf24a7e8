"""What masks secrets, with names and formats of the user's beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from .._keywords import explained
from .._redaction.masker import Masker, MaskStyle
from .._validation import compiled, flag, names_of, refusal


@explained()
class Redactor(Masker):
    """Masks the secrets in what is to be shown.

    `headers`, `query_params` and `patterns` (regular expressions) are names and formats to mask beside the built-in ones;
    `defaults=False` leaves those out. `mask_style` is what a secret becomes: "full": `[REDACTED]` (in URLs `REDACTED`);
    "partial": its first and last 4 characters if it has 16 or more, else as "full", and so are several cookies or other secrets
    in one, and Basic credentials; "hash": a number that is the same for the same secret within this process, to tell secrets
    apart.

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
"""The built-in lists, masked in full."""

"""The redactor, which masks secrets by the built-in lists and by names and formats of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from .._keywords import explained
from .._redaction.masker import MAX_TEXT_LENGTH, Masker, MaskStyle
from .._validation import compiled, flag, names_of, refusal


@explained()
class Redactor:
    """Masks secrets in headers, URLs and text.

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
        self._masker = Masker(
            names_of("headers", headers),
            names_of("query_params", query_params),
            compiled("patterns", patterns),
            mask_style,
            defaults,
        )

    @property
    def mask_style(self) -> MaskStyle:
        """What a secret is replaced by."""
        return self._masker.mask_style

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._masker == other._masker

    def __hash__(self) -> int:
        return hash(self._masker)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mask_style={self.mask_style!r})"

    def header(self, name: str, value: str) -> str:
        """Return the value of a header field, masked."""
        return self._masker.header(name, value)

    def headers(self, fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return all header fields, given as a mapping or in pairs, masked."""
        return self._masker.headers(fields)

    def url(self, url: object) -> str:
        """Return a URL, given as a string or an object, with userinfo and the secrets in path, query and fragment masked."""
        return self._masker.url(url)

    def text(self, text: str, *, longest: int | None = MAX_TEXT_LENGTH) -> str:
        """Return any text with what looks like a token or a private key masked, and its URLs masked as `url` does.

        `longest`: characters that are searched and shown, at most; None for all.
        """
        return self._masker.text(text, longest=longest)


DEFAULT_REDACTOR = Redactor()
"""Masks by the built-in lists, in full."""

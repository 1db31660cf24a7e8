"""Settings: what is logged of a request and its response, and what is masked."""

from __future__ import annotations

from collections.abc import Iterable

from .._keywords import explained
from .._redaction.masker import MaskStyle
from .._validation import compiled, flag, names_of, refusal
from .redactor import Redactor

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""The levels of the standard library, by name."""


def level_of(level: str | int) -> int:
    """Return the number of a level that is given by name or number. Raises `TypeError` or `ValueError` for anything else."""
    allowed = '"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" or a number of at least 0'
    if isinstance(level, bool) or not isinstance(level, (str, int)):
        raise TypeError(refusal("level", level, allowed))
    number = LEVELS.get(level.upper(), -1) if isinstance(level, str) else level
    if number < 0:
        raise ValueError(refusal("level", level, allowed))
    return number


@explained()
class LogConfig:
    """Settings of `LoggingLayer`: what is logged of each request and its response, and how secrets are masked.

    - `level`: at "INFO" one line for each request and one for each response; at "DEBUG" request headers too; above "INFO"
      nothing. The level of the logger `ratewise` applies as well.
    - `redact_headers`, `redact_query_params` (also fields of forms and keys of JSON), `redact_patterns` (regular expressions):
      what is masked in addition to the built-in lists. `defaults=False` disables these lists; passwords in URLs, and cookies as
      libraries show them, are masked nevertheless.
    - `mask_style`: "full", "partial" or "hash", as for `Redactor`. The attribute `redactor` is the resulting one.
    - `response_headers`: at "DEBUG", log response headers too.
    - `bodies`: at "DEBUG", log bodies that are JSON, XML, forms, plain text or event streams, at most 16 KiB each, masked by key.
      Nothing is read for the log: a response body is logged when the caller has read it, a request body only if it is in memory.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        level: str | int = "INFO",
        redact_headers: Iterable[str] = (),
        redact_patterns: Iterable[str] = (),
        *,
        redact_query_params: Iterable[str] = (),
        mask_style: MaskStyle = "full",
        defaults: bool = True,
        response_headers: bool = False,
        bodies: bool = False,
    ) -> None:
        self.level = level
        self._number = level_of(level)
        """The level as a number."""
        patterns = [pattern.pattern for pattern in compiled("redact_patterns", redact_patterns)]
        self.redactor = Redactor(
            headers=names_of("redact_headers", redact_headers),
            query_params=names_of("redact_query_params", redact_query_params),
            patterns=patterns,
            mask_style=mask_style,
            defaults=defaults,
        )
        self.response_headers = flag("response_headers", response_headers)
        self.bodies = flag("bodies", bodies)

    def __repr__(self) -> str:
        flags = "".join(f", {name}=True" for name in ("response_headers", "bodies") if getattr(self, name))
        return f"LogConfig(level={self.level!r}, mask_style={self.redactor.mask_style!r}{flags})"

"""What is logged of a request and its response, and what is masked in it."""

from __future__ import annotations

from collections.abc import Iterable

from .._keywords import explained
from .._redaction.masker import MaskStyle
from .._validation import compiled, flag, names_of, refusal
from .redactor import Redactor

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


def level_of(level: str | int) -> int:
    """A level of the standard library, by name or number."""
    allowed = '"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" or a number of at least 0'
    if isinstance(level, bool) or not isinstance(level, (str, int)):
        raise TypeError(refusal("level", level, allowed))
    number = LEVELS.get(level.upper(), -1) if isinstance(level, str) else level
    if number < 0:
        raise ValueError(refusal("level", level, allowed))
    return number


@explained()
class LogConfig:
    """What is logged of each request and its response, and how secrets in it are masked.

    - `level`: "INFO": a line for each request and one for each response; "DEBUG": request headers too; higher: neither. The level
      of the logger `ratewise` counts beside it.
    - `redact_headers`, `redact_query_params` (of forms and JSON too), `redact_patterns` (regular expressions): what is masked
      beside the built-in lists. `defaults=False`: without these lists; passwords in URLs, and what libraries show of cookies, are
      masked all the same.
    - `mask_style`: "full", "partial" or "hash"; see `Redactor`, which is `redactor` later.
    - `response_headers`: at "DEBUG", response headers too.
    - `bodies`: at "DEBUG", bodies of JSON, XML, forms, plain text and event streams, 16 KiB of them at most, masked by key.
      Nothing is read for the log: a response's is logged when it has been read, and a request's only if it is in memory.

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
        self.number = level_of(level)
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

"""Adding and removing escapes. Pure functions."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from .lazy_regex import regex

_NOT_ASCII = regex(r"[^ -~]+")
"""Everything but printable ASCII."""

_JSON_ESCAPE = regex(r"\\{1,8}u([0-9A-Fa-f]{4})")
"""An escape of JSON, also of JSON in the strings of JSON."""


def decoded(name: str) -> str:
    """Return the name of a parameter without percent-encoding, which may have been applied up to three times."""
    for _ in range(3):
        name = unquote_plus(name)
        if "%" not in name:
            break
    return name


def unescaped(name: str) -> str:
    """Return a name of JSON without its `\\u` escapes."""
    return _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)), name) if "\\" in name else name


def escaped(text: str) -> str:
    """Return the text on one line: control characters and others that are not printable become Python escapes."""
    return text if text.isprintable() else _NOT_ASCII.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in match[0])

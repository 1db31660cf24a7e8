"""Texts with escapes: on one line, or as the names that they are. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from .lazy_regex import regex

_NOT_SHOWN = regex(r"[^ -~]+")
_OF_JSON = regex(r"\\{1,8}u([0-9A-Fa-f]{4})")


def decoded(name: str) -> str:
    """The name of a parameter, percent-encoded once or more often."""
    for _ in range(3):
        name = unquote_plus(name)
        if "%" not in name:
            break
    return name


def unescaped(name: str) -> str:
    """A name of JSON that may have escapes."""
    return _OF_JSON.sub(lambda match: chr(int(match[1], 16)), name) if "\\" in name else name


def escaped(text: str) -> str:
    """The text on one line, without characters that a terminal or a viewer acts on: these are written as in Python."""
    return text if text.isprintable() else _NOT_SHOWN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in match[0])

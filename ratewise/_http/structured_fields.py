"""Structured fields (RFC 9651): the subset that rate-limit fields use, without inner lists, dates and display strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Union

from .._util.lazy_regex import regex

_KEY = r"(?P<key>[a-z*][a-z0-9_.*-]*)"
_BARE = (
    r'(?:"(?P<string>(?:[ !#-\[\]-~]|\\["\\])*)"'
    r"|(?P<decimal>-?[0-9]{1,12}\.[0-9]{1,3})"
    r"|(?P<integer>-?[0-9]{1,15})"
    r"|(?P<token>[A-Za-z*][!#$%&'*+.^_`|~:/A-Za-z0-9-]*)"
    r"|:(?P<bytes>(?:(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3})?(?<=[A-Za-z0-9+/])={0,2})?):"
    r"|\?(?P<boolean>[01]))"
)
"""A bare item (RFC 9651, 3.3)."""

PAIR = regex(rf"{_KEY}(?:={_BARE})?")
"""A key, with a value or without: a parameter, or a member of a Dictionary."""

_PARAMETER = regex(rf"; *{PAIR.pattern}")
"""A parameter, behind its semicolon."""

_MEMBER = regex(_BARE + "(?:" + re.sub(r"\?P<\w+>", "?:", _PARAMETER.pattern) + ")*")
"""A member of a List with its parameters."""

_INNER_LIST = r'\((?:[^()"]|"(?:[^"\\]|\\.)*")*\)'
"""A list in parentheses, with its parentheses."""

_PAIRED = regex(rf"{_KEY}(?:={_BARE}|=(?P<list>{_INNER_LIST}))?" + "(?:" + re.sub(r"\?P<\w+>", "?:", _PARAMETER.pattern) + ")*")
"""A member of a Dictionary with its parameters; its value may be an inner list."""

DICTIONARY = regex(rf"{_KEY}=")
"""The beginning of a Dictionary, as opposed to a List."""

_COMMA = regex(r"[ \t]*,[ \t]*")
COMMA_OR_SEMICOLON = regex(r"; *|[ \t]*,[ \t]*")
"""What separates the members of what is nearly a List or Dictionary."""

_ESCAPED = regex(r"\\(.)")
Bare = Union[bool, int, float, str, bytes]
Item = tuple[Bare, dict[str, Bare]]
_TYPES: dict[str, Callable[[str], Bare]] = {
    "key": bool,
    "decimal": float,
    "integer": int,
    "token": str,
    "bytes": str.encode,
    "list": str,
}
_TYPES.update(string=lambda text: _ESCAPED.sub(r"\1", text), boolean=lambda text: text == "1")
"""By group of the patterns above, how its text becomes a value."""


def parse_list(text: str) -> list[Item]:
    """Return the members of a List (RFC 9651, 4.2.1) with their parameters; none if it is malformed."""
    items: list[Item] = []
    for match in each(_MEMBER, _COMMA, text):
        parameters = _PARAMETER.finditer(text, match.end(match.lastgroup or 0), match.end())
        items.append((bare(match), {parameter["key"]: bare(parameter) for parameter in parameters}))
    return items


def parse_dictionary(text: str) -> dict[str, Bare]:
    """Return the members of a Dictionary (RFC 9651, 4.2.2) without their parameters; none if it is malformed.

    An inner list is given as it is written.
    """
    return {match["key"]: True if match.lastgroup == "key" else bare(match) for match in each(_PAIRED, _COMMA, text.strip(" "))}


def each(pattern: re.Pattern[str], separator: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """Return the matches of `pattern` if the text consists of them and separators; else none."""
    found = []
    match = pattern.match(text)
    while match is not None:
        found.append(match)
        if match.end() == len(text):
            return found
        gap = separator.match(text, match.end())
        match = pattern.match(text, gap.end()) if gap else None
    return []


def bare(match: re.Match[str]) -> Bare:
    return _TYPES[match.lastgroup or ""](match[match.lastgroup or ""])

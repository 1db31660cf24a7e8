"""Masking of XML: of the content of elements whose name, or whose label, is that of a secret. Linear in time."""

from __future__ import annotations

import re

from .._util.lazy_regex import regex
from .labels import is_credentials, is_near, labels
from .masker import HIDDEN, Masker
from .secrets import LABEL_ENDINGS, VALUE_ENDINGS

_TAG = regex(
    r"""
    (?P<begin><|&lt;|\\{1,8}u003[cC])(?P<end>\\?/)?(?P<name>[^\s<>&/"'=!?\\]+)
    (?P<attributes>(?:=\s*(?:"[^"]*"|'[^']*')|[^<>&\\]|&(?!lt;|gt;)|\\(?!\\{0,7}u003[cCeE]))*)
    (?:>|&gt;|\\{1,8}u003[eE]|\Z|(?=<|&lt;|\\{1,8}u003[cC]))
    """,
    re.VERBOSE,
)
"""A tag, also within a string of JSON (`<\\/a>`) or within the text of XML (`&lt;a&gt;`)."""

_CLOSING_TAG = regex(r"(?:<|&lt;|\\u003[cC])\\?/([^\s<>&/\"'=!?\\]+)")
"""A closing tag; its name is the group."""

_LABEL_ATTRIBUTE = regex(rf"""\s[\w.-]{{0,64}}(?:{"|".join(LABEL_ENDINGS)})\s*=\s*(["'])([^"'<>]{{1,128}})\1""", re.IGNORECASE)
"""An attribute that is a label; the second group is its value."""

_CHILD = regex(r"\s*(?:<|&lt;)\w")
"""The beginning of a child element."""

_FIRST_WORD = regex(r"[^\s<&\\]*")
"""The first word of the content of an element."""

_VALUE_ENDINGS = (*VALUE_ENDINGS, "string", "data")
"""How the names of elements end that contain a value; the last two in property lists."""


def elements(redactor: Masker, text: str, *, whole: bool = True) -> str:
    """Return the text with the content of secret elements masked.

    Of an element that is not closed, all content is hidden if the text was cut short (not `whole`), else only the first word,
    because it may not be an element.
    """
    closed = {found[1]: found.start() for found in _CLOSING_TAG.finditer(text)}  # the last position of each
    near = labels(redactor, text, whole=whole)
    shown: list[str] = []
    kept, depth = 0, 0
    closes: tuple[str, str] | None = None
    for found in _TAG.finditer(text):
        name, attributes = found["name"], found["attributes"]
        opens = not (found["end"] or attributes.endswith("/"))
        if closes:
            depth += ((name, found["begin"]) == closes) * (opens - bool(found["end"]))
            if depth:
                continue
            shown.append(_masked(redactor, text[kept : found.start()]))
            kept, closes = found.start(), None
        local = name.rpartition(":")[2]
        if not opens or not (
            redactor.is_secret_key(local)
            or (is_credentials(local.lower()) and _CHILD.match(text, found.end()))
            or any(redactor.is_secret_key(label[2]) for label in _LABEL_ATTRIBUTE.finditer(attributes))
            or (near and local.lower().endswith(_VALUE_ENDINGS) and is_near(near, found.start()))
        ):
            continue
        shown.append(text[kept : found.end()])
        kept = found.end()
        if closed.get(name, 0) > kept or not whole:
            closes, depth = (name, found["begin"]), 1
        else:
            word = _FIRST_WORD.match(text, kept)
            shown.append(_masked(redactor, word[0] if word else ""))
            kept = word.end() if word else kept
    rest = text[kept:]
    return "".join(shown) + (_masked(redactor, rest) if closes else rest)


def _masked(redactor: Masker, content: str) -> str:
    if not content.strip():
        return content
    return HIDDEN if "<" in content or "&" in content else redactor.mask(content)

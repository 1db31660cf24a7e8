"""Names that are ambiguous by themselves: labels, their values, and `auth`.

The value of an object may be named by a label, as in `{"name": "Cookie", "value": "..."}`. Which label belongs to which value is
known only where brackets and quotation marks are reliable, as in a JSON body. In text they are not, so that every value near
the name of a secret counts as secret.
"""

from __future__ import annotations

import re
from bisect import bisect
from typing import TYPE_CHECKING

from .._util.lazy_regex import regex
from .secrets import LABEL_ENDINGS, VALUE_ENDINGS

if TYPE_CHECKING:
    from .masker import Masker

MAX_LABEL_DISTANCE = 1000
"""Characters between a label and its value in a text, at most."""

_LABEL = regex(
    rf"""
    (?:{"|".join(LABEL_ENDINGS)})\\{{0,8}}(?:["'`]|&\#?\w{{1,4}};|%2[27]|\\u002[27])?
    (?:[ \t]*(?:[:=]|%3[ADad]|>|&gt;|\\u003[dDeE])=?>?\s*|,[ ])(?:<!\[CDATA\[)?
    (?=b?\\{{0,8}}(?:["'`]|&\#?\w{{1,4}};|%2[27]|\\u002[27])([\w./ -]{{1,128}})|([\w./-]{{1,128}}))
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
"""A label and, in a group, the name that is its value."""

_BASE64 = regex(r"(?=.*[\dA-Z])[A-Za-z0-9+/]{12,}={0,2}")
"""What may be `user:password` in Base64."""


def labels(redactor: Masker, text: str, *, whole: bool) -> list[int]:
    """Return the positions of labels that name secrets; also the end of a text that was cut short, where one may follow."""
    lower = text.lower()
    if not any(value in lower for value in (*VALUE_ENDINGS, "<string", "<data")):
        return []
    found = [match.start() for match in _LABEL.finditer(text) if redactor.is_secret_key((match[1] or match[2]).strip())]
    return found if whole else [*found, len(text)]


def is_near(labels: list[int], position: int) -> bool:
    """Whether one of the labels is near the position."""
    after = bisect(labels, position)
    return any(abs(label - position) <= MAX_LABEL_DISTANCE for label in labels[max(0, after - 1) : after + 1])


def is_credentials(plain: str) -> bool:
    """Whether the value of this name (lower case) may be a user and a password."""
    return plain.endswith("auth") and not plain.endswith("oauth")


def is_user_with_password(text: str) -> bool:
    """Whether the value of a name such as `auth` is `user:password`, possibly in Base64, and not the name of a scheme."""
    return ":" in text or _BASE64.fullmatch(text) is not None

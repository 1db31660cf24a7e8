"""Names that say little by themselves: those of labels and their values, and `auth`. Pure.

Objects may say by a label what their value is, such as `{"name": "Cookie", "value": "..."}`. Which label a value belongs to is
known only where brackets and quotation marks can be trusted, as in a body of JSON. In a text they cannot, so that every value
near the name of a secret is taken for one.
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
"""Characters between a label and a value, at most."""

_LABEL = regex(
    rf"""
    (?:{"|".join(LABEL_ENDINGS)})\\{{0,8}}(?:["'`]|&\#?\w{{1,4}};|%2[27]|\\u002[27])?
    (?:[ \t]*(?:[:=]|%3[ADad]|>|&gt;|\\u003[dDeE])=?>?\s*|,[ ])(?:<!\[CDATA\[)?
    (?=b?\\{{0,8}}(?:["'`]|&\#?\w{{1,4}};|%2[27]|\\u002[27])([\w./ -]{{1,128}})|([\w./-]{{1,128}}))
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_BASE64 = regex(r"(?=.*[\dA-Z])[A-Za-z0-9+/]{12,}={0,2}")


def labels(redactor: Masker, text: str, *, whole: bool) -> list[int]:
    """Where names of secrets stand as labels; if the text was cut short, there may be one at its end."""
    lower = text.lower()
    if not any(value in lower for value in (*VALUE_ENDINGS, "<string", "<data")):
        return []
    found = [match.start() for match in _LABEL.finditer(text) if redactor.is_secret_key((match[1] or match[2]).strip())]
    return found if whole else [*found, len(text)]


def is_near(labels: list[int], position: int) -> bool:
    """One of them is."""
    after = bisect(labels, position)
    return any(abs(label - position) <= MAX_LABEL_DISTANCE for label in labels[max(0, after - 1) : after + 1])


def is_credentials(plain: str) -> bool:
    """What goes by this name may be a user and a password."""
    return plain.endswith("auth") and not plain.endswith("oauth")


def is_user_with_password(text: str) -> bool:
    """What goes by the name `auth` is `user:password`, maybe in Base64, and not the name of a kind."""
    return ":" in text or _BASE64.fullmatch(text) is not None

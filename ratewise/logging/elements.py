"""XML as it may be shown: without what stands in elements whose names, or whose labels, are secret. Pure and linear."""

from __future__ import annotations

import re

from ..redact import HIDDEN, Redactor

LABELS = frozenset("name key header field param parameter attribute".split())
"""What keys, attributes and elements are called whose value is the name of something."""

_MARKUP = re.compile(
    r"""
    <!--.*?(?:-->|\Z) | <!\[CDATA\[.*?(?:\]\]>|\Z)
    | <(?P<end>/?)(?P<name>[^\s<>/"'=!?]+)(?P<attributes>(?:=\s*(?:"[^"]*"|'[^']*')|[^<>])*)(?:>|\Z|(?=<))
    | [^<]+ | <
    """,
    re.DOTALL | re.VERBOSE,
)
_LABEL = re.compile(rf"""\s(?:{"|".join(sorted(LABELS))})=(["'])([^"'<>]{{1,128}})\1""", re.IGNORECASE)


def elements(redactor: Redactor, text: str) -> str:
    """The text without what stands in secret elements, to their ends or, without one, to that of the text."""
    shown: list[str] = []
    hidden: list[str] = []
    closes, depth, last, labelled = "", 0, "", False
    for found in _MARKUP.finditer(text):
        name, attributes = found["name"], found["attributes"] or ""
        if closes:
            if name == closes and not attributes.endswith("/"):
                depth += -1 if found["end"] else 1
            if depth:
                hidden.append(found[0])
                continue
            shown.append(_masked(redactor, "".join(hidden)))
            closes = ""
        elif name is None:
            last = found[0]
        elif found["end"]:
            labelled = _local(name).lower() in LABELS and redactor.is_secret_key(last.strip())
        elif not attributes.endswith("/"):
            label = _LABEL.search(attributes)
            if labelled or redactor.is_secret_key(_local(name)) or (label and redactor.is_secret_key(label[2])):
                closes, depth, hidden = name, 1, []
            labelled = False
        shown.append(found[0])
    return "".join(shown) + (_masked(redactor, "".join(hidden)) if closes else "")


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _masked(redactor: Redactor, content: str) -> str:
    if not content.strip():
        return content
    return HIDDEN if "<" in content else redactor.mask(content)

"""Texts as they may be shown, where names say what is secret. Pure, and linear in what it is given."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..known_secrets import URL_HEADERS
from ..redact import HIDDEN, LONGEST_TEXT, Redactor, escaped, unescaped
from .elements import LABELS, elements

VALUES = frozenset("value values val content".split())

NOTHING = frozenset(("", *"None null True true False false".split()))
"""What is no secret, whatever its name."""

_QUOTE = r"""(?:\\{0,8}["'`]|\\{1,8}u002[27]|&(?:quot|apos|\#34|\#39|\#x22|\#x27);|%2[27])"""
"""A quotation mark, also within the strings of JSON, HTML, and URLs."""

_NAMED = re.compile(
    rf"""
    (?<![\w.-])(?P<name>[\w.-]{{1,256}}(?:\\{{1,8}}u(?!002[27])[0-9A-Fa-f]{{4}}[\w.-]{{0,64}}){{0,64}})(?=["'`\\&%\]\t :=,])
    (?P<quote>{_QUOTE}?)\]?{_QUOTE}?[ \t]*(?P<sign>=>?|:|%3[ADad]|,(?=[ ]?b?\\{{0,8}}["']))[ \t]*(?:b(?=["']))?
    """,
    re.ASCII | re.VERBOSE,
)
"""A name and what stands before its value: in JSON, as Python writes dicts and pairs, in `Name: value` and `name=value`."""

_PAIR_BEGINS = re.compile(r"""[(\[]b?\\{0,8}["']\Z""")
_OPENING = re.compile(rf"""(?P<slashes>\\{{0,8}})(?P<mark>'''|\"\"\"|["'`])|{_QUOTE}""")
_CLOSING = {mark: re.compile(rf"(?<!\\)(\\*){mark}") for mark in "\"'`"}
_LABEL = re.compile(rf"{_QUOTE}([\w.-]{{1,128}}){_QUOTE}", re.ASCII)
_AFTER_ESCAPE = {"\\": re.compile(r"\A(?:[nrt]|x[0-9A-Fa-f]{2})"), "%": re.compile(r"\A[0-9A-Fa-f]{2}")}
_BRACKETED = re.compile(r"[\w.]{0,64}(?=[{\[(])")  # `SecretStr('...')` is one value
_BRACKETS = re.compile(r"""'(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]()]""", re.DOTALL)
_OBJECT_END = re.compile(r"[}>]")
_IN_ANGLES = re.compile(r"<[^<>]*>?")
_TO_LINE_END = re.compile(r"[|>][-+\d]{0,2}[ \t]*(?:\r?\n[ \t]+[^\r\n]*)+|[^\r\n]+(?:\r\n[ \t]+[^\r\n]+)*")  # of YAML, of HTTP
_TO_NEXT = re.compile(r"""(?:(?:Basic|Bearer|Digest|Token)[ \t]+)?(?:[^\s&;,"'<>]|,(?=[^\s]))+""", re.IGNORECASE)
_TO_COMMA = re.compile(r"[^\s,}\]]+")
_PROXY_AUTH = re.compile(
    r"""(\bauth=\()b?(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?), b?(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?)"""
)
"""How httpcore tells of a SOCKS proxy."""

_COOKIE = re.compile(r"(<SimpleCookie: |<Cookie [^\s=>]{1,256}=)[^>]*?(?= for [^\s>]* ?/?>|>|\Z)")
_JAR = re.compile(r"(\bCookie\(version=[^()']{0,100}'[^']{0,256}', value=)'[^']*'?")
"""How Python and httpx show the cookies of a jar."""


def message(redactor: Redactor, text: str) -> str:
    """Any text, such as another logger's, without the values of secret names in it, and on one line."""
    return escaped(named(redactor, redactor.text(text)))


def lines(redactor: Redactor, text: str) -> str:
    """The same for a text of several lines, such as a traceback."""
    shown = []
    while text:  # in pieces that are looked through whole: it is the end of a traceback that tells most
        cut = len(text)
        if cut > LONGEST_TEXT:
            cut = text.rfind("\n", 0, LONGEST_TEXT) + 1 or text.find("\n") + 1 or cut
            key = text.rfind("-----BEGIN ", 1, cut)
            if key > 0 and "-----END " not in text[key:cut]:  # a private key is masked whole, or not at all
                cut = key
        shown.append(named(redactor, redactor.text(text[:cut])))
        text = text[cut:]
    return "\n".join(map(escaped, "".join(shown).split("\n")))


def named(redactor: Redactor, text: str) -> str:
    """The text without the values of secret names in it."""
    if "auth=(" in text:
        text = _PROXY_AUTH.sub(rf"\1{HIDDEN}", text)
    if "Cookie" in text:
        text = _COOKIE.sub(rf"\1{HIDDEN}", _JAR.sub(rf"\1{HIDDEN}", text))
    if "</" in text:
        text = elements(redactor, text)
    shown: list[tuple[int, int, str]] = []
    position, labelled = 0, False
    unlabelled: _Value | None = None  # the value of an object whose label has not come yet
    while (found := _NAMED.search(text, position)) is not None:
        position = found.end()
        name = _name(redactor, found)
        plain = name.lower()
        is_url = plain in URL_HEADERS
        if not (is_url or redactor.is_secret_key(name) or (labelled and plain in VALUES)):
            if plain in VALUES and (opening := _OPENING.match(text, position)):
                unlabelled = _quoted(opening, text)
            elif plain in LABELS and (label := _LABEL.match(text, position)):
                labelled = redactor.is_secret_key(label[1])
                if labelled and unlabelled and not _OBJECT_END.search(text, unlabelled.end, position):
                    shown.append((unlabelled.start, unlabelled.stop, redactor.mask(text[unlabelled.start : unlabelled.stop])))
                    labelled = False
                unlabelled = None
            continue  # there may be others in its value
        labelled = labelled and plain not in VALUES
        if found["sign"] == "," and not _PAIR_BEGINS.search(text, max(0, found.start() - 12), found.start()):
            continue  # one of several, such as the value before another key
        value = _value(found, text, position)
        if value is None or text[value.start : value.stop] in NOTHING:
            continue
        inner = text[value.start : value.stop]
        masked = redactor.header(name, inner) if is_url else HIDDEN if value.is_compound else redactor.mask(inner)
        shown.append((value.start, value.stop, masked))
        position = value.end
    parts, kept = [], 0
    for start, stop, masked in sorted(shown):
        if start >= kept:
            parts += [text[kept:start], masked]
            kept = stop
    return "".join([*parts, text[kept:]])


class _Value(NamedTuple):
    """Where in a text a value stands: without its quotation marks, and with them."""

    start: int
    stop: int
    end: int
    is_compound: bool = False


def _name(redactor: Redactor, found: re.Match[str]) -> str:
    name, before = unescaped(found["name"]), found.string[found.start() - 1 : found.start()]
    if before in _AFTER_ESCAPE and not redactor.is_secret_key(name):  # `\ntoken`: it is another one
        name = _AFTER_ESCAPE[before].sub("", unescaped(before + name).lstrip(before + "\"'"))
    return name


def _value(found: re.Match[str], text: str, position: int) -> _Value | None:
    opening = _OPENING.match(text, position)
    if opening:
        return _quoted(opening, text)
    bracketed = _BRACKETED.match(text, position)
    if bracketed:
        end = _bracketed(text, bracketed.end())
        return _Value(position, end, end, is_compound=True)
    if text[position : position + 1] == "<":
        kind = _IN_ANGLES
    elif found["quote"]:
        kind = _TO_COMMA
    else:
        kind = _TO_LINE_END if found["sign"] == ":" else _TO_NEXT
    value = kind.match(text, position)
    return value and _Value(position, value.end(), value.end())


def _quoted(opening: re.Match[str], text: str) -> _Value:
    """A string, to its end or that of the text. One within a string has a backslash before its marks, or three, or seven."""
    start, mark = opening.end(), opening["mark"]
    if mark is None or len(mark) == 3:
        stop = text.find(opening[0], start)
        return _Value(start, stop, stop + len(opening[0])) if stop >= 0 else _Value(start, len(text), len(text))
    level = len(opening["slashes"])
    for closing in _CLOSING[mark].finditer(text, start):
        slashes = len(closing[1])
        if slashes % (2 * level + 2) <= level:
            return _Value(start, closing.end() - 1 - min(slashes, level), closing.end())
    return _Value(start, len(text), len(text))


def _bracketed(text: str, position: int) -> int:
    """The end of what stands in the brackets that begin here; that of the text if they do not end."""
    depth = 0
    for found in _BRACKETS.finditer(text, position):
        depth += (found[0] in "{[(") - (found[0] in "}])")
        if depth == 0:
            return found.end()
    return len(text)

"""Texts as they may be shown, where names say what is secret. Pure, and linear in what it is given."""

from __future__ import annotations

import re
from typing import NamedTuple

from .._util.escapes import escaped, unescaped
from .._util.lazy_regex import regex
from .labels import is_credentials, is_near, is_user_with_password, labels
from .masker import HIDDEN, MAX_TEXT_LENGTH, Masker
from .secrets import URL_HEADERS, VALUE_ENDINGS
from .xml import elements

_STRING = r"""(?:'(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z))"""
_QUOTE = r"""(?:\\{0,8}["'`]|\\{1,8}u002[27]|&(?:quot|apos|\#34|\#39|\#x22|\#x27);|%2[27])"""
"""A quotation mark, also within the strings of JSON, HTML, and URLs."""

_NAMED = regex(
    rf"""
    (?<![\w.-])(?P<name>[\w.-]{{1,256}}(?:\\{{1,8}}u(?!00[23][27dDaA])[0-9A-Fa-f]{{4}}[\w.-]{{0,64}}){{0,16}})(?=["'`\\&%\[\]\s:!+=,])
    (?P<quote>{_QUOTE}?)(?:\[(?P<index>\w{{0,32}})\]|\])?{_QUOTE}?[ \t]*
    (?P<sign>[:!+]?={{1,3}}>?|:|%3[ADad]|\\{{1,8}}u003[aAdD]|,(?=(?:\s|\\{{1,8}}[nrt]){{0,64}}(?:b?{_QUOTE}|[{{\[(])))
    (?:[ \t]|%20)*(?:(?:\s|\\{{1,8}}[nrt]){{0,64}}(?=[bBrRuUfF]{{0,2}}\\{{0,8}}["']|[{{\[(]))?
    (?:[bBrRuUfF]{{1,2}}(?=\\{{0,8}}["']))?
    """,
    re.ASCII | re.VERBOSE,
)
"""A name and what stands before its value: in JSON, as Python writes dicts and pairs, in `Name: value` and `name=value`."""

_WORD_BEFORE = regex(r"\w{1,30} \Z")
_AFTER_ESCAPE = {"\\": regex(r"\A(?:[nrt]|x[0-9A-Fa-f]{2})"), "%": regex(r"\A[0-9A-Fa-f]{2}")}
_PAIR_BEGINS = regex(rf"[(\[](?:\s|\\{{1,8}}[nrt]){{0,64}}b?{_QUOTE}\Z")
_PAIR_ENDS = regex(r"(?:\s|\\{1,8}[nrt]){0,64},?(?:\s|\\{1,8}[nrt]){0,64}(?:[)\]]|\Z)")
MAX_PAIR_START = 160
"""Characters before the name of a pair that are looked at."""

# A value: by how it begins.
_NO_VALUE = regex(r"(?:None|null|[Tt]rue|[Ff]alse|not set)(?![\w.~+/=-])")
_DONE = regex(r"(?:\[?REDACTED\]?|hash-[0-9a-f]{12}|[^\s;]{4}\.{3}[^\s;]{4})(?![\w.~+/=-])")
_OPENING = regex(rf"""(?P<slashes>\\{{0,8}})(?P<mark>'''|\"\"\"|["'`])|{_QUOTE}""")
_CLOSING = {mark: regex(rf"(?<!\\)(\\*){mark}") for mark in "\"'`"}
_ANOTHER = regex(r"(?:\s|\\[nr]){0,64}(?:\+\s{0,64})?[bBrRuUfF]{0,2}([\"'])")  # as long strings are continued
_BRACKETED = regex(r"[\w.]{0,64}(?=[{\[(])")  # `SecretStr('...')` is one value
_BRACKETS = regex(rf"""(?P<slashes>\\{{0,8}})(?P<mark>'''|\"\"\"|["'`])|{_QUOTE}|(?P<bracket>[{{}}\[\]()])""")
_IN_ANGLES = regex(rf"<(?:{_STRING}|[^<>'\"])*>?")
_OVER = regex(rf"\s*(?:\Z|[,)}}\]&|]|/?>|{_QUOTE}|\\[nr]|[\w.-]{{1,64}}=)|[ \t]*[\r\n]", re.ASCII)
_SURELY_OVER = regex(r"\s*(?:[,;}\])]|\Z)")
_TO_LINE_END = regex(
    r"""
    (?:[!&]\S+[ \t]+)?[|>][-+\d]{0,2}[ \t]*(?:\r?\n(?:[ \t]+[^\r\n]*|(?=\r?\n)))+  # a block of YAML
    |[^\r\n]+(?:\r\n[ \t]+[^\r\n]+)*                                              # a field of HTTP
    |(?:\r?\n(?:[ \t]+|-[ ])[^\r\n]+)+                                             # either, from the next line on
    |\r?\n\S+(?=[ \t]*(?:\Z|[\r\n]))                                              # all of the next line
    """,
    re.VERBOSE,
)
_TO_NEXT = regex(r"""(?:[^\s&;,"'<>]|,(?=[^\s"'])|(?<=\w)["'<](?=\w))+""")
_CREDENTIALS = regex(
    r"""(?:[A-Za-z][A-Za-z-]{1,20}[ \t]+)?(?:[^\s&;,"'<>=]+(?:="[^"]*"?)?(?:,[ \t]?(?=[\w-]+="))?|[^\s&;,"'<>])+"""
)
_COOKIES = regex(r"""[^\s;,"'<>]+(?:;[ ]?[^\s;,"'<>=]+(?:=[^\s;,"'<>]*)?)*""")
_TO_COMMA = regex(r"[^\s,}\]]+")

_COLOURS = regex(r"(?:\x1b|\\x1b|\\033)\[[\d;]{0,20}m")

_COOKIE = regex(
    r"(<SimpleCookie: |<(?:Cookie |Morsel: )[^\s=>]{1,256}=|checking cookie [^\s=]{1,256}=)[^>]*?(?= for [^\s>]* ?/?>|>|\Z)"
)
_JAR = regex(rf"(\bCookie\(version=\w+, name={_STRING}, value=){_STRING}", re.DOTALL)
"""How Python and httpx show the cookies of a jar."""

_ENCODE_ERROR = regex(rf"(Unicode(?:En|De)codeError\('[\w-]{{1,40}}', b?){_STRING}", re.DOTALL)


def message(redactor: Masker, text: str) -> str:
    """Any text, such as another logger's, without the values of secret names in it, and on one line."""
    return escaped(masked(redactor, text))


def lines(redactor: Masker, text: str) -> str:
    """The same for a text of several lines, such as a traceback, however long."""
    return "\n".join(map(escaped, masked(redactor, text, longest=None, by_line=True).split("\n")))


def masked(
    redactor: Masker, text: str, *, longest: int | None = MAX_TEXT_LENGTH, whole: bool = True, by_line: bool = False
) -> str:
    """The same on as many lines as it has, with control characters.

    Not `whole`: its end may be missing. `by_line`: a bracket or string without an end, as in the source lines of a traceback,
    goes to the end of its line, and else to that of the text.
    """
    if "\x1b[" in text or r"\x1b[" in text or r"\033[" in text:
        text = _COLOURS.sub("", text)
    whole = whole and (longest is None or len(text) <= longest)
    return named(redactor, redactor.text(text, longest=longest), whole=whole, by_line=by_line)


def named(redactor: Masker, text: str, *, whole: bool = True, by_line: bool = False) -> str:
    """The text without the values of secret names in it."""
    if "ookie" in text or "<Morsel" in text:
        text = _COOKIE.sub(rf"\1{HIDDEN}", _JAR.sub(rf"\1'{HIDDEN}'", text))
    if "codeError(" in text:
        text = _ENCODE_ERROR.sub(rf"\1'{HIDDEN}'", text)
    if "</" in text or "&lt;" in text or r"<\/" in text or r"\u003" in text:
        text = elements(redactor, text, whole=whole)
    near = labels(redactor, text, whole=whole)
    parts, kept, position, previous = [], 0, 0, ""
    while (found := _NAMED.search(text, position)) is not None:
        position = found.end()
        name = _name(redactor, found)
        plain = name.lower()
        is_url, is_secret = plain in URL_HEADERS, redactor.is_secret_key(name) or redactor.is_secret_key(found["index"] or "")
        is_secret = is_secret or (bool(near) and plain.endswith(VALUE_ENDINGS) and is_near(near, found.start()))
        is_auth = not is_secret and is_credentials(plain)
        if not (is_url or is_secret or is_auth):
            continue  # there may be others in its value
        is_pair, is_repeated, previous = found["sign"] == ",", plain == previous, plain
        if is_pair and not (is_repeated or _PAIR_BEGINS.search(text, max(0, found.start() - MAX_PAIR_START), found.start())):
            continue  # one of several, such as the value before another key
        if is_auth and (
            text.startswith("{", position) or not (_OPENING.match(text, position) or _BRACKETED.match(text, position))
        ):
            continue
        value = _value(found, name)
        if value and by_line and value.is_open:
            end = text.find("\n", position)
            value = value._replace(stop=end, end=end) if end >= value.start else value
        if value is None or value.start == value.stop:
            continue
        inner = text[value.start : value.stop]
        if is_pair and (inner.lower() == plain or not (value.is_compound or value.is_open or _PAIR_ENDS.match(text, value.end))):
            continue  # a list of names; or, as h11 and httpx have it, a name, once more the name, and the value
        if is_auth and not (value.is_compound or (value.end > value.stop and is_user_with_password(inner))):
            continue  # no user with a password: `auth=('joe', '...')`, `auth="joe:..."`
        instead = redactor.header(name, inner) if is_url else HIDDEN if value.is_compound else redactor.mask(inner)
        parts += [text[kept : value.start], instead]
        kept, position = value.stop, value.end
    return "".join([*parts, text[kept:]])


class _Value(NamedTuple):
    """Where in a text a value stands: without its quotation marks, and with them."""

    start: int
    stop: int
    end: int
    is_compound: bool = False
    is_open: bool = False
    """It has no end before that of the text."""


def _name(redactor: Masker, found: re.Match[str]) -> str:
    text, start = found.string, found.start()
    name, before = unescaped(found["name"]), text[start - 1 : start]
    if before == " " and name.lower() in ("key", "code") and (word := _WORD_BEFORE.search(text, max(0, start - 32), start)):
        return word[0] + name  # `API key`
    if before in _AFTER_ESCAPE and not redactor.is_secret_key(name):  # `\ntoken`: it is another one
        name = _AFTER_ESCAPE[before].sub("", unescaped(before + name).lstrip(before + "\"'&?;"))
    return name


def _value(found: re.Match[str], name: str) -> _Value | None:
    text, position, lower = found.string, found.end(), name.lower()
    nothing = _NO_VALUE.match(text, position)
    if _DONE.match(text, position) or (nothing and _OVER.match(text, nothing.end())):
        return None
    opening, bracketed = _OPENING.match(text, position), _BRACKETED.match(text, position)
    value, end = None, position
    if opening:
        value = _quoted(opening, text)
        end = value.end
    elif bracketed:
        value = _bracketed(text, position, bracketed.end())
        end = value.end
    elif angles := _IN_ANGLES.match(text, position):
        end = angles.end()
        value = _Value(position, end, end)
    if value and (found["quote"] or found["sign"] == "," or _OVER.match(text, end)):
        return value
    if found["quote"]:
        kind = _TO_COMMA
    elif found["sign"] == ":":
        kind = _TO_LINE_END
    elif "cookie" in lower:
        kind = _COOKIES
    else:
        kind = _CREDENTIALS if lower.endswith("authorization") else _TO_NEXT
    rest = kind.match(text, end)
    if rest is None:
        return value
    stop = _balanced(text, position, rest.end())
    return _Value(position, stop, stop, is_compound=value is not None)


def _balanced(text: str, start: int, stop: int) -> int:
    """The end without the closing brackets of what the value stands in."""
    for opens, closes in ("()", "[]", "{}"):
        more = text.count(closes, start, stop) - text.count(opens, start, stop)
        while more > 0 and stop > start + 1 and text[stop - 1] == closes:
            stop, more = stop - 1, more - 1
    return stop


def _quoted(opening: re.Match[str], text: str) -> _Value:
    """A string, to its end or that of the text. One within a string has a backslash before its marks, or three, or seven."""
    start, mark = opening.end(), opening["mark"]
    if mark is None or len(mark) == 3:
        stop = text.find(opening[0], start)
        while mark is None and stop > start and text[stop - 1] == "\\":
            stop = text.find(opening[0], stop + 1)
        return _Value(start, stop, stop + len(opening[0])) if stop >= 0 else _Value(start, len(text), len(text), is_open=True)
    level, at = len(opening["slashes"]), start
    while closing := _CLOSING[mark].search(text, at):
        at, slashes = closing.end(), len(closing[1])
        is_end = slashes % (2 * level + 2) <= level
        if is_end and (slashes <= level or _SURELY_OVER.match(text, at)):  # else it may be the repr of a string with a mark in it
            another = None if level else _ANOTHER.match(text, at)
            if another is None:
                return _Value(start, at - 1 - min(slashes, level), at)
            at, mark = another.end(), another[1]
    return _Value(start, len(text), len(text), is_open=True)


def _bracketed(text: str, start: int, position: int) -> _Value:
    """What begins at `start` with the brackets at `position`: to their end, or to that of the text."""
    depth = 0
    while found := _BRACKETS.search(text, position):
        position = found.end()
        if found["bracket"] is None:
            position = _quoted(found, text).end
            continue
        depth += 1 if found["bracket"] in "{[(" else -1
        if depth == 0:
            return _Value(start, position, position, is_compound=True)
    return _Value(start, len(text), len(text), is_compound=True, is_open=True)

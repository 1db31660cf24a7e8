"""Masking of text in which names say what is secret. Linear in time."""

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
"""A string literal, with its quotation marks; it may be cut short."""

_QUOTE = r"""(?:\\{0,8}["'`]|\\{1,8}u002[27]|&(?:quot|apos|\#34|\#39|\#x22|\#x27);|%2[27])"""
"""A quotation mark, also as within strings of JSON, HTML and URLs."""

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
"""A name and what stands before its value: in JSON, the repr of dicts and pairs, `Name: value` and `name=value`."""

_WORD_BEFORE = regex(r"\w{1,30} \Z")
"""The word before a name."""

_AFTER_ESCAPE = {"\\": regex(r"\A(?:[nrt]|x[0-9A-Fa-f]{2})"), "%": regex(r"\A[0-9A-Fa-f]{2}")}
"""By the character before a name: the rest of an escape that the name seems to begin with."""

_PAIR_BEGINS = regex(rf"[(\[](?:\s|\\{{1,8}}[nrt]){{0,64}}b?{_QUOTE}\Z")
"""What stands before the name of a pair."""

_PAIR_ENDS = regex(r"(?:\s|\\{1,8}[nrt]){0,64},?(?:\s|\\{1,8}[nrt]){0,64}(?:[)\]]|\Z)")
"""What stands behind the value of a pair."""

MAX_PAIR_START = 160
"""Characters before the name of a pair that are searched for its beginning, at most."""

# A value, by how it begins.
_NO_VALUE = regex(r"(?:None|null|[Tt]rue|[Ff]alse|not set)(?![\w.~+/=-])")
_DONE = regex(r"(?:\[?REDACTED\]?|hash-[0-9a-f]{12}|[^\s;]{4}\.{3}[^\s;]{4})(?![\w.~+/=-])")
"""A value that is masked already."""

_OPENING = regex(rf"""(?P<slashes>\\{{0,8}})(?P<mark>'''|\"\"\"|["'`])|{_QUOTE}""")
"""The beginning of a string."""

_CLOSING = {mark: regex(rf"(?<!\\)(\\*){mark}") for mark in "\"'`"}
"""By quotation mark, the end of a string."""

_ANOTHER = regex(r"(?:\s|\\[nr]){0,64}(?:\+\s{0,64})?[bBrRuUfF]{0,2}([\"'])")  # the next part of a long string literal
_BRACKETED = regex(r"[\w.]{0,64}(?=[{\[(])")  # `SecretStr('...')` is one value
_BRACKETS = regex(rf"""(?P<slashes>\\{{0,8}})(?P<mark>'''|\"\"\"|["'`])|{_QUOTE}|(?P<bracket>[{{}}\[\]()])""")
"""A bracket, or the beginning of a string."""

_IN_ANGLES = regex(rf"<(?:{_STRING}|[^<>'\"])*>?")
"""A value in angle brackets, such as the repr of an object."""

_OVER = regex(rf"\s*(?:\Z|[,)}}\]&|]|/?>|{_QUOTE}|\\[nr]|[\w.-]{{1,64}}=)|[ \t]*[\r\n]", re.ASCII)
"""What shows behind a value that it has ended."""

_SURELY_OVER = regex(r"\s*(?:[,;}\])]|\Z)")
"""What shows so even within the repr of a string."""

_TO_LINE_END = regex(
    r"""
    (?:[!&]\S+[ \t]+)?[|>][-+\d]{0,2}[ \t]*(?:\r?\n(?:[ \t]+[^\r\n]*|(?=\r?\n)))+  # a block of YAML
    |[^\r\n]+(?:\r\n[ \t]+[^\r\n]+)*                                              # a field of HTTP
    |(?:\r?\n(?:[ \t]+|-[ ])[^\r\n]+)+                                             # either, from the next line on
    |\r?\n\S+(?=[ \t]*(?:\Z|[\r\n]))                                              # all of the next line
    """,
    re.VERBOSE,
)
"""A value behind a colon: to the end of the line, or of what continues it."""

_TO_NEXT = regex(r"""(?:[^\s&;,"'<>]|,(?=[^\s"'])|(?<=\w)["'<](?=\w))+""")
"""A value behind an equals sign: to the next separator."""

_CREDENTIALS = regex(
    r"""(?:[A-Za-z][A-Za-z-]{1,20}[ \t]+)?(?:[^\s&;,"'<>=]+(?:="[^"]*"?)?(?:,[ \t]?(?=[\w-]+="))?|[^\s&;,"'<>])+"""
)
"""The value of an authorization field: scheme and parameters."""

_COOKIES = regex(r"""[^\s;,"'<>]+(?:;[ ]?[^\s;,"'<>=]+(?:=[^\s;,"'<>]*)?)*""")
"""The value of a cookie field."""

_TO_COMMA = regex(r"[^\s,}\]]+")
"""A value in JSON that is no string."""

_COLOURS = regex(r"(?:\x1b|\\x1b|\\033)\[[\d;]{0,20}m")
"""An escape sequence that colours a terminal."""

_COOKIE = regex(
    r"(<SimpleCookie: |<(?:Cookie |Morsel: )[^\s=>]{1,256}=|checking cookie [^\s=]{1,256}=)[^>]*?(?= for [^\s>]* ?/?>|>|\Z)"
)
"""How Python writes a cookie; the value follows the group."""

_JAR = regex(rf"(\bCookie\(version=\w+, name={_STRING}, value=){_STRING}", re.DOTALL)
"""How Python and httpx write the cookies of a jar."""

_ENCODE_ERROR = regex(rf"(Unicode(?:En|De)codeError\('[\w-]{{1,40}}', b?){_STRING}", re.DOTALL)
"""The repr of an encoding error up to the text, which follows the group."""


def message(redactor: Masker, text: str) -> str:
    """Return any text, such as that of another logger, on one line, masked, also the values of secret names."""
    return escaped(masked(redactor, text))


def lines(redactor: Masker, text: str) -> str:
    """Return a text of several lines, such as a traceback, of any length, masked like `message`."""
    return "\n".join(map(escaped, masked(redactor, text, longest=None, by_line=True).split("\n")))


def masked(
    redactor: Masker, text: str, *, longest: int | None = MAX_TEXT_LENGTH, whole: bool = True, by_line: bool = False
) -> str:
    """Return a text masked like `message`, with its line breaks and control characters.

    `longest`: characters, at most; None for all. `whole=False`: the end of the text is missing. `by_line`: a bracket or string
    that is not closed, as in the source lines of a traceback, ends with its line, else with the text.
    """
    if "\x1b[" in text or r"\x1b[" in text or r"\033[" in text:
        text = _COLOURS.sub("", text)
    whole = whole and (longest is None or len(text) <= longest)
    return named(redactor, redactor.text(text, longest=longest), whole=whole, by_line=by_line)


def named(redactor: Masker, text: str, *, whole: bool = True, by_line: bool = False) -> str:
    """Return the text with the values of secret names masked."""
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
            continue  # its value may contain others
        is_pair, is_repeated, previous = found["sign"] == ",", plain == previous, plain
        if is_pair and not (is_repeated or _PAIR_BEGINS.search(text, max(0, found.start() - MAX_PAIR_START), found.start())):
            continue  # one of several items, such as the value before another key
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
            continue  # a list of names; or a triple of h11 or httpx: name, name again, value
        if is_auth and not (value.is_compound or (value.end > value.stop and is_user_with_password(inner))):
            continue  # not a user with a password, as in `auth=('joe', '...')` and `auth="joe:..."`
        instead = redactor.header(name, inner) if is_url else HIDDEN if value.is_compound else redactor.mask(inner)
        parts += [text[kept : value.start], instead]
        kept, position = value.stop, value.end
    return "".join([*parts, text[kept:]])


class _Value(NamedTuple):
    """The position of a value in a text: `start` to `stop` without its quotation marks, `end` behind them."""

    start: int
    stop: int
    end: int
    is_compound: bool = False
    is_open: bool = False
    """Whether it is not closed before the end of the text."""


def _name(redactor: Masker, found: re.Match[str]) -> str:
    text, start = found.string, found.start()
    name, before = unescaped(found["name"]), text[start - 1 : start]
    if before == " " and name.lower() in ("key", "code") and (word := _WORD_BEFORE.search(text, max(0, start - 32), start)):
        return word[0] + name  # `API key`
    if before in _AFTER_ESCAPE and not redactor.is_secret_key(name):  # `\ntoken`: the name begins behind the escape
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
    """Return the end of a value without the closing brackets of what contains it."""
    for opens, closes in ("()", "[]", "{}"):
        more = text.count(closes, start, stop) - text.count(opens, start, stop)
        while more > 0 and stop > start + 1 and text[stop - 1] == closes:
            stop, more = stop - 1, more - 1
    return stop


def _quoted(opening: re.Match[str], text: str) -> _Value:
    """Return a string, to its end or that of the text. In another string its marks follow one backslash, or three, or seven."""
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
        if is_end and (slashes <= level or _SURELY_OVER.match(text, at)):  # else it may be a mark in the repr of a string
            another = None if level else _ANOTHER.match(text, at)
            if another is None:
                return _Value(start, at - 1 - min(slashes, level), at)
            at, mark = another.end(), another[1]
    return _Value(start, len(text), len(text), is_open=True)


def _bracketed(text: str, start: int, position: int) -> _Value:
    """Return what begins at `start` with the bracket before `position`, to the closing bracket or the end of the text."""
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

"""Texts, bodies and values as they may be shown, where names say what is secret. Pure, and linear in what it is given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from ..redact import LONGEST_TEXT, URL_HEADERS, Redactor, escaped

DEEPEST = 10
"""Values within values that are looked into; JSON within strings of JSON less far."""

MOST_ITEMS = 1000
"""Values within a value that are looked at."""

HIDDEN = "[REDACTED]"

_STRING = r"""'(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z)"""
_NAMED = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]{1,64})(?P<quote>['"]?)\]?['"]?[ \t]*(?P<sign>=>?|:|,(?=[ ]b?['"]))[ \t]*(?:b(?=['"]))?""",
    re.ASCII,
)
"""A name and what stands before its value: in JSON, as Python writes dicts and pairs, in `Name: value` and `name=value`."""

_QUOTED = re.compile(_STRING, re.DOTALL)
_BRACKETS = re.compile(rf"{_STRING}|[{{}}\[\]()]", re.DOTALL)
_HEAD = re.compile(r"[^\s/@]*:[^\s/@]*[\s,&<>\"]?")
_TO_LINE_END = re.compile(r"[^\r\n]+")
_TO_NEXT = re.compile(r"""(?:(?:Basic|Bearer|Digest|Token)[ \t]+)?(?:[^\s&;,"'<>]|,(?=[^\s]))+""", re.IGNORECASE)
_TO_COMMA = re.compile(r"[^\s,}\]]+")
_PROXY_AUTH = re.compile(rf"(\bauth=\()b?(?:{_STRING}), b?(?:{_STRING})", re.DOTALL)  # how httpcore tells of a SOCKS proxy
_ILLEGAL = re.compile(r"(illegal (?:header|status) (?:line|name|value):? ).+", re.IGNORECASE | re.DOTALL)
_ELEMENT = re.compile(r"(<([\w.:-]{1,64})(?:\s[^<>]{0,1000})?>(?:<!\[CDATA\[)?)([^<>]+)")

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]:,]|\s+|[^\s"{}\[\]:,]+', re.DOTALL)

FORM = "application/x-www-form-urlencoded"
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json|application/(?:x-ndjson|jsonl|json-seq)")
_XML_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?xml")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252")


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
    if "llegal " in text:
        text = _ILLEGAL.sub(rf"\1{HIDDEN}", text)
    parts, kept, position = [], 0, 0
    while (found := _NAMED.search(text, position)) is not None:
        position = found.end()
        name = found["name"]
        is_url = name.lower() in URL_HEADERS
        if not (is_url or redactor.is_secret_key(name)):
            continue  # there may be others in its value
        value = _value(found, text, position)
        if value is None:
            continue
        quote = value[0] if value[0] in "'\"" else ""
        plain = value.strip(quote) if quote else value
        shown = HIDDEN if value[0] in "{[(" else redactor.mask(plain)
        if is_url:
            shown = redactor.header(name, plain)
        parts += [text[kept:position], quote, shown, quote]
        kept = position = position + len(value)
    return "".join([*parts, text[kept:]])


def _value(found: re.Match[str], text: str, position: int) -> str | None:
    first = text[position : position + 1]
    if first in ("{", "[", "("):
        return _bracketed(text, position)
    if first in ("'", '"'):
        kind = _QUOTED
    elif found["quote"]:
        kind = _TO_COMMA
    else:
        kind = _TO_LINE_END if found["sign"] == ":" else _TO_NEXT
    value = kind.match(text, position)
    return value[0] if value else None


def _bracketed(text: str, position: int) -> str:
    """What stands in the brackets that begin here, with them; the rest of the text if they do not end."""
    depth = 0
    for found in _BRACKETS.finditer(text, position):
        depth += (found[0] in "{[(") - (found[0] in "}])")
        if depth == 0:
            return text[position : found.end()]
    return text[position:]


def body(redactor: Redactor, content_type: str, data: bytes, size: int | None = None) -> str:
    """The beginning of a body, of `size` bytes in all (None if it has no more), as one line; or why it is not shown."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = _CHARSET.search(content_type)
    is_text = _JSON_TYPE.fullmatch(kind) or _XML_TYPE.fullmatch(kind) or kind == FORM or kind.startswith("text/")
    foreign = charset is not None and charset[1].lower() not in _CHARSETS
    if not is_text or kind == "text/html" or foreign or b"\0" in data:  # a form in HTML says nowhere near what is secret
        whole = len(data) if size is None else size
        return f"{whole} bytes of {escaped(redactor.text(content_type)) or 'no known type'}"
    text = data[:LONGEST_TEXT].decode("utf-8", "replace")
    if size is not None:  # half a secret may look like none
        text = text[: max(text.rfind(end) for end in ' \t\r\n<>",&') + 1]
        host = text.rfind("//")
        if host >= 0 and _HEAD.fullmatch(text, host + 2):  # it may be the half of a password
            text = text[:host]
    if _JSON_TYPE.fullmatch(kind):
        looks = text.lstrip()[:1] in ("{", "[", '"')  # else it only says that it is
        shown = redactor.text(json_text(redactor, text) if looks else named(redactor, text))
    elif kind == FORM:
        shown = "&".join(_field(redactor, field) for field in text.split("&"))
    else:
        shown = named(redactor, redactor.text(_ELEMENT.sub(lambda match: _element(redactor, match), text)))
    return escaped(shown) + ("" if size is None else f"... ({size} bytes)")


def _field(redactor: Redactor, field: str) -> str:
    """One of a form. Nothing but `&` parts them, unlike those of a query."""
    name, equals, given = field.partition("=")
    if given and redactor.is_secret_parameter(unquote_plus(name)):
        return name + equals + redactor.mask(given, in_url=True)
    return redactor.url(f"?{field}")[1:]


def _element(redactor: Redactor, match: re.Match[str]) -> str:
    return match[1] + redactor.mask(match[3]) if redactor.is_secret_key(match[2].rpartition(":")[2]) else match[0]


def json_text(redactor: Redactor, text: str, depth: int = 0) -> str:
    """JSON, maybe cut short or of several lines, without the values of secret keys: they may be whole objects."""
    shown: list[str] = []
    last, secret, hidden = "", False, 0
    for token in _TOKEN.findall(text):
        if hidden:
            hidden += (token in ("{", "[")) - (token in ("}", "]"))
            continue
        if token == ":":
            name = _string(last) if last else ""
            secret = name is None or redactor.is_secret_key(name)  # one that cannot be read may be anything
        elif secret and token in ("{", "["):
            hidden, token, secret = 1, f'"{HIDDEN}"', False
        elif token in ("{", "[", "}", "]", ","):
            secret = False
        elif token[0] == '"':
            last = token
            token = _shown_string(redactor, token, secret, depth)
        elif secret and not token.isspace() and token not in ("null", "true", "false"):
            token = f'"{HIDDEN}"'
        shown.append(token)
    return "".join(shown)


def _string(token: str) -> str | None:
    """What a string of JSON says; None if it has no end."""
    try:
        found = json.loads(token, strict=False)
    except ValueError:
        return None
    return str(found)


def _shown_string(redactor: Redactor, token: str, secret: bool, depth: int) -> str:
    if secret and len(token) > 2:
        return json.dumps(redactor.mask(token.strip('"')))
    plain = token[1:-1] if "\\" not in token and token[-1:] == '"' and len(token) > 1 else _string(token)
    if plain is None:
        return '"..."'
    inner = plain
    if plain.lstrip()[:1] in ("{", "["):
        inner = HIDDEN if depth == 2 else json_text(redactor, plain, depth + 1)
    inner = named(redactor, redactor.text(inner))
    return token if inner == plain else json.dumps(inner)


def value(redactor: Redactor, name: str, thing: Any) -> Any:
    """A value of any kind that goes by this name, without the secrets in it. Never raises, whatever the value does."""
    try:
        return _value_of(redactor, name, thing, 0, [MOST_ITEMS])
    except Exception:
        return f"<{type(thing).__name__}>"


def _value_of(redactor: Redactor, name: str, thing: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if thing is None or isinstance(thing, bool):
        return thing
    if redactor.is_secret_key(name):
        return redactor.mask(str(thing))
    if isinstance(thing, (int, float)):
        return thing
    if depth == DEEPEST or left[0] < 0:  # it may hold itself
        return "..."
    if isinstance(thing, str):
        return redactor.header(name, thing) if name.lower() in URL_HEADERS else message(redactor, thing)
    if hasattr(thing, "_asdict"):  # a named tuple
        thing = thing._asdict()
    if isinstance(thing, Mapping):
        return {_shown_key(redactor, key): _value_of(redactor, _name(key), item, depth + 1, left) for key, item in thing.items()}
    if isinstance(thing, (list, tuple)) and len(thing) == 2 and isinstance(thing[0], (str, bytes)):  # a header field, say
        return [thing[0], _value_of(redactor, _name(thing[0]), thing[1], depth + 1, left)]
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [_value_of(redactor, name, item, depth + 1, left) for item in thing]
    text = str(thing)
    shown = message(redactor, text)
    return thing if shown == text else shown


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _shown_key(redactor: Redactor, key: Any) -> Any:
    return message(redactor, key) if isinstance(key, str) else key

"""Bodies as they may be shown: JSON, forms and XML by key, plain text; of others only what they are. Pure and linear."""

from __future__ import annotations

import json
import re

from ..redact import HIDDEN, Redactor, decoded, escaped
from .elements import elements
from .masking import named

FORM = "application/x-www-form-urlencoded"
DEEPEST = 2
"""JSON within strings of JSON is looked into, and within the strings of that."""

_JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?json|application/(?:x-ndjson|jsonl|json-seq)")
_XML_TYPE = re.compile(r"(?:application|text)/(?:[\w.-]+\+)?xml")
_TEXT_TYPES = ("text/plain", "text/event-stream")
"""Of other kinds, such as HTML and CSV, nothing near a value says that it is secret."""

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252")
_HEAD = re.compile(r"[^\s/@]*:[^\s/@]*[\s,&<>\"]?")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]:,]|\s+|[^\s"{}\[\]:,]+', re.DOTALL)


def body(redactor: Redactor, content_type: str, data: bytes, size: int | None = None) -> str:
    """The beginning of a body, of `size` bytes in all (None if it has no more), as one line; or why it is not shown."""
    kind = content_type.partition(";")[0].strip().lower()
    charset = _CHARSET.search(content_type)
    is_json, is_xml = _JSON_TYPE.fullmatch(kind), _XML_TYPE.fullmatch(kind)
    is_text = is_json or is_xml or kind == FORM or kind in _TEXT_TYPES
    foreign = charset is not None and charset[1].lower() not in _CHARSETS
    if not is_text or foreign or b"\0" in data:
        whole = len(data) if size is None else size
        return f"{whole} bytes of {escaped(redactor.text(content_type)) or 'no known type'}"
    text = redactor.shortened(data.decode("utf-8", "replace"), ' \t\r\n<>",&', whole=size is None)
    if size is not None:  # half a secret may look like none
        host = text.rfind("//")
        if host >= 0 and _HEAD.fullmatch(text, host + 2):  # it may be the half of a password
            text = text[:host]
    if is_json:
        looks = text.lstrip()[:1] in ("{", "[", '"')  # else it only says that it is
        shown = named(redactor, redactor.text(json_text(redactor, text) if looks else text))
    elif kind == FORM:
        shown = "&".join(_field(redactor, field) for field in text.split("&"))
    else:
        shown = named(redactor, redactor.text(elements(redactor, text) if is_xml else text))
    return escaped(shown) + ("" if size is None else f"... ({size} bytes)")


def _field(redactor: Redactor, field: str) -> str:
    """One of a form. Nothing but `&` parts them, unlike those of a query."""
    name, equals, given = field.partition("=")
    if given and redactor.is_secret_parameter(decoded(name)):
        return name + equals + redactor.mask(given, in_url=True)
    return redactor.url(f"?{field}")[1:]


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
        inner = HIDDEN if depth == DEEPEST else json_text(redactor, plain, depth + 1)
    inner = named(redactor, redactor.text(inner))
    return token if inner == plain else json.dumps(inner)

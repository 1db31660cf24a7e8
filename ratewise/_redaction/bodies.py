"""Masking of bodies: JSON, forms and XML by key, and plain text; of other types only size and type are shown. Linear in time."""

from __future__ import annotations

import json
import re

from .._util.escapes import decoded, escaped
from .._util.lazy_regex import regex
from .labels import is_credentials, is_user_with_password
from .masker import HIDDEN, Masker
from .secrets import LABEL_ENDINGS, VALUE_ENDINGS
from .text import masked, named
from .xml import elements

FORM_TYPE = "application/x-www-form-urlencoded"
"""The content type of forms."""

MAX_JSON_DEPTH = 2
"""Levels of JSON within the strings of JSON that are masked by key; deeper ones are hidden whole."""

_JSON_TYPE = regex(r"(?:application|text)/(?:[\w.-]+\+)?json|application/(?:x-ndjson|jsonl|json-seq)")
"""Content types of JSON, also of several lines of it."""

_XML_TYPE = regex(r"(?:application|text)/(?:[\w.-]+\+)?xml")
"""Content types of XML."""

_TEXT_TYPES = ("text/plain", "text/event-stream")
"""Types of plain text. In others, such as HTML and CSV, nothing next to a value says that it is secret."""

_CHARSET = regex(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
"""The charset of a Content-Type."""

_OF_SINGLE_BYTES = ("iso-8859-1", "latin-1", "windows-1252")
"""Charsets that are decoded as Windows-1252."""

_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", *_OF_SINGLE_BYTES)
"""Charsets of which each ASCII byte is the character: bodies in others are not shown."""

_USERINFO_START = regex(r"[^\s/@]*:[^\s/@]*[\s,&<>\"]?")
"""What may be the first half of `user:password` in a URL that was cut short."""

_JSON_LITERAL = regex(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|null|true|false|NaN|-?Infinity")
"""A number or a keyword of JSON, with those that Python adds."""

_JSON_TOKEN = regex(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]:,]|\s+|[^\s"{}\[\]:,]+', re.DOTALL)
"""A token of JSON; a string may be cut short."""


def body(redactor: Masker, content_type: str, data: bytes, size: int | None = None) -> str:
    """Return the beginning of a body, masked, on one line; or its size and type if it cannot be masked.

    `size`: bytes of the whole body if `data` is only its beginning, else None.
    """
    kind = content_type.partition(";")[0].strip().lower()
    given = _CHARSET.search(content_type)
    charset = given[1].lower() if given else "utf-8"
    is_json, is_xml = _JSON_TYPE.fullmatch(kind), _XML_TYPE.fullmatch(kind)
    is_text = is_json or is_xml or kind == FORM_TYPE or kind in _TEXT_TYPES
    if not is_text or charset not in _CHARSETS or b"\0" in data:
        shown = escaped(redactor.header("content-type", content_type)) or "unknown type"
        return f"{len(data) if size is None else size} bytes of {shown}"
    whole = size is None
    said = data.decode("cp1252" if charset in _OF_SINGLE_BYTES else "utf-8-sig", "replace")
    text = redactor.shortened(said, ' \t\r\n<>",&', whole=whole)
    if not whole:  # half of a secret may not look like one
        host = text.rfind("//")
        if host >= 0 and _USERINFO_START.fullmatch(text, host + 2):  # this may be half of a password
            text = text[:host]
    looks = text.lstrip()[:1]
    if looks in ("{", "[", '"') and (is_json or kind == FORM_TYPE):
        shown = json_text(redactor, text, whole=whole)
    elif kind == FORM_TYPE:
        shown = "&".join(field and _form_field(redactor, field) for field in text.split("&"))
        shown = redactor.own(named(redactor, shown, whole=whole))
    else:
        shown = masked(redactor, elements(redactor, text, whole=False) if is_xml else text, whole=whole)
    return escaped(shown) + ("" if whole else f"... ({size} bytes)")


def _form_field(redactor: Masker, field: str) -> str:
    """Return a field of a form, masked. Fields are separated by `&` alone, unlike those of a query."""
    name, equals, given = field.partition("=")
    if given and redactor.is_secret_parameter(decoded(name)):
        return name + equals + redactor.mask(given, in_url=True)
    return redactor.url(f"?{field}")[1:]


class _Container:
    """An object or array of JSON while it is read. An object may have a label that names its value, such as a secret name."""

    __slots__ = ("begin", "first", "is_labelled", "key", "unlabelled")

    def __init__(self, begin: int, first: str | None = None) -> None:
        self.begin = begin
        """Index of its first token in the output."""
        self.first = first
        """The first item of an array, if it is a string, until the second one: it may be the name of that. None in objects."""
        self.key = ""
        """The last key of an object, in lower case."""
        self.is_labelled = False
        """Whether a label of the object names a secret."""
        self.unlabelled: list[tuple[int, int]] = []
        """Ranges of its values in the output, while there is no label."""


def json_text(redactor: Masker, text: str, depth: int = 0, *, whole: bool = True) -> str:
    """Return JSON with the values of secret keys masked, which may be objects. It may be several lines of JSON, or cut short.

    Text that only resembles JSON is masked as plain text.
    """
    shown: list[str] = []
    within = [_Container(0)]
    last, secret, hidden = "", False, 0
    tokens = _JSON_TOKEN.findall(text)
    for number, token in enumerate(tokens):
        inner = within[-1]
        if hidden:
            hidden += (token in ("{", "[")) - (token in ("}", "]"))
            continue
        if token == ":":
            key = _string(last) if last else ""
            inner.key = (key or "").lower()
            secret = key is None or redactor.is_secret_key(key)  # a key that cannot be decoded may be secret
            secret = secret or (inner.is_labelled and inner.key.endswith(VALUE_ENDINGS))
        elif token in ("{", "[") and (secret or (token == "[" and is_credentials(inner.key))):
            hidden, token, secret = 1, f'"{HIDDEN}"', False
        elif token in ("{", "["):
            within.append(_Container(len(shown), "" if token == "[" else None))
        elif token in ("}", "]"):
            secret = False
            if len(within) > 1:
                within.pop()
                _remember(within[-1], inner.begin, len(shown) + 1)
        elif token == ",":
            secret = bool(inner.first) and redactor.is_secret_key(inner.first or "")
            inner.first, inner.key = None, ""
        elif token[0] == '"':
            last = token
            said = _string(token)
            if inner.first == "":
                inner.first = said
            elif inner.key.endswith(LABEL_ENDINGS) and redactor.is_secret_key(said or ""):
                inner.is_labelled = True
                _hide(shown, inner)
            secret = secret or (is_credentials(inner.key) and is_user_with_password(said or ""))
            _remember(inner, len(shown), len(shown) + 1)
            token = _shown_string(redactor, token, secret, depth)
        elif not token.isspace():
            if not _JSON_LITERAL.fullmatch(token) and (whole or number < len(tokens) - 1):
                return masked(redactor, text, whole=whole)
            if secret and token not in ("null", "true", "false"):
                token = f'"{HIDDEN}"'
            _remember(inner, len(shown), len(shown) + 1)
        shown.append(token)
    if not whole:  # their labels may follow in the missing part
        for outer, inner in zip(within, within[1:]):
            _remember(outer, inner.begin, len(shown))
        for inner in within:
            _hide(shown, inner)
    return redactor.own("".join(shown))


def _remember(inner: _Container, begin: int, end: int) -> None:
    """Remember where a value is shown that a label may turn out to name."""
    if inner.key.endswith(VALUE_ENDINGS) and not inner.is_labelled:
        inner.unlabelled.append((begin, end))


def _hide(shown: list[str], inner: _Container) -> None:
    """Hide the values that were shown before the label was read."""
    for begin, end in inner.unlabelled:
        shown[begin:end] = [f'"{HIDDEN}"', *[""] * (end - begin - 1)]
    inner.unlabelled = []


def _string(token: str) -> str | None:
    """Return the decoded value of a string of JSON; None if it has no end."""
    try:
        found = json.loads(token, strict=False)
    except ValueError:
        return None
    return str(found)


def _shown_string(redactor: Masker, token: str, secret: bool, depth: int) -> str:
    if secret and len(token) > 2:
        return json.dumps(redactor.mask(token.strip('"')))
    plain = token[1:-1] if "\\" not in token and token[-1:] == '"' and len(token) > 1 else _string(token)
    if plain is None:
        return '"..."'
    inner = plain
    if plain.lstrip()[:1] in ("{", "["):
        inner = HIDDEN if depth == MAX_JSON_DEPTH else json_text(redactor, plain, depth + 1)
    inner = masked(redactor, inner)
    return token if inner == plain else json.dumps(inner)

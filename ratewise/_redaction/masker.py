"""Masking of secrets in headers, URLs and text, for exceptions, reprs and log lines. No I/O; only keeps names that it has met."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal, cast
from urllib.parse import unquote_plus

from .._util.escapes import decoded, escaped, unescaped
from .._util.lazy_regex import regex
from .secrets import (
    AMBIGUOUS_NAMES,
    HARMLESS_NAMES,
    SECRET_HEADERS,
    SECRET_NAME_ENDINGS,
    SECRET_NAME_PARTS,
    SECRET_NAMES,
    TOKEN_FORMATS,
    URL_HEADERS,
)

MaskStyle = Literal["full", "partial", "hash"]
"""What a secret is replaced by: see `ratewise.logging.Redactor`."""

HIDDEN = "[REDACTED]"
"""What replaces a secret, outside URLs."""

MAX_TEXT_LENGTH = 16 * 1024
"""Characters of one value that are searched and shown, at most; only the number of the others is shown."""

MARGIN = 1024
"""Characters behind `MAX_TEXT_LENGTH` that are searched too, for patterns of the user that match across the end."""

MAX_KNOWN_NAMES, MAX_KNOWN_NAME_LENGTH = 1000, 100
"""Names whose secrecy is kept, at most, and the characters of one, at most."""

MAX_NESTED_URLS = 2
"""Levels of URLs or forms within a URL that are searched; what contains a deeper one is masked."""

_USERINFO = regex(r"(:\\?/(?:\\?/)?)[^\s/?#<>\"]+@")
# At the beginning of a URL. After a colon, what is no port is a password, even with a `/`, `?` or `#` that should be encoded.
_HEAD_USERINFO = regex(
    r"((?:[a-z][a-z0-9+.-]*:)?//|[a-z][a-z0-9+.-]*:/)(?:[^/?#]+|[^/?#:@\[]*:(?!\d*(?:[/?#]|$)).*)@",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_BARE_USERINFO = regex(r"\A(?!mailto:)[^\s/?#:@]+:[^\s/?#@]*@", re.IGNORECASE)  # user:password@host, without a scheme
# The same within a text, where a port or a path distinguishes it from a mail address. Each part up to an @ is read once.
_BARE_USERINFO_IN_TEXT = regex(r"[^\s/?#<>\"'@]+(?:@(?!sha\d+:)(?=[\w.-]{1,253}(?::\d|/)))?")
# A form of at least two fields within a text.
_FORM = regex(r"""(?<![^\s"'(>])[\w.%+\[\]-]{1,128}=[^\s&"'(<>\\]*(?:&[\w.%+\[\]-]{1,128}=[^\s&"'(<>\\]*)+""", re.ASCII)
_ENCODED_URL = regex(r"(?<!\w)\w{1,32}%3A%2F%2F[^\s<>\"']*", re.ASCII)  # percent-encoded as a whole
# In a text, with or without a scheme, without the punctuation behind it. Without one it begins where no other could have begun.
_URL = regex(r"""(?://|(?<![^\s"'(=,<\[])[^\s"'(=,<\[>?]*\?)(?:[^\s<>"\\]|\\/)*[^\s<>"'`.,:;!)\]}\\]""")
_DECODABLE = regex(r"[=%+]")  # without one of these, a path has nothing to decode
_PATH_PIECE = regex(r"[^/;&]+")
_QUERY_PIECE = regex(r"[^&;#?][^&;#]*(?:;[^&;#=]*(?![^&;#]))*")  # `;` may be a separator, or part of a value
_NESTED = regex(r"[=@?]|%[0-9A-Fa-f]{2}")  # it may contain a URL or a form
_MASKED = regex(r"\[?REDACTED\]?|hash-[0-9a-f]{12}|.{4}\.{3}.{4}")  # already masked: as part of a URL, or by another Masker
# A name in JSON, in the repr of a dict or a pair, or in GraphQL.
_KEY = regex(r"""(?<![\w.-])((?:[\w.-]|\\u[0-9A-Fa-f]{4}){1,256})(?:\\?["']\s*[:,]|\s*:\s*\\?["'])""", re.ASCII)
_PAIR = regex(  # a parameter of a header field, or a header field
    r"""
    (?<![\w.-])([\w.-]{1,256}[ \t]*[=:][ \t]*)
    ("(?:[^"\\]|\\.)*(?:"|\\?\Z)|'[^']*(?:'|\Z)|(?<=[ \t:])[^;,<>"']+|[^\s;,&<>"']+)
    """,
    re.ASCII | re.DOTALL | re.VERBOSE,
)
# What libraries say of a header field or line that they cannot send or read: it contains all of it.
_ILLEGAL = regex(
    r"((?:(?:[Ii]llegal|[Mm]alformed) (?:header|status|chunk) (?:line|name|value|header|footer)|"
    r"header (?:name|value) surrounded by whitespace):? )[^\n]+"
)
# Values whose ends reveal too much: several secrets in one, and an encoded password.
_TELLING_ENDS = regex(r"[;,\n]|\Abasic ", re.IGNORECASE)
_NAME_PARTS = regex(r"[^\w.\- ]+")  # separates the parts of `user[name]`
# Text that is too long is cut after one of these: half of a secret may not look like one.
_WORD_ENDS = ' \t\r\n<>"'
_PIECE_ENDS = "&;/?#"
_HASH_KEY = os.urandom(16)
"""The key of the hashes of mask_style "hash": 16 bytes, new in each process."""

_SEPARATORS = str.maketrans("", "", "-_. ")
"""What is removed from names before they are compared."""


class Masker:
    """Masks secrets, by settings that are valid: `ratewise.logging.Redactor` checks them."""

    def __init__(
        self,
        headers: Iterable[str] = (),
        query_params: Iterable[str] = (),
        patterns: tuple[re.Pattern[str], ...] = (),
        mask_style: MaskStyle = "full",
        defaults: bool = True,
    ) -> None:
        self.mask_style: MaskStyle = mask_style
        self._headers = frozenset(map(_dashed, headers)) | (SECRET_HEADERS if defaults else set())
        own = frozenset(map(_plain, query_params)) - {""}
        self._parameters = own | (SECRET_NAMES if defaults else set())
        self._vague = AMBIGUOUS_NAMES - own
        self._parts: tuple[str, ...] = SECRET_NAME_PARTS if defaults else ()
        self._endings: tuple[str, ...] = SECRET_NAME_ENDINGS if defaults else ()
        self._tokens = TOKEN_FORMATS if defaults else ()
        self._gates = tuple(gate for gates, _ in self._tokens for gate in gates)
        self._patterns = patterns
        self._secret_headers, self._secret_parameters, self._secret_keys = _Known(), _Known(), _Known()
        self._settings = (mask_style, defaults, self._headers, own, tuple(pattern.pattern for pattern in patterns))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._settings == other._settings

    def __getstate__(self) -> dict[str, Any]:
        # Without the names that it has met: a pickled error would reveal them.
        return {**self.__dict__, **{known: _Known() for known in ("_secret_headers", "_secret_parameters", "_secret_keys")}}

    def __hash__(self) -> int:
        return hash(self._settings)

    def header(self, name: str, value: str) -> str:
        """Return the value of a header field, masked."""
        name = _dashed(name)
        if self.is_secret_header(name):
            return self.mask(value)
        if self._has_secret_key(value):
            return HIDDEN
        if name == "link":
            head = self.shortened(value, _PIECE_ENDS)
            shown = re.sub(r"[^<>]+", lambda match: self._url(match[0]), head) + _rest(value, head)
        elif name in URL_HEADERS or value.startswith(("/", "?")):
            return self.url(value)
        else:
            shown = self.text(value)
        return _PAIR.sub(self._pair, shown) if "=" in shown or ":" in shown else shown

    def headers(self, fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return all header fields, given as a mapping or in pairs, masked."""
        pairs = cast("Iterable[tuple[str, str]]", fields.items() if isinstance(fields, Mapping) else fields)
        return [(name, self.header(name, value)) for name, value in pairs]

    def url(self, url: object) -> str:
        """Return a URL, given as a string or an object, with userinfo and the secrets in path, query and fragment masked."""
        given = str(url)
        if self._is_plain(given):
            return given
        head = self.shortened(given, _PIECE_ENDS)
        return self._url(_BARE_USERINFO.sub("REDACTED@", head)) + _rest(given, head)

    def text(self, text: str, *, longest: int | None = MAX_TEXT_LENGTH) -> str:
        """Return any text with what looks like a token or a private key masked, and its URLs masked as `url` does.

        `longest`: characters that are searched and shown, at most; None for all.
        """
        shown = head = self.shortened(text, _WORD_ENDS, longest)
        if "//" in head or "?" in head:
            shown = _URL.sub(lambda match: match[0] if self._is_plain(match[0]) else self._url(match[0]), head)
        if "&" in shown:
            shown = _FORM.sub(lambda match: self._url("?" + match[0])[1:], shown)
        if "%3A%2F%2F" in shown:
            shown = _ENCODED_URL.sub(lambda match: "REDACTED" if self._hides(match[0], "", 0) else match[0], shown)
        if "@" in shown:
            shown = _BARE_USERINFO_IN_TEXT.sub(_without_userinfo, shown)
        if "llegal " in shown or "alformed " in shown or "surrounded by" in shown:
            shown = _ILLEGAL.sub(rf"\1{HIDDEN}", shown)
        return self._scan(shown, in_url=False) + _rest(text, head)

    def clean(self, error: BaseException | None) -> None:
        """Mask the header field that the text of an HTTP library's error contains, in it and in the errors that caused it."""
        seen: set[int] = set()  # a chain may be circular
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            with suppress(Exception):  # an error of other code, which need not allow changes
                if any(isinstance(arg, str) and _ILLEGAL.search(arg) for arg in error.args):
                    error.args = tuple(_ILLEGAL.sub(rf"\1{HIDDEN}", arg) if isinstance(arg, str) else arg for arg in error.args)
            error = error.__context__ if error.__cause__ is None else error.__cause__

    def shortened(self, text: str, ends: str, longest: int | None = MAX_TEXT_LENGTH, *, whole: bool = True) -> str:
        """Return the part of a text that is searched and shown: up to the last of `ends` if it is too long or not the `whole`."""
        longest = len(text) if longest is None else min(len(text), longest)
        if whole and longest == len(text):
            return text
        cut = max(text.rfind(end, 0, longest) for end in ends) + 1
        for pattern in self._patterns:
            for found in pattern.finditer(text, 0, cut + MARGIN):
                if found.start() < cut < found.end():
                    cut = found.start()
        return text[:cut]

    def key(self, key: object) -> str:
        """Return a key of a breaker, limiter or bulkhead as text: an origin as a URL, anything else masked."""
        if isinstance(key, tuple) and len(key) == 3 and isinstance(key[1], str) and isinstance(key[2], (int, type(None))):
            scheme, host, port = key
            host = f"[{host}]" if ":" in host else host
            return escaped(self.url(f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"))
        try:
            return self.line(str(key))
        except Exception:
            return f"<{type(key).__name__}>"

    def line(self, text: str) -> str:
        """Return a short text of other code for use in a log line: on one line, with the values of secret names masked too."""
        return HIDDEN if self._has_secret_key(text) else escaped(_PAIR.sub(self._pair, self.text(text)))

    def mask(self, secret: str, *, in_url: bool = False) -> str:
        """Return what replaces a secret; in a URL or a form, a replacement that needs no escapes."""
        if _MASKED.fullmatch(secret):
            return secret
        if self.mask_style == "partial" and len(secret) >= 16 and not _TELLING_ENDS.search(secret):
            return f"{secret[:4]}...{secret[-4:]}"
        if self.mask_style == "hash":
            return "hash-" + hashlib.blake2b(secret.encode("utf-8", "replace"), key=_HASH_KEY, digest_size=6).hexdigest()
        return "REDACTED" if in_url else HIDDEN

    def is_secret_header(self, name: str) -> bool:
        """Whether the whole value of a header field of this name is secret."""
        known = self._secret_headers.get(name)
        return self._secret_headers.remembered(name, self._is_secret_header(name)) if known is None else known

    def is_secret_parameter(self, name: str) -> bool:
        """Whether the value of a query or form parameter of this name (or `user[name]`, `name[]`) is secret."""
        known = self._secret_parameters.get(name)
        return self._secret_parameters.remembered(name, self._is_secret_parameter(name)) if known is None else known

    def is_secret_key(self, name: str) -> bool:
        """Whether the value of a key of this name, in JSON or the like, is secret, as that of a parameter or header field is."""
        known = self._secret_keys.get(name)
        return self._secret_keys.remembered(name, self._is_secret_key(name)) if known is None else known

    def _is_secret_header(self, name: str) -> bool:
        dashed = _dashed(name).removeprefix("http-")  # as WSGI writes it
        plain = _plain(dashed.removeprefix("x-"))
        return dashed in self._headers or (plain not in self._vague and self._is_secret_name(plain))

    def _is_secret_parameter(self, name: str) -> bool:
        parts = (name, *_NAME_PARTS.split(name))
        plain = (_plain(each) for part in parts for each in (part, _dashed(part).removeprefix("x-")))
        return any(map(self._is_secret_name, plain)) or any(map(self._is_secret_header, parts))

    def _is_secret_key(self, name: str) -> bool:
        last = name.rpartition(".")[2]  # `http.request.header.cookie`
        return any(_plain(one) not in self._vague and self.is_secret_parameter(one) for one in (name, last))

    def _is_secret_name(self, plain: str) -> bool:
        if plain in self._parameters:
            return True
        return plain not in HARMLESS_NAMES and (plain.endswith(self._endings) or any(map(plain.__contains__, self._parts)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mask_style={self.mask_style!r})"

    def _is_plain(self, url: str) -> bool:
        """Whether a URL cannot contain a secret. True of most URLs, and much faster than the search for secrets."""
        if any(map(url.__contains__, "@%+#;\"'")) or len(url) > MAX_TEXT_LENGTH:
            return False
        path, _, query = url.partition("?")
        if "=" in path or "?" in query:
            return False
        for piece in query.split("&") if query else ():
            name, _, value = piece.partition("=")
            if "=" in value or self.is_secret_parameter(name):
                return False
        for pattern in self._patterns:
            if pattern.search(url):
                return False
        return self._is_free_of_tokens(url)

    def _is_free_of_tokens(self, text: str) -> bool:
        return not any(map(text.__contains__, self._gates))

    def _url(self, url: str, depth: int = 0) -> str:
        def masked(match: re.Match[str]) -> str:
            return self._piece(match[0], depth)

        userinfo = _HEAD_USERINFO.match(url)
        head, rest = (userinfo[1] + "REDACTED@", url[userinfo.end() :]) if userinfo else ("", url)
        path = re.split(r"[?#]", rest, maxsplit=1)[0]
        query = _QUERY_PIECE.sub(masked, rest[len(path) :])
        if _DECODABLE.search(path):
            path = _PATH_PIECE.sub(masked, path)
        return self._scan(head + path + query, in_url=True)

    def _piece(self, piece: str, depth: int) -> str:
        """Return a `name=value`, or a part of a path, masked. What only contains a secret is masked whole, in every style."""
        name, equals, value = piece.partition("=")
        if value and self.is_secret_parameter(decoded(name)):
            return f"{name}={self.mask(value, in_url=True)}"
        return equals.join("REDACTED" if self._hides(part, piece, depth) else part for part in (name, value))

    def _hides(self, part: str, piece: str, depth: int) -> bool:
        """Whether a part of a piece contains a secret that is visible only once it is decoded, or parsed as a URL or form."""
        plain = unquote_plus(part)
        if self._has_secret_key(plain):
            return True
        nested = _NESTED.search(plain) is not None
        if plain == piece or (plain == part and not nested):
            return False
        return (nested and depth == MAX_NESTED_URLS) or self._url(plain, depth + 1) != plain

    def _has_secret_key(self, text: str) -> bool:
        """Whether a value is JSON or the like with a secret key."""
        if '"' not in text and "'" not in text:
            return False
        return any(self.is_secret_key(unescaped(name)) for name in _KEY.findall(text))

    def _pair(self, match: re.Match[str]) -> str:
        """Return a parameter of a header field, masked."""
        before, value = match.groups()
        if not self.is_secret_key(before.rstrip("=: \t")):
            return match[0]
        quote = value[0] if value[0] in "\"'" else ""
        return f"{before}{quote}{self.mask(value.strip(quote) if quote else value)}{quote}"

    def _scan(self, text: str, in_url: bool) -> str:
        def token(match: re.Match[str]) -> str:
            kept = match[1] if match.re.groups else ""
            secret = match[0][len(kept) :]
            return kept + self.mask(secret, in_url=in_url)

        if not self._is_free_of_tokens(text):
            for gates, pattern in self._tokens:
                if any(map(text.__contains__, gates)):
                    text = pattern.sub(token, text)
        if "@" in text:
            text = _USERINFO.sub(r"\1REDACTED@", text)
        return self.own(text, in_url=in_url) if self._patterns else text

    def own(self, text: str, *, in_url: bool = False) -> str:
        """Return the text with the matches of the user's own patterns masked."""

        def found(match: re.Match[str]) -> str:
            name, equals, _ = match[0].partition("=")
            masked = _MASKED.match(match.string, match.start() + len(name) + 1) if equals else None
            if masked and masked.end() >= match.end() and self.is_secret_parameter(name):
                return match[0]  # masked before, by its name
            return match[0] and self.mask(match[0], in_url=in_url)

        for pattern in self._patterns:
            text = pattern.sub(found, text)
        return text


class _Known(dict[str, bool]):
    """Whether names are secret, of the names met before."""

    def remembered(self, name: str, answer: bool) -> bool:
        """Keep the answer, unless the table is full or the name is long; return it."""
        if len(self) < MAX_KNOWN_NAMES and len(name) <= MAX_KNOWN_NAME_LENGTH:
            self[name] = answer
        return answer


def _plain(name: str) -> str:
    return name.lower().translate(_SEPARATORS)


def _dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def _rest(text: str, head: str) -> str:
    """Return what replaces the rest of a text behind `head`."""
    left = len(text) - len(head)
    return f"... ({left} more characters)" if left else ""


def _without_userinfo(match: re.Match[str]) -> str:
    """Return a word, up to an @ if it has one, without userinfo that looks like `user:password`."""
    word = match[0]
    return "REDACTED@" if word[-1] == "@" and ":" in word[:-2] else word


DEFAULT_MASKER = Masker()
"""Masks by the built-in lists, in full; for exceptions, reprs and our own log lines unless a `LogConfig` says otherwise."""

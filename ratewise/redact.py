"""Masks secrets in headers, URLs and text. Pure; exceptions, reprs and log lines go through it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, cast, get_args
from urllib.parse import unquote_plus

from .validation import flag, refusal

HEADERS = frozenset(
    """
    authorization proxy-authorization authentication-info proxy-authentication-info cookie cookie2 set-cookie set-cookie2
    x-api-key api-key apikey x-apikey x-auth-token x-access-token x-auth-key x-amz-security-token x-aws-ec2-metadata-token
    x-goog-api-key x-goog-iam-authorization-token x-functions-key ocp-apim-subscription-key aeg-sas-key
    x-ms-authorization-auxiliary x-vault-token x-consul-token private-token job-token deploy-token x-gitlab-token
    x-hub-signature x-hub-signature-256 stripe-signature x-slack-signature x-shopify-access-token x-shopify-hmac-sha256
    x-csrf-token x-csrftoken x-xsrf-token dd-api-key dd-application-key x-honeycomb-team x-figma-token x-plex-token
    x-registry-auth cf-access-client-secret cf-access-jwt-assertion authentication dpop session x-session x-session-id
    x-access-key x-auth x-jwt x-jwt-assertion x-amzn-oidc-data x-amzn-oidc-accesstoken x-goog-iap-jwt-assertion
    x-ms-client-principal
    """.split()
)
"""Header fields whose whole value is a secret, in lower case."""

HEADER_ENDINGS = (
    "-token",
    "-secret",
    "-api-key",
    "-apikey",
    "-password",
    "-signature",
    "-credential",
    "-credentials",
    "-authorization",
    "-passphrase",
    "-customer-key",
    "-signing-key",
)
"""A header field is a secret too if its name ends so, or is one of these without the dash."""

URL_HEADERS = frozenset(
    """
    location content-location operation-location referer refresh link :path x-original-url x-rewrite-url x-forwarded-uri
    """.split()
)
"""Header fields that hold URLs: these are masked as URLs."""

PARAMETERS = frozenset(
    """
    accesstoken refreshtoken idtoken token auth authtoken authorization apikey key appkey clientsecret clientassertion
    assertion code codeverifier password passwd pwd passphrase secret secretkey privatekey session sessionid jsessionid
    phpsessid sid jwt sig signature hmac credential credentials awsaccesskeyid xamzsignature xamzcredential
    xamzsecuritytoken xgoogsignature xgoogcredential securitytoken otp pin cvv cvc cardnumber ssn connectionstring
    accountkey sas csrftoken csrf xsrftoken apitoken sessiontoken accesskey subscriptionkey pass pw mysqlpwd creditcard
    creditcardnumber otpcode bearer bearertoken csrfmiddlewaretoken authenticitytoken usertoken devicetoken idtokenhint
    authkey devicecode samlresponse
    """.split()
)
"""Query parameters whose value is a secret: in lower case, without `-`, `_`, `.` and spaces."""

PARAMETER_PARTS = ("password", "passwd", "secret", "apikey", "accesstoken", "privatekey", "credential")
"""A parameter is a secret too if its name has one of these in it."""

PARAMETER_ENDINGS = ("token", "signature", "passphrase")
"""And if it ends so."""

PAGING = frozenset("pagetoken nextpagetoken prevpagetoken previouspagetoken nexttoken continuationtoken synctoken".split())
"""But these are no secrets."""

KEYS_OF_MANY_MEANINGS = frozenset("auth code key pin session sid sig".split())
"""Parameters that, as keys of JSON and the like, say something else as often."""

MaskStyle = Literal["full", "partial", "hash"]

LONGEST_TEXT = 16 * 1024
"""Characters of one value that are looked through; what comes after them is not shown."""

MOST_KNOWN, LONGEST_KNOWN = 1000, 100
"""How many names of parameters are remembered, and of how many characters."""

DEEPEST = 2
"""A URL or form within a URL is looked into, and one within that; what holds a third one is masked."""

# Known formats of tokens. Each has strings one of which must be in the text for the pattern to be tried at all, and begins
# where no word goes on (an escape such as `\n` or `%3D` before it is no part of a word), so that a run of characters is
# read once: every pattern is linear. The group, if any, stays.
_ESCAPED = r"(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})"
_WORD = rf"(?:(?<!\w)|{_ESCAPED})"
_NAME = rf"(?:(?<![\w-])|{_ESCAPED})"
_TOKENS = tuple(
    (gates.split(" | "), re.compile(pattern, re.ASCII | re.DOTALL))
    for gates, pattern in (
        ("eyJ", _NAME + r"eyJ[\w-]{5,}(?:\.[\w-]*){1,4}"),  # a JWT, signed or encrypted, or what else is signed like one
        ("ghp_ | gho_ | ghu_ | ghs_ | ghr_ | github_pat_", _WORD + r"(?:gh[pousr]_|github_pat_)\w{16,}"),
        (
            "glpat- | gldt- | glft- | glsoat- | glrt- | glcbt- | glimt- | glptt- | glagent- | gloas-",
            _WORD + r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[\w.-]{16,}",
        ),
        ("AKIA | ASIA | ABIA | ACCA", _WORD + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?!\w)"),
        ("xox | xapp-", _WORD + r"(?:(?:xox[a-ceoprs]|xapp)-[\w-]{8,}|xoxd-[\w%+/=-]{8,})"),
        ("hooks.slack.com", r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s?#<>\"']+"),
        ("/api/", r"(discord(?:app)?\.com/api/(?:v\d{1,3}/)?webhooks/\d{1,20}/)[^\s/?#<>\"']+"),
        ("sk-", _NAME + r"sk-[\w-]{16,}"),
        ("_live_ | _test_", _WORD + r"(?:sk|rk|pk)_(?:live|test)_\w{8,}"),
        ("whsec_", _WORD + r"whsec_\w[\w+/=]{7,}"),
        ("AIza", _NAME + r"AIza[\w-]{35,}"),
        ("ya29. | GOCSPX-", _NAME + r"(?:ya29\.[\w.-]{8,}|GOCSPX-[\w-]{8,})"),
        ("npm_ | hf_", _WORD + r"(?:npm|hf)_[A-Za-z0-9]{30,}"),
        ("pypi-", _NAME + r"pypi-AgE[\w-]{16,}"),
        ("SG.", _NAME + r"SG\.[\w-]{8,}\.[\w-]{8,}"),
        ("AC | SK", _WORD + r"(?:AC|SK)[0-9a-f]{32}(?!\w)"),
        (":AA", r"(?<!\d)\d{8,10}:AA[\w-]{33,}"),
        ("earer | EARER", r"(?<!\w)((?:[Bb]earer|BEARER)[ \t]+)(?!authenti|authori[sz])[\w.~+/=-]{8,}"),
        ("asic | ASIC", r"(?<!\w)((?:[Bb]asic|BASIC)[ \t]+)(?![a-z]+(?![\w.~+/=-]))[\w.~+/=-]{8,}"),  # "basic knowledge"
        # To its end or, without one, to that of the text; read once either way.
        ("-----BEGIN ", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)"),
    )
)
_USERINFO = re.compile(r"(://)[^\s/?#<>\"]+@")
# At the head of a URL. What follows a colon and is no port is a password, even with a `/`, `?` or `#` that should be encoded.
_HEAD_USERINFO = re.compile(
    r"((?:[a-z][a-z0-9+.-]*:)?//)(?:[^/?#]+|[^/?#:@\[]*:(?!\d*(?:[/?#]|$)).*)@", re.ASCII | re.IGNORECASE | re.DOTALL
)
_BARE_USERINFO = re.compile(r"\A(?!mailto:)[^\s/?#:@]+:[^\s/?#@]*@", re.IGNORECASE)  # user:password@host, without a scheme
_URL = re.compile(r"//[^\s<>\"]*[^\s<>\"'`.,:;!)\]}]")  # in a text, without the punctuation after it
_DECODABLE = re.compile(r"[=%+]")
_PATH_PIECE = re.compile(r"[^/;&]+")
_QUERY_PIECE = re.compile(r"[^&;#?][^&;#]*(?:;[^&;#=]*(?![^&;#]))*")  # `;` may separate, or be part of a value
_NESTED = re.compile(r"[=@?]|%[0-9A-Fa-f]{2}")  # there may be a URL or a form in it
_MASKED = re.compile(r"\[?REDACTED\]?|hash-[0-9a-f]{12}|.{4}\.{3}.{4}")  # before: as a part of a URL, or by another Redactor
_NAME_PARTS = re.compile(r"[^\w.\- ]+")
# What is too long is cut after one of these: half a secret may look like none.
_WORD_ENDS = ' \t\r\n<>"'
_PIECE_ENDS = "&;/?#"
_NOT_SHOWN = re.compile(r"[^ -~]+")
_HASH_KEY = os.urandom(16)
_SEPARATORS = str.maketrans("", "", "-_. ")


class Redactor:
    """Masks the secrets in what is to be shown.

    `headers`, `query_params` and `patterns` (regular expressions) are names and formats to mask beside the built-in ones;
    `defaults=False` leaves those out. `mask_style` is what a secret becomes: "full": `[REDACTED]` (in URLs `REDACTED`);
    "partial": its first and last 4 characters if it has 16 or more, else as "full"; "hash": a number that is the same for the
    same secret within this process, to tell secrets apart.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        *,
        headers: Iterable[str] = (),
        query_params: Iterable[str] = (),
        patterns: Iterable[str] = (),
        mask_style: MaskStyle = "full",
        defaults: bool = True,
    ) -> None:
        if mask_style not in get_args(MaskStyle):
            raise ValueError(refusal("mask_style", mask_style, '"full", "partial" or "hash"'))
        self.mask_style = mask_style
        flag("defaults", defaults)
        self._headers = frozenset(map(_dashed, names_of("headers", headers))) | (HEADERS if defaults else set())
        self._endings = HEADER_ENDINGS if defaults else ()
        own = frozenset(map(_plain, names_of("query_params", query_params))) - {""}
        self._parameters = own | (PARAMETERS if defaults else set())
        self._vague = KEYS_OF_MANY_MEANINGS - own
        self._parts = PARAMETER_PARTS if defaults else ()
        self._tokens = _TOKENS if defaults else ()
        self._gates = tuple(gate for gates, _ in self._tokens for gate in gates)
        self._patterns = compiled("patterns", patterns)
        self._names = PARAMETERS - KEYS_OF_MANY_MEANINGS if defaults else frozenset[str]()
        """Parameters that as header fields are secrets, too."""
        self._known: dict[str, bool] = {}
        """Of names that were asked for: whether they are secret parameters."""
        self._known_headers: dict[str, bool] = {}
        self._settings = (mask_style, defaults, self._headers, own, tuple(pattern.pattern for pattern in self._patterns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redactor) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    def header(self, name: str, value: str) -> str:
        """The value of a header field as it may be shown."""
        name = _dashed(name)
        if self.is_secret_header(name):
            return self.mask(value)
        if name == "link":
            head, cut = _shortened(value, _PIECE_ENDS)
            return re.sub(r"[^<>]+", lambda match: self._url(match[0]), head) + cut
        return self.url(value) if name in URL_HEADERS else self.text(value)

    def headers(self, fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """All header fields, of a mapping or in pairs, as they may be shown."""
        pairs = cast("Iterable[tuple[str, str]]", fields.items() if isinstance(fields, Mapping) else fields)
        return [(name, self.header(name, value)) for name, value in pairs]

    def url(self, url: object) -> str:
        """A URL, a string or a library's own, as it may be shown: no userinfo, no secret in path, query or fragment."""
        given = str(url)
        if self._is_plain(given):
            return given
        head, cut = _shortened(given, _PIECE_ENDS)
        return self._url(_BARE_USERINFO.sub("REDACTED@", head)) + cut

    def text(self, text: str) -> str:
        """Any text as it may be shown: without what looks like a token or a private key, its URLs as `url` shows them."""
        head, cut = _shortened(text, _WORD_ENDS)
        if "//" in head:
            head = _URL.sub(lambda match: match[0] if self._is_plain(match[0]) else self._url(match[0]), head)
        return self._scan(head, in_url=False) + cut

    def key(self, key: object) -> str:
        """What a breaker or a limiter tells servers or routes apart by: an origin as people write it, else its text masked."""
        if isinstance(key, tuple) and len(key) == 3:
            scheme, host, port = key
            host = f"[{host}]" if ":" in str(host) else host
            key = f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"
        return self.text(str(key))

    def mask(self, secret: str, *, in_url: bool = False) -> str:
        """What is shown instead of a secret; in a URL, or a form, it needs no escapes."""
        if _MASKED.fullmatch(secret):
            return secret
        if self.mask_style == "partial" and len(secret) >= 16:
            return f"{secret[:4]}...{secret[-4:]}"
        if self.mask_style == "hash":
            return "hash-" + hashlib.blake2b(secret.encode("utf-8", "replace"), key=_HASH_KEY, digest_size=6).hexdigest()
        return "REDACTED" if in_url else "[REDACTED]"

    def is_secret_header(self, name: str) -> bool:
        """The whole value of a header field of this name is a secret."""
        known = self._known_headers.get(name)
        if known is None:
            dashed = _dashed(name)
            plain = _plain(dashed[2:] if dashed.startswith("x-") else dashed)
            known = dashed in self._headers or f"-{dashed}".endswith(self._endings)
            known = known or plain in self._names or any(part in plain for part in self._parts)
            if len(self._known_headers) < MOST_KNOWN and len(name) <= LONGEST_KNOWN:
                self._known_headers[name] = known
        return known

    def is_secret_parameter(self, name: str) -> bool:
        """The value of a query or form parameter of this name (or `user[this]`, `this[]`) is a secret."""
        known = self._known.get(name)
        if known is None:
            known = any(self._is_secret_name(_plain(part)) for part in (name, *_NAME_PARTS.split(name)))
            if len(self._known) < MOST_KNOWN and len(name) <= LONGEST_KNOWN:
                self._known[name] = known
        return known

    def _is_secret_name(self, plain: str) -> bool:
        if plain in self._parameters or any(part in plain for part in self._parts):
            return True
        return bool(self._parts) and plain.endswith(PARAMETER_ENDINGS) and plain not in PAGING

    def is_secret_key(self, name: str) -> bool:
        """The value of a key of this name, in JSON or the like, is a secret: as that of a parameter or of a header field."""
        if _plain(name) in self._vague:
            return False
        return self.is_secret_parameter(name) or self.is_secret_header(name)

    def __repr__(self) -> str:
        return f"Redactor(mask_style={self.mask_style!r})"

    def _is_plain(self, url: str) -> bool:
        """There can be no secret in it: most URLs are told so in a fraction of the time that looking for one takes."""
        if "@" in url or "%" in url or "+" in url or "#" in url or ";" in url or len(url) > LONGEST_TEXT:
            return False
        path, _, query = url.partition("?")
        if "=" in path or "?" in query:
            return False
        for piece in query.split("&"):
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
        """One `name=value`, or a part of a path. What only holds a secret is masked whole, whatever the style."""
        name, equals, value = piece.partition("=")
        if value and self.is_secret_parameter(unquote_plus(name)):
            return f"{name}={self.mask(value, in_url=True)}"
        return equals.join("REDACTED" if self._hides(part, piece, depth) else part for part in (name, value))

    def _hides(self, part: str, piece: str, depth: int) -> bool:
        """There is a secret in this part of a piece that shows only when it is decoded, or read as a URL or form."""
        plain = unquote_plus(part)
        nested = _NESTED.search(plain) is not None
        if plain == piece or (plain == part and not nested):
            return False
        return (nested and depth == DEEPEST) or self._url(plain, depth + 1) != plain

    def _scan(self, text: str, in_url: bool) -> str:
        def token(match: re.Match[str]) -> str:
            kept = match[1] if match.re.groups else ""
            secret = match[0][len(kept) :]
            return kept + self.mask(secret, in_url=in_url)

        def found(match: re.Match[str]) -> str:
            name, equals, _ = match[0].partition("=")
            masked = _MASKED.match(match.string, match.start() + len(name) + 1) if equals else None
            if masked and masked.end() >= match.end() and self.is_secret_parameter(name):
                return match[0]  # its name has shown it before
            return match[0] and self.mask(match[0], in_url=in_url)

        if not self._is_free_of_tokens(text):
            for gates, pattern in self._tokens:
                if any(gate in text for gate in gates):
                    text = pattern.sub(token, text)
        if "@" in text:
            text = _USERINFO.sub(r"\1REDACTED@", text)
        for pattern in self._patterns:
            text = pattern.sub(found, text)
        return text


def _plain(name: str) -> str:
    return name.lower().translate(_SEPARATORS)


def _dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def _shortened(text: str, ends: str) -> tuple[str, str]:
    """What is looked through of a text, and what is said of the rest."""
    if len(text) <= LONGEST_TEXT:
        return text, ""
    head = text[: max(text.rfind(end, 0, LONGEST_TEXT) for end in ends) + 1]
    return head, f"... ({len(text) - len(head)} more characters)"


def escaped(text: str) -> str:
    """The text on one line, without characters that a terminal or a viewer acts on: these are written as in Python."""
    return text if text.isprintable() else _NOT_SHOWN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in match[0])


def names_of(setting: str, names: Iterable[str]) -> Collection[str]:
    """`names`, if that is a list of strings."""
    allowed = "a list of strings that are not empty"
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(refusal(setting, names, allowed))
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(refusal(setting, found, allowed))
        if not name:
            raise ValueError(refusal(setting, found, allowed))
    return found


def compiled(setting: str, patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """`patterns`, if they are regular expressions."""
    found = []
    for pattern in names_of(setting, patterns):
        try:
            found.append(re.compile(pattern))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(refusal(setting, pattern, f"regular expressions ({error})")) from None
    return tuple(found)


DEFAULT = Redactor()
"""The built-in lists, masked in full: what exceptions, reprs and our own log lines use."""

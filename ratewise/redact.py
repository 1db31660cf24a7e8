"""Masks secrets in headers, URLs and text. Pure; exceptions, reprs and log lines go through it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote_plus

from .validation import refusal

HEADERS = frozenset(
    """
    authorization proxy-authorization authentication-info proxy-authentication-info cookie cookie2 set-cookie set-cookie2
    x-api-key api-key apikey x-apikey x-auth-token x-access-token x-auth-key x-amz-security-token x-aws-ec2-metadata-token
    x-goog-api-key x-goog-iam-authorization-token x-functions-key ocp-apim-subscription-key aeg-sas-key
    x-ms-authorization-auxiliary x-vault-token x-consul-token private-token job-token deploy-token x-gitlab-token
    x-hub-signature x-hub-signature-256 stripe-signature x-slack-signature x-shopify-access-token x-shopify-hmac-sha256
    x-csrf-token x-csrftoken x-xsrf-token dd-api-key dd-application-key x-honeycomb-team x-figma-token x-plex-token
    x-registry-auth cf-access-client-secret cf-access-jwt-assertion
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
)

URL_HEADERS = frozenset({"location", "content-location", "referer", "link", "refresh"})
"""Header fields that hold URLs: these are masked as URLs."""

PARAMETERS = frozenset(
    """
    accesstoken refreshtoken idtoken token auth authtoken authorization apikey key appkey clientsecret clientassertion
    assertion code codeverifier password passwd pwd passphrase secret secretkey privatekey session sessionid jsessionid
    phpsessid sid jwt sig signature hmac credential credentials awsaccesskeyid xamzsignature xamzcredential
    xamzsecuritytoken xgoogsignature xgoogcredential securitytoken otp pin cvv cvc cardnumber ssn connectionstring
    accountkey sas csrftoken csrf xsrftoken
    """.split()
)
"""Query parameters whose value is a secret: in lower case, without `-`, `_`, `.` and spaces."""

PARAMETER_PARTS = ("password", "passwd", "secret", "apikey", "accesstoken", "privatekey", "credential")
"""A parameter is a secret too if its name has one of these in it."""

LONGEST_TEXT = 16 * 1024
"""Characters of one value that are looked through; what comes after them is not shown."""

# Known formats of tokens. Each has strings one of which must be in the text for the pattern to be tried at all, and begins
# where no word goes on, so that a run of characters is read once: every pattern is linear. The group, if any, stays.
_TOKENS = tuple(
    (gates.split(), re.compile(pattern, re.ASCII))
    for gates, pattern in (
        ("eyJ", r"(?<![\w-])eyJ[\w-]{5,}\.eyJ[\w-]{5,}(?:\.[\w-]*)?"),
        ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"(?<!\w)(?:gh[pousr]_|github_pat_)\w{16,}"),
        (
            "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas-",
            r"(?<!\w)gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[\w.-]{16,}",
        ),
        ("AKIA ASIA ABIA ACCA", r"(?<!\w)(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?!\w)"),
        ("xox xapp-", r"(?<!\w)(?:xox[abeoprs]-|xapp-)[\w-]{8,}"),
        ("hooks.slack.com", r"(hooks\.slack\.com/services/)[\w/]+"),
        ("sk-", r"(?<![\w-])sk-[\w-]{16,}"),
        ("_live_ _test_ whsec_", r"(?<!\w)(?:(?:sk|rk|pk)_(?:live|test)_|whsec_)\w{8,}"),
        ("AIza", r"(?<![\w-])AIza[\w-]{35}"),
        ("ya29. GOCSPX-", r"(?<![\w-])(?:ya29\.|GOCSPX-)[\w-]{8,}"),
        ("npm_ hf_", r"(?<!\w)(?:npm|hf)_\w{16,}"),
        ("pypi-", r"(?<![\w-])pypi-[\w-]{16,}"),
        ("SG.", r"(?<![\w-])SG\.[\w-]{8,}\.[\w-]{8,}"),
        ("AC SK", r"(?<!\w)(?:AC|SK)[0-9a-f]{32}(?!\w)"),
        (":AA", r"(?<!\d)\d{8,10}:AA[\w-]{33}"),
        (
            "earer asic EARER ASIC",
            r"(?<!\w)((?:[Bb]earer|BEARER|[Bb]asic|BASIC)[ \t]{1,8})[A-Za-z0-9._~+/=-]{8,}",
        ),
        ("@", r"(://)[^\s/?#<>\"']{1,512}@"),
    )
)
_PEM_BEGIN, _PEM_END = "-----BEGIN ", "-----END "
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
        mask_style: str = "full",
        defaults: bool = True,
    ) -> None:
        if mask_style not in ("full", "partial", "hash"):
            raise ValueError(refusal("mask_style", mask_style, '"full", "partial" or "hash"'))
        self.mask_style = mask_style
        self._headers = frozenset(name.lower() for name in _names("headers", headers)) | (HEADERS if defaults else set())
        self._endings = HEADER_ENDINGS if defaults else ()
        self._parameters = frozenset(map(_plain, _names("query_params", query_params)))
        self._parameters |= PARAMETERS if defaults else set()
        self._parts = PARAMETER_PARTS if defaults else ()
        self._tokens = _TOKENS if defaults else ()
        self._defaults = defaults
        self._patterns = tuple(_compiled(pattern) for pattern in _names("patterns", patterns))

    def header(self, name: str, value: str) -> str:
        """The value of a header field as it may be shown."""
        name = name.lower()
        if name in self._headers or name.endswith(self._endings):
            return self._mask(value)
        if name == "link" or name == "refresh":
            return self.text(re.sub(r"[^<>=;,\s][^<>\s]*", lambda match: self.url(match[0]), value[:LONGEST_TEXT]))
        return self.url(value) if name in URL_HEADERS else self.text(value)

    def headers(self, items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """All header fields as they may be shown."""
        return [(name, self.header(name, value)) for name, value in items]

    def url(self, url: str) -> str:
        """A URL, whole or relative, as it may be shown: no userinfo, and no secret in path, query or fragment."""
        return self._url(url[:LONGEST_TEXT], nested=0) + _cut(url)

    def text(self, text: str) -> str:
        """Any text as it may be shown: without what looks like a token, a private key or a password in a URL."""
        return self._scan(text[:LONGEST_TEXT], in_url=False) + _cut(text)

    def secret_parameter(self, name: str) -> bool:
        """The value of a query or form parameter of this name is a secret."""
        plain = _plain(name)
        return plain in self._parameters or any(part in plain for part in self._parts)

    def __repr__(self) -> str:
        return f"Redactor(mask_style={self.mask_style!r})"

    def _url(self, url: str, nested: int) -> str:
        rest, hash_, fragment = url.partition("#")
        rest, question, query = rest.partition("?")
        scheme, slashes, rest = rest.partition("://") if "://" in rest else ("", "", rest)
        authority, slash, path = rest.partition("/") if slashes else ("", "", rest)
        _, userinfo, host = authority.rpartition("@")
        located = self._scan(host + slash + path, in_url=True)
        if "%" in located or ";" in located:
            located = re.sub(r"[^/;]+", lambda match: self._piece(match[0], nested), located)
        query = re.sub(r"[^&;]+", lambda match: self._piece(match[0], nested), query)
        fragment = re.sub(r"[^&;]+", lambda match: self._piece(match[0], nested), fragment)
        return scheme + slashes + (userinfo and "REDACTED@") + located + question + query + hash_ + fragment

    def _piece(self, piece: str, nested: int) -> str:
        """One `name=value`, or a part of a path."""
        name, equals, value = piece.partition("=")
        if equals and value and self.secret_parameter(unquote_plus(name)):
            return f"{name}={self._mask(value, in_url=True)}"
        plain = unquote_plus(value if equals else name)
        shown = self._scan(plain, in_url=True)
        if shown == plain and any(mark in plain for mark in "=@?"):  # a URL or a form within
            shown = "" if nested == 2 else self._url(plain, nested + 1)
        if shown == plain:
            return piece
        return name + equals + self._mask(value, in_url=True) if equals else self._mask(piece, in_url=True)

    def _scan(self, text: str, in_url: bool) -> str:
        def masked(match: re.Match[str]) -> str:
            kept = match[1] if match.re.groups else ""
            if match[0].endswith("@"):  # userinfo is masked whole, whatever the style
                return f"{kept}REDACTED@"
            return kept + self._mask(match[0][len(kept) :], in_url)

        for gates, pattern in self._tokens:
            if any(gate in text for gate in gates):
                text = pattern.sub(masked, text)
        if self._defaults and _PEM_BEGIN in text:
            text = self._without_keys(text)
        for pattern in self._patterns:
            text = pattern.sub(lambda match: self._mask(match[0], in_url), text)
        return text

    def _without_keys(self, text: str) -> str:
        """No PEM private keys. Found by plain searches, which stay linear."""
        shown, rest = "", text
        while True:
            before, begin, after = rest.partition(_PEM_BEGIN)
            shown += before
            if not begin:
                return shown
            label, _, body = after.partition("-----")
            if "PRIVATE KEY" not in label[:64]:
                shown, rest = shown + begin, after
                continue
            secret, end, rest = body.partition(_PEM_END)
            shown += self._mask(secret)
            rest = rest.partition("-----")[2] if end else ""

    def _mask(self, secret: str, in_url: bool = False) -> str:
        if self.mask_style == "partial" and len(secret) >= 16:
            return f"{secret[:4]}...{secret[-4:]}"
        if self.mask_style == "hash":
            return "hash-" + hashlib.blake2b(secret.encode("utf-8", "replace"), key=_HASH_KEY, digest_size=6).hexdigest()
        return "REDACTED" if in_url else "[REDACTED]"


def _plain(name: str) -> str:
    return name.lower().translate(_SEPARATORS)


def _cut(text: str) -> str:
    return f"... ({len(text) - LONGEST_TEXT} more characters)" if len(text) > LONGEST_TEXT else ""


def _names(setting: str, names: Iterable[str]) -> Collection[str]:
    found = [] if isinstance(names, (str, bytes)) else list(names)
    if isinstance(names, (str, bytes)) or not all(isinstance(name, str) for name in found):
        raise TypeError(refusal(setting, names, "a list of strings"))
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(refusal("patterns", pattern, f"regular expressions ({error})")) from None


DEFAULT = Redactor()
"""The built-in lists, masked in full: what exceptions, reprs and our own log lines use."""

"""The built-in lists: names of secret header fields and parameters, and formats of tokens."""

from __future__ import annotations

import re

from .._util.lazy_regex import regex

SECRET_HEADERS = frozenset(
    """
    aeg-sas-key api-sign auth authentication authentication-info cb-access-sign cf-access-jwt-assertion cookie2
    dd-application-key dpop fastly-key ocp-apim-subscription-key proxy-auth proxy-authentication-info session set-cookie2
    x-amzn-oidc-data x-appwrite-key x-auth x-auth-pass x-authentication x-firebase-appcheck x-functions-key
    x-goog-iap-jwt-assertion x-honeycomb-team x-hub-signature-256 x-insert-key x-jwt-assertion x-ms-authorization-auxiliary
    x-ms-client-principal x-pin x-registry-auth x-session x-shopify-hmac-sha256 x-zumo-auth
    """.split()
)
"""Header fields whose whole value is secret, in lower case, except those that the lists below match."""

URL_HEADERS = frozenset(
    """
    location content-location operation-location azure-asyncoperation referer refresh link :path x-original-url x-original-uri
    x-rewrite-url x-forwarded-uri x-forwarded-url x-request-uri x-request-url x-accel-redirect x-redirect redirect destination
    hx-redirect hx-location hx-current-url hx-push-url hx-replace-url x-amz-website-redirect-location sourcemap x-sourcemap
    """.split()
)
"""Header fields whose value is masked as a URL."""

SECRET_NAMES = frozenset(
    """
    accountkey appkey assertion auth authcode authkey authorizationcode awsaccesskeyid backupcodes bearer cardnumber
    clientassertion code codeverifier connectionstring cookies creditcard creditcardnumber csrf cvc cvv dbpass devicecode hmac
    idtokenhint jsessionid key mfacode oauthverifier otp otpcode pass phpsessid pin pw recoverycode recoverycodes samlrequest
    samlresponse sas session sessionid sid sig sign ssn subscriptionkey totp totpcode verificationcode
    """.split()
)
"""Names, of parameters and keys of any kind, whose value is secret: in lower case, without `-`, `_`, `.` and spaces."""

SECRET_NAME_PARTS = ("password", "passwd", "secret", "apikey", "accesstoken", "privatekey", "credential")
"""Parts of names whose value is secret, written like `SECRET_NAMES`."""

SECRET_NAME_ENDINGS = (
    *("token", "signature", "passphrase", "passcode", "authorization", "jwt", "signingkey", "encryptionkey", "masterkey"),
    *("sessionkey", "licensekey", "customerkey", "consumerkey", "accesskey", "clientkey", "applicationkey", "userkey"),
    *("accesssign", "apisign", "pwd", "otp", "cookie"),
)
"""Endings of names whose value is secret, written like `SECRET_NAMES`."""

HARMLESS_NAMES = frozenset(
    """
    pagetoken nextpagetoken prevpagetoken previouspagetoken nexttoken continuationtoken nextcontinuationtoken synctoken
    cursortoken secretsmanager secretary
    """.split()
)
"""Exceptions to parts and endings, such as tokens for the next page."""

AMBIGUOUS_NAMES = frozenset("auth code key pin session sid sig sign".split())
"""Of `SECRET_NAMES` those that often mean something else as header fields and as keys of JSON: secret as parameters only."""

LABEL_ENDINGS = tuple("name key header field param parameter attribute property variable id label path".split())
"""How keys of labels end: their value is a name, such as that of a header field."""

VALUE_ENDINGS = ("value", "values", "val")
"""How keys end whose value belongs to the label beside them, and is secret if the label names a secret."""

_BEHIND_ESCAPE = (
    r"(?<=\\[abfnrtv0])|(?<=\\x[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})"
    r"|(?<=\[\dm)|(?<=\[\d\dm)"  # colours of a terminal
)
"""Behind an escape of a string, of JSON, of a URL or of a terminal, whose last character is no part of a word."""

_AT_WORD = rf"(?:(?<!\w)|{_BEHIND_ESCAPE})"
_AT_NAME = rf"(?:(?<![\w-])|{_BEHIND_ESCAPE})"
"""Where no word, or no word with hyphens, goes on: a run of characters is read once, and every pattern is linear."""

TOKEN_FORMATS = tuple(
    (gates.split(" | "), regex(pattern, re.ASCII | re.DOTALL))
    for gates, pattern in (
        ("eyJ", _AT_NAME + r"eyJ[\w-]{5,}(?:\.[\w-]*){1,4}"),  # a JWT, signed or encrypted, or anything signed like one
        ("ghp_ | gho_ | ghu_ | ghs_ | ghr_ | github_pat_", _AT_WORD + r"(?:gh[pousr]_|github_pat_)\w{16,}"),
        (
            "glpat- | gldt- | glft- | glsoat- | glrt- | glcbt- | glimt- | glptt- | glagent- | gloas-",
            _AT_WORD + r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[\w.-]{16,}",
        ),
        ("AKIA | ASIA | ABIA | ACCA", _AT_WORD + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?!\w)"),
        ("xox | xapp-", _AT_WORD + r"(?:(?:xox[a-ceoprs]|xapp)-[\w-]{8,}|xoxd-[\w%+/=-]{8,})"),
        ("hooks.slack.com", r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s?#<>\"']+"),
        ("/api/", r"(discord(?:app)?\.com/api/(?:v\d{1,3}/)?webhooks/\d{1,20}/)[^\s/?#<>\"']+"),
        ("sk-", _AT_NAME + r"sk-(?=[\w-]*[\dA-Z])[\w-]{16,}"),
        ("_live_ | _test_", _AT_WORD + r"(?:sk|rk|pk)_(?:live|test)_\w{8,}"),
        ("whsec_", _AT_WORD + r"whsec_\w[\w+/=]{7,}"),
        ("AIza", _AT_NAME + r"AIza[\w-]{35,}"),
        ("ya29. | GOCSPX-", _AT_NAME + r"(?:ya29\.[\w.-]{8,}|GOCSPX-[\w-]{8,})"),
        ("npm_ | hf_", _AT_WORD + r"(?:npm|hf)_[A-Za-z0-9]{30,}"),
        ("pypi-", _AT_NAME + r"pypi-AgE[\w-]{16,}"),
        ("SG.", _AT_NAME + r"SG\.[\w-]{8,}\.[\w-]{8,}"),
        ("AC | SK", _AT_WORD + r"(?:AC|SK)[0-9a-f]{32}(?!\w)"),
        (":AA", r"(?<!\d)\d{8,10}:AA[\w-]{33,}"),
        (
            "earer | EARER",
            r"(?<!\w)((?:[Bb]earer|BEARER)(?:[ \t]+|%20)[\"']?)(?!authenti|authori[sz])(?:[\w.~+/=-]|[^\x00-\x7f]){8,}",
        ),
        ("asic | ASIC", r"(?<!\w)((?:[Bb]asic|BASIC)[ \t]+)(?!HTTP/|[a-z-]+(?![\w.~+/=-]))[\w.~+/=-]{8,}"),  # "basic knowledge"
        ("k8s.io.", r"(base64url\.bearer\.authorization\.k8s\.io\.)[\w-]+"),
        # To its end or, if it has none, to the end of the text; read once in both cases.
        ("-----BEGIN ", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)"),
    )
)
"""Formats of tokens: strings one of which must be in a text for the pattern to be tried, and the pattern. Its group, if it has
one, is kept."""

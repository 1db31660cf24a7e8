"""Header fields: which are secret by name, and which are not."""

from __future__ import annotations

import pytest

from tests.redaction.samples import FULL, HEADERS


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_secret_headers(name: str) -> None:
    """Each header field known to contain a secret is masked, in any case, with dashes or underscores."""
    for spelled in (name, name.upper(), name.title(), name.replace("-", "_")):
        assert FULL.header(spelled, "sesame") == "[REDACTED]"


@pytest.mark.parametrize(
    "name",
    [
        "X-Refresh-Token",
        "X_Session_Token",
        "Token",
        "password",
        "My-Secret",
        "Acme-Api-Key",
        "Acme-ApiKey",
        "X-Smtp-Password",
        "X-Twilio-Signature",
        "X-Amz-Credential",
        "X-Google-Credentials",
        "X-Serverless-Authorization",
    ],
)
def test_secret_header_endings(name: str) -> None:
    """A header field whose name has a secret ending, or is one, is masked."""
    assert FULL.header(name, "sesame") == "[REDACTED]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("ETag", '"33a64df551425fcc55e4d42a148795d9f25f89d4"'),
        ("X-Request-Id", "123e4567-e89b-12d3-a456-426614174000"),
        ("X-Token-Count", "17"),
        ("Idempotency-Key", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("WWW-Authenticate", 'Bearer realm="api", error="invalid_token"'),
        ("WWW-Authenticate", 'Basic realm="all"'),
        ("Retry-After", "120"),
        ("RateLimit", '"default";r=0;t=30'),
        ("Location", "https://api.example.com/users/7?page=2#top"),
        ("Link", '<https://api.example.com/users?page=2>; rel="next", </users?page=9>; rel="last"; title="a = b"'),
        ("Refresh", "5; url=https://example.com/wait?n=2"),
        ("Referer", "https://example.com/@user/post"),
        ("User-Agent", "python-httpx/0.28.1"),
        ("Signature-Input", 'sig1=("@method");created=1618884473'),
    ],
)
def test_ordinary_headers(name: str, value: str) -> None:
    """Header fields without a secret are unchanged."""
    assert FULL.header(name, value) == value


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Location", "https://u:p@h/cb?token=abc&x=1", "https://REDACTED@h/cb?token=REDACTED&x=1"),
        ("location", "/cb?code=abc", "/cb?code=REDACTED"),
        ("Location", "//u:p@h/cb", "//REDACTED@h/cb"),
        ("Content-Location", "/me?access_token=abc#x", "/me?access_token=REDACTED#x"),
        ("Referer", "https://h/#access_token=abc&state=1", "https://h/#access_token=REDACTED&state=1"),
        (":path", "/me?key=abc", "/me?key=REDACTED"),
        ("Refresh", "5; url=https://u:p@h/?sid=abc", "5; url=https://REDACTED@h/?sid=REDACTED"),
        ("Link", '<https://u:p@h/?token=a>; rel="next"', '<https://REDACTED@h/?token=REDACTED>; rel="next"'),
        ("Link", '</a?q=x y&key=a>;rel="a",</b?key=b>', '</a?q=x y&key=REDACTED>;rel="a",</b?key=REDACTED>'),
        ("Link", "</a?" + "x" * 5 + "&sig=a;b>; rel=x", "</a?xxxxx&sig=REDACTED>; rel=x"),
        ("X-Callback", "see https://u:p@h/?key=abc", "see https://REDACTED@h/?key=REDACTED"),
        ("HX-Redirect", "cb?code=abc", "cb?code=REDACTED"),
        ("X-Whatever", "/cb?code=abc", "/cb?code=REDACTED"),
        ("X-Debug", "auth was Bearer aB3dEfGhIj", "auth was Bearer [REDACTED]"),
    ],
)
def test_headers_that_hold_urls(name: str, value: str, shown: str) -> None:
    """In the URLs of a header field secrets are masked and nothing else."""
    assert FULL.header(name, value) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Forwarded", 'for=192.0.2.1;proto=https;secret="a\\"b, c"', 'for=192.0.2.1;proto=https;secret="[REDACTED]"'),
        ("X-Login", "user=joe, password='a b'; x=1", "user=joe, password='[REDACTED]'; x=1"),
        ("X-Form", "access_token=abc&x=1", "access_token=REDACTED&x=1"),
        ("Link", "</a>; rel=x; token=abc", "</a>; rel=x; token=REDACTED"),
        ("HX-Trigger", '{"login": {"to\\u006ben": "abc"}}', "[REDACTED]"),
        ("HX-Trigger", '{"login": {"code": "abc"}}', '{"login": {"code": "abc"}}'),
        ("Cache-Status", 'x; hit; key="abc"', 'x; hit; key="abc"'),
        ("Content-Disposition", 'attachment; filename="a=b.txt"', 'attachment; filename="a=b.txt"'),
    ],
)
def test_headers_that_hold_parameters(name: str, value: str, shown: str) -> None:
    """Parameters of a field with secret names are masked; JSON with a secret key is masked whole."""
    assert FULL.header(name, value) == shown


def test_all_headers_at_once() -> None:
    """`headers` keeps order, names and repeated fields."""
    items = [("Set-Cookie", "a=1"), ("Accept", "*/*"), ("Set-Cookie", "b=2")]
    assert FULL.headers(iter(items)) == [("Set-Cookie", "[REDACTED]"), ("Accept", "*/*"), ("Set-Cookie", "[REDACTED]")]


SECRET_HEADERS = """
X-RapidAPI-Key X-Secret-Key Access-Key AuthToken X-AccessToken Private-Key Passwd Session-Id JWT X-Api-Key-2 X-Auth X-AuthToken
CB-ACCESS-PASSPHRASE X-Signing-Key X-Amz-Server-Side-Encryption-Customer-Key
""".split()


@pytest.mark.parametrize("name", SECRET_HEADERS)
def test_header_fields_that_are_called_like_parameters(name: str) -> None:
    """A name that is secret in a query is secret as a header field."""
    assert FULL.header(name, "hunter2") == "[REDACTED]"


@pytest.mark.parametrize("name", ["X-Page", "ETag", "X-Request-Id", "Code", "Key", "X-Session-Count", "Content-Type"])
def test_header_fields_that_are_not(name: str) -> None:
    """Ambiguous names are not secret as header fields."""
    assert FULL.header(name, "hunter2") == "hunter2"

"""Masking by name in texts, bodies and values; in linear time, on one line."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._redaction.bodies import body, json_text
from ratewise._redaction.masker import MAX_TEXT_LENGTH
from ratewise._redaction.text import lines, message
from ratewise._redaction.values import value
from ratewise._util.escapes import escaped
from tests.kit.growth import growth
from tests.redaction.samples import FULL, HASH, HOSTILE, PARTIAL, TOKENS, masker

OWN = masker(query_params=["code", "plan"], headers=["X-Plan"], patterns=[r"CUST-\d+"], defaults=False)
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
GITHUB = TOKENS["github"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[(b'Set-Cookie', b'sid=sesame'), (b'Server', b'x')]", "[(b'Set-Cookie', b'[REDACTED]'), (b'Server', b'x')]"),
        ("""[(b"Set-Cookie", b"it's sesame"), (b'A', b'b')]""", """[(b"Set-Cookie", b"[REDACTED]"), (b'A', b'b')]"""),
        ("(b'set-cookie', b'a=\"se\\'same\"')", "(b'set-cookie', b'[REDACTED]')"),
        ("[(b'Location', b'/cb?code=sesame')]", "[(b'Location', b'/cb?code=REDACTED')]"),
        ("[(b'Link', b'</a?sig=sesame>; rel=x')]", "[(b'Link', b'</a?sig=REDACTED>; rel=x')]"),
        ("(b':path', b'/a?token=sesame')", "(b':path', b'/a?token=REDACTED')"),
        ("socks auth=(b'user', b'sesame') x", "socks auth=[REDACTED] x"),
        ("socks auth=('user', 'ses)ame') x", "socks auth=[REDACTED] x"),
        ("auth=None", "auth=None"),
        ("LocalProtocolError(\"Illegal header value b'sesame\\n'\")", 'LocalProtocolError("Illegal header value [REDACTED]'),
        ("illegal header line: bytearray(b'Cookie sesame')", "illegal header line: [REDACTED]"),
        ("illegal move", "illegal move"),
        ('{"password": "sesame", "n": 1}', '{"password": "[REDACTED]", "n": 1}'),
        ("{'password': 'sesame', 'n': 1}", "{'password': '[REDACTED]', 'n': 1}"),
        ("{'otp': 123456, 'n': 1}", "{'otp': [REDACTED], 'n': 1}"),
        ("{'otp': 123456}", "{'otp': [REDACTED]}"),
        ("Headers({'x-api-key': 'sesame'})", "Headers({'x-api-key': '[REDACTED]'})"),
        ("Cookie: a=sesame; b=sesame\r\nHost: h", r"Cookie: [REDACTED]\r\nHost: h"),
        ("password=sesame user=joe", "password=[REDACTED] user=joe"),
        ("password = 'ses ame' user=joe", "password = '[REDACTED]' user=joe"),
        ('password="sesame', 'password="[REDACTED]'),
        ("user[password]=sesame&b=2", "user[password]=REDACTED&b=2"),
        ("authorization=Bearer sesame1 x", "authorization=[REDACTED] x"),
        ("f(password=a,sesame, b=2)", "f(password=[REDACTED], b=2)"),
        ('"password" => "sesame"', '"password" => "[REDACTED]"'),
        ("note='password=sesame' x", "note='password=[REDACTED]' x"),
        ("a=1, password=", "a=1, password="),
        ("password: \nx y", r"password: \nx y"),
        ("Signature:\nsesame\n", r"Signature:[REDACTED]\n"),
        ("DB_PASSWORD=sesame", "DB_PASSWORD=[REDACTED]"),
        ("password=[REDACTED]", "password=[REDACTED]"),
        ("{'token': 'abcd...wxyz'}", "{'token': 'abcd...wxyz'}"),
        (f"a {GITHUB} https://u:p@h/?key=a", "a [REDACTED] https://REDACTED@h/?key=REDACTED"),
        ("code: 404, key=value, session: 5, sid=3, author: joe, tokens: 7", None),
        ("GET /users 200 in 12:30:45", None),
        ("connect_tcp.started host='127.0.0.1' port=1 timeout=5.0 socket_options=None", None),
        ("send_request_headers.started request=<Request [b'GET']> stream_id=1", None),
    ],
)
def test_texts_of_others(text: str, shown: str | None) -> None:
    """In the text of any library the values of secret names are masked, in any notation, and the rest is unchanged."""
    assert message(FULL, text) == (text if shown is None else shown)
    if text.isprintable():
        assert message(FULL, message(FULL, text)) == message(FULL, text)


def test_texts_by_own_names() -> None:
    """Without the built-in lists only the user's names and patterns apply, ambiguous ones too."""
    text = "code=a plan: b\nx-plan='c' password=d CUST-4711"
    assert lines(OWN, text) == "code=[REDACTED] plan: [REDACTED]\nx-plan='[REDACTED]' password=d [REDACTED]"


def test_long_texts_of_several_lines() -> None:
    """All lines of a long traceback are masked and shown, also a value of several lines."""
    many = "  File x, password=sesame\n" * 2000
    shown = "  File x, password=[REDACTED]\n" * 2000
    assert lines(FULL, many + "ValueError: password=sesame") == shown + "ValueError: password=[REDACTED]"
    block = "password: |\n" + "  sesame\n" * 5000
    assert lines(FULL, f"{shown}{block}x") == f"{shown}password: [REDACTED]\nx"
    assert lines(FULL, "") == ""


def test_texts_of_several_lines() -> None:
    """A traceback keeps its line breaks, and no other control character."""
    assert lines(FULL, "a\n  b\tc \x1b[2J\npassword=x") == "a\n  b\\tc \\x1b[2J\npassword=[REDACTED]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x1b[31mred\x07\x00\x7f\x9b1m", r"\x1b[31mred\x07\x00\x7f\x9b1m"),
        ("a\u2028b\u2029c\u202ed\u2066e\ufeff", r"a\u2028b\u2029c\u202ed\u2066e\ufeff"),
        ("\ud800", r"\ud800"),
        ("café 東京 🎉 ñ", "café 東京 🎉 ñ"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    """Line breaks and control characters become Python escapes; letters of all languages are unchanged."""
    assert escaped(text) == shown


@given(st.text())
def test_escaped_anything(text: str) -> None:
    """Any text becomes one line of printable characters, and escaping it again changes nothing."""
    shown = escaped(text)
    assert shown.isprintable()
    assert escaped(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"password": "sesame"}', '{"password": "[REDACTED]"}'),
        ('{"user": {"Password" : "sesame", "name": "joe"}}', '{"user": {"Password" : "[REDACTED]", "name": "joe"}}'),
        (r'{"p\u0061ssword": "sesame"}', r'{"p\u0061ssword": "[REDACTED]"}'),
        ('{"X-API-Key": "sesame", "authorization": "sesame"}', '{"X-API-Key": "[REDACTED]", "authorization": "[REDACTED]"}'),
        ('{"password": "ses\\"ame, \\\\", "n": 1}', '{"password": "[REDACTED]", "n": 1}'),
        ('{"otp": 123456, "pin": 12}', '{"otp": "[REDACTED]", "pin": 12}'),
        ('{"cvv": -1.5e3}', '{"cvv": "[REDACTED]"}'),
        ('{"password": null, "secret": true, "token": false}', None),
        ('{"password": ""}', None),
        ('{"credentials": {"user": "sesame", "x": [1, {"y": 2}]}, "n": 1}', '{"credentials": "[REDACTED]", "n": 1}'),
        ('{"token": ["sesame", "sesame"], "n": 1}', '{"token": "[REDACTED]", "n": 1}'),
        ('[{"token": "sesame"}, {"token": "sesame"}]', '[{"token": "[REDACTED]"}, {"token": "[REDACTED]"}]'),
        ('{"token":"sesame"}\n{"token":"sesame"}', '{"token":"[REDACTED]"}\\n{"token":"[REDACTED]"}'),
        ('{"code": 404, "key": "name", "session": {"n": 1}, "auth": "basic", "sid": 3}', None),
        ('{"a": "https://u:p@h/?key=x"}', '{"a": "https://REDACTED@h/?key=REDACTED"}'),
        (r'{"a": "https:\/\/u:p@h\/?key=x"}', '{"a": "https://REDACTED@h/?key=REDACTED"}'),
        (f'{{"a": "{GITHUB}", "{GITHUB}": 1}}', '{"a": "[REDACTED]", "[REDACTED]": 1}'),
        (json.dumps({"a": json.dumps({"password": "sesame"})}), json.dumps({"a": json.dumps({"password": "[REDACTED]"})})),
        ('{"a": "b\\ud800"}', None),
        ('"just text"', None),
        ("", None),
        ("[1, 2", None),
        ('{"a": "cut sho', '{"a": "..."'),
        ('{"password": "cut sho', '{"password": "[REDACTED]"'),
        ('{"credentials": {"cut": "sho', '{"credentials": "[REDACTED]"'),
        ('{"a": "bad \\x escape"}', '{"a": "..."}'),
        ('{"a": "\\', '{"a": "..."'),
        ('{: "x", }]', None),
        (f"not json {GITHUB}", "not json [REDACTED]"),
    ],
)
def test_json(text: str, shown: str | None) -> None:
    """In JSON, whole, cut short or broken, values of secret keys are masked, whatever their type; the rest is unchanged."""
    assert body(FULL, JSON, text.encode("utf-8", "surrogatepass")) == (text if shown is None else shown)


def test_nested_json() -> None:
    """JSON in a string, and in a string of that, is masked by key; deeper JSON is hidden whole."""
    text = "{}"
    for depth in range(6):
        assert ("[REDACTED]" in body(FULL, JSON, text.encode())) == (depth > 2)
        text = json.dumps({"a": text})


def test_json_styles() -> None:
    """Secrets in JSON are masked in the given style, by the given names."""
    text = b'{"password": "abcd0123456789wxyz", "code": "x"}'
    assert body(PARTIAL, JSON, text) == '{"password": "abcd...wxyz", "code": "x"}'
    assert body(HASH, JSON, text) == f'{{"password": "{HASH.mask("abcd0123456789wxyz")}", "code": "x"}}'
    assert body(OWN, JSON, text) == '{"password": "abcd0123456789wxyz", "code": "[REDACTED]"}'


@pytest.mark.parametrize(
    ("kind", "data", "shown"),
    [
        (FORM, b"user=joe&password=ses+ame&x=%0A", "user=joe&password=REDACTED&x=%0A"),
        (f"{FORM}; charset=utf-8", b"code=sesame&next=%2Fa%3Ftoken%3Dsesame", "code=REDACTED&next=REDACTED"),
        ("application/problem+json", b'{"token": "sesame"}', '{"token": "[REDACTED]"}'),
        ("Application/JSON ; charset=UTF-8", b'{"token": "sesame"}', '{"token": "[REDACTED]"}'),
        ("application/x-ndjson", b'{"token": "sesame"}\n', '{"token": "[REDACTED]"}\\n'),
        ("text/plain", b"password: sesame\nname: joe", r"password: [REDACTED]\nname: joe"),
        ("text/plain; charset=latin-1", b"caf\xe9", "café"),
        ("text/event-stream", b'data: {"token": "sesame"}\n\n', r'data: {"token": "[REDACTED]"}\n\n'),
        ("text/xml", b"<a><b:Password>sesame</b:Password><n>1</n></a>", "<a><b:Password>[REDACTED]</b:Password><n>1</n></a>"),
        ("application/soap+xml", b'<Password type="x">sesame</Password>', '<Password type="x">[REDACTED]</Password>'),
        ("text/xml", b"<Password><![CDATA[sesame]]></Password>", "<Password>[REDACTED]</Password>"),
        ("text/xml", b'<user password="sesame" name="joe"/>', '<user password="[REDACTED]" name="joe"/>'),
        ("text/csv", b"token\nsesame", "12 bytes of text/csv"),
        (FORM, b"a=%7B%22password%22%3A%22sesame%22%7D&b=2&api%255Fkey=sesame", "a=REDACTED&b=2&api%255Fkey=REDACTED"),
        ("text/html", b"<input name=csrf_token value=sesame>", "36 bytes of text/html"),
        ("image/png", b"\x89PNG", "4 bytes of image/png"),
        ("multipart/form-data; boundary=x", b"--x", "3 bytes of multipart/form-data; boundary=x"),
        ("", b"sesame", "6 bytes of unknown type"),
        (f"image/{GITHUB}\x1b", b"x", "1 bytes of image/[REDACTED]\\x1b"),
        ("application/json; charset=utf-16", '{"token": "x"}'.encode("utf-16"), "30 bytes of application/json; charset=utf-16"),
        (JSON, '{"token": "x"}'.encode("utf-16-le"), "28 bytes of application/json"),
        (JSON, b'{"a": "\xff"}', '{"a": "�"}'),
        (JSON, b'{"a": 1}\x1b[2J\r\n2025 [INFO] forged', r'{"a": 1}\x1b[2J\r\n2025 [INFO] forged'),
    ],
)
def test_bodies(kind: str, data: bytes, shown: str) -> None:
    """A body is masked by its type: JSON, forms and XML by key, other text as text; of other types size and type are shown."""
    assert body(FULL, kind, data) == shown


@pytest.mark.parametrize("kind", [JSON, FORM, "text/plain"])
def test_long_bodies(kind: str) -> None:
    """Of a long body the beginning is shown, and never half of a token."""
    for before in range(MAX_TEXT_LENGTH - len(GITHUB) - 20, MAX_TEXT_LENGTH, 3):
        data = b'["' + b"x" * (before - 5) + b'", "' + GITHUB.encode() + b'"]' + b"y" * 1000
        shown = body(FULL, kind, data[: MAX_TEXT_LENGTH + 1], len(data))
        assert GITHUB[:8] not in shown
        assert shown.endswith(f"... ({len(data)} bytes)")


class Odd:
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("name", "thing", "shown"),
    [
        ("password", "sesame", "[REDACTED]"),
        ("password", 12345, "[REDACTED]"),
        ("password", {"a": "sesame"}, "[REDACTED]"),
        ("password", None, None),
        ("password", True, True),
        ("password", "[REDACTED]", "[REDACTED]"),
        ("Authorization", b"sesame", "[REDACTED]"),
        ("n", 1, 1),
        ("n", 1.5, 1.5),
        ("code", 404, 404),
        ("location", "/cb?code=sesame", "/cb?code=REDACTED"),
        ("note", "a\nhttps://u:p@h", r"a\nhttps://REDACTED@h"),
        ("user", {"name": "joe", "token": "sesame", 5: ["password=sesame"]}, None),
        ("users", ({"token": "sesame"}, "x"), ({"token": "[REDACTED]"}, "x")),
        ("headers", httpx.Headers({"Cookie": "sesame", "A": "b"}), {"cookie": "[REDACTED]", "a": "b"}),
        ("url", httpx.URL("https://u:p@h/"), "https://REDACTED@h/"),
        ("url", httpx.URL("https://h/"), httpx.URL("https://h/")),
        ("error", ValueError("password=sesame"), "password=[REDACTED]"),
        ("odd", Odd(), "<Odd>"),
    ],
)
def test_values(name: str, thing: Any, shown: Any) -> None:
    """A value is masked by its name, or by the names in it; a value without a secret stays the same object."""
    if name == "user":
        shown = {"name": "joe", "token": "[REDACTED]", 5: ["password=[REDACTED]"]}
    assert value(FULL, name, thing) == shown


def test_deep_values() -> None:
    """Endlessly nested values are masked down to a depth, and cut there."""
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    assert str(value(FULL, "a", ring)).count("ring") == 10


FUNCTIONS: list[Callable[[str], str]] = [
    lambda text: message(FULL, text),
    lambda text: json_text(FULL, text),
    *(
        lambda text, kind=kind: body(FULL, kind, text.encode("utf-8", "replace"))
        for kind in (JSON, FORM, "text/xml", "text/plain")
    ),
]
UNITS = [
    *HOSTILE.values(),
    '"',
    "'",
    '"a":"',
    "'a':\"",
    "\\",
    '\\"',
    "a" * 64,
    "a: ",
    "a=",
    "password: ",
    "password='",
    "<a ",
    "<a>",
]
UNITS += [
    "{",
    '{"a":',
    '{"token":{',
    "[",
    '"\\u',
    ",",
    "(b'a', b'",
    "auth=(",
    "auth=('",
    "illegal header value ",
    " ",
    "a" + " " * 9,
]
UNITS += [
    "value='",
    "value=[",
    'value="\\"',
    "password=(",
    "password=<",
    "<token>",
    "</",
    "<a b='",
    '="',
    "<![CDATA[<",
    "name='token' ",
]
UNITS += [
    "\\u0070",
    "&quot;",
    "value=&quot;",
    "token=&quot;'",
    "%22",
    "<Cookie a=",
    "Cookie(version=0'",
    "password: |\n ",
    "\r\n ",
    "a@:",
    "=?",
]
UNITS += [
    '<a b="x" ',
    ' b="x"',
    "auth=",
    "auth: ",
    '["password",',
    "value={",
    "value=[`",
    'value={"a": "',
    "]x",
    "name=token value=",
    "EnvVar(value=",
]
UNITS += ["\x1b", "password", ".", "-", "\n", "<![CDATA[", "token=Bearer "]


def test_no_regular_expression_explodes() -> None:
    """No pattern reads text twice by two alternatives, whatever follows."""
    for end in (r"\u003c", r"\u003e", "<", ">", "&lt;", "&gt;", "'", "="):
        text = "<a" + ' b="x"' * 200 + end
        for function in FUNCTIONS:
            assert isinstance(function(text), str)


@pytest.mark.parametrize("unit", UNITS)
def test_linear(unit: str) -> None:
    """Eight times the text takes about eight times the work, for every text."""
    small, large = (unit * (size // len(unit)) for size in (2000, 16_000))
    for function in FUNCTIONS:
        assert any(growth(function, small, large) < 25 for _ in range(10))


@given(st.text() | st.lists(st.sampled_from([*UNITS, "x", "}", "]", "1"]), max_size=30).map("".join))
def test_never_raises(text: str) -> None:
    """Any text becomes one line."""
    for function in FUNCTIONS[:1] + FUNCTIONS[2:]:
        assert function(text).isprintable()
    assert isinstance(json_text(FULL, text), str)


secrets = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1).map(lambda text: "S3cr3t" + text)


@given(secrets, st.recursive(st.none() | st.text("abc"), lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner)))
def test_planted_in_json(secret: str, around: Any) -> None:
    """Any value of a secret key is masked, in text and in values, at any position."""
    for thing in (secret, [secret], {"a": secret}):
        data = {"x": around, "y": [around, {"client_secret": thing, "z": around}]}
        for ascii_only in (True, False):
            assert "S3cr3t" not in body(FULL, JSON, json.dumps(data, ensure_ascii=ascii_only).encode())
        assert "S3cr3t" not in body(FULL, JSON, json.dumps({"nested": json.dumps(data)}).encode())
        assert "S3cr3t" not in str(value(FULL, "x", data))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{'credentials': {'user': 'bob', 'value': 'hunter2'}, 'x': 1}", "{'credentials': [REDACTED], 'x': 1}"),
        ('{"password": ["a", "hunter2"], "b": 2}', '{"password": [REDACTED], "b": 2}'),
        ("password=('a', 'hunter2)', [1]) and", "password=[REDACTED] and"),
        ('{"secret": {"a": "hunter2"', '{"secret": [REDACTED]'),
    ],
)
def test_what_is_in_brackets_is_one_value(text: str, shown: str) -> None:
    """A list or an object with a secret name is masked whole, to the end of the text if it is not closed."""
    assert message(masker(), text) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"errors": ["bad login: password=hunter2"]}', '{"errors": ["bad login: password=[REDACTED]"]}'),
        (b'{"query": "login(password: \\"hunter2\\")"}', '{"query": "login(password: \\"[REDACTED]\\")"}'),
        (b"password=hunter2", "password=[REDACTED]"),
    ],
)
def test_strings_within_json_are_texts(data: bytes, shown: str) -> None:
    """Names apply in them too, and in text that only claims to be JSON."""
    assert body(masker(), "application/json", data) == shown


class Odd:
    """An object all of whose methods raise."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError


def test_values_that_fail() -> None:
    """Objects that raise are shown by type, and no log line fails."""
    for name in ("user", "password"):
        assert value(masker(), name, Odd()) == "<Odd>"
    assert [value(masker(), "a", thing) for thing in ({"a": Odd()}, [Odd()], {Odd(): 1})] == ["<dict>", "<list>", "<dict>"]


def test_values_that_hold_themselves() -> None:
    """Circular values are cut."""
    thing: dict[str, Any] = {}
    for number in range(9):
        thing[f"k{number}"] = thing
    assert len(str(value(masker(), "thing", thing))) < 30_000


def test_forms_are_parted_by_ampersands_alone() -> None:
    """In a form a `;`, `#` or `?` is part of a value."""
    form = b"password=hun;t=er2&a=b#c?d;e=f&pa%73sword=x#y"
    assert body(masker(), FORM, form) == "password=REDACTED&a=b#c?d;e=f&pa%73sword=REDACTED"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://user:sesame,opens", "see https:... (99 bytes)"),
        ("see https://user:sesame@h/, more", "see https://REDACTED@h/, ... (99 bytes)"),
        ("see https://h:80/x, more", "see https://h:80/x, ... (99 bytes)"),
        ("see https://h, more", "see https://h, ... (99 bytes)"),
    ],
)
def test_half_a_url(text: str, shown: str) -> None:
    """Where a body is cut, what may be the beginning of a password is removed."""
    assert body(masker(), "text/plain", text.encode(), 99) == shown


def test_a_private_key_across_pieces() -> None:
    """A private key is masked whole, at any position in a long traceback."""
    key = "-----BEGIN PRIVATE KEY-----\n" + "MII\n" * 400 + "-----END PRIVATE KEY-----\n"
    for before in range(MAX_TEXT_LENGTH - 2000, MAX_TEXT_LENGTH + 100, 100):
        assert "MII" not in lines(masker(), "x\n" * (before // 2) + key + "y\n" * 5000)


def test_keys_that_cannot_be_read() -> None:
    """The values of JSON keys that cannot be decoded are masked."""
    assert json.loads(body(masker(), "application/json", b'{"pass\\word": "sesame", "a": 1}')) == {"...": "[REDACTED]", "a": 1}


class Pair(NamedTuple):
    password: str
    a: int


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        ([("Authorization", "sesame")], [("Authorization", "[REDACTED]")]),
        ([(b"X-Api-Key", b"sesame")], [(b"X-Api-Key", "[REDACTED]")]),
        (["Cookie", "sesame"], ["Cookie", "[REDACTED]"]),
        (("x", "y"), ("x", "y")),
        ({"x", "y"}, {"x", "y"}),
        ({GITHUB}, ["[REDACTED]"]),
        ((GITHUB, "x"), ("[REDACTED]", "x")),
        ({"name": "Authorization", "value": "sesame"}, {"name": "Authorization", "value": "[REDACTED]"}),
        ({"Value": b"sesame", "Key": "password"}, {"Value": "[REDACTED]", "Key": "password"}),
        ({"name": "a", "value": "b"}, {"name": "a", "value": "b"}),
        (Pair("sesame", 1), {"password": "[REDACTED]", "a": 1}),
        ({"https://u:sesame@h": 1, 5: "x"}, {"https://REDACTED@h": 1, 5: "x"}),
    ],
)
def test_values_with_names(thing: Any, shown: Any) -> None:
    """Pairs and named tuples are masked by name; secrets in keys are masked too."""
    assert value(masker(), "thing", thing) == shown

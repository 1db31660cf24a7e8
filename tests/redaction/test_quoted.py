"""Secrets in nested texts: quoted repeatedly, in reprs of objects, and in lists of names and values."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise._redaction.bodies import body
from ratewise._redaction.text import lines, message
from ratewise._util.escapes import escaped
from tests.redaction.samples import FULL


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"{\"password\": \"ses\\\"ame\", \"n\": 1}", r"{\"password\": \"[REDACTED]\", \"n\": 1}"),
        (r'"{\"a\": \"{\\\"token\\\": \\\"sesame\\\"}\"}" x', r'"{\"a\": \"{\\\"token\\\": \\\"[REDACTED]\\\"}\"}" x'),
        (r'{"password": "sesame\\"} x', r'{"password": "[REDACTED]"} x'),
        (r"{\"password\": \"cut", r"{\"password\": \"[REDACTED]"),
        (r'{"pa\u0073sword": "sesame"}', r'{"pa\u0073sword": "[REDACTED]"}'),
        (r'{"\u0070assword": "sesame"}', r'{"\u0070assword": "[REDACTED]"}'),
        (r"{\u0022token\u0022: \u0022sesame\u0022}", r"{\u0022token\u0022: \u0022[REDACTED]\u0022}"),
        (r"{\u0022cookie\u0022: \u0022sesame\u0022}", r"{\u0022cookie\u0022: \u0022[REDACTED]\u0022}"),
        ("{&quot;token&quot;:&quot;sesame&quot;}", "{&quot;token&quot;:&quot;[REDACTED]&quot;}"),
        ("%7B%22token%22%3A%22sesame%22%7D", "%7B%22token%22%3A%22[REDACTED]%22%7D"),
        (r"login(password: \"sesame\")", r"login(password: \"[REDACTED]\")"),
        (r"b'GET / HTTP/1.1\r\nCookie: sesame'", r"b'GET / HTTP/1.1\r\nCookie: [REDACTED]"),
        (r"b'\x0acookie=sesame'", r"b'\x0acookie=[REDACTED]'"),
        (r"C:\token=sesame", r"C:\token=[REDACTED]"),
    ],
)
def test_escaped_texts(text: str, shown: str) -> None:
    """Secrets are masked in JSON within JSON, HTML and URLs, and in reprs."""
    assert message(FULL, text) == message(FULL, shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password='''sesa'me''' x", "password='''[REDACTED]''' x"),
        ('password="""sesame', 'password="""[REDACTED]'),
        ("password='' x", "password='' x"),
        ("password=SecretStr('sesame') x", "password=[REDACTED] x"),
        ("password=<sesame> x", "password=[REDACTED] x"),
        ("password=None, secret=false, token=null", "password=None, secret=false, token=null"),
        ("<Cookies[<Cookie a=sesame for h />]>", "<Cookies[<Cookie a=[REDACTED] for h />]>"),
        ("<CookieJar[Cookie(version=0, name='a', value='sesame', port=None)]>", None),
        ("<SimpleCookie: a='sesame'>", "<SimpleCookie: [REDACTED]>"),
        ("for h in {'authorization': 'sesame'}", "for h in {'authorization': '[REDACTED]'}"),
    ],
)
def test_what_python_shows(text: str, shown: str | None) -> None:
    """Values are masked as string literals of any kind, objects and cookies of jars; None and the like are not."""
    shown = text.replace("sesame", "[REDACTED]") if shown is None else shown
    assert message(FULL, text) == message(FULL, shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "{'name': 'Cookie', 'value': 'sesame'}, {'name': 'a', 'value': 'b'}",
        "{'value': 'sesame', 'key': 'Cookie'}, {'value': 'b', 'key': 'a'}",
        "{'value': 'b'}, {'key': 'Cookie', 'value': 'sesame'}",
        "{'password': 'sesame', 'value': 'b', 'key': 'n'}",
        '{"name":"X-Api-Key","value":"sesame"}',
        '{"name":"API Key","value":"sesame"}',
        r"{\"name\":\"X-Api-Key\",\"value\":\"sesame\"}",
        '<param name="password" value="sesame"/><param name="n" value="1"/>',
        '["Cookie","sesame"] ["a","b"]',
        '[\n    "Cookie",\n    "sesame"\n  ]',
        r'"[\n    \"Cookie\",\n    \"sesame\"\n  ]"',
        "[[&quot;otp&quot;, &quot;sesame&quot;]]",
        "{'grant_type': 'password', 'user': 'joe'}",
        '{"type":"password","label":"Your password"}',
        "name: password\nother:\n  name: x\nvalue: sesame",
        "Header{value=sesame, name=Cookie}",
        "value=sesame name=password",
    ],
)
def test_labels(text: str) -> None:
    """The value of a label that names a secret is masked, in either order, in a text all near it; other keys are unchanged."""
    shown = message(FULL, text)
    assert "sesame" not in shown
    assert message(FULL, shown) == shown
    for kept in ("'user'", "'joe'", '"label"', '"Your password"', '"a","b"'):
        assert (kept in shown) == (kept in text)


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "Cookie", "value": "sesame"}, {"name": "a", "value": "b"}]',
        '[{"value": "sesame", "key": "Cookie"}, {"value": "b", "key": "a"}]',
        '[{"value": "b"}, {"key": "Cookie", "value": "sesame"}]',
        '{"value": "sesame", "displayValue": "sesame", "name": "Cookie"}',
        '{"oldValue": "sesame", "newValue": "sesame", "name": "password", "n": {"value": 1}}',
        '{"name": "password", "url": "https://h/?name=x", "hint": "}", "value": "sesame", "n": 1}',
        '[["Cookie", "sesame"], ["a", "b"]]',
    ],
)
def test_labels_in_json(text: str) -> None:
    """In a JSON body only the value of the label's own object is masked."""
    assert body(FULL, "application/json", text.encode()) == text.replace("sesame", "[REDACTED]")


def test_labels_that_are_far_away() -> None:
    """A value more than a thousand characters from a label is unchanged."""
    for between, masked in ((900, True), (1100, False)):
        text = f"name='Cookie' {'x ' * (between // 2)}value='b'"
        assert ("value='[REDACTED]'" in message(FULL, text)) is masked


def test_labels_after_what_holds_secrets() -> None:
    """A value is masked whole, whatever was masked within it before its label was read."""
    text = "{'value': 'a token=sesame b', 'password': 'sesame', 'key': 'Cookie'}"
    assert message(FULL, text) == "{'value': '[REDACTED]', 'password': '[REDACTED]', 'key': 'Cookie'}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<p:Password a='x>y'>sesame</p:Password> x", "<p:Password a='x>y'>[REDACTED]</p:Password> x"),
        ("<Password><![CDATA[ a<b sesame ]]></Password>", "<Password>[REDACTED]</Password>"),
        ("<Password>sesame</other> x", "<Password>[REDACTED]</other> x"),
        ("List<Token> and Map<str, Token> </a> x", "List<Token> and Map<str, Token> </a> x"),
        ("<a><![CDATA[<token>sesame</token>]]></a><!-- <token>sesame</token> -->", None),
        ("&lt;token&gt;sesame&lt;/token&gt; &lt;n&gt;1&lt;/n&gt;", None),
        (r"<token>sesame<\/token> x<\/n>", None),
        ("<a>1</a><name>token</name><type>string</type><value>sesame</value>", None),
        ("<value>sesame</value><name>token</name>", None),
        ("<param id='7' name='password'>sesame</param>", None),
        ("<string name = 'token'>sesame</string>", None),
        ("<Password>  </Password><token/>", "<Password>  </Password><token/>"),
        ("<token><token>a</token><token/>sesame</token><n>1</n>", "<token>[REDACTED]</token><n>1</n>"),
        (
            "<key>password</key> <string>sesame</string><integer>1</integer>",
            "<key>password</key> <string>[REDACTED]</string><integer>1</integer>",
        ),
        ('<string name="password">sesame</string><s>a</s>', '<string name="password">[REDACTED]</string><s>a</s>'),
        ("<token <n>1 < 2</n>", "<token <n>1 < 2</n>"),
        ("it's <Foo don't> <Password>sesame</Password>", "it's <Foo don't> <Password>[REDACTED]</Password>"),
    ],
)
def test_elements(text: str, shown: str | None) -> None:
    """The content of elements with a secret name or label is masked, to the end of the element."""
    shown = text.replace("sesame", "[REDACTED]") if shown is None else shown
    assert message(FULL, text) == message(FULL, shown) == shown


def test_elements_that_are_cut_short() -> None:
    """The same holds for a body that was cut."""
    assert body(FULL, "application/soap+xml", b"<a><Password>sesame") == "<a><Password>[REDACTED]"
    assert body(FULL, "text/xml", b"<a><Password>sesame</Pass", 99) == "<a><Password>[REDACTED]... (99 bytes)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"GET /cb?code=sesame HTTP/1.1" 302', '"GET /cb?code=REDACTED HTTP/1.1" 302'),
        ("target=cb?code=sesame, x", "target=cb?code=REDACTED, x"),
        ("/token?n=1 what? yes = no", "/token?n=1 what? yes = no"),
        ("to joe:sesame@h:1, b:c@h/d and https:/u:sesame@h", "to REDACTED@h:1, REDACTED@h/d and https:/REDACTED@h"),
        ("mailto:joe@h, user:joe@h, a:@h, nginx:1.2@sha256:0a", "mailto:joe@h, user:joe@h, a:@h, nginx:1.2@sha256:0a"),
        ("https%3A%2F%2Fu%3Asesame%40h and https%3A%2F%2Fh%2Fa", "REDACTED and https%3A%2F%2Fh%2Fa"),
        ("body a=1&code=sesame&b=2 (code=1)", "body a=1&code=REDACTED&b=2 (code=1)"),
        (r"https:\/\/u:sesame@h\/ https:\/\/h\/", r"https:\/\/REDACTED@h\/ https:\/\/h\/"),
        (
            "Received header value surrounded by whitespace b' sesame '",
            "Received header value surrounded by whitespace [REDACTED]",
        ),
    ],
)
def test_urls_without_schemes(text: str, shown: str) -> None:
    """Passwords before hosts and in request targets are masked; mail addresses and image digests are not."""
    assert message(FULL, text) == message(FULL, shown) == shown


def test_blocks_of_several_lines() -> None:
    """Values that YAML or HTTP continue on further lines are masked whole."""
    assert lines(FULL, "password: |\n  sesame\n  sesame\nnext: 1") == "password: [REDACTED]\nnext: 1"
    assert lines(FULL, "password: |\n  sesame\n  sesame") == "password: [REDACTED]"
    assert message(FULL, "Cookie: a\r\n  sesame\r\nHost: h") == r"Cookie: [REDACTED]\r\nHost: h"


def quoted(text: str, times: int) -> str:
    for _ in range(times):
        text = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return text


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=20), st.integers(0, 3), st.booleans())
def test_planted(secret: str, times: int, labelled: bool) -> None:
    """Any secret is masked, however often it is quoted, and what follows it is unchanged."""
    one = quoted("S3" + secret, 1)
    pair = f'"name": "Cookie", "value": {one}' if labelled else f'"password": {one}'
    shown = message(FULL, quoted(f"{{{pair}}}", times) + " end")
    assert "S3" not in shown
    assert escaped(shown).endswith(" end")

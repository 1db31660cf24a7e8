"""Regression tests: texts of programs that once leaked, or were masked without need."""

from __future__ import annotations

import dataclasses
import enum
import http.cookies
from typing import Any, NamedTuple

import httpx
import pytest

from ratewise._redaction.bodies import body
from ratewise._redaction.text import lines, message
from ratewise._redaction.values import MAX_CHARACTERS, MAX_ITEMS, value
from tests.redaction.samples import FULL, HASH, PARTIAL, masker

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
GITHUB = "ghp_" + "aB3d" * 9

LEAKS = r"""
Cookie: prefs[lang]=en; sid=hunter2
Cookie: "a"; sid=hunter2
Cookie: {x}; sid=hunter2
X-Api-Key: [x] hunter2
Authorization: Token(x) hunter2
password: abc(def)hunter2
password=abc(def)hunter2 x
password=<hun>hunter2
password: <x> hunter2
password: `x` hunter2
password=<Secret 'a>hunter2'>
password='a' 'hunter2'
password: "a" + "hunter2"
password='hun''hunter2'
{'Authorization': 'a long one '\n                  'hunter2'}
{"password":\n  "hunter2"}
"{\n \"password\":\n \"hunter2\"}"
X-Debug: Authorization: hunter2
auth=('joe','hunter2')
auth=['joe', 'hunter2']
auth=(None, 'hunter2')
auth='joe:hunter2'
{'auth': ('joe', 'hunter2')}
{"auth": ["joe", "hunter2"]}
auth=BasicAuth('joe', 'hunter2')
http_auth=('elastic', 'hunter2')
cookies={'sid': 'hunter2'}
{'cookies': {'foo': 'hunter2'}}
<Morsel: sid=hunter2; Path=/>
[Cookie(version=0, name="sid", value="it's hunter2", port=None)]
[Cookie(version=0, name='sid', value='it\'s hunter2', port=None)]
cookie=a=1; sid2=hunter2
 - checking cookie foo=hunter2
HTTP_COOKIE='a=hunter2'
X-Original-Cookie: a=hunter2
authorization=Negotiate hunter2hunter2
authorization=Digest username="joe", response="hunter2"
body grant_type=authorization_code&client_id=a&code=hunter2
send: b'code=hunter2&grant_type=x'
sv=2020&sig=hunter2
[(b'authorization', b'authorization', b'hunter2')]
assert headers['Authorization'] == 'hunter2'
password == hunter2
password=it's-hunter2
password=ab<hunter2
password=u'hunter2'
http.request.header.authorization=hunter2
HTTP_X_FUNCTIONS_KEY=hunter2
"https://h/?a=b\u0026password\u003dhunter2"
https%3A%2F%2Fjoe%3Ahunter2%40h%2F
https:\/\/joe:hunter2@h\/
{"name":"Authorization","meta":{"value":"x"},"value":"hunter2"}
{"op":"replace","path":"/user/password","value":"hunter2"}
{"id":"password","value":"hunter2"}
<value>1</value><name>password</name><type>s</type><value>hunter2</value>
<Param id="password">hunter2</Param>
<![CDATA[<password>hunter2</password>]]>
&lt;password&gt;hunter2&lt;/password&gt;
UnicodeEncodeError('ascii', 'hunter2é', 7, 8, 'ordinal not in range(128)')
token: abc, hunter2
illegal chunk header: bytearray(b'hunter2')
EnvVar(name='HOST', value='plain'), EnvVar(name='DB_PASSWORD', value='hunter2')
<param name="n" value="1"/><param name="password" value="hunter2"/>
name="a" value="b"\nname="password" value="hunter2"
{'password': 'x', 'user': "{'token': 'hunter2'}"}
{password: "hunter2"}
\x1b[36mpassword\x1b[0m=\x1b[35mhunter2\x1b[0m
"password"\x1b[39;49;00m: \x1b[33m"hunter2"
{"key":"API_KEY","id":"abc","value":"hunter2"}
{"type":"encrypted","value":"hunter2","id":"abc","key":"API_KEY"}
{"value":["hunter2"],"name":"password"}
{"name":"password","meta":{"name":"x"},"value":"hunter2"}
{'value': 'hunter2', 'x': {'value': 'q'}, 'key': 'password'}
[{'value': 'a}hunter2', 'key': 'api_key'}]
{"name":"password","hint":"}","value":"hunter2"}
{"headerName":"Cookie","headerValue":"hunter2"}
X([('Cookie', 'sid=hunter2; oth...
b'{"password": "hun\\\\"hunter2"}'
{&quot;password&quot;: &quot;a\\&quot;hunter2&quot;}
Signature:\nhunter2abcdef
passwords:\n- hunter2\n- hunter2
password: !!binary |\n  aHVudGVy\n  hunter2
dict_items([('access_token', ['hunter2'])])
["Cookie",["hunter2"]]
[('password',\n 'hunter2')]
- name: DB_PASSWORD\n  value: hunter2
name=password value=hunter2
{"auth":"joe:hunter2"}
{"auths":{"h":{"auth":"aHVudGVyMjphunter2"}}}
<password>&lt;/password&gt;hunter2</password>
\u003cpassword\u003ehunter2\u003c/password\u003e
<name>password</name><label>the</label><value>hunter2</value>
password[0]=hunter2
password+=hunter2
X-GitHub-OTP: hunter2
{"value": "{\"name\": \"token\", \"value\": \"hunter2\"}", "key": "n"}
[{'value': b'a}hunter2', 'key': 'api_key'}]
User[password=hunter2, name=x]
map[password:hunter2 user:joe]
headers[Cookie: hunter2]
env[API_KEY]=hunter2
user[password]: hunter2
password[new]=hunter2
obj[auth=('joe','hunter2')]
{"value":"hunter2 name=b","name":"password"}
{"name":"password","description":"the field name: foo","value":"hunter2"}
{"m": "{\"path\": \"token\", \"tags\": \"a(b\", \"value\": \"hunter2\"}"}
Param(name='password', note=r'(', value='hunter2')
{'m': '{"path":"Authorization","type":{"i":"say \\"x\\""},"value":"hunter2"}'}
{"value":47110815,"name":"password","v":"token=hunter2"}
EnvVar(value=Secret('hunter2'), name='password')
{"value":"hunter2 password: x","name":"Cookie"}
API key: hunter2
{"API Key":"hunter2"}
<e><name>password</name><value>a</value><value>hunter2</value></e>
{'meta': 'x', 'value': 'hunter2iD', 'name': 'api_key'}
<auth><user>joe</user><item>hunter2</item></auth>
<key>password</key><array><string>a</string><string>hunter2</string></array>
""".strip().split("\n")


@pytest.mark.parametrize("text", LEAKS)
def test_leaks(text: str) -> None:
    """Each is masked in a text of one line or several, in every style, and in a body."""
    for given in (text, text.replace(r"\n", "\n").replace(r"\x1b", "\x1b")):
        for redactor in (FULL, PARTIAL, HASH):
            assert "hunter2" not in message(redactor, given)
            assert "hunter2" not in lines(redactor, f"a\n{given}\nb")
        assert "hunter2" not in body(FULL, "text/plain", given.encode())


ORDINARY = r"""
GET https://h/?page_token=abc&next_page_token=b
{"next_page_token": "a", "page_token": "b", "continuation-token": "c"}
{"member": "user:joe@example.com", "other": "serviceAccount:a@b.iam.gserviceaccount.com"}
npm:react@18.2.0 @scope:pkg@1.0 12:30:45@host to:joe@example.com
https://github.com/a/b/tree/feature:x@y
AuthFlow(token=None, cookie=None) done
token: null, user: x
password: true, user: x
['password', 'token', 'name']
columns = ('password', 'email', 'name')
sk-learn-contrib-packages-index sk-estimator-html-doc-link
Basic user-agent, Basic cdn-configuration, Basic HTTP/1.1 support
List<Token> and Map<Token> x </a> rest
{'name': 'token', 'required': True, 'content': {'a': 1}}
value surrounded by whitespace in file x.csv line 5
arn:aws:secretsmanager:us-east-1:123456789012:x
{"auth": {"type": "basic"}, "oauth": "x"}
{"username": "joe", "value": "x", "key": "a"}
EnvVar(name='HOST', value='plain'), EnvVar(name='PORT', value='80')
f(password) = f(x)
""".strip().split("\n")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary(text: str) -> None:
    """What only resembles a secret is unchanged."""
    assert message(FULL, text) == text


@pytest.mark.parametrize("text", [*LEAKS, *ORDINARY, "Cookie: a\nb: c", "password: x\ny: z", "see https://h/?token=a\nnext line"])
def test_once_is_enough(text: str) -> None:
    """A second filter changes nothing, whatever the style of the first one."""
    for redactor in (FULL, HASH):
        for given in (text, text.replace(r"\n", "\n")):
            shown = message(redactor, given)
            assert message(redactor, shown) == shown
            assert message(FULL, shown) == shown


@dataclasses.dataclass
class Told:
    password: str

    def __str__(self) -> str:
        return "told"


class Error(Exception):
    def __str__(self) -> str:
        return "failed"


class Kinds(enum.Enum):
    API_KEY = "password=hunter2"


cookie: http.cookies.SimpleCookie = http.cookies.SimpleCookie("sid=hunter2")


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        ("user", Told("hunter2")),
        ("users", [Told("hunter2")]),
        ("error", Error({"password": "hunter2"})),
        ("error", UnicodeEncodeError("ascii", "hunter2\xe9", 7, 8, "not in range")),
        ("kind", Kinds.API_KEY),
        ("jar", cookie),
        ("jar", cookie["sid"]),
        ("cookies", httpx.Cookies({"sid": "hunter2"})),
        ("cookies", {"sid": "hunter2"}),
        ("auth", ("joe", "hunter2")),
        ("basic_auth", ["joe", "hunter2"]),
        ("auth", "joe:hunter2"),
        ("kwargs", {"auth": ("joe", "hunter2")}),
        ("keys", {b"https://joe:hunter2@h": 1, ("https://joe:hunter2@h", 1): 2}),
        ("raw", [(b"Authorization", b"authorization", b"hunter2")]),
        ("own", type("Own", (list,), {"__repr__": lambda _: "password=hunter2"})()),
        ("own", type("Own", (int,), {"__str__": lambda _: "password=hunter2"})()),
        ("label", {"name": b"password", "value": "hunter2"}),
        ("auth", b"joe:hunter2"),
        ("patch", {"op": "replace", "path": "/user/password", "value": "hunter2"}),
    ],
)
def test_values(name: str, thing: Any) -> None:
    """Neither the str nor the repr of a value, nor anything in it, shows a secret."""
    shown = value(FULL, name, thing)
    assert "hunter2" not in f"{shown} {shown!r}"


def test_values_with_labels_that_are_nothing() -> None:
    """Harmless ones are unchanged; of several values in one not even "partial" shows an end."""
    for thing in ({"name": "password", "value": None}, {"name": "password", "value": True}):
        assert value(FULL, "x", thing) is thing
    assert value(PARTIAL, "credit_card", {"number": "4111111111111111", "cvv": 123}) == "[REDACTED]"
    assert value(PARTIAL, "password", "0123456789abcdef") == "0123...cdef"


def test_values_one_by_one() -> None:
    """A value that raises does not affect the others; many or long values cost a bounded time."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    assert value(FULL, "x", [Bad(), 1, "a", Pair, {"b": Bad()}]) == ["<Bad>", 1, "a", Pair, {"b": "<Bad>"}]
    many = value(FULL, "x", {f"https://u:p@h/{number}": number for number in range(MAX_ITEMS + 9)})
    assert (len(many), many["..."]) == (MAX_ITEMS + 1, "more")
    for item in ("a", 1):
        shown = value(FULL, "x", [item] * (MAX_ITEMS + 9))
        assert shown[: MAX_ITEMS - 1] == [item] * (MAX_ITEMS - 1)
        assert (len(shown) <= MAX_ITEMS + 1, shown[-1]) == (True, "...")
    long = value(FULL, "x", ["x " * 8000] * 99)
    assert long.count("...") == 99 - MAX_CHARACTERS // 16_000 - 1


class Pair(NamedTuple):
    a: int


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (JSON, '\ufeff{"password":\n"hunter2"}'),
        (JSON, 'while(1);{"password":\n"hunter2"}'),
        (JSON, '{"value":"hunter2","meta":{"a":1},"name":"Authorization"}'),
        (JSON, '[["Cookie","hunter2"],{"auth":["joe","hunter2"]}]'),
        (JSON, '{"cookies":{"a":"hunter2"}}'),
        (JSON, '{"a": ' + GITHUB + "}"),
        (JSON, "{'password': 'hunter2'}"),
        (JSON, '{"a":1,password:"hunter2"}'),
        (JSON, "{\"password\":'x, hunter2'}"),
        (JSON, '{"value":{"a":"hunter2"},"name":"Cookie"}'),
        (JSON, "{\"m\":\"{'a': 'x\\\"y', 'Cookie': ['a\\\"b', 'hunter2']}\"}"),
        (FORM, '{"a":"b"}&password=hunter2'),
        (FORM, "name=password&value=hunter2"),
        (FORM, '{"password":"hun&hunter2"}'),
        ("text/plain", r"""{"m": "{'token': 'x\\\\'\\"hunter2'}"}"""),
        ("text/event-stream", 'data: {"password":\ndata: "x"}\n\ndata: {"token": "hunter2"}'),
        ("text/plain", '\ufeffpassword: "hunter2"'),
    ],
)
def test_bodies(kind: str, data: str) -> None:
    """JSON of any shape is masked, also with the content type of a form."""
    shown = body(FULL, kind, data.encode())
    assert "hunter2" not in shown
    assert GITHUB not in shown


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"see token=","b":"c"}',
        '{"a":"Map<Token>","b":"x","c":"</b>"}',
        '{"a":"<token","b":"</x>"}',
        '{"msg":"Illegal header value x","b":1}',
        '{"a":"<SimpleCookie: x","b":1}',
        '{"a":"Cookie: \'x","b":"y"}',
    ],
)
def test_strings_of_json_end_where_they_end(text: str) -> None:
    """The content of one string of JSON hides nothing of the next."""
    assert body(FULL, JSON, text.encode()).endswith(text[text.index('"b":') + 4 :])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (JSON, '{"value": "hunter2", "x": 1, "na'),
        (JSON, '{"value": ["hunter2"'),
        (JSON, '[{"value": {"a": {"b": "hunter2"} '),
        ("text/plain", '[["Cookie", "hunter2"'),
        ("text/plain", '[\n  [\n    "Cookie",\n    "hunter2"\n  '),
        ("text/plain", "value=hunter2 "),
        ("text/xml", "<e><value>hunter2</value><na"),
        ("text/plain", "value='hunter2', na"),
        ("text/xml", '<a><add value="hunter2" ke'),
        ("text/xml", "<a><token>x <b>hunter2"),
        (JSON, '{"a": "https://joe:hunter2'),
    ],
)
def test_what_is_cut_short(kind: str, data: str) -> None:
    """In a body that was cut, a value whose label may be missing is hidden, and so is what may be half of a secret."""
    assert "hunter2" not in body(FULL, kind, data.encode(), 9999)


def test_what_goes_on_behind_a_value() -> None:
    """A bracket, string or field that is not closed hides its line of a traceback, and not the frames behind it."""
    for line in ("token = fetch(", "cookies = {", "auth=(", 'password = """', "Illegal header value b'x'", "token: str = x("):
        shown = lines(FULL, f'  File "a.py", line 5\n    {line}\n  File "b.py", line 7\nKeyError: order 4711\n')
        assert shown.endswith('\n  File "b.py", line 7\nKeyError: order 4711\n')


def test_words_behind_quoted_objects() -> None:
    """What follows a compound secret within a string is unchanged."""
    text = r'{"a": "{\"password\": {\"x\": \"s\"}}", "n": "keep"} end'
    assert message(FULL, text) == r'{"a": "{\"password\": [REDACTED]}", "n": "keep"} end'
    assert message(FULL, "f(password=x) and g(cookie=[y])") == "f(password=[REDACTED]) and g(cookie=[REDACTED])"


def test_own_patterns_find_what_stands_apart() -> None:
    """Secrecy extends in JSON from a key to its value, and in forms to the end of a field."""
    own = masker(patterns=[r'"tax": *"\d+"', r"a=1&b=\d+"])
    assert body(own, JSON, b'{"n": 1, "tax": "123"}') == '{"n": 1, [REDACTED]}'
    assert body(own, FORM, b"a=1&b=2&c=3") == "[REDACTED]&c=3"


@pytest.mark.parametrize(
    "secret", ["theme=dark; pin=hunt9876", "Basic dXNlcjpodW50ZXIy", "11111111, 22222222, 9876", "11111111\n22222222"]
)
def test_partial(secret: str) -> None:
    """ "partial" shows no end of a value with several secrets, nor of a password in Base64."""
    assert PARTIAL.mask(secret) == "[REDACTED]"


@pytest.mark.parametrize(
    "before", [r"\u0022", r"\x00", r"\f", r"\0", "\x1b[32m", "\x1b[1m", "Bearer '", 'Bearer "', "Bearer%20", "Bearer \xe9"]
)
def test_tokens_behind_escapes(before: str) -> None:
    """A token is found behind any escape."""
    assert "aB3daB3d" not in message(FULL, f"{before}{GITHUB}")

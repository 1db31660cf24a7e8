"""Patterns of requests, and how expected and sent requests are compared and shown."""

from __future__ import annotations

import functools
import re
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise.testing.differences import difference, listed, named, shown
from ratewise.testing.patterns import Pattern, _fits, patterns

URL = "https://api.example.com/users/7?page=2&sort=a"


def request(method: str = "GET", url: str = URL, **given: Any) -> Any:
    return httpx.Request(method, url, **given)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("GET /users/7", True),
        ("GET  /users/7", True),
        ("POST /users/7", False),
        ("/users/7", True),
        ("/users", False),
        ("/users*", True),
        ("/users/*", True),
        ("/users/7*", True),
        ("/users/77*", False),
        ("/*/7", True),
        ("/*r*e*/7", False),
        ("/u*r*/7", True),
        ("/users/7*7", False),
        ("*", True),
        ("*7", True),
        ("*8", False),
        ("GET *", True),
        ("GET", True),
        ("POST", False),
        ("PURGE *", False),
        ("/users/7?page=2&sort=a", True),
        ("/users/7?page=2*", True),
        ("/users/7?page=3*", False),
        ("/users/7?*", True),
        ("https://api.example.com/users/7", True),
        ("GET https://api.example.com/users/7", True),
        ("https://API.Example.com/users/7", True),
        ("https://api.example.com/Users/7", False),
        ("https://*.example.com/*", True),
        ("*://api.example.com/users/7", True),
        ("https://api.example.com*", True),
        ("http://api.example.com/users/7", False),
        ("https://api.example.com", False),
        ("https://api.example.com?*", False),
        ("https://other.example/*", False),
    ],
)
def test_patterns(library: Any, pattern: str, fits: bool) -> None:
    """Method, path or URL; `*` stands for any characters; the query counts only if the pattern has one."""
    assert Pattern("rule", pattern).fits(library.Request("GET", URL)) is fits


@pytest.mark.parametrize(
    ("pattern", "url", "fits"),
    [
        ("https://api.example.com", "https://api.example.com", True),
        ("https://api.example.com?a=1", "https://api.example.com/?a=1", True),
        ("http://localhost:8080/a", "http://user:password@localhost:8080/a", True),
        ("http://localhost/a", "http://localhost:8080/a", False),
        ("/a b", "https://h/a%20b", True),
        ("/a%20b", "https://h/a%20b", True),
        ("/jürgen", "https://h/jürgen", True),
        ("/a%2Fb", "https://h/a%2Fb", True),
        ("/a\nb", "https://h/a%0Ab", True),
    ],
)
def test_urls(pattern: str, url: str, fits: bool) -> None:
    """A path is compared as it is sent and decoded; userinfo is ignored."""
    assert Pattern("rule", pattern).fits(request(url=url)) is fits


@pytest.mark.parametrize(
    ("body", "sent", "fits"),
    [
        ({"item": 7}, {"json": {"item": 7}}, True),
        ({"item": 7}, {"json": {"item": 8}}, False),
        ({"item": 7}, {"content": b"{"}, False),
        ({"item": 7}, {"content": b"\xff"}, False),
        ([1], {"content": b"[ 1 ]"}, True),
        (None, {"content": b"null"}, True),
        (None, {}, False),
        (b"a", {"content": b"a"}, True),
        ("ä", {"content": "ä"}, True),
        ("", {}, True),
        ("a", {}, False),
    ],
)
def test_bodies(body: Any, sent: Any, fits: bool) -> None:
    """Bytes and strings are compared as they are, everything else as JSON."""
    assert Pattern("rule", ("/users/7", body)).fits(request("POST", **sent)) is fits


def test_functions() -> None:
    """A function of the request may be a pattern, also with a body."""
    for pattern in (lambda one: one.method == "GET", (lambda one: one.method == "GET", "")):
        assert Pattern("rule", pattern).fits(request())
        assert not Pattern("rule", pattern).fits(request("POST", content=b"a"))


async def coroutine(request: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("", ValueError, "rule must be 'GET /path', .*, not ''"),
        ("users", ValueError, "rule must be 'GET /path', .*, not 'users'"),
        ("get /users", ValueError, "not 'get /users'"),
        ("GET users", ValueError, "not 'GET users'"),
        ("api.example.com/users", ValueError, "not 'api.example.com/users'"),
        (7, TypeError, "or a function of the request, not 7"),
        (coroutine, TypeError, "rule must be a plain function of the request, also in async code"),
        (("/a", 1, 2), TypeError, "not .'/a', 1, 2."),
        (("/a", {1}), TypeError, "the body of rule must be bytes, a string or what JSON can hold, not {1}"),
        ((7, "a"), TypeError, "not 7"),
    ],
)
def test_what_is_no_pattern(pattern: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Pattern("rule", pattern)


def test_requests_are_shown_without_secrets() -> None:
    """On one line, with the beginning of the body; secrets in URL and body are masked."""
    secret = request("POST", "https://me:hunter2@h/a?api_key=hunter2", json={"password": "hunter2", "item": 7})
    assert shown(secret) == 'POST https://REDACTED@h/a?api_key=REDACTED {"password":"[REDACTED]","item":7}'
    assert shown(request("P\nX", "https://h/a")) == "P\\nX https://h/a"
    assert shown(request("PUT", content=b"\0\1")) == f"PUT {URL} 2 bytes of unknown type"
    assert shown(request("PUT", content=b"x " * 300, headers={"Content-Type": "text/plain"})).endswith("x ... (600 bytes)")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("GET /a", "GET /a"),
        ("/a?api_key=hunter2", "/a?api_key=REDACTED"),
        (("/a", {"password": "hunter2", "b": 1}), '/a {"password":"[REDACTED]","b":1}'),
        (("/a", "text"), "/a text"),
        (("/a", b"text"), "/a text"),
        (coroutine.__class__, "function(request)"),
        (functools.partial(str), "partial(request)"),
    ],
)
def test_patterns_are_shown_without_secrets(pattern: Any, text: str) -> None:
    assert named(Pattern("rule", pattern)) == text


def test_no_difference() -> None:
    """Every pattern is compared with the request in its place."""
    sent = [request(), request("POST")]
    assert difference(patterns("p", ["GET", "/users/7"]), sent, others=False) is None
    assert difference([], [], others=False) is None
    assert difference(patterns("p", ["/users/*", "POST"]), sent, others=False) is None
    for expected in (["POST"], ["GET"], [], ["GET", "POST"]):
        assert difference(patterns("p", expected), sent, others=True) is None
    for expected in (["POST", "GET"], ["PUT"], ["GET", "GET"]):
        assert difference(patterns("p", expected), sent, others=True) is not None


def test_the_difference() -> None:
    """Expected and sent requests side by side: what is missing, what was not expected, and what is as expected around it."""
    sent = [request(url="https://h/users"), request("POST", "https://h/orders", json={"item": 8}), request(url="https://h/end")]
    expected = patterns("p", ["GET /users", "GET /users", ("POST /orders", {"item": 7}), "/end"])
    assert difference(expected, sent, others=False) == (
        "the requests sent are not those expected (- expected, + sent):\n"
        "    GET https://h/users\n"
        "  - GET /users\n"
        '  - POST /orders {"item":7}\n'
        '  + POST https://h/orders {"item":8}\n'
        "    GET https://h/end"
    )
    assert difference(expected, sent, others=True) == (
        "not all expected requests were sent in this order (- is missing):\n"
        "    GET https://h/users\n"
        "  - GET /users\n"
        '  - POST /orders {"item":7}\n'
        '    POST https://h/orders {"item":8}\n'
        "    GET https://h/end"
    )


def test_a_request_that_fits_several_patterns() -> None:
    """The verdict is by place, even where the lines are put side by side by the first pattern that fits."""
    sent = [request(url="https://h/ab"), request(url="https://h/ac")]
    assert difference(patterns("p", ["/a*", "/ab"]), sent, others=False) == (
        "the requests sent are not those expected (- expected, + sent):\n    GET https://h/ab\n  - /ab\n  + GET https://h/ac"
    )


def test_long_lists_are_shortened() -> None:
    """Of many requests as expected only those next to a difference are shown, and of many requests the last ones."""
    sent = [request(url=f"https://h/{number}") for number in range(100)]
    text = difference(patterns("p", ["/*"] * 101), sent, others=False)
    assert text is not None
    lines = text.splitlines()
    assert [line.strip() for line in lines[1:]] == [
        *(f"GET https://h/{number}" for number in (0, 1, 2)),
        "... (94 more)",
        *(f"GET https://h/{number}" for number in (97, 98, 99)),
        "- /*",
    ]
    assert listed(sent).splitlines()[1:3] == ["    ... (70 more)", "    GET https://h/70"]
    assert listed([]) == ""


@given(st.text("ab*", max_size=12), st.text("ab*", max_size=12))
def test_stars(pattern: str, text: str) -> None:
    """A pattern fits what a regular expression with `.*` for each star fits."""
    assert _fits(pattern, text) is bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text))

"""URLs: what is masked in userinfo, queries and paths, and what is unchanged."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from ratewise._redaction.masker import DEFAULT_MASKER, Masker
from tests.redaction.samples import BARE, FULL, HASH, PARAMETERS, PARTIAL, TOKENS, styles


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@h:8443/x", "https://REDACTED@h:8443/x"),
        ("https://user@h/x", "https://REDACTED@h/x"),
        ("https://:pass@h", "https://REDACTED@h"),
        ("https://user:p@ss@h/@me", "https://REDACTED@h/@me"),
        ("https://user:p'a\"s<s@h/", "https://REDACTED@h/"),
        ("https://user:p%40ss@[::1]:8080/", "https://REDACTED@[::1]:8080/"),
        ("socks5://user:pass@proxy:1080", "socks5://REDACTED@proxy:1080"),
        ("//user:pass@h/x", "//REDACTED@h/x"),
        ("https:/user:pass@h/x", "https:/REDACTED@h/x"),
        ("user:pass@proxy:3128", "REDACTED@proxy:3128"),
        ("https://user:pa/ss@h/x", "https://REDACTED@h/x"),
        ("https://user:pa?ss@h/x", "https://REDACTED@h/x"),
        ("redis://:pa#ss@h:6379/0", "redis://REDACTED@h:6379/0"),
        ("/proxy/https://user:pass@h/x", "/proxy/https://REDACTED@h/x"),
        ("https://user:" + "p" * 2000 + "@h/", "https://REDACTED@h/"),
    ],
)
def test_userinfo(url: str, shown: str) -> None:
    """User and password of a URL are masked in each style, also without the built-in lists, also if it is malformed."""
    for redactor in (FULL, PARTIAL, HASH, BARE):
        assert redactor.url(url) == shown


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("token=abc", "token=REDACTED"),
        ("a=1&Api-Key=abc&b=2", "a=1&Api-Key=REDACTED&b=2"),
        ("API_KEY=abc", "API_KEY=REDACTED"),
        ("api.key=abc", "api.key=REDACTED"),
        ("api+key=abc", "api+key=REDACTED"),
        ("%74oken=abc", "%74oken=REDACTED"),
        ("acc%65ss%5Ftoken=abc", "acc%65ss%5Ftoken=REDACTED"),
        ("user[password]=abc", "user[password]=REDACTED"),
        ("token[]=abc&token%5B%5D=d", "token[]=REDACTED&token%5B%5D=REDACTED"),
        ("a=1;token=abc;b=2", "a=1;token=REDACTED;b=2"),
        ("token=abc;def;;ghi&b=2", "token=REDACTED&b=2"),
        ("token=abc;def;b=2", "token=REDACTED;b=2"),
        ("token=a=b=&c=d", "token=REDACTED&c=d"),
        ("token=a/b?c&d=e", "token=REDACTED&d=e"),
        ("token=a&token=b", "token=REDACTED&token=REDACTED"),
        ("a=token=abc", "a=REDACTED"),
        ("x-key=abc&x_code=abc&X-Otp=abc", "x-key=REDACTED&x_code=REDACTED&X-Otp=REDACTED"),
        ("token=", "token="),
        ("token", "token"),
        ("?token=abc", "?token=REDACTED"),
        ("X-Amz-Signature=0af&X-Amz-Date=2", "X-Amz-Signature=REDACTED&X-Amz-Date=2"),
        ("sig=abc&se=2025-01-01", "sig=REDACTED&se=2025-01-01"),
        ("my_client_secret=abc", "my_client_secret=REDACTED"),
        ("x=1#access_token=abc&y=2", "x=1#access_token=REDACTED&y=2"),
        ("x=1#/cb?token=abc", "x=1#/cb?token=REDACTED"),
        ("x=1#a#token=abc", "x=1#a#token=REDACTED"),
        ("token=abc#top", "token=REDACTED#top"),
        ("api%255Fkey=abc&%2574oken=abc", "api%255Fkey=REDACTED&%2574oken=REDACTED"),
        ("%252525252574oken=abc", "REDACTED=abc"),
        ('f={"password":"abc"}&b=1', "f=REDACTED&b=1"),
        ("f=%7B%22a%22%3A%7B%22api_key%22%3A1%7D%7D&b=1", "f=REDACTED&b=1"),
        ("f={'token':1}&b=1", "f=REDACTED&b=1"),
        ("query=login(password:%22abc%22)", "query=REDACTED"),
        ("q=token:abc&f=%7B%22a%22:1%7D", "q=token:abc&f=%7B%22a%22:1%7D"),
        ("ghp%5F" + "aB3d" * 9, "REDACTED"),
        ("ghp%5F" + "aB3d" * 9 + "=1", "REDACTED=1"),
        ("q=Bearer+aB3dEfGhIj", "q=REDACTED"),
        ("q=gh%70_" + "aB3d" * 9, "q=REDACTED"),
    ],
)
def test_queries(query: str, shown: str) -> None:
    """Secret parameters are found in any spelling of their names, and in any notation of the query."""
    assert FULL.url(f"https://h/p?{query}") == f"https://h/p?{shown}"
    assert FULL.url(f"?{query}") == f"?{shown}"


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_is_secret_parameters(name: str) -> None:
    """Each secret name of the lists is masked, with any separator."""
    assert FULL.is_secret_parameter(name)
    assert FULL.is_secret_parameter("-".join(name).upper())
    assert not BARE.is_secret_parameter(name)


@pytest.mark.parametrize(
    "name", "keyboard author authors monkey codec tokens_left page design sids keys zip_code passage assertions next".split()
)
def test_ordinary_parameters(name: str) -> None:
    """A name that only resembles a secret one is not masked."""
    assert not FULL.is_secret_parameter(name)
    assert FULL.url(f"https://h/?{name}=value") == f"https://h/?{name}=value"


@pytest.mark.parametrize(
    "nested",
    [
        "https://user:pass@h/",
        "https://h/cb?token=sesame",
        "/cb?token=sesame",
        "//user:sesame@h",
        "token=sesame",
        "x=1&token=sesame",
        "/cb#token=sesame",
        "x;token=sesame",
        "/x?next=" + quote("/y?token=sesame", safe=""),
        "/x?next=" + quote("/y?next=" + quote("/z?token=sesame", safe=""), safe=""),
        quote("/cb?token=sesame", safe=""),
        "Bearer aB3dEfGhIj",
        TOKENS["github"],
        "-----BEGIN PRIVATE KEY-----\nMII",
    ],
)
@styles
def test_nested(redactor: Masker, nested: str) -> None:
    """A parameter or path with a URL or form that contains a secret is masked whole in every style, its ends included."""
    encoded = quote(nested, safe="")
    shown = "REDACTED" if encoded != nested else redactor.url(nested)
    assert redactor.url(f"https://h/?page=2&next={encoded}&x=1") == f"https://h/?page=2&next={shown}&x=1"
    assert redactor.url(f"https://h/a/{encoded}/b") == f"https://h/a/{shown}/b"
    assert redactor.url(f"https://h/a;next={encoded}/b") == f"https://h/a;next={shown}/b"


def test_nested_too_deep() -> None:
    """What is nested deeper than the search goes is masked."""
    nested = "/p?page=2"
    for _ in range(3):
        nested = "/p?next=" + quote(nested, safe="")
    assert FULL.url("https://h" + nested) == "https://h/p?next=REDACTED"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/bot{TOKENS['telegram']}/getMe", "/botREDACTED/getMe"),
        (f"/file/bot{TOKENS['telegram']}/a.jpg", "/file/botREDACTED/a.jpg"),
        (f"/bot{TOKENS['telegram'].replace(':', '%3A')}/getMe", "/REDACTED/getMe"),
        (f"/bot{TOKENS['telegram']}/https://other/", "/botREDACTED/https://other/"),
        (f"/x/{TOKENS['github']}", "/x/REDACTED"),
        ("/a;jsessionid=abc/b", "/a;jsessionid=REDACTED/b"),
        ("/a;jsessionid=abc/https://other/", "/a;jsessionid=REDACTED/https://other/"),
        ("/token=abc/b", "/token=REDACTED/b"),
        ("/a&token=abc", "/a&token=REDACTED"),
    ],
)
def test_paths(path: str, shown: str) -> None:
    """Tokens and secret parameters in a path are masked; its other parts are unchanged."""
    assert FULL.url(f"https://api.example.com{path}") == f"https://api.example.com{shown}"
    assert FULL.url(path) == shown


ORDINARY = [
    "",
    "https://api.example.com",
    "https://api.example.com:8443/v1/users/42?page=2&per_page=50&sort=-created_at#results",
    "https://api.example.com/users/123e4567-e89b-12d3-a456-426614174000",
    "https://[2001:db8::1]:8080/a/@b?c=d@e",
    "https://github.com/@user/repo/blob/0123456789abcdef0123456789abcdef01234567/a.py#L1-L9",
    "https://registry.npmjs.org/@scope%2Fpackage/-/package-1.0.0.tgz",
    "https://h/search?q=caf%C3%A9+100%25&filter=a%3Db&email=joe%40example.com&t=10:30",
    "https://h/login?next=%2Fhome%3Fpage%3D2&lang=en",
    "https://h/images/nginx:1.2@sha256:0123456789abcdef",
    "https://h/?a=1&&b;;c&=&==&%&%zz#",
    "mailto:joe@example.com",
    "joe@example.com",
    "../up?x#y",
    "data:text/plain,hello",
    "/a=b;c=d/e%20f",
]


@pytest.mark.parametrize("url", ORDINARY)
def test_ordinary_urls(url: str) -> None:
    """A URL without a secret is unchanged, as a URL, in a text and as a header."""
    for redactor in (FULL, PARTIAL, HASH):
        assert redactor.url(url) == url
        assert redactor.text(f"GET {url} HTTP/1.1") == f"GET {url} HTTP/1.1"
        assert redactor.header("Location", url) == url


def test_what_libraries_hold() -> None:
    """httpx's own URLs and headers are accepted."""
    import httpx

    assert (
        DEFAULT_MASKER.url(httpx.URL("https://user:hunter2@x.example/?token=hunter2"))
        == "https://REDACTED@x.example/?token=REDACTED"
    )
    assert DEFAULT_MASKER.headers(httpx.Headers({"Authorization": "hunter2", "X-A": "1"})) == [
        ("authorization", "[REDACTED]"),
        ("x-a", "1"),
    ]


def test_parameters_that_end_like_secrets() -> None:
    """Tokens and signatures are masked, those for the next page are not."""
    url = "https://h/?private_token=a&oauth_signature=b&botToken=c&next_page_token=d&continuation-token=e&max_tokens=5"
    masked = "private_token=REDACTED&oauth_signature=REDACTED&botToken=REDACTED"
    assert FULL.url(url) == f"https://h/?{masked}&next_page_token=d&continuation-token=e&max_tokens=5"

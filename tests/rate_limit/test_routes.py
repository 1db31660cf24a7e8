"""Routes: which paths are the same, but for identifiers."""

from __future__ import annotations

import httpx
import pytest

from ratewise.rate_limit.routes import path_template

HASH = "9fceb02d0ae598e95dc970b74767f19372d61af8"
UUID = "0b9e3c1e-7d1b-4a58-9f0f-0d6c7c3d5a11"


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/", "/v1/models/"),
        # numbers
        ("/users/1", "/users/*"),
        ("/users/17/orders/230/lines", "/users/*/orders/*/lines"),
        ("/users/0x17", "/users/0x17"),
        ("/2.0/users", "/2.0/users"),
        ("/2024-05-31", "/2024-05-31"),
        # UUIDs
        (f"/u/{UUID}", "/u/*"),
        (f"/u/{UUID.upper()}/x", "/u/*/x"),
        ("/u/deadbeef-dead-beef-dead-beefdeadbeef", "/u/*"),
        ("/u/deadbeef-dead-beef-deadbeefdeadbeef", "/u/deadbeef-dead-beef-deadbeefdeadbeef"),
        ("/u/feadbeef-dead-beef-dead-beefdeadbeeg", "/u/feadbeef-dead-beef-dead-beefdeadbeeg"),
        # hashes: hexadecimal digits, at least 16
        (f"/commits/{HASH}", "/commits/*"),
        (f"/commits/{HASH.upper()}", "/commits/*"),
        ("/commits/abcdefabcdefabcd", "/commits/*"),
        ("/commits/abcdefabcdefabc", "/commits/abcdefabcdefabc"),
        ("/commits/9fceb02", "/commits/9fceb02"),
        # long and opaque: at least 20, with a digit
        ("/files/abcdefghijklmnopqrs1", "/files/*"),
        ("/files/1bcdefghijklmnopqrst", "/files/*"),
        ("/files/A_b~c.d:e@f=g-hijkl1", "/files/*"),
        ("/files/abcdefghijklmnopqr1", "/files/abcdefghijklmnopqr1"),
        ("/files/abcdefghijklmnopqrstuvwxyz", "/files/abcdefghijklmnopqrstuvwxyz"),
        ("/files/a-very-long-name-of-a-file", "/files/a-very-long-name-of-a-file"),
        ("/files/abcdefghijklmnopqrs1,x", "/files/abcdefghijklmnopqrs1,x"),
        ("/files/abcdefghijklmnopqrs1+x", "/files/abcdefghijklmnopqrs1+x"),
    ],
)
def test_template(path: str, template: str) -> None:
    for query in ("", "?page=2&id=17"):
        assert path_template(httpx.Request("GET", f"https://api.example.com{path}{query}")) == template


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_method_is_no_part_of_it(method: str) -> None:
    assert path_template(httpx.Request(method, "https://api.example.com/a/1")) == "/a/*"


def test_a_long_path_of_many_digits_is_quick() -> None:
    """What a pattern that goes back and forth would take for ever for."""
    path = "/" + "-".join(["a1"] * 20_000) + "!"
    assert path_template(httpx.Request("GET", f"https://api.example.com{path}")) == path

"""The origin of a request, by which breakers, limiters, bulkheads and budgets distinguish servers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.world import World


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com/a?b#c", ("https", "api.example.com", None)),
        ("http://User:pw@API.example.com:80", ("http", "api.example.com", None)),
        ("http://api.example.com:8080", ("http", "api.example.com", 8080)),
        ("https://[2001:db8::1]:444/", ("https", "2001:db8::1", 444)),
        ("https://bücher.example", ("https", "xn--bcher-kva.example", None)),
        ("https://xn--bcher-kva.example", ("https", "xn--bcher-kva.example", None)),
    ],
)
async def test_origins(world: World, url: str, origin: Any) -> None:
    """It is the scheme, the host as sent, and the port unless it is the scheme's default."""
    assert world.http_library().origin(world.httpx.Request("GET", url)) == origin


async def test_what_looks_like_idna_and_is_none(world: World) -> None:
    """A host that IDNA does not decode: httpx accepts it only with a Host header, httpx2 always."""
    request = world.httpx.Request("GET", "https://xn--foo_bar.example", headers={"Host": "a"})
    assert world.http_library().origin(request) == ("https", "xn--foo_bar.example", None)

"""Private attributes of the libraries: they exist, and all but one have a fallback."""

from __future__ import annotations

import io
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from ratewise import InMemoryCache
from ratewise._adapter import private, streams
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Reply
from tests.kit.world import World

FIELDS = [(b"Date", b"today"), (b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"\xff")]


def library(world: World) -> Any:
    return import_module(f"{world.RetryTransport.__module__.rpartition('.')[0]}.base").LIBRARY


async def test_the_table_is_true(world: World) -> None:
    """Each private name exists in the installed versions, and is used."""
    headers = world.httpx.Headers([(b"A", b"b")])
    assert private.field_reader(headers) is not private._public_fields
    assert private.source_of(world.httpx.Request("PUT", "https://x", content=iter([b"a"])).stream) is not None
    changed: list[Any] = []
    transport = world.HTTPTransport()
    private.change_backend(transport, lambda backend: changed.append(backend) or backend)
    private.change_transports(client := world.Client(), lambda given: changed.append(given) or given)
    assert len(changed) >= 2
    await world.close(transport)
    await world.close(client)


async def test_fields_by_the_public_way(world: World) -> None:
    """The public way returns the same fields as the private one."""
    headers = world.httpx.Headers(FIELDS)
    assert list(private._public_fields(headers)) == list(library(world).fields(headers))


def test_headers_that_are_kept_otherwise() -> None:
    """If a library stores its fields differently, they are read by the public way."""

    class Headers:
        raw = ((b"A", b"b"),)

    assert private.field_reader(Headers()) is private._public_fields


async def test_a_client_without_the_private_fields(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client works with the public way alone."""
    monkeypatch.setattr(library(world), "fields", private._public_fields)
    answer = Reply(200, [("Cache-Control", "max-age=60"), ("X-RateLimit-Remaining", "9"), ("X-RateLimit-Limit", "10")], b"ok")
    with LocalServer(lambda received: answer) as server:
        client = world.RateWiseClient(server.url, trust_env=False, cache=InMemoryCache())
        got = [await world(client.get, "/") for _ in range(2)]
        await world.close(client)
    assert [(response.text, "Age" in response.headers) for response in got] == [("ok", False), ("ok", True)]
    assert len(server.received) == 1


async def test_a_body_whose_source_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """The body counts as one that can be sent only once; bytes, as async code sends here, need no file."""
    monkeypatch.setattr(streams, "source_of", lambda stream: None)
    with LocalServer(lambda received: Reply(503)) as server:
        client = world.RateWiseClient(server.url, trust_env=False, clock=clock)
        assert (await world(client.put, "/", content=io.BytesIO(b"abc") if world.is_sync else b"abc")).status_code == 503
        await world.close(client)
        assert len(server.received) == (1 if world.is_sync else 4)


def test_a_transport_without_a_backend() -> None:
    """A transport without the attributes is left unchanged."""
    private.change_backend(object(), lambda backend: pytest.fail("there is none"))


def test_a_transport_without_a_pool() -> None:
    """A transport without the attributes keeps what it has after a fork."""
    private.renew_pool(object())


def test_cookies_without_a_lock() -> None:
    """A cookie jar that has no lock needs none."""
    private.renew_cookies(SimpleNamespace(cookies=SimpleNamespace(jar=object())))


def test_a_client_whose_transports_cannot_be_reached() -> None:
    """The error of a client without the attributes says what to do instead."""

    class Client:
        pass

    with pytest.raises(
        TypeError, match=r"^Client cannot put its layers .* pass a RateWiseTransport to that library's own client"
    ):
        private.change_transports(Client(), lambda given: given)

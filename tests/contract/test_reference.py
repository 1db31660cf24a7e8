"""The table of parameters and the list of methods of the specification, for both clients."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from ratewise import CacheBackend, CircuitBreaker, ExponentialBackoff, InMemoryCache, LogConfig, RetryConfig
from ratewise.testing.server import LocalServer
from tests.adapter.answers import answer
from tests.contract import specification
from tests.kit.world import World


class Parameter(NamedTuple):
    name: str
    type: str
    default: str


PARAMETERS = [
    Parameter(*(cell.strip(" `") for cell in line.split("|")[1:4])) for line in specification.PARAMETERS.splitlines()[2:]
]


class Method(NamedTuple):
    name: str
    keywords: tuple[str, ...]
    sends: bool

    def of(self, client: Any) -> Any:
        return getattr(client, self.name)


METHODS = [
    Method(name, tuple(re.findall(r"(\w+)=None", arguments)), arguments.startswith("endpoint"))
    for name, arguments in re.findall(r"^- `(\w+)\((.*?)\)`", specification.METHODS, re.MULTILINE)
]


class Shelf(CacheBackend):
    """A user's own cache backend."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None: ...

    def clear(self) -> None: ...


VALUES: dict[str, Any] = {
    "str": "https://api.example.com",
    "int": 5,
    "float": 2.5,
    "bool": False,
    "dict": {"X-A": "1"},
    "ExponentialBackoff": ExponentialBackoff(),
    "RetryConfig": RetryConfig(),
    "CircuitBreaker": CircuitBreaker(),
    "CacheBackend": Shelf(),
    "LogConfig": LogConfig(),
}
"""A value of each type in the table."""


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(answer) as running:
        yield running


def test_what_is_read() -> None:
    """Both lists are parsed completely."""
    assert len(PARAMETERS) == 11
    assert len(METHODS) == 9
    assert {parameter.type for parameter in PARAMETERS} == VALUES.keys()


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
async def test_parameters(world: World, parameter: Parameter) -> None:
    """Each parameter exists, has its default (base_url is optional instead of required), and accepts its type."""
    signature = inspect.signature(world.RateWiseClient)
    default = signature.parameters[parameter.name].default
    if parameter.default == "required":
        assert (parameter.name, default) == ("base_url", "")
    else:
        expected = ast.literal_eval(parameter.default)
        assert (default, type(default)) == (expected, type(expected))
    async with world.within(world.RateWiseClient(**{parameter.name: VALUES[parameter.type]})):
        pass
    if default is not inspect.Parameter.empty:
        async with world.within(world.RateWiseClient(**{parameter.name: default})):
            pass


async def test_all_parameters_at_once(world: World, server: LocalServer) -> None:
    """All parameters work together, and each has its documented effect."""
    given = {parameter.name: VALUES[parameter.type] for parameter in PARAMETERS}
    given["base_url"] = server.url
    given["circuit_breaker"] = breaker = CircuitBreaker()
    async with world.within(world.RateWiseClient(**given)) as client:
        response = await world(client.get, "/echo")
        assert response.text == "['GET', '/echo', None, '1', '']"  # the default header is the fourth item
        assert client.timeout == world.httpx.Timeout(2.5, connect=2.5)
        assert client.circuit_breaker is breaker
        assert client.cache is given["cache"]
    async with world.within(world.RateWiseClient(server.url, cache=InMemoryCache(), timeout=30.0, connect_timeout=5.0)) as client:
        assert client.timeout == world.httpx.Timeout(30.0, connect=5.0)


@pytest.mark.parametrize("method", [method for method in METHODS if method.sends], ids=lambda method: method.name)
async def test_methods_that_send(world: World, server: LocalServer, method: Method) -> None:
    """Each method accepts the listed keywords, alone and together with httpx's own, and sends their values."""
    values: dict[str, Any] = {"params": {"q": "1"}, "headers": {"X-A": "b"}, "json": {"a": 1}, "data": {"f": "2"}}
    expected = {
        "params": ["/echo?q=1", None, None, ""],
        "headers": ["/echo", None, "b", ""],
        "json": ["/echo", None, None, '{"a":1}'],
        "data": ["/echo", None, None, "f=2"],
    }
    async with world.within(world.RateWiseClient(server.url)) as client:
        send = method.of(client)
        assert inspect.iscoroutinefunction(send) is not world.is_sync
        for given in ({}, dict.fromkeys(method.keywords)):
            assert (await world(send, "/echo", **given)).text == repr([method.name.upper(), "/echo", None, None, ""])
        for keyword in method.keywords:
            response = await world(send, "/echo", **{keyword: values[keyword]})
            assert response.status_code == 200
            assert ast.literal_eval(response.text) == [method.name.upper(), *expected[keyword]]
        together = {keyword: values[keyword] for keyword in method.keywords if keyword != "data"}
        response = await world(send, "/redirect1", **together, timeout=20.0, follow_redirects=True)
        assert [one.status_code for one in response.history] == [302]


async def test_methods_that_tell(world: World, server: LocalServer) -> None:
    """The methods for statistics and delays, and `close`."""
    names = [method.name for method in METHODS if not method.sends]
    assert names == ["get_retry_stats", "get_retry_delays", "get_stats", "close"]
    client = world.RateWiseClient(server.url)
    await world(client.get, "/echo")
    assert client.get_retry_stats() == {
        "total_requests": 1,
        "successful": 1,
        "failed": 0,
        "total_retries": 0,
        "avg_retries": 0.0,
        "circuit_breaker_trips": 0,
    }
    assert client.get_retry_delays() == []
    assert client.get_stats().total_requests == 1
    await world(client.close)
    assert client.is_closed
    with pytest.raises(RuntimeError, match="closed"):
        await world(client.get, "/echo")


async def test_in_place_of_the_librarys_client(world: World, server: LocalServer) -> None:
    """`RateWiseClient()` can replace `httpx.Client()`, with and without base_url."""
    seen = []
    for kind in (world.Client, world.RateWiseClient):
        results: list[Any] = []
        for given in ({}, {"base_url": ""}, {"base_url": f"{server.url}/base"}, {"headers": {"X-A": "1"}, "params": {"p": "1"}}):
            async with world.within(kind(**given)) as client:
                results.append(repr(client.base_url).replace(str(server.port), ""))
                results.append((await world(client.get, f"{server.url}/echo")).text)
                for address in ("/echo", "echo", "http:///echo", "ftp://127.0.0.1/echo"):
                    try:
                        results.append((await world(client.get, address)).text)
                    except world.httpx.HTTPError as error:
                        results.append((type(error), str(error)))
                client.base_url = server.url
                results.append((await world(client.post, "/echo", json=5)).text)
        with pytest.raises(TypeError):
            kind(None, None)
        seen.append(results)
    assert seen[0] == seen[1]
    async with world.within(world.RateWiseClient(None)) as client:
        assert client.base_url == world.httpx.URL("")
        assert (await world(client.get, f"{server.url}/echo")).status_code == 200


def test_which_of_the_retry_settings_wins() -> None:
    """Each class with the three retry settings documents in its docstring which one wins."""
    import ratewise.httpx2

    for package in (ratewise, ratewise.httpx2):
        for name in ("RateWiseClient", "AsyncRateWiseClient", "RateWiseTransport", "AsyncRateWiseTransport"):
            text = re.sub(r"\s+", " ", getattr(package, name).__doc__ or "")
            assert re.search(r"If (`max_retries` and `retry_config` are )?both (are )?given, `retry_config` wins", text), name
            assert "`backoff_strategy` replaces the backoff of either" in text, name

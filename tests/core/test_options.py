"""Options of a request in the wrong place: the error says how to write them, and costs other requests nothing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import ratewise
from ratewise import (
    Bulkhead,
    CacheConfig,
    CircuitBreaker,
    ExponentialBackoff,
    InMemoryCache,
    LogConfig,
    RateLimiter,
    RetryConfig,
    options,
)
from ratewise._core.options import CLIENT_SETTINGS, OPTIONS, RETRIES
from tests.kit.wire import Scripted
from tests.kit.world import World

GIVEN: dict[str, Any] = {"retry": False, "max_attempts": 2, "idempotency_key": "order-1", "cache": "bypass", "cache_ttl": 5}
"""One good value of each option."""

SHOWN = {"retry": "False", "max_attempts": "2", "idempotency_key": "...", "cache": "'bypass'", "cache_ttl": "5"}


def test_every_option_is_tested() -> None:
    """Those of `options()`, and no other."""
    assert GIVEN.keys() == SHOWN.keys() == OPTIONS == inspect.signature(options).parameters.keys()


@pytest.mark.parametrize("option", GIVEN)
async def test_as_a_keyword(world: World, option: str) -> None:
    """Of each verb, `request()`, `stream()` and `send()`, as their own `TypeError` is: nothing is sent."""
    wire = Scripted()
    client, kind = world.RateWiseClient("https://x.example", transport=wire), world.RateWiseClient.__name__
    given = {option: GIVEN[option]}
    said = f"got an unexpected keyword argument '{option}': give"
    written = f"extensions=ratewise.options({option}={SHOWN[option]})"
    calls: dict[str, tuple[str, ...]] = dict.fromkeys(("get", "options", "head", "post", "put", "patch", "delete"), ("/",))
    calls.update(request=("GET", "/"), stream=("GET", "/"), build_request=("GET", "/"))
    if hasattr(client, "query"):
        calls["query"] = ("/",)
    for name, args in calls.items():
        with pytest.raises(TypeError) as raised:
            await world(getattr(client, name), *args, **given)
        assert str(raised.value) == f"{kind}.{name}() {said} {written}"
    with pytest.raises(TypeError) as raised:
        await world(client.send, client.build_request("GET", "/"), **given)
    assert str(raised.value) == f"{kind}.send() {said} client.build_request(..., {written})"
    assert wire.sent == []
    assert client.get_stats().total_requests == 0


UNKNOWN: list[tuple[str, str, Any, str]] = [
    ("get", "retries", 3, "give extensions=ratewise.options(max_attempts=4)"),
    ("get", "retries", False, "give extensions=ratewise.options(retry=False)"),
    ("get", "retry", 3, "give extensions=ratewise.options(max_attempts=4)"),
    ("get", "cacheTtl", 3, "give extensions=ratewise.options(cache_ttl=3)"),
    # what `options()` would refuse is not part of the answer
    ("get", "cache", False, "give extensions=ratewise.options(cache='bypass' or 'refresh')"),
    ("get", "cache", "no-store", "give extensions=ratewise.options(cache='bypass' or 'refresh')"),
    ("get", "max_attempts", 0, "give extensions=ratewise.options(max_attempts=...)"),
    ("get", "cache_ttl", -1, "give extensions=ratewise.options(cache_ttl=...)"),
    # of the client
    ("get", "cache", InMemoryCache(), "cache belongs to the client: {kind}(cache=...)"),
    ("get", "retry", RetryConfig(), "retry belongs to the client: {kind}(retry_config=...)"),
    ("get", "total_timeout", 3, "total_timeout belongs to the client: {kind}(total_timeout=3)"),
    ("post", "verify", False, "verify belongs to the client: {kind}(verify=False)"),
    ("send", "deadline", 3, "deadline belongs to the client: {kind}(total_timeout=3)"),
    # of the method itself, or of another one
    ("get", "timout", 3, "did you mean 'timeout'?"),
    ("stream", "allow_redirects", True, "did you mean 'follow_redirects'?"),
    ("build_request", "header", {}, "did you mean 'headers'?"),
    ("get", "connect_timeout", 3, "give timeout={library}.Timeout(..., connect=3)"),
    ("get", "json", {}, "give client.request(..., json=...)"),
    ("get", "stream", True, "give client.send(..., stream=True)"),
    ("send", "timeout", 3, "give client.build_request(..., timeout=3)"),
    ("build_request", "auth", None, "give client.request(..., auth=None)"),
    ("get", "xyzzy", 1, "it takes url, params, headers, cookies, auth, follow_redirects, timeout, extensions"),
]
"""Keywords that no method knows, and what the error says to give instead."""


@pytest.mark.parametrize(("name", "keyword", "value", "said"), UNKNOWN)
async def test_other_keywords(world: World, name: str, keyword: str, value: Any, said: str) -> None:
    """Every keyword that a method does not know is answered, and nothing is sent."""
    wire = Scripted()
    client, kind = world.RateWiseClient("https://x.example", transport=wire), world.RateWiseClient.__name__
    args = {"stream": ("GET", "/"), "build_request": ("GET", "/"), "send": (client.build_request("GET", "/"),)}
    with pytest.raises(TypeError) as raised:
        await world(getattr(client, name), *args.get(name, ("/",)), **{keyword: value})
    said = said.format(kind=kind, library=world.httpx.__name__)
    assert str(raised.value) == f"{kind}.{name}() got an unexpected keyword argument {keyword!r}: {said}"
    assert wire.sent == []


async def test_other_type_errors(world: World) -> None:
    """A `TypeError` about something else is the library's own."""
    client = world.RateWiseClient("https://x.example", transport=Scripted())
    with pytest.raises(TypeError, match="not JSON serializable") as raised:
        await world(client.post, "/", json=object())
    assert raised.value.__cause__ is None
    assert not raised.value.__suppress_context__
    with pytest.raises(TypeError, match="positional argument"):
        await world(client.request, "GET")


async def test_the_methods_are_the_librarys(world: World) -> None:
    """To whoever looks: their signatures, names, documents, and whether they are coroutine functions."""
    kind = world.RateWiseClient
    for name in ("get", "options", "head", "post", "put", "patch", "delete", "request", "stream", "build_request"):
        ours, theirs = getattr(kind, name), getattr(world.Client, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    assert [*inspect.signature(kind.send).parameters] == [*inspect.signature(world.Client.send).parameters]
    assert inspect.iscoroutinefunction(kind.send) is not world.is_sync


@pytest.mark.parametrize("option", GIVEN)
@pytest.mark.parametrize("bundled", [True, False])
async def test_in_the_extensions(world: World, option: str, bundled: bool) -> None:
    """An error where the value is one that the option takes: nothing is sent."""
    wire = Scripted(200)
    if bundled:
        client = world.RateWiseClient(transport=wire, rate_limiter=None)
    else:
        client = world.Client(transport=world.RateWiseTransport(wire))
    value = GIVEN[option]
    with pytest.raises(TypeError) as raised:
        await world(client.get, "https://x.example", extensions={"trace": None, option: value})
    written = f"ratewise.options({option}={value!r})"
    beside = f"extensions={{**{written}, ...}} beside other extensions"
    assert str(raised.value) == f'extensions["{option}"] has no effect: give extensions={written}, or {beside}'
    assert wire.sent == []
    extensions = {**options(**{option: value}), "target": b"/other"}
    assert (await world(client.get, "https://x.example", extensions=extensions)).status_code == 200


@pytest.mark.parametrize("bundled", [True, False])
async def test_client_settings_in_the_extensions(world: World, bundled: bool) -> None:
    """They are refused with a value that the client takes, and so is a number of retries."""
    wire = Scripted()
    plain = world.Client(transport=world.RateWiseTransport(wire))
    client = world.RateWiseClient(transport=wire, rate_limiter=None) if bundled else plain
    retries = "give extensions=ratewise.options(max_attempts=4), or extensions={{**ratewise.options(max_attempts=4), ...}} "
    cases: list[tuple[str, Any, str]] = [(name, 3, f"{retries}beside other extensions") for name in sorted(RETRIES)]
    ours = (ExponentialBackoff(), Bulkhead(), InMemoryCache(), CacheConfig(), CircuitBreaker(), RateLimiter())
    names = ("backoff_strategy", "bulkhead", "cache", "cache_config", "circuit_breaker", "rate_limiter")
    given: dict[str, Any] = {"log_config": LogConfig(), "retry_config": RetryConfig(), "default_headers": {"a": "hunter2"}}
    given.update(zip(names, ours), total_timeout=5, connect_timeout=0.5)
    given.update(raise_on_rate_limit=False, redact_httpx_logs=True, verify_ssl=False)
    assert given.keys() == CLIENT_SETTINGS.keys()
    for name, value in given.items():
        shown = value if isinstance(value, (int, float)) else "..."
        cases.append((name, value, f"{name} belongs to the client: RateWiseClient({name}={shown})"))
    for name, value, said in cases:
        with pytest.raises(TypeError) as raised:
            await world(client.get, "https://x.example", extensions={name: value})
        assert str(raised.value) == f'extensions["{name}"] has no effect: {said.replace("{{", "{").replace("}}", "}")}'
    assert wire.sent == []


def test_every_client_setting_is_known() -> None:
    """All but those that mean something else in an extension."""
    settings = inspect.signature(ratewise.RateWiseClient).parameters.keys() - {"options"}
    assert settings - CLIENT_SETTINGS.keys() == {"base_url", "max_retries", "timeout", "clock"}
    assert "max_retries" in RETRIES


class Theirs:
    """An object of another library."""


OTHERS_EXTENSIONS: list[dict[str, Any]] = [
    # names of ours, but not our values
    {"retry": Theirs(), "max_attempts": "2", "idempotency_key": b"x", "cache": "shared", "cache_ttl": None},
    {"retry": {"total": 3}, "cache": {"a": 1}, "cache_ttl": "60", "idempotency_key": Theirs()},
    {"retry": None, "max_attempts": None, "cache": True, "retries": 3, "retry_count": 2, "attempts": 2, "ttl": 60},
    {"max_retries": "3", "max_retry": None, "num_retries": -2, "total_timeout": "5", "connect_timeout": None},
    {"total_timeout": True, "verify_ssl": Theirs(), "default_headers": None, "raise_on_rate_limit": 1},
    {"circuit_breaker": Theirs(), "rate_limiter": "a", "bulkhead": {}, "retry_config": {"total": 3}, "cache": Theirs()},
    # httpx, httpcore
    {"sni_hostname": "x", "target": b"/x", "trace": None, "network_stream": Theirs(), "http_version": b"HTTP/2"},
    {"stream_id": 1, "reason_phrase": b"OK"},
    # hishel
    {"hishel_ttl": 60, "hishel_spec_ignore": True, "hishel_refresh_ttl_on_access": False, "hishel_body_key": "a"},
    {"force_cache": True, "cache_disabled": False, "cache_metadata": True, "from_cache": False},
    # others
    {"opentelemetry": 1, "priority": 5, "x402_is_retry": True, "t_start": 0.5, "respx": Theirs()},
]
"""What is not refused."""


@pytest.mark.parametrize("theirs", OTHERS_EXTENSIONS)
async def test_the_extensions_of_others(world: World, theirs: dict[str, Any]) -> None:
    """What another library has under such a name is left alone, and arrives."""
    wire = Scripted(200)
    client = world.RateWiseClient("https://x.example", transport=wire)
    await world(client.get, "/", extensions=theirs)
    assert theirs.items() <= wire.sent[0].request.extensions.items()


def test_a_subclass_of_the_users_own() -> None:
    """It may override a method, and hand keywords on."""

    class Mine(ratewise.RateWiseClient):
        def get(self, url: str, **given: Any) -> Any:  # type: ignore[override]
            return super().get(url, **given)

    with pytest.raises(TypeError, match=r"^RateWiseClient\.get\(\) got an unexpected keyword argument 'retry': give "):
        Mine("https://x.example", transport=Scripted()).get("/", retry=False)

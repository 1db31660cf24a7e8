"""describe: the layers of a stack and their settings, as data and as text."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ratewise import (
    Bulkhead,
    CacheConfig,
    Call,
    CircuitBreaker,
    InMemoryCache,
    LayerTransport,
    LogConfig,
    RateLimiter,
    RateWiseClient,
    RetryConfig,
)
from ratewise import Layer as BaseLayer
from ratewise.testing import describe
from tests.kit.layers import Layer
from tests.kit.world import World


def test_the_whole_stack(world: World) -> None:
    """Layers in order, outermost first, each once, with all settings of what they use."""
    limiter = RateLimiter(rate=5, per=2, max_wait=7)
    client = world.RateWiseClient(
        retry_config=RetryConfig(2),
        cache=InMemoryCache(ttl=60),
        cache_config=CacheConfig(shared=True),
        circuit_breaker=CircuitBreaker(3, recovery_timeout=20),
        rate_limiter=limiter,
        bulkhead=Bulkhead(4),
        log_config=LogConfig("DEBUG"),
        total_timeout=9.0,
    )
    stack = describe(client)
    assert [layer.name for layer in stack.layers] == [
        "LoggingLayer",
        "DeadlineLayer",
        "CacheLayer",
        "RetryLayer",
        "CircuitBreakerLayer",
        "RateLimitLayer",
        "BulkheadLayer",
    ]
    assert stack.transport == world.HTTPTransport.__name__
    assert stack.mounts == {}
    assert stack["RetryLayer"]["max_attempts"] == 2
    assert (stack["CacheLayer"]["ttl"], stack["CacheLayer"]["shared"]) == (60, True)
    assert (stack["CircuitBreakerLayer"]["failure_threshold"], stack["CircuitBreakerLayer"]["recovery_timeout"]) == (3, 20)
    assert stack["RateLimitLayer"]["rate_limiter"] is limiter
    assert stack["RateLimitLayer"]["rate"] == 5
    assert stack["BulkheadLayer"]["max_in_flight"] == 4
    assert stack["DeadlineLayer"] == {"total_timeout": 9}
    assert describe(client) == stack


def test_as_text(world: World) -> None:
    """One line for each layer and one for the transport; settings are listed once, and secrets are masked."""
    key = "Bearer 0123456789abcdef"
    layer = Layer(lambda request, call: call.send(request))
    layer.token = key  # type: ignore[attr-defined]
    transport = world.RetryTransport(world.LayerTransport(world.HTTPTransport(), layer), RetryConfig(2))
    retry, own, wire = str(describe(transport)).splitlines()
    assert retry.startswith("RetryLayer(max_attempts=2, retry_on_status=[408, 425, 429, 500, 502, 503, 504], methods=['DELETE', ")
    assert own.startswith("Layer(handle=<function")
    assert key not in own
    assert wire == world.HTTPTransport.__name__


def test_mounts(world: World) -> None:
    """The stacks of certain URLs are told by their pattern; those that are switched off are left out."""
    mounts = {"https://": world.httpx.MockTransport(lambda request: None), "http://none": None}
    client = world.RateWiseClient(mounts=mounts, rate_limiter=None)
    stack = describe(client).mounts["https://"]
    assert ([layer.name for layer in stack.layers], stack.transport) == (["RetryLayer"], "MockTransport")
    assert str(describe(client)).splitlines()[-2:] == [f"  {stack.layers[0]}", "  MockTransport"]
    assert "http://none" not in describe(client).mounts


def test_what_is_not_ours(world: World) -> None:
    """A plain client and a transport of the user's have no layers; a chain below a user's own class is shown whole."""

    class Mine(world.RetryTransport):  # type: ignore[misc, name-defined]
        pass

    plain = describe(world.Client())
    assert (plain.layers, plain.transport) == ((), world.HTTPTransport.__name__)
    around = describe(world.RateWiseTransport(Mine(world.HTTPTransport(), RetryConfig(1)), max_retries=2))
    assert [layer.name for layer in around.layers] == ["RetryLayer", "RetryLayer"]
    assert around.transport == world.HTTPTransport.__name__


@pytest.mark.parametrize("given", [None, 5, "client", object, httpx.Client, RateWiseClient, httpx.HTTPTransport])
def test_what_has_no_stack(given: Any) -> None:
    """Anything else is refused, and a layer that is not there is a KeyError that says which are."""
    with pytest.raises(TypeError, match=r"describe\(\) takes a client or a transport, not "):
        describe(given)


def test_a_layer_that_is_not_there(world: World) -> None:
    """The error lists the layers."""
    with pytest.raises(KeyError, match="CacheLayer: the layers are RetryLayer, RateLimitLayer"):
        describe(world.RateWiseClient())["CacheLayer"]
    with pytest.raises(KeyError, match="CacheLayer: the layers are none"):
        describe(world.Client())["CacheLayer"]


def test_parts_of_users() -> None:
    """Subclasses of our parts have their settings; attributes of other objects are values like others."""

    class OwnBreaker(CircuitBreaker):
        pass

    class OddLayer(BaseLayer):
        def __init__(self) -> None:
            self._rules, self.config, self.me = {"a": 1}, "config.toml", self

        async def handle(self, request: Any, call: Call[Any, Any]) -> Any:
            return await call.send(request)

    assert describe(RateWiseClient(circuit_breaker=OwnBreaker(7)))["CircuitBreakerLayer"]["failure_threshold"] == 7
    odd = OddLayer()
    assert describe(LayerTransport(httpx.HTTPTransport(), odd))["OddLayer"] == {"config": "config.toml", "me": odd}


def test_no_secrets_are_printed() -> None:
    """Neither by str() nor by repr(), whatever has them: settings of users' layers, and the URLs of mounts."""

    class SignLayer(BaseLayer):
        def __init__(self) -> None:
            self.api_key, self.credential, self.token = "hunter2", b"hunter2", None
            self.client_secret = ["hunter2"]
            self.headers = {"Authorization": "Bearer hunter2"}
            self.url = "https://me:hunter2@api.example.com/"
            self.pair, self.deep = ("password", "hunter2"), {"auth": {"password": "hunter2"}}
            self.statuses, self.kinds = frozenset({503, 429}), frozenset({1, "a"})

        async def handle(self, request: Any, call: Call[Any, Any]) -> Any:
            return await call.send(request)

    stack = describe(LayerTransport(httpx.HTTPTransport(), SignLayer()))
    assert stack["SignLayer"]["api_key"] == "hunter2"  # data
    assert "api_key=[REDACTED], credential=[REDACTED], token=None, client_secret=[REDACTED]" in str(stack)
    assert "statuses=[429, 503], kinds=frozenset({" in str(stack)
    mounted = describe(httpx.Client(mounts={"https://me:hunter2@api.example.com": httpx.HTTPTransport()}))
    assert next(iter(mounted.mounts)).startswith("https://REDACTED@")
    for shown in (str(stack), repr(stack), str(mounted), repr(mounted)):
        assert "hunter2" not in shown

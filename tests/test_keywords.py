"""Keywords that are unknown: who refused which, and what was meant. Signatures and objects are as they were without."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import httpx
import pytest

import ratewise
from ratewise import (
    Bulkhead,
    CacheBackend,
    CacheConfig,
    CircuitBreaker,
    ExponentialBackoff,
    InMemoryCache,
    LogConfig,
    RateLimiter,
    RateWiseClient,
    RateWiseTransport,
    RedisCache,
    RetryBudget,
    RetryConfig,
    RetryDecision,
    SQLiteCache,
    options,
    setup_logging,
)
from ratewise._keywords import OTHER_NAMES, explained
from tests.kit.wire import Scripted
from tests.kit.world import World

NO_KEYWORDS = {
    "Attempt": "what is told of a call",
    "BulkheadLayer": "a layer takes one object",
    "CacheBackend": "abstract",
    "CacheLayer": "a layer takes two objects",
    "CacheStats": "what is told of a store",
    "Call": "made by transports",
    "CircuitBreakerLayer": "a layer takes one object",
    "ClientStats": "what is told of a client",
    "Clock": "takes nothing",
    "Exchange": "made by clients and transports",
    "Failure": "an enumeration",
    "Layer": "a protocol",
    "LoggingLayer": "a layer takes one object",
    "RateLimitLayer": "a layer takes one object",
    "RetryLayer": "a layer takes one object",
    "Waiter": "takes nothing",
    "Watcher": "a protocol",
    "exchange_of": "takes an outcome",
}
"""Public names that are not called with settings. Nor are errors."""

CALLED = [
    name
    for name in ratewise.__all__
    if name not in NO_KEYWORDS
    and not (inspect.isclass(getattr(ratewise, name)) and issubclass(getattr(ratewise, name), Exception))
]


@pytest.mark.parametrize("name", CALLED)
@pytest.mark.parametrize("package", [ratewise, ratewise.httpx2], ids=["httpx", "httpx2"])
def test_everything_that_takes_settings(package: Any, name: str) -> None:
    """A keyword like none that there is gets an error that names the class, the keyword, and what there is instead."""
    thing = getattr(package, name, None) or getattr(ratewise, name)
    said = f"^{name}(\\(\\))? got an unexpected keyword argument 'xyzzy': it takes "
    with pytest.raises(TypeError, match=said) as raised:
        thing(xyzzy=1)
    own = [name for name, one in inspect.signature(thing).parameters.items() if one.kind is not one.VAR_KEYWORD]
    assert all(name in str(raised.value) for name in own if name != "layers")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        # misspelt
        (lambda: InMemoryCache(tll=60), "InMemoryCache got an unexpected keyword argument 'tll': did you mean 'ttl'?"),
        (lambda: RedisCache("redis://x", tll=60), "RedisCache got an unexpected keyword argument 'tll': did you mean 'ttl'?"),
        (lambda: RedisCache(prefx="a"), "did you mean 'prefix'?"),
        (
            lambda: SQLiteCache("x.db", max_sise=1),
            "SQLiteCache got an unexpected keyword argument 'max_sise': did you mean 'max_size'?",
        ),
        (lambda: CacheConfig(stale_on_error=1), "did you mean 'stale_if_error'?"),
        (lambda: CircuitBreaker(failure_treshold=1), "did you mean 'failure_threshold'?"),
        (lambda: RateLimiter(max_waits=1), "did you mean 'max_wait'?"),
        (lambda: Bulkhead(max_inflight=1), "did you mean 'max_in_flight'?"),
        (lambda: LogConfig(redact_header=[]), "did you mean 'redact_headers'?"),
        (lambda: RetryBudget(ration=1), "did you mean 'ratio'?"),
        (lambda: ExponentialBackoff(multiplyer=1), "did you mean 'multiplier'?"),
        (lambda: RetryDecision(shuold_retry=True), "did you mean 'should_retry'?"),
        (lambda: RetryDecision(True, delays=1), "did you mean 'delay'?"),
        (
            lambda: RetryDecision(retry=True),
            "RetryDecision got an unexpected keyword argument 'retry': did you mean 'should_retry'?",
        ),
        (lambda: RedisCache(pasword="hunter2"), "did you mean 'password'?"),
        (lambda: RedisCache("redis://x", pasword="hunter2"), "did you mean 'password'?"),
        (lambda: RedisCache(**{"max-connections": 3}), "did you mean 'max_connections'?"),
        (lambda: RedisCache(nothing_like_it=3), "namespace, secret, prefix, clock, and the keywords of redis.Redis"),
        (lambda: RetryConfig(max_atempts=3), "did you mean 'max_attempts'?"),
        (lambda: ratewise.Redactor(header=[]), "did you mean 'headers'?"),
        (lambda: options(cache_til=1), "options() got an unexpected keyword argument 'cache_til': did you mean 'cache_ttl'?"),
        (lambda: setup_logging(lvel="INFO"), "setup_logging() got an unexpected keyword argument 'lvel': did you mean 'level'?"),
        # as others call it
        (lambda: SQLiteCache(filename="x.db"), "did you mean 'path'?"),
        (lambda: InMemoryCache(maxsize=1), "did you mean 'max_size'?"),
        (lambda: CircuitBreaker(fail_max=3), "did you mean 'failure_threshold'?"),
        (lambda: RateLimiter(requests_per_second=3), "did you mean 'rate'?"),
        (lambda: Bulkhead(limit=3), "did you mean 'max_in_flight'?"),
        (lambda: ExponentialBackoff(backoff_factor=3), "did you mean 'initial_delay'?"),
        (lambda: RetryConfig(status_forcelist=[500]), "did you mean 'retry_on_status'?"),
        (lambda: options(ttl=60), "did you mean 'cache_ttl'?"),
        (lambda: options(retries=False), "did you mean 'retry'?"),
        # counted otherwise
        (
            lambda: RetryConfig(max_retries=3),
            "RetryConfig got an unexpected keyword argument 'max_retries': "
            "did you mean 'max_attempts' (the first attempt included): max_attempts=4?",
        ),
        (lambda: RetryConfig(retries=0), "max_attempts=1?"),
        (lambda: RetryConfig(max_tries=3), "did you mean 'max_attempts'?"),
        (lambda: RetryConfig(retries="3"), "max_attempts=...?"),
        (lambda: options(max_retries=2), "max_attempts=3?"),
        # a part of what is given
        (lambda: RetryConfig(min_per_second=3), "give budget=RetryBudget(min_per_second=3)"),
        (lambda: RetryConfig(ration=1), "did you mean budget=RetryBudget(ratio=1)?"),
        # of another class
        (lambda: CacheConfig(ttl=60), "ttl belongs to the store: InMemoryCache(ttl=60)"),
        (lambda: CacheConfig(expire_after=60), "expire_after belongs to the store: InMemoryCache(ttl=60)"),
        (lambda: InMemoryCache(stale_if_error=60), "stale_if_error belongs to CacheConfig(stale_if_error=60)"),
        (lambda: RedisCache(shared=True), "shared belongs to CacheConfig(shared=True)"),
        # options of a request
        (lambda: options(retries=2), "did you mean 'max_attempts' (the first attempt included): max_attempts=3?"),
        (lambda: options(retry_config=None), "it takes retry, max_attempts, idempotency_key, cache, cache_ttl"),
    ],
)
def test_what_was_meant(call: Any, said: str) -> None:
    """The answer is a setting of ours, written as it is to be written."""
    with pytest.raises(TypeError) as raised:
        call()
    assert str(raised.value).endswith(said)


LIMITED = "cache_config=CacheConfig(max_wait=5) or rate_limiter=RateLimiter(max_wait=5) or bulkhead=Bulkhead(max_wait=5)"


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("max_retry", 3, "did you mean 'max_retries'?"),
        ("retries", 3, "did you mean 'max_retries'?"),
        ("retry", True, "did you mean 'max_retries'?"),
        ("tries", 3, "did you mean 'max_retries' (the first attempt not counted): max_retries=2?"),
        ("max_attempts", 3, "give retry_config=RetryConfig(max_attempts=3)"),
        ("backoff", None, "did you mean 'backoff_strategy'?"),
        ("ttl", 60, "give cache=InMemoryCache(ttl=60)"),
        ("rate_limit", 5, "did you mean 'rate_limiter'?"),
        ("limiter", None, "did you mean 'rate_limiter'?"),
        ("rate", 5, "give rate_limiter=RateLimiter(rate=5)"),
        ("max_wait", 5, f"give {LIMITED}"),
        ("logger", None, "did you mean 'log_config'?"),
        ("breaker", None, "did you mean 'circuit_breaker'?"),
        ("failure_threshold", 5, "give circuit_breaker=CircuitBreaker(failure_threshold=5)"),
        ("redact_headers", ["hunter2"], "give log_config=LogConfig(redact_headers=...)"),
        ("url", "https://hunter2@x", "did you mean 'base_url'?"),
        ("follow_redirect", True, "did you mean 'follow_redirects'?"),
        ("proxies", None, "did you mean 'proxy'?"),
        ("deadline", 5, "did you mean 'total_timeout'?"),
        ("min_per_second", 5, "it takes base_url, "),
        ("uds", "/x", "give transport={library}.{prefix}HTTPTransport(uds=...)"),
        ("max_connections", 3, "give limits={library}.Limits(max_connections=3)"),
        ("max_keepalive_connections", 3, "give limits={library}.Limits(max_keepalive_connections=3)"),
        ("keepalive_expiry", None, "give limits={library}.Limits(keepalive_expiry=None)"),
        ("pool_size", 3, "give limits={library}.Limits(max_connections=3)"),
        ("read_timeout", 3, "give timeout={library}.Timeout(..., read=3)"),
        ("raise_for_status", True, "it takes base_url, "),
        ("api_key", "hunter2", "it takes base_url, "),
        # other spellings of the same name, which count as it does
        ("maxRetries", 3, "did you mean 'max_retries'?"),
        ("Max_Retries", 3, "did you mean 'max_retries'?"),
        ("max-retries", 3, "did you mean 'max_retries'?"),
        ("max_re_tries", 3, "did you mean 'max_retries'?"),
        ("MAX_ATTEMPTS", 3, "give retry_config=RetryConfig(max_attempts=3)"),
        ("maxTries", 3, "did you mean 'max_retries' (the first attempt not counted): max_retries=2?"),
        ("baseURL", "https://hunter2@x", "did you mean 'base_url'?"),
        ("circuitbreaker", None, "did you mean 'circuit_breaker'?"),
        ("retryConfig", None, "did you mean 'retry_config'?"),
        # by what is given
        ("retry", RetryConfig(), "did you mean 'retry_config'?"),
        ("backoff", ExponentialBackoff(), "did you mean 'backoff_strategy'?"),
        ("config", CacheConfig(), "did you mean 'cache_config'?"),
        ("storage", InMemoryCache(), "did you mean 'cache'?"),
        # a value that the setting would refuse is not part of the answer
        ("jitter", True, "give backoff_strategy=ExponentialBackoff(jitter=True) or retry_config=RetryConfig(jitter=True)"),
        ("budget", 3, "give retry_config=RetryConfig(budget=...)"),
    ],
)
async def test_clients(world: World, keyword: str, value: Any, said: str) -> None:
    """Theirs and the library's; also of a class of the user's own."""

    class Mine(world.RateWiseClient):  # type: ignore[name-defined, misc]
        def __init__(self, tenant: str, **settings: Any) -> None:
            super().__init__(**settings)

    name, prefix = world.RateWiseClient.__name__, "" if world.is_sync else "Async"
    expected = f"{name} got an unexpected keyword argument {keyword!r}: {said}"
    for make in (world.RateWiseClient, lambda **settings: Mine("a", **settings)):
        with pytest.raises(TypeError) as raised:
            make(**{keyword: value})
        assert str(raised.value).startswith(expected.format(library=world.httpx.__name__, prefix=prefix))
        assert "hunter2" not in str(raised.value)


async def test_every_keyword_of_the_library(world: World) -> None:
    """What the library's own client takes, ours takes, as it is installed; what it refuses, its own error says."""
    plain = world.Client()
    for name, parameter in inspect.signature(world.Client).parameters.items():
        client = world.RateWiseClient(**{name: parameter.default})
        await world.close(client)
    await world.close(plain)
    with pytest.raises(TypeError, match=r"^verify_ssl and verify were both given"):
        world.RateWiseClient(verify_ssl=False, verify=True)
    with pytest.raises(TypeError, match=r"takes from 1 to 2 positional arguments but 3 were given"):
        world.RateWiseClient("https://x.example", 5)


PARTS = {
    "RetryTransport": ("max_attempts", 3, "give config=RetryConfig(max_attempts=3)"),
    "CacheTransport": ("ttl", 60, "give cache=InMemoryCache(ttl=60)"),
    "CircuitBreakerTransport": ("failure_threshold", 5, "give circuit_breaker=CircuitBreaker(failure_threshold=5)"),
    "RateLimitTransport": ("rate", 5, "give rate_limiter=RateLimiter(rate=5)"),
    "BulkheadTransport": ("max_in_flight", 5, "give bulkhead=Bulkhead(max_in_flight=5)"),
    "LoggingTransport": ("level", 10, "give config=LogConfig(level=10)"),
    "RateWiseTransport": ("per", 5, "give rate_limiter=RateLimiter(per=5)"),
}


@pytest.mark.parametrize("name", PARTS)
async def test_transports(world: World, name: str) -> None:
    """The settings of what they take, those of the transport within, and those of the client around them."""
    name, prefix = name if world.is_sync else f"Async{name}", "" if world.is_sync else "Async"
    kind, library = getattr(world.ratewise, name), world.httpx.__name__
    keyword, value, said = PARTS[name.removeprefix("Async")]
    cases = [(keyword, value, said), ("mode", "force", "give cache_config=CacheConfig(mode=...)")]
    if name.endswith("RateWiseTransport"):
        cases.append(("max_retry", 2, "did you mean 'max_retries'?"))
    else:
        del cases[1]
        cases.append(("verify", False, f"give transport={library}.{prefix}HTTPTransport(verify=False)"))
    for theirs in ("timeout", "base_url", "auth", "follow_redirects"):
        around = f"{library}.{prefix}Client(transport={name}(...), {theirs}=None)"
        cases.append((theirs, None, f"{theirs} belongs to the client: {around}"))
    around = f"{library}.{prefix}Client(transport={name}(...), "
    cases += [
        ("default_headers", {"a": "hunter2"}, f"default_headers belongs to the client: {around}headers=...)"),
        ("connect_timeout", 3, f"connect_timeout belongs to the client: {around}timeout={library}.Timeout(..., connect=3))"),
        ("read_timeout", 3, f"read_timeout belongs to the client: {around}timeout={library}.Timeout(..., read=3))"),
        ("timout", 3, f"did you mean {around}timeout=3)?"),
        ("redact_httpx_logs", True, f"redact_httpx_logs belongs to the client: {prefix}RateWiseClient(redact_httpx_logs=True)"),
    ]
    limits = f"limits={library}.Limits(max_connections=3)"
    whole = name.endswith("RateWiseTransport")
    cases.append(("max_connections", 3, f"give {limits if whole else f'transport={library}.{prefix}HTTPTransport({limits})'}"))
    for keyword, value, said in cases:
        for given in ((), (Scripted(),)):
            with pytest.raises(TypeError) as raised:
                kind(*given, **{keyword: value})
            assert str(raised.value) == f"{name} got an unexpected keyword argument {keyword!r}: {said}"


def test_retries_of_transports() -> None:
    """Those of httpx are httpx's only where it is asked for them."""
    with pytest.raises(TypeError, match=r"'retries': give config=RetryConfig\(max_attempts=4\)$"):
        ratewise.RetryTransport(retries=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"'lvel': did you mean config=LogConfig\(level=\.\.\.\)\?$"):
        ratewise.LoggingTransport(lvel="DEBUG")  # type: ignore[call-arg]
    RateWiseTransport(retries=3).close()
    with pytest.raises(TypeError, match=r"^verify: not allowed beside `transport`"):
        RateWiseTransport(Scripted(), verify=False)


def test_a_store_of_ones_own() -> None:
    """A subclass that hands its keywords on gets the answer of `CacheBackend`."""

    class Shelf(CacheBackend):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)

        def get(self, key: str) -> bytes | None: ...
        def set(self, key: str, value: bytes, ttl: float) -> None: ...
        def delete(self, key: str) -> None: ...
        def clear(self) -> None: ...

    with pytest.raises(
        TypeError, match=r"^CacheBackend got an unexpected keyword argument 'expire_after': did you mean 'ttl'\?$"
    ):
        Shelf(expire_after=60)


def test_other_errors_are_left_alone() -> None:
    """A `TypeError` about something else is the one that was raised, with its traceback."""
    with pytest.raises(TypeError, match=r"max_attempts must be a whole number of at least 1, not '3'") as raised:
        RetryConfig("3")  # type: ignore[arg-type]
    assert raised.traceback[-1].name == "whole"
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'path'"):
        SQLiteCache()  # type: ignore[call-arg]

    @explained()
    def forwarding(a: int = 1, **others: Any) -> None:
        raise TypeError("something else")

    @explained(options=forwarding)
    def of_anything(**others: Any) -> None:
        forwarding(**others)

    for function in (forwarding, of_anything):
        with pytest.raises(TypeError, match=r"^something else$"):
            function(b=2)


def test_what_is_seen_of_them() -> None:
    """Signatures, names and documents are those of the classes; copies and pickles are as ever."""
    assert str(inspect.signature(InMemoryCache)).startswith("(ttl: 'float | None' = None, max_size: 'int' = 1000, *, max_bytes:")
    assert list(inspect.signature(RateWiseClient).parameters)[:2] == ["base_url", "max_retries"]
    assert inspect.signature(RateWiseClient).parameters["options"].kind is inspect.Parameter.VAR_KEYWORD
    assert options.__name__ == "options"
    assert options.__doc__
    assert RetryConfig.__init__.__qualname__ == "RetryConfig.__init__"
    backoff = ExponentialBackoff(multiplier=3)
    assert pickle.loads(pickle.dumps(backoff)) == copy.deepcopy(backoff) == backoff
    assert pickle.loads(pickle.dumps(options)) is options
    assert repr(copy.copy(RetryConfig(2))).startswith("RetryConfig(max_attempts=2")
    with pytest.warns(UserWarning, match="retries twice") as warned:
        ratewise.RetryTransport(ratewise.RetryTransport(httpx.MockTransport(lambda request: httpx.Response(200))))
    assert warned[0].filename == __file__


def test_names_of_others_are_not_ours() -> None:
    """What is called otherwise elsewhere is a setting of ours, and in order."""
    known: set[str] = set()
    for name in CALLED:
        known |= inspect.signature(getattr(ratewise, name)).parameters.keys()
    for theirs_too in (httpx.Client, httpx.Client.request, httpx.Limits, httpx.Timeout):
        known |= inspect.signature(theirs_too).parameters.keys()
    for ours, theirs in OTHER_NAMES.items():
        assert ours in known, ours
        assert theirs.split() == sorted(set(theirs.split())), ours
        assert ours not in theirs.split()

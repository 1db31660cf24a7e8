"""The subjects: one request to a server that answers at once, bare and through every layer and peer."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from email.utils import formatdate
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import httpx
import httpx2

import ratewise
import ratewise.httpx2
from ratewise import CircuitBreaker, Clock, InMemoryCache, LogConfig, RateLimiter, RetryConfig
from ratewise.logging import layer
from ratewise.logging.setup import DATE_FORMAT, FORMAT
from ratewise.testing import AsyncScriptedTransport, FakeClock, ScriptedTransport

from . import server

BASE_URL = "https://api.example.com"
PATH = "/v1/items?page=2"
KB, MB = 1024, 1024 * 1024
REQUEST_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "User-Agent": "python-httpx",
    "Authorization": "Bearer token",
}
RESPONSE_HEADERS = [
    (b"Date", b"Mon, 01 Jan 2024 00:00:00 GMT"),
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"Content-Length", b"2"),
    (b"Connection", b"keep-alive"),
    (b"Cache-Control", b"private, max-age=0, must-revalidate"),
    (b"ETag", b'W/"5c1f2b7d9e"'),
    (b"Vary", b"Accept, Accept-Encoding"),
    (b"X-RateLimit-Limit", b"5000"),
    (b"X-RateLimit-Remaining", b"4987"),
    (b"X-Request-Id", b"7f8e3c52-9d7c-4a41-b0a8-2f8f4f0f6c11"),
]


SILENT_HEADERS = [(name, value) for name, value in RESPONSE_HEADERS if b"RateLimit" not in name]
"""Headers of a server that sends no rate-limit fields."""
LIMITED_HEADERS = [*RESPONSE_HEADERS, (b"X-RateLimit-Reset", b"30")]


class NullTransport(httpx.BaseTransport):
    def __init__(self, headers: Any = RESPONSE_HEADERS) -> None:
        self._headers = headers

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self._headers, stream=httpx.ByteStream(b"ok"))


class AsyncNullTransport(httpx.AsyncBaseTransport):
    def __init__(self, headers: Any = RESPONSE_HEADERS) -> None:
        self._headers = headers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self._headers, stream=httpx.ByteStream(b"ok"))


class NullTransport2(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=RESPONSE_HEADERS, stream=httpx2.ByteStream(b"ok"))


class AsyncNullTransport2(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers=RESPONSE_HEADERS, stream=httpx2.ByteStream(b"ok"))


Call = Callable[[], Any]
Make = Callable[[], Call]
Group = Mapping[str, Make]


def _transport(
    around: Callable[[Any], Any] = lambda null: null, asynchronous: bool = False, headers: Any = RESPONSE_HEADERS
) -> Call:
    null = AsyncNullTransport(headers) if asynchronous else NullTransport(headers)
    handle = getattr(around(null), "handle_async_request" if asynchronous else "handle_request")
    return partial(handle, httpx.Request("GET", BASE_URL + PATH, headers=REQUEST_HEADERS))


def _client(kind: Callable[..., Any], null: Callable[[], Any]) -> Call:
    return partial(kind(base_url=BASE_URL, transport=null()).get, PATH)


def _wire(around: Callable[[Any], Any] = lambda wire: wire) -> Call:
    """A request over a socket, including its body."""
    handle = around(httpx.HTTPTransport()).handle_request
    request = httpx.Request("GET", server.url() + PATH, headers=REQUEST_HEADERS)

    def call() -> None:
        response = handle(request)
        response.read()
        response.close()

    return call


def _rated(transport: Any) -> Any:
    """A circuit breaker with a sliding window."""
    return ratewise.CircuitBreakerTransport(transport, CircuitBreaker(failure_rate=0.5))


def _stated(transport: Any) -> Any:
    """A rate limiter with a stated limit that is never reached."""
    return ratewise.RateLimitTransport(transport, RateLimiter(rate=1e9, burst=1000))


def _retried(kind: Callable[..., Any], scripted: Callable[..., Any], clock: Clock) -> Call:
    """A request that is answered with 503 and then with 200, as in the tests of users."""
    wire = scripted(otherwise=lambda request: 503 if len(wire.requests) % 2 else 200)
    handle = kind(wire, RetryConfig(budget=False), clock=clock)
    handle = getattr(handle, "handle_async_request", None) or handle.handle_request

    def call() -> Any:
        wire.requests.clear()
        return handle(httpx.Request("GET", BASE_URL + PATH))

    return call


def _at_once(kind: Callable[..., Any], scripted: Callable[..., Any]) -> Call:
    """The same without the 503."""
    handle = kind(scripted(otherwise=200))
    handle = getattr(handle, "handle_async_request", None) or handle.handle_request
    return lambda: handle(httpx.Request("GET", BASE_URL + PATH))


def _guarded(guard: Callable[[Call], Call]) -> Call:
    """A null transport inside a circuit breaker that knows nothing of HTTP."""
    return guard(_transport())


def _pybreaker(call: Call) -> Call:
    return partial(import_module("pybreaker").CircuitBreaker().call, call)


def _circuitbreaker(call: Call) -> Call:
    guarded: Call = import_module("circuitbreaker").CircuitBreaker(name="api")(call)
    return guarded


def _purgatory(call: Call) -> Call:
    factory = import_module("purgatory").SyncCircuitBreakerFactory()

    def guarded() -> None:
        with factory.get_breaker("api.example.com"):
            call()

    return guarded


def _retries(null: Any) -> Any:
    return import_module("httpx_retries").RetryTransport(null)


def _tenacious(kind: str, null: Any) -> Any:
    return getattr(import_module("httpx_tenacity"), kind).create(transport=null)


def _private(size: int) -> Any:
    """Header fields of a response that a private cache may store."""
    said = {
        b"Cache-Control": b"private, max-age=3600",
        b"Content-Length": b"%d" % size,
        b"Date": formatdate(usegmt=True).encode(),
    }
    return [(name, said.get(name, value)) for name, value in RESPONSE_HEADERS]


class ContentTransport(httpx.BaseTransport):
    """A transport that answers with a storable body in memory, as a mock does."""

    def __init__(self, size: int) -> None:
        self._headers, self._body = _private(size), bytes(size)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self._headers, content=self._body)


class AsyncContentTransport(ContentTransport, httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


_ON = logging.Logger("ratewise", logging.INFO)
"""The RateWise logger as `setup_logging` configures it, writing to the null device."""
_NOWHERE = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
_NOWHERE.setFormatter(logging.Formatter(FORMAT, DATE_FORMAT))
_ON.addHandler(_NOWHERE)


def _logged(kind: Callable[..., Any]) -> Call:
    """A transport with logging on, for this subject alone."""
    handle = _transport(lambda null: kind(null, LogConfig(mask_style="partial", redact_patterns=[r"token=[\w-]+"])))
    off = layer.logger

    def call() -> Any:
        layer.logger = _ON
        try:
            return handle()
        finally:
            layer.logger = off

    return call


def _two_lines() -> Call:
    """The transport without RateWise's log, and the same two lines written by the standard library."""
    handle = _transport(ratewise.LayerTransport)

    def call() -> None:
        _ON.info("Request: %s %s", "GET", BASE_URL + PATH)
        handle()
        _ON.info("Response: %d (%.2fs)", 200, 0.001)

    return call


def _content(size: int, around: Callable[[Any], Any] = lambda wire: wire, asynchronous: bool = False) -> Call:
    """A request whose response has a body of this many bytes; behind a cache all but the first are hits."""
    wire = (AsyncContentTransport if asynchronous else ContentTransport)(size)
    handle = getattr(around(wire), "handle_async_request" if asynchronous else "handle_request")
    return partial(handle, httpx.Request("GET", BASE_URL + PATH, headers=REQUEST_HEADERS))


def _missing(size: int) -> Call:
    """The same with a store that never has the response."""
    cache = InMemoryCache()
    handle = _content(size, lambda wire: ratewise.CacheTransport(wire, cache))

    def call() -> None:
        cache.clear()
        handle()

    return call


def _in_file(kind: Callable[..., Any], wire: Any) -> Any:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return kind(wire, ratewise.SQLiteCache(Path(folder) / "responses.db"))


def _hishel(kind: str, storage: str, wire: Any) -> Any:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    stored = getattr(import_module("hishel"), storage)(database_path=Path(folder) / "hishel.db")
    return getattr(import_module("hishel.httpx"), kind)(wire, stored)


def _redis_get(size: int) -> Call:
    client = import_module("redis").from_url(server.redis_url())
    client.set("ratewise-benchmark", bytes(size))
    return partial(client.get, "ratewise-benchmark")


def _in_redis(wire: Any) -> Any:
    return ratewise.CacheTransport(wire, ratewise.RedisCache(server.redis_url(), namespace="benchmark"))


# The first subject of a group is the bare one that the others are compared with. A peer that is not installed raises ImportError.
WORLDS: Mapping[str, tuple[Group, ...]] = {
    "sync": (
        {
            "NullTransport": _transport,
            "LayerTransport": partial(_transport, ratewise.LayerTransport),
            "RetryTransport": partial(_transport, ratewise.RetryTransport),
            "RateWiseTransport": partial(_transport, ratewise.RateWiseTransport),
            "CircuitBreakerTransport": partial(_transport, ratewise.CircuitBreakerTransport),
            "CircuitBreakerTransport, a window": partial(_transport, _rated),
            "BulkheadTransport": partial(_transport, ratewise.BulkheadTransport),
            "LoggingTransport, off": partial(_transport, ratewise.LoggingTransport),
            "httpx_retries.RetryTransport": partial(_transport, _retries),
            "httpx_tenacity.TenaciousTransport": partial(_transport, partial(_tenacious, "TenaciousTransport")),
            "pybreaker": partial(_guarded, _pybreaker),
            "circuitbreaker": partial(_guarded, _circuitbreaker),
            "purgatory": partial(_guarded, _purgatory),
        },
        {
            "LayerTransport, two plain log lines": _two_lines,
            "LoggingTransport, on": partial(_logged, ratewise.LoggingTransport),
        },
        {
            "NullTransport, no limits": partial(_transport, headers=SILENT_HEADERS),
            "LayerTransport, no limits": partial(_transport, ratewise.LayerTransport, headers=SILENT_HEADERS),
            "RateLimitTransport, no limits": partial(_transport, ratewise.RateLimitTransport, headers=SILENT_HEADERS),
            "RateLimitTransport, X-RateLimit-*": partial(_transport, ratewise.RateLimitTransport, headers=LIMITED_HEADERS),
            "RateLimitTransport, rate=1e9": partial(_transport, _stated, headers=SILENT_HEADERS),
        },
        {
            "ScriptedTransport, 200": partial(_at_once, ratewise.RetryTransport, ScriptedTransport),
            "ScriptedTransport, a retry, FakeClock": partial(
                _retried, ratewise.RetryTransport, ScriptedTransport, FakeClock(auto=True)
            ),
        },
        {
            "HTTPTransport, a socket": _wire,
            "RetryTransport, a socket": partial(_wire, ratewise.RetryTransport),
            "CircuitBreakerTransport, a socket": partial(_wire, ratewise.CircuitBreakerTransport),
            "CircuitBreakerTransport, window, socket": partial(_wire, _rated),
            "BulkheadTransport, a socket": partial(_wire, ratewise.BulkheadTransport),
            "RateLimitTransport, a socket": partial(_wire, ratewise.RateLimitTransport),
        },
        {
            "httpx.Response of 1 KB": partial(_content, KB),
            "CacheTransport, hit in memory, 1 KB": partial(_content, KB, ratewise.CacheTransport),
            "CacheTransport, miss, 1 KB": partial(_missing, KB),
            "CacheTransport, hit in SQLite, 1 KB": partial(_content, KB, partial(_in_file, ratewise.CacheTransport)),
            "hishel, hit in SQLite, 1 KB": partial(_content, KB, partial(_hishel, "CacheTransport", "SqliteStorage")),
        },
        {
            "httpx.Response of 1 MB": partial(_content, MB),
            "CacheTransport, hit in memory, 1 MB": partial(_content, MB, ratewise.CacheTransport),
        },
        {
            "redis-py GET of 1 KB": partial(_redis_get, KB),
            "CacheTransport, hit in Redis, 1 KB": partial(_content, KB, _in_redis),
        },
        {
            "httpx.Client.get": partial(_client, httpx.Client, NullTransport),
            "RateWiseClient.get": partial(_client, ratewise.RateWiseClient, NullTransport),
        },
        {
            "httpx2.Client.get": partial(_client, httpx2.Client, NullTransport2),
            "RateWiseClient.get (httpx2)": partial(_client, ratewise.httpx2.RateWiseClient, NullTransport2),
        },
    ),
    "asyncio": (
        {
            "AsyncNullTransport": partial(_transport, asynchronous=True),
            "AsyncLayerTransport": partial(_transport, ratewise.AsyncLayerTransport, True),
            "AsyncRetryTransport": partial(_transport, ratewise.AsyncRetryTransport, True),
            "AsyncRateWiseTransport": partial(_transport, ratewise.AsyncRateWiseTransport, True),
            "AsyncCircuitBreakerTransport": partial(_transport, ratewise.AsyncCircuitBreakerTransport, True),
            "AsyncBulkheadTransport": partial(_transport, ratewise.AsyncBulkheadTransport, True),
            "AsyncLoggingTransport, off": partial(_transport, ratewise.AsyncLoggingTransport, True),
            "httpx_retries.RetryTransport (async)": partial(_transport, _retries, True),
            "httpx_tenacity.AsyncTenaciousTransport": partial(
                _transport, partial(_tenacious, "AsyncTenaciousTransport"), asynchronous=True
            ),
        },
        {
            "AsyncNullTransport, no limits": partial(_transport, asynchronous=True, headers=SILENT_HEADERS),
            "AsyncRateLimitTransport, no limits": partial(
                _transport, ratewise.AsyncRateLimitTransport, True, headers=SILENT_HEADERS
            ),
            "AsyncRateLimitTransport, X-RateLimit-*": partial(
                _transport, ratewise.AsyncRateLimitTransport, True, headers=LIMITED_HEADERS
            ),
        },
        {
            "AsyncScriptedTransport, 200": partial(_at_once, ratewise.AsyncRetryTransport, AsyncScriptedTransport),
            "AsyncScriptedTransport, a retry, FakeClock": partial(
                _retried, ratewise.AsyncRetryTransport, AsyncScriptedTransport, FakeClock(auto=True)
            ),
        },
        {
            "httpx.Response of 1 KB (async)": partial(_content, KB, asynchronous=True),
            "AsyncCacheTransport, hit in memory, 1 KB": partial(_content, KB, ratewise.AsyncCacheTransport, True),
            "AsyncCacheTransport, hit in SQLite, 1 KB": partial(
                _content, KB, partial(_in_file, ratewise.AsyncCacheTransport), True
            ),
            "hishel, hit in SQLite, 1 KB (async)": partial(
                _content, KB, partial(_hishel, "AsyncCacheTransport", "AsyncSqliteStorage"), True
            ),
        },
        {
            "httpx.AsyncClient.get": partial(_client, httpx.AsyncClient, AsyncNullTransport),
            "AsyncRateWiseClient.get": partial(_client, ratewise.AsyncRateWiseClient, AsyncNullTransport),
        },
        {
            "httpx2.AsyncClient.get": partial(_client, httpx2.AsyncClient, AsyncNullTransport2),
            "AsyncRateWiseClient.get (httpx2)": partial(_client, ratewise.httpx2.AsyncRateWiseClient, AsyncNullTransport2),
        },
    ),
}


async def run_sync(call: Call, times: int) -> None:
    for _ in range(times):
        call()


async def run_asyncio(call: Call, times: int) -> None:
    for _ in range(times):
        await call()


RUN = {"sync": run_sync, "asyncio": run_asyncio}

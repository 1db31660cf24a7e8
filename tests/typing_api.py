"""Code that users write with RateWise, for both type checkers. It is never run."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Callable

import httpx
import httpx2

import ratewise.httpx2.testing
from ratewise import (
    AsyncCacheTransport,
    AsyncLayerTransport,
    AsyncLoggingTransport,
    AsyncRateLimitTransport,
    AsyncRateWiseClient,
    AsyncRateWiseTransport,
    AsyncRetryTransport,
    Bulkhead,
    BulkheadFull,
    BulkheadTransport,
    CacheBackend,
    CacheConfig,
    CacheStats,
    CacheTransport,
    Call,
    CircuitBreaker,
    CircuitBreakerOpen,
    CircuitBreakerTransport,
    ExponentialBackoff,
    InMemoryCache,
    LayerTransport,
    LogConfig,
    LoggingTransport,
    RateLimiter,
    RateLimitExceeded,
    RateLimitTransport,
    RateWiseClient,
    RateWiseTransport,
    RedactionFilter,
    RedactionProcessor,
    RedisCache,
    RetryConfig,
    RetryDecision,
    RetryTransport,
    SQLiteCache,
    TooManyRequests,
    WaitTooLong,
    exchange_of,
    install_redaction,
    options,
    setup_logging,
)
from ratewise.circuit_breaker import CircuitState
from ratewise.layer import Q, R
from ratewise.testing import (
    FAMILIES,
    AsyncFaultTransport,
    AsyncScriptedTransport,
    ConcurrencyLimit,
    FakeClock,
    Fault,
    FaultServer,
    FaultTransport,
    FixedWindow,
    Limit,
    LimitedServer,
    LocalServer,
    Quota,
    Received,
    Reply,
    ScriptedTransport,
    SlidingWindow,
    TokenBucket,
    delayed,
    describe,
    no_waiting,
    retries_off,
)


class AnyLibrary:
    """A layer for either HTTP library: generic in request and response."""

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        value: int = await call.via(lambda x: x, self.double, 2)
        await call.sleep(value)
        return await call.send(call.http.with_header(request, "X-A", "1"))

    async def double(self, x: int) -> int:
        return 2 * x


class HttpxOnly:
    """A layer for httpx alone, which may use all of its types."""

    async def handle(self, request: httpx.Request, call: Call[httpx.Request, httpx.Response]) -> httpx.Response:
        response = await call.send(httpx.Request("GET", request.url.join("/other")))
        response.raise_for_status()
        return response


class Httpx2Only:
    """A layer for httpx2 alone."""

    async def handle(self, request: httpx2.Request, call: Call[httpx2.Request, httpx2.Response]) -> httpx2.Response:
        return await call.send(httpx2.Request("GET", request.url.join("/other")))


def decide(response: httpx.Response | None, exception: Exception | None, attempt: int) -> RetryDecision | None:
    return RetryDecision(True, delay=1.5) if response is not None and response.is_server_error else None


def changed(key: tuple[str, str, int | None], old: CircuitState, new: CircuitState) -> None: ...


def guarded() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, failure_on=lambda response, error: None, on_state_change=changed)
    transport: httpx.BaseTransport = CircuitBreakerTransport(BulkheadTransport(bulkhead=Bulkhead(5)), breaker)
    try:
        httpx.Client(transport=transport).get("https://api.example.com")
    except CircuitBreakerOpen as error:
        after: float | None = error.retry_after
        raise SystemExit([after, error.failure_count, error.request.url, breaker.get_state()["state"]]) from error
    except BulkheadFull as error:
        raise SystemExit(error.waited) from error


def logged() -> None:
    config = LogConfig(level="INFO", redact_headers=["Cookie"], redact_patterns=[r"token=[\w-]+"], mask_style="partial")
    transport: httpx.BaseTransport = LoggingTransport(RetryTransport(), config)
    asynchronous: httpx.AsyncBaseTransport = AsyncLoggingTransport(config=config)
    handler: logging.Handler = setup_logging("DEBUG", sys.stderr, ids=True)
    handler.addFilter(RedactionFilter(config.redactor))
    undo: Callable[[], None] = install_redaction()
    undo()
    with install_redaction(config.redactor):
        client = RateWiseClient("https://api.example.com", transport=transport, log_config=config, redact_httpx_logs=False)
        call: str = exchange_of(client.get("/")).id
    event: MutableMapping[str, object] = RedactionProcessor()(None, "info", {"event": "x"})
    raise SystemExit([asynchronous, call, event])


def limited() -> None:
    limiter = RateLimiter(rate=100, per=60, burst=10, concurrency=8, key=lambda request: request.url.host)
    transport: httpx.BaseTransport = RateLimitTransport(httpx.HTTPTransport(), limiter)
    asynchronous: httpx.AsyncBaseTransport = AsyncRateLimitTransport(rate_limiter=limiter)
    kept: str = RateLimiter(cautious=True).snapshot()
    limiter.restore(kept)
    own: RateLimiter | None = RateWiseClient("https://api.example.com", rate_limiter=True).rate_limiter
    try:
        RateWiseClient("https://api.example.com", transport=transport, rate_limiter=None).get("/")
    except WaitTooLong as error:
        after: float | None = error.retry_after
        raise SystemExit([after, error.attempts, error.request.url, asynchronous, own]) from error


def sync() -> None:
    config = RetryConfig(3, retry_on_status={429, 503}, jitter="equal", decide=decide)
    swapped: list[httpx.Client] = [
        httpx.Client(),
        RateWiseClient(),
        RateWiseClient(None, timeout=5.0),
        RateWiseClient(base_url=""),
    ]
    assert swapped
    transport: httpx.BaseTransport = LayerTransport(RetryTransport(httpx.HTTPTransport(), config), AnyLibrary(), HttpxOnly())
    httpx.Client(transport=RateWiseTransport(transport, max_retries=2))
    with RateWiseClient(
        "https://api.example.com",
        backoff_strategy=ExponentialBackoff(jitter=True),
        verify_ssl=False,
        http2=True,
        proxy="http://localhost:3128",
        mounts={"http://": httpx.HTTPTransport(), "all://": None},
        event_hooks={"response": [lambda response: None]},
        follow_redirects=True,
    ) as client:
        plain: httpx.Client = client
        response: httpx.Response = plain.get("/users", extensions=options(retry=False))
        delays: list[float] = client.get_retry_delays()
        total: int = client.get_stats().total_requests
        try:
            client.get("/")
        except TooManyRequests as error:
            status: int = error.response.status_code
            raise SystemExit(status) from error
        except RateLimitExceeded as error:
            after: float | None = error.retry_after
            last: httpx.Response | None = error.response
            raise SystemExit([response, delays, total, after, last, error.request.url]) from error


async def asynchronous() -> None:
    transport: httpx.AsyncBaseTransport = AsyncLayerTransport(AsyncRetryTransport(), AnyLibrary(), HttpxOnly())
    httpx.AsyncClient(transport=AsyncRateWiseTransport(transport))
    swapped: list[httpx.AsyncClient] = [httpx.AsyncClient(), AsyncRateWiseClient(), AsyncRateWiseClient(None)]
    await swapped[1].aclose()
    await AsyncRateWiseClient().close()
    async with AsyncRateWiseClient(httpx.URL("https://api.example.com"), limits=httpx.Limits(max_connections=1)) as client:
        response: httpx.Response = await client.get("/users")
        response.raise_for_status()


async def with_httpx2() -> None:
    """The same names, rules and layers for httpx2."""
    config = RetryConfig(3)
    transport: httpx2.BaseTransport = ratewise.httpx2.RetryTransport(httpx2.HTTPTransport(), config)
    layered = ratewise.httpx2.LayerTransport(ratewise.httpx2.RateWiseTransport(transport), AnyLibrary(), Httpx2Only())
    httpx2.Client(transport=layered)
    with ratewise.httpx2.RateWiseClient("https://api.example.com", limits=httpx2.Limits(max_connections=1)) as client:
        plain: httpx2.Client = client
        try:
            response: httpx2.Response = plain.get("/users", extensions=options(retry=False))
            response.raise_for_status()
        except ratewise.httpx2.TooManyRequests as error:
            raise SystemExit(error.response.status_code) from error
        except ratewise.exceptions.RateLimitExceeded as error:  # of either library
            raise SystemExit(error.attempts) from error
    async with ratewise.httpx2.AsyncRateWiseClient("https://api.example.com") as asynchronous:
        httpx2.AsyncClient(transport=ratewise.httpx2.AsyncRetryTransport(httpx2.AsyncHTTPTransport(), config))
        again: httpx2.Response = await asynchronous.query("/users")
        again.raise_for_status()


def refused() -> None:
    """Each line is an error for both checkers: an unused ignore comment is an error too."""
    RateWiseClient("https://x.example", max_retrys=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    RateWiseClient("https://x.example", http2="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryTransport(httpx.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncRetryTransport(httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    RetryConfig(decide=lambda response: True)  # type: ignore[misc, arg-type]  # pyright: ignore[reportArgumentType]
    RetryTransport(httpx2.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    httpx.Client(transport=ratewise.httpx2.RetryTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ratewise.httpx2.RetryTransport(httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ratewise.httpx2.AsyncRateWiseTransport(AsyncRetryTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ratewise.httpx2.RateWiseClient("https://x.example", transport=RetryTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Shelf(CacheBackend):
    """A user's own cache backend."""

    def __init__(self) -> None:
        super().__init__(ttl=60)
        self._values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self._values[key] = value

    def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def clear(self) -> None:
        self._values.clear()


async def scripted() -> None:
    """Scripted transports of both libraries, with steps and rules."""

    def step(request: httpx.Request) -> int:
        return 200 if request.content else 503

    async def astep(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=request.content)

    rules = {"GET /users": 503, "/orders/*": 201}
    wire = ScriptedTransport(503, httpx.ConnectError("no"), httpx.ReadError, delayed(1.5, 200), Reply(), otherwise=[200, step])
    ruled: httpx.BaseTransport = ScriptedTransport({"/a": [503, httpx.Response(200)], step: Reply()}, 200, clock=ratewise.Clock())
    RateWiseClient("https://api.example.com", transport=wire).post("/users")
    RetryTransport(ScriptedTransport(rules, otherwise=httpx.Response(200)))
    last: httpx.Request = wire.requests[-1]
    wire.assert_sent("GET /users", ("POST /orders", {"item": 7}), lambda request: request.url.path == "/a", others=True)
    asynchronous = ratewise.httpx2.testing.AsyncScriptedTransport(503, httpx2.Response(200), astep)
    await httpx2.AsyncClient(transport=asynchronous).get("https://api.example.com")
    received: httpx2.Request = asynchronous.requests[0]
    httpx.AsyncClient(transport=AsyncScriptedTransport(200))
    httpx.Client(transport=AsyncScriptedTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ScriptedTransport("503")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ScriptedTransport(httpx2.Response(200))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    raise SystemExit([ruled, last, received, wire.closed, wire.steps])


def caches() -> None:
    """Each store is accepted as a cache."""
    memory = InMemoryCache(ttl=300, max_size=1000)
    client = RateWiseClient("https://api.example.com", cache=memory, cache_config=CacheConfig(stale_if_error=60))
    stats: CacheStats = memory.get_stats()
    rate: float = stats.hit_rate
    assert rate
    assert client.cache
    for cache in (memory, SQLiteCache("responses.db"), RedisCache("redis://localhost", ttl=600), Shelf()):
        CacheTransport(httpx.HTTPTransport(), cache)
        ratewise.httpx2.CacheTransport(httpx2.HTTPTransport(), cache)
        AsyncCacheTransport(httpx.AsyncHTTPTransport(), cache, CacheConfig("force"))
    client.get("/", extensions=options(cache="refresh", cache_ttl=5))


@no_waiting()
def quick(client: RateWiseClient) -> int:
    return client.get("/").status_code


async def virtual(client: AsyncRateWiseClient, clock: FakeClock) -> float:
    with clock.installed() as same, no_waiting(), retries_off():
        await client.get("/")
        await same.aadvance(60)
        await same.await_for(2, timeout=1.0)
    numbers: list[int] = clock.run(lambda: 1, lambda: 2)
    clock.advance(numbers[0])
    layers: list[str] = [layer.name for layer in describe(client).layers]
    assert describe(client)["RetryLayer"]["max_attempts"] == quick(RateWiseClient(clock=clock)) == len(layers)
    RateLimiter(clock=clock)
    return clock.elapsed


def faulty(staging: bool) -> None:
    faults = [Fault("garble", rate=0.1, when="GET /reports/*"), Fault("hang", when=lambda request: request.method == "POST")]
    transport = FaultTransport(faults={"refuse": 0.02, "503:2": 0.05} if staging else (), seed=7)
    transport.faults = faults
    shown: list[tuple[str, str, str]] = [(fault, method, url) for fault, method, url in transport.injected]
    RateWiseClient(transport=transport, default_headers=dict.fromkeys(shown[0], ""))
    AsyncRateWiseClient(transport=AsyncFaultTransport(httpx.AsyncHTTPTransport(), faults))
    ratewise.httpx2.RateWiseClient(transport=ratewise.httpx2.testing.FaultTransport(None, {"truncate": 0.1}))


def served() -> None:
    def answer(received: Received) -> Reply:
        return Reply(200, {"X-Seen": received.header("x-a") or ""}, received.body)

    with LocalServer(answer, tls=True, http2=True) as server:
        httpx.get(server.url, verify=server.verify)
    with FaultServer({"/users": "503 disconnect 200"}) as faults:
        keys: list[str | None] = [received.header("Idempotency-Key") for received in faults.requests["/users"]]
        httpx.get(f"{faults.url}/users", headers={"X-Seen": str(len(keys))})


def left(quota: Quota) -> dict[str, str]:
    return {"X-Left": str(quota.remaining)}


def short(quota: Quota) -> Reply:
    return Reply(418, (("X-Left", str(quota.remaining)),), b"no")


def account(received: Received) -> str:
    return received.header("x-account") or ""


def limited_servers() -> None:
    with LimitedServer(FixedWindow(10, per=1)) as server:
        httpx.get(server.url)
        figures: tuple[int, int, float, float] = server.accepted, server.refused, server.fastest(20), server.efficiency
        statuses: list[int] = [entry.status for entry in server.log]
    limits: dict[str, Limit] = {"/search": SlidingWindow(10, 1, changes=[(5, 20)]), "*": TokenBucket(5, 1, penalty=True)}
    LimitedServer(limits, tells=left, by=account, latency=0.1, refusal_latency=0.0, refusal=503, outages=[(1, 2)])
    LimitedServer(ConcurrencyLimit(8, takes=0.2, shuts_out=5), tells=short, by="credential", sheds=0.01, seed=1)
    LimitedServer({"*": FixedWindow(1, 1, anchor="wall")}, tells=None, date_skew=-3)
    with LimitedServer.in_process(FixedWindow(10, per=1), tells="openai") as remote:
        print(remote.url, figures, statuses, FAMILIES["openai"])  # noqa: T201

# Generated from ratewise/_httpx by `nox -s twin`: change the files there.
"""Transports for httpx2: one class for each capability, and one for the whole stack."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpx2

from .._adapter.chain import given_or_new
from .._core.clock import Clock
from .._keywords import explained
from .._stack import Settings, assemble
from ..bulkhead.bulkhead import Bulkhead
from ..bulkhead.layer import BulkheadLayer
from ..circuit_breaker.breaker import CircuitBreaker
from ..circuit_breaker.layer import CircuitBreakerLayer, CircuitRecheckLayer
from ..rate_limit.layer import RateLimitLayer
from ..rate_limit.limiter import RateLimiter
from ..retry.backoff import Backoff
from ..retry.config import RetryConfig
from ..retry.layer import RetryLayer
from .base import AsyncLayerTransport, LayerTransport

if TYPE_CHECKING:
    from typing import TypedDict

    from httpx2._types import CertTypes, ProxyTypes
    from typing_extensions import Unpack

    from ..cache.config import CacheConfig
    from ..cache.stores.base import Cache
    from ..logging.config import LogConfig

    class TransportOptions(TypedDict, total=False):
        """The keywords of `httpx2.HTTPTransport`."""

        verify: ssl.SSLContext | str | bool
        cert: CertTypes | None
        trust_env: bool
        http1: bool
        http2: bool
        limits: httpx2.Limits
        proxy: ProxyTypes | None
        uds: str | None
        local_address: str | None
        retries: int
        socket_options: Any


_sync = explained(transport=httpx2.HTTPTransport, client=httpx2.Client)
_asynchronous = explained(transport=httpx2.AsyncHTTPTransport, client=httpx2.AsyncClient)


@_sync
class RetryTransport(LayerTransport):
    """Retries around a transport (a new `httpx2.HTTPTransport` if none is given), as `config` says."""

    def __init__(
        self, transport: httpx2.BaseTransport | None = None, config: RetryConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(httpx2.HTTPTransport() if transport is None else transport, RetryLayer(config), clock=clock)


@_asynchronous
class AsyncRetryTransport(AsyncLayerTransport):
    """Retries around a transport (a new `httpx2.AsyncHTTPTransport` if none is given), as `config` says."""

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        config: RetryConfig | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(httpx2.AsyncHTTPTransport() if transport is None else transport, RetryLayer(config), clock=clock)


@_sync
class CacheTransport(LayerTransport):
    """A cache around a transport (a new `httpx2.HTTPTransport` if none is given): `cache`, or a new `InMemoryCache`."""

    def __init__(
        self,
        transport: httpx2.BaseTransport | None = None,
        cache: Cache | None = None,
        config: CacheConfig | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        from ..cache.layer import CacheLayer  # only who uses it loads it

        super().__init__(httpx2.HTTPTransport() if transport is None else transport, CacheLayer(cache, config), clock=clock)


@_asynchronous
class AsyncCacheTransport(AsyncLayerTransport):
    """A cache around a transport (a new `httpx2.AsyncHTTPTransport` if none is given): `cache`, or a new `InMemoryCache`."""

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        cache: Cache | None = None,
        config: CacheConfig | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        from ..cache.layer import CacheLayer  # as above

        super().__init__(httpx2.AsyncHTTPTransport() if transport is None else transport, CacheLayer(cache, config), clock=clock)


@_sync
class CircuitBreakerTransport(LayerTransport):
    """A circuit breaker around a transport (a new `httpx2.HTTPTransport` if none is given): `circuit_breaker`, or a new one."""

    def __init__(
        self,
        transport: httpx2.BaseTransport | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        given = httpx2.HTTPTransport() if transport is None else transport
        layer = CircuitBreakerLayer(circuit_breaker)
        super().__init__(given, layer, CircuitRecheckLayer(layer.circuit_breaker), clock=clock)


@_asynchronous
class AsyncCircuitBreakerTransport(AsyncLayerTransport):
    """A circuit breaker around a transport (a new `httpx2.AsyncHTTPTransport` if None): `circuit_breaker`, or a new one."""

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        given = httpx2.AsyncHTTPTransport() if transport is None else transport
        layer = CircuitBreakerLayer(circuit_breaker)
        super().__init__(given, layer, CircuitRecheckLayer(layer.circuit_breaker), clock=clock)


@_sync
class RateLimitTransport(LayerTransport):
    """A rate limiter around a transport (a new `httpx2.HTTPTransport` if none is given): `rate_limiter`, or a new one."""

    def __init__(
        self,
        transport: httpx2.BaseTransport | None = None,
        rate_limiter: RateLimiter | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(httpx2.HTTPTransport() if transport is None else transport, RateLimitLayer(rate_limiter), clock=clock)


@_asynchronous
class AsyncRateLimitTransport(AsyncLayerTransport):
    """A rate limiter around a transport (a new `httpx2.AsyncHTTPTransport` if none is given): `rate_limiter`, or a new one."""

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        rate_limiter: RateLimiter | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        given = httpx2.AsyncHTTPTransport() if transport is None else transport
        super().__init__(given, RateLimitLayer(rate_limiter), clock=clock)


@_sync
class BulkheadTransport(LayerTransport):
    """A bulkhead around a transport (a new `httpx2.HTTPTransport` if none is given): `bulkhead`, or a new one."""

    def __init__(
        self, transport: httpx2.BaseTransport | None = None, bulkhead: Bulkhead | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(httpx2.HTTPTransport() if transport is None else transport, BulkheadLayer(bulkhead), clock=clock)


@_asynchronous
class AsyncBulkheadTransport(AsyncLayerTransport):
    """A bulkhead around a transport (a new `httpx2.AsyncHTTPTransport` if none is given): `bulkhead`, or a new one."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport | None = None, bulkhead: Bulkhead | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(httpx2.AsyncHTTPTransport() if transport is None else transport, BulkheadLayer(bulkhead), clock=clock)


@_sync
class LoggingTransport(LayerTransport):
    """A log around a transport (a new `httpx2.HTTPTransport` if none is given), as `config` says."""

    def __init__(
        self, transport: httpx2.BaseTransport | None = None, config: LogConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        from ..logging.layer import LoggingLayer  # as above

        super().__init__(httpx2.HTTPTransport() if transport is None else transport, LoggingLayer(config), clock=clock)


@_asynchronous
class AsyncLoggingTransport(AsyncLayerTransport):
    """A log around a transport (a new `httpx2.AsyncHTTPTransport` if none is given), as `config` says."""

    def __init__(
        self, transport: httpx2.AsyncBaseTransport | None = None, config: LogConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        from ..logging.layer import LoggingLayer  # as above

        super().__init__(httpx2.AsyncHTTPTransport() if transport is None else transport, LoggingLayer(config), clock=clock)


@explained(options=httpx2.HTTPTransport, client=httpx2.Client)
class RateWiseTransport(LayerTransport):
    """The whole stack as one transport, for a client that you have: `httpx2.Client(transport=RateWiseTransport(max_retries=5))`.

    - `transport`: the transport to put the stack around. None: a new `httpx2.HTTPTransport`, which takes httpx2's own keywords
      (`verify`, `cert`, `http1`, `http2`, `limits`, `proxy`, ...): a client that is given a transport ignores its own.
    - `max_retries`: how often a request is sent again at most; at least 0. `retry_config`: all the retry rules. If both are
      given, `retry_config` wins and `max_retries` is ignored. `backoff_strategy` replaces the backoff of either.
    - `total_timeout`: seconds above 0 for one request, with its waits, attempts and body; then `DeadlineExceeded` is raised.
      None for no limit.
    - `cache`: a store, from which responses are answered where HTTP allows it; `cache_config`: how it behaves.
      `rate_limiter`: sends no faster than the server allows; True for a `RateLimiter()` of its own, None for no limiter.
      `circuit_breaker`: stops sending to a server that fails. `bulkhead`: bounds the requests in flight. Each of these may be
      shared between transports.
    - `log_config`: logs each request and its response, with their secrets masked.
    - `raise_on_rate_limit`: raise `RateLimitExceeded` for a 429 that is left when the retries are over, instead of returning it.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        transport: httpx2.BaseTransport | None = None,
        *,
        max_retries: int = 3,
        retry_config: RetryConfig | None = None,
        backoff_strategy: Backoff | None = None,
        total_timeout: float | None = None,
        cache: Cache | None = None,
        cache_config: CacheConfig | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        rate_limiter: RateLimiter | bool | None = None,
        bulkhead: Bulkhead | None = None,
        log_config: LogConfig | None = None,
        raise_on_rate_limit: bool = False,
        clock: Clock | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        settings = Settings.of(locals())
        layers = assemble(settings, raises=settings.raise_on_rate_limit)
        super().__init__(given_or_new(transport, httpx2.HTTPTransport, options), *layers, clock=clock)


@explained(options=httpx2.AsyncHTTPTransport, client=httpx2.AsyncClient)
class AsyncRateWiseTransport(AsyncLayerTransport):
    """The whole stack as one transport: `httpx2.AsyncClient(transport=AsyncRateWiseTransport(max_retries=5))`.

    Its keywords are those of `RateWiseTransport`. If `max_retries` and `retry_config` are both given, `retry_config` wins and
    `max_retries` is ignored; `backoff_strategy` replaces the backoff of either.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        max_retries: int = 3,
        retry_config: RetryConfig | None = None,
        backoff_strategy: Backoff | None = None,
        total_timeout: float | None = None,
        cache: Cache | None = None,
        cache_config: CacheConfig | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        rate_limiter: RateLimiter | bool | None = None,
        bulkhead: Bulkhead | None = None,
        log_config: LogConfig | None = None,
        raise_on_rate_limit: bool = False,
        clock: Clock | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        settings = Settings.of(locals())
        layers = assemble(settings, raises=settings.raise_on_rate_limit)
        super().__init__(given_or_new(transport, httpx2.AsyncHTTPTransport, options), *layers, clock=clock)

"""Clients for httpx: its own, with the whole stack below them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import httpx

from .._adapter.calls import ClientCalls, adopt, explains_options
from .._core.clock import Clock
from .._core.exchange import state_of
from .._core.step import step
from .._keywords import explained
from .._redaction.masker import DEFAULT_MASKER
from .._stack import Settings, assemble
from .._validation import full_name, refusal, seconds
from ..bulkhead.bulkhead import Bulkhead
from ..circuit_breaker.breaker import CircuitBreaker
from ..rate_limit.limiter import RateLimiter
from ..retry.backoff import Backoff
from ..retry.config import RetryConfig
from .base import AsyncLayerTransport, LayerTransport
from .errors import TooManyRequests

if TYPE_CHECKING:
    from typing import TypedDict

    from httpx._client import UseClientDefault
    from httpx._types import AuthTypes, CertTypes, CookieTypes, HeaderTypes, ProxyTypes, QueryParamTypes, TimeoutTypes
    from typing_extensions import Unpack

    from ..cache.config import CacheConfig
    from ..cache.stores.base import Cache
    from ..logging.config import LogConfig

    class _ClientOptions(TypedDict, total=False):
        auth: AuthTypes | None
        params: QueryParamTypes | None
        headers: HeaderTypes | None
        cookies: CookieTypes | None
        verify: ssl.SSLContext | str | bool
        cert: CertTypes | None
        trust_env: bool
        http1: bool
        http2: bool
        proxy: ProxyTypes | None
        follow_redirects: bool
        limits: httpx.Limits
        max_redirects: int
        event_hooks: Mapping[str, list[Callable[..., Any]]] | None
        default_encoding: str | Callable[[bytes], Any]

    class ClientOptions(_ClientOptions, total=False):
        """The keywords of `httpx.Client`."""

        mounts: Mapping[str, httpx.BaseTransport | None] | None
        transport: httpx.BaseTransport | None

    class AsyncClientOptions(_ClientOptions, total=False):
        """The keywords of `httpx.AsyncClient`."""

        mounts: Mapping[str, httpx.AsyncBaseTransport | None] | None
        transport: httpx.AsyncBaseTransport | None


CONNECT_TIMEOUT = 5.0
"""Seconds to connect, unless `connect_timeout` or an `httpx.Timeout` says otherwise."""


class _ClientTransport(LayerTransport):
    """The stack of a client. A request that an auth flow made by itself belongs to the client's call too."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        adopt(request)
        return super().handle_request(request)


class _AsyncClientTransport(AsyncLayerTransport):
    """The same for an async client."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        adopt(request)
        return await super().handle_async_request(request)


@explains_options
@explained(options=httpx.Client, transport=httpx.HTTPTransport)
class RateWiseClient(ClientCalls, httpx.Client):
    """An `httpx.Client` whose requests go through the whole stack. `RateWiseClient()` takes the place of `httpx.Client()`.

    - `base_url`: an absolute URL, as a string or an `httpx.URL`, to which the paths given to the methods are added; "" or None,
      as in httpx, for none.
    - `max_retries`: how often a request is sent again at most; at least 0. `retry_config`: all the retry rules. If both are
      given, `retry_config` wins and `max_retries` is ignored. `backoff_strategy` replaces the backoff of either.
    - `timeout`: seconds above 0 for each step of each attempt, None for no limit, or an `httpx.Timeout`.
      `connect_timeout`: the same for connecting, unless `timeout` is an `httpx.Timeout`; the shorter of the two counts.
    - `total_timeout`: seconds above 0 for a whole call, with its waits, attempts, redirects and body; then `DeadlineExceeded` is
      raised. None for no limit.
    - `cache`: a store, from which responses are answered where HTTP allows it; `cache_config`: how it behaves.
      `rate_limiter`: sends no faster than the server allows; True for a `RateLimiter()` of its own, None for no limiter.
      `circuit_breaker`: stops sending to a server that fails. `bulkhead`: bounds the requests in flight. Each of these may be
      shared between clients; all but the bulkhead are attributes of the client.
    - `log_config`: logs each request and its response, with their secrets masked. `redact_httpx_logs`: mask what httpx and its
      own libraries log, until the client is closed.
    - `verify_ssl`, `default_headers`: other names for httpx's `verify` and `headers`.
    - `raise_on_rate_limit`: raise `RateLimitExceeded` for a 429 that is left when the retries are over, instead of returning it.
    - All keywords of `httpx.Client`, with the same meaning. The stack is put around a `transport` or `mounts` that are given.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        base_url: httpx.URL | str | None = "",
        *,
        max_retries: int = 3,
        timeout: TimeoutTypes = 30.0,
        total_timeout: float | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        backoff_strategy: Backoff | None = None,
        retry_config: RetryConfig | None = None,
        cache: Cache | None = None,
        cache_config: CacheConfig | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        rate_limiter: RateLimiter | bool | None = True,
        bulkhead: Bulkhead | None = None,
        log_config: LogConfig | None = None,
        redact_httpx_logs: bool = True,
        verify_ssl: ssl.SSLContext | str | bool = True,
        default_headers: HeaderTypes | None = None,
        raise_on_rate_limit: bool = True,
        clock: Clock | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        settings = Settings.of(locals())
        layers = assemble(settings, raises=False)  # `send` raises, so that hooks and cookies see a last 429 as in a plain client
        self._set_up(settings, redact_httpx_logs)
        super().__init__(**_client_options(base_url, timeout, connect_timeout, verify_ssl, default_headers, options))
        self._wrap(lambda transport: _ClientTransport(transport, *layers, clock=clock))

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: AuthTypes | UseClientDefault | None = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: bool | UseClientDefault = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send a request through the stack: as `httpx.Client.send`."""
        response = None
        exchange, token = self._begin(request, stream)
        try:
            response = super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
            if response.status_code == 429 and self._raise_on_rate_limit:
                given, response = response.request, step(self._http.load(response))
                raise TooManyRequests(given, response, state_of(given))
            return response
        except Exception as error:
            cast(Any, error).ratewise = exchange
            raise
        finally:
            self._end(exchange, token, request, response)

    def close(self) -> None:
        """Close the transports: as `httpx.Client.close`."""
        try:
            super().close()
        finally:
            self._unwrap()

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            super().__exit__(exc_type, exc_value, traceback)
        finally:
            self._unwrap()


@explains_options
@explained(options=httpx.AsyncClient, transport=httpx.AsyncHTTPTransport)
class AsyncRateWiseClient(ClientCalls, httpx.AsyncClient):
    """An `httpx.AsyncClient` whose requests go through the whole stack, under asyncio and trio.

    `AsyncRateWiseClient()` takes the place of `httpx.AsyncClient()`. Its keywords are those of `RateWiseClient`, and all of
    `httpx.AsyncClient`. If `max_retries` and `retry_config` are both given, `retry_config` wins and `max_retries` is ignored;
    `backoff_strategy` replaces the backoff of either.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        base_url: httpx.URL | str | None = "",
        *,
        max_retries: int = 3,
        timeout: TimeoutTypes = 30.0,
        total_timeout: float | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        backoff_strategy: Backoff | None = None,
        retry_config: RetryConfig | None = None,
        cache: Cache | None = None,
        cache_config: CacheConfig | None = None,
        circuit_breaker: CircuitBreaker | None = None,
        rate_limiter: RateLimiter | bool | None = True,
        bulkhead: Bulkhead | None = None,
        log_config: LogConfig | None = None,
        redact_httpx_logs: bool = True,
        verify_ssl: ssl.SSLContext | str | bool = True,
        default_headers: HeaderTypes | None = None,
        raise_on_rate_limit: bool = True,
        clock: Clock | None = None,
        **options: Unpack[AsyncClientOptions],
    ) -> None:
        settings = Settings.of(locals())
        layers = assemble(settings, raises=False)  # `send` raises, so that hooks and cookies see a last 429 as in a plain client
        self._set_up(settings, redact_httpx_logs)
        super().__init__(**_client_options(base_url, timeout, connect_timeout, verify_ssl, default_headers, options))
        self._wrap(lambda transport: _AsyncClientTransport(transport, *layers, clock=clock))

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: AuthTypes | UseClientDefault | None = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: bool | UseClientDefault = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send a request through the stack: as `httpx.AsyncClient.send`."""
        response = None
        exchange, token = self._begin(request, stream)
        try:
            response = await super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
            if response.status_code == 429 and self._raise_on_rate_limit:
                given, response = response.request, await self._http.load(response)
                raise TooManyRequests(given, response, state_of(given))
            return response
        except Exception as error:
            cast(Any, error).ratewise = exchange
            raise
        finally:
            self._end(exchange, token, request, response)

    async def aclose(self) -> None:
        """Close the transports: as `httpx.AsyncClient.aclose`."""
        try:
            await super().aclose()
        finally:
            self._unwrap()

    async def close(self) -> None:
        """Close the client: the name that `aclose` has in a sync client."""
        await self.aclose()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc_value, traceback)
        finally:
            self._unwrap()


def _client_options(
    base_url: httpx.URL | str | None,
    timeout: TimeoutTypes,
    connect_timeout: float | None,
    verify_ssl: ssl.SSLContext | str | bool,
    default_headers: HeaderTypes | None,
    options: Any,
) -> Any:
    """Our keywords as httpx's own."""
    for ours, value, default, theirs in (
        ("verify_ssl", verify_ssl, True, "verify"),
        ("default_headers", default_headers, None, "headers"),
    ):
        if theirs not in options:
            options[theirs] = value
        elif value is not default:
            raise TypeError(f"{ours} and {theirs} were both given: they are two names for the same setting")
    return {**options, "base_url": _absolute(base_url), "timeout": _timeout(timeout, connect_timeout)}


def _absolute(base_url: httpx.URL | str | None) -> httpx.URL:
    allowed = 'an absolute URL, such as "https://api.example.com"'
    if base_url is None or base_url == "":
        return httpx.URL()
    if not isinstance(base_url, (str, httpx.URL)):
        raise TypeError(f"{refusal('base_url', base_url, 'a string or an httpx.URL')} ({full_name(type(base_url))})")
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if not (url.scheme and url.host):
        raise ValueError(refusal("base_url", DEFAULT_MASKER.url(base_url), allowed))
    return url


def _timeout(timeout: TimeoutTypes, connect_timeout: float | None) -> httpx.Timeout:
    if connect_timeout is not None:
        connect_timeout = seconds("connect_timeout", connect_timeout, above_zero=True)
    if timeout is None:
        return httpx.Timeout(None, connect=connect_timeout)
    if isinstance(timeout, (int, float)):
        timeout = seconds("timeout", timeout, above_zero=True)
        return httpx.Timeout(timeout, connect=timeout if connect_timeout is None else min(timeout, connect_timeout))
    if not isinstance(timeout, (tuple, httpx.Timeout)):
        raise TypeError(refusal("timeout", timeout, "a number of seconds, None or an httpx.Timeout"))
    if connect_timeout != CONNECT_TIMEOUT:
        raise TypeError("connect_timeout and an httpx.Timeout were both given: say it in the Timeout, as connect=")
    return httpx.Timeout(timeout)

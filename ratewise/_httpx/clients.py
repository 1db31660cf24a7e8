"""Clients for httpx: its own, with the whole stack below them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import httpx

from ..clock import Clock
from ..exchange import KEY, NO_OPTIONS, Exchange
from ..layer import Layer, step
from ..redact import DEFAULT as REDACTOR
from ..retry import Backoff, RetryConfig
from ..stack import assemble
from ..stats import ClientStats, Counts
from ..validation import flag, refusal, seconds
from .transports import AsyncLayerTransport, LayerTransport

if TYPE_CHECKING:
    from typing import TypedDict

    from httpx._client import UseClientDefault
    from httpx._types import AuthTypes, CertTypes, CookieTypes, HeaderTypes, ProxyTypes, QueryParamTypes, TimeoutTypes
    from typing_extensions import Unpack

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
        default_encoding: str | Callable[[bytes], str]

    class ClientOptions(_ClientOptions, total=False):
        """The keywords of `httpx.Client`."""

        mounts: Mapping[str, httpx.BaseTransport | None] | None
        transport: httpx.BaseTransport | None

    class AsyncClientOptions(_ClientOptions, total=False):
        """The keywords of `httpx.AsyncClient`."""

        mounts: Mapping[str, httpx.AsyncBaseTransport | None] | None
        transport: httpx.AsyncBaseTransport | None


CONNECT_TIMEOUT = 5.0
"""Seconds."""

_LAST: ContextVar[tuple[object, Exchange] | None] = ContextVar("ratewise_last_exchange", default=None)
"""The counts of the client that this thread or task called last, to know it by, and that call."""

_CURRENT: ContextVar[Exchange | None] = ContextVar("ratewise_current_exchange", default=None)
"""The call that is going on in this thread or task."""


class _Client:
    """What the sync and the async client do around httpx."""

    _transport: Any
    _mounts: Any

    def _set_up(
        self,
        max_retries: int,
        retry_config: RetryConfig | None,
        backoff_strategy: Backoff | None,
        total_timeout: float | None,
        raise_on_rate_limit: bool,
    ) -> tuple[Layer[Any, Any], ...]:
        """The layers. They leave a last 429 to `send`, so that hooks and cookies see it as on a plain client."""
        self._raise_on_rate_limit = flag("raise_on_rate_limit", raise_on_rate_limit)
        self._counts = Counts()
        self._last_exchange = Exchange()
        return assemble(
            max_retries=max_retries,
            retry_config=retry_config,
            backoff_strategy=backoff_strategy,
            total_timeout=total_timeout,
            raise_on_rate_limit=False,
        )

    def _wrap(self, kind: Callable[..., Any], layers: tuple[Layer[Any, Any], ...]) -> None:
        """Put the layers around each transport that httpx has made, or was given."""
        self._transport = kind(self._transport, *layers)
        self._http = self._transport._http
        self._mounts = {key: None if mounted is None else kind(mounted, *layers) for key, mounted in self._mounts.items()}

    def _begin(self, request: httpx.Request, streamed: bool) -> tuple[Exchange, Token[Exchange | None]]:
        exchange = self._last_exchange = Exchange.begin(request.extensions, streamed)
        _LAST.set((self._counts, exchange))
        request.extensions = own = request.extensions.copy()
        own[KEY] = exchange
        return exchange, _CURRENT.set(exchange)

    def _adopt(self, request: httpx.Request) -> None:
        """A request that an auth flow made by itself belongs to the call too."""
        if KEY not in request.extensions:
            request.extensions = {**request.extensions, KEY: _CURRENT.get()}

    def _end(
        self, exchange: Exchange, token: Token[Exchange | None], request: httpx.Request, response: httpx.Response | None
    ) -> None:
        # Another sending of the same request, or of one that came of it, will be another call.
        for one in (request, *((response.request, response.next_request) if response is not None else ())):
            if one is not None:
                one.extensions.pop(KEY, None)
        if exchange.options is not NO_OPTIONS:
            request.extensions[KEY] = exchange.options
        _CURRENT.reset(token)
        self._counts.record(None if response is None else response.status_code, len(exchange.waits))

    def get_retry_delays(self) -> list[float]:
        """Seconds waited before each retry of the last call of this thread or task, if that was one of this client's.

        Else those of the client's last call by anyone. Of a certain call: `exchange_of(response).waits`.
        """
        counts, exchange = _LAST.get() or (None, self._last_exchange)
        return (exchange if counts is self._counts else self._last_exchange).waits

    def get_retry_stats(self) -> dict[str, float]:
        """Counts since the client was made: `total_requests`, `successful`, `failed`, `total_retries`, `avg_retries`."""
        stats = self.get_stats()
        return {**asdict(stats), "avg_retries": stats.avg_retries}

    def get_stats(self) -> ClientStats:
        """Counts since the client was made."""
        return self._counts.snapshot()


class RateWiseClient(_Client, httpx.Client):
    """An `httpx.Client` whose requests go through the whole stack.

    - `base_url`: an absolute URL; what the other methods are given may be a path below it, or a full URL.
    - `max_retries`: how often a request is sent again at most; at least 0. `retry_config` has all the rules, and wins over it.
      `backoff_strategy` replaces the backoff in them.
    - `timeout`: seconds above 0 for each step of each attempt, None for no limit, or an `httpx.Timeout`.
      `connect_timeout`: the same for connecting, where `timeout` is no `httpx.Timeout`; the shorter of the two counts.
    - `total_timeout`: seconds above 0 for a whole call: its waits, attempts, redirects and body. Then `DeadlineExceeded`. None
      for no limit.
    - `verify_ssl`, `default_headers`: other names for httpx's `verify` and `headers`.
    - `raise_on_rate_limit`: raise `RateLimitExceeded` for a 429 that is left when the retries are over, instead of returning it.
    - All keywords of `httpx.Client`, with its meaning. A `transport` or `mounts` of yours are put below the stack.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        base_url: httpx.URL | str,
        *,
        max_retries: int = 3,
        timeout: TimeoutTypes = 30.0,
        total_timeout: float | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        backoff_strategy: Backoff | None = None,
        retry_config: RetryConfig | None = None,
        verify_ssl: ssl.SSLContext | str | bool = True,
        default_headers: HeaderTypes | None = None,
        raise_on_rate_limit: bool = True,
        clock: Clock | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        layers = self._set_up(max_retries, retry_config, backoff_strategy, total_timeout, raise_on_rate_limit)
        super().__init__(**_client_options(base_url, timeout, connect_timeout, verify_ssl, default_headers, options))
        self._wrap(partial(LayerTransport, clock=clock), layers)

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
                raise step(self._http.rate_limit_exceeded(response.request, response))
            return response
        except Exception as error:
            cast(Any, error).ratewise = exchange
            raise
        finally:
            self._end(exchange, token, request, response)

    def _send_single_request(self, request: httpx.Request) -> httpx.Response:
        self._adopt(request)
        return super()._send_single_request(request)


class AsyncRateWiseClient(_Client, httpx.AsyncClient):
    """An `httpx.AsyncClient` whose requests go through the whole stack, under asyncio and trio. See `RateWiseClient`."""

    def __init__(
        self,
        base_url: httpx.URL | str,
        *,
        max_retries: int = 3,
        timeout: TimeoutTypes = 30.0,
        total_timeout: float | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT,
        backoff_strategy: Backoff | None = None,
        retry_config: RetryConfig | None = None,
        verify_ssl: ssl.SSLContext | str | bool = True,
        default_headers: HeaderTypes | None = None,
        raise_on_rate_limit: bool = True,
        clock: Clock | None = None,
        **options: Unpack[AsyncClientOptions],
    ) -> None:
        layers = self._set_up(max_retries, retry_config, backoff_strategy, total_timeout, raise_on_rate_limit)
        super().__init__(**_client_options(base_url, timeout, connect_timeout, verify_ssl, default_headers, options))
        self._wrap(partial(AsyncLayerTransport, clock=clock), layers)

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
                raise await self._http.rate_limit_exceeded(response.request, response)
            return response
        except Exception as error:
            cast(Any, error).ratewise = exchange
            raise
        finally:
            self._end(exchange, token, request, response)

    async def _send_single_request(self, request: httpx.Request) -> httpx.Response:
        self._adopt(request)
        return await super()._send_single_request(request)


def _client_options(
    base_url: httpx.URL | str,
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


def _absolute(base_url: httpx.URL | str) -> httpx.URL:
    allowed = 'an absolute URL, such as "https://api.example.com"'
    if not isinstance(base_url, (str, httpx.URL)):
        raise TypeError(refusal("base_url", base_url, allowed))
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if not (url.scheme and url.host):
        raise ValueError(refusal("base_url", REDACTOR.url(base_url), allowed))
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

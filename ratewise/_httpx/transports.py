"""Transports for httpx: layers around a transport, one class for each capability and one for the whole stack."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Coroutine
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from ..cancellation import steady
from ..clock import Clock
from ..deadline import WireDeadlineLayer
from ..layer import Call, Layer, compose, step
from ..retry import Backoff, RetryConfig, RetryLayer
from ..stack import assemble, warn_of_order
from ..validation import refusal
from .bodies import Steady, in_memory
from .flavour import AsyncFlavour, SyncFlavour
from .punctual import make_punctual

if TYPE_CHECKING:
    from typing import TypedDict

    from httpx._types import CertTypes, ProxyTypes
    from typing_extensions import Self, Unpack

    class TransportOptions(TypedDict, total=False):
        """The keywords of `httpx.HTTPTransport`."""

        verify: ssl.SSLContext | str | bool
        cert: CertTypes | None
        trust_env: bool
        http1: bool
        http2: bool
        limits: httpx.Limits
        proxy: ProxyTypes | None
        uds: str | None
        local_address: str | None
        retries: int
        socket_options: Any


_Send = Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]]


class _Chain:
    """What the sync and the async transport share: the layers around a transport, composed into one chain."""

    _given: Any
    _wire: Any
    _layers: tuple[Any, ...]
    _clock: Clock

    def _take(self, given: Any, layers: tuple[Any, ...], clock: Clock | None, base: type, method: str) -> None:
        """Take the chain over from a transport of ours. A user's subclass of one is nested: it may do more than its chain."""
        _check(given, base, method)
        ours = type(given) in _OURS
        self._given = given
        self._wire = given._wire if ours else given
        self._layers = (*layers, *given._layers) if ours else layers
        self._clock = clock or (given._clock if ours else Clock())
        if not isinstance(clock, (Clock, type(None))):
            raise TypeError(refusal("clock", clock, "a Clock"))
        for layer in layers:
            if isinstance(layer, type) or not callable(getattr(layer, "handle", None)):
                raise TypeError(refusal("layer", layer, "an object with `async def handle(self, request, call)`"))
        warn_of_order(self._layers)

    def __repr__(self) -> str:
        layers = "".join(f"{type(layer).__name__} > " for layer in self._layers)
        return f"<{type(self).__name__}: {layers}{type(self._wire).__name__}>"


def _check(transport: object, base: type, method: str) -> None:
    if isinstance(transport, base):
        return
    # By name, so that another library's are refused, and those of the other world. What only has the method is taken.
    foreign = any(kind.__name__ in ("BaseTransport", "AsyncBaseTransport") for kind in type(transport).__mro__)
    if foreign or isinstance(transport, type) or not hasattr(transport, method):
        hint = " (sync transports go into RateWise's sync classes, async ones into those named Async...)" if foreign else ""
        raise TypeError(refusal("transport", transport, f"an {httpx.__name__}.{base.__name__}{hint}"))


class LayerTransport(_Chain, httpx.BaseTransport):
    """A transport with layers around it, the first one outermost: `LayerTransport(httpx.HTTPTransport(), MyLayer())`.

    Around another RateWise transport it takes over that one's layers, and closing it closes that one. `clock` is for tests.
    Raises `TypeError` if `transport` is not a sync httpx transport.
    """

    def __init__(self, transport: httpx.BaseTransport, *layers: Layer[Any, Any], clock: Clock | None = None) -> None:
        self._take(transport, layers, clock, httpx.BaseTransport, "handle_request")
        self._http = SyncFlavour()
        wire: httpx.BaseTransport = self._wire

        async def send(request: httpx.Request) -> httpx.Response:
            return wire.handle_request(request)  # looked up now: a mock may have patched it

        self._send: _Send = compose(self._layers, Call(send, self._http, self._clock))
        if any(isinstance(layer, WireDeadlineLayer) for layer in self._layers):
            make_punctual(wire)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return step(self._send(request))

    def close(self) -> None:
        try:
            self._http.background.close()
        finally:
            self._given.close()

    def __enter__(self) -> Self:
        self._given.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            self._http.background.close()
        finally:
            self._given.__exit__(exc_type, exc_value, traceback)


class AsyncLayerTransport(_Chain, httpx.AsyncBaseTransport):
    """A transport with layers around it, the first one outermost: `AsyncLayerTransport(httpx.AsyncHTTPTransport(), MyLayer())`.

    Around another RateWise transport it takes over that one's layers, and closing it closes that one. `clock` is for tests.
    Raises `TypeError` if `transport` is not an async httpx transport.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, *layers: Layer[Any, Any], clock: Clock | None = None) -> None:
        self._take(transport, layers, clock, httpx.AsyncBaseTransport, "handle_async_request")
        self._http = AsyncFlavour()
        wire: httpx.AsyncBaseTransport = self._wire

        def send(request: httpx.Request) -> Awaitable[httpx.Response]:
            return wire.handle_async_request(request)  # looked up now, as above

        self._send: _Send = compose(self._layers, Call(send, self._http, self._clock))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await steady(self._send(request))
        if not in_memory(response):
            response.stream = Steady(response.stream)
        return response

    async def aclose(self) -> None:
        try:
            await self._http.background.aclose()
        finally:
            await self._given.aclose()

    async def __aenter__(self) -> Self:
        await self._given.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            await self._http.background.aclose()
        finally:
            await self._given.__aexit__(exc_type, exc_value, traceback)


class RetryTransport(LayerTransport):
    """Retries around a transport (a new `httpx.HTTPTransport` if none is given), as `config` says."""

    def __init__(
        self, transport: httpx.BaseTransport | None = None, config: RetryConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(httpx.HTTPTransport() if transport is None else transport, RetryLayer(config), clock=clock)


class AsyncRetryTransport(AsyncLayerTransport):
    """Retries around a transport (a new `httpx.AsyncHTTPTransport` if none is given), as `config` says."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        config: RetryConfig | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(httpx.AsyncHTTPTransport() if transport is None else transport, RetryLayer(config), clock=clock)


class RateWiseTransport(LayerTransport):
    """The whole stack as one transport, for a client that you have: `httpx.Client(transport=RateWiseTransport(max_retries=5))`.

    - `transport`: what to put it around. Without it a new `httpx.HTTPTransport`, which takes httpx's own keywords (`verify`,
      `cert`, `http1`, `http2`, `limits`, `proxy`, ...): a client that is given a transport ignores those of its own.
    - `max_retries`: how often a request is sent again at most; at least 0. `retry_config` has all the rules, and wins over it.
      `backoff_strategy` replaces the backoff in them.
    - `total_timeout`: seconds above 0 for one request: its waits, attempts and body. Then `DeadlineExceeded`. None for no limit.
    - `raise_on_rate_limit`: raise `RateLimitExceeded` for a 429 that is left when the retries are over, instead of returning it.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        *,
        max_retries: int = 3,
        retry_config: RetryConfig | None = None,
        backoff_strategy: Backoff | None = None,
        total_timeout: float | None = None,
        raise_on_rate_limit: bool = False,
        clock: Clock | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        layers = assemble(
            max_retries=max_retries,
            retry_config=retry_config,
            backoff_strategy=backoff_strategy,
            total_timeout=total_timeout,
            raise_on_rate_limit=raise_on_rate_limit,
        )
        super().__init__(_given_or_new(transport, httpx.HTTPTransport, options), *layers, clock=clock)


class AsyncRateWiseTransport(AsyncLayerTransport):
    """The whole stack as one transport, for an `httpx.AsyncClient` that you have. See `RateWiseTransport`."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        max_retries: int = 3,
        retry_config: RetryConfig | None = None,
        backoff_strategy: Backoff | None = None,
        total_timeout: float | None = None,
        raise_on_rate_limit: bool = False,
        clock: Clock | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        layers = assemble(
            max_retries=max_retries,
            retry_config=retry_config,
            backoff_strategy=backoff_strategy,
            total_timeout=total_timeout,
            raise_on_rate_limit=raise_on_rate_limit,
        )
        super().__init__(_given_or_new(transport, httpx.AsyncHTTPTransport, options), *layers, clock=clock)


def _given_or_new(transport: Any, make: Callable[..., Any], options: Any) -> Any:
    if transport is None:
        if options.get("http2") and find_spec("h2") is None:  # as httpx's clients do: its transports fail at the first request
            raise ImportError("http2=True needs the package h2: pip install 'httpx[http2]'")
        return make(**options)
    if options:
        raise TypeError(f"{', '.join(options)}: cannot be given beside a transport; give it to that {type(transport).__name__}")
    return transport


_OURS = frozenset(
    {
        LayerTransport,
        AsyncLayerTransport,
        RetryTransport,
        AsyncRetryTransport,
        RateWiseTransport,
        AsyncRateWiseTransport,
    }
)

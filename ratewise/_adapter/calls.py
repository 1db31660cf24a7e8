"""What the clients of every flavour do around a call."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from .._core.exchange import KEY, NO_OPTIONS, Exchange
from .._core.stats import COUNTS, ClientStats, Counts
from .._stack import assemble, given_limiter
from .._validation import flag
from ..circuit_breaker.breaker import CircuitBreaker
from ..layer import Layer
from ..rate_limit.limiter import RateLimiter

if TYPE_CHECKING:
    from ..cache.stores.base import Cache
    from ..logging.config import LogConfig

_LAST: ContextVar[tuple[object, Exchange] | None] = ContextVar("ratewise_last_exchange", default=None)
"""The counts of the client that this thread or task called last, to know it by, and that call."""

_CURRENT: ContextVar[Exchange | None] = ContextVar("ratewise_current_exchange", default=None)
"""The call that is going on in this thread or task."""


class ClientCalls:
    """What the sync and the async client do around their library's."""

    _transport: Any
    _mounts: Any

    cache: Cache | None
    """The store of responses that the client was given."""
    circuit_breaker: CircuitBreaker | None
    """The breaker that the client was given."""
    rate_limiter: RateLimiter | None
    """The limiter that the client was given, or made."""

    def _set_up(
        self,
        raise_on_rate_limit: bool,
        cache: Cache | None,
        circuit_breaker: CircuitBreaker | None,
        rate_limiter: RateLimiter | bool | None,
        log_config: LogConfig | None,
        redact_httpx_logs: bool,
        **settings: Any,
    ) -> tuple[Layer[Any, Any], ...]:
        """The layers. They leave a last 429 to `send`, so that hooks and cookies see it as on a plain client."""
        self._raise_on_rate_limit = flag("raise_on_rate_limit", raise_on_rate_limit)
        self._counts = Counts()
        self._last_exchange = Exchange()
        self.rate_limiter = rate_limiter = given_limiter(rate_limiter)
        layers = assemble(
            raise_on_rate_limit=False,
            cache=cache,
            circuit_breaker=circuit_breaker,
            rate_limiter=rate_limiter,
            log_config=log_config,
            **settings,
        )
        self._redacts = flag("redact_httpx_logs", redact_httpx_logs)
        self._redactor = None if log_config is None else log_config.redactor
        self.cache = cache
        self.circuit_breaker = circuit_breaker
        self._trips_before = 0 if circuit_breaker is None else circuit_breaker.trips
        return layers

    def _wrap(self, kind: Callable[..., Any], layers: tuple[Layer[Any, Any], ...]) -> None:
        """Put the layers around each transport that httpx has made, or was given."""
        self._transport = kind(self._transport, *layers)
        self._http = self._transport._http
        self._mounts = {key: None if mounted is None else kind(mounted, *layers) for key, mounted in self._mounts.items()}
        if self._redacts:
            from ..logging.filters import install_redaction  # only who makes a client loads it

            self._unredact = weakref.finalize(self, install_redaction(self._redactor).undo)
            self._unredact.atexit = False

    def _unwrap(self) -> None:
        """The client is closed."""
        if self._redacts:
            self._unredact()

    def _begin(self, request: Any, streamed: bool) -> tuple[Exchange, Token[Exchange | None]]:
        exchange = self._last_exchange = Exchange.begin(request.extensions, streamed)
        _LAST.set((self._counts, exchange))
        request.extensions = own = request.extensions.copy()
        own[KEY] = exchange
        return exchange, _CURRENT.set(exchange)

    def _adopt(self, request: Any) -> None:
        """A request that an auth flow made by itself belongs to the call too."""
        if KEY not in request.extensions:
            request.extensions = {**request.extensions, KEY: _CURRENT.get()}

    def _end(self, exchange: Exchange, token: Token[Exchange | None], request: Any, response: Any) -> None:
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
        """Counts since the client was made, by the names that they have in `ClientStats`."""
        stats = self.get_stats()
        return {name: getattr(stats, name) for name in COUNTS}

    def get_stats(self) -> ClientStats:
        """Counts since the client was made."""
        trips = 0 if self.circuit_breaker is None else self.circuit_breaker.trips - self._trips_before
        return self._counts.snapshot(trips)

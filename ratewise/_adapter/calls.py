"""What the clients of both HTTP libraries do around a call."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from .._core.call_state import KEY
from .._core.exchange import Exchange, begin, release
from .._core.forks import renew_after_fork
from .._core.options import accepted, options
from .._core.stats import COUNTS, ClientStats, Counts
from .._keywords import Place, settings_of, way_out, with_parts
from .._util.packages import OURS, package_of
from .._validation import flag
from ..circuit_breaker.breaker import CircuitBreaker
from ..rate_limit.limiter import RateLimiter
from .private import change_transports, renew_cookies

if TYPE_CHECKING:
    from .._stack import Settings
    from ..cache.stores.base import Cache

T = TypeVar("T", bound=type)


_LAST: ContextVar[tuple[object, Exchange] | None] = ContextVar("ratewise_last_exchange", default=None)
"""The last exchange of this thread or task, and the `Counts` of its client, which identify the client."""

_CURRENT: ContextVar[Exchange | None] = ContextVar("ratewise_current_exchange", default=None)
"""The exchange that is in progress in this thread or task."""


def adopt(request: Any) -> None:
    """Make a request part of the exchange in progress in this thread or task, unless it belongs to one."""
    if KEY not in request.extensions:
        request.extensions = {**request.extensions, KEY: _CURRENT.get()}


class ClientCalls:
    """What the sync and the async client add to the client of their library."""

    _transport: Any

    cache: Cache | None
    """The cache that was passed to the client."""
    circuit_breaker: CircuitBreaker | None
    """The circuit breaker that was passed to the client."""
    rate_limiter: RateLimiter | None
    """The rate limiter that was passed to the client, or made by it."""

    def _set_up(self, settings: Settings, redact_httpx_logs: bool) -> None:
        self._raise_on_rate_limit = settings.raise_on_rate_limit
        self._counts = Counts()
        self._last_exchange = Exchange()
        self._redacts = flag("redact_httpx_logs", redact_httpx_logs)
        self._redactor = None if settings.log_config is None else settings.log_config.redactor
        self.cache = settings.cache
        self.circuit_breaker = breaker = settings.circuit_breaker
        self.rate_limiter = settings.rate_limiter
        self._trips_before = 0 if breaker is None else breaker._trips

    def _wrap(self, wrapped: Callable[[Any], Any]) -> None:
        """Put the layers around each transport that the library's client has made, or was given."""
        change_transports(self, wrapped)
        self._http = self._transport._http
        if self._redacts:
            from ..logging.filters import install_redaction  # loaded only where a client is made

            self._unredact = weakref.finalize(self, install_redaction(self._redactor).undo)
            self._unredact.atexit = False
        renew_after_fork(self)

    def _after_fork(self) -> None:
        renew_cookies(self)

    def _unwrap(self) -> None:
        """Undo, as the client is closed, what `_wrap` did to loggers."""
        if self._redacts:
            self._unredact()

    def _begin(self, request: Any, streamed: bool) -> tuple[Exchange, Token[Exchange | None]]:
        exchange = self._last_exchange = begin(request, streamed=streamed)
        _LAST.set((self._counts, exchange))
        return exchange, _CURRENT.set(exchange)

    def _end(self, exchange: Exchange, token: Token[Exchange | None], request: Any, response: Any) -> None:
        exchange._state.finished = True  # a request that is sent from now on begins another exchange
        if response is None or response.is_closed:  # else an error in the body finds the exchange through its request
            release(exchange, request, *(() if response is None else (response.request, response.next_request)))
        self._counts.record(None if response is None else response.status_code, len(exchange.waits))
        with suppress(ValueError):  # the garbage collector ends an abandoned call, in another context
            _CURRENT.reset(token)

    def get_retry_delays(self) -> list[float]:
        """Return the seconds waited before each retry of the last request of this thread or task.

        If that request went through another client, return those of this client's last request from any thread or task. For a
        particular request see `exchange_of(response).waits`.
        """
        counts, exchange = _LAST.get() or (None, self._last_exchange)
        return (exchange if counts is self._counts else self._last_exchange).waits

    def get_retry_stats(self) -> dict[str, float]:
        """Return the counts since the client was made, by their names in `ClientStats`."""
        stats = self.get_stats()
        return {name: getattr(stats, name) for name in COUNTS}

    def get_stats(self) -> ClientStats:
        """Return the counts since the client was made."""
        trips = 0 if self.circuit_breaker is None else self.circuit_breaker._trips - self._trips_before
        return self._counts.snapshot(trips)


def explains_options(client: T) -> T:
    """A decorator of a client: if a method is given a keyword that it does not know, the `TypeError` says what was meant.

    The methods keep the signatures that the library has given them, for checkers and `inspect` too.
    """
    for name in dir(client):
        method: Any = getattr(client, name)
        if name == "send" or _sends(name, method):
            setattr(client, name, _explaining(client, name, method))
    return client


def _sends(name: str, method: Any) -> bool:
    function = inspect.unwrap(method) if callable(method) else None
    return not name.startswith("_") and isinstance(function, FunctionType) and "extensions" in function.__code__.co_varnames


def _groups(client: Any, name: str, own: Mapping[str, inspect.Parameter]) -> Iterator[list[Place]]:
    """Where a keyword that was given to the method `name` may belong, the likeliest first."""
    library = next(kind for kind in client.__mro__ if package_of(kind.__module__) != OURS)
    yield from with_parts(Place(own), library)
    given = "{}" if "extensions" in own else "client.build_request(..., {})"
    yield [Place(settings_of(options), given.replace("{}", f"extensions={OURS}.options({{}})"), accepts=accepted)]
    for other in ("build_request" if name == "send" else "request", "send"):
        yield [Place(settings_of(getattr(client, other)), f"client.{other}(..., {{}})")]
    yield [Place(settings_of(client), f"{client.__name__}({{}})", "the client: ")]


def _explaining(client: type, name: str, method: Any) -> Any:
    def mistaken(given: Mapping[str, Any]) -> str | None:
        """What to say of the first keyword that the method does not know."""
        own = settings_of(method)
        unknown = next((keyword for keyword in given if keyword not in own), None)
        if unknown is None:
            return None
        way = way_out(unknown, given[unknown], list(_groups(client, name, own)), ", ".join(own))
        return f"{client.__name__}.{name}() got an unexpected keyword argument {unknown!r}: {way}"

    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except TypeError:
                said = mistaken(kwargs)
                if said is None:
                    raise
                raise TypeError(said) from None

        return awaited

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except TypeError:
            said = mistaken(kwargs)
            if said is None:
                raise
            raise TypeError(said) from None

    return called

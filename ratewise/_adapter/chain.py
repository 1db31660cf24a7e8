"""The chain of a RateWise transport: its layers around an inner transport, composed once."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from .._core.clock import Clock
from .._core.order import is_helper, warn_of_order
from .._core.own_clock import own_clock_of
from .._util.packages import OURS, package_of
from .._validation import clock as checked_clock
from .._validation import refusal


class Chain:
    """What the sync and the async transports share."""

    _given: Any
    _wire: Any
    _layers: tuple[Any, ...]
    _stacked: tuple[Any, ...]
    """The layers of this transport and of all RateWise transports within, outermost first."""
    _clock: Clock

    def _take(
        self,
        given: Any,
        layers: tuple[Any, ...],
        clock: Clock | None,
        base: type,
        method: str,
        queue_of: Callable[[Any], Any],
    ) -> None:
        """Set up the chain around `given`, with what `queue_of(given)` returns in front of its connection pool.

        The chain of a RateWise transport is taken over. A user's subclass of one stays a transport of its own, because it may do
        more than its chain.
        """
        check_transport(given, base, method)
        ours = isinstance(given, Chain) and _library(type(given)) == OURS
        self._given = given
        self._wire = given._wire if ours else given
        self._layers = (*layers, *given._layers) if ours else _before_wire(layers, queue_of(given))
        self._clock = checked_clock(clock) or (given._clock if ours else Clock())
        for layer in layers:
            if isinstance(layer, type) or not callable(getattr(layer, "handle", None)):
                raise TypeError(refusal("layer", layer, "an object with `async def handle(self, request, call)`"))
        within = given._stacked if isinstance(given, Chain) else ()
        self._stacked = (*layers, *within)
        for part in (*self._layers, self._wire):
            own = own_clock_of(part)
            if own is not None:
                own.adopt(self._clock)
        warn_of_order(self._stacked, within)

    def __repr__(self) -> str:
        layers = "".join(f"{type(layer).__name__} > " for layer in self._layers if not is_helper(layer))
        return f"<{type(self).__name__}: {layers}{type(self._wire).__name__}>"


def _before_wire(layers: tuple[Any, ...], innermost: Any) -> tuple[Any, ...]:
    """Return the layers with one more, None for none, below all but the helpers that must be next to the wire."""
    at = len(layers)
    while at and is_helper(layers[at - 1]):
        at -= 1
    return layers if innermost is None else (*layers[:at], innermost, *layers[at:])


class SyncChain(Chain):
    """A sync transport, whose error in an async client names the transport to use instead."""

    if not TYPE_CHECKING:  # pragma: no branch  # type checkers must still report unknown attributes

        def __getattr__(self, name: str) -> NoReturn:
            raise _missing(self, name, ("__aenter__", "aclose", "handle_async_request"), "a sync", "an AsyncClient", "Async{}")


class AsyncChain(Chain):
    """An async transport, whose error in a sync client names the transport to use instead."""

    if not TYPE_CHECKING:  # pragma: no branch  # as above

        def __getattr__(self, name: str) -> NoReturn:
            raise _missing(self, name, ("__enter__", "close", "handle_request"), "an async", "a Client", "{}")


class _WrongStyleError(TypeError, AttributeError):
    """A sync transport is used as an async one, or the reverse. Also an AttributeError, so that `hasattr` returns False."""


def _missing(transport: Chain, name: str, others: tuple[str, ...], own: str, client: str, other: str) -> Exception:
    if name not in others:
        return AttributeError(f"{type(transport).__name__!r} object has no attribute {name!r}")
    kind = _public_name(transport)
    return _WrongStyleError(f"{kind} is {own} transport: use {other.format(kind.removeprefix('Async'))} in {client}")


def wrong_library(transport: Chain, request: object, wanted: type) -> TypeError:
    """Return the error of a transport that was passed something other than a `wanted` request, such as the other library's."""
    name, ours, theirs = _public_name(transport), _library(wanted), _library(type(request))
    if theirs not in _LIBRARIES:
        return TypeError(f"this {name} handles {ours} requests, not a {type(request).__name__}")
    return TypeError(f"this {name} handles {ours} requests, not {theirs} ones: use the {name} of `{_LIBRARIES[theirs]}`")


def _public_name(transport: Chain) -> str:
    """Return the name of the transport's class, or of the RateWise class that the user's class extends."""
    ours = (kind.__name__ for kind in type(transport).__mro__ if _library(kind) == OURS)
    return next(name for name in ours if not name.startswith("_"))


def _library(kind: type) -> str:
    return package_of(kind.__module__)


_LIBRARIES = {"httpx": OURS, "httpx2": f"{OURS}.httpx2"}
"""For each HTTP library, the package that has the transports and clients for it."""


def check_transport(transport: object, base: type, method: str) -> None:
    """Raise `TypeError` unless `transport` is a `base`, or has its `method` and is no transport of another kind."""
    if isinstance(transport, base):
        return
    # By name, so that those of the other library, and async ones for sync ones, are refused. Having the method alone is enough.
    kinds = [kind for kind in type(transport).__mro__ if kind.__name__ in ("BaseTransport", "AsyncBaseTransport")]
    if not (kinds or isinstance(transport, type)) and hasattr(transport, method):
        return
    library, *others = map(_library, (base, *kinds))
    hint = ""
    if library in others:
        hint = " (sync transports go into the sync classes, async ones into those whose names begin with Async)"
    elif others and others[0] in _LIBRARIES:
        hint = f" (this one is for {others[0]}: use the transports and clients of `{_LIBRARIES[others[0]]}`)"
    raise TypeError(refusal("transport", transport, f"an {library}.{base.__name__}{hint}"))


def given_or_new(transport: Any, make: Callable[..., Any], options: Any) -> Any:
    """Return the transport that the user gave, or a new one of the library's own with these options.

    Raises `TypeError` for options beside a transport, and `ImportError` for `http2=True` without the package h2.
    """
    if transport is None:
        if options.get("http2") and find_spec("h2") is None:  # at once, as clients do; transports fail at the first request
            raise ImportError(f"http2=True requires the package h2: pip install '{make.__module__}[http2]'")
        return make(**options)
    if options:
        raise TypeError(f"{', '.join(options)}: not allowed beside `transport`: pass it to the {type(transport).__name__}")
    return transport

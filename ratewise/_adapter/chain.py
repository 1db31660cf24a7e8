"""A transport of ours is a chain: the layers around a transport, composed once."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from .._core.clock import Clock
from .._core.order import warn_of_order
from .._validation import refusal


class Chain:
    """What the sync and the async transport share."""

    _given: Any
    _wire: Any
    _layers: tuple[Any, ...]
    _stacked: tuple[Any, ...]
    """These, and those of all transports of ours within."""
    _clock: Clock

    def _take(self, given: Any, layers: tuple[Any, ...], clock: Clock | None, base: type, method: str) -> None:
        """Take the chain over from a transport of ours. A user's subclass of one is nested: it may do more than its chain."""
        _check(given, base, method)
        ours = isinstance(given, Chain) and type(given).__module__.startswith(f"{_PACKAGE}.")
        self._given = given
        self._wire = given._wire if ours else given
        self._layers = (*layers, *given._layers) if ours else layers
        self._clock = clock or (given._clock if ours else Clock())
        if not isinstance(clock, (Clock, type(None))):
            raise TypeError(refusal("clock", clock, "a Clock"))
        for layer in layers:
            if isinstance(layer, type) or not callable(getattr(layer, "handle", None)):
                raise TypeError(refusal("layer", layer, "an object with `async def handle(self, request, call)`"))
        within = given._stacked if isinstance(given, Chain) else ()
        self._stacked = (*layers, *within)
        warn_of_order(self._stacked, within)

    def __repr__(self) -> str:
        layers = "".join(f"{type(layer).__name__} > " for layer in self._layers)
        return f"<{type(self).__name__}: {layers}{type(self._wire).__name__}>"


class SyncChain(Chain):
    """In an async client, a sync transport says which one is meant."""

    if not TYPE_CHECKING:  # pragma: no branch  # for checkers, an attribute that is missing is missing

        def __getattr__(self, name: str) -> NoReturn:
            raise _missing(self, name, ("__aenter__", "aclose", "handle_async_request"), "a sync", "an AsyncClient", "Async{}")


class AsyncChain(Chain):
    """In a sync client, an async transport says which one is meant."""

    if not TYPE_CHECKING:  # pragma: no branch  # as above

        def __getattr__(self, name: str) -> NoReturn:
            raise _missing(self, name, ("__enter__", "close", "handle_request"), "an async", "a Client", "{}")


class _WrongStyleError(TypeError, AttributeError):
    """A transport was asked for what those of the other world have. To whoever only looks, as `hasattr` does, it has it not."""


def _missing(transport: Chain, name: str, others: tuple[str, ...], own: str, client: str, other: str) -> Exception:
    if name not in others:
        return AttributeError(f"{type(transport).__name__!r} object has no attribute {name!r}")
    kind = _public_name(transport)
    return _WrongStyleError(f"{kind} is {own} transport: {client} takes the {other.format(kind.removeprefix('Async'))}")


def wrong_library(transport: Chain, request: object, wanted: type) -> TypeError:
    """The error of a transport that is given something else than a `wanted` request, such as one of the other library."""
    name, ours, theirs = _public_name(transport), _library(wanted), _library(type(request))
    if theirs not in _LIBRARIES:
        return TypeError(f"this {name} takes requests of {ours}, not a {type(request).__name__}")
    hint = f"its clients take the {name} of `{_LIBRARIES[theirs]}`"
    return TypeError(f"this {name} takes requests of {ours}, not of {theirs}: {hint}")


def _public_name(transport: Chain) -> str:
    """That of the class of ours that it is of, or that the user's class comes of."""
    ours = (kind.__name__ for kind in type(transport).__mro__ if _library(kind) == _PACKAGE)
    return next(name for name in ours if not name.startswith("_"))


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


_PACKAGE = __name__.split(".")[0]
_LIBRARIES = {"httpx": _PACKAGE, "httpx2": f"{_PACKAGE}.httpx2"}


def _check(transport: object, base: type, method: str) -> None:
    if isinstance(transport, base):
        return
    # By name, so that another library's are refused, and those of the other world. What only has the method is taken.
    kinds = [kind for kind in type(transport).__mro__ if kind.__name__ in ("BaseTransport", "AsyncBaseTransport")]
    if not (kinds or isinstance(transport, type)) and hasattr(transport, method):
        return
    library, *others = map(_library, (base, *kinds))
    hint = ""
    if library in others:
        hint = ". Sync transports go into RateWise's sync classes, async ones into those named Async..."
    elif others and others[0] in _LIBRARIES:
        hint = f". This one is of {others[0]}, whose transports and clients are those of `{_LIBRARIES[others[0]]}`"
    raise TypeError(refusal("transport", transport, f"an {library}.{base.__name__}{hint}"))


def given_or_new(transport: Any, make: Callable[..., Any], options: Any) -> Any:
    """The transport that the user gave, or else a new one of the library's own with the options that it takes."""
    if transport is None:
        if options.get("http2") and find_spec("h2") is None:  # as clients do: transports fail only at the first request
            raise ImportError(f"http2=True needs the package h2: pip install '{make.__module__}[http2]'")
        return make(**options)
    if options:
        raise TypeError(f"{', '.join(options)}: cannot be given beside a transport; give it to that {type(transport).__name__}")
    return transport

"""A stack as data: its layers in order, with their settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .._adapter.chain import Chain
from .._adapter.private import transports_of
from .._core.order import is_helper
from .._redaction.masker import DEFAULT_MASKER, HIDDEN
from .._util.packages import OURS, package_of
from .._validation import described


@dataclass(frozen=True, repr=False)
class LayerDescription:
    """One layer."""

    name: str
    """The name of its class: "RetryLayer"."""
    settings: dict[str, Any]
    """Its settings by name, those of its config, limiter, breaker, bulkhead and cache included."""

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.settings.items() if name not in _OWNERS or name == "cache"}
        return f"{self.name}({', '.join(_shown(name, value) for name, value in shown.items())})"


@dataclass(frozen=True)
class StackDescription:
    """A stack. `str()` of it has one line for each layer."""

    layers: tuple[LayerDescription, ...]
    """Outermost first."""
    transport: str
    """The name of the class of the transport below them."""
    mounts: dict[str, StackDescription]
    """Of a client: the stacks for certain URLs, by their pattern."""

    def __getitem__(self, name: str) -> dict[str, Any]:
        """`describe(client)["RetryLayer"]`: the settings of the first layer of this name. Raises `KeyError` if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer.settings
        raise KeyError(f"{name}: the layers are {', '.join(layer.name for layer in self.layers) or 'none'}")

    def __str__(self) -> str:
        lines = [*map(str, self.layers), self.transport]
        for pattern, stack in self.mounts.items():
            lines += [f"{pattern}:", *(f"  {line}" for line in str(stack).splitlines())]
        return "\n".join(lines)


def describe(transport_or_client: Any) -> StackDescription:
    """Return the stack of a client or transport, of RateWise or not, of either HTTP library.

    Raises `TypeError` for anything else.
    """
    given = transport_or_client
    if isinstance(given, type):
        raise TypeError(f"describe() takes a client or a transport, not the class {given.__name__}")
    if hasattr(given, "handle_request") or hasattr(given, "handle_async_request"):
        return _stack(given, {})
    transport, mounts = transports_of(given)
    if transport is None:
        raise TypeError(f"describe() takes a client or a transport, not {described(given)}")
    return _stack(
        transport,
        {DEFAULT_MASKER.url(pattern.pattern): _stack(mounted, {}) for pattern, mounted in mounts.items() if mounted is not None},
    )


def _stack(transport: Any, mounts: dict[str, StackDescription]) -> StackDescription:
    layers = transport._stacked if isinstance(transport, Chain) else ()
    while isinstance(transport, Chain):
        transport = transport._wire
    shown = tuple(LayerDescription(type(layer).__name__, dict(_settings(layer))) for layer in layers if not is_helper(layer))
    return StackDescription(shown, type(transport).__name__, mounts)


def _shown(name: str, value: Any) -> str:
    """Return a setting as text, without secrets."""
    if DEFAULT_MASKER.is_secret_key(name) and not isinstance(value, (bool, type(None))):
        return f"{name}={HIDDEN}"
    return f"{name}={DEFAULT_MASKER.line(repr(_ordered(value)))}"


def _ordered(value: Any) -> Any:
    """Return a value with a repr that is the same in each process."""
    if type(value) is frozenset:
        try:
            return sorted(value)
        except TypeError:
            return value
    return value


def _settings(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public attributes of an object, in place of an object of RateWise that has settings its settings."""
    attributes: Mapping[str, Any] = getattr(owner, "__dict__", {})
    for name, value in attributes.items():
        if name == "_rules" and _is_ours(value):
            yield from value._asdict().items()
        elif not name.startswith("_"):
            yield name, value
            if name in _OWNERS and _is_ours(value):
                yield from _settings(value)


def _is_ours(value: Any) -> bool:
    """Whether an object is of a class of RateWise, or of a subclass of one."""
    return any(package_of(base.__module__) == OURS for base in type(value).__mro__)


_OWNERS = ("bulkhead", "cache", "circuit_breaker", "config", "rate_limiter")
"""The attributes of layers whose values have the settings."""

"""Warnings about stacks whose layers are in an order in which they do not work."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from .._util.packages import OURS, package_of

LayerKind = Literal["cache", "retry", "circuit breaker", "rate limit", "bulkhead"]


class Ordered:
    """A layer whose position in a stack matters."""

    _kind: LayerKind | None = None


def is_helper(layer: Any) -> bool:
    """Whether a layer is the second part of another one or of the wire, which nobody put into the stack."""
    return getattr(layer, "_helper", False) is True


def warn_of_order(layers: Sequence[Any], within: Sequence[Any]) -> None:
    """Warn about the order of `layers`, outermost first, except about faults of `within`, its inner part: these are known."""
    known = set(_faults(within))
    for fault in _faults(layers):
        if fault not in known:
            _warn(f"this stack {fault}")


def _faults(layers: Sequence[Any]) -> Iterator[str]:
    kinds = [layer._kind for layer in layers if isinstance(layer, Ordered) and layer._kind is not None]
    first = next((number for number, kind in enumerate(kinds) if kind != "cache"), len(kinds))
    if "cache" in kinds[first:]:
        yield (
            "has its cache inside: cached responses are counted and delayed as if they came from the server. "
            "Put the CacheTransport around the other transports"
        )
    if kinds.count("retry") > 1:
        yield "retries twice: the inner retry layer repeats each attempt of the outer one. Remove one of them"
    if "rate limit" in kinds and "retry" in kinds and kinds.index("rate limit") < kinds.index("retry"):
        yield (
            "has its rate limiter outside the retry: only the first attempt of a request waits for the limit, and the limiter "
            "sees only the last response. Put the RetryTransport around the RateLimitTransport"
        )


def _warn(message: str) -> None:
    """Warn at the line that builds the stack."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and package_of(frame.f_globals["__name__"]) == OURS:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, stacklevel=depth)

"""Warnings of stacks whose order cannot do what their parts promise."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal

LayerKind = Literal["cache", "retry", "circuit breaker", "rate limit", "bulkhead"]

_PACKAGE = f"{__name__.split('.')[0]}."


class Ordered:
    """A layer whose place in a stack matters."""

    kind: LayerKind | None = None


def warn_of_order(layers: Sequence[Any], within: Sequence[Any]) -> None:
    """Warn of layers, outermost first, but not again of what is wrong `within`: the innermost of them, which stood before."""
    known = set(_faults(within))
    for fault in _faults(layers):
        if fault not in known:
            _warn(f"this stack {fault}")


def _faults(layers: Sequence[Any]) -> Iterator[str]:
    kinds = [layer.kind for layer in layers if isinstance(layer, Ordered) and layer.kind is not None]
    first = next((number for number, kind in enumerate(kinds) if kind != "cache"), len(kinds))
    if "cache" in kinds[first:]:
        yield (
            "has its cache inside: what it answers is counted, and made to wait, as if it went to the server. "
            "Put the CacheTransport around the other transports"
        )
    if kinds.count("retry") > 1:
        yield (
            "retries twice: each try of the outer retry layer is made several times over by the inner one. Leave one of them out"
        )
    if "rate limit" in kinds and "retry" in kinds and kinds.index("rate limit") < kinds.index("retry"):
        yield (
            "has its rate limiter outside the retry: only the first try of a call waits for its turn, and what the server "
            "says to the others is not seen. Put the RetryTransport around the RateLimitTransport"
        )


def _warn(message: str) -> None:
    """Warn at the line that builds the stack."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, stacklevel=depth)

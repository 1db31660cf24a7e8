"""Warnings of stacks whose order cannot do what their parts promise."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

WITHIN_THE_CACHE = ("retry", "circuit breaker", "rate limit", "bulkhead")

_PACKAGE = f"{__name__.split('.')[0]}."


def warn_of_order(layers: Sequence[Any]) -> None:
    """Warn of layers, outermost first, by the `kind` that they say to be of. One that says none stands well anywhere."""
    kinds = [getattr(layer, "kind", None) for layer in layers]
    first = next((number for number, kind in enumerate(kinds) if kind in WITHIN_THE_CACHE), len(kinds))
    if "cache" in kinds[first:]:
        _warn(
            "this stack has its cache inside: what it answers is counted, and made to wait, as if it went to the server. "
            "Put the CacheTransport around the other transports"
        )
    if kinds.count("retry") > 1:
        _warn(
            "this stack retries twice: each try of the outer retry layer is made several times over by the inner one. "
            "Leave one of them out"
        )
    if "rate limit" in kinds and "retry" in kinds[kinds.index("rate limit") :]:
        _warn(
            "this stack has its rate limiter outside the retry: only the first try of a call waits for its turn, and what the "
            "server says to the others is not seen. Put the RetryTransport around the RateLimitTransport"
        )


def _warn(message: str) -> None:
    """Warn at the line that builds the stack."""
    depth, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, stacklevel=depth)

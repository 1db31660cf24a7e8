"""What was discovered of limits, as text that outlives the process."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

SNAPSHOT_VERSION = 2
"""The version of the format: a snapshot of another version is refused."""

ALL_ROUTES = "*"
"""In place of the digest of a route: the limit is one on all routes."""

LEAST = {"rate": 1 / 60, "in_flight": 1.0}
"""The least value of each number that is kept of a limit. The largest is a million."""

Limits = Mapping[str, Mapping[str, float]]
"""By route, the numbers of its limit."""


def digest(value: Any) -> str:
    """Return what a route, or a key of the user's, is called: a few of them can be told apart, and nobody can read them."""
    return hashlib.blake2b(repr(value).encode(), digest_size=4).hexdigest()


def name_of(key: Any, own: bool) -> str:
    """Return what a key is called. Of a credential two bytes of a hash are told, of a key of the user's `own` only a hash."""
    if own:
        return digest(key)
    (scheme, host, port), credential = key
    origin = f"{scheme}://{host}" + (f":{port}" if port is not None else "")
    return f"{origin} {credential[-4:]}" if credential else origin


def written(limits: Mapping[str, Limits]) -> str:
    """Return the limits by key as JSON."""
    return json.dumps({"ratewise": SNAPSHOT_VERSION, "limits": limits}, indent=1)


def read(text: str) -> dict[str, Limits]:
    """Return what was `written`. Raises `ValueError` for any other text."""
    try:
        snapshot = json.loads(text)
        if snapshot["ratewise"] != SNAPSHOT_VERSION:
            raise ValueError("unsupported version")
        return {
            str(key): {str(route): _checked(limit) for route, limit in routes.items()}
            for key, routes in snapshot["limits"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a snapshot of a RateLimiter ({type(error).__name__}: {error})") from None


def _checked(limit: Mapping[str, Any]) -> Mapping[str, float]:
    for name, value in limit.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not LEAST[name] <= value <= 1_000_000:
            raise ValueError(f"{name} cannot be {value!r:.40}")
    return dict(limit)

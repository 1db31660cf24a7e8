"""What was found out of limits that nobody tells, as text that outlives the process."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from .found import Ceiling, Filling, Kept, Phase, Turning
from .limits import LONGEST_WINDOW

SNAPSHOT_VERSION = 1
"""The version of the format: a snapshot of another version is refused."""

_FIELDS = {
    "rate": {"rate", "burst", "left", "shuts"},
    "window": {"requests", "seconds", "least", "age"},
    "concurrency": {"requests"},
}
"""By kind of a limit, the names of its numbers."""

_LEAST = {"rate": 1e-6, "burst": 1.0, "requests": 1.0, "seconds": 0.001}
"""The least value of a number, by its name; 0 for the others. The largest is `LONGEST_WINDOW`."""


def name_of(key: Any, own: bool) -> str:
    """What a limit is called. Of a key of the user's `own`, and of a credential, only two bytes of a hash are told.

    That tells a few of them apart, and is of no use to whoever wants to know them.
    """
    if not own:
        (scheme, host, port), credential = key
        origin = f"{scheme}://{host}" + (f":{port}" if port is not None else "")
        return f"{origin} {credential[-4:]}" if credential else origin
    return hashlib.blake2b(repr(key).encode(), digest_size=2).hexdigest()


def written(limits: dict[str, Kept], now: float) -> str:
    """As JSON. `now`: seconds since the epoch."""
    return json.dumps({"ratewise": SNAPSHOT_VERSION, "at": now, "limits": limits}, indent=1)


def read(text: str, now: float) -> dict[str, Kept]:
    """What was `written`, by name, `now`: as much older as time has passed since. Raises `ValueError` for any other text."""
    try:
        snapshot = json.loads(text)
        if snapshot["ratewise"] != SNAPSHOT_VERSION:
            raise ValueError("unsupported version")
        passed = max(now - _finite(snapshot["at"]), 0.0)
        return {str(name): older(_checked(kept), passed) for name, kept in snapshot["limits"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a snapshot of a RateLimiter ({type(error).__name__}: {error})") from None


def phase_of(kept: Kept, now: float) -> Phase:
    """What a limiter goes on with. `now`: seconds, monotonic."""
    if kept["kind"] == "rate":
        return Filling.restored(kept, now)
    if kept["kind"] == "window":
        return Turning.restored(kept, now)
    return Ceiling(int(kept["requests"]))


def older(kept: Kept, passed: float) -> Kept:
    """The same after so many seconds."""
    if kept["kind"] == "rate":
        return {**kept, "left": min(kept["left"] + passed * kept["rate"], kept["burst"])}
    return {**kept, "age": min(kept["age"] + passed, LONGEST_WINDOW)} if kept["kind"] == "window" else kept


def _checked(kept: Any) -> Kept:
    names = _FIELDS[kept["kind"]]
    values = {name: _finite(kept[name]) for name in names}
    for name, value in values.items():
        if not _LEAST.get(name, 0) <= value <= LONGEST_WINDOW:
            raise ValueError(f"{name} cannot be {value:g}")
    return {"kind": kept["kind"], **values}


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value

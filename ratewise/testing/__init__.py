"""A test kit for code that uses RateWise: no waiting, virtual time, scripted transports, faults and local servers.

Imports neither pytest nor an HTTP library until something that needs them is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._httpx.testing import AsyncFaultTransport, AsyncScriptedTransport, FaultTransport, ScriptedTransport
    from .clock import FakeClock
    from .description import describe
    from .families import FAMILIES
    from .fault_server import FaultServer
    from .faults import Fault
    from .limited_server import LimitedServer
    from .limits import ConcurrencyLimit, FixedWindow, Limit, Quota, SlidingWindow, TokenBucket
    from .messages import Received, Reply
    from .script import delayed
    from .server import LocalServer
    from .switches import no_waiting, retries_off

_HOME = {
    ".._httpx.testing": (
        "AsyncFaultTransport",
        "AsyncScriptedTransport",
        "FaultTransport",
        "ScriptedTransport",
    ),
    ".clock": ("FakeClock",),
    ".description": ("describe",),
    ".fault_server": ("FaultServer",),
    ".faults": ("Fault",),
    ".families": ("FAMILIES",),
    ".limited_server": ("LimitedServer",),
    ".limits": (
        "ConcurrencyLimit",
        "FixedWindow",
        "Limit",
        "Quota",
        "SlidingWindow",
        "TokenBucket",
    ),
    ".messages": (
        "Received",
        "Reply",
    ),
    ".script": ("delayed",),
    ".server": ("LocalServer",),
    ".switches": (
        "no_waiting",
        "retries_off",
    ),
}
"""The public names, by the module that they are loaded from."""

_MODULES = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "FAMILIES",
    "AsyncFaultTransport",
    "AsyncScriptedTransport",
    "ConcurrencyLimit",
    "FakeClock",
    "Fault",
    "FaultServer",
    "FaultTransport",
    "FixedWindow",
    "Limit",
    "LimitedServer",
    "LocalServer",
    "Quota",
    "Received",
    "Reply",
    "ScriptedTransport",
    "SlidingWindow",
    "TokenBucket",
    "delayed",
    "describe",
    "no_waiting",
    "retries_off",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'ratewise.testing' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

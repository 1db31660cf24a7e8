"""The packages that modules and classes belong to."""

from __future__ import annotations

OURS = __name__.partition(".")[0]
"""The name of this package."""


def package_of(module: str) -> str:
    """Return the top-level package of a module, given by its name."""
    return module.partition(".")[0]

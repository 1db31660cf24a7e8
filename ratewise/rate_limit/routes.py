"""The routes of a server: path templates, by which requests are grouped."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .._util.lazy_regex import regex

ANY = "*"
"""Stands for an identifier."""

_IDENTIFIER = regex(
    r"[0-9]+"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|[0-9a-fA-F]{16,}"
    r"|(?=[^0-9]*[0-9])[A-Za-z0-9_~.:@=-]{20,}"
)
"""A number, a UUID, a hash, or a long opaque segment that contains a digit."""


@lru_cache(maxsize=4096)
def _template(path: str) -> str:
    """Return the template of a path, in which identifiers are one wildcard."""
    return "/".join(ANY if _IDENTIFIER.fullmatch(segment) else segment for segment in path.split("/"))


def path_template(request: Any) -> str:
    """Return the route of a request: its path, in which identifiers are one wildcard."""
    return _template(request.url.path)

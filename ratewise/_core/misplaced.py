"""Options of a request that stand in its `extensions` by themselves, where nothing reads them."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from .options import options

OPTIONS = frozenset(signature(options).parameters)
"""The names of all options of a request."""


def refuse_misplaced(extensions: Mapping[str, Any]) -> None:
    """Raise `TypeError` if one of the `OPTIONS` is there with a value that it takes. Other values are other libraries'."""
    for name in sorted(OPTIONS & extensions.keys()):
        value = extensions[name]
        try:
            options(**{name: value})
        except (TypeError, ValueError):
            continue
        if value is not None:
            written = f"ratewise.options({name}={value!r})"
            raise TypeError(
                f'extensions["{name}"] has no effect: give extensions={written}, '
                f"or extensions={{**{written}, ...}} beside other extensions"
            )

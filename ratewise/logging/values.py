"""Values of any kind as they may be shown. Pure."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from ..known_secrets import URL_HEADERS
from ..redact import Redactor
from .elements import LABELS
from .masking import VALUES, message

DEEPEST = 10
"""Values within values that are looked into."""

MOST_ITEMS = 1000
"""Values within a value that are looked at."""


def value(redactor: Redactor, name: str, thing: Any) -> Any:
    """A value of any kind that goes by this name, without the secrets in it. Never raises, whatever the value does."""
    try:
        return _value_of(redactor, name, thing, 0, [MOST_ITEMS])
    except Exception:
        return f"<{type(thing).__name__}>"


def _value_of(redactor: Redactor, name: str, thing: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if thing is None or isinstance(thing, bool):
        return thing
    if redactor.is_secret_key(name):
        return redactor.mask(str(thing))
    if isinstance(thing, (int, float)):
        return thing
    if depth == DEEPEST or left[0] < 0:  # it may hold itself
        return "..."
    if isinstance(thing, Mapping) or hasattr(thing, "_asdict"):  # the latter is a named tuple
        given = thing if isinstance(thing, Mapping) else thing._asdict()
        shown: Any = {}
        labelled = any(_name(key).lower() in LABELS and redactor.is_secret_key(_name(item)) for key, item in given.items())
        for key, item in given.items():
            hides = labelled and _name(key).lower() in VALUES
            shown[_text(redactor, key)] = (
                redactor.mask(str(item)) if hides else _value_of(redactor, _name(key), item, depth + 1, left)
            )
        same = all(key in shown and shown[key] is item for key, item in given.items())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        if isinstance(thing, (list, tuple)) and len(thing) == 2 and isinstance(thing[0], (str, bytes)):  # a header field, say
            shown = [_text(redactor, thing[0]), _value_of(redactor, _name(thing[0]), thing[1], depth + 1, left)]
        else:
            shown = [_value_of(redactor, name, item, depth + 1, left) for item in thing]
        same = all(map(operator.is_, shown, thing))
        shown = tuple(shown) if isinstance(thing, tuple) else shown
    else:
        text = str(thing)
        shown = redactor.header(name, text) if name.lower() in URL_HEADERS else message(redactor, text)
        same = shown == text
    return thing if same else shown


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _text(redactor: Redactor, key: Any) -> Any:
    """A key, or a name of something, as it may be shown."""
    shown = message(redactor, key) if isinstance(key, str) else key
    return key if shown == key else shown

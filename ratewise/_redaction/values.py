"""Masking of Python values of any type."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from .labels import is_credentials, is_user_with_password
from .masker import HIDDEN, Masker
from .secrets import LABEL_ENDINGS, URL_HEADERS, VALUE_ENDINGS
from .text import message

MAX_VALUE_DEPTH = 10
"""Levels of nested values that are masked; deeper ones are replaced by `...`."""

MAX_ITEMS = 1000
"""Values nested in one value that are masked, at most; further ones are left out."""

MAX_CHARACTERS = 256 * 1024
"""Characters of all texts nested in one value that are masked, at most; further texts are replaced by `...`."""


def value(redactor: Masker, name: str, thing: Any) -> Any:
    """Return the value of this name with its secrets masked. Never raises, whatever the methods of the value do."""
    return _Values(redactor).of(name, thing, 0)


class _Values:
    """The values nested in one, within the bounds above."""

    def __init__(self, redactor: Masker) -> None:
        self._redactor = redactor
        self._items, self._characters = MAX_ITEMS, MAX_CHARACTERS

    def of(self, name: str, thing: Any, depth: int) -> Any:
        self._items -= 1
        try:
            return self._of(name, thing, depth)
        except Exception:
            return f"<{type(thing).__name__}>"

    def _of(self, name: str, thing: Any, depth: int) -> Any:
        redactor = self._redactor
        if thing is None or isinstance(thing, bool):
            return thing
        if redactor.is_secret_key(name) or (is_credentials(name.lower()) and _is_user_with_password(thing)):
            return redactor.mask(str(thing)) if isinstance(thing, (str, bytes, int, float)) else HIDDEN
        if type(thing) in (int, float):
            return thing
        if depth == MAX_VALUE_DEPTH or self._items < 0 or self._characters < 0:  # it may contain itself
            return "..."
        if isinstance(thing, Mapping) or (isinstance(thing, tuple) and hasattr(thing, "_asdict")):  # the latter is a named tuple
            return self._mapping(thing, depth)
        if isinstance(thing, (list, tuple, set, frozenset)):
            return self._sequence(name, thing, depth)
        if name.lower() in URL_HEADERS:
            shown = redactor.header(name, str(thing))
            return thing if shown == thing else shown
        return self._shown(thing)

    def _mapping(self, thing: Any, depth: int) -> Any:
        given = thing if isinstance(thing, Mapping) else thing._asdict()
        texts = [(key, item) for key, item in given.items() if isinstance(item, (str, bytes))]
        labels = [item for key, item in texts if _name(key).lower().endswith(LABEL_ENDINGS)]
        labelled = any(self._redactor.is_secret_key(_name(label)) for label in labels)
        shown: dict[Any, Any] = {}
        for key, item in given.items():
            if self._items < 0:
                shown["..."] = "more"
                break
            hides = labelled and _name(key).lower().endswith(VALUE_ENDINGS)
            shown[self._key(key)] = self.of("secret" if hides else _name(key), item, depth + 1)
        if not all(key in shown and shown[key] is item for key, item in given.items()):
            return shown
        return thing if type(thing) is dict else self._shown(thing)

    def _sequence(self, name: str, thing: Any, depth: int) -> Any:
        first = _name(thing[0]) if isinstance(thing, (list, tuple)) and thing and isinstance(thing[0], (str, bytes)) else None
        if first is not None and (len(thing) == 2 or (len(thing) == 3 and _name(thing[1]).lower() == first.lower())):
            # a header field; httpx has triples: name, lower-case name, value
            shown = [*map(self._key, thing[:-1]), self.of(first, thing[-1], depth + 1)]
        else:
            shown = []
            for item in thing:
                if self._items < 0:
                    shown.append("...")
                    break
                shown.append(self.of(name, item, depth + 1))
        if all(map(operator.is_, shown, thing)):
            return thing if type(thing) in (list, tuple, set, frozenset) else self._shown(thing)
        return tuple(shown) if isinstance(thing, tuple) else shown

    def _key(self, key: Any) -> Any:
        """Return a key, or the name in a pair, masked."""
        text = key if isinstance(key, str) else _name(key)
        shown = self._text(text)
        return key if shown == text else shown

    def _shown(self, thing: Any) -> Any:
        """Return the thing itself if neither `str` nor `repr` shows a secret, as a formatter may use either; else masked text."""
        text = str(thing)
        shown = self._text(text)
        if shown != text:
            return shown
        shown_by_repr = text if type(thing) is str else repr(thing)
        return thing if shown_by_repr == text or self._text(shown_by_repr) == shown_by_repr else shown

    def _text(self, text: str) -> str:
        self._characters -= len(text)
        return message(self._redactor, text)


def _is_user_with_password(thing: Any) -> bool:
    if isinstance(thing, (str, bytes)):
        return is_user_with_password(_name(thing))
    return isinstance(thing, (tuple, list)) and len(thing) == 2


def _name(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)

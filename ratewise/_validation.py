"""Settings are checked where they are given: an error names the setting, the value and what is allowed."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Collection, Hashable, Iterable
from functools import wraps
from typing import Any

from ._core.clock import Clock
from ._redaction.masker import DEFAULT_MASKER
from ._util.escapes import escaped
from ._util.packages import package_of

LONGEST_SHOWN = 1000
"""Characters of a refused value, at most."""


def seconds(setting: str, value: Any, *, above_zero: bool = False) -> float:
    """`value`, if it is a finite number of seconds of at least 0 (or above it)."""
    allowed = f"a finite number of seconds {'above' if above_zero else 'of at least'} 0"
    return _number(setting, value, allowed, lambda v: v > 0 if above_zero else v >= 0)


def factor(setting: str, value: Any, *, least: float, most: float = math.inf) -> float:
    """`value`, if it is a finite number from `least` to `most`."""
    allowed = f"a finite number of at least {least:g}" if most == math.inf else f"a number from {least:g} to {most:g}"
    return _number(setting, value, allowed, lambda v: least <= v <= most)


def number(setting: str, value: Any) -> float:
    """`value`, if it is a finite number above 0."""
    return _number(setting, value, "a finite number above 0", lambda v: v > 0)


def rate(setting: str, value: Any) -> float:
    """`value`, if it is a part of a whole: above 0 and at most 1."""
    return _number(setting, value, "a number above 0 and of at most 1", lambda v: 0 < v <= 1)


def whole(setting: str, value: Any, *, least: int) -> int:
    """`value`, if it is an int of at least `least`."""
    allowed = f"a whole number of at least {least}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(refusal(setting, value, allowed))
    if value < least:
        raise ValueError(refusal(setting, value, allowed))
    return value


def flag(setting: str, value: Any) -> bool:
    """`value`, if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(refusal(setting, value, "True or False"))
    return value


def clock(value: Any) -> Clock | None:
    """`value`, if it is a `Clock` or None."""
    if not isinstance(value, (Clock, type(None))):
        raise TypeError(refusal("clock", value, "a Clock"))
    return value


def function(setting: str, value: Any, of: str) -> Any:
    """`value`, if it can be called without awaiting. `of`: what it is called with."""
    if not callable(value) or any(map(inspect.iscoroutinefunction, (value, value.__call__))):
        raise TypeError(refusal(setting, value, f"a plain function of {of}, also in async code"))
    return value


def key_function(value: Any, owner: str, setting: str = "key") -> Callable[[Any], Hashable]:
    """The `key=` or `route=` of a class, if it can be called without awaiting; it raises `TypeError` for what is not hashable."""
    key: Callable[[Any], Hashable] = function(setting, value, "the request")

    @wraps(key)
    def checked(request: Any) -> Hashable:
        found = key(request)
        try:
            hash(found)
        except TypeError as error:  # what was found may be a secret: it is not shown
            allowed = "something hashable, such as a string or a tuple of strings"
            raise TypeError(f"{setting} of {owner} must return {allowed}, not a {type(found).__name__} ({error})") from None
        return found

    return checked


def names_of(setting: str, names: Iterable[str]) -> Collection[str]:
    """`names`, if that is a list of strings."""
    allowed = "a list of strings that are not empty"
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(refusal(setting, names, allowed))
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(refusal(setting, found, allowed))
        if not name:
            raise ValueError(refusal(setting, found, allowed))
    return found


def compiled(setting: str, patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """`patterns`, if they are regular expressions."""
    found = []
    for pattern in names_of(setting, patterns):
        try:
            found.append(re.compile(pattern))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{setting} must be regular expressions ({error}), not {pattern!r}") from None
    return tuple(found)


def refusal(setting: str, value: object, allowed: str) -> str:
    """The sentence that every refused setting gets."""
    return f"{setting} must be {allowed}, not {escaped(DEFAULT_MASKER.text(repr(value), longest=LONGEST_SHOWN))}"


def described(value: object) -> str:
    """A value that is not shown, by its type: `None`, or `an object of type httpx.Response`."""
    return "None" if value is None else f"an object of type {full_name(type(value))}"


def full_name(kind: type) -> str:
    """The name of a class, with that of its top-level package: `httpx.Response`."""
    return kind.__name__ if kind.__module__ == "builtins" else f"{package_of(kind.__module__)}.{kind.__name__}"


def _number(setting: str, value: Any, allowed: str, fits: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(refusal(setting, value, allowed))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and fits(number)):
        raise ValueError(refusal(setting, value, allowed))
    return number

"""Masking of errors and keys."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import pytest

from tests.redaction.samples import FULL

# Errors


def test_errors_are_cleaned() -> None:
    """The header field in an HTTP library's error is masked, in the error and in those that caused it."""
    try:
        try:
            raise ValueError(r"Illegal header value b'sesame\n'", 5)
        except ValueError as error:
            raise KeyError("illegal status line: sesame") from error
    except KeyError as error:
        found = error
    found.__cause__.__context__ = found  # type: ignore[union-attr]  # such things happen
    FULL.clean(found)
    assert found.args == ("illegal status line: [REDACTED]",)
    assert found.__cause__ is not None
    assert found.__cause__.args == ("Illegal header value [REDACTED]", 5)


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """An error whose arguments cannot be set."""

    text: str


class OddError(Exception):
    """A falsy error whose arguments cannot be read."""

    @property  # type: ignore[misc]
    def args(self) -> Any:
        raise RuntimeError

    def __bool__(self) -> bool:
        return False


def test_errors_that_cannot_be_cleaned() -> None:
    """They stay unchanged, the errors that caused them are masked, and nothing is raised."""
    for odd in (FrozenError("Illegal header value b'sesame'"), OddError()):
        inner, outer = ValueError("Illegal header value b'sesame'"), ValueError("x")
        outer.__cause__ = odd
        BaseException.__setattr__(odd, "__context__", inner)
        FULL.clean(outer)
        assert inner.args == ("Illegal header value [REDACTED]",)
        assert outer.args == ("x",)
    plain = KeyError(Color.RED)
    FULL.clean(plain)
    assert plain.args[0] is Color.RED


class Color(str, enum.Enum):
    RED = "red"


# Keys


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (("https", "2001:db8::1", 8443), "https://[2001:db8::1]:8443"),
        (("https", "h", None), "https://h"),
        (("https", "h", "x"), "('https', 'h', 'x')"),
        ("a\nb \x1b[1m", r"a\nb \x1b[1m"),
        ("api_key=sesame&a=1", "api_key=REDACTED&a=1"),
        ("x-api-key: sesame", "x-api-key: [REDACTED]"),
        ({"x-api-key": "sesame"}, "[REDACTED]"),
        (("X-Api-Key", "sesame"), "[REDACTED]"),
        (5, "5"),
    ],
)
def test_shown_keys(key: object, shown: str) -> None:
    """An origin is shown as a URL; anything else on one line, masked."""
    assert FULL.key(key) == shown


def test_keys_that_cannot_be_shown() -> None:
    """Keys whose text raises are shown by type."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    assert FULL.key(Bad()) == "<Bad>"

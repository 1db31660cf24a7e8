"""Durations as messages show them."""

from __future__ import annotations


def in_seconds(seconds: float) -> str:
    """A number of seconds with its unit, as exact as a reader needs it: nothing below a millisecond."""
    digits = 3 if seconds < 1 else 2 if seconds < 100 else 0
    return f"{round(seconds, digits):.15g} s"

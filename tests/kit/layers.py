"""Layers made from functions."""

from __future__ import annotations

from typing import Any


class Layer:
    """A layer whose `handle` is a given function."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

"""Layers as tests write them."""

from __future__ import annotations

from typing import Any


class Layer:
    """A layer made of a function."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

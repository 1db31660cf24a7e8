"""Processes that begin as copies of one that has threads, whose locks nobody in the copy would ever release."""

from __future__ import annotations

import os
from typing import Callable

at_fork: Callable[..., object] = getattr(os, "register_at_fork", lambda **_: None)  # there is none in Windows

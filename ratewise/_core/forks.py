"""Forks: a child process copies the locks of its parent, but not the threads that would release them."""

from __future__ import annotations

import os
from typing import Callable

at_fork: Callable[..., object] = getattr(os, "register_at_fork", lambda **_: None)
"""`os.register_at_fork`; has no effect on Windows, which has no fork."""

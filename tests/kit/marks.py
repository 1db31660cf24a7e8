"""Marks that tests of several packages use."""

from __future__ import annotations

import os
import sys

import pytest

# These tests check how a child process uses what its parent had open: without fork there is no such child.
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

# The interruption must come from outside at a moment that the test chooses; only a signal does that.
SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals (SIGUSR1), which stand for Ctrl-C here")

# Under trio, httpx's own generators warn when a body is left half read, also with a plain client.
HALF_READ = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# asyncio before 3.11 leaves a transport open if it is cancelled while connecting, also with a plain client.
CANCELLED_CONNECTS = pytest.mark.filterwarnings("ignore::ResourceWarning" if sys.version_info < (3, 11) else "error")

"""Marks that tests of several rooms need."""

from __future__ import annotations

import os
import sys

import pytest

# What is tested is how a child goes on with what its parent had open: where nothing forks there is no such child.
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

# An interruption has to come from outside, at a moment that the test sets: a signal is the one way to have that.
SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals (SIGUSR1), which stand for Ctrl-C here")

# Under trio, httpx's own generators complain when a body is left half read: with a plain client too.
HALF_READ = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

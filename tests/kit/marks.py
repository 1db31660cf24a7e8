"""Marks for tests that not every machine can run."""

from __future__ import annotations

import os

import pytest

# What is tested is how a child goes on with what its parent had open: where nothing forks there is no such child.
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

"""The soak, in small: see `tests/soak`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.marks import FORKS

ROOT = Path(__file__).parent.parent


# It forks, and counts the descriptors of its process, which Linux alone lists.
@FORKS
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/fd and /proc/self/statm")
def test_two_seconds() -> None:
    """50 tasks and 16 threads with faults, cancellations and a fork: nothing is lost, doubled, mixed up or left."""
    done = subprocess.run([sys.executable, "-m", "tests.soak", "2"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
    assert "violations              0" in done.stdout

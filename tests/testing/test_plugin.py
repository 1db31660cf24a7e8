"""The pytest plugin: fixtures by the entry point, which loads nothing before one of them is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ratewise

MODULE = """
import sys

loaded = {name for name in sys.modules if name.split(".")[0] == "ratewise"}


def test_what_was_loaded():
    assert loaded == {"ratewise", "ratewise._pytest_plugin"}


import httpx  # noqa: E402
from ratewise import Clock, RateWiseClient, RetryConfig  # noqa: E402

statuses, sent = [], []


def answer(request):
    sent.append(request)
    return httpx.Response(statuses.pop(), headers={"Retry-After": "3000"})


config = RetryConfig(2, max_retry_after=5000)
wire = httpx.MockTransport(answer)
client = RateWiseClient("https://api.example.com", transport=wire, retry_config=config, rate_limiter=None)


def test_no_waiting(ratewise_no_waiting):
    statuses[:] = [200, 503]
    assert client.get("/").status_code == 200


def test_retries_off(ratewise_retries_off):
    statuses[:] = [200, 503]
    assert client.get("/").status_code == 503


def test_clock(ratewise_clock):
    statuses[:] = [200, 503]
    assert client.get("/").status_code == 200
    assert 3000 <= ratewise_clock.elapsed <= 3300


def test_nothing_is_left():
    statuses[:] = [503]
    assert Clock._tracker is None
    assert len(sent) == 5
"""


def test_the_entry_point(tmp_path: Path) -> None:
    """In a project that has RateWise installed the fixtures are there, and act on a client that exists already."""
    (tmp_path / "test_module.py").write_text(MODULE)
    path = os.pathsep.join([str(Path(ratewise.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_module.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "5 passed" in run.stdout, run.stdout + run.stderr

"""The number of RateWise functions that one call executes, in a process that has made no call before."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import logging, os, sys
import httpx
import ratewise
from ratewise import Bulkhead, CircuitBreaker, Clock, InMemoryCache, LogConfig, RateWiseClient


class Passing(Clock):  # a FakeClock would execute functions of its own
    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def park(self, waiter, timeout):
        self.now += timeout
        return waiter.woken

HOME = os.path.dirname(ratewise.__file__)
FULL = dict(circuit_breaker=CircuitBreaker(), cache=InMemoryCache(), bulkhead=Bulkhead(), log_config=LogConfig())
FULL["total_timeout"] = 60
logging.getLogger("ratewise").addHandler(logging.NullHandler())
refused = httpx.Response(429, headers={headers}, content=b"{{}}")
answers = [refused, httpx.Response(200, content=b"ok")]
wire = httpx.MockTransport(lambda request: answers.pop(0))
client = RateWiseClient("https://api.example.com", transport=wire, clock=Passing(), **{settings})
calls = []

def profile(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.startswith(HOME):
        calls.append(frame.f_code.co_name)

sys.setprofile(profile)
response = client.get("/")
sys.setprofile(None)
assert response.status_code == 200 and not answers
print(len(calls), calls.count("outcome_of_response"), calls.count("rate_limit_fields"))
"""


@pytest.mark.parametrize(("settings", "most"), [("{}", 270), ("FULL", 430)], ids=["client", "whole stack"])
@pytest.mark.parametrize("headers", ["{}", '{"Retry-After": "2"}'], ids=["429", "Retry-After"])
def test_a_retry_goes_through_few_functions(headers: str, settings: str, most: int) -> None:
    """For a 429 and then a 200, each response is classified at most once, and rate-limit fields are parsed at most once."""
    script = COUNT.format(headers=headers, settings=settings)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    calls, classified, parsed = map(int, done.stdout.split())
    assert calls <= most
    assert classified <= 2
    assert parsed <= 1

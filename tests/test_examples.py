"""The examples: each runs as a script and prints the expected lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

EXPECTED = {
    "async_quickstart.py": (
        r"^GET /fine: 200, requests sent: 1$",
        r"^GET /broken: 200, requests sent: 2$\n  attempt 1: \w+Error, waited ",
        r"^So far: \{'total_requests': 4, 'successful': 4, 'failed': 0, 'total_retries': 4, 'avg_retries': 1.0",
    ),
    "caching.py": (
        r"^  /rates  200   1000 bytes  asked  RateWise; fwd=uri-miss; stored$",
        r"^  /rates  200   1000 bytes  -      RateWise; hit; ttl=[0-9]+$",
        r"^  /news   200   1000 bytes  asked  RateWise; fwd=stale; fwd-status=304; ttl=",
        r"^  /about  200   1000 bytes  -      RateWise; hit; ttl=[0-9]+$",
        r'^  /me     200   1000 bytes  asked  RateWise; fwd=uri-miss; detail="no-store"$',
        r"^  /rates  RateWise; fwd=request; stored$\n  /rates  RateWise; fwd=bypass$",
        r"^Hit rate: 0\.22 \(2 hits, 7 misses, 1 of them 304\)$",
        r"^In a file, the second run:\n  /rates  200   1000 bytes  -      RateWise; hit; ttl=[0-9]+$",
    ),
    "circuit_breaker.py": (
        r"^ 2 s  closed     200$",
        r"^ 5 s  open       RemoteProtocolError +closed -> open$",
        r"^ ?[0-9]+ s  open       refused at once, worth trying in [0-9] s$",
        r"^1[0-9] s  open       503 +open -> half_open, half_open -> open$",
        r"^[12][0-9] s  closed     200 +half_open -> closed$",
        r"^Requests at the server: [0-9]+ of 24\. Trips: 2\.$",
    ),
    "custom_layer.py": (
        r"^  [0-9a-f]{8}: GET /sync 200 in [0-9.]+ s$",
        r"^  [0-9a-f]{8}: GET /asyncio 200 in [0-9.]+ s$",
        r"^  [0-9a-f]{8}: GET /trio 200 in [0-9.]+ s$",
    ),
    "existing_client.py": (
        r"^Your own client: 200, requests sent: 3$",
        r"^A library's client: \{'path': '/balance', 'request': 3\}$",
    ),
    "hostile_server.py": (
        r"^GET, which does no harm twice: 200, requests at the server: 3$",
        r"^POST: RemoteProtocolError, requests at the server: 1\n  attempt 1: \w+, no retry \(POST is not idempotent",
        r"^POST with a key: 201, requests at the server: 2$",
        r"^Half a second in all: DeadlineExceeded, requests at the server: 1$",
        r"^A server that fails everything: 50 calls, [67][0-9] requests, not 150$",
    ),
    "httpx2_client.py": (
        r"^RateWiseClient, an httpx2\.Client: 200$\n  attempt 1: 503, waited [^\n]*\n  attempt 2: \w+Error, waited ",
        r"^Your own client: 200$",
        r"^ratewise\.exceptions\.RateLimitExceeded: try again in 3600 s\nhttpx2\.HTTPStatusError: 429$",
    ),
    "many_calls.py": (
        r"^200 calls at once: 200 right answers$",
        r"^Impatient ones: 200, some cancelled: True$\n^Afterwards: 200$",
        *(
            (r"^The child, with a pool of its own: 200$\n^The parent, on its old connection: 200$",)
            if hasattr(os, "fork")
            else ()
        ),
    ),
    "secure_logging.py": (
        r"^\S+ \S+ \[INFO\] ratewise: Request: POST http://127\.0\.0\.1:\d+/login\?token=REDACTED$",
        r'^\S+ \S+ \[DEBUG\] ratewise: Headers: \{.*"Authorization": "Bear\.\.\.here".*\}$',
        r'^\S+ \S+ \[DEBUG\] ratewise: Request body: \{"user": ?"joe", ?"password": ?"\[REDACTED\]"\}$',
        r"^\S+ \S+ \[WARNING\] ratewise: Retry: POST \S+/login\?token=REDACTED: attempt 1 of 4 failed \(503\); ",
        r"^\S+ \S+ \[INFO\] ratewise: Response: 200 \([0-9.]+s\)$",
        r'"Set-Cookie": "\[REDACTED\]"',
        r'Response body: \{"user": "joe", "session_token": "\[REDACTED\]"\}$',
        r"^Call [0-9a-f]{12}, attempts: 2$",
        r"^Records of all loggers: [0-9]{2,}\. Secrets in them: 0$",
    ),
    "shared_redis_cache.py": (
        r"^   0      10                  0$",
        r"^  10       0                  0$",
        r"^40 calls, 10 requests at the server$",
    ),
    "quickstart.py": (
        r"^  attempt 2: 429, waited [0-9.]+ s \(Retry-After\)$",
        r"^GET /search: refused, requests sent: 1, retry after: 3600.0 s$",
        r"^So far: \{'total_requests': 2, 'successful': 1, 'failed': 1, 'total_retries': 2, 'avg_retries': 1.0",
    ),
    "test_weather.py": (r"^7 passed in ",),
    "rate_limits.py": (
        r"^No client can be faster than 2\.0 s$",
        r"^Retries alone: 150 requests done in [0-9.]+ s, [1-9][0-9]+ refused on the way$",
        r"^ +[0-9.]+ s  [#.]*\.",
        r"^With the rate limiter: 150 requests done in [0-9.]+ s, [0-9] refused on the way\n  0\.00 s  #+$",
        r"^With the rate limiter, and an API that says nothing: 150 requests done in [0-9.]+ s, [1-9][0-9]? refused on the way$",
    ),
}


@pytest.mark.parametrize("name", sorted({path.name for path in EXAMPLES.glob("*.py")} | EXPECTED.keys()))
def test_example(name: str, request: pytest.FixtureRequest) -> None:
    """Each example exits with 0, warns of nothing and prints the expected lines; every example has expected lines."""
    assert name in EXPECTED, f"say in EXPECTED what {name} prints"
    paths = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": paths}
    if "redis" in name:
        env["REDIS_URL"] = request.getfixturevalue("redis_url")
    pytest_of_a_user = ["-m", "pytest", "-q"]
    run = subprocess.run(
        [sys.executable, "-W", "error", *(pytest_of_a_user if name.startswith("test_") else []), name],
        cwd=EXAMPLES,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    for line in EXPECTED[name]:
        assert re.search(line, run.stdout, re.MULTILINE), f"{line} is not in\n{run.stdout}"
    # stderr has only the log of the retries
    assert [line for line in run.stderr.splitlines() if not line.startswith("Retry: ")] == []

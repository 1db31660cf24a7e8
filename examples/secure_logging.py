"""Logging without secrets: the request and the response are full of them, and no log record has any.

RateWise's lines are printed. In addition the script keeps every record of every logger, with all fields, and searches it.
Run it with `python examples/secure_logging.py`. It needs no network: a small local server fails once.
"""

from __future__ import annotations

import json
import logging
import sys

from ratewise import LogConfig, RateWiseClient, RetryConfig, exchange_of, setup_logging
from ratewise.testing import LocalServer, Received, Reply

SECRETS = ("hunter2", "Bearer 0123456789 goes here", "0a1b2c3d4e5f", "sesame-open")
statuses = [503]


def answer(received: Received) -> Reply:
    body = json.dumps({"user": "joe", "session_token": "0a1b2c3d4e5f"}).encode()
    headers = {"Content-Type": "application/json", "Set-Cookie": "sid=sesame-open"}
    return Reply(statuses.pop() if statuses else 200, headers, body)


class Kept(logging.Handler):
    """Keeps the records of all loggers, with their extra fields."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{self.format(record)} {vars(record)}")


kept = Kept()
logging.basicConfig(level=logging.DEBUG, handlers=[kept])  # also httpx's and httpcore's loggers
setup_logging(stream=sys.stdout)

log_config = LogConfig(
    level="DEBUG",
    redact_headers=["Authorization", "X-API-Key", "Cookie"],
    redact_patterns=[r"password=\w+", r"token=[\w-]+"],
    mask_style="partial",
    response_headers=True,
    bodies=True,
)
config = RetryConfig(initial_delay=0.05, idempotency_key=True)
with LocalServer(answer) as server, RateWiseClient(server.url, log_config=log_config, retry_config=config) as client:
    response = client.post(
        "/login?token=sesame-open",
        json={"user": "joe", "password": "hunter2"},
        headers={"Authorization": "Bearer 0123456789 goes here"},
    )
print(f"Call {exchange_of(response).id}, attempts: {exchange_of(response).attempts}")
found = sum(one in line for one in SECRETS for line in kept.lines)
print(f"Records of all loggers: {len(kept.lines)}. Secrets in them: {found}")
sys.exit(min(found, 1))

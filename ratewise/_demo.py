"""`python -m ratewise demo`: both clients against a local server that limits, fails and recovers. Needs no network."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from . import AsyncRateWiseClient, ExponentialBackoff, RateLimitExceeded, RateWiseClient, exchange_of, options

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

    Answer = Union[httpx.Response, RateLimitExceeded]


class FlakyServer(ThreadingHTTPServer):
    """A loopback server that fails by a script: `FlakyServer({"/users": "503 drop 429:0.2 200"})`.

    Each word of a path's script answers one request, the last word all further ones: a status code, `429:0.2` for one with
    `Retry-After: 0.2`, `drop` to close the connection without a response, `cut` to close it in the middle of the body, `hang` to
    send no response while the client waits. A context manager; `url` is its base URL.
    """

    daemon_threads = False  # so that closing waits for them and leaves no socket open

    def __init__(self, scripts: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.keys: dict[str, list[str | None]] = {path: [] for path in scripts}
        """By path, the `Idempotency-Key` of each request received."""
        self._scripts = {path: script.split() for path, script in scripts.items()}
        self._lock = threading.Lock()

    def arrived(self, path: str, key: str | None) -> tuple[int, str]:
        """Count a request; return its number among those for its path, from 1, and the word of the script that answers it."""
        if path not in self.keys:
            return 1, "404"
        with self._lock:
            self.keys[path].append(key)
            number, script = len(self.keys[path]), self._scripts[path]
            return number, script[min(number, len(script)) - 1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closes its connection."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"  # keeps connections open
    timeout = 5  # seconds that an idle connection can delay the closing of the server
    wbufsize = -1  # send head and body together, without a delayed ACK between them

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number, word = self.server.arrived(self.path, self.headers.get("Idempotency-Key"))
        self.close_connection = word in ("drop", "cut", "hang")
        if word == "hang":
            self.rfile.read(1)  # returns when the client closes the connection
        if word in ("drop", "hang"):
            return
        status, _, retry_after = word.replace("cut", "200").partition(":")
        body = json.dumps({"path": self.path, "request": number}).encode()
        self.send_response(int(status))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5] if word == "cut" else body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: the demo reports the requests itself."""


class Scenario(NamedTuple):
    """One request, how the server responds, and what it demonstrates."""

    method: str
    path: str
    script: str
    """The server's responses, as a script of `FlakyServer`."""
    point: str
    idempotency_key: str | None = None


SCENARIOS = (
    Scenario("GET", "/limited", "429:0.2 200", "The server says when to retry: the client waits at least that long."),
    Scenario("GET", "/overloaded", "503 503 200", "The server does not say when: the waits grow, with jitter."),
    Scenario("GET", "/dropped", "drop 200", "There was no response. A GET is idempotent: it is sent again."),
    Scenario("POST", "/payments", "500 200", "The server may have taken the money before it failed: not sent again."),
    Scenario("POST", "/keyed-payments", "500 200", "By the key the server recognizes a repetition: sent again.", "payment-7"),
    Scenario("GET", "/exhausted", "429:0.05", "A limit that does not end raises an exception."),
    Scenario("GET", "/quota", "429:3600", "Asked to wait an hour, the client does not sleep but raises at once."),
)
"""The requests of the demo, in order."""

SETTINGS: dict[str, Any] = {
    "max_retries": 2,
    "backoff_strategy": ExponentialBackoff(initial_delay=0.1, jitter="equal"),
    "trust_env": False,  # a proxy could not reach this server
}
"""The settings of both clients."""

STYLES = {
    r"^[A-Z]+ /[^:]+": "bold",
    r"(?m)^  [1-9]  [45]..|[A-Z]\w+Error|RateLimitExceeded": "red",
    r"(?m)^  [1-9]  2..": "green",
    r"waited .* s": "yellow",
    r"(?m)^  Result: .*": "italic",
}
"""What rich highlights in a report: regular expressions and their styles."""


def run_sync(url: str) -> tuple[list[Answer], dict[str, float]]:
    """Run the scenarios; return their results and the client's counts."""
    answers: list[Answer] = []
    with RateWiseClient(url, **SETTINGS) as client:
        for scenario in SCENARIOS:
            extensions = options(idempotency_key=scenario.idempotency_key)
            try:
                answers.append(client.request(scenario.method, scenario.path, extensions=extensions))
            except RateLimitExceeded as limit:
                answers.append(limit)
        return answers, client.get_retry_stats()


async def run_async(url: str) -> tuple[list[Answer], dict[str, float]]:
    """The same with the async client."""
    answers: list[Answer] = []
    async with AsyncRateWiseClient(url, **SETTINGS) as client:
        for scenario in SCENARIOS:
            extensions = options(idempotency_key=scenario.idempotency_key)
            try:
                answers.append(await client.request(scenario.method, scenario.path, extensions=extensions))
            except RateLimitExceeded as limit:
                answers.append(limit)
        return answers, client.get_retry_stats()


def report(scenario: Scenario, answer: Answer, keys: list[str | None]) -> str:
    """Describe the result of a scenario. `keys`: the idempotency key of each request that the server received."""
    if isinstance(answer, RateLimitExceeded):
        got = f"RateLimitExceeded, attempts={answer.attempts}, retry_after={answer.retry_after}"
    else:
        got = f"status {answer.status_code}"
    exchange = exchange_of(answer)
    rows = [
        (str(number), outcome, "not sent again" if wait is None else f"waited {wait:.2f} s", why)
        for number, outcome, wait, why in exchange.history
    ]
    if exchange.attempts > len(rows):  # the history has only the failed attempts
        rows.append((str(exchange.attempts), got[-3:], "done", ""))
    widths = [max(map(len, column)) for column in zip(*rows)]
    seen = f", all with the key {keys[0]}" if keys[0] and len(set(keys)) == 1 else ""
    lines = [f"{scenario.method} {scenario.path}: {scenario.point}"]
    lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, f"  Result: {got}. Requests received by the server: {len(keys)}{seen}."])


def write(text: str) -> None:
    """Write a line to stdout."""
    sys.stdout.write(f"{text}\n")


def show(title: str, reports: list[str], counts: str) -> None:
    """Write the reports, as a table if rich is installed, else as plain text."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        write("\n\n".join([f"\n{title}\n{'=' * len(title)}", *reports, counts]))
        return
    table = Table(title, show_lines=True)
    for one in reports:
        text = Text(one)
        for pattern, style in STYLES.items():
            text.highlight_regex(pattern, style)
        table.add_row(text)
    table.add_row(counts)
    Console(file=sys.stdout).print("", table)


@contextmanager
def silenced(logger: logging.Logger) -> Iterator[None]:
    """Disable a logger: RateWise logs each retry, which the demo reports itself."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def demo() -> None:
    """Run the scenarios with the sync and the async client, and show what happened and why."""
    write("RateWise against a local server that limits, fails and recovers. Nothing leaves this machine.")
    for title, run in (
        ("RateWiseClient", run_sync),
        ("AsyncRateWiseClient, under asyncio", lambda url: asyncio.run(run_async(url))),
    ):
        with FlakyServer({scenario.path: scenario.script for scenario in SCENARIOS}) as server:
            with silenced(logging.getLogger("ratewise")):
                answers, stats = run(server.url)
            reports = [report(scenario, answer, server.keys[scenario.path]) for scenario, answer in zip(SCENARIOS, answers)]
        show(title, reports, "get_retry_stats(): " + ", ".join(f"{name} {count:.3g}" for name, count in stats.items()))

"""`python -m ratewise demo`: both clients against a server that limits, fails and recovers. Needs no network."""

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
    """A server on the loopback that goes wrong as it is told: `FlakyServer({"/users": "503 drop 429:0.2 200"})`.

    Each word of a path's script answers one request, the last word all that follow: a status code, `429:0.2` for one with
    `Retry-After: 0.2`, `drop` for a connection closed without an answer, `cut` for one closed in the middle of its body, `hang`
    for no answer while the client waits. A context manager; `url` is where it listens.
    """

    daemon_threads = False  # closing waits for them, and leaves no socket open

    def __init__(self, scripts: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.keys: dict[str, list[str | None]] = {path: [] for path in scripts}
        """By path, the `Idempotency-Key` of each request that arrived."""
        self._scripts = {path: script.split() for path, script in scripts.items()}
        self._lock = threading.Lock()

    def arrived(self, path: str, key: str | None) -> tuple[int, str]:
        """Count a request: which one it is of its path, from 1, and the word that answers it."""
        if path not in self.keys:
            return 1, "404"
        with self._lock:
            self.keys[path].append(key)
            number, script = len(self.keys[path]), self._scripts[path]
            return number, script[min(number, len(script)) - 1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"  # keeps connections
    timeout = 5  # no longer than this does an idle one keep the server from closing
    wbufsize = -1  # head and body leave together: no delayed ACK between them

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number, word = self.server.arrived(self.path, self.headers.get("Idempotency-Key"))
        self.close_connection = word in ("drop", "cut", "hang")
        if word == "hang":
            self.rfile.read(1)  # nothing comes: the client goes
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
        """Nothing: the demo tells it better."""


class Scenario(NamedTuple):
    """One request, what the server makes of it, and what there is to see."""

    method: str
    path: str
    script: str
    """The server's answers: see `FlakyServer`."""
    point: str
    idempotency_key: str | None = None


SCENARIOS = (
    Scenario("GET", "/limited", "429:0.2 200", "The server says when to come back: the client waits no less."),
    Scenario("GET", "/overloaded", "503 503 200", "The server does not say: the waits grow, with some chance in them."),
    Scenario("GET", "/dropped", "drop 200", "No answer came. A GET does no harm twice: it is sent again."),
    Scenario("POST", "/payments", "500 200", "The server may have taken the money before it failed: not sent again."),
    Scenario("POST", "/keyed-payments", "500 200", "With a key the server knows a repetition: sent again.", "payment-7"),
    Scenario("GET", "/exhausted", "429:0.05", "A limit that does not end becomes an exception."),
    Scenario("GET", "/quota", "429:3600", "Asked to wait an hour, the client does not sleep: it tells you at once."),
)
SETTINGS: dict[str, Any] = {
    "max_retries": 2,
    "backoff_strategy": ExponentialBackoff(initial_delay=0.1, jitter="equal"),
    "trust_env": False,  # a proxy would not find this server
}
STYLES = {
    r"^[A-Z]+ /[^:]+": "bold",
    r"(?m)^  [1-9]  [45]..|[A-Z]\w+Error|RateLimitExceeded": "red",
    r"(?m)^  [1-9]  2..": "green",
    r"waited .* s": "yellow",
    r"(?m)^  You get .*": "italic",
}


def run_sync(url: str) -> tuple[list[Answer], dict[str, float]]:
    """What the scenarios came to, and the client's counts."""
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
    """The same, awaited."""
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
    """How a scenario went, read off its answer. `keys` is what the server has counted."""
    if isinstance(answer, RateLimitExceeded):
        got = f"RateLimitExceeded, attempts={answer.attempts}, retry_after={answer.retry_after}"
    else:
        got = f"the {answer.status_code}"
    exchange = exchange_of(answer)
    rows = [
        (str(number), outcome, "not sent again" if wait is None else f"waited {wait:.2f} s", why)
        for number, outcome, wait, why in exchange.history
    ]
    if exchange.attempts > len(rows):  # the history has only those that failed
        rows.append((str(exchange.attempts), got[-3:], "done", ""))
    widths = [max(map(len, column)) for column in zip(*rows)]
    seen = f", all with the key {keys[0]}" if keys[0] and len(set(keys)) == 1 else ""
    lines = [f"{scenario.method} {scenario.path}: {scenario.point}"]
    lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, f"  You get {got}. Requests at the server: {len(keys)}{seen}."])


def write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def show(title: str, reports: list[str], counts: str) -> None:
    """As a table where rich is installed, as plain text where not."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        write("\n\n".join([f"\n{title}\n{'=' * len(title)}", *reports, counts]))
        return
    table = Table(title, show_lines=True)
    for told in reports:
        text = Text(told)
        for pattern, style in STYLES.items():
            text.highlight_regex(pattern, style)
        table.add_row(text)
    table.add_row(counts)
    Console(file=sys.stdout).print("", table)


@contextmanager
def silenced(logger: logging.Logger) -> Iterator[None]:
    """The library logs each retry, which the demo tells itself."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def demo() -> None:
    """Run the scenarios with the sync client and the async one, and show what happened and why."""
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

"""`python -m ratewise demo`: both clients against a local server that limits, fails and recovers. Needs no network."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from . import AsyncRateWiseClient, ExponentialBackoff, RateLimitExceeded, RateWiseClient, exchange_of, options
from .testing.fault_server import FaultServer

if TYPE_CHECKING:
    import httpx

    Answer = Union[httpx.Response, RateLimitExceeded]


class Scenario(NamedTuple):
    """One request, how the server responds, and what it demonstrates."""

    method: str
    path: str
    script: str
    """The server's responses, as a script of `FaultServer`."""
    point: str
    idempotency_key: str | None = None


SCENARIOS = (
    Scenario("GET", "/limited", "429:0.2 200", "The server says when to retry: the client waits at least that long."),
    Scenario("GET", "/overloaded", "503 503 200", "The server does not say when: the waits grow, with jitter."),
    Scenario("GET", "/dropped", "disconnect 200", "There was no response. A GET is idempotent: it is sent again."),
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
        with FaultServer({scenario.path: scenario.script for scenario in SCENARIOS}) as server:
            with silenced(logging.getLogger("ratewise")):
                answers, stats = run(server.url)
            reports = [
                report(scenario, answer, [received.header("Idempotency-Key") for received in server.requests[scenario.path]])
                for scenario, answer in zip(SCENARIOS, answers)
            ]
        show(title, reports, "get_retry_stats(): " + ", ".join(f"{name} {count:.3g}" for name, count in stats.items()))

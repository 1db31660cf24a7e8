"""The examples of the specification, verbatim, against a real server: each does what it promises."""

from __future__ import annotations

import inspect
import io
import json
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import ratewise
from ratewise import RateLimitExceeded, RateWiseClient, RetryConfig
from ratewise.testing import FakeClock
from ratewise.testing.server import Answer, LocalServer, Received, Reply
from tests.contract import specification

HOST = "https://api.example.com"


class Stage:
    """Runs the steps of an example in one namespace, with a test server in place of `HOST`."""

    def __init__(self, server: LocalServer, script: list[Answer]) -> None:
        self.server, self.script = server, script
        self.names: dict[str, Any] = {"__name__": "contract"}
        self.clients: list[Any] = []

    def run(self, code: str, *missing: Any, replacing: tuple[tuple[str, str], ...] = ()) -> Any:
        """Run code, with the imports that it is `missing`; return the client that it made or used."""
        for old, new in ((HOST, self.server.url), *replacing):
            assert old in code or old == HOST, old
            code = code.replace(old, new)
        self.names.update({thing.__name__: thing for thing in missing})
        exec(compile(code, "<specification>", "exec"), self.names)
        client = self.names.get("client")
        if client is not None and client not in self.clients:
            self.clients.append(client)
        return client

    def answer(self, *script: Answer) -> None:
        """Set the server's next answers; after them it answers 200."""
        self.script[:] = script


def steps(example: str) -> list[str]:
    """Split an example before each comment at the beginning of a line."""
    return re.split(r"^(?=# )", example, flags=re.MULTILINE)


def user(received: Received) -> Answer:
    """The server's default answer: a user or the list of users."""
    path = received.target.partition("?")[0]
    body: Any = {"name": "Ada"} if path.startswith("/users/") else [{"name": "Ada"}]
    return Reply(body=json.dumps(body).encode(), headers=(("Content-Type", "application/json"),))


@pytest.fixture
def stage() -> Iterator[Stage]:
    script: list[Answer] = []
    lock = threading.Lock()

    def answer(received: Received) -> Answer:
        with lock:
            return script.pop(0) if script else user(received)

    with LocalServer(answer) as server:
        stage = Stage(server, script)
        yield stage
        for client in stage.clients:
            client.close()


@pytest.fixture
def clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Give every `RateWiseClient` a clock that does not wait."""
    init: Any = inspect.unwrap(RateWiseClient.__init__)
    monkeypatch.setitem(init.__kwdefaults__, "clock", clock)
    return clock


def limited(seconds: str = "2") -> Reply:
    return Reply(429, (("Retry-After", seconds),))


def test_quick_start(stage: Stage, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """The example prints the user's name, also after two 429s; after six 429s it prints that the limit was exceeded."""
    began = clock.elapsed
    for script, said in (
        ([], "User: Ada"),
        ([limited("2"), limited("3")], "User: Ada"),
        ([limited("1")] * 6, "Rate limit exceeded after 6 attempts"),
    ):
        stage.answer(*script)
        client = stage.run(specification.QUICK_START, RateLimitExceeded)
        assert capsys.readouterr().out.splitlines() == [said]
        assert client.is_closed
    assert clock.elapsed - began >= 2 + 3 + 5
    assert {one.header("authorization") for one in stage.server.received} == {"Bearer your-token-here"}
    assert len(stage.server.received) == 1 + 3 + 6


def test_context_manager(stage: Stage) -> None:
    """The users are read, and the client is closed."""
    client = stage.run(specification.CONTEXT_MANAGER, RateWiseClient)
    assert stage.names["users"] == [{"name": "Ada"}]
    assert client.is_closed


def test_async_usage(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """All 100 users are fetched, although the server refuses three requests."""
    stage.answer(*[user(Received("GET", "/users/0", [], b""))] * 10, *[Reply(429, (("retry-after-ms", "20"),))] * 3)
    stage.run(specification.ASYNC_USAGE)
    assert capsys.readouterr().out == "Fetched 100 users\n"
    assert len({one.target for one in stage.server.received}) == 100
    assert len(stage.server.received) == 103


def test_retry_configuration(stage: Stage, clock: FakeClock) -> None:
    """All three settings are accepted together without a warning: retry_config sets the attempts, backoff_strategy the waits."""
    client = stage.run(specification.RETRIES)
    stage.answer(*[Reply(500)] * 5)
    assert client.get("/").status_code == 500
    assert len(stage.server.received) == 5  # max_attempts=5; max_retries=5 would be 6 requests
    assert client.get_retry_delays() == pytest.approx([1.0, 2.0, 4.0, 8.0], rel=0.1)
    assert client.get_retry_delays() != [1.0, 2.0, 4.0, 8.0]  # jitter=True

    for status in (429, 500, 502, 503, 504):
        stage.answer(Reply(status))
        assert client.get("/").status_code == 200
    stage.answer(Reply(408))
    assert client.get("/").status_code == 408

    client = stage.run(specification.RETRIES)
    stage.answer(Reply(503, (("Retry-After", "7"),)))
    began = clock.elapsed
    assert client.get("/").status_code == 200
    assert 7 <= clock.elapsed - began <= 8


def test_circuit_breaker(stage: Stage, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """Five failures open the circuit, a probe is sent after 60 seconds, and two successes close it."""
    make, tell = steps(specification.CIRCUIT_BREAKER)
    client = stage.run(make, RateWiseClient)

    def told() -> str:
        stage.run(tell)
        return capsys.readouterr().out.strip()

    assert told() == "Circuit: closed (failures: 0)"
    stage.answer(*[Reply(500)] * 5)
    assert client.get("/").status_code == 500
    assert told() == "Circuit: closed (failures: 4)"  # one attempt and three retries
    with pytest.raises(ratewise.CircuitBreakerOpen):
        client.get("/")
    assert told() == "Circuit: open (failures: 5)"
    sent = len(stage.server.received)
    with pytest.raises(ratewise.CircuitBreakerOpen):
        client.get("/")
    assert len(stage.server.received) == sent == 5
    clock.advance(60 * 1.1)  # recovery_timeout plus the jitter
    assert client.get("/").status_code == 200
    assert told().startswith("Circuit: half_open")
    assert client.get("/").status_code == 200
    assert told() == "Circuit: closed (failures: 0)"


def test_caching(stage: Stage, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both stores answer repeated requests, and the statistics show the hit rate."""
    imports, memory, redis, tell = steps(specification.CACHING)
    stage.run(imports, RateWiseClient)
    place = urlsplit(redis_url)
    for make, replacing in (
        (memory, ()),
        (redis, (('host="localhost"', f"host={place.hostname!r}"), ("port=6379", f"port={place.port}, timeout=20"))),
    ):
        client = stage.run(make, replacing=replacing)
        assert client.cache.ttl == 300
        stage.run(tell)
        assert capsys.readouterr().out == "Cache hit rate: 0.0%\n"
        sent = len(stage.server.received)
        for _ in range(4):
            assert client.get("/users").json() == [{"name": "Ada"}]
        assert len(stage.server.received) == sent + 1
        stage.run(tell)
        assert capsys.readouterr().out == "Cache hit rate: 75.0%\n"
    client.cache.clear()
    client.cache.close()


def test_the_whole_of_caching(stage: Stage, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole example also runs as one script."""
    place = urlsplit(redis_url)
    replacing = (('host="localhost"', f"host={place.hostname!r}"), ("port=6379", f"port={place.port}"))
    client = stage.run(specification.CACHING, RateWiseClient, replacing=replacing)
    assert capsys.readouterr().out == "Cache hit rate: 0.0%\n"
    client.cache.close()


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_secure_logging(stage: Stage, screen: io.StringIO, level: str) -> None:
    """The log lines are those of the specification; DEBUG lines are shown only at that level."""
    client = stage.run(specification.LOGGING, RateWiseClient, replacing=(('level="INFO"', f'level="{level}"'),))
    client.get("/users", headers={"Authorization": "Bearer your-token-here"})
    promised = specification.LOG_OUTPUT.replace(HOST, stage.server.url).splitlines()
    if level == "INFO":
        promised = [line for line in promised if "[DEBUG]" not in line]
    shown = screen.getvalue().splitlines()
    assert len(shown) == len(promised)
    for line, expected in zip(shown, promised):
        pattern = re.escape(expected)
        pattern = re.sub(r"^2025\\-09\\-06\\ 10:15:3\d", r"\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d", pattern)
        pattern = pattern.replace(r"1\.23s", r"\d+\.\d\ds").replace(r'\{"', r'\{(?:"[^{}]*", )?"').replace(r"\}", r"(?:, .*)?\}")
        assert re.fullmatch(pattern, line), (pattern, line)


def test_secrets_are_not_logged(stage: Stage, screen: io.StringIO) -> None:
    """Neither the headers that are listed nor texts that match the patterns appear in the log."""
    client = stage.run(specification.LOGGING, RateWiseClient, replacing=(('level="INFO"', 'level="DEBUG"'),))
    secret = {"Authorization": "Bearer hunter2-hunter2", "X-API-Key": "hunter2", "Cookie": "session=hunter2"}
    client.get("/users?q=password=hunter2&r=token=hunter2-x", headers=secret)
    assert '"Authorization": "Bear...ter2"' in screen.getvalue()
    assert "hunter2" not in screen.getvalue()


def test_statistics(stage: Stage, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """The statistics count a call that was retried twice and one that failed."""
    whole, delays = (step.strip() for step in steps(specification.STATISTICS)[1:])
    client = stage.names["client"] = RateWiseClient(stage.server.url, max_retries=2)
    stage.answer(Reply(503), Reply(502))
    client.get("/users")
    stage.run(f"{whole}\n{delays}")
    *lines, told = capsys.readouterr().out.strip().splitlines()
    assert lines == [
        "Retry Statistics:",
        "- Total Requests: 1",
        "- Successful: 1",
        "- Failed: 0",
        "- Total Retries: 2",
        "- Average Retries: 2.00",
        "- Circuit Breaker Trips: 0",
        "",
    ]
    assert told == f"Retry delays: {clock.sleeps}"
    assert len(clock.sleeps) == 2
    stage.answer(*[Reply(500)] * 3)
    client.get("/users")
    client.get("/users")
    stage.run(specification.STATISTICS)
    said = capsys.readouterr().out
    for line in ("Total Requests: 3", "Successful: 2", "Failed: 1", "Total Retries: 4", "Average Retries: 1.33"):
        assert f"- {line}\n" in said
    assert said.endswith("Retry delays: []\n")


def test_statistics_count_trips(stage: Stage, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """The statistics count a circuit that opened."""
    make, _ = steps(specification.CIRCUIT_BREAKER)
    client = stage.run(make, RateWiseClient)
    stage.answer(*[Reply(500)] * 5)
    client.get("/")
    with pytest.raises(ratewise.CircuitBreakerOpen):
        client.get("/")
    stage.run(specification.STATISTICS)
    assert "- Circuit Breaker Trips: 1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "status", "waits"),
    [
        ([limited("3")], 200, [3]),
        ([Reply(429)], 200, [60]),
        ([Reply(500), Reply(501), Reply(599)], 200, [2, 4, 8]),
        ([Reply(404)], 404, []),
        ([Reply(408)], 408, []),
        ([], 200, []),
        ([limited("1"), Reply(503), Reply(400)], 400, [1, 4]),
    ],
    ids=str,
)
def test_custom_retry_logic(stage: Stage, clock: FakeClock, script: list[Answer], status: int, waits: list[float]) -> None:
    """`decide=` is called with each outcome, and its decision is followed."""
    stage.run(specification.CUSTOM_RETRY_LOGIC)
    config = RetryConfig(decide=stage.names["custom_retry_logic"])
    with RateWiseClient(stage.server.url, retry_config=config, rate_limiter=None) as client:
        stage.answer(*script)
        assert client.get("/users").status_code == status
        assert client.get_retry_delays() == clock.sleeps == waits
        assert len(stage.server.received) == len(waits) + 1


def test_custom_retry_logic_beside_a_limiter(stage: Stage, clock: FakeClock) -> None:
    """With the client's rate limiter the wait is at least as long."""
    stage.run(specification.CUSTOM_RETRY_LOGIC)
    config = RetryConfig(decide=stage.names["custom_retry_logic"])
    with RateWiseClient(stage.server.url, retry_config=config) as client:
        stage.answer(limited("3"))
        began = clock.elapsed
        assert client.get("/users").status_code == 200
        assert clock.elapsed - began >= 3

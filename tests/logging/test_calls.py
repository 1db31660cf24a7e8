"""Log lines and the exchanges that they belong to; keys, filters and mocks of users, and forks."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
import time
import traceback
from typing import Any

import pytest

from ratewise import Bulkhead, CircuitBreaker, LogConfig, RateLimiter, RetryConfig, exchange_of, install_redaction
from ratewise._core.call_state import CallState
from ratewise.circuit_breaker.circuit import Permit
from ratewise.logging import filters
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Reply
from tests.kit.marks import FORKS
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World, only

URL = "https://api.example.com/CUST-4711?ticket=hunter2"
OWN: dict[str, Any] = {"redact_patterns": [r"CUST-\d+"], "redact_query_params": ["ticket"]}
SHOWN = "https://api.example.com/REDACTED?ticket=REDACTED"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "ratewise")
    return caplog


def transport(world: World, wire: Any, config: LogConfig, **kwargs: Any) -> Any:
    kind = world.ratewise.LoggingTransport if world.is_sync else world.ratewise.AsyncLoggingTransport
    return kind(wire, config, **kwargs)


# -- what other parts tell


@pytest.mark.parametrize("late", [False, True])
async def test_circuit_breakers(world: World, clock: FakeClock, log: pytest.LogCaptureFixture, late: bool) -> None:
    """Lines of inner layers belong to their exchange: masked by its settings, with its id, also those that a body causes."""
    breaks = response(body=Body(b"a", error=lambda _: world.httpx.ReadError("x")))
    breaker = CircuitBreaker(1, key=lambda request: str(request.url), dry_run=True)
    wire = Scripted(breaks if late else 500, 200)
    subject = world.RateWiseTransport(
        wire, circuit_breaker=breaker, log_config=LogConfig("WARNING", **OWN), max_retries=0, clock=clock
    )
    calls = []
    for _ in range(2):
        answer = await world.send(subject, url=URL)
        calls.append(exchange_of(answer).id)
        with contextlib.suppress(world.httpx.ReadError):
            await world.read(answer)
    breaker.reset()
    assert [(vars(record).get("call_id"), record.getMessage()) for record in log.records] == [
        (calls[0], f"Circuit breaker: circuit of {SHOWN} changed from closed to open"),
        (calls[1], f"Circuit breaker: request to {SHOWN} would have been refused (dry run)"),
        (None, f"Circuit breaker: circuit of {URL} changed from open to closed"),
    ]


async def test_a_deadline_that_comes_while_the_body_is_read(world: World, clock: FakeClock) -> None:
    """The error belongs to the exchange, with its attempts, and is masked by its settings."""

    class Late(Body):
        def __iter__(self) -> Any:
            for chunk in super().__iter__():
                yield chunk
                clock.advance(20)

    settings: Any = {"log_config": LogConfig(**OWN), "total_timeout": 10, "clock": clock, "max_retries": 0}
    async with world.within(
        world.Client(transport=world.RateWiseTransport(Scripted(response(body=Late(b"a", b"b"))), **settings))
    ) as one:
        with pytest.raises(world.ratewise.DeadlineExceeded) as raised:
            await world(one.get, URL)
    assert str(raised.value) == f"total_timeout exceeded for GET {SHOWN} (1 attempt)"
    assert (raised.value.attempts, exchange_of(raised.value).attempts) == (1, 1)


FORGED = "/a\n2025-01-01 [INFO] ratewise: forged\x1b[31m"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (FORGED, r"/a\n2025-01-01 [INFO] ratewise: forged\x1b[31m"),
        ("api_key=hunter2", "api_key=[REDACTED]"),
        ("x-api-key: hunter2 more", "x-api-key: [REDACTED]"),
        (str({"x-api-key": "hunter2"}), "[REDACTED]"),
        (("X-Api-Key", "hunter2"), "[REDACTED]"),
        (("GET", "/x", "acme"), "('GET', '/x', 'acme')"),
    ],
)
async def test_keys(world: World, clock: FakeClock, log: pytest.LogCaptureFixture, key: Any, shown: str) -> None:
    """The key that a user's function returns is on one line, masked, in log lines and errors alike."""
    breaker = CircuitBreaker(1, key=lambda _: key)
    subject = world.RateWiseTransport(Scripted(500), circuit_breaker=breaker, max_retries=0, clock=clock)
    await world.send(subject)
    with pytest.raises(world.ratewise.CircuitBreakerOpen) as opened:
        await world.send(subject)
    bulkhead = Bulkhead(1, key=lambda _: key, max_queue=0)
    subject = world.RateWiseTransport(Scripted(response(body=Body(b"a"))), bulkhead=bulkhead, clock=clock)
    answer = await world.send(subject)
    with pytest.raises(world.ratewise.BulkheadFull) as full:
        await world.send(subject)
    await world.close(answer)
    for text in (log.messages[0], str(opened.value), str(full.value)):
        assert shown in text
        assert text.isprintable()


async def test_lines_of_limiters_are_of_their_call(world: World, clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    """The line has the id of the exchange, as all others."""
    limiter = RateLimiter(1 / 60, max_wait=90)
    async with world.within(
        world.RateWiseClient("https://h", transport=Scripted(200, 200), rate_limiter=limiter, clock=clock)
    ) as one:
        for _ in range(2):
            answer = await world(one.get, "/")
    assert [vars(record)["call_id"] for record in log.records] == [exchange_of(answer).id]


@only("sync")  # async requests take no file
async def test_files_that_cannot_be_rewound(world: World, clock: FakeClock) -> None:
    """The text of their errors is on one line, masked."""

    class File:
        def __iter__(self) -> Any:
            return iter([b"a"])

        def read(self, *_: Any) -> bytes:
            return b""

        def tell(self) -> int:
            return 0

        def seek(self, *_: Any) -> None:
            raise OSError("token=hunter2\n2025 [INFO] forged")

    subject = world.RateWiseTransport(Scripted(503), retry_config=RetryConfig(2), clock=clock)
    answer = await world.send(subject, "PUT", content=File())
    assert exchange_of(answer).history[0].reason == r"the request body cannot be sent again: token=[REDACTED]\n2025 [INFO] forged"


async def test_fields_that_cannot_be_sent(world: World) -> None:
    """The library's error about a header with a line feed, as in tokens read from files, shows none of it, nor does its cause."""
    token = "Bearer hunter2" + chr(10)
    with LocalServer(lambda _: Reply(200)) as server:
        subject = world.RateWiseTransport(world.HTTPTransport(), max_retries=0)
        with pytest.raises(world.httpx.LocalProtocolError) as raised:
            await world.send(subject, url=server.url, headers={"Authorization": token})
        await world.close(subject)
    shown = "".join(traceback.format_exception(raised.type, raised.value, raised.tb))
    assert shown.count("Illegal header value [REDACTED]") >= 2  # from httpx, and from the library below it
    assert "hunter2" not in shown.replace('"Bearer hunter2" + chr(10)', "")


async def test_settings_of_the_wrong_kind(world: World) -> None:
    """A refused value is shown without its password."""
    for settings in (
        {"cache": "redis://:hunter2@h/0"},
        {"base_url": b"https://u:hunter2@h"},
        {"bulkhead": "https://u:hunter2@h"},
    ):
        with pytest.raises(TypeError, match="REDACTED@h") as raised:
            world.RateWiseClient(**{"base_url": "https://h", **settings})
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\n2025 [INFO] forged\x1b[2J", re.escape(r"a\n2025 [INFO] forged\x1b[2J")),
        ([1] * 10_000, r"more characters\)$"),
        ("https://u:hunter2@h", "REDACTED@h"),
    ],
)
def test_refused_values(value: Any, shown: str) -> None:
    """Refused values are shown on one line, up to a length, masked."""
    with pytest.raises(TypeError, match=shown) as raised:
        LogConfig(bodies=value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1100
    assert "hunter2" not in str(raised.value)


def test_patterns_are_refused_as_they_are() -> None:
    """A pattern that is refused is shown unmasked, because its author must see it."""
    with pytest.raises(ValueError, match=re.escape(r"not 'https?://[^:]+:[^@]+@(token=\\w'")):
        LogConfig(redact_patterns=[r"https?://[^:]+:[^@]+@(token=\w"])


def test_changes_that_fail_to_be_told(log: pytest.LogCaptureFixture) -> None:
    """The line about a failing function of the user belongs to the exchange in which it failed."""

    def fails(*_: object) -> None:
        raise ValueError

    breaker = CircuitBreaker(1, on_state_change=fails)
    state = CallState()
    permit = breaker._admit("a", 0, state)
    assert isinstance(permit, Permit)
    breaker._report("a", permit, failed=True, now=0, call_state=state)
    breaker.reset()
    assert [vars(record).get("call_id") for record in log.records] == [state.id, state.id, None, None]


# -- the log itself


@pytest.mark.parametrize("line", ["Response: 200", "Response headers"])
async def test_a_filter_that_raises_costs_no_connection(world: World, line: str, log: pytest.LogCaptureFixture) -> None:
    """The response is closed, and the next request finds its connection and its slot."""

    class Failing(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.getMessage().startswith(line):
                logger.removeFilter(self)
                raise OSError
            return True

    logger, config = logging.getLogger("ratewise"), LogConfig("DEBUG", response_headers=True)
    logger.addFilter(Failing())
    settings: Any = {"log_config": config, "bulkhead": Bulkhead(1, max_queue=0), "max_retries": 0}
    limits = world.httpx.Limits(max_connections=1)
    with LocalServer(lambda _: Reply(200, (), b"x" * 100_000)) as server:
        subject = world.RateWiseTransport(limits=limits, **settings)
        async with world.within(world.Client(transport=subject, timeout=PATIENCE)) as client:
            with pytest.raises(OSError) as raised:  # noqa: PT011
                await world(client.get, server.url)
            assert (await world(client.get, server.url)).status_code == 200
    assert raised.type is OSError


async def test_a_mock_s_response_stays_what_it_is(world: World, log: pytest.LogCaptureFixture) -> None:
    """A body in memory is logged at once, and a hook can read it as without a log."""

    class Own(world.httpx.Response):  # type: ignore[misc,name-defined]
        """A user's own body."""

    made = Own(200, json={"token": "hunter2", "a": 1})
    subject = transport(world, world.httpx.MockTransport(lambda _: made), LogConfig("DEBUG", bodies=True))
    answer = await world.send(subject)
    assert answer is made
    assert answer.json() == {"token": "hunter2", "a": 1}
    assert log.messages[-1].replace(" ", "") == 'Responsebody:{"token":"[REDACTED]","a":1}'


async def test_a_log_that_is_switched_off_meanwhile(world: World, log: pytest.LogCaptureFixture) -> None:
    """Nothing is written after the logger is disabled, even by a request that began before."""
    logger = logging.getLogger("ratewise")

    def off(_: Any) -> int:
        logger.setLevel(logging.CRITICAL)
        return 200

    config = LogConfig("DEBUG", response_headers=True, bodies=True)
    await world.send(transport(world, Scripted(off), config))
    assert [text.partition(":")[0] for text in log.messages] == ["Request", "Headers"]
    log.clear()
    logger.setLevel(logging.DEBUG)
    answer = await world.send(transport(world, Scripted(response(body=Body(b"abc"))), config))
    logger.setLevel(logging.INFO)
    await world.read(answer)
    assert [text.partition(":")[0] for text in log.messages] == ["Request", "Headers", "Response", "Response headers"]


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_bodies_that_are_not_packed(world: World, log: pytest.LogCaptureFixture, encoding: str) -> None:
    """`identity` is no encoding (RFC 9110, 12.5.3)."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    wire = Scripted(response(200, headers, b'{"a": 1}'))
    answer = await world.send(
        transport(world, wire, LogConfig("DEBUG", bodies=True)), "POST", headers=headers, content=b'{"b": 2}'
    )
    await world.read(answer)
    assert [text for text in log.messages if "body" in text] == ['Request body: {"b": 2}', 'Response body: {"a": 1}']


async def test_forms_with_files(world: World, log: pytest.LogCaptureFixture) -> None:
    """Of a stream that is sent, such as a multipart form, the type is logged."""
    subject = transport(world, Scripted(200, 200), LogConfig("DEBUG", bodies=True))
    await world.send(subject, "POST", files={"token": b"hunter2"}, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert log.messages[2] == "Request body: a stream of multipart/form-data; boundary=x"
    assert "hunter2" not in log.text


async def test_long_names_of_fields_are_not_remembered(world: World, log: pytest.LogCaptureFixture) -> None:
    """A server cannot fill the memory with long field names."""
    subject = transport(world, Scripted(response(200, {"y": "2", "x" * 300: "1"})), LogConfig("DEBUG", response_headers=True))
    await world.send(subject)
    (layer,) = subject._layers
    assert {len(name) for name, _ in layer._known_fields} <= set(range(100))
    assert (b"y", b"2") in layer._known_fields


async def test_types_with_secrets(world: World, log: pytest.LogCaptureFixture) -> None:
    """The type of a body that is not shown is masked as the header field is."""
    kind = "multipart/form-data; token=hunter2; boundary=x"
    config = LogConfig("DEBUG", bodies=True, response_headers=True)
    subject, headers = transport(world, Scripted(response(200, {"Content-Type": kind})), config), {"Content-Type": kind}
    answer = await world.send(subject, "POST", headers=headers, files={"a": b"b"})
    await world.read(answer)
    assert "hunter2" not in log.text
    assert log.messages[2] == "Request body: a stream of multipart/form-data; token=[REDACTED]; boundary=x"
    assert log.messages[-1] == "Response body: 2 bytes of multipart/form-data; token=[REDACTED]; boundary=x"


@FORKS
def test_forks() -> None:
    """A child process can install and undo, whatever the threads of its parent were doing at the fork."""
    held = threading.Event()

    def busy() -> None:
        with filters._lock:
            held.set()
            time.sleep(0.02)

    thread = threading.Thread(target=busy)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:  # pragma: no cover  (another process)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(PATIENCE))  # which ends it
        with install_redaction():
            os._exit(0 if filters._installed else 1)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()

"""The log of requests and responses: its lines, settings and extra fields, and the bodies that it watches."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import re
from typing import Any

import httpx
import pytest

from ratewise import LogConfig, LoggingLayer, exchange_of, options, setup_logging
from ratewise.testing import FakeClock
from tests.kit.growth import growth
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World

URL = "https://api.example.com/users"
SEED: Any = {
    "redact_headers": ["Authorization", "X-API-Key", "Cookie"],
    "redact_patterns": [r"password=\w+", r"token=[\w-]+"],
    "mask_style": "partial",
}
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def transport(world: World, wire: Any, config: LogConfig | None = None, **kwargs: Any) -> Any:
    kind = world.ratewise.LoggingTransport if world.is_sync else world.ratewise.AsyncLoggingTransport
    return kind(wire, config, **kwargs)


def request(world: World, **kwargs: Any) -> Any:
    """A request with the given headers only."""
    made = world.httpx.Request("GET", URL, **kwargs)
    del made.headers["host"]
    return made


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "ratewise")
    return caplog


def taking(clock: FakeClock, seconds: float, step: Any) -> Any:
    """A step that takes some seconds."""

    def taken(request: Any) -> Any:
        clock.advance(seconds)
        return step

    return taken


# -- the lines


async def test_the_lines(world: World, clock: FakeClock, screen: io.StringIO) -> None:
    """The lines of a request, its headers at DEBUG, and its response are exactly these."""
    wire = Scripted(*(taking(clock, 1.23, 200) for _ in range(2)))
    for level in ("DEBUG", "INFO"):
        subject = transport(world, wire, LogConfig(level=level, **SEED), clock=clock)
        await world.send(subject, request=request(world, headers={"Authorization": "Bearer 0123456789 and here"}))
    stamped = [re.fullmatch(f"{STAMP}(.*)", line) for line in screen.getvalue().splitlines()]
    assert [line[1] for line in stamped if line] == [
        "[INFO] ratewise: Request: GET https://api.example.com/users",
        '[DEBUG] ratewise: Headers: {"Authorization": "Bear...here"}',
        "[INFO] ratewise: Response: 200 (1.23s)",
        "[INFO] ratewise: Request: GET https://api.example.com/users",
        "[INFO] ratewise: Response: 200 (1.23s)",
    ]


async def test_through_a_client(world: World, clock: FakeClock, screen: io.StringIO) -> None:
    """`log_config=` of the clients logs retries, a cache hit, a redirect, an error, and the last 429 as a 429."""
    wire = Scripted(503, response(302, {"Location": "/b?token=sesame"}), 200, 429, failing("ReadError", "sesame"))
    settings: Any = {"raise_on_rate_limit": False, "rate_limiter": None, "retry_config": None, "clock": clock}
    async with world.within(
        world.RateWiseClient(URL, transport=wire, log_config=LogConfig(), follow_redirects=True, max_retries=1, **settings)
    ) as client:
        await world(client.get, "/a")
        for _ in range(2):
            with contextlib.suppress(world.httpx.ReadError):
                await world(client.get, "/c", extensions=options(retry=False))
    lines = [line.split(": ", 1)[1] for line in screen.getvalue().splitlines()]
    assert [re.sub(r"[0-9.]+ s ", "N s ", line) for line in lines] == [
        f"Request: GET {URL}/a",
        f"Retry: GET {URL}/a: attempt 1 of 2 failed (503); next in N s (backoff)",
        f"Response: 302 ({clock.sleeps[0]:.2f}s)",
        "Request: GET https://api.example.com/b?token=REDACTED",
        "Response: 200 (0.00s)",
        f"Request: GET {URL}/c",
        "Response: 429 (0.00s)",
        f"Request: GET {URL}/c",
        "Response: ReadError (0.00s)",
    ]


async def test_stack_of_a_transport(world: World, log: pytest.LogCaptureFixture) -> None:
    """`log_config=` of the whole stack: the log is outermost, except for the error that a last 429 becomes."""
    subject = world.RateWiseTransport(
        Scripted(429),
        log_config=LogConfig(),
        max_retries=0,
        raise_on_rate_limit=True,
        total_timeout=9,
        clock=FakeClock(auto=True),
    )
    with pytest.raises(world.ratewise.RateLimitExceeded):
        await world.send(subject)
    assert log.messages[-1] == "Response: 429 (0.00s)"
    assert "RaiseOnRateLimit > LoggingLayer > DeadlineLayer > RetryLayer > " in repr(subject)


@pytest.mark.parametrize(("level", "logger", "expected"), [
    ("INFO", "DEBUG", {"INFO"}),
    ("DEBUG", "DEBUG", {"INFO", "DEBUG"}),
    ("debug", "INFO", {"INFO"}),
    (10, "DEBUG", {"INFO", "DEBUG"}),
    ("DEBUG", "WARNING", set()),
    ("WARNING", "DEBUG", set()),
    (logging.ERROR, "DEBUG", set()),
])  # fmt: skip
async def test_levels(world: World, caplog: pytest.LogCaptureFixture, level: Any, logger: str, expected: set[str]) -> None:
    """A line is logged if both the configuration and the logger allow its level."""
    caplog.set_level(logger, "ratewise")
    await world.send(transport(world, Scripted(200), LogConfig(level, response_headers=True, bodies=True)))
    assert {record.levelname for record in caplog.records} == expected


async def test_cancelled(world: World, log: pytest.LogCaptureFixture) -> None:
    """The end of a request is logged, however it ends."""

    def interrupted(request: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await world.send(transport(world, Scripted(interrupted), clock=FakeClock(auto=True)))
    assert log.messages[-1] == "Response: KeyboardInterrupt (0.00s)"


async def test_defaults(world: World) -> None:
    """The defaults are the library's own transport and the default configuration."""
    subject = transport(world, None)
    try:
        assert repr(subject) == f"<{type(subject).__name__}: LoggingLayer > {world.HTTPTransport.__name__}>"
        assert repr(subject._layers[0]) == "LoggingLayer(LogConfig(level='INFO', mask_style='full'))"
    finally:
        await world.close(subject)


# -- the fields


async def test_fields(world: World, clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    """The records of an exchange have its id, the attempt, method, URL, status, time or error."""
    wire = Scripted(503, taking(clock, 2, 200), 200, failing("ConnectError"))
    subject = world.RateWiseTransport(wire, log_config=LogConfig(), max_retries=1, clock=clock)
    for _ in range(2):
        assert exchange_of(await world.send(subject)).id == log.records[-1].__dict__["call_id"]
    with pytest.raises(world.httpx.ConnectError) as raised:
        await world.send(subject, extensions=options(retry=False))
    assert exchange_of(raised.value).id == log.records[-1].__dict__["call_id"]
    names = ("attempt", "method", "url", "status", "error")
    rows = [tuple(vars(record).get(name) for name in names) for record in log.records]
    url = "https://api.example.com/"
    assert rows == [
        (1, "GET", url, None, None),
        (1, None, None, None, None),
        (2, "GET", url, 200, None),
        (1, "GET", url, None, None),
        (1, "GET", url, 200, None),
        (1, "GET", url, None, None),
        (1, "GET", url, None, "ConnectError"),
    ]
    ids = [record.__dict__["call_id"] for record in log.records]
    assert len(set(ids)) == 3
    assert ids == sorted(ids, key=ids.index)
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in ids)
    assert log.records[2].__dict__["elapsed"] == pytest.approx(2 + clock.sleeps[0])
    assert {(record.name, record.funcName, record.filename) for record in log.records if "status" in vars(record)} == {
        ("ratewise", "handle", "layer.py")
    }


async def test_ids_in_the_text(world: World, clock: FakeClock, screen: io.StringIO) -> None:
    """`setup_logging(ids=True)` appends id and attempt to each line of an exchange, which is otherwise unchanged."""
    handler = setup_logging(stream=screen, ids=True)
    subject = world.RateWiseTransport(Scripted(503, 200), log_config=LogConfig(), clock=clock)
    answer = await world.send(subject)
    logging.getLogger("ratewise").info("Of no call")
    logging.getLogger("ratewise").removeHandler(handler)
    call = exchange_of(answer).id
    ends = [line.rpartition(" [")[2] for line in screen.getvalue().splitlines()]
    assert ends == [f"{call} #1]", f"{call} #1]", f"{call} #2]", "INFO] ratewise: Of no call"]


# -- headers


async def test_headers(world: World, log: pytest.LogCaptureFixture) -> None:
    """Header fields are JSON, in order, under their names as sent; URLs in them are masked as URLs."""
    fields = [("X-b", "1"), ("set-cookie", "a=b"), ("Location", "/cb?code=c"), ("X-b", "2"), ("X-é".encode(), b"\xff")]
    config = LogConfig("DEBUG", response_headers=True)
    await world.send(transport(world, Scripted(response(200, fields)), config), request=request(world, headers={"Cookie": "a=b"}))
    assert log.messages[1] == 'Headers: {"Cookie": "[REDACTED]"}'
    told = {"X-b": "1, 2", "set-cookie": "[REDACTED]", "Location": "/cb?code=REDACTED", "X-Ã©": "ÿ"}
    assert log.messages[3] == f"Response headers: {json.dumps(told)}"


# -- bodies


def bodies(log: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in log.messages if "body" in text]


async def test_bodies_are_off(world: World, log: pytest.LogCaptureFixture) -> None:
    """No body is logged, or read, unless `bodies=True`."""
    step = response(200, {"Content-Type": "text/plain"}, b"sesame")
    wire = Scripted(step)
    subject = transport(world, wire, LogConfig("DEBUG"))
    answer = await world.send(subject, "POST", content=b"sesame")
    assert answer.stream is wire.answers[0].stream or not world.is_sync
    assert await world.read(answer) == b"sesame"
    assert bodies(log) == []


async def test_bodies(world: World, log: pytest.LogCaptureFixture) -> None:
    """Bodies of request and response are logged, the latter when it has been read, with nothing read for the log."""
    told = Body(b'{"token": "ses', b'ame", "n": 1}')
    wire = Scripted(response(200, {"Content-Type": "application/json"}, told))
    subject = transport(world, wire, LogConfig("DEBUG", bodies=True))
    answer = await world.send(subject, "POST", json={"password": "sesame", "n": 1})
    assert told.read == 0
    assert re.fullmatch(r'Request body: \{"password": ?"\[REDACTED\]", ?"n": ?1\}', bodies(log)[0])
    assert len(bodies(log)) == 1
    assert await world.read(answer) == b'{"token": "sesame", "n": 1}'
    await world.close(answer)
    assert bodies(log)[1:] == ['Response body: {"token": "[REDACTED]", "n": 1}']
    assert log.records[-1].__dict__["status"] == 200
    assert told.closed == 1


async def test_bodies_through_a_client(world: World, log: pytest.LogCaptureFixture) -> None:
    """Bodies that the client reads are logged too: a form and a compressed response."""
    packed = gzip.compress(b"user=joe&client_secret=sesame")
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    config = LogConfig("DEBUG", bodies=True)
    async with world.within(
        world.RateWiseClient(URL, transport=Scripted(response(200, headers, packed)), log_config=config)
    ) as client:
        answer = await world(client.post, "/", data={"code": "sesame", "x": "1"})
    assert answer.text == "user=joe&client_secret=sesame"
    assert bodies(log) == ["Request body: code=REDACTED&x=1", "Response body: user=joe&client_secret=REDACTED"]


async def test_bodies_that_cannot_be_unpacked(world: World, log: pytest.LogCaptureFixture) -> None:
    """A body in an unknown or broken encoding, and an encoded request body, is not shown."""
    headers = {"Content-Type": "text/plain", "Content-Encoding": "rot13"}
    wire = Scripted(response(200, headers, b"frfnzr"), response(200, {**headers, "Content-Encoding": "gzip"}, b"broken"))
    subject = transport(world, wire, LogConfig("DEBUG", bodies=True))
    for _ in range(2):
        answer = await world.send(subject, "POST", headers=headers, content=b"frfnzr")
        chunks = list(answer.stream) if world.is_sync else [chunk async for chunk in answer.stream]
        assert len(chunks) == 1
        await world.close(answer)
    sent = "Request body: 6 bytes of rot13"
    assert bodies(log) == [sent, "Response body: 6 bytes of rot13", sent, "Response body: 6 bytes of gzip"]


async def test_a_body_left_half_read(world: World, log: pytest.LogCaptureFixture) -> None:
    """Of a body closed early or broken off, what was read is logged, marked as a part; of an unread one nothing."""
    text = {"Content-Type": "text/plain"}
    wire = Scripted(
        response(200, text, Body(b"some words", b" and more")),
        response(200, text, Body(b"more words ", error=failing("ReadError"))),
        response(200, text, Body(b"none")),
    )
    config = LogConfig("DEBUG", bodies=True)
    subject = transport(world, wire, config)
    answer = await world.send(subject)
    assert await world(next, iter(answer.stream)) if world.is_sync else await answer.stream.__aiter__().__anext__()
    await world.close(answer)
    answer = await world.send(subject)
    with pytest.raises(world.httpx.ReadError):
        await world.read(answer)
    await world.close(answer)
    await world.close(await world.send(subject))
    assert bodies(log) == ["Response body: some ... (10 bytes)", "Response body: more words ... (11 bytes)"]


async def test_long_bodies(world: World, log: pytest.LogCaptureFixture) -> None:
    """Of a long body the first 16 KiB are logged, and its size, if encoded the encoded one."""
    many = b"word " * 5000
    text = {"Content-Type": "text/plain"}
    wire = Scripted(
        response(200, text, Body(*(many[start : start + 999] for start in range(0, len(many), 999)))),
        response(200, {**text, "Content-Encoding": "gzip"}, gzip.compress(many)),
    )
    subject = transport(world, wire, LogConfig("DEBUG", bodies=True))
    for _ in range(2):
        await world.read(await world.send(subject, "POST", content=many, headers=text))
    told = "body: " + "word " * 3276 + "... ({} bytes)"
    sizes = (25000, 25000, 25000, len(gzip.compress(many)))
    assert [text.split(" ", 1)[1] for text in bodies(log)] == [told.format(size) for size in sizes]


async def test_bodies_that_are_no_text(world: World, log: pytest.LogCaptureFixture) -> None:
    """Of other bodies size and type are logged; of a request that is a stream, only that; without a body nothing."""
    wire = Scripted(response(200, {"Content-Type": "image/png"}, b"\x89PNG"), response(204, body=b""))
    subject = transport(world, wire, LogConfig("DEBUG", bodies=True))

    async def chunks() -> Any:
        yield b"sesame"

    await world.read(await world.send(subject, "POST", content=iter([b"sesame"]) if world.is_sync else chunks()))
    assert wire.sent[0].body == b"sesame"
    answer = await world.send(subject)
    await world.read(answer)
    await world.close(answer)
    assert bodies(log) == ["Request body: a stream", "Response body: 4 bytes of image/png"]


# -- forging, length and time


@pytest.mark.parametrize(
    "control", ["\r\n2025-09-06 10:15:30 [INFO] ratewise: forged", "\x1b[2J", "\x00", "\x7f", "\x9b", "\u2028"]
)
async def test_forging(world: World, screen: io.StringIO, control: str) -> None:
    """Control characters of URL, header, method and body are escaped, and each record is one line."""
    headers = {"Content-Type": "text/plain", "X-A": b"a" + control.encode(), "Location": b"/b" + control.encode()}
    config = LogConfig("DEBUG", response_headers=True, bodies=True)
    subject = transport(world, Scripted(response(200, headers, control.encode())), config)
    sent = world.httpx.Request("GET" + control, URL, headers=headers, content=control.encode())

    class Loose(world.httpx.URL):  # type: ignore[misc,name-defined]
        """A URL class of the user."""

        def __str__(self) -> str:
            return URL + control

    sent.url = Loose(URL)
    await world.read(answer := await world.send(subject, request=sent))
    await world.close(answer)
    lines = screen.getvalue().split("\n")
    assert len(lines) == 7
    assert all(line.isprintable() for line in lines)
    assert sum("forged" in line for line in lines) in (0, 5)


def test_time() -> None:
    """A header and a body of 300 KB cost no more than the 16 KiB that are shown: eight times as much is no slower."""
    logger, handler = logging.getLogger("ratewise"), logging.StreamHandler(io.StringIO())
    config = LogConfig("DEBUG", response_headers=True, bodies=True, **SEED)

    def once(size: int) -> None:
        text = ("word https://h/?a=b " * size)[:size].strip()
        headers = {"X-Long": text, "Content-Type": "text/plain"}
        wire = httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, content=text.encode()))
        subject = transport(World("sync-httpx"), wire, config)
        subject.handle_request(httpx.Request("POST", URL, headers=headers, content=text.encode())).close()

    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        assert any(growth(once, 37_500, 300_000) < 3 for _ in range(10))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


async def test_harmless_headers(world: World, log: pytest.LogCaptureFixture) -> None:
    """Fields without a secret are kept; those with one, long ones, and those beyond the limit are not."""
    subject = transport(world, Scripted(*[200] * 600), LogConfig("DEBUG"))
    for number in range(600):
        headers = {"X-A": "a", "X-Number": str(number), "Cookie": "b", "X-Token": "c", "Location": "/?key=d", "X-Long": "e" * 201}
        await world.send(subject, request=request(world, headers=headers))
    shown = {"X-A": "a", "X-Number": "599", "Cookie": "[REDACTED]", "X-Token": "[REDACTED]", "Location": "/?key=REDACTED"}
    assert log.messages[-2] == f"Headers: {json.dumps({**shown, 'X-Long': 'e' * 201})}"
    assert len(subject._layers[0]._known_fields) == 500
    assert {name for name, _ in subject._layers[0]._known_fields} == {b"X-A", b"X-Number"}


async def test_many_headers(world: World, log: pytest.LogCaptureFixture) -> None:
    """Of all header fields together 16 KiB are shown."""
    headers = [(f"X-{number}", "x" * 1000) for number in range(100)]
    await world.send(transport(world, Scripted(200), LogConfig("DEBUG")), request=request(world, headers=headers))
    shown = json.loads(log.messages[1].split(": ", 1)[1])
    assert len(shown) == 17
    assert shown["..."] == "more"


# -- what is masked elsewhere


async def test_own_secrets_in_errors(world: World, clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
    """The user's lists and style also apply to the lines of the retry layer and to exceptions."""
    config = LogConfig(redact_patterns=[r"CUST-\d+"], redact_query_params=["plan"], mask_style="hash")
    subject = world.RateWiseTransport(Scripted(503, 429), log_config=config, max_retries=1, raise_on_rate_limit=True, clock=clock)
    with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
        await world.send(subject, url=f"{URL}/CUST-4711?plan=gold")
    for text in (str(raised.value), *log.messages[:2]):
        assert re.search(r"/users/hash-[0-9a-f]{12}\?plan=hash-[0-9a-f]{12}\b", text)
    logging.getLogger("ratewise").setLevel(logging.CRITICAL)
    with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
        await world.send(
            world.RateWiseTransport(Scripted(429), log_config=config, max_retries=0, raise_on_rate_limit=True),
            url=f"{URL}/CUST-4711",
        )
    assert "CUST" not in str(raised.value)


async def test_below_a_layer_of_the_users_own(world: World, log: pytest.LogCaptureFixture) -> None:
    """A request that a layer made itself belongs to no exchange, and is logged as one of its own."""

    class Fresh:
        async def handle(self, request: Any, call: Any) -> Any:
            return await call.send(world.httpx.Request("GET", "https://other.example/"))

    await world.send(world.LayerTransport(transport(world, Scripted(200), clock=FakeClock(auto=True)), Fresh()))
    assert log.messages == ["Request: GET https://other.example/", "Response: 200 (0.00s)"]


# -- settings


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"level": "LOUD"}, ValueError, 'level must be "DEBUG", "INFO", .* or a number of at least 0, not \'LOUD\''),
        ({"level": -1}, ValueError, "level must be .*, not -1"),
        ({"level": None}, TypeError, "level must be .*, not None"),
        ({"level": True}, TypeError, "level must be .*, not True"),
        ({"redact_headers": "Cookie"}, TypeError, "redact_headers must be a list of strings that are not empty, not 'Cookie'"),
        ({"redact_query_params": [5]}, TypeError, r"redact_query_params must be a list of strings .*, not \[5\]"),
        ({"redact_patterns": "x"}, TypeError, "redact_patterns must be a list of strings that are not empty, not 'x'"),
        ({"redact_patterns": ["ok", "(bad"]}, ValueError, r"redact_patterns must be regular expressions \(.*\), not '\(bad'"),
        ({"mask_style": "none"}, ValueError, "mask_style must be"),
        ({"defaults": 1}, TypeError, "defaults must be True or False, not 1"),
        ({"response_headers": 1}, TypeError, "response_headers must be True or False, not 1"),
        ({"bodies": "json"}, TypeError, "bodies must be True or False, not 'json'"),
    ],
)
def test_bad_settings(settings: Any, error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction; the error has name, value and what is allowed."""
    with pytest.raises(error, match=message):
        LogConfig(**settings)


def test_other_bad_settings() -> None:
    """The layer takes a configuration, `setup_logging` a level and a flag; anything else is refused."""
    with pytest.raises(TypeError, match="log_config must be a LogConfig, not 'INFO'"):
        LoggingLayer("INFO")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level must be"):
        setup_logging("LOUD")
    with pytest.raises(TypeError, match="ids must be True or False, not 1"):
        setup_logging(ids=1)  # type: ignore[arg-type]
    assert not any("_Handler" in repr(handler) for handler in logging.getLogger("ratewise").handlers)


def test_only_own_lists() -> None:
    """With `defaults=False` only the user's lists and userinfo are masked."""
    redactor = LogConfig(redact_headers=["X-Plan"], defaults=False).redactor
    assert redactor.header("Cookie", "a") == "a"
    assert redactor.header("X-Plan", "a") == "[REDACTED]"
    assert redactor.url("https://u:p@h/?token=a") == "https://REDACTED@h/?token=a"


def test_repr() -> None:
    """The repr has level, style and flags, and nothing of the user's lists."""
    config = LogConfig("DEBUG", ["sesame"], ["sesame"], redact_query_params=["sesame"], response_headers=True, bodies=True)
    assert repr(config) == "LogConfig(level='DEBUG', mask_style='full', response_headers=True, bodies=True)"


def test_setup_logging_again(screen: io.StringIO) -> None:
    """Called again, `setup_logging` replaces its handler; other handlers stay."""
    logger, other = logging.getLogger("ratewise"), logging.NullHandler()
    logger.addHandler(other)
    again = io.StringIO()
    handler = setup_logging("WARNING", again)
    logger.info("not")
    logger.warning("shown")
    logger.removeHandler(handler)
    logger.removeHandler(other)
    assert screen.getvalue() == ""
    assert re.fullmatch(f"{STAMP}\\[WARNING\\] ratewise: shown\n", again.getvalue())

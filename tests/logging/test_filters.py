"""Redaction of other loggers: while installed by anyone, and with no trace left afterwards."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import logging
import pkgutil
import sys
import threading
from collections.abc import Iterator
from typing import Any

import h2
import h11
import hpack
import httpcore
import httpcore2
import httpx
import httpx2
import pytest

from ratewise import LogConfig, RedactionFilter, RedactionProcessor, Redactor, install_redaction
from ratewise.logging import filters as filters_module
from tests.kit.wire import Scripted
from tests.kit.world import World

URL = "https://user:sesame@api.example.com/?token=sesame&page=2"
SHOWN = "https://REDACTED@api.example.com/?token=REDACTED&page=2"
LOGGERS = (
    "httpx httpx2 httpcore httpcore.connection httpcore.http11 httpcore.http2 httpcore.proxy httpcore.socks httpcore2 "
    "httpcore2.connection httpcore2.http11 httpcore2.http2 httpcore2.proxy httpcore2.socks hpack hpack.hpack hpack.table "
    "http.cookiejar"
).split()


def filters(name: str = "httpx") -> list[Any]:
    return [one for one in logging.getLogger(name).filters if isinstance(one, RedactionFilter)]


@pytest.fixture(autouse=True)
def balanced() -> Iterator[None]:
    """Undo what a test has installed."""
    gc.collect()
    assert filters_module._installed == {}
    yield
    assert filters_module._installed == {}
    assert not any(filters(name) for name in LOGGERS)


def record(text: object = "x", *args: Any, name: str = "a", **extra: Any) -> logging.LogRecord:
    made = logging.getLogger(name).makeRecord(name, logging.INFO, "f.py", 1, text, args, None, "f", extra or None)
    assert RedactionFilter().filter(made) is True
    return made


# -- install_redaction


@pytest.mark.parametrize("name", LOGGERS)
def test_each_logger(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each logger of the libraries is masked, also children that do not exist yet; hpack's records are dropped."""
    caplog.set_level(logging.DEBUG)
    with install_redaction():
        logging.getLogger(name).debug("GET %s", URL)
        logging.getLogger(name).debug(
            "complete return_value=(200, [(b'set-cookie', b'sesame'), (b'location', b'/?code=sesame')])"
        )
    logging.getLogger(name).debug("GET %s", URL)
    masked = [f"GET {SHOWN}", "complete return_value=(200, [(b'set-cookie', b'[REDACTED]'), (b'location', b'/?code=REDACTED')])"]
    assert caplog.messages == [*([] if name.startswith("hpack") else masked), f"GET {URL}"]


def test_all_loggers_are_known() -> None:
    """The loggers that the libraries make when all their modules are imported are exactly those that are masked."""
    names = set(LOGGERS)
    for package in (httpx, httpx2, httpcore, httpcore2, hpack, h2, h11):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # of a module that is not installed
                importlib.import_module(module.name)
    ours = ("httpx", "httpx2", "httpcore", "httpcore2", "hpack", "h2", "h11", "socksio", "hyperframe")
    existing = {name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ours}
    assert existing - {"httpcore.something.new", "httpcore.later"} <= names


def test_children_of_others() -> None:
    """A child logger that exists at the installation is masked; other packages' loggers are not."""
    child, other = logging.getLogger("httpcore.something.new"), logging.getLogger("httpxsomething")
    with install_redaction():
        assert filters(child.name)
        assert not filters(other.name)
        later = logging.getLogger("httpcore.later")
        assert not filters(later.name)
        with install_redaction():
            assert filters(later.name)
    assert not filters(child.name) + filters(later.name)


def test_idempotent() -> None:
    """Installed several times, a filter is there once, until the last is undone, in any order and however often."""
    first, second = install_redaction(), install_redaction()
    third = install_redaction(Redactor(mask_style="hash"))
    assert len(filters()) == 2
    third()
    assert len(filters()) == 1
    first.undo()
    first.undo()
    first()
    assert len(filters()) == 1
    assert repr(first) == "<install_redaction of Redactor(mask_style='full'), undone>"
    with second as entered:
        assert repr(entered) == "<install_redaction of Redactor(mask_style='full')>"
    second()


def test_undone_by_an_error() -> None:
    """As a context manager it is undone however its block ends."""
    with pytest.raises(KeyError), install_redaction():
        raise KeyError


def test_threads() -> None:
    """Many threads at once neither lose the filter nor leave it behind."""

    def work() -> None:
        for _ in range(50):
            with install_redaction():
                assert len(filters()) == 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_other_filters_stay() -> None:
    """A user's filter stays."""
    own = logging.Filter()
    logger = logging.getLogger("httpcore.http11")
    logger.addFilter(own)
    with install_redaction():
        assert len(logger.filters) == 2
    assert logger.filters == [own]
    logger.removeFilter(own)


# -- the clients


async def test_clients(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """While a client is open, what its library logs is masked by its own lists; closing the last one undoes that."""
    caplog.set_level(logging.INFO)
    own = LogConfig(redact_patterns=[r"CUST-\d+"], level="WARNING")
    first = world.RateWiseClient("https://h", transport=Scripted(200))
    async with world.within(world.RateWiseClient("https://h", transport=Scripted(200), log_config=own)) as second:
        assert len(filters(world.httpx.__name__)) == 2
        await world(first.get, URL)
        await world(second.get, "https://h/CUST-4711")
        assert caplog.messages[0].startswith(f"HTTP Request: GET {SHOWN} ")
        assert caplog.messages[1].startswith("HTTP Request: GET https://h/REDACTED ")
        await world.close(first)
        await world.close(first)
        assert len(filters()) == 1
    assert not filters()


async def test_clients_that_are_forgotten(world: World) -> None:
    """A client that is never closed undoes it when it is garbage-collected."""
    client = world.RateWiseClient("https://h", transport=Scripted(200))
    assert filters()
    del client
    gc.collect()
    assert not filters()


async def test_clients_that_fail_to_close(world: World) -> None:
    """A transport whose closing fails does not keep the filter."""

    class Failing(Scripted):
        def close(self) -> None:
            raise OSError

        async def aclose(self) -> None:
            raise OSError

        def __exit__(self, *_: object) -> None:
            raise OSError

        async def __aexit__(self, *_: object) -> None:
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await world.close(world.RateWiseClient("https://h", transport=Failing()))
    with pytest.raises(OSError):  # noqa: PT011
        async with world.within(world.RateWiseClient("https://h", transport=Failing())):
            pass
    assert not filters()


async def test_clients_that_want_none(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """`redact_httpx_logs=False` does not change the library's loggers."""
    caplog.set_level(logging.INFO)
    async with world.within(world.RateWiseClient("https://h", transport=Scripted(200), redact_httpx_logs=False)) as client:
        assert not filters()
        await world(client.get, URL)
    await world.close(client)
    assert "token=sesame" in caplog.text
    with pytest.raises(TypeError, match="redact_httpx_logs must be True or False, not 1"):
        world.RateWiseClient("https://h", redact_httpx_logs=1)
    with pytest.raises(TypeError, match="log_config must be a LogConfig, not True"):
        world.RateWiseClient("https://h", log_config=True)


# -- the filter for handlers


def test_arguments_that_say_more_than_the_text() -> None:
    """The arguments are not kept for a handler to find."""
    for text, args in (("hi %(a)s", ({"a": 1, "password": "hunter2"},)), ("hi %.2s", ("hunter2",))):
        seen = record(text, *args)
        assert (seen.args, "hunter2" in seen.getMessage()) == ((), False)


def test_one_redaction_for_the_same_settings() -> None:
    """Any number of clients with equal settings install one filter."""
    assert Redactor(headers=["X-A"]) == Redactor(headers=["x-a"])
    assert len({Redactor(), Redactor(), Redactor(mask_style="hash"), Redactor(patterns=["a"])}) == 3
    with install_redaction(Redactor(headers=["X-A"])), install_redaction(Redactor(headers=["X-A"])):
        assert len([one for one in logging.getLogger("httpx").filters if isinstance(one, RedactionFilter)]) == 1


def test_texts() -> None:
    """The text of a record is masked as a whole; one without a secret keeps its arguments."""
    shown = record("GET %s in %d", URL, 5)
    assert (shown.getMessage(), shown.args) == (f"GET {SHOWN} in 5", ())
    same = record("GET %s in %d", "https://h/", 5)
    assert (same.msg, same.args) == ("GET %s in %d", ("https://h/", 5))
    assert record("100 %").getMessage() == "100 %"
    assert record(ValueError("password=sesame")).getMessage() == "password=[REDACTED]"
    assert record("a\r\nb %s", "\x1b").getMessage() == r"a\r\nb \x1b"


def test_records_of_nobody() -> None:
    """A record from another process may have no name, and a very long text."""
    made = logging.makeLogRecord({"msg": "password=sesame " * 20_000})
    assert RedactionFilter().filter(made)
    assert made.getMessage().startswith("password=[REDACTED] password=[REDACTED] ")
    assert made.getMessage().endswith(" more characters)")
    assert "sesame" not in made.getMessage()


def test_arguments_that_do_not_fit() -> None:
    """A record whose arguments do not fit the format loses them, unmasked as they are, and nothing is raised."""
    assert record("GET %d", URL).getMessage() == "GET %d (with arguments that do not fit the format)"


def test_tracebacks() -> None:
    """A traceback is masked line by line, for all formatters: the record no longer has the exception."""
    logger, stream = logging.getLogger("filtered"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactionFilter())
    logger.addHandler(handler)
    logger.propagate = False
    try:
        raise ValueError(URL)
    except ValueError:
        logger.exception("failed", stack_info=True)
        made = logging.getLogger("a").makeRecord("a", 10, "f", 1, "x", (), sys.exc_info(), "f")
        made.exc_text = "cached sesame password=sesame"
    logger.removeHandler(handler)
    shown = stream.getvalue()
    assert f"ValueError: {SHOWN}\n" in shown
    assert "sesame" not in shown
    assert "\nStack (most recent call last):\n" in shown
    assert len(shown.splitlines()) > 5
    RedactionFilter().filter(made)
    assert (made.exc_info, made.exc_text) == (None, "cached sesame password=[REDACTED]")


def test_extra_fields() -> None:
    """Extra fields are masked by name and content; the record's own attributes are unchanged."""
    shown = record("x", url=URL, token="sesame", n=5, request={"headers": {"Cookie": "sesame"}})
    told = {name: vars(shown)[name] for name in ("url", "token", "n", "request", "lineno")}
    assert told == {
        "url": SHOWN,
        "token": "[REDACTED]",
        "n": 5,
        "request": {"headers": {"Cookie": "[REDACTED]"}},
        "lineno": 1,
    }


async def test_our_own_lines_pass_unchanged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A handler's filter of any style does not mask again what is masked already."""
    caplog.set_level(logging.DEBUG, "ratewise")
    kind = world.ratewise.LoggingTransport if world.is_sync else world.ratewise.AsyncLoggingTransport
    for style in ("full", "partial", "hash"):
        caplog.clear()
        headers = {"Authorization": "Bearer 0123456789abcdef", "Cookie": "a=b"}
        config = LogConfig("DEBUG", mask_style=style, bodies=True)
        await world.send(kind(Scripted(200), config), "POST", url=URL, headers=headers, json={"password": "sesame"})
        for each in caplog.records:
            before = each.getMessage(), vars(each)["url"]
            RedactionFilter().filter(each)
            assert (each.getMessage(), vars(each)["url"]) == before


def test_messages_that_are_no_texts() -> None:
    """A dict as the message, as of structlog and JSON formatters, stays a dict."""
    event = {"event": "login", "password": "sesame", "n": 5}
    assert record(event).msg == {"event": "login", "password": "[REDACTED]", "n": 5}
    plain = {"event": "login"}
    assert record(plain).msg == plain
    assert event["password"] == "sesame"


@pytest.mark.parametrize(
    "fields",
    [
        {"exc_info": True},
        {"exc_info": ValueError("password=sesame")},
        {"exc_text": 5},
        {"stack_info": True},
        {"name": None},
        {"args": 5},
        {"msg": None},
    ],
)
def test_odd_records(fields: dict[str, Any]) -> None:
    """Whatever a foreign record contains, the filter raises nothing, and a handler can format it."""
    made = logging.makeLogRecord({"msg": "password=sesame", "name": "a", **fields})
    assert RedactionFilter().filter(made) is True
    assert "sesame" not in logging.Formatter().format(made) + str(vars(made))


def test_what_another_handler_has_left() -> None:
    """The text that an earlier handler's formatter left in the record is removed too."""
    made = logging.makeLogRecord({"msg": "password=%s", "args": ("sesame",)})
    logging.Formatter("%(message)s").format(made)
    assert "sesame" in vars(made)["message"]
    RedactionFilter().filter(made)
    assert "sesame" not in str(vars(made))


# -- structlog


def test_processor() -> None:
    """A processor masks an event by its keys and values, and keeps the lines of a traceback."""
    processor = RedactionProcessor(Redactor(query_params=["plan"]))
    event = {
        "event": f"GET {URL}",
        "password": "sesame",
        "plan": "gold",
        "n": 5,
        "user": {"token": "sesame", "name": "joe"},
        "exception": "Traceback\n  line\nValueError: password=sesame",
        "exc_info": True,
    }
    assert processor(None, "info", event) == {
        "event": f"GET {SHOWN}",
        "password": "[REDACTED]",
        "plan": "[REDACTED]",
        "n": 5,
        "user": {"token": "[REDACTED]", "name": "joe"},
        "exception": "Traceback\n  line\nValueError: password=[REDACTED]",
        "exc_info": True,
    }


def test_exceptions_that_are_texts_already() -> None:
    """Exceptions of events are masked, and the exception object is removed."""
    event = {"event": "a", "exception": "ValueError: password=sesame", "exc_info": ValueError("password=sesame")}
    assert RedactionProcessor()(None, "info", event) == {"event": "a", "exception": "ValueError: password=[REDACTED]"}


@pytest.mark.parametrize("order", ["before", "after"])
def test_structlog(order: str) -> None:
    """The processor works in structlog's own chain, before or after the one for exceptions (if structlog is installed)."""
    structlog = pytest.importorskip("structlog")
    stream = io.StringIO()
    chain = [structlog.processors.format_exc_info, RedactionProcessor()]
    chain = [*(chain if order == "after" else reversed(chain)), structlog.processors.JSONRenderer()]
    logger = structlog.wrap_logger(structlog.PrintLogger(stream), processors=chain)
    try:
        raise ValueError("password=sesame")
    except ValueError:
        logger.exception("failed", token="sesame", url=URL)
    told = json.loads(stream.getvalue())
    assert (told["token"], told["url"]) == ("[REDACTED]", SHOWN)
    assert told["exception"].endswith("ValueError: password=[REDACTED]")


class Odd:
    """An object all of whose methods raise."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("where", ["processor", "filter"])
def test_structlog_through_the_standard_library(where: str) -> None:
    """structlog's events and those of other loggers are masked, by processor or by handler filter (if installed)."""
    structlog = pytest.importorskip("structlog")
    processor = [RedactionProcessor()] if where == "processor" else []
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    if where == "filter":
        handler.addFilter(RedactionFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.processors.format_exc_info, *processor, structlog.stdlib.add_logger_name],
            processors=[
                *processor,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logger = logging.getLogger("by.structlog")
    logger.propagate = False
    logger.addHandler(handler)
    logger.warning("login api_key=%s", "sesame")
    chain = [structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    wrapped = structlog.wrap_logger(logger, processors=chain)
    wrapped.warning("login", password="sesame", url=URL, odd=Odd())
    try:
        raise ValueError("password=sesame")
    except ValueError as error:
        for exc_info in (True, error, sys.exc_info()):
            wrapped.warning("failed", exc_info=exc_info)
    logger.removeHandler(handler)
    assert "sesame" not in stream.getvalue()
    first, second, *others = map(json.loads, stream.getvalue().splitlines())
    assert [one["exception"].endswith("ValueError: password=[REDACTED]") for one in others] == [True] * 3
    assert first["event"] == "login api_key=[REDACTED]"
    assert second == {"event": "login", "password": "[REDACTED]", "url": SHOWN, "odd": "<Odd>", "level": "warning"}


def test_settings() -> None:
    """Each takes a Redactor or None, and its error says so; their reprs show no list."""
    for kind in (RedactionFilter, RedactionProcessor, install_redaction):
        with pytest.raises(TypeError, match="redactor must be a Redactor or None, not 'x'"):
            kind("x")  # type: ignore[arg-type]
    redactor = Redactor(headers=["sesame"])
    assert repr(RedactionFilter(redactor)) == "RedactionFilter(Redactor(mask_style='full'))"
    assert repr(RedactionProcessor(redactor)) == "RedactionProcessor(Redactor(mask_style='full'))"

"""No secret leaks, in our log lines, those of other loggers at DEBUG, tracebacks or reprs."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import traceback
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from ratewise import (
    CircuitBreaker,
    InMemoryCache,
    LogConfig,
    RateLimiter,
    RedactionFilter,
    RedisCache,
    RetryConfig,
    exchange_of,
)
from ratewise._redaction.masker import Masker
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Received, Reply
from tests.kit.world import World

PLACES = (
    "userinfo query authorization cookie setcookie apikey jsonrequest jsonresponse formrequest location link referer proxy redis"
)
SECRETS = {place: f"hunter2{place}" for place in PLACES.split()}
SECRETS["path"] = "ghp_" + "aB3d" * 9
SECRETS["pattern"] = "CUST-4711-hunter2"
STYLES = {"sync": "partial", "asyncio": "hash", "trio": "full"}

STANDARD = vars(logging.makeLogRecord({})).keys()


class Everything(logging.Handler):
    """Formats each record with its extra fields."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
        self.shown.append(f"{record.name} {record.levelname} {self.format(record)} {json.dumps(extra, default=repr)}")


@pytest.fixture
def shown() -> Iterator[list[str]]:
    """The records of all loggers at all levels, as text."""
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.shown
    root.setLevel(level)
    root.removeHandler(handler)


@contextlib.contextmanager
def socks() -> Iterator[int]:
    """A proxy that accepts every password, and responds itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in (b"\5\2", b"\1\0", b"\5\0\0\1\0\0\0\0\0\0", b"HTTP/1.1 204 No Content\r\n\r\n"):
                    connection.recv(1000)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def answering() -> Any:
    """The server: each path fails in its own way."""
    asked: list[str] = []

    def answer(received: Received) -> Reply:
        path = received.target.split("?")[0]
        asked.append(path)
        first = asked.count(path) == 1
        if path.startswith("/cached"):
            if first:
                return Reply(503)
            fields = (
                ("content-type", "application/json"),
                ("cache-control", "max-age=60"),
                ("set-cookie", f"sid={SECRETS['setcookie']}"),
                ("link", f'<https://api.example.com/?token={SECRETS["link"]}>; rel="next"'),
            )
            return Reply(200, fields, json.dumps({"user": {"password": SECRETS["jsonresponse"]}}).encode())
        if path == "/redirect":
            return Reply(302, (("location", f"/landing?code={SECRETS['location']}"),))
        if path == "/limited":
            return Reply(429, (("retry-after", "3600"),))
        return Reply(500 if path == "/broken" else 200)

    return answer


async def through_everything(world: World, version: str, clock: FakeClock, redacts: bool) -> list[str]:
    """Send requests with secrets in every place through every capability; return the exceptions and reprs as text."""
    said: list[str] = []
    style: Any = STYLES[world.style]
    config = LogConfig("DEBUG", redact_patterns=[r"CUST-\d+-\w+"], mask_style=style, response_headers=True, bodies=True)
    api = {"Authorization": SECRETS["authorization"], "X-API-Key": SECRETS["apikey"], "Cookie": f"sid={SECRETS['cookie']}"}
    headers = {**api, "Referer": f"https://api.example.com/?token={SECRETS['referer']}"}

    class Auth(world.httpx.Auth):  # type: ignore[misc,name-defined]
        """Without it the library makes a header of the userinfo."""

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            yield request

    @contextlib.asynccontextmanager
    async def client(url: str, **settings: Any) -> Any:
        settings = {"verify": server.verify, "http2": version == "h2", "trust_env": False, "auth": Auth(), **settings}
        made = world.RateWiseClient(url, log_config=config, redact_httpx_logs=redacts, clock=clock, headers=headers, **settings)
        async with world.within(made):
            yield made
        said.extend(map(repr, (made, made._transport, made._transport._layers, made._mounts, config, made.cache)))

    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        with pytest.raises(world.httpx.HTTPError) as raised:
            yield
        said.extend(traceback.format_exception(raised.type, raised.value, raised.tb))
        said.extend([repr(raised.value), repr(exchange_of(raised.value))])

    server = LocalServer(answering(), tls=True, http2=version == "h2")
    with server:
        url = server.url.replace("//", f"//user:{SECRETS['userinfo']}@")
        path = f"/cached/{SECRETS['path']}/{SECRETS['pattern']}?api_key={SECRETS['query']}"
        async with client(url, cache=InMemoryCache()) as one:
            for _ in range(2):
                response = await world(one.get, path)
                said.append(repr(response))
            assert "hit" in response.headers["cache-status"]
            await world(one.post, "/form", data={"client_secret": SECRETS["formrequest"]})
            await world(one.post, "/json", json=[{"password": SECRETS["jsonrequest"]}])
            response = await world(one.get, "/redirect", follow_redirects=True)
            assert response.status_code == 200
        async with client(url, rate_limiter=RateLimiter()) as one:
            for _ in range(2):
                with failing():
                    await world(one.get, f"/limited?api_key={SECRETS['query']}&for={SECRETS['pattern']}")
        once, breaker = RetryConfig(1), CircuitBreaker(failure_threshold=1)
        async with client(url, retry_config=once, circuit_breaker=breaker, cache=InMemoryCache()) as one:
            await world(one.get, "/broken")
            with failing():
                await world(one.get, f"/broken?api_key={SECRETS['query']}")
        redis = RedisCache(f"redis://:{SECRETS['redis']}@127.0.0.1:1/0")
        async with client(url, cache=redis) as one:
            await world(one.get, "/")
        await world.close(redis)
    with socks() as port:
        async with client("http://localhost:1", proxy=f"socks5://user:{SECRETS['proxy']}@127.0.0.1:{port}") as one:
            assert (await world(one.get, "/")).status_code == 204
    async with client(url.rpartition(":")[0] + ":1", max_retries=2) as one:
        with failing():
            await world(one.get, f"/{SECRETS['pattern']}?api_key={SECRETS['query']}")
    return said


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_no_secret_is_shown(world: World, shown: list[str], version: str) -> None:
    """With every logger at DEBUG, none of the secrets sent through every capability is in a record, error or repr."""
    said = await through_everything(world, version, FakeClock(auto=True), redacts=True)
    assert {place: text for place, secret in SECRETS.items() for text in (*shown, *said) if secret in text} == {}
    loggers = {text.split()[0] for text in shown}
    library = world.httpx.__name__
    core = library.replace("httpx", "httpcore")
    assert {"ratewise", library, f"{core}.connection", f"{core}.socks"} <= loggers
    assert {name for name in loggers if name.startswith("hpack")} == set()


@pytest.mark.parametrize("version", ["http/1.1", "h2"])
async def test_they_would_be_found(world: World, shown: list[str], version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redaction every one of the secrets appears, so that the test above proves something."""
    monkeypatch.setattr(Masker, "header", lambda self, name, value: value)
    for name in ("url", "text", "mask"):
        monkeypatch.setattr(Masker, name, lambda self, text, **_: str(text))
    monkeypatch.setattr(RedactionFilter, "filter", lambda self, record: True)
    said = await through_everything(world, version, FakeClock(auto=True), redacts=False)
    everything = "\n".join((*shown, *said))
    assert {place for place, secret in SECRETS.items() if secret not in everything} == set()

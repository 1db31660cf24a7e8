"""httpx and httpx2 in one process: one source, no mixing, and what only httpx2 has."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from importlib import import_module
from typing import Any

import httpx
import httpx2
import pytest
import wsproto

import ratewise
import ratewise.httpx2
from ratewise import RetryBudget, RetryConfig, exchange_of
from ratewise.testing import FakeClock
from ratewise.testing.server import LocalServer, Reply
from tests.kit import twin
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only

OTHER = {"httpx": (httpx2, "httpx2", "ratewise.httpx2"), "httpx2": (httpx, "httpx", "ratewise")}
# Python 3.9 gets httpx2 2.0.0, which has neither alias_httpx nor sse, websocket and query.
CURRENT = pytest.mark.skipif(not hasattr(httpx2, "alias_httpx"), reason="this Python's newest httpx2 does not have it yet")


def run(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=PATIENCE * 2).stdout


def test_one_text() -> None:
    """`ratewise/httpx2` is generated from `ratewise/_httpx`, as by tests/kit/twin.py."""
    there = {path.name: path.read_text() for path in twin.TWIN.glob("*.py")}
    assert there == twin.texts(), "run `nox -s twin`"


# A script without the other library: requests of each kind, over a real socket.
WITHOUT = """
import asyncio, sys
sys.modules[{absent!r}] = None
import ratewise
from {package} import AsyncRateWiseClient, RateWiseClient, RateWiseTransport
from {library} import Client

with RateWiseClient({url!r}, trust_env=False) as client:
    print(client.get("/").status_code)
with Client(transport=RateWiseTransport()) as client:
    print(client.get({url!r}).status_code)

async def main():
    async with AsyncRateWiseClient({url!r}, trust_env=False) as client:
        print((await client.get("/")).status_code)

asyncio.run(main())
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"httpx", "httpcore", "httpx2", "httpcore2"}}))
"""


@pytest.mark.parametrize(
    ("package", "library", "absent", "loaded"),
    [
        ("ratewise", "httpx", "httpx2", ["httpcore", "httpx", "httpx2"]),
        ("ratewise.httpx2", "httpx2", "httpx", ["httpcore2", "httpx", "httpx2"]),
    ],
)
def test_each_does_without_the_other_library(package: str, library: str, absent: str, loaded: list[str]) -> None:
    """Neither package imports the other library: sync and async requests work if only one is installed."""
    with LocalServer(lambda received: Reply()) as server:
        done = run(WITHOUT.format(package=package, library=library, absent=absent, url=server.url))
    assert done == f"200\n200\n200\n{loaded}\n"  # the absent one is there by name, as None


@pytest.mark.parametrize(("package", "library"), [("_httpx", "httpx"), ("httpx2", "httpx2")])
def test_a_library_that_is_missing(package: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a missing library says what to install."""
    for name in [name for name in sys.modules if name.startswith(f"ratewise.{package}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(ratewise, package, raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"not installed: pip install {library}$") as raised:
        import_module(f"ratewise.{package}")
    assert raised.value.name == library


@CURRENT
def test_where_httpx_is_an_alias() -> None:
    """After `httpx2.alias_httpx()` the transports of `ratewise` and `ratewise.httpx2` both serve httpx2, and can be mixed."""
    script = """
import httpx2
httpx2.alias_httpx()
import httpx, ratewise, ratewise.httpx2
from ratewise import RateWiseClient, RateWiseTransport, RetryConfig, RetryTransport

assert httpx.Client is httpx2.Client
statuses = [503, 200] * 3
wire = httpx2.MockTransport(lambda request: httpx2.Response(statuses.pop(0)))
config = RetryConfig(initial_delay=0)
with RateWiseClient("https://x.example", transport=wire, retry_config=config) as client:
    assert isinstance(client, httpx2.Client)
    print(client.get("/").status_code)
with httpx2.Client(transport=RateWiseTransport(wire, retry_config=config)) as client:
    print(client.get("https://x.example").status_code)
with ratewise.httpx2.RateWiseClient("https://x.example", transport=RetryTransport(wire, config), max_retries=0) as client:
    print(client.get("/").status_code)
assert issubclass(ratewise.RateLimitExceeded, httpx2.HTTPError)
"""
    assert run(script) == "200\n200\n200\n"


@pytest.mark.parametrize("name", ["LayerTransport", "RetryTransport", "RateWiseTransport"])
async def test_a_transport_of_the_other_library_is_refused(world: World, name: str) -> None:
    """It is refused at construction, with the package to use instead; also a RateWise transport for the other library."""
    library, its_name, package = OTHER[world.httpx.__name__]
    prefix = "" if world.is_sync else "Async"
    theirs = getattr(library, f"{prefix}HTTPTransport")()
    ours = getattr(import_module(package), f"{prefix}RetryTransport")(theirs)
    hint = re.escape(f" (this one is for {its_name}: use the transports and clients of `{package}`), not ")
    for wrong in (theirs, ours):
        with pytest.raises(TypeError, match=f"transport must be an {world.httpx.__name__}.*{hint}"):
            getattr(world.ratewise, prefix + name)(wrong)
        for keywords in ({"transport": wrong}, {"mounts": {"http://": wrong}}):
            with pytest.raises(TypeError, match=hint):
                world.RateWiseClient("https://api.example.com", **keywords)
    await world.close(ours)


async def test_one_set_of_rules_serves_both(world: World, clock: FakeClock) -> None:
    """One budget counts the retries of clients for both libraries."""
    config = RetryConfig(budget=RetryBudget(ratio=0, min_per_second=1), initial_delay=0)
    other = World(f"{world.style}-{OTHER[world.httpx.__name__][1]}")
    assert (await world.send(world.RetryTransport(Scripted(failing("ReadError"), 200), config, clock=clock))).status_code == 200
    with pytest.raises(other.httpx.ReadError) as raised:
        await other.send(other.RetryTransport(Scripted(failing("ReadError"), 200), config, clock=clock))
    assert "budget" in exchange_of(raised.value).history[0].reason


# -- what httpx2 has


def events(connection: socket.socket) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for data in (b"data: one\n\n", b"event: last\ndata: two\n\n"):
        connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
    connection.sendall(b"0\r\n\r\n")
    return True


@CURRENT
@only("httpx2")
async def test_server_sent_events(world: World) -> None:
    """`client.sse()` yields each event when it arrives, after a retried 503."""
    answers: list[Any] = [Reply(503), events]
    with LocalServer(lambda received: answers.pop(0)) as server:
        config = RetryConfig(initial_delay=0)
        client = world.RateWiseClient(server.url, trust_env=False, retry_config=config)
        async with world.within(client), world.within(client.sse("/")) as source:
            got = list(source) if world.is_sync else [event async for event in source]
    assert [(event.event, event.data) for event in got] == [("message", "one"), ("last", "two")]
    assert server.received[0].header("accept") == "text/event-stream"


def websocket(connection: socket.socket) -> bool:
    """Echo each message until the client closes."""
    server = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    received = websocket.request  # type: ignore[attr-defined]
    server.initiate_upgrade_connection([(n.encode(), v.encode()) for n, v in received.headers], received.target)
    for _ in server.events():
        connection.sendall(server.send(wsproto.events.AcceptConnection()))
    while data := connection.recv(4096):
        server.receive_data(data)
        for event in server.events():
            if isinstance(event, wsproto.events.TextMessage):
                connection.sendall(server.send(wsproto.events.TextMessage(event.data.upper())))
            elif isinstance(event, wsproto.events.CloseConnection):
                connection.sendall(server.send(event.response()))
                return False
    return False


@CURRENT
@only("httpx2")
@pytest.mark.parametrize("total_timeout", [None, 60.0])
async def test_websockets(world: World, total_timeout: float | None) -> None:
    """`client.websocket()` uses the upgraded connection, also under a deadline."""

    def answer(received: Any) -> Any:
        websocket.request = received  # type: ignore[attr-defined]
        return websocket

    with LocalServer(answer) as server:
        client = world.RateWiseClient(server.url, trust_env=False, total_timeout=total_timeout)
        async with world.within(client), world.within(client.websocket(server.url.replace("http", "ws"))) as talk:
            for word in ("one", "two"):
                await world(talk.send_text, word)
                assert await world(talk.receive_text) == word.upper()
    assert not server.broken


def upgrade(connection: socket.socket) -> bool:
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello ")
    connection.sendall(connection.recv(100))
    return False


async def test_an_upgraded_connection_is_the_callers(world: World) -> None:
    """After a 101, data behind the head is available, and `network_stream` goes on."""
    with LocalServer(lambda received: upgrade) as server:
        client = world.RateWiseClient(server.url, trust_env=False, total_timeout=60.0)
        head = {"Upgrade": "echo", "Connection": "Upgrade"}
        async with world.within(client), world.within(client.stream("GET", "/", headers=head)) as result:
            assert result.status_code == 101
            stream = result.extensions["network_stream"]
            await world(stream.write, b"world")
            got = b""
            while len(got) < len(b"hello world"):
                got += await world(stream.read, 100, PATIENCE)
    assert got == b"hello world"


@CURRENT
@only("httpx2")
async def test_query(world: World, clock: FakeClock) -> None:
    """QUERY is safe (RFC 10008): sent again after a broken connection, with its body."""
    wire = Scripted(failing("ReadError"), 503, 200)
    client = world.RateWiseClient("https://api.example.com", transport=wire, clock=clock)
    assert (await world(client.query, "/search", json={"q": 1})).status_code == 200
    assert [(sent.request.method, sent.body) for sent in wire.sent] == [("QUERY", b'{"q":1}')] * 3


async def test_elapsed_and_decoding(world: World, clock: FakeClock) -> None:
    """`elapsed` is set once the body was read or the stream left, and the body is decoded, also under a deadline."""
    import gzip

    squeezed = gzip.compress(b"hello " * 1000)
    step = response(200, {"Content-Encoding": "gzip"}, Body(squeezed[:10], squeezed[10:]))
    for total_timeout in (None, 60.0):
        client = world.RateWiseClient(
            "https://api.example.com", transport=Scripted(step, step), clock=clock, total_timeout=total_timeout
        )
        result = await world(client.get, "/")
        assert result.content == b"hello " * 1000
        assert result.elapsed.total_seconds() >= 0
        async with world.within(client.stream("GET", "/")) as streamed:
            with pytest.raises(RuntimeError, match="elapsed"):
                _ = streamed.elapsed
            parts = streamed.iter_text() if world.is_sync else streamed.aiter_text()
            text = "".join(parts if world.is_sync else [part async for part in parts])
        assert text == "hello " * 1000
        assert streamed.elapsed.total_seconds() >= 0

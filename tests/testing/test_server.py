"""`LocalServer`: HTTP/1.1 and HTTP/2, with and without TLS, and its end."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from ratewise.testing import LocalServer, Received, Reply
from ratewise.testing.server import Answer, reset
from tests.kit.patience import PATIENCE, wait_until
from tests.kit.world import World, only

KINDS: dict[str, Any] = {"plain": {}, "tls": {"tls": True}, "h2": {"http2": True}}
EVERYWHERE = pytest.mark.parametrize("kind", KINDS)


def client_of(world: World, server: LocalServer, kind: str = "", **more: Any) -> Any:
    """A plain client that trusts the server."""
    settings = {"verify": server.verify, "http2": kind == "h2", "trust_env": False, "timeout": PATIENCE, **more}
    return world.within(world.Client(base_url=server.url, **settings))


@EVERYWHERE
async def test_requests_and_replies(world: World, kind: str) -> None:
    """A request is received with its body; a reply has the given status, fields and body; its headers are a mapping or pairs."""
    replies = [
        Reply(),
        Reply(201, {"X-A": "1"}, b"created"),
        Reply(429, [("X-A", "1"), ("X-A", "\xff")], b""),
        Reply(204, body=b"never sent"),
        Reply(200, body=b"x" * 200_000),
        Reply(404),
    ]
    with LocalServer(lambda received: replies[len(server.received) - 1], **KINDS[kind]) as server:
        async with client_of(world, server, kind) as client:
            answers = [
                await world(client.get, "/a?b=c", headers=[("X-B", "1"), ("X-B", "2")]),
                await world(client.post, "/a", content=b"body" * 50_000),
                await world(client.put, "/a", content=iter([b"in ", b"chunks"]) if world.is_sync else chunks(b"in ", b"chunks")),
                await world(client.get, "/a"),
                await world(client.get, "/a"),
                await world(client.head, "/a"),
            ]
    assert [answer.status_code for answer in answers] == [200, 201, 429, 204, 200, 404]
    assert [answer.content for answer in answers] == [b"ok", b"created", b"", b"", b"x" * 200_000, b""]
    assert [answer.headers.get("x-a") for answer in answers] == [None, "1", "1, \xff", None, None, None]
    assert {answer.http_version for answer in answers} == {"HTTP/2" if kind == "h2" else "HTTP/1.1"}
    assert [received.method for received in server.received] == ["GET", "POST", "PUT", "GET", "GET", "HEAD"]
    assert [received.body for received in server.received[:3]] == [b"", b"body" * 50_000, b"in chunks"]
    first = server.received[0]
    assert (first.target, first.path, first.header("X-B"), first.header("X-C")) == ("/a?b=c", "/a", "1, 2", None)
    assert first.header("host") == server.url.partition("//")[2]
    assert server.connections == 1


async def chunks(*given: bytes) -> Any:
    for chunk in given:
        yield chunk


@only("sync")
def test_reasons(world: World) -> None:
    """HTTP/1.1 responses have the reason phrase of their status."""
    with LocalServer(lambda received: Reply(int(received.path[1:]))) as server, world.Client(base_url=server.url) as client:
        assert [client.get(path).reason_phrase for path in ("/404", "/599")] == ["Not Found", "Unknown"]


@only("asyncio", "trio")
async def test_streams_at_once(world: World) -> None:
    """Requests on one HTTP/2 connection are answered at once, each with its own body; a function gets the stream."""
    together = threading.Barrier(10)

    def answer(received: Received) -> Answer:
        together.wait(PATIENCE)
        if received.path == "/stream":

            def send(stream: Any) -> bool:
                stream.send_head(200, [("x-a", "1")])
                stream.send(received.body * 5000)
                stream.send(b"", end=True)
                return True

            return send
        return Reply(body=received.body * 5000)

    with LocalServer(answer, http2=True) as server:
        async with client_of(world, server, "h2") as client:
            calls = [lambda n=n: client.post("/stream" if n % 2 else "/", content=b"%d" % n * 10) for n in range(10)]
            answers = await world.gather(*calls)
    assert [answer.content for answer in answers] == [b"%d" % n * 50_000 for n in range(10)]
    assert server.connections == 1


class RawClient:
    """An HTTP/2 client that sends exactly what a test specifies."""

    def __init__(self, server: LocalServer, window: int = 65535) -> None:
        assert isinstance(server.verify, ssl.SSLContext)
        server.verify.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        self.socket = server.verify.wrap_socket(raw, server_hostname="localhost")
        self.h2 = h2.connection.H2Connection()
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.h2.initiate_connection()
        self.send()

    def send(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def request(self, stream: int, *more: tuple[str, str], end: bool = True) -> None:
        fields = [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "localhost"), *more]
        self.h2.send_headers(stream, fields, end_stream=end)
        self.send()

    def until(self, kind: type) -> Any:
        """Read until an event of this kind."""
        while True:
            for event in self.h2.receive_data(self.socket.recv(65536)):
                if isinstance(event, kind):
                    return event
            self.send()


def test_flow_control() -> None:
    """A body is sent as the client's window allows; a stream that the client resets meanwhile is not sent further."""
    streams: list[Any] = []

    def answer(received: Received) -> Answer:
        def send(stream: Any) -> bool:
            streams.append(stream)
            return bool(stream.reply(Reply(body=b"x" * 25)))

        return send

    with LocalServer(answer, http2=True) as server:
        client = RawClient(server, window=10)
        with client.socket:
            client.request(1)
            assert client.until(h2.events.DataReceived).data == b"x" * 10
            client.h2.increment_flow_control_window(10, 1)
            client.send()
            assert client.until(h2.events.DataReceived).data == b"x" * 10
            client.h2.reset_stream(1)
            client.send()
            assert streams[0].over.wait(PATIENCE)
            client.request(3)
            assert client.until(h2.events.DataReceived).stream_id == 3


def test_a_client_that_resets_a_request() -> None:
    """A request whose stream is reset before its end is not answered, and later ones are; a late answer to one is dropped."""
    answering, go_on = threading.Event(), threading.Event()

    def answer(received: Received) -> Answer:
        if received.header("x-late"):
            answering.set()
            assert go_on.wait(PATIENCE)
        return Reply()

    with LocalServer(answer, http2=True) as server:
        client = RawClient(server)
        with client.socket:
            client.request(1, end=False)
            client.h2.reset_stream(1)
            client.request(3, ("x-late", "1"))
            assert answering.wait(PATIENCE)
            client.h2.reset_stream(3)
            client.request(5)
            assert client.until(h2.events.StreamEnded).stream_id == 5
            go_on.set()
            client.request(7)
            assert client.until(h2.events.StreamEnded).stream_id == 7
    assert [received.header("x-late") for received in server.received] == ["1", None, None]


@EVERYWHERE
async def test_an_answer_that_raises(world: World, kind: str) -> None:
    """Leaving the server raises what an answer raised."""

    def broken(received: Received) -> Answer:
        raise LookupError("no answer")

    server = LocalServer(broken, **KINDS[kind]).__enter__()
    async with client_of(world, server, kind) as client:
        with pytest.raises(world.httpx.TransportError):
            await world(client.get, "/")
    with pytest.raises(LookupError, match="no answer"):
        server.__exit__()


def test_a_wrong_use_of_http2() -> None:
    """An answer that breaks the protocol itself is an error of the test."""

    def twice(received: Received) -> Answer:
        def send(stream: Any) -> bool:
            stream.send_head(200, end=True)
            stream.send(b"after the end")
            return True

        return send

    server = LocalServer(twice, http2=True).__enter__()
    client = RawClient(server)
    with client.socket:
        client.request(1)
        wait_until(lambda: server.broken)
    with pytest.raises(h2.exceptions.ProtocolError):
        server.__exit__()


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost:", b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_clients_that_hang_up(sent: bytes, how: str) -> None:
    """A client that disconnects within its request is no error, and nothing is received."""
    with LocalServer(lambda received: Reply()) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
            if how == "reset":
                reset(connection)
        wait_until(lambda: server.connections == 1 and not server._open)
    assert server.received == []


@EVERYWHERE
def test_closing(kind: str) -> None:
    """Leaving the server ends what still answers, idle connections and handshakes that never come, without delay."""
    answering = threading.Event()
    ended: list[bool] = []

    def answer(received: Received) -> Answer:
        def wait(connection: Any) -> bool:
            answering.set()
            if kind == "h2":
                connection.wait()
            else:
                connection.recv(1)
            ended.append(True)
            return False

        return wait

    server = LocalServer(answer, **KINDS[kind]).__enter__()
    with contextlib.ExitStack() as stack:
        stack.callback(socket.create_connection(("127.0.0.1", server.port)).close)
        if kind == "h2":
            client = RawClient(server)
            stack.callback(client.socket.close)
            client.request(1)
        else:
            connection = socket.create_connection(("127.0.0.1", server.port))
            if kind == "tls":
                assert isinstance(server.verify, ssl.SSLContext)
                connection = server.verify.wrap_socket(connection, server_hostname="localhost")
            stack.callback(connection.close)
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert answering.wait(PATIENCE)
        server.__exit__()
        assert ended == [True]
        assert not server._threads


def test_closing_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not end is left alone after `CLOSE_TIMEOUT`."""
    monkeypatch.setattr("ratewise.testing.server.CLOSE_TIMEOUT", 0.05)
    answering, end = threading.Event(), threading.Event()

    def answer(received: Received) -> Answer:
        answering.set()
        assert end.wait(PATIENCE)
        return Reply()

    with LocalServer(answer) as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert answering.wait(PATIENCE)
    assert server._threads
    end.set()
    wait_until(lambda: not server._threads)


def test_what_clients_trust() -> None:
    """`verify` is a context for a certificate of the server's own, else True; a context of one's own is used as it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert LocalServer(lambda received: Reply()).verify is True
    assert LocalServer(lambda received: Reply(), tls=context).verify is True
    assert isinstance(LocalServer(lambda received: Reply(), tls=True).verify, ssl.SSLContext)


@pytest.mark.parametrize(("package", "settings"), [("trustme", {"tls": True}), ("h2", {"http2": True})])
def test_packages_of_the_extra(monkeypatch: pytest.MonkeyPatch, package: str, settings: Any) -> None:
    """TLS and HTTP/2 need packages of the extra `testing`; plain HTTP does not."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"package {package}: pip install 'ratewise\[testing\]'"):
        LocalServer(lambda received: Reply(), **settings)
    with LocalServer(lambda received: Reply()) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"http2": 1}, "http2 must be True or False, not 1"),
        ({"tls": "yes"}, "tls must be True, False, None or an ssl.SSLContext, not 'yes'"),
        ({"answer": Reply()}, "answer must be a plain function of the request received"),
    ],
)
def test_settings_that_are_refused(settings: Any, error: str) -> None:
    """Settings are checked when the server is made."""
    with pytest.raises(TypeError, match=error):
        LocalServer(**{"answer": lambda received: Reply(), **settings})

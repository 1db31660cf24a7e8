"""Retries on a hostile wire: a real server that fails in many ways and counts the requests that reach it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from ratewise import Bulkhead, CircuitBreaker, Clock, RateLimiter, RetryConfig, Waiter, exchange_of
from ratewise.testing import FakeClock, FaultServer, LocalServer, Received, Reply
from ratewise.testing.server import Answer
from tests.kit.marks import HALF_READ, SIGNALS
from tests.kit.moments import Trace, allow, interruption
from tests.kit.patience import PATIENCE
from tests.kit.world import World, only


def settings(world: World, **more: Any) -> Any:
    """A pool of one connection, a clock that does not wait, time-outs for a busy machine, no proxies, no certificates."""
    return {
        "limits": world.httpx.Limits(max_connections=1),
        "timeout": world.httpx.Timeout(PATIENCE, read=more.pop("read", PATIENCE), pool=PATIENCE),
        "retry_config": RetryConfig(jitter=False, budget=False, decide=patient),
        "clock": FakeClock(auto=True),
        "trust_env": False,
        "verify": False,
        **more,
    }


def patient(response: Any, exception: Any, attempt: int) -> None:
    """Leave the decision to the rules, but give the next attempt time for a busy machine."""
    limits["read"] = PATIENCE


def informational(connection: socket.socket) -> bool:
    """Send several 1xx responses before the final one."""
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + Reply().encoded())
    return True


class Script:
    """Answers each request with the next step, and with 200 after the last one."""

    def __init__(self, *steps: Answer) -> None:
        self.steps = list(steps)

    def __call__(self, received: Received) -> Answer:
        return self.steps.pop(0) if self.steps else Reply()


trace = Trace()
limits: dict[str, float] = {}
"""The time-outs of the current request, in seconds."""


def asking(world: World, word: str) -> Any:
    """The extensions of a request: its trace and its time-outs; the read time-out is short if the server hangs."""
    limits.update(dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE))
    if word.startswith("hang"):
        limits["read"] = 0.1
    return {"trace": trace.of(world), "timeout": limits}


HEADS = ["disconnect", "reset", "not-http", "bad-header", "giant-head", "hang"]
BODIES = ["truncate", "reset-body", "hang-body"]


@pytest.mark.parametrize("word", HEADS + BODIES)
async def test_what_breaks_is_asked_again(world: World, word: str) -> None:
    """GET: a failed request is sent again on a new connection, also if only the body broke off; the pool stays usable."""
    with FaultServer({"/first": "200", "/": f"{word} 200"}) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world))) as client:
            await world(client.get, "/first")
            response = await world(client.get, "/", extensions=asking(world, word))
            assert (response.status_code, response.json()) == (200, {"path": "/", "request": 2})
            assert exchange_of(response).attempts == 2
            assert client.get_stats().total_retries == 1
            assert (await world(client.get, "/")).json() == {"path": "/", "request": 3}
    assert len(server.received) == 4


@pytest.mark.parametrize("word", HEADS + BODIES)
async def test_a_lost_answer_is_not_asked_for_twice(world: World, word: str) -> None:
    """POST: the server receives the request exactly once, the error is raised, and the pool stays usable."""
    with FaultServer({"/first": "200", "/payments": word, "/": "200"}) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world))) as client:
            await world(client.get, "/first")
            with pytest.raises(world.httpx.TransportError) as raised:
                await world(client.post, "/payments", json={"amount": 5}, extensions=asking(world, word))
            assert exchange_of(raised.value).attempts == 1
            assert (await world(client.get, "/")).status_code == 200
    assert [received.target for received in server.received] == ["/first", "/payments", "/"]


@pytest.mark.parametrize("word", BODIES)
async def test_a_stream_that_breaks_off_is_the_callers(world: World, word: str) -> None:
    """client.stream(): a body that breaks off after the response was returned is not requested again."""
    with FaultServer({"/": f"{word} 200"}) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world))) as client:
            async with world.within(client.stream("GET", "/", extensions=asking(world, "truncate"))) as response:
                limits["read"] = 0.1 if word == "hang-body" else PATIENCE
                with pytest.raises(world.httpx.TransportError):
                    await world.read(response)
            assert (await world(client.get, "/")).status_code == 200
    assert len(server.received) == 2


async def test_streams_are_not_buffered(world: World) -> None:
    """A stream yields its first chunk while the server still holds back the second; get() returns the whole body."""
    go_on = threading.Event()

    def two(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        assert go_on.wait(PATIENCE)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        return True

    with LocalServer(Script(two, two)) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world))) as client:
            async with world.within(client.stream("GET", "/")) as response:
                if world.is_sync:
                    chunks = response.iter_bytes()
                    first = next(chunks)
                    go_on.set()
                    assert [first, *chunks] == [b"one", b"two"]
                else:
                    achunks = response.aiter_bytes()
                    first = await achunks.__anext__()
                    go_on.set()
                    assert [first, *[chunk async for chunk in achunks]] == [b"one", b"two"]
            response = await world(client.get, "/")
            assert response.content == b"onetwo"
            assert response.num_bytes_downloaded == 6


async def test_informational_responses(world: World) -> None:
    """100 and 103 are skipped: the final response is returned."""
    with LocalServer(Script(informational)) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world))) as client:
            assert (await world(client.get, "/")).content == b"ok"
            assert (await world(client.get, "/")).content == b"ok"
    assert server.connections == 1


async def test_never_sent(world: World) -> None:
    """Connection refused, or unknown host name: any method is retried, since nothing can have been done."""
    with FaultServer() as server:
        for url in (server.closed_url, "http://nowhere.invalid"):
            async with world.within(world.RateWiseClient(url, **settings(world))) as client:
                with pytest.raises(world.httpx.ConnectError) as raised:
                    await world(client.post, "/")
                assert exchange_of(raised.value).attempts == 4


async def test_a_thousand_retried_responses(world: World) -> None:
    """1,000 responses that are retried all use one connection."""
    with LocalServer(lambda received: Reply(503, body=b"x" * 100)) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world))) as client:
            for _ in range(250):
                response = await world(client.get, "/")
                assert response.status_code == 503
    assert len(server.received) == 1000
    assert server.connections == 1


async def test_a_body_without_end_does_not_hang_a_retry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 503 whose body is endless, slow, hangs or claims a huge length is abandoned soon, with its connection."""
    monkeypatch.setattr("ratewise._adapter.drain.READ_TIMEOUT", 0.05)
    head = b"HTTP/1.1 503 Unavailable\r\n"

    def endless(connection: socket.socket) -> bool:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

    def dripping(connection: socket.socket) -> bool:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\nx\r\n")
            threading.Event().wait(0.01)

    def hanging(connection: socket.socket) -> bool:
        connection.sendall(head + b"Content-Length: 10\r\n\r\nx")
        connection.recv(1)
        return False

    def huge(connection: socket.socket) -> bool:
        connection.sendall(head + b"Content-Length: 1000000000\r\n\r\nx")
        connection.recv(1)
        return False

    config = RetryConfig(5, budget=False)
    with LocalServer(Script(endless, dripping, hanging, huge)) as server:
        async with world.within(world.RateWiseClient(server.url, **settings(world, retry_config=config))) as client:
            assert (await world(client.get, "/")).content == b"ok"
            assert client.get_stats().total_retries == 4
    assert server.connections == 5


# -- HTTP/2


@pytest.mark.parametrize(("word", "method", "sent"), [("refused-stream", "POST", 2), ("goaway", "POST", 2)])
async def test_http2_unprocessed(world: World, word: str, method: str, sent: int) -> None:
    """REFUSED_STREAM and a GOAWAY before the first stream prove that nothing was done: any method is sent again."""
    with FaultServer({"/": f"{word} 200"}, http2=True) as server:
        more = settings(world, http2=True, verify=server.verify)
        async with world.within(world.RateWiseClient(server.url, **more)) as client:
            response = await world(client.request, method, "/")
            assert (response.status_code, response.http_version) == (200, "HTTP/2")
    assert len(server.received) == sent


@pytest.mark.parametrize(("method", "sent"), [("POST", 1), ("GET", 2)])
async def test_http2_reset(world: World, method: str, sent: int) -> None:
    """Another reset of the stream does not prove that nothing was done."""
    with LocalServer(Script(lambda stream: stream.reset(8)), http2=True) as server:  # CANCEL
        more = settings(world, http2=True, verify=server.verify)
        async with world.within(world.RateWiseClient(server.url, **more)) as client:
            with pytest.raises(world.httpx.RemoteProtocolError, match="error_code") if sent == 1 else contextlib.nullcontext():
                assert (await world(client.request, method, "/")).content == b"ok"
    assert len(server.received) == sent


# -- deadline


class Paths:
    """Answers each path as given, and all others with 200."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = answers

    def __call__(self, received: Received) -> Answer:
        return self.answers.get(received.target.partition("?")[0], Reply())


async def works(world: World, client: Any) -> None:
    """Check that the client's pool of one connection is usable: a request with enough time succeeds."""
    before = allow(client, PATIENCE)
    assert (await world(client.get, "/", timeout=PATIENCE)).status_code == 200
    allow(client, before)


@HALF_READ
async def test_a_deadline_ends_what_hangs(world: World) -> None:
    """total_timeout alone ends a call that hangs before the headers, in the body or in a stream; the pool stays usable."""
    more = settings(world, timeout=world.httpx.Timeout(None, pool=PATIENCE), total_timeout=0.25)
    del more["clock"]
    with FaultServer({"/": "200", "/x": "hang", "/y": "hang-body"}) as server:
        async with world.within(world.RateWiseClient(server.url, **more)) as client:
            for path in ("/x", "/y"):
                with pytest.raises(
                    world.ratewise.DeadlineExceeded, match=rf"total_timeout exceeded for GET http://127.*{path}\?key=REDACTED"
                ) as raised:
                    await world(client.get, f"{path}?key=hunter2")
                assert isinstance(raised.value, world.httpx.TimeoutException)
                assert raised.value.request.url.path == path
                assert (raised.value.attempts, exchange_of(raised.value).attempts) == (1, 1)
                await works(world, client)
            with pytest.raises(world.ratewise.DeadlineExceeded):
                async with world.within(client.stream("GET", "/y")) as response:
                    await world.read(response)
            await works(world, client)


@HALF_READ
async def test_a_deadline_ends_what_drips(world: World) -> None:
    """total_timeout ends a body that arrives a byte at a time without end."""

    def dripping(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\nx\r\n")
            threading.Event().wait(0.01)

    more = settings(world, total_timeout=0.25)
    del more["clock"]
    with LocalServer(Paths({"/x": dripping})) as server:
        async with world.within(world.RateWiseClient(server.url, **more)) as client:
            with pytest.raises(world.ratewise.DeadlineExceeded):
                await world(client.get, "/x")
            with pytest.raises(world.ratewise.DeadlineExceeded):
                async with world.within(client.stream("GET", "/x")) as response:
                    await world.read(response)
            await works(world, client)


def drip(connection: socket.socket, *pieces: bytes) -> None:
    """Send pieces one at a time, for as long as a test may last."""
    for piece in pieces * int(PATIENCE / 0.01):
        connection.sendall(piece)
        threading.Event().wait(0.01)


def dripping_headers(connection: socket.socket) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    drip(connection, b"x")
    connection.sendall(b"\r\nContent-Length: 2\r\n\r\nok")
    return True


def dripping_progress(connection: socket.socket) -> bool:
    drip(connection, b"HTTP/1.1 102 Processing\r\n\r\n")
    connection.sendall(Reply().encoded())
    return True


def dripping_in_a_chunk(connection: socket.socket) -> bool:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;extension=")
    drip(connection, b"x")
    connection.sendall(b"\r\nok\r\n0\r\n\r\n")
    return True


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_deadline_ends_what_drips_below_httpx(world: World, secure: bool) -> None:
    """Headers, 1xx responses and chunk sizes a byte at a time: each read is short, yet total_timeout ends the call."""
    paths = {"/a": dripping_headers, "/b": dripping_progress, "/c": dripping_in_a_chunk}
    with LocalServer(Paths(paths), tls=secure) as server:
        more = settings(world, total_timeout=0.3, read=0.2, verify=server.verify)  # no single read reaches its own time-out
        del more["clock"]
        async with world.within(world.RateWiseClient(server.url, **more)) as client:
            for path in paths:
                with pytest.raises(world.ratewise.DeadlineExceeded):
                    await world(client.get, path)
            await works(world, client)


# Python has Unix sockets only on Unix.
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no Unix sockets")
@only("sync")
def test_a_deadline_over_a_unix_socket(world: World, tmp_path: Any) -> None:
    """In sync code total_timeout also ends a call over a Unix socket."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):  # the client disconnects
                connection.recv(65536)
                dripping_headers(connection)

        threading.Thread(target=serve, daemon=True).start()
        transport = world.RateWiseTransport(uds=path, total_timeout=0.1)
        with world.Client(transport=transport) as client, pytest.raises(world.ratewise.DeadlineExceeded):
            client.get("http://localhost/")


@HALF_READ
async def test_a_deadline_ends_a_slow_upload(world: World) -> None:
    """total_timeout ends an upload to a server that reads slowly."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def take() -> None:
            connection, _ = listener.accept()
            with connection:
                for _ in range(int(PATIENCE / 0.01)):
                    connection.recv(1000)
                    if over.wait(0.01):
                        break

        over = threading.Event()
        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        more = settings(world, total_timeout=0.15)
        del more["clock"]
        async with world.within(world.RateWiseClient(f"http://127.0.0.1:{listener.getsockname()[1]}", **more)) as client:
            with pytest.raises(world.ratewise.DeadlineExceeded):
                await world(client.put, "/", content=b"x" * 20_000_000)
        over.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


# -- cancellation


@only("asyncio")
@pytest.mark.parametrize("more", [{}, {"total_timeout": 60.0}, {"bulkhead": Bulkhead()}, {"circuit_breaker": CircuitBreaker()}])
async def test_cancelled_while_a_stream_is_closed(world: World, more: Any) -> None:
    """Cancelling the close of a half-read body at any step leaves the pool of one connection usable."""
    config = settings(world, **more)
    del config["clock"]
    with LocalServer(lambda received: Reply(body=b"x" * 200_000)) as server:
        for steps in range(1, 6):
            async with world.RateWiseClient(server.url, **config) as client:
                result = await client.send(client.build_request("GET", "/"), stream=True)
                async for _ in result.aiter_raw():
                    break
                closing = asyncio.ensure_future(result.aclose())
                for _ in range(steps):
                    await asyncio.sleep(0)
                closing.cancel()
                await asyncio.wait([closing])
                assert (await client.get("/")).status_code == 200


class Noting(Clock):
    """A real clock that records whether anyone has waited."""

    waited = False

    def sleep(self, seconds: float) -> None:
        self.waited = True
        super().sleep(seconds)

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        self.waited = True
        return super().park(waiter, timeout)


@SIGNALS
@pytest.mark.parametrize("word", ["hang", "hang-body", "429:30"])
@pytest.mark.parametrize("total_timeout", [None, 60.0])
@only("sync")
def test_control_c(world: World, word: str, total_timeout: float | None) -> None:
    """KeyboardInterrupt while waiting for the headers, the body or the next attempt leaves the pool of one connection usable."""
    limiter = RateLimiter(key=lambda request: request.url.path)  # a pause of one path does not delay another
    clock = Noting()
    more = settings(world, total_timeout=total_timeout, rate_limiter=limiter, clock=clock)
    with FaultServer({"/": word, "/again": "200"}) as server, world.RateWiseClient(server.url, **more) as client:
        extensions = {"trace": trace.of(world)}
        when = {
            "hang": lambda: trace.seen("receive_response_headers.started"),
            "hang-body": lambda: trace.seen("receive_response_body.started"),
            "429:30": lambda: clock.waited,
        }[word]
        with pytest.raises(KeyboardInterrupt), interruption(when):
            client.get("/", extensions=extensions)
        assert client.get("/again").status_code == 200
        assert client.get_stats().failed == 1

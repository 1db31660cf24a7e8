"""Spent credit: a 429 whose body says that waiting does not help is not retried; the caller still gets the body."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ratewise import RetryBudget, RetryConfig, RetryDecision, exchange_of, options
from ratewise._adapter.drain import MAX_READ
from ratewise.testing import FakeClock
from ratewise.testing.server import Answer, LocalServer, Received, Reply, reset
from tests.kit.credit import SPENT, chunks
from tests.kit.marks import HALF_READ, SIGNALS
from tests.kit.moments import Trace, interruption
from tests.kit.patience import PATIENCE
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only
from tests.retry.plain import PLAIN

REASON = "the caller's credit is spent: waiting does not help"
CODES = ["insufficient_quota", "credit_balance_exhausted", "enforced_spend_limit_reached", "billing_hard_limit_reached"]
LONG = SPENT + b"".join(b"%07d\n" % number for number in range(25_000))


# -- which bodies mean spent credit


@pytest.mark.parametrize("code", CODES)
async def test_spent_credit_is_not_retried(world: World, clock: FakeClock, code: str) -> None:
    """A 429 with a code of spent credit is not retried, whatever Retry-After says; the caller gets the complete body."""
    said = json.dumps({"error": {"code": code, "type": "x"}}).encode()
    for body in (said, json.dumps({"code": code}, indent=1).encode(), said + b" " * 1000):
        wire = Scripted(response(429, {"Retry-After": "5"}, body))
        result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock))
        exchange = exchange_of(result)
        assert [str(attempt) for attempt in exchange.history] == [f"attempt 1: 429, no retry ({REASON})"]
        assert (exchange.attempts, exchange.retry_after, clock.sleeps) == (1, 5, [])
        assert result is wire.answers[0]
        assert await world.read(result) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"error": {"code": "rate_limit_exceeded"}}',
        b'{"error": {"message": "no insufficient_quota here"}}',
        b'{"error": {"code": "insufficient_quota_per_minute"}}',
        b'{"error": {"code": "INSUFFICIENT_QUOTA"}}',
        b"insufficient_quota",
        b"x" * MAX_READ + SPENT,
    ],
    ids=lambda body: body[:40].decode() or "none",
)
async def test_other_429s_are_retried(world: World, clock: FakeClock, body: bytes) -> None:
    """A 429 without such a code, or with one after the first 64 KiB, is retried."""
    wire = Scripted(response(429, body=body), 200)
    assert (await world.send(world.RetryTransport(wire, PLAIN, clock=clock))).status_code == 200
    assert [body.closed for body in wire.bodies] == [1, 0]


async def test_only_429s_are_looked_at(world: World, clock: FakeClock) -> None:
    """Only the body of a 429 that would be retried is read before the response is returned."""
    for status in (200, 403, 404, 503):
        wire = Scripted(response(status, body=SPENT), *([200] if status == 503 else []))
        result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock))
        assert result.status_code in (status, 200)
        assert wire.bodies[-1].read == 0
    veto = {"X-Should-Retry": "false"}
    for headers, extensions in (({}, options(retry=False)), (veto, {}), ({"Retry-After": "301"}, {})):
        wire = Scripted(response(429, headers, SPENT))
        result = await world.send(world.RetryTransport(wire, PLAIN, clock=clock), extensions=extensions)
        assert wire.bodies[0].read == 0
        assert exchange_of(result).history[0].reason != REASON


@pytest.mark.parametrize("wish", [True, RetryDecision(True, 1)])
async def test_decide_cannot_insist(world: World, clock: FakeClock, wish: Any) -> None:
    """decide cannot force a retry after spent credit: it has not seen the body."""
    config = RetryConfig(decide=lambda response, exception, attempt: wish)
    result = await world.send(world.RetryTransport(Scripted(response(429, body=SPENT)), config, clock=clock))
    assert exchange_of(result).history[0].reason == REASON


async def test_spent_credit_costs_no_budget(world: World, clock: FakeClock) -> None:
    """A 429 for spent credit takes nothing from the retry budget."""
    config = RetryConfig(budget=RetryBudget(ratio=0, min_per_second=1))
    wire = Scripted(response(429, body=SPENT), 503, 200)
    transport = world.RetryTransport(wire, config, clock=clock)
    assert [(await world.send(transport)).status_code for _ in range(2)] == [429, 200]


async def test_the_client_tells(world: World, clock: FakeClock) -> None:
    """The client raises RateLimitExceeded after one request; the response has its body."""
    wire = Scripted(response(429, body=SPENT))
    client = world.RateWiseClient("https://api.example.com", transport=wire, clock=clock, rate_limiter=None)
    with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
        await world(client.get, "/")
    assert raised.value.attempts == 1
    assert raised.value.response.json()["error"]["type"] == "insufficient_quota"


# -- bodies from real connections


def head(*fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 429 Too Many Requests", b"Retry-After: 1", *fields, b"", b""])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


trace = Trace()
CHUNKED = head(b"Transfer-Encoding: chunked")


def sized(connection: socket.socket) -> bool:
    connection.sendall(head(b"Content-Length: %d" % len(SPENT)) + SPENT)
    return True


def chunked(connection: socket.socket) -> bool:
    """The code is split over two chunks."""
    connection.sendall(CHUNKED + chunk(SPENT[:20]))
    threading.Event().wait(0.01)
    connection.sendall(chunk(SPENT[20:]) + chunk(b""))
    return True


def until_closed(connection: socket.socket) -> bool:
    connection.sendall(head() + SPENT)
    return False


def gzipped(connection: socket.socket) -> bool:
    data = gzip.compress(SPENT)
    connection.sendall(head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(data)) + data)
    return True


def twice_encoded(connection: socket.socket) -> bool:
    data = gzip.compress(zlib.compress(SPENT))
    connection.sendall(head(b"Content-Encoding: deflate, gzip", b"Transfer-Encoding: chunked") + chunk(data) + chunk(b""))
    return True


def long(connection: socket.socket) -> bool:
    connection.sendall(CHUNKED + b"".join(chunk(LONG[start : start + 5000]) for start in range(0, len(LONG), 5000)) + chunk(b""))
    return True


def endless(connection: socket.socket) -> bool:
    connection.sendall(CHUNKED + chunk(SPENT))
    while True:
        connection.sendall(chunk(b"x" * 0x1000))


def dripping(connection: socket.socket) -> bool:
    connection.sendall(CHUNKED + chunk(SPENT))
    while True:
        connection.sendall(chunk(b"x"))
        threading.Event().wait(0.01)


def hanging(connection: socket.socket) -> bool:
    connection.sendall(CHUNKED + chunk(SPENT))
    connection.recv(1)  # until the client closes the connection
    return False


def cut_short(connection: socket.socket) -> bool:
    connection.sendall(head(b"Content-Length: 1000") + SPENT)
    return False


def reset_in_body(connection: socket.socket) -> bool:
    connection.sendall(CHUNKED + chunk(SPENT))
    trace.wait("response_body.started")  # the client has read the chunk before it sees the reset
    return reset(connection)


def too_long(connection: socket.socket) -> bool:
    """Its Content-Length says 1 GB; it sends only the first bytes."""
    connection.sendall(head(b"Content-Length: 1000000000") + SPENT)
    connection.recv(1)
    return False


def silent(connection: socket.socket) -> bool:
    """Headers, but no byte of the body."""
    connection.sendall(head(b"Content-Length: 10"))
    connection.recv(1)
    return False


def undecodable(connection: socket.socket) -> bool:
    connection.sendall(head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(SPENT)) + SPENT)
    return True


class Script:
    """Answers each request with the next step, and with 200 after the last one."""

    def __init__(self, *steps: Answer) -> None:
        self.steps = list(steps)

    def __call__(self, received: Received) -> Answer:
        return self.steps.pop(0) if self.steps else Reply()


@contextlib.asynccontextmanager
async def asked(world: World, url: str, how: str, **more: Any) -> AsyncIterator[Any]:
    """The response to a GET through a pool of one connection; checks that the pool can make another request afterwards."""
    settings, traced = {"limits": world.httpx.Limits(max_connections=1), "trust_env": False}, {"trace": trace.of(world)}
    if how == "bare":
        wire = world.HTTPTransport(**settings)
        async with world.within(world.RetryTransport(wire, PLAIN, clock=FakeClock(auto=True))) as transport:
            result = await world.send(transport, url=url, extensions=traced)  # without any time-out
            yield result
            await world.close(result)
            last = await world.send(transport, url=url, extensions={"timeout": {"pool": PATIENCE}})
            assert await world.read(last) == b"ok"
    else:
        timeout = world.httpx.Timeout(None, pool=PATIENCE)
        more = {
            "retry_config": PLAIN,
            "clock": FakeClock(auto=True),
            **settings,
            **more,
            "timeout": timeout,
            "rate_limiter": None,
        }
        async with world.within(world.RateWiseClient(url, raise_on_rate_limit=False, **more)) as client:
            request = client.build_request("GET", "/", extensions=traced)
            result = await world(client.send, request, stream=how == "stream")
            yield result
            await world.close(result)
            assert (await world(client.get, "/")).content == b"ok"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the beginning of a body may take as long as a busy machine needs."""
    monkeypatch.setattr("ratewise._adapter.drain.READ_TIMEOUT", PATIENCE)


HOW = ["get", "stream", "bare"]


@pytest.mark.parametrize(
    ("behaviour", "how"),
    [(sized, "get"), (chunked, "stream"), (until_closed, "bare"), (gzipped, "get"), (gzipped, "bare"), (twice_encoded, "stream")],
    ids=lambda one: getattr(one, "__name__", one),
)
async def test_the_body_is_the_callers(world: World, behaviour: Any, how: str, patient: None) -> None:
    """The body is complete and decoded, however it is sent and read, and its connection is reused."""
    with LocalServer(Script(behaviour)) as server:
        async with asked(world, server.url, how) as result:
            assert result.status_code == 429
            assert exchange_of(result).history[0].reason == REASON
            assert await world.read(result) == SPENT
            assert result.json()["error"]["type"] == "insufficient_quota"
    assert server.connections == (2 if behaviour is until_closed else 1)


@pytest.mark.parametrize(("how", "total_timeout"), [("get", None), ("stream", 60.0), ("bare", None), ("bare", 60.0)])
async def test_a_long_body_is_the_callers(world: World, how: str, total_timeout: float | None, patient: None) -> None:
    """A body longer than the part that was read: the caller gets each byte once, in order, and the connection is reused."""
    with LocalServer(Script(long)) as server:
        more = {"total_timeout": total_timeout, "clock": None}
        async with asked(world, server.url, how, **more) as result:
            assert exchange_of(result).history[0].reason == REASON
            assert await world.read(result) == LONG
    assert server.connections == 1


@HALF_READ
@pytest.mark.parametrize(
    ("behaviour", "how"),  # get() reads an endless body to its end, as a plain client does
    [
        (endless, "stream"),
        (endless, "bare"),
        (dripping, "stream"),
        (hanging, "get"),
        (hanging, "bare"),
        (cut_short, "get"),
        (cut_short, "stream"),
        (reset_in_body, "bare"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
async def test_a_body_without_end_is_handed_back(world: World, behaviour: Any, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code at the beginning of a body that does not end is recognised; the caller can read what has arrived."""
    monkeypatch.setattr("ratewise._adapter.drain.READ_TIMEOUT", 0.2)
    with LocalServer(Script(behaviour)) as server:
        async with asked(world, server.url, how) as result:
            assert (result.status_code, exchange_of(result).history[0].reason) == (429, REASON)
            if behaviour is endless:
                assert (await chunks(world, result, 500_000)).rstrip(b"x") == SPENT
            elif behaviour is dripping:
                assert (await chunks(world, result, len(SPENT) + 5)).rstrip(b"x") == SPENT
            else:
                assert await world.read(result) == SPENT
    assert server.connections == 2


@pytest.mark.parametrize("how", HOW)
async def test_a_body_that_says_nothing_is_retried(world: World, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 429 whose body is too long, silent or not decodable is retried: no code can be read."""
    monkeypatch.setattr("ratewise._adapter.drain.READ_TIMEOUT", 0.05)
    with LocalServer(Script(too_long, silent, undecodable)) as server:
        async with asked(world, server.url, how) as result:
            assert await world.read(result) == b"ok"
            assert exchange_of(result).attempts == 4
    assert server.connections == 3


@pytest.mark.parametrize("how", HOW)
async def test_a_long_or_slow_body_that_is_retried(world: World, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless or slow body without a code is abandoned, with its connection, and the 429 is retried."""
    monkeypatch.setattr("ratewise._adapter.drain.READ_TIMEOUT", 0.05)

    def lasting(connection: socket.socket) -> bool:
        connection.sendall(CHUNKED)
        while True:
            connection.sendall(chunk(b"x" * 0x1000))

    def trickling(connection: socket.socket) -> bool:
        connection.sendall(CHUNKED)
        while True:
            connection.sendall(chunk(b"x"))
            threading.Event().wait(0.01)

    with LocalServer(Script(lasting, trickling)) as server:
        async with asked(world, server.url, how) as result:
            assert await world.read(result) == b"ok"
            assert exchange_of(result).attempts == 3
    assert server.connections == 3


@only("asyncio", "trio")
@pytest.mark.parametrize("behaviour", [silent, dripping], ids=lambda one: one.__name__)
async def test_cancelled_in_a_look(world: World, behaviour: Any) -> None:
    """A call cancelled while the body is read releases its connection to the pool."""
    with LocalServer(Script(behaviour)) as server:
        transport = world.RetryTransport(world.HTTPTransport(limits=world.httpx.Limits(max_connections=1)), PLAIN)
        async with world.within(transport):
            traced = {"trace": trace.of(world)}
            looks = lambda: world.send(transport, url=server.url, extensions=traced)  # noqa: E731
            await world.cancelled(looks, when=lambda: trace.seen("response_body.started"))
            last = await world.send(transport, url=server.url, extensions={"timeout": {"pool": PATIENCE}})
            assert await world.read(last) == b"ok"


@SIGNALS
@only("sync")
def test_control_c_in_a_look(world: World) -> None:
    """KeyboardInterrupt while the body is read releases the connection to the pool."""
    with LocalServer(Script(silent)) as server, world.HTTPTransport(limits=world.httpx.Limits(max_connections=1)) as wire:
        transport = world.RetryTransport(wire, PLAIN)
        request = world.httpx.Request("GET", server.url, extensions={"trace": trace.of(world)})
        with pytest.raises(KeyboardInterrupt), interruption(lambda: trace.seen("response_body.started")):
            transport.handle_request(request)
        request = world.httpx.Request("GET", server.url, extensions={"timeout": {"pool": PATIENCE}})
        assert transport.handle_request(request).read() == b"ok"


async def test_a_long_body_that_breaks_off(world: World, clock: FakeClock) -> None:
    """If a body breaks off after the part that was read, streaming it raises; a client's get() returns the 429 without it."""
    step = response(429, body=Body(SPENT, *[b"x" * 1000] * 100, error=failing("ReadError")))
    result = await world.send(world.RetryTransport(Scripted(step), PLAIN, clock=clock))
    with pytest.raises(world.httpx.ReadError):
        await world.read(result)
    settings = {"clock": clock, "raise_on_rate_limit": False, "rate_limiter": None}
    client = world.RateWiseClient("https://api.example.com", transport=Scripted(step), **settings)
    assert (await world(client.get, "/")).status_code == 429


async def test_mocks_are_left_alone(world: World, clock: FakeClock) -> None:
    """A response in memory that a mock returns for every request is recognised each time and stays unchanged."""
    for make in (
        lambda: world.httpx.Response(429, content=SPENT),
        lambda: world.httpx.Response(429, stream=world.httpx.ByteStream(SPENT)),
        lambda: world.httpx.Response(429, content=gzip.compress(SPENT), headers={"Content-Encoding": "gzip"}),
        lambda: world.httpx.Response(
            429, headers={"Content-Encoding": "gzip"}, stream=world.httpx.ByteStream(gzip.compress(SPENT))
        ),
    ):
        shared = make()
        stream = shared.stream
        mock = world.httpx.MockTransport(lambda request, shared=shared: shared)
        transport = world.RetryTransport(mock, PLAIN, clock=clock)
        for _ in range(2):
            result = await world.send(transport)
            assert result is shared
            assert result.stream is stream
            assert exchange_of(result).history[0].reason == REASON
        assert await world.read(result) == SPENT
        settings = {"clock": clock, "raise_on_rate_limit": False, "rate_limiter": None}
        client = world.RateWiseClient("https://api.example.com", transport=mock, **settings)
        for _ in range(2):
            result = await world(client.get, "/")
            assert (result.content, exchange_of(result).attempts) == (SPENT, 1)

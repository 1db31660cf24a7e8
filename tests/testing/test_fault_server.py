"""`FaultServer`: scripts, words as paths, and each fault as a client sees it, which is as `FaultTransport` shows it."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from ratewise import Clock
from ratewise._core.failure import Failure
from ratewise.testing import FakeClock, FaultServer
from ratewise.testing.faults import MALFORMED
from tests.kit.marks import HALF_READ
from tests.kit.patience import PATIENCE, wait_until
from tests.kit.world import World, only

BROKEN = {
    "refuse": ("ConnectError", Failure.NOT_CONNECTED),
    "reset": ("ReadError", Failure.BROKEN),
    "disconnect": ("RemoteProtocolError", Failure.BROKEN),
    "hang": ("ReadTimeout", Failure.TIMED_OUT),
    "not-http": ("RemoteProtocolError", Failure.BROKEN),
    "bad-header": ("RemoteProtocolError", Failure.BROKEN),
    "giant-head": ("RemoteProtocolError", Failure.BROKEN),
    "reset-body": ("ReadError", Failure.BROKEN),
    "truncate": ("RemoteProtocolError", Failure.BROKEN),
    "hang-body": ("ReadTimeout", Failure.TIMED_OUT),
    "slow-head:60": ("ReadTimeout", Failure.TIMED_OUT),
    "drip:60": ("ReadTimeout", Failure.TIMED_OUT),
    "refused-stream": ("RemoteProtocolError", Failure.UNPROCESSED),
    "goaway": ("RemoteProtocolError", Failure.UNPROCESSED),
}
"""What a plain client raises, and what that means to RateWise."""

WHOLE = ("200", "404", "503", "503:0.5", "malformed", "malformed:429", "slow-head:0.01", "drip:0.001")


def timeouts(world: World, word: str) -> Any:
    """Time-outs for a busy machine, but for reads that never end."""
    return world.httpx.Timeout(PATIENCE, read=0.2 if word.startswith("hang") or word.endswith("60") else PATIENCE)


async def outcome(world: World, client: Any, url: str) -> Any:
    """Get a URL: the response, or the class of the error and what it means to RateWise."""
    async with world.within(client):
        try:
            return await world(client.get, url)
        except world.httpx.TransportError as error:
            return type(error).__name__, world.http_library().failure(error)


async def both(world: World, word: str, server: FaultServer) -> list[Any]:
    """Return the outcome of a fault of the server, and of the same one of the transport, each with a plain client."""
    settings = {"verify": server.verify, "http2": server.verify is not True, "trust_env": False}
    timeout = timeouts(world, word)
    plain = world.Client(timeout=timeout, **settings)
    faulty = world.Client(timeout=timeout, transport=world.FaultTransport(world.HTTPTransport(**settings), {word: 1}))
    url = server.closed_url if word == "refuse" else server.url
    return [await outcome(world, plain, f"{url}/{word}"), await outcome(world, faulty, f"{server.url}/200")]


@HALF_READ
@pytest.mark.parametrize("word", BROKEN)
async def test_errors_are_the_same(world: World, word: str) -> None:
    """A client raises the same error of its library, whether the server or the transport has the fault."""
    with FaultServer(http2=word in ("refused-stream", "goaway")) as server:
        assert await both(world, word, server) == [BROKEN[word], BROKEN[word]]


@pytest.mark.parametrize("word", WHOLE)
async def test_responses_are_the_same(world: World, word: str) -> None:
    """The status and the fields that matter are the same, whether the server or the transport has the fault."""
    with FaultServer() as server:
        real, made = await both(world, word, server)
    names = ["retry-after", *(name for name, _ in MALFORMED)]
    shown = [(answer.status_code, [answer.headers.get(name) for name in names if name != "Date"]) for answer in (real, made)]
    assert shown[0] == shown[1]
    assert real.json() == {"path": f"/{word}", "request": 1}


@HALF_READ
async def test_bodies_that_cannot_be_decoded(world: World) -> None:
    """`garble`: the body has the right length, and decoding it fails."""
    with FaultServer() as server:
        for client in (
            world.Client(trust_env=False),
            world.Client(transport=world.FaultTransport(world.HTTPTransport(), {"garble": 1})),
        ):
            async with world.within(client):
                path = "/garble" if client.trust_env is False else "/200"
                with pytest.raises(world.httpx.DecodingError):
                    await world(client.get, f"{server.url}{path}")
                async with world.within(client.stream("GET", f"{server.url}{path}")) as response:
                    raw = b"".join(response.iter_raw()) if world.is_sync else b"".join([c async for c in response.aiter_raw()])
                    assert (len(raw), raw[:4]) == (int(response.headers["content-length"]), b"\xff" * 4)


@HALF_READ
@pytest.mark.parametrize(
    "word", ["reset", "disconnect", "hang", "reset-body", "truncate", "hang-body", "slow-head:60", "drip:60"]
)
async def test_http2(world: World, word: str) -> None:
    """Faults of connections and bodies over HTTP/2: a transport error, and the next request is answered."""
    with FaultServer({"/": f"{word} 200"}, http2=True) as server:
        settings = {"verify": server.verify, "http2": True, "trust_env": False, "timeout": timeouts(world, word)}
        async with world.within(world.Client(**settings)) as client:
            with pytest.raises(world.httpx.TransportError) as raised:
                await world(client.get, server.url)
            assert world.http_library().failure(raised.value) is (
                Failure.TIMED_OUT if isinstance(raised.value, world.httpx.TimeoutException) else Failure.BROKEN
            )
            response = await world(client.get, server.url, timeout=PATIENCE)
            assert (response.json(), response.http_version) == ({"path": "/", "request": 2}, "HTTP/2")


@only("asyncio", "trio")
async def test_http2_streams_are_apart(world: World) -> None:
    """A stream that hangs or is refused leaves the others of its connection alone."""
    with FaultServer({"/hang": "hang", "/refused": "refused-stream", "/drip": "drip:0.01"}, http2=True) as server:
        settings = {"verify": server.verify, "http2": True, "trust_env": False, "timeout": PATIENCE}
        async with world.within(world.Client(base_url=server.url, **settings)) as client:

            async def fails(path: str, kind: type, **more: Any) -> None:
                with pytest.raises(kind):
                    await client.get(path, **more)

            drip, *_ = await world.gather(
                lambda: client.get("/drip"),
                lambda: fails("/hang", world.httpx.ReadTimeout, timeout=world.httpx.Timeout(PATIENCE, read=1)),
                lambda: fails("/refused", world.httpx.RemoteProtocolError),
            )
            assert drip.json() == {"path": "/drip", "request": 1}
    assert server.connections == 1


def test_scripts() -> None:
    """Each word answers one request, the last one all further ones; connections are kept; other paths are not found."""
    with FaultServer({"/users": "503:7 200"}) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        first, second, third = (client.post("/users?a=b", content=b"body", headers={"Idempotency-Key": key}) for key in "abc")
        assert (first.status_code, first.headers["Retry-After"], first.json()) == (503, "7", {"path": "/users", "request": 1})
        assert (second.status_code, third.status_code, "Retry-After" in third.headers) == (200, 200, False)
        missing = client.get("/else")
        assert (missing.status_code, missing.text) == (404, "no script for this path; there are scripts for /users")
    assert server.connections == 1
    assert [(received.header("idempotency-key"), received.body) for received in server.requests["/users"]] == [
        (key, b"body") for key in "abc"
    ]
    assert (len(server.requests["/else"]), len(server.requests["/never"]), len(server.received)) == (1, 0, 4)


@pytest.mark.parametrize("path", ["/", "/dance", "/refuse", "/pool-timeout", "/goaway", "/drip:x", "/503/x"])
def test_paths_that_are_no_words(path: str) -> None:
    """Without scripts, a path that is no word, or none for this server, is not found; the body says why."""
    with FaultServer() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        response = client.get(path)
        assert response.status_code == 404
        assert path[1:].partition(":")[0] in response.text


@pytest.mark.parametrize(
    ("scripts", "error"),
    [
        ({"/": ""}, "the script of / must be one word or more, not ''"),
        ({"/": 503}, "the script of / must be one word or more, not 503"),
        ({"users": "503"}, "the path of a script must be a string that begins with /, not 'users'"),
        ({3: "503"}, "the path of a script must be a string that begins with /, not 3"),
        ("503", "scripts must be a mapping of paths to scripts, such as {'/users': '503 200'}, not '503'"),
        ({"/": "200 dance"}, "fault must be a status from 200 to 599, such as 503 or 503:2, or one of bad-header "),
        ({"/": "refuse"}, r"refuse needs a FaultTransport \(or, for refuse, closed_url\)"),
        ({"/": "200 goaway"}, r"goaway needs an HTTP/2 server \(http2=True\)"),
    ],
)
def test_scripts_that_are_refused(scripts: Any, error: str) -> None:
    """A script is checked when the server is made."""
    with pytest.raises((TypeError, ValueError), match=error):
        FaultServer(scripts)


def test_clocks_that_are_refused() -> None:
    """A clock is checked when the server is made."""
    with pytest.raises(TypeError, match="clock must be a Clock, not 3"):
        FaultServer(clock=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("word", "http2"), [("goaway", False), ("not-http", True)])
def test_the_wrong_version(word: str, http2: bool) -> None:
    """A word of the version of HTTP that the client does not use is an error of the test."""
    server = FaultServer({"/": word}, http2=True).__enter__()
    with httpx.Client(verify=server.verify, http2=http2, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(server.url)
    with pytest.raises(RuntimeError, match=rf"{word} needs HTTP/\S+, which the client does not use"):
        server.__exit__()


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("word", ["truncate", "reset-body", "hang-body", "drip:60", "garble"])
def test_head(word: str, http2: bool) -> None:
    """A response to HEAD has no body that could break off."""
    with FaultServer(http2=http2) as server, httpx.Client(verify=server.verify, http2=http2, trust_env=False) as client:
        assert client.head(f"{server.url}/{word}").status_code == 200


def test_waits_are_on_the_clock(clock: FakeClock) -> None:
    """`slow-head` and `drip` wait on the server's clock."""
    with FaultServer(clock=clock) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        began = clock.elapsed
        assert client.get("/slow-head:3600").status_code == 200
        assert clock.elapsed - began == 3600
        assert client.get("/drip:60").status_code == 200
        assert clock.elapsed - began == 3600 + 60 * 9  # for pieces of 4 bytes


@pytest.mark.parametrize("word", ["hang", "hang-body", "slow-head:60", "drip:60"])
def test_closing(word: str) -> None:
    """Leaving the server ends what it waits for, now and from now on."""
    server = FaultServer().__enter__()
    raised: list[Exception] = []

    def get() -> None:
        try:
            httpx.get(f"{server.url}/{word}", timeout=PATIENCE, trust_env=False)
        except httpx.TransportError as error:
            raised.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    wait_until(lambda: server._waiters or server.received)
    server.__exit__()
    thread.join()
    assert type(raised[0]) is httpx.RemoteProtocolError
    assert not server._threads
    with pytest.raises(ConnectionAbortedError, match="the server is closed"):
        server._pause(Clock(), PATIENCE * 10)

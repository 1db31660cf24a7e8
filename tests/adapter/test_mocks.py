"""respx, pytest-httpx, their siblings for httpx2, vcrpy and the libraries' in-process transports work as with plain clients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import respx

import ratewise.httpx2
from ratewise import RetryConfig
from ratewise.testing import FakeClock, LocalServer, Received, Reply
from tests.kit.world import World, only

ORIGIN = "https://api.example.com"
URL = f"{ORIGIN}/users"

SIBLING = "none"
"""Which package has the fixture `httpx2_mock`: pytest-httpx2 or httpx2-pytest, which are one module. Both need Python 3.10."""

if find_spec("pytest_httpx2"):
    SIBLING = "httpx2-pytest" if hasattr(import_module("pytest_httpx2"), "HTTPXMock") else "pytest-httpx2"


# There is no vcrpy 9 for older Pythons, and earlier versions are not promised to work.
VCR = pytest.mark.skipif(sys.version_info < (3, 11), reason="vcrpy 9 needs Python 3.11")


class Routes:
    """respx's routes: for httpx2 those of pytest-httpx2."""

    def __init__(self, router: Any, library: Any) -> None:
        self._router, self._library = router, library

    def add(self, method: str, url: str, *steps: Any) -> None:
        """Answer these requests in order: a status code with a JSON body, or the name of an error."""
        self._router.route(method=method, url=url).side_effect = [
            httpx.Response(step, json=[step]) if isinstance(step, int) else getattr(self._library, step)("no") for step in steps
        ]

    def seen(self) -> list[tuple[str, str, bytes]]:
        return [(call.request.method, str(call.request.url), call.request.content) for call in self._router.calls]


class Queue:
    """pytest-httpx's responses: for httpx2 those of httpx2-pytest."""

    def __init__(self, queue: Any, library: Any) -> None:
        self._queue, self._library = queue, library

    def add(self, method: str, url: str, *steps: Any) -> None:
        for step in steps:
            if isinstance(step, int):
                self._queue.add_response(method=method, url=url, status_code=step, json=[step])
            else:
                self._queue.add_exception(getattr(self._library, step)("no"), method=method, url=url)

    def seen(self) -> list[tuple[str, str, bytes]]:
        return [(request.method, str(request.url), request.content) for request in self._queue.get_requests()]


@pytest.fixture(params=[Routes, Queue])
def mock(request: Any, world: World) -> Any:
    """A mock for the world's library, if it is installed."""
    fixture = {Routes: "respx_mock", Queue: "httpx_mock"}[request.param]
    if world.httpx is httpx2:
        fixture, needed = "httpx2_mock", {Routes: "pytest-httpx2", Queue: "httpx2-pytest"}[request.param]
        if needed != SIBLING:  # they cannot be installed together: `nox -s mocks` runs these tests with the other one
            pytest.skip(f"needs {needed}, and this environment has {SIBLING}")
    return request.param(request.getfixturevalue(fixture), world.httpx)


async def test_a_mock_serves_the_bundled_client_as_a_plain_one(world: World, mock: Any) -> None:
    """The same code has the same results with both clients, and the mock sees the same requests."""
    results, seen = [], []
    for kind in (world.Client, world.RateWiseClient):
        mock.add("GET", f"{URL}?page=2", 200)
        mock.add("POST", URL, 201)
        mock.add("GET", f"{ORIGIN}/none", 404)
        async with world.within(kind(base_url=ORIGIN)) as client:
            answers = [
                await world(client.get, "/users", params={"page": "2"}),
                await world(client.post, "/users", json={"name": "x"}),
                await world(client.get, "/none"),
            ]
        results.append([(answer.status_code, answer.json(), answer.headers.multi_items()) for answer in answers])
        seen.append(mock.seen()[-3:])
    assert results[0] == results[1]
    assert seen[0] == seen[1] == [("GET", f"{URL}?page=2", b""), ("POST", URL, seen[0][1][2]), ("GET", f"{ORIGIN}/none", b"")]


async def test_a_mock_answers_each_attempt(world: World, mock: Any, ratewise_no_waiting: None) -> None:
    """Errors and responses are used up attempt by attempt, although the stack was built before."""
    client = world.RateWiseClient(ORIGIN)
    mock.add("GET", URL, "ConnectError", 503, 200)
    mock.add("POST", URL, 429, 201)
    got, posted = await world(client.get, "/users"), await world(client.post, "/users", json={})
    assert got.json() == [200]
    assert posted.json() == [201]
    assert got.elapsed.total_seconds() >= 0
    assert [method for method, _, _ in mock.seen()] == ["GET", "GET", "GET", "POST", "POST"]
    assert [len(one.extensions["ratewise"].waits) for one in (got, posted)] == [2, 1]
    await world.close(client)


@only("httpx")
async def test_respx_at_the_client(world: World) -> None:
    """respx's other mocker, which replaces the client's transports, works as on a plain client."""
    for kind in (world.Client, world.RateWiseClient):
        async with world.within(kind(base_url="https://api.example.com")) as client:
            with respx.mock(using="httpx") as router:
                router.get(URL).respond(200, json=[1])
                assert (await world(client.get, "/users")).json() == [1]


@only("httpx")
async def test_respx_around_a_transport(world: World, clock: FakeClock) -> None:
    """A plain client with our transport is mocked at the wire below it."""
    async with world.within(world.Client(transport=world.RateWiseTransport(clock=clock))) as client:
        with respx.mock as router:
            route = router.post(URL)
            route.side_effect = [httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(201)]
            assert (await world(client.post, URL, json={})).status_code == 201
    assert 3 <= clock.sleeps[0] <= 3.3


@only("httpx")
async def test_pytest_httpx_raises_what_it_does_not_know(world: World, clock: FakeClock, httpx_mock: Any) -> None:
    """A request without an added response fails as on a plain client, with a TimeoutException after the retries."""
    client = world.RateWiseClient(ORIGIN, clock=clock, max_retries=0)
    httpx_mock.add_response(url=URL, is_optional=True)
    with pytest.raises(httpx.TimeoutException, match="No response can be found"):
        await world(client.get, "/other")
    httpx_mock.reset()
    await world.close(client)


# The packages with this fixture need Python 3.10.
@pytest.mark.skipif(SIBLING == "none", reason="there is no httpx2_mock for this Python")
def test_the_mocks_of_both_libraries_at_once(httpx_mock: Any, httpx2_mock: Any) -> None:
    """pytest-httpx and its sibling for httpx2 do not see each other's requests."""
    httpx_mock.add_response(url=URL, status_code=201)
    if SIBLING == "pytest-httpx2":
        httpx2_mock.get(URL).respond(202)
    else:
        httpx2_mock.add_response(url=URL, status_code=202)
    assert ratewise.RateWiseClient(ORIGIN).get("/users").status_code == 201
    assert ratewise.httpx2.RateWiseClient(ORIGIN).get("/users").status_code == 202


# -- vcrpy


@pytest.fixture
def flaky() -> Iterator[LocalServer]:
    """A server that answers each first request for a URL with 503."""
    asked: set[str] = set()

    def answer(received: Received) -> Reply:
        first = received.target not in asked
        asked.add(received.target)
        return Reply(503 if first else 200, (("Content-Type", "text/plain"),), f"{first} {received.body.decode()}".encode())

    with LocalServer(answer) as server:
        yield server


@VCR
@pytest.mark.parametrize("recorded_by", ["RateWiseClient", "Client"])
async def test_vcrpy(world: World, ratewise_clock: FakeClock, flaky: LocalServer, tmp_path: Path, recorded_by: str) -> None:
    """A cassette has each attempt, whoever recorded it, and plays them attempt by attempt: the server is asked no more."""
    import vcr

    tape, url = str(tmp_path / "tape.yaml"), flaky.url

    async def visit(kind: str) -> list[Any]:
        settings = {"retry_config": RetryConfig(methods={"GET", "POST"})} if kind == "RateWiseClient" else {}
        client = getattr(world, kind)(base_url=url, trust_env=False, **settings)
        answers = [await world(client.get, "/a"), await world(client.post, "/b", json={"name": "x"})]
        if kind == "Client":  # which does not send them again by itself
            answers = [await world(client.get, "/a"), await world(client.post, "/b", json={"name": "x"})]
        await world.close(client)
        return [(answer.status_code, answer.text, sorted(answer.headers.multi_items())) for answer in answers]

    with vcr.use_cassette(tape) as cassette:
        recorded = await visit(recorded_by)
    assert [(status, text[:5]) for status, text, _ in recorded] == [(200, "False"), (200, "False")]
    assert sorted(answer["status"]["code"] for answer in cassette.responses) == [200, 200, 503, 503]
    assert len(flaky.received) == 4
    for kind in ("RateWiseClient", "Client"):
        with vcr.use_cassette(tape, record_mode="none") as cassette:
            assert await visit(kind) == recorded
        assert cassette.play_count == 4
        assert cassette.all_played
    assert len(flaky.received) == 4
    assert len(ratewise_clock.sleeps) == (4 if recorded_by == "RateWiseClient" else 2)


@VCR
async def test_a_request_that_is_not_on_the_cassette(world: World, clock: FakeClock, tmp_path: Path) -> None:
    """vcrpy's own error comes through at once, as on a plain client: it is not retried."""
    import vcr
    from vcr.errors import CannotOverwriteExistingCassetteException

    with vcr.use_cassette(str(tmp_path / "tape.yaml"), record_mode="none"):
        for client in (world.Client(base_url=ORIGIN), world.RateWiseClient(ORIGIN, clock=clock)):
            with pytest.raises(CannotOverwriteExistingCassetteException):
                await world(client.get, "/users")
            await world.close(client)
    assert clock.sleeps == []


# -- the libraries' own


async def test_mock_transport(world: World, clock: FakeClock) -> None:
    """MockTransport below the bundled client and below a bare stack."""
    statuses = [503, 200, 503, 200]
    mock = world.httpx.MockTransport(lambda request: world.httpx.Response(statuses.pop(0), text="hello"))
    client = world.RateWiseClient("https://api.example.com", transport=mock, clock=clock)
    assert (await world(client.get, "/")).text == "hello"
    assert (await world.send(world.RateWiseTransport(mock, clock=clock))).text == "hello"


async def test_an_application_in_process(world: World, clock: FakeClock) -> None:
    """A WSGI or ASGI application can be the wire: test clients have retries too."""
    statuses = ["503 Service Unavailable", "200 OK"]

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response(statuses.pop(0), [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": int(statuses.pop(0)[:3]), "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    transport: Any = world.httpx.WSGITransport(app=wsgi) if world.is_sync else world.httpx.ASGITransport(app=asgi)
    client = world.RateWiseClient("https://api.example.com/v1", transport=transport, clock=clock)
    assert (await world(client.get, "users")).text == "/v1/users"
    assert not statuses

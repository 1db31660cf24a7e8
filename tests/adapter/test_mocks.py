"""respx, pytest-httpx and the in-process transports of the libraries work with the bundled clients as with plain ones."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx

from tests.kit.clock import FakeClock
from tests.kit.world import World, only

URL = "https://api.example.com/users"


@only("httpx")
async def test_respx(world: World, clock: FakeClock) -> None:
    """Routes answer the bundled client, attempt by attempt, although the stack was built before the mock."""
    client = world.RateWiseClient("https://api.example.com", clock=clock)
    with respx.mock as router:
        route = router.get(URL)
        route.side_effect = [httpx.ConnectError("no"), httpx.Response(503), httpx.Response(200, json=[1])]
        response = await world(client.get, "/users")
    assert response.json() == [1]
    assert route.call_count == 3
    assert len(clock.sleeps) == 2
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
async def test_pytest_httpx(world: World, clock: FakeClock, httpx_mock: Any) -> None:
    """Responses and errors come in the order in which they were added."""
    client = world.RateWiseClient("https://api.example.com", rate_limiter=None, clock=clock)
    httpx_mock.add_exception(httpx.ReadTimeout("late"))
    httpx_mock.add_response(status_code=503, headers={"Retry-After": "2"})
    httpx_mock.add_response(json=[1], url=URL)
    response = await world(client.get, "/users")
    assert response.json() == [1]
    assert response.elapsed.total_seconds() >= 0
    assert len(httpx_mock.get_requests()) == 3
    assert 2 <= clock.sleeps[1] <= 2.2
    await world.close(client)


@only("httpx")
async def test_pytest_httpx_raises_what_it_does_not_know(world: World, clock: FakeClock, httpx_mock: Any) -> None:
    """A request without an added response fails as on a plain client, with a TimeoutException after the retries."""
    client = world.RateWiseClient("https://api.example.com", clock=clock, max_retries=0)
    httpx_mock.add_response(url=URL, is_optional=True)
    with pytest.raises(httpx.TimeoutException, match="No response can be found"):
        await world(client.get, "/other")
    httpx_mock.reset()
    await world.close(client)


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

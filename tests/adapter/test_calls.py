"""What the bundled clients add to a plain one: the exchange, errors that carry it, and settings."""

from __future__ import annotations

import contextvars
import datetime
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from ratewise import RateLimitExceeded, exchange_of, options
from ratewise.testing import FakeClock
from ratewise.testing.server import Answer, LocalServer, Received, Reply
from tests.adapter.answers import answer
from tests.kit.patience import PATIENCE
from tests.kit.wire import Scripted
from tests.kit.world import World, only


async def test_retries_on_a_real_connection(world: World) -> None:
    """A server that limits, fails and drops the connection is retried until it succeeds; one connection is enough."""
    steps: list[Answer] = [Reply(503), Reply(429, (("Retry-After", "0.5"),), b"x" * 5000), Reply(500), Reply()]
    clock = FakeClock(auto=True)
    with LocalServer(lambda received: steps.pop(0)) as server:
        limits = world.httpx.Limits(max_connections=1)
        async with world.within(world.RateWiseClient(server.url, limits=limits, rate_limiter=None, clock=clock)) as client:
            response = await world(client.get, "/")
            assert response.status_code == 200
            assert client.get_retry_delays() == clock.sleeps
            assert 0.5 <= clock.sleeps[1] <= 0.55
            assert response.extensions["ratewise"].attempts == 4
            assert client.get_retry_stats() == {
                "total_requests": 1,
                "successful": 1,
                "failed": 0,
                "total_retries": 3,
                "avg_retries": 3.0,
                "circuit_breaker_trips": 0,
            }
    assert server.connections == 1


async def test_a_last_429_raises(world: World, server: LocalServer) -> None:
    """RateLimitExceeded carries the read and closed response; hooks and cookies have seen it as with a plain client."""
    seen: list[int] = []

    def on_response(response: Any) -> None:
        seen.append(response.status_code)

    async def on_async_response(response: Any) -> None:
        on_response(response)

    hooks = {"response": [on_response if world.is_sync else on_async_response]}
    async with world.within(world.RateWiseClient(server.url, event_hooks=hooks, rate_limiter=None)) as client:

        async def get() -> None:
            await world(client.get, "/429?api_key=hunter2")

        async def stream() -> None:
            async with world.within(client.stream("GET", "/429?api_key=hunter2")):
                pass

        for call in (get, stream):
            with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
                await call()
            error = raised.value
            assert isinstance(error, world.httpx.HTTPStatusError)
            assert isinstance(error, world.httpx.HTTPError)
            assert error.response is not None
            assert (error.attempts, error.retry_after, error.response.text) == (1, 400, "slow down")
            assert error.response.is_closed
            assert exchange_of(error) is exchange_of(error.response)
            assert error.response.elapsed >= datetime.timedelta(0)
            assert error.request is error.response.request
            assert str(error) == (
                f"429 Too Many Requests for GET {server.url}/429?api_key=REDACTED (1 attempt; Retry-After asks for "
                "400 s, more than max_retry_after (300 s)): the server asks to wait 400 s"
            )
        assert seen == [429, 429]
        assert client.cookies["seen"] == "429"
        assert client.get_stats().failed == 2


# Under trio, httpx's own generators warn when a body cannot be decoded, with a plain client too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_each_error_knows_its_call(world: World, clock: FakeClock) -> None:
    """exchange_of works however a request ends: also by raise_for_status, redirects, hooks and decoding errors."""

    def loop(request: Any) -> Any:
        return world.httpx.Response(302, headers={"Location": "/"})

    broken = world.httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=world.httpx.ByteStream(b"no gzip"))
    wire = Scripted(503, 404, 503, *[loop] * 4, 503, broken)
    client = world.RateWiseClient("https://x.example", transport=wire, clock=clock, max_redirects=3, follow_redirects=True)
    with pytest.raises(world.httpx.HTTPStatusError) as status:
        (await world(client.get, "/")).raise_for_status()
    with pytest.raises(world.httpx.TooManyRedirects) as redirects:
        await world(client.get, "/")
    with pytest.raises(world.httpx.DecodingError) as decoding:
        await world(client.get, "/")
    assert [exchange_of(raised.value).attempts for raised in (status, redirects, decoding)] == [2, 5, 2]


async def test_a_429_may_be_returned(world: World, server: LocalServer) -> None:
    """raise_on_rate_limit=False returns the response."""
    async with world.within(world.RateWiseClient(server.url, raise_on_rate_limit=False)) as client:
        result = await world(client.get, "/429")
        assert (result.status_code, result.text) == (429, "slow down")
        assert exchange_of(result).retry_after == 400


async def test_a_broken_429_is_one_all_the_same(world: World) -> None:
    """A 429 whose body breaks off raises for the 429; with another status the error of the body is raised."""

    def broken(received: Received) -> Answer:
        def cut(connection: Any) -> bool:
            status = received.target[1:].encode()
            connection.sendall(b"HTTP/1.1 %s Reason\r\nContent-Length: 10\r\nRetry-After: 400\r\n\r\nabc" % status)
            return False

        return cut

    with LocalServer(broken) as server:
        async with world.within(world.RateWiseClient(server.url, rate_limiter=None)) as client:
            with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
                await world(client.get, "/429")
            assert raised.value.response is not None
            assert (raised.value.retry_after, raised.value.response.text) == (400, "")
            with pytest.raises(world.ratewise.RateLimitExceeded) as raised:
                async with world.within(client.stream("GET", "/429")):
                    pass
            assert raised.value.response is not None
            assert (raised.value.retry_after, raised.value.response.text) == (400, "")
            with pytest.raises(world.httpx.RemoteProtocolError) as other:
                await world(client.post, "/500")
            assert exchange_of(other.value).attempts == 1


async def test_requests_of_an_auth_flow_belong_to_the_call(world: World, clock: FakeClock) -> None:
    """Requests that an auth flow makes belong to the exchange: they have its options and deadline, and count in it."""

    class Token(world.httpx.Auth):
        requires_response_body = True

        def auth_flow(self, request: Any) -> Any:
            token = yield world.httpx.Request("GET", "https://x.example/token")
            request.headers["X-A"] = token.text
            yield request

    def slow(request: Any) -> Any:
        clock.advance(6)
        return 200

    wire = Scripted(503, 200, 200, 503, 200, slow, slow)
    client = world.RateWiseClient("https://x.example", transport=wire, clock=clock, auth=Token(), total_timeout=10)
    result = await world(client.get, "/")
    assert (exchange_of(result).attempts, client.get_stats().total_retries, len(client.get_retry_delays())) == (3, 1, 1)
    result = await world(client.get, "/", extensions=options(retry=False))
    assert exchange_of(result).attempts == 2
    with pytest.raises(world.ratewise.DeadlineExceeded):
        await world(client.get, "/")


async def test_nothing_of_a_call_is_left_behind(world: World, clock: FakeClock) -> None:
    """Nothing stays on the request, nor on one of a redirect; a hook that replaces the extensions breaks nothing."""

    def replace(request: Any) -> None:
        request.extensions = {"timeout": request.extensions["timeout"]}

    async def areplace(request: Any) -> None:
        replace(request)

    wire = Scripted(world.httpx.Response(302, headers={"Location": "/b"}), 200, 200)
    hooks = {"request": [replace if world.is_sync else areplace]}
    client = world.RateWiseClient("https://x.example", transport=wire, clock=clock, event_hooks=hooks)
    here = await world(client.get, "/a")
    assert [sorted(one.extensions) for one in (here.request, here.next_request)] == [["timeout"], ["timeout"]]
    client.event_hooks = {}
    there = await world(client.send, here.next_request, follow_redirects=True)
    assert there.status_code == 200
    assert "ratewise" not in there.request.extensions


async def test_one_request_sent_twice_at_once(world: World) -> None:
    """Two threads or tasks send the same Request object: both get their response."""
    with LocalServer(answer) as server:
        async with world.within(world.RateWiseClient(server.url, total_timeout=PATIENCE)) as client:
            request = client.build_request("GET", "/echo")
            results = await world.gather(*[lambda: world(client.send, request)] * 8)
            assert [result.status_code for result in results] == [200] * 8
            assert "ratewise" not in request.extensions


@only("asyncio", "trio")
async def test_an_abandoned_call(world: World) -> None:
    """A call that the garbage collector ends, in another context than that of its task, is counted, and nothing is raised."""

    class Waiting(world.BaseTransport):  # type: ignore[misc, name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            await anyio.sleep_forever()

    async with world.RateWiseClient(transport=Waiting(), rate_limiter=None) as client:
        call = client.get("http://a/")
        contextvars.copy_context().run(call.send, None)
        call.close()  # as the garbage collector does
        assert client.get_stats().failed == 1


async def test_the_same_request_twice(world: World, clock: FakeClock) -> None:
    """A Request object that is sent again begins a new exchange, with its own options and nothing else left on it."""
    wire = Scripted(503, 200, 503, 200)
    client = world.RateWiseClient("https://api.example.com", transport=wire, clock=clock)
    request = client.build_request("GET", "/", extensions=options(max_attempts=2))
    before = dict(request.extensions)
    for _ in range(2):
        response = await world(client.send, request)
        assert response.extensions["ratewise"].attempts == 2
        assert request.extensions == before


async def test_one_call_one_exchange(world: World, clock: FakeClock) -> None:
    """Redirects belong to the exchange: attempts and waits are counted over all of it."""
    wire = Scripted(503, lambda request: world.httpx.Response(302, headers={"Location": "/b"}), 503, 200, 200)
    client = world.RateWiseClient("https://api.example.com", transport=wire, clock=clock, follow_redirects=True)
    response = await world(client.get, "/a")
    assert [sent.request.url.path for sent in wire.sent] == ["/a", "/a", "/b", "/b"]
    exchange = response.extensions["ratewise"]
    assert (exchange.attempts, len(exchange.waits), exchange.streamed) == (4, 2, False)
    assert client.get_retry_delays() == clock.sleeps
    assert client.get_stats().total_requests == 1
    async with world.within(client.stream("GET", "/c")) as response:
        assert response.extensions["ratewise"].streamed


async def test_what_counts_as_failed(world: World, clock: FakeClock) -> None:
    """A request has failed if it raised or ended in 429 or 5xx, not if it ended in another 4xx."""
    wire = Scripted(200, 404, 429, 500, world.httpx.ReadError("gone"))
    client = world.RateWiseClient("https://x.example", transport=wire, clock=clock, max_retries=0, raise_on_rate_limit=False)
    assert client.get_retry_stats()["avg_retries"] == 0
    for _ in range(4):
        await world(client.get, "/")
    with pytest.raises(world.httpx.ReadError):
        await world(client.get, "/")
    stats = client.get_stats()
    assert (stats.total_requests, stats.successful, stats.failed, stats.total_retries) == (5, 2, 3, 0)


async def test_the_waits_of_ones_own_last_call(world: World) -> None:
    """get_retry_delays is about the last request of this thread or task, or of the client if that one went elsewhere."""

    def client(*steps: Any) -> tuple[Any, FakeClock]:
        clock = FakeClock(auto=True)
        return world.RateWiseClient("https://x.example", transport=Scripted(*steps), clock=clock), clock

    one, one_clock = client(503, 200, 200)
    other, _ = client(200)
    assert one.get_retry_delays() == []
    await world(one.get, "/")
    assert one.get_retry_delays() == one_clock.sleeps

    async def elsewhere() -> None:
        assert one.get_retry_delays() == one_clock.sleeps
        await world(one.get, "/")
        assert one.get_retry_delays() == []

    await world.gather(elsewhere)
    assert len(one.get_retry_delays()) == 1  # the other one's waits are not this one's
    await world(other.get, "/")
    assert one.get_retry_delays() == []  # this task's last request was another client's, so this is the client's last request


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"base_url": "api.example.com"}, ValueError, "base_url must be an absolute URL, .* not 'api.example.com'"),
        ({"base_url": "localhost:8000"}, ValueError, "base_url"),
        ({"base_url": "/v1"}, ValueError, "base_url"),
        ({"base_url": "https://[::1"}, ValueError, "base_url"),
        ({"base_url": "//user:hunter2@x.example?key=hunter2"}, ValueError, r"not '//REDACTED@x\.example\?key=REDACTED'"),
        ({"base_url": 5}, TypeError, "base_url must be a string or an httpx2?\\.URL, not 5 \\(int\\)"),
        ({"max_retries": -1}, ValueError, "max_retries must be a whole number of at least 0, not -1"),
        ({"max_retries": True}, TypeError, "max_retries"),
        ({"timeout": -1}, ValueError, "timeout must be a finite number of seconds above 0, not -1"),
        ({"timeout": float("nan")}, ValueError, "timeout must be a finite number of seconds above 0, not nan"),
        ({"timeout": True}, TypeError, "timeout must be a finite number of seconds above 0, not True"),
        ({"timeout": "30"}, TypeError, r"timeout must be a number of seconds, None or an httpx2?\.Timeout, not '30'"),
        ({"clock": 5}, TypeError, "clock must be a Clock, not 5"),
        ({"connect_timeout": 0}, ValueError, "connect_timeout must be a finite number of seconds above 0, not 0"),
        ({"connect_timeout": "5"}, TypeError, "connect_timeout"),
        ({"timeout": (5, 5, 5, 5), "connect_timeout": 3}, TypeError, r"connect_timeout and an httpx2?\.Timeout"),
        ({"verify_ssl": False, "verify": True}, TypeError, "verify_ssl and verify were both given"),
        ({"default_headers": {"a": "b"}, "headers": {}}, TypeError, "default_headers and headers were both given"),
        ({"raise_on_rate_limit": None}, TypeError, "raise_on_rate_limit must be True or False, not None"),
        ({"max_retrys": 3}, TypeError, "max_retrys"),
    ],
)
async def test_bad_settings(world: World, settings: Any, error: type[Exception], message: str) -> None:
    """An invalid setting is refused at construction; the error has name, value and what is allowed, and no secret."""
    with pytest.raises(error, match=message) as raised:
        world.RateWiseClient(**{"base_url": "https://api.example.com", **settings})
    assert "hunter2" not in str(raised.value)


async def test_the_url_of_the_other_library(world: World) -> None:
    """The error says whose URL it is; that of the client's own library is in order."""
    other = httpx if world.httpx is httpx2 else httpx2
    with pytest.raises(TypeError) as raised:
        world.RateWiseClient(other.URL("https://x.example"))
    given, wanted = f"URL('https://x.example') ({other.__name__}.URL)", f"a string or an {world.httpx.__name__}.URL"
    assert str(raised.value) == f"base_url must be {wanted}, not {given}"
    assert world.RateWiseClient(world.httpx.URL("https://x.example/a")).base_url == "https://x.example/a/"


async def test_default_headers(world: World) -> None:
    """`default_headers` are `headers`: sent with each request."""
    wire = Scripted(200)
    client = world.RateWiseClient("https://x.example", default_headers={"X-A": "1"}, transport=wire)
    await world(client.get, "/")
    assert wire.sent[0].request.headers["X-A"] == "1"


async def test_no_secret_in_a_repr(world: World) -> None:
    """The reprs of clients, transports and their parts show no credential."""
    client = world.RateWiseClient(
        "https://user:hunter2@api.example.com?key=hunter2", auth=("user", "hunter2"), headers={"Authorization": "hunter2"}
    )
    assert "hunter2" not in repr(client) + repr(client._transport) + repr(client.__dict__["_transport"]._layers)
    await world.close(client)


def test_errors_survive_pickling(server: LocalServer) -> None:
    """RateLimitExceeded survives pickling, as by a process pool."""
    import pickle

    from ratewise import RateWiseClient

    with RateWiseClient(server.url) as client, pytest.raises(RateLimitExceeded) as raised:
        client.get("/429")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert type(copy) is type(raised.value)
    assert (str(copy), copy.attempts, copy.retry_after) == (str(raised.value), 1, 400)
    assert copy.response.text == "slow down"

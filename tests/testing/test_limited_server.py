"""LimitedServer: a real server, its routes, callers, latencies and figures."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from ratewise.testing import (
    ConcurrencyLimit,
    FakeClock,
    FixedWindow,
    LimitedServer,
    Quota,
    Received,
    Reply,
    SlidingWindow,
    TokenBucket,
)
from ratewise.testing.limited_server import Entry, RemoteServer, serve
from ratewise.testing.limits import EPOCH
from tests.kit.world import World


@pytest.fixture
def client() -> Any:
    with httpx.Client(trust_env=False) as client:
        yield client


def statuses(client: httpx.Client, url: str, times: int = 1, method: str = "GET", **headers: str) -> list[int]:
    return [client.request(method, url, headers=headers).status_code for _ in range(times)]


def test_the_simplest_use(client: httpx.Client) -> None:
    """One line: the limit is enforced, told, counted and logged."""
    with LimitedServer(FixedWindow(2, per=60), clock=FakeClock(start=EPOCH)) as server:
        responses = [client.get(f"{server.url}/items?page=1") for _ in range(3)]
    assert [(response.status_code, response.text) for response in responses] == [
        (200, "ok"),
        (200, "ok"),
        (429, "rate limit exceeded"),
    ]
    assert dict(responses[-1].headers) == {
        "date": "Fri, 15 Jan 2027 08:00:00 GMT",
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(EPOCH) + 60),
        "retry-after": "60",
        "content-length": "19",
    }
    assert (server.accepted, server.refused, server.failed) == (2, 1, 0)
    assert server.log == [Entry(0.0, "GET", "/items", "", status, status == 200) for status in (200, 200, 429)]
    assert [received.target for received in server.received] == 3 * ["/items?page=1"]


def test_http(client: httpx.Client) -> None:
    """Bodies of requests are read, answers to HEAD have none, and connections are used again."""
    with LimitedServer(FixedWindow(3, per=60)) as server:
        assert client.post(server.url, content=b"x" * 100_000).text == "ok"
        assert client.post(server.url, content=iter([b"in ", b"chunks"])).text == "ok"
        assert (client.head(server.url).content, client.head(server.url).status_code) == (b"", 429)
    assert [len(received.body) for received in server.received] == [100_000, 9, 0, 0]
    assert server.connections == 1


def test_time_passes(client: httpx.Client) -> None:
    """Limits run on the server's clock, from the first request on; windows of the wall clock begin with its minutes."""
    clock = FakeClock(start=EPOCH)
    clock.advance(47.0)
    with LimitedServer(FixedWindow(1, per=60, anchor="wall"), clock=clock) as server:
        answers = []
        for wait in (0.0, 12.5, 0.5, 59.5, 0.5):
            clock.advance(wait)
            answers += statuses(client, server.url)
    assert answers == [200, 429, 200, 429, 200]
    assert [entry.at for entry in server.log] == [0.0, 12.5, 13.0, 72.5, 73.0]
    assert (server.least_seconds, server.efficiency, server.fastest(3)) == (73.0, 1.0, 73.0)


# -- what is limited together


def test_routes(client: httpx.Client) -> None:
    """The first route that matches the path, and the method if it names one, has its own limit; others have none."""
    limits = {"/search": FixedWindow(1, 60), "POST /orders*": FixedWindow(2, 60), "/orders/*": FixedWindow(3, 60)}
    with LimitedServer(limits) as server:
        assert statuses(client, f"{server.url}/search?q=1", 2) == [200, 429]
        assert statuses(client, f"{server.url}/orders/7", 3, "POST") == [200, 200, 429]
        assert statuses(client, f"{server.url}/orders/7", 4) == [200, 200, 200, 429]
        assert statuses(client, f"{server.url}/orders", 9) == 9 * [200]
        assert "x-ratelimit-limit" not in client.get(server.url).headers
    assert (server.accepted, server.refused) == (16, 3)
    assert [limit.accepted for limit in server.limits] == [1, 2, 3]
    assert [limit.accepted for limit in limits.values()] == [0, 0, 0]
    with pytest.raises(ValueError, match=r"^fastest\(\) needs a server with one limit, and this one has 3: ask each limit$"):
        server.fastest(5)


def test_a_shared_limit(client: httpx.Client) -> None:
    """One limit object under two routes counts the requests of both."""
    shared = FixedWindow(3, 60)
    with LimitedServer({"/a": shared, "/b": shared, "*": FixedWindow(1, 60)}) as server:
        assert [status for path in ("a", "b", "a", "b", "c", "c") for status in statuses(client, f"{server.url}/{path}")] == [
            *(200, 200, 200, 429),
            *(200, 429),
        ]


def test_by_credential(client: httpx.Client) -> None:
    """Each credential has limits of its own, and so have requests without one; the log does not show it."""
    with LimitedServer(FixedWindow(1, 60), by="credential") as server:
        for headers in ({"Authorization": "Bearer alice"}, {"Authorization": "Bearer bob"}, {"X-API-Key": "carol"}, {}):
            assert statuses(client, server.url, 2, **headers) == [200, 429]
        assert statuses(client, server.url, 1, Authorization="Bearer alice") == [429]
    assert len(server.limits) == len({entry.who for entry in server.log}) == 4
    assert server.log[0].who == server.log[-1].who
    assert "alice" not in repr(server.log)


def test_by_a_function(client: httpx.Client) -> None:
    """A function of the request tells what is counted together."""

    def account(received: Received) -> str:
        return received.header("x-account") or "nobody"

    with LimitedServer(TokenBucket(1, 60), by=account) as server:
        for who in ("a", "b"):
            assert statuses(client, server.url, 2, **{"X-Account": who}) == [200, 429]
        assert statuses(client, server.url) == [200]
    assert [entry.who for entry in server.log] == ["a", "a", "b", "b", "nobody"]


# -- how it answers


def test_what_it_tells(client: httpx.Client) -> None:
    """A family, a function of one's own, or nothing; the status of refusals is the family's, or the one asked for."""

    def mine(quota: Quota) -> dict[str, str]:
        return {"X-Left": str(quota.remaining)}

    for tells, refusal, status, name in (
        ("github", None, 403, "x-ratelimit-used"),
        ("github", 429, 429, "x-ratelimit-used"),
        (mine, 503, 503, "x-left"),
        (None, None, 429, "content-length"),
    ):
        with LimitedServer(FixedWindow(1, 60), tells=tells, refusal=refusal) as server:  # type: ignore[arg-type]
            assert [statuses(client, server.url), statuses(client, server.url)] == [[200], [status]]
            assert name in client.get(server.url).headers
            if tells is None:
                assert client.get(server.url).headers.keys() == {"date", "content-length"}


def test_it_fails(client: httpx.Client) -> None:
    """Outages and random 503s are not counted by the limit; an outage counts in the physical limit."""
    clock = FakeClock(start=EPOCH)
    with LimitedServer(FixedWindow(2, 4), outages=[(2, 7)], clock=clock) as server:
        answers = []
        for wait in (0, 0, 3, 3, 1):
            clock.advance(wait)
            answers += statuses(client, server.url)
    assert answers == [200, 200, 503, 503, 200]
    assert (server.accepted, server.refused, server.failed) == (3, 0, 2)
    assert (server.least_seconds, server.efficiency) == (7, 1)
    with LimitedServer(FixedWindow(1000, 4), sheds=0.4, seed=3) as server:
        answers = statuses(client, server.url, 50)
    assert 8 < answers.count(503) == server.failed < 32
    assert server.accepted == 50 - server.failed


def test_a_reply_of_ones_own(client: httpx.Client) -> None:
    """What tells the limit may return a whole reply, whose headers are a mapping."""
    with LimitedServer(FixedWindow(1, 60), tells=lambda quota: Reply(418, {"X-Left": str(quota.remaining)}, b"tea")) as server:
        assert [(each.status_code, each.headers["x-left"], each.text) for each in [client.get(server.url)]] == [(418, "0", "tea")]


@pytest.mark.parametrize(
    ("settings", "took"),
    [({}, 0), ({"latency": 0.25}, 0.5), ({"latency": 0.25, "refusal_latency": 0.0}, 0.25), ({"refusal_latency": 0.5}, 0.5)],
)
def test_latency(client: httpx.Client, settings: Any, took: float) -> None:
    """Refusals take as long as answers, or their own time."""
    clock = FakeClock(auto=True)
    with LimitedServer(FixedWindow(1, 60), clock=clock, **settings) as server:
        assert statuses(client, server.url, 2) == [200, 429]
    assert clock.elapsed == took


def test_slots(client: httpx.Client) -> None:
    """A request in progress takes the time of its limit and the latency; more than that many at a time are refused at once."""
    clock = FakeClock(start=EPOCH)
    with LimitedServer(ConcurrencyLimit(3, takes=0.5), tells="okta", clock=clock) as server, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(client.get, server.url) for _ in range(3)]
        clock.wait_for(3)
        refused = client.get(server.url)
        clock.advance(0.5)
        assert {future.result().status_code for future in waiting} == {200}
        later = pool.submit(client.get, server.url)
        clock.wait_for(1)
        clock.advance(0.5)
        assert later.result().status_code == 200
    assert (refused.status_code, refused.headers["x-rate-limit-limit"]) == (429, "0")


def test_dozens_of_threads() -> None:
    """Fifty connections at once: each request is counted once, in the order of the log, and no answer is early."""
    with LimitedServer(TokenBucket(120, per=60), latency=0.05) as server, httpx.Client(trust_env=False) as client:
        began = server._clock.monotonic()

        def work(_: int) -> list[tuple[int, float]]:
            answers = []
            for _ in range(3):
                sent = server._clock.monotonic()
                answers.append((client.get(server.url).status_code, server._clock.monotonic() - sent))
            return answers

        with ThreadPoolExecutor(50) as pool:
            answers = [answer for answers in pool.map(work, range(50)) for answer in answers]
    took = server._clock.monotonic() - began
    assert [entry.at for entry in server.log] == sorted(entry.at for entry in server.log)
    accepted = sum(status == 200 for status, _ in answers)
    assert 120 <= accepted == server.accepted <= 120 + 2 * took + 1
    assert server.accepted + server.refused == len(server.log) == 150
    assert all(seconds >= 0.05 for _, seconds in answers)


async def test_through_ratewise(world: World) -> None:
    """Through RateWise all requests are answered, in every world and library, and none is faster than the limit allows."""
    with LimitedServer(SlidingWindow(5, per=0.2), tells="discord") as server:
        async with world.within(world.RateWiseTransport(world.HTTPTransport(), rate_limiter=True)) as transport:
            for _ in range(12):
                response = await world.send(transport, url=server.url)
                assert (response.status_code, await world.read(response)) == (200, b"ok")
    assert (server.accepted, server.least_seconds) == (12, 0.4)
    assert 0 < server.efficiency <= 1


# -- in another process


def test_in_a_process() -> None:
    """A server in a process of its own answers, and tells its figures; it ends with the block."""
    with LimitedServer.in_process(FixedWindow(2, per=60), tells="openai", latency=0.001) as server:
        responses = [httpx.get(server.url, trust_env=False) for _ in range(3)]
        assert [response.status_code for response in responses] == [200, 200, 429]
        assert "retry-after-ms" in responses[-1].headers
        assert (server.accepted, server.refused, server.failed, len(server.log)) == (2, 1, 0, 3)
        assert [limit.accepted for limit in server.limits] == [2]
        with pytest.raises(AttributeError):
            _ = server._clock
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)


def test_what_runs_in_the_process() -> None:
    """The other end of the pipe: it serves until the pipe is closed."""
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=serve, args=(theirs, (FixedWindow(1, 60),), {"tells": None}))
    thread.start()
    server = RemoteServer(ours)
    assert httpx.get(server.url, trust_env=False).status_code == 200
    assert (server.accepted, server.efficiency) == (1, 1.0)
    ours.close()
    thread.join(25)
    assert not thread.is_alive()


def test_a_process_that_ends_at_once() -> None:
    """An error says what is usually the cause."""
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    with pytest.raises(RuntimeError, match="ended at once: a script that starts one needs `if __name__"):
        RemoteServer(ours)


def test_what_cannot_be_sent_to_a_process() -> None:
    """Settings are checked before a process is started."""
    with pytest.raises(ValueError, match="tells must be"), LimitedServer.in_process(FixedWindow(1, 1), tells="smoke"):
        pass
    with pytest.raises((pickle.PicklingError, AttributeError)), LimitedServer.in_process(FixedWindow(1, 1), tells=lambda _: []):
        pass


# -- settings


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: LimitedServer({"/": 5}), TypeError, "the limit of '/' must be a limit, such as FixedWindow(10, per=1), not 5"),  # type: ignore[dict-item]
        (lambda: LimitedServer({}), ValueError, "limit must be a limit or a mapping from routes to limits, not {}"),
        (lambda: LimitedServer(5), TypeError, "limit must be a limit or a mapping from routes to limits, not 5"),  # type: ignore[arg-type]
        (
            lambda: LimitedServer({"search": FixedWindow(1, 1)}),
            ValueError,
            "a route must be 'GET /path', '/path/*', 'https://host/path', 'GET', '*' or a function of the request, not 'search'",
        ),
        (lambda: LimitedServer({"post /": FixedWindow(1, 1)}), ValueError, "a route must be"),
        (lambda: LimitedServer({"https://host/": FixedWindow(1, 1)}), ValueError, 'a route must be "/path", "POST /path*"'),
        (
            lambda: LimitedServer(FixedWindow(1, 1), by="user"),
            TypeError,
            """by must be "credential", None or a plain function of the request, not 'user'""",
        ),
        (
            lambda: LimitedServer(FixedWindow(1, 1), latency=-1),
            ValueError,
            "latency must be a finite number of seconds of at least 0",
        ),
        (lambda: LimitedServer(FixedWindow(1, 1), refusal_latency=-1), ValueError, "refusal_latency must be a finite number"),
        (
            lambda: LimitedServer(FixedWindow(1, 1), tells="smoke"),
            ValueError,
            "tells must be a function, None or one of x-ratelimit",
        ),
    ],
)
def test_what_is_not_allowed(make: Any, error: type[Exception], told: str) -> None:
    """A wrong setting is named, with what is allowed."""
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value).startswith(told)

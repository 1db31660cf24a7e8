"""The bundled clients against a real server; the expected value is what a plain httpx client does in the same test."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Awaitable
from typing import Any, Callable

import pytest
import trustme

from ratewise.testing import FakeClock
from ratewise.testing.server import Answer, LocalServer, Received, Reply
from tests.adapter.answers import answer
from tests.kit.wire import Scripted
from tests.kit.world import World

Scenario = Callable[[Any, LocalServer], Awaitable[Any]]


async def both(world: World, server: LocalServer, scenario: Scenario, **keywords: Any) -> Any:
    """Run a scenario with a plain client and with ours: client and server must see the same."""
    seen = []
    for kind in (world.Client, world.RateWiseClient):
        before = len(server.received)
        async with world.within(kind(base_url=server.url, **keywords)) as client:
            result = await scenario(client, server)
        arrived = [
            (one.method, one.target, one.body, sorted(name for name, _ in one.headers)) for one in server.received[before:]
        ]
        seen.append((result, arrived))
    assert seen[0] == seen[1]
    return seen[1][0]


def shown(response: Any) -> Any:
    """The parts of a response that must be equal."""
    return (
        response.status_code,
        response.headers.raw,
        response.content,
        response.text,
        str(response.url),
        response.request.method,
        [one.status_code for one in response.history],
        response.http_version,
        response.is_closed,
        isinstance(response.elapsed, datetime.timedelta),
        response.encoding,
        sorted(set(response.extensions) - {"ratewise", "network_stream"}),
        sorted(set(response.request.extensions) - {"ratewise"}),
    )


async def test_methods(world: World, server: LocalServer) -> None:
    """Each method sends what httpx sends, to a path or a full URL."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        results = []
        for url in ("/echo?x=1", "echo", f"{server.url}/echo"):
            for method in ("get", "delete", "head", "options"):
                results.append(shown(await world(getattr(client, method), url, params={"q": "1"}, headers={"X-A": "b"})))
            for method in ("post", "put", "patch"):
                results.append(shown(await world(getattr(client, method), url, json={"a": 1})))
            results.append(shown(await world(client.request, "REPORT", url, data={"f": "1"})))
            request = client.build_request("PUT", url, content=b"x")
            results.append(shown(await world(client.send, request)))
            results.append(sorted(request.extensions))
        results.append(shown(await world(client.send, world.httpx.Request("GET", f"{server.url}/echo"))))
        return results

    await both(world, server, scenario)


async def test_redirects_and_history(world: World, server: LocalServer) -> None:
    """Redirects, followed, not followed, too many and with a body, work as in httpx."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        followed = await world(client.get, "/redirect3", follow_redirects=True)
        here = await world(client.get, "/redirect3")
        onward = await world(client.send, here.next_request)
        posted = await world(client.post, "/post-redirect", content=b"abc", follow_redirects=True)
        with pytest.raises(world.httpx.TooManyRedirects) as raised:
            await world(client.get, "/redirect6", follow_redirects=True)
        urls = [str(one.url) for one in followed.history]
        return shown(followed), urls, shown(here), shown(onward), shown(posted), str(raised.value.request.url)

    result = await both(world, server, scenario, max_redirects=4)
    assert result[0][6] == [302, 302, 302]


async def test_auth_flows(world: World, server: LocalServer) -> None:
    """Authentication works as in httpx: basic, digest, userinfo in the URL, and a user's flow that sends a request."""

    class Token(world.httpx.Auth):
        requires_response_body = True

        def auth_flow(self, request: Any) -> Any:
            token = yield world.httpx.Request("GET", f"{server.url}/token")
            request.headers["X-A"] = token.text[:6]
            yield request

    async def scenario(client: Any, server: LocalServer) -> Any:
        results = [shown(await world(client.get, "/basic", auth=("user", "pass")))]
        results.append(shown(await world(client.get, "/digest", auth=world.httpx.DigestAuth("user", "pass")))[:3])
        results.append(shown(await world(client.get, "/echo", auth=Token())))
        results.append(shown(await world(client.get, server.url.replace("://", "://user:pass@") + "/basic")))
        return results

    result = await both(world, server, scenario)
    assert [one[0] for one in result] == [200, 200, 200, 200]


async def test_cookies_and_hooks(world: World, server: LocalServer) -> None:
    """Cookies are kept and sent; hooks see each request and each returned response once."""
    log: list[Any] = []

    async def scenario(client: Any, server: LocalServer) -> Any:
        log.clear()
        await world(client.get, "/set")
        echoed = await world(client.get, "/redirect1", follow_redirects=True)
        return shown(echoed), sorted(client.cookies.items()), list(log)

    if world.is_sync:
        hooks: Any = {"request": [lambda r: log.append(r.url.path)], "response": [lambda r: log.append(r.status_code)]}
    else:

        async def on_request(request: Any) -> None:
            log.append(request.url.path)

        async def on_response(response: Any) -> None:
            log.append(response.status_code)

        hooks = {"request": [on_request], "response": [on_response]}
    result = await both(world, server, scenario, event_hooks=hooks, cookies={"mine": "0"}, headers={"X-A": "1"})
    assert result[1] == [("a", "1"), ("b", "2"), ("mine", "0")]
    assert result[2] == ["/set", 200, "/redirect1", 302, "/final", 200]


async def test_streams(world: World, server: LocalServer) -> None:
    """`stream()` works as in httpx: raw and decoded iteration, state before and after, an unread body."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        results: list[Any] = []
        for path in ("/chunked", "/deflate"):
            async with world.within(client.stream("GET", path)) as response:
                results.append((response.is_closed, response.is_stream_consumed))
                if world.is_sync:
                    results.append(b"".join(response.iter_raw()))
                else:
                    results.append(b"".join([chunk async for chunk in response.aiter_raw()]))
                results.append((response.is_closed, response.is_stream_consumed, response.num_bytes_downloaded))
                with pytest.raises(world.httpx.StreamConsumed):
                    await world.read(response)
            async with world.within(client.stream("GET", path)) as response:
                await world.read(response)
                results.append(shown(response))
            async with world.within(client.stream("GET", path)) as response:
                pass
            results.append((response.is_closed, isinstance(response.elapsed, datetime.timedelta)))
        return results

    await both(world, server, scenario)


async def test_elapsed_and_text(world: World, server: LocalServer) -> None:
    """`elapsed` covers the request, httpx decodes, default_encoding is passed on."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        response = await world(client.get, "/deflate")
        assert response.elapsed >= datetime.timedelta(0)
        return shown(response), client._default_encoding

    result = await both(world, server, scenario, default_encoding="ascii")
    assert result[0][3] == "ä"


async def test_proxies(world: World, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`proxy=`, the proxy variables, NO_PROXY and trust_env=False send each request where a plain client sends it."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        return [(await world(client.get, url)).text for url in ("http://a.example/x", f"{server.url}/echo")]

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxied = await both(world, server, scenario, proxy=server.url)
    assert proxied[0] == "by proxy http://a.example/x"
    assert proxied[1].startswith("by proxy http://127.0.0.1")
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    by_environment = await both(world, server, scenario)
    assert by_environment[0] == "by proxy http://a.example/x"
    assert by_environment[1].startswith("['GET'")

    async def alone(client: Any, server: LocalServer) -> Any:
        return (await world(client.get, "/echo")).text, len(client._mounts)

    assert (await both(world, server, alone, trust_env=False))[1] == 0


async def test_mounts_and_transports(world: World, server: LocalServer) -> None:
    """Requests go to the transport mounted for them, each with retries; None mounts none."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        return [
            (await world(client.get, url)).status_code
            for url in ("http://mounted.example/", f"{server.url}/echo", "https://other.example/")
        ]

    def keywords() -> Any:
        return {"mounts": {"http://mounted.example": Scripted(202), "http://": None}, "transport": Scripted(200, 201)}

    for kind in (world.Client, world.RateWiseClient):
        async with world.within(kind(base_url=server.url, **keywords())) as client:
            assert await scenario(client, server) == [202, 200, 201]

    mounted = Scripted(503, 200)
    clock = FakeClock(auto=True)
    async with world.within(world.RateWiseClient(server.url, mounts={"http://mounted.example": mounted}, clock=clock)) as client:
        assert (await world(client.get, "http://mounted.example/")).status_code == 200
    assert len(clock.sleeps) == 1
    assert mounted.events == ["entered", "exited"]


async def test_verify_and_http2(world: World) -> None:
    """`verify` with a context, with False and by default, `http2` and `http1` make the same connections as in httpx."""

    async def scenario(client: Any, server: LocalServer) -> Any:
        try:
            return shown(await world(client.get, "/status/200"))[0], (await world(client.get, "/status/200")).http_version
        except world.httpx.ConnectError as error:
            return type(error)

    with LocalServer(answer, http2=True) as server:
        trusted = server.verify
        for keywords, expected in (
            ({"verify": trusted}, (200, "HTTP/1.1")),
            ({"verify": False}, (200, "HTTP/1.1")),
            ({"verify": trusted, "http2": True}, (200, "HTTP/2")),
            ({"verify": trusted, "http2": True, "http1": False}, (200, "HTTP/2")),
        ):
            assert await both(world, server, scenario, **keywords) == expected
        assert await both(world, server, scenario, trust_env=False) is world.httpx.ConnectError
        async with world.within(world.RateWiseClient(server.url, verify_ssl=False)) as client:
            assert (await world(client.get, "/status/200")).status_code == 200
    assert server.connections == 11  # each client met the untrusted certificate once, and did not retry


async def test_client_certificates(world: World, tmp_path: Any) -> None:
    """`cert=` is sent to a server that requires one."""
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    wanting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(wanting)
    wanting.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(wanting)
    mine = authority.issue_cert("me@example.com")
    path = tmp_path / "mine.pem"
    mine.private_key_and_cert_chain_pem.write_to_path(path)

    def who(received: Received) -> Answer:
        def tell(connection: Any) -> bool:
            connection.sendall(Reply(body=repr(connection.getpeercert()["subjectAltName"]).encode()).encoded())
            return True

        return tell

    async def scenario(client: Any, server: LocalServer) -> Any:
        return (await world(client.get, "/")).text

    with LocalServer(who, tls=wanting) as server, pytest.warns(DeprecationWarning, match="cert="):
        assert "me@example.com" in await both(world, server, scenario, verify=trusting, cert=str(path))


async def test_limits_and_timeouts(world: World, server: LocalServer) -> None:
    """`limits` reach the pool; the timeouts of a request are httpx's, with our defaults."""
    limits = world.httpx.Limits(max_connections=7, max_keepalive_connections=3)
    async with world.within(world.RateWiseClient(server.url, limits=limits)) as client:
        pool = client._transport._wire._pool
        assert (pool._max_connections, pool._max_keepalive_connections) == (7, 3)
    for keywords, expected in (
        ({}, world.httpx.Timeout(30, connect=5)),
        ({"timeout": 2}, world.httpx.Timeout(2)),
        ({"timeout": 60, "connect_timeout": 10}, world.httpx.Timeout(60, connect=10)),
        ({"timeout": 60, "connect_timeout": None}, world.httpx.Timeout(60)),
        ({"timeout": None}, world.httpx.Timeout(None, connect=5)),
        ({"timeout": None, "connect_timeout": None}, world.httpx.Timeout(None)),
        ({"timeout": world.httpx.Timeout(1, read=9)}, world.httpx.Timeout(1, read=9)),
        ({"timeout": (1, 2, 3, 4)}, world.httpx.Timeout((1, 2, 3, 4))),
    ):
        client = world.RateWiseClient(server.url, **keywords)
        assert client.timeout == expected
        assert client.build_request("GET", "/").extensions["timeout"] == expected.as_dict()
        await world.close(client)

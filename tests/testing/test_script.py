"""The scripted transports: what answers which request, what is recorded, and what is checked."""

from __future__ import annotations

import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import pytest

import ratewise.httpx2.testing
import ratewise.testing
from ratewise import Bulkhead, BulkheadFull, RateWiseClient, RetryConfig, options
from ratewise.testing import FakeClock, Reply, ScriptedTransport, delayed
from tests.kit.world import World, only

URL = "https://api.example.com"


def kind(world: World) -> Any:
    """Return the scripted transport of a world."""
    home = {"httpx": ratewise.testing, "httpx2": ratewise.httpx2.testing}[world.httpx.__name__]
    return getattr(home, "ScriptedTransport" if world.is_sync else "AsyncScriptedTransport")


async def statuses(world: World, transport: Any, *requests: str) -> list[int]:
    """Send these requests through a client, and return the status codes."""
    client = world.Client(transport=transport, base_url=URL)
    return [(await world(client.request, *request.split())).status_code for request in requests]


# -- steps


async def test_steps_in_order(world: World, clock: FakeClock) -> None:
    """Each attempt of a stack takes one step: a status code, an exception or its class, a Response, a Reply, or a function."""

    def late(request: Any) -> Any:
        return {"/users": lambda request: world.httpx.ReadTimeout("late")}[request.url.path]

    ok = world.httpx.Response(200, json=[1])
    wire = kind(world)(503, world.httpx.ConnectError("no"), world.httpx.ReadError, Reply(502), late, ok)
    client = world.RateWiseClient(URL, transport=wire, max_retries=5, clock=clock)
    response = await world(client.get, "/users")
    assert response.json() == [1]
    assert [attempt.outcome for attempt in response.extensions["ratewise"].history] == [
        "503",
        "ConnectError",
        "ReadError",
        "502",
        "ReadTimeout",
    ]
    wire.assert_sent(*["GET /users"] * 6)
    assert wire.steps == []
    assert repr(wire) == f"<{kind(world).__name__}: 6 requests received, 0 steps left>"


async def test_a_response_may_be_given_again(world: World) -> None:
    """Each request gets a response of its own, not yet read, as from a server; the given one stays as it is."""
    given = world.httpx.Response(200, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], text="hello", extensions={"x": 1})
    wire = kind(world)(given, given, otherwise=given)
    client = world.Client(transport=wire)
    first, second, third = [await world(client.get, f"{URL}/{number}") for number in range(3)]
    assert [one.request.url.path for one in (first, second, third)] == ["/0", "/1", "/2"]
    assert first.text == second.text == third.text == "hello"
    assert first.headers.multi_items() == given.headers.multi_items()
    assert first.extensions == given.extensions == {"x": 1}
    assert first.extensions is not given.extensions
    with pytest.raises(RuntimeError):
        _ = given.request
    bare = await world.send(kind(world)(given))
    assert not bare.is_closed
    assert not bare.is_stream_consumed
    assert await world.read(bare) == b"hello"


async def test_a_response_with_a_stream_is_for_one_request(world: World) -> None:
    """A streamed body is streamed; the second use of it is an error, while a function may make a new response each time."""

    class Stream(world.httpx.SyncByteStream, world.httpx.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            yield from (b"a", b"b")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self:
                yield chunk

    given = world.httpx.Response(200, stream=Stream())
    wire = kind(world)(given, given)
    assert await world.send(wire) is given
    assert await world.read(given) == b"ab"
    with pytest.raises(AssertionError, match="a Response with a stream is for one request"):
        await world.send(wire)
    wire = kind(world)(otherwise=lambda request: world.httpx.Response(200, stream=Stream()))
    assert [await world.read(await world.send(wire)) for _ in range(2)] == [b"ab", b"ab"]


async def test_status_codes_and_replies(world: World) -> None:
    """A Content-Length is added as a server would do it; a Reply that has its own header fields keeps them."""
    packed = gzip.compress(b"ok", mtime=0)
    for step, fields, body in (
        (200, [("Content-Length", "0")], b""),
        (204, [], b""),
        (Reply(200, (("A", "b"),)), [("A", "b"), ("Content-Length", "2")], b"ok"),
        (Reply(200, {"A": "b"}), [("A", "b"), ("Content-Length", "2")], b"ok"),
        (Reply(204), [], b""),
        (Reply(200, (("content-length", "2"),)), [("content-length", "2")], b"ok"),
        (Reply(200, (("Transfer-Encoding", "chunked"),)), [("Transfer-Encoding", "chunked")], b"ok"),
        (Reply(200, (("Content-Encoding", "gzip"),), packed), [("Content-Encoding", "gzip"), ("Content-Length", "22")], b"ok"),
    ):
        response = await world.send(kind(world)(step))
        assert [(name.decode(), value.decode()) for name, value in response.headers.raw] == fields
        assert await world.read(response) == body


async def test_exceptions(world: World) -> None:
    """An instance is raised as it is, a class is made into one; the library's own know their request."""
    given = world.httpx.ConnectError("no")
    wire = kind(world)(given, ValueError, world.httpx.PoolTimeout, KeyboardInterrupt, lambda request: OSError("x"))
    raised = []
    for _ in range(5):
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            await world.send(wire)
        raised.append(caught.value)
    assert raised[0] is given
    assert [type(error) for error in raised[1:]] == [ValueError, world.httpx.PoolTimeout, KeyboardInterrupt, OSError]
    assert str(raised[2]) == "PoolTimeout of the script"
    assert raised[2].request.url.host == "api.example.com"


@only("asyncio", "trio")
async def test_coroutine_functions(world: World) -> None:
    """In the async transport a function of the request may await, and return any step."""

    async def step(request: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return delayed(0, step if len(wire.requests) > 5 else 201)

    wire = kind(world)(step)
    assert await statuses(world, wire, "GET /") == [201]


# -- delays


async def test_delays(world: World, clock: FakeClock) -> None:
    """A delay waits on the clock of the stack around the transport; a transport that has its own keeps it."""
    own, config = FakeClock(auto=True), RetryConfig(initial_delay=0.25, jitter=False)
    given = kind(world)(delayed(2, 200), clock=own)
    for wire in (kind(world)(delayed(3, delayed(1.5, 503)), 200), given):
        response = await world.send(world.RetryTransport(wire, config, clock=clock), extensions={"timeout": {"read": 4.5}})
        assert response.status_code == 200
    assert (clock.sleeps, own.sleeps) == ([3, 1.5, 0.25], [2])


async def test_the_clock_of_the_stack(world: World, clock: FakeClock) -> None:
    """The clock is that of the outermost stack around it, as for its layers, and the real one without a stack."""
    wire = kind(world)(delayed(0, 200), delayed(5, 200))
    await world.send(wire)
    inner = world.RateWiseTransport(wire, clock=FakeClock(auto=True))
    await world.send(world.LayerTransport(inner, clock=clock))
    assert clock.sleeps == [5]


@pytest.mark.parametrize("timeout", [{"read": 2.0}, {"read": 3.5}])
async def test_a_delay_beyond_the_read_timeout(world: World, clock: FakeClock, timeout: Any) -> None:
    """It ends in a ReadTimeout when the time-out is over, counted over all delays of a request, as with a silent server."""
    wire = kind(world)(delayed(3, delayed(1, 200)), clock=clock)
    with pytest.raises(world.httpx.ReadTimeout, match="The read operation timed out") as raised:
        await world.send(wire, extensions={"timeout": timeout})
    assert sum(clock.sleeps) == timeout["read"]
    assert raised.value.request.url.host == "api.example.com"


@pytest.mark.parametrize("extensions", [{}, {"timeout": {}}, {"timeout": {"read": None, "connect": 1}}])
async def test_a_delay_without_a_read_timeout(world: World, clock: FakeClock, extensions: Any) -> None:
    wire = kind(world)(delayed(3, delayed(100, 200)), clock=clock)
    assert (await world.send(wire, extensions=extensions)).status_code == 200
    assert clock.sleeps == [3, 100]


@only("asyncio", "trio")
async def test_a_delay_can_be_cancelled(world: World) -> None:
    """The request was received, and the next one gets the next step."""
    wire = kind(world)(delayed(3600, 200), 201)
    await world.cancelled(lambda: world.send(wire), when=lambda: wire.requests)
    assert (await world.send(wire)).status_code == 201


# -- rules


async def test_rules(world: World) -> None:
    """The first rule that fits and has a step left: lists are used up in order, a single step is for every request."""
    rules = {
        "GET /users": [503, 200],
        "/orders/*": 201,
        "https://other.example/*": 404,
        lambda request: request.method == "PUT": (418,),
        "/users": 202,
    }
    wire = kind(world)(rules, 500, otherwise=[501, 502])
    asked = "GET /users, GET /users, GET /users, POST /orders/7, POST /orders/8, GET https://other.example/a, PUT /x, PUT /x"
    asked += ", GET /y, GET /z"
    assert await statuses(world, wire, *asked.split(", ")) == [503, 200, 202, 201, 201, 404, 418, 500, 501, 502]
    assert repr(wire).endswith(": 10 requests received, 5 rules, 0 steps left>")
    assert rules["GET /users"] == [503, 200]
    with pytest.raises(AssertionError, match=r"no rule with a step left fits .*, and no step is left \(1 used\)"):
        await statuses(world, wire, "GET /z")


async def test_bodies_in_rules(world: World) -> None:
    """The body has been read when rules and functions see the request."""
    wire = kind(world)({lambda request: b"7" in request.content: lambda request: int(request.content)}, otherwise=400)
    client = world.Client(transport=wire)
    answers = [await world(client.post, URL, content=body) for body in (b"207", b"208")]
    assert [answer.status_code for answer in answers] == [207, 400]


# -- nothing is left


async def test_the_script_is_over(world: World, clock: FakeClock) -> None:
    """An AssertionError that shows the request and those before it, and is neither retried nor counted by anyone."""
    wire = kind(world)(200)
    client = world.RateWiseClient(URL, transport=wire, max_retries=5, clock=clock)
    await world(client.post, "/orders", json={"item": 7, "password": "hunter2"})
    with pytest.raises(AssertionError) as raised:
        await world(client.get, "/users?api_key=hunter2")
    assert str(raised.value) == (
        "unexpected request GET https://api.example.com/users?api_key=REDACTED: no step is left (1 used); received before it:\n"
        '    POST https://api.example.com/orders {"item":7,"password":"[REDACTED]"}'
    )
    assert not isinstance(raised.value, world.httpx.HTTPError)
    assert (len(wire.requests), clock.sleeps) == (2, [])


async def test_no_rule_fits(world: World) -> None:
    wire = kind(world)({"GET /users?token=hunter2": 200, "GET /orders": [200], "POST /orders": []})
    with pytest.raises(AssertionError) as raised:
        await statuses(world, wire, "POST /orders")
    assert str(raised.value) == (
        "unexpected request POST https://api.example.com/orders: no rule with a step left fits "
        "(GET /users?token=REDACTED, GET /orders, POST /orders (used up)); it is the first request"
    )


# -- what is recorded


async def test_requests(world: World) -> None:
    """A copy of each request in order of arrival, as it was when it was sent, with its body."""

    def chunks() -> Iterator[bytes]:
        yield from (b"a", b"b")

    async def achunks() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    wire = kind(world)(200, 200)
    own = world.httpx.Request("POST", f"{URL}/a", content=(chunks if world.is_sync else achunks)(), headers={"X-A": "1"})
    own.extensions = {"mine": 1}
    await world.send(wire, request=own)
    own.headers["X-A"] = "2"
    with pytest.raises(world.httpx.StreamConsumed):  # as after a real transport
        await world.send(wire, request=own)
    (sent,) = wire.requests
    assert isinstance(sent, world.httpx.Request)
    assert (sent.content, sent.headers["X-A"], sent.extensions) == (b"ab", "1", {"mine": 1})
    assert sent.headers["Transfer-Encoding"] == "chunked"
    wire.assert_sent(("POST /a", "ab"))
    assert wire.steps == [200]


async def test_a_body_that_fails(world: World) -> None:
    """Nothing was received, and no step is used up."""

    def chunks() -> Iterator[bytes]:
        raise OSError
        yield b""

    async def achunks() -> AsyncIterator[bytes]:
        raise OSError
        yield b""

    wire = kind(world)(200)
    with pytest.raises(OSError):  # noqa: PT011
        await world.send(wire, "POST", content=(chunks if world.is_sync else achunks)())
    assert (wire.requests, wire.steps) == ([], [200])


async def test_the_attempts_of_a_stack_are_recorded(world: World, clock: FakeClock) -> None:
    """What the stack adds to an attempt is seen: its header fields and its extensions."""
    wire = kind(world)(503, 200)
    transport = world.RetryTransport(wire, RetryConfig(idempotency_key=True), clock=clock)
    await world.send(transport, "POST", content=b"{}", extensions=options(idempotency_key="mine"))
    assert [request.headers["Idempotency-Key"] for request in wire.requests] == ["mine", "mine"]
    assert [request.content for request in wire.requests] == [b"{}", b"{}"]


async def test_assert_sent(world: World) -> None:
    wire = kind(world)(otherwise=200)
    wire.assert_sent()
    client = world.Client(transport=wire, base_url=URL)
    await world(client.get, "/users")
    await world(client.post, "/orders", json={"item": 7})
    wire.assert_sent("GET /users", ("POST /orders", {"item": 7}))
    wire.assert_sent("POST", others=True)
    with pytest.raises(AssertionError) as raised:
        wire.assert_sent("GET /users", ("POST /orders", {"item": 8}))
    assert str(raised.value).splitlines()[2:] == [
        '  - POST /orders {"item":8}',
        '  + POST https://api.example.com/orders {"item":7}',
    ]
    with pytest.raises(ValueError, match=r"expected request 2 must be 'GET /path', .*, not 'orders'"):
        wire.assert_sent("GET /users", "orders")


async def test_many_at_once(world: World) -> None:
    """Threads and tasks: each request takes one step, and is recorded once."""
    wire = kind(world)(*range(200, 240))
    answers = await world.gather(*[lambda: world.send(wire)] * 40)
    assert sorted(answer.status_code for answer in answers) == list(range(200, 240))
    assert len(wire.requests) == 40


@only("sync")
async def test_steps_do_not_hold_one_another_up(world: World) -> None:
    """A step that blocks holds no lock: another thread's request is answered meanwhile."""
    go_on = threading.Event()

    def block(request: Any) -> int:
        assert go_on.wait(20)
        return 200

    def release(request: Any) -> int:
        go_on.set()
        return 200

    wire = kind(world)(block, release)
    answers = await world.gather(*[lambda: world.send(wire)] * 2)
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_closing(world: World) -> None:
    """Closing is counted; the client closes its transport once."""
    wire = kind(world)(200)
    async with world.within(world.RateWiseClient(URL, transport=wire)) as client:
        await world(client.get, "/")
        assert wire.closed == 0
    assert wire.closed == 1


# -- what is refused


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ([200, "503"], TypeError, "step 2 must be a status code, a Reply, an httpx2?.Response, an exception, .*, not '503'"),
        ([[503, 200]], TypeError, "step 1 must be a status code, .*, not .503, 200."),
        ([None], TypeError, "step 1 .*, not None"),
        ([True], TypeError, "step 1 .*, not True"),
        ([99], ValueError, "step 1 must be a status code from 100 to 599, not 99"),
        ([600], ValueError, "step 1 must be a status code from 100 to 599, not 600"),
        ([dict], TypeError, "step 1 .*, not <class 'dict'>"),
        ([delayed(1, delayed(1, "x"))], TypeError, "step 1 .*, not 'x'"),
        ([200, {"/a": 200}], TypeError, "step 2 .*, not {'/a': 200}"),
        ([{"/a": [200, "x"]}], TypeError, "step of rule /a 2 must be .*, not 'x'"),
        ([{"/a?key=hunter2": "x"}], TypeError, r"step of rule /a\?key=REDACTED must be .*, not 'x'"),
        ([{"/a": 200, "users": 200}], ValueError, "rule 2 must be 'GET /path', .*, not 'users'"),
    ],
)
@only("sync", "asyncio")
async def test_what_is_no_script(world: World, script: Any, error: type[Exception], message: str) -> None:
    """Where it is given, with the step or rule that is wrong, and what is allowed."""
    with pytest.raises(error, match=message):
        kind(world)(*script)


@only("sync", "asyncio")
async def test_other_settings(world: World) -> None:
    with pytest.raises(TypeError, match="otherwise 1 must be a status code"):
        kind(world)(otherwise=["x"])
    with pytest.raises(TypeError, match="clock must be a Clock, not 7"):
        kind(world)(200, clock=7)
    for seconds in (-1, float("inf")):
        with pytest.raises(ValueError, match="seconds must be a finite number of seconds of at least 0"):
            delayed(seconds, 200)


async def test_the_other_library(world: World) -> None:
    """Responses and errors of the other library, and its requests, are refused by name."""
    other: Any = {"httpx": "httpx2", "httpx2": "httpx"}[world.httpx.__name__]
    module = __import__(other)
    ours = world.httpx.__name__
    for given in (module.Response(200), module.ConnectError("no"), module.ConnectError):
        name = "Response" if isinstance(given, module.Response) else "ConnectError"
        with pytest.raises(TypeError, match=f"step 1 must be of {ours}, not of the other library: {other}.{name}"):
            kind(world)(given)
        with pytest.raises(TypeError, match=f"step must be of {ours}, not of the other library"):
            await world.send(kind(world)(lambda request, given=given: given))
    home = {"httpx": "ratewise.testing", "httpx2": "ratewise.httpx2.testing"}[other]
    message = (
        f"this {kind(world).__name__} handles {ours} requests, not an object of type {other}.Request: use the one of `{home}`"
    )
    with pytest.raises(TypeError, match=message):
        await world.send(kind(world)(200), request=module.Request("GET", URL))
    with pytest.raises(TypeError, match=f"handles {ours} requests, not an object of type str"):
        await world.send(kind(world)(200), request="GET")


@only("sync")
async def test_coroutine_functions_in_sync_code(world: World) -> None:
    async def step(request: Any) -> int:
        return 200

    with pytest.raises(TypeError, match="step 1 must be a plain function: coroutine functions are for AsyncScriptedTransport"):
        kind(world)(step)


async def test_functions_that_return_no_step(world: World) -> None:
    """The error is neither retried nor taken for one of the network."""
    wire = kind(world)(lambda request: "200")
    with pytest.raises(TypeError, match=r"step must be a status code, .*, not '200'"):
        await world.send(world.RetryTransport(wire))


def test_a_body_is_one_of_a_server() -> None:
    """A response that is never closed keeps its slot of a bulkhead, as one from a server does."""
    transport = ScriptedTransport({"/reply": 200}, otherwise=httpx.Response(200, content=b"hello"))
    with RateWiseClient("https://api.example.com", transport=transport, bulkhead=Bulkhead(1, max_queue=0)) as client:
        for path in ("/reply", "/response"):
            with client.stream("GET", path), pytest.raises(BulkheadFull):
                client.get(path)
            assert client.get(path).is_success

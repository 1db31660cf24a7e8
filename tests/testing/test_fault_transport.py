"""`FaultTransport`: which requests get a fault, and what each fault does with the transport inside."""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Any

import pytest

from ratewise import RetryConfig, exchange_of
from ratewise._core.clock import Waiter
from ratewise.testing import FakeClock, Fault
from ratewise.testing.faults import MALFORMED, Drawn
from tests.kit.marks import HALF_READ
from tests.kit.wire import Body, Scripted, failing, response
from tests.kit.world import World, only

UNSENT = ["refuse", "refused-stream", "goaway", "pool-timeout", "503", "429:2", "malformed:429"]
SENT = ["reset", "disconnect", "hang", "not-http", "bad-header", "giant-head"]
BODIES = ["reset-body", "truncate", "hang-body", "garble", "drip"]
LIMITS = {"timeout": {"connect": 1.0, "read": 2.0, "write": 3.0, "pool": 4.0}}


async def sent(world: World, transport: Any, *, times: int = 1, **request: Any) -> list[Any]:
    """Send requests through a bare transport; return the responses, read, or the errors."""
    outcomes: list[Any] = []
    for _ in range(times):
        try:
            answer = await world.send(transport, **{"extensions": LIMITS, **request})
            await world.read(answer)
        except (world.httpx.TransportError, world.httpx.DecodingError) as error:
            outcomes.append(error)
        else:
            outcomes.append(answer)
    return outcomes


# -- which


async def test_a_seed_gives_the_same_faults_again(world: World) -> None:
    """The n-th request gets the same fault with the same seed; each fault gets its part of the requests."""
    faults = {"503": 0.1, "refuse": 0.2, "429": 0.05}
    runs = []
    for seed in (7, 7, 8):
        transport = world.FaultTransport(Scripted(*[200] * 400), faults, seed=seed)
        outcomes = await sent(world, transport, times=400)
        runs.append([getattr(outcome, "status_code", "refuse") for outcome in outcomes])
        assert Counter(injected.fault for injected in transport.injected) == {
            word: runs[-1].count(int(word) if word.isdigit() else word) for word in faults
        }
        assert transport.seed == seed
    assert runs[0] == runs[1] != runs[2]
    for run in runs:
        for outcome, rate in ((503, 0.1), ("refuse", 0.2), (429, 0.05)):
            assert run.count(outcome) == pytest.approx(400 * rate, rel=0.5)


async def test_rates_may_add_up_to_one(world: World) -> None:
    """With rates that add up to 1 each request gets a fault; without a seed a random one is chosen, and shown."""
    inner = Scripted()
    transport = world.FaultTransport(inner, {"503": 0.3, "502": 0.7})
    outcomes = await sent(world, transport, times=100)
    assert {outcome.status_code for outcome in outcomes} == {502, 503}
    assert inner.sent == []
    assert 0 <= transport.seed < 2**32
    assert world.FaultTransport(inner).seed != transport.seed


RULES = [
    ("GET /a*", {"GET /a", "GET /a/b"}),
    ("/a*", {"GET /a", "GET /a/b", "POST /a"}),
    ("POST *", {"POST /a", "POST /b"}),
    ("*/b", {"GET /a/b", "POST /b"}),
    ("POST", {"POST /a", "POST /b"}),
    (None, {"GET /a", "GET /a/b", "POST /a", "POST /b"}),
    (lambda request: request.url.query == b"", {"GET /a", "GET /a/b", "POST /a", "POST /b"}),
    (lambda request: False, set()),
]


@pytest.mark.parametrize(("when", "concerned"), RULES)
async def test_rules(world: World, when: Any, concerned: set[str]) -> None:
    """A rule concerns a method and a path, a path, or what a function says; of several the first one that is drawn wins."""
    transport = world.FaultTransport(Scripted(*[200] * 4), [Fault("503", when=when), Fault("418", 0.9, "/never")])
    found = set()
    for name in ("GET /a", "GET /a/b", "POST /a", "POST /b"):
        method, _, path = name.partition(" ")
        (outcome,) = await sent(world, transport, method=method, url=f"https://api.example.com{path}")
        found |= {name} if outcome.status_code == 503 else set()
    assert found == concerned


@only("sync")
def test_the_first_rule_wins(world: World) -> None:
    """A fault that concerns all requests of a path leaves nothing for later ones."""
    transport = world.FaultTransport(Scripted(), [Fault("503", when="/a"), Fault("502")])
    codes = [world.Client(transport=transport).get(f"https://api.example.com{path}").status_code for path in ("/a", "/b")]
    assert codes == [503, 502]


async def test_faults_can_change(world: World) -> None:
    """`faults` can be assigned while the transport is in use; without faults nothing happens."""
    transport = world.FaultTransport(Scripted(200, 200), seed=3)
    assert transport.faults == ()
    assert repr(transport) == f"<{type(transport).__name__}: no faults; seed 3; Scripted>"
    codes = [(await sent(world, transport))[0].status_code]
    transport.faults = {"503": 1}
    assert transport.faults == (Fault("503", 1),)
    assert repr(transport) == f"<{type(transport).__name__}: 503 1; seed 3; Scripted>"
    codes += [(await sent(world, transport))[0].status_code]
    transport.faults = [Fault("502", when=lambda request: True)]
    codes += [(await sent(world, transport))[0].status_code]
    transport.faults = ()
    codes += [(await sent(world, transport))[0].status_code]
    assert codes == [200, 503, 502, 200]


REFUSED = [
    (lambda: Fault("dance"), "fault must be a status from 200 to 599, such as 503 or 503:2, or one of bad-header "),
    (lambda: Fault("199"), "fault must be a status from 200 to 599"),
    (lambda: Fault(503), "fault must be a status"),  # type: ignore[arg-type]
    (lambda: Fault("503:soon"), "the seconds after 503: must be a number of at least 0, not 'soon'"),
    (lambda: Fault("drip:-1"), "the seconds after drip: must be a number of at least 0"),
    (lambda: Fault("malformed:99"), "the status after malformed: must be a number from 200 to 599, not '99'"),
    (lambda: Fault("hang:3"), "fault must be hang, which takes nothing after a colon, not 'hang:3'"),
    (lambda: Fault("503", -0.1), "rate must be a number from 0 to 1, not -0.1"),
    (lambda: Fault("503", when="users"), "when must be 'GET /path', "),
    (lambda: Fault("503", when=3), "when must be a plain function of the request"),  # type: ignore[arg-type]
]


def test_a_rate_of_0() -> None:
    """A fault that is turned down to 0 does not happen."""
    drawn = Drawn({"refuse": 0.0, "503": 1}, 1)
    assert {drawn.draw(None).text for _ in range(100)} == {"503"}  # type: ignore[union-attr]


@pytest.mark.parametrize(("make", "error"), REFUSED)
def test_faults_that_are_refused(make: Any, error: str) -> None:
    """A fault is checked when it is made."""
    with pytest.raises((TypeError, ValueError), match=re.escape(error)):
        make()


async def test_settings_that_are_refused(world: World) -> None:
    """Settings are checked when the transport is made."""
    for settings, error in (
        ({"faults": {"503": 0.6, "502": 0.6}}, "the sum of the rates must be at most 1, not 1.2"),
        ({"faults": "503"}, "faults must be a mapping of fault words to rates, such as {'503': 0.1}, or a list of Faults"),
        ({"faults": Fault("503")}, "faults must be a mapping"),
        ({"faults": 503}, "faults must be a mapping"),
        ({"faults": ["503"]}, "faults must be a mapping"),
        ({"seed": "x"}, "seed must be an int or None, not 'x'"),
        ({"seed": True}, "seed must be an int or None, not True"),
        ({"clock": 3}, "clock must be a Clock, not 3"),
        ({"transport": 3}, "transport must be an "),
        ({"sed": 3}, "seed"),
    ):
        with pytest.raises((TypeError, ValueError), match=re.escape(error)):
            world.FaultTransport(**{"transport": Scripted(), **settings})


# -- what


@pytest.mark.parametrize("word", UNSENT)
async def test_requests_that_are_not_sent(world: World, word: str, clock: FakeClock) -> None:
    """Refusals and answers of the transport's own: the transport inside gets no request."""
    inner = Scripted()
    transport = world.FaultTransport(inner, {word: 1}, clock=clock)
    (outcome,) = await sent(world, transport)
    assert inner.sent == []
    assert clock.sleeps == ([4.0] if word == "pool-timeout" else [])
    assert transport.injected == [(word, "GET", "https://api.example.com/")]
    if word[0] in "45m":
        assert outcome.status_code == int(re.sub(r"\D", "", word)[:3])
        assert outcome.headers.get("retry-after") == {"429:2": "2", "malformed:429": "soon"}.get(word)
        assert outcome.text == f"{outcome.status_code} by {type(transport).__name__}"


@pytest.mark.parametrize("word", SENT)
async def test_requests_whose_response_is_lost(world: World, word: str, clock: FakeClock) -> None:
    """The transport inside sends the request, and its response is closed unread."""
    inner = Scripted(200)
    transport = world.FaultTransport(inner, {word: 1}, clock=clock)
    (error,) = await sent(world, transport, method="POST", content=b"body")
    assert isinstance(error, world.httpx.TransportError)
    assert inner.sent[0].body == b"body"
    assert (inner.bodies[0].read, inner.bodies[0].closed) == (0, 1)
    assert clock.sleeps == ([2.0] if word == "hang" else [])


@pytest.mark.parametrize("length", [None, 9, 0, "x"])
@pytest.mark.parametrize("word", ["reset-body", "truncate", "hang-body"])
async def test_bodies_that_break_off(world: World, word: str, length: Any, clock: FakeClock) -> None:
    """Half of the body is passed on as it arrives, or of its first chunk if the length is unknown; the inner one is closed."""
    headers = {} if length is None else {"Content-Length": str(length)}
    inner = Scripted(response(200, headers, Body(b"abc", b"def", b"ghi")))
    transport = world.FaultTransport(inner, {word: 1}, clock=clock)
    answer = await world.send(transport, extensions=LIMITS)
    assert inner.bodies[0].read == 0
    chunks: list[bytes] = []
    if length == 0:
        assert await world.read(answer) == b"abcdefghi"
        assert transport.injected == []
        return

    async def read() -> None:
        if world.is_sync:
            chunks.extend(iter(lambda: next(raw), None))
        else:
            async for chunk in raw:
                chunks.append(chunk)

    raw = answer.iter_raw() if world.is_sync else answer.aiter_raw()
    with pytest.raises(world.httpx.TransportError):
        await read()
    assert chunks == ([b"abc", b"d"] if length == 9 else [b"a"])
    assert inner.bodies[0].closed == 1
    assert clock.sleeps == ([2.0] if word == "hang-body" else [])
    await world.close(answer)


async def test_a_body_shorter_than_its_length(world: World) -> None:
    """A body that ends before the point where it was to break off breaks off there."""
    inner = Scripted(response(200, {"Content-Length": "100"}, Body(b"", b"abc")))
    (error,) = await sent(world, world.FaultTransport(inner, {"truncate": 1}))
    assert isinstance(error, world.httpx.RemoteProtocolError)


async def test_drip(world: World, clock: FakeClock) -> None:
    """Each chunk arrives in at most ten pieces, each after a pause; a pause longer than the read time-out ends in one."""
    inner = Scripted(*[response(200, {}, Body(b"x" * 25, b"", b"yz"))] * 2)
    transport = world.FaultTransport(inner, {"drip:0.5": 1}, clock=clock)
    (answer,) = await sent(world, transport)
    assert answer.content == b"x" * 25 + b"yz"
    assert clock.sleeps == [0.5] * (9 + 2)
    (error,) = await sent(world, transport, extensions={"timeout": {"read": 0.3}})
    assert isinstance(error, world.httpx.ReadTimeout)
    assert clock.sleeps[11:] == [0.3]


async def test_slow_head(world: World, clock: FakeClock) -> None:
    """The response is whole but late; if it is later than the read time-out it is lost."""
    inner = Scripted(200, 200)
    transport = world.FaultTransport(inner, {"slow-head": 1}, clock=clock)
    (answer,) = await sent(world, transport)
    assert (answer.content, clock.sleeps) == (b"ok", [1.0])
    (error,) = await sent(world, transport, extensions={"timeout": {"read": 0.3}})
    assert isinstance(error, world.httpx.ReadTimeout)
    assert clock.sleeps == [1.0, 0.3]
    assert [body.closed for body in inner.bodies] == [1, 1]


async def test_malformed(world: World) -> None:
    """The fields that matter are replaced by ones that make no sense; the rest of the response is the real one."""
    inner = Scripted(response(206, [("Retry-After", "1"), ("X-A", "1"), ("x-a", "2"), ("age", "3")], b"body"))
    (answer,) = await sent(world, world.FaultTransport(inner, {"malformed": 1}))
    assert (answer.status_code, answer.content) == (206, b"body")
    assert answer.headers.get_list("x-a") == ["1", "2"]
    for name, value in MALFORMED:
        assert answer.headers.get_list(name) == [value]
    assert inner.bodies[0].closed == 1


@HALF_READ
@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
async def test_garble(world: World, encoding: str | None) -> None:
    """The first bytes are overwritten, over several chunks, and the body is said to be compressed."""
    fields = {} if encoding is None else {"Content-Encoding": encoding}
    inner = Scripted(*[response(200, fields, Body(b"", b"abcdef", b"ghi"))] * 2)
    transport = world.FaultTransport(inner, {"garble": 1})
    (error,) = await sent(world, transport)
    assert isinstance(error, world.httpx.DecodingError)
    answer = await world.send(transport)
    raw = b"".join(answer.iter_raw()) if world.is_sync else b"".join([chunk async for chunk in answer.aiter_raw()])
    assert raw == b"\xff\xff\xff\xffefghi"


@pytest.mark.parametrize("word", BODIES)
async def test_responses_without_a_body(world: World, word: str) -> None:
    """A response that has no body passes the faults of bodies unchanged, and nothing is listed."""
    inner = Scripted(204, 304, response(200, {"Content-Length": "0"}, b""), 200)
    transport = world.FaultTransport(inner, {word: 1})
    outcomes = [*await sent(world, transport, times=3), *await sent(world, transport, method="HEAD")]
    assert outcomes == inner.answers
    assert transport.injected == []


@HALF_READ
@pytest.mark.parametrize("word", BODIES)
async def test_bodies_left_half_read(world: World, word: str) -> None:
    """Leaving a damaged body unread or half read closes the one inside."""
    bodies = [Body(b"abc" * 10, b"def"), Body(b"abc" * 10, b"def")]
    inner = Scripted(*[response(200, {}, body) for body in bodies])
    transport = world.FaultTransport(inner, {f"{word}:0" if word == "drip" else word: 1})
    async with world.within(world.Client(transport=transport)) as client:
        async with world.within(client.stream("GET", "https://api.example.com/")):
            pass
        async with world.within(client.stream("GET", "https://api.example.com/")) as answer:
            if world.is_sync:
                assert next(answer.iter_raw())
            else:
                raw = answer.aiter_raw()
                assert await raw.__anext__()
                await raw.aclose()
    assert [body.closed for body in bodies] == [1, 1]


@HALF_READ
async def test_responses_of_a_mock(world: World) -> None:
    """A response in memory, which a mock may return again, is not changed itself."""
    given = world.httpx.Response(200, content=b"abcdef")
    transport = world.FaultTransport(world.httpx.MockTransport(lambda request: given), [Fault("truncate", when="/bad")])
    async with world.within(world.Client(transport=transport, base_url="https://api.example.com")) as client:
        for _ in range(2):
            with pytest.raises(world.httpx.RemoteProtocolError) as raised:
                await world(client.get, "/bad")
            assert raised.value.request.url.path == "/bad"
            assert (await world(client.get, "/good")).content == b"abcdef"


async def test_errors_of_the_transport_inside(world: World) -> None:
    """An error of the real transport passes, and is not listed as injected."""
    transport = world.FaultTransport(
        Scripted(failing("ConnectTimeout", "real"), response(200, {}, Body(error=failing("ReadError"))))
    )
    transport.faults = {"hang": 1}
    (error,) = await sent(world, transport)
    assert (type(error), str(error)) == (world.httpx.ConnectTimeout, "real")
    transport.faults = {"drip": 1}
    (error,) = await sent(world, transport)
    assert type(error) is world.httpx.ReadError
    assert [injected.fault for injected in transport.injected] == ["drip"]


# -- waits


class EndlessWait(Exception):  # noqa: N818
    pass


class Ending(FakeClock):
    """A clock on which a wait without end ends in an error of the test."""

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        assert timeout is None
        raise EndlessWait

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        return self.park(waiter, timeout)


@pytest.mark.parametrize("word", ["hang", "hang-body", "pool-timeout"])
@pytest.mark.parametrize("extensions", [{}, {"timeout": {"read": None, "pool": None}}])
async def test_without_timeouts(world: World, word: str, extensions: Any) -> None:
    """Without a time-out it hangs for ever."""
    inner = Scripted(200)
    with pytest.raises(EndlessWait):
        await sent(world, world.FaultTransport(inner, {word: 1}, clock=Ending()), extensions=extensions)
    assert [body.closed for body in inner.bodies] == [1] * (word != "pool-timeout")


@only("asyncio", "trio")
@pytest.mark.parametrize("word", ["hang", "hang-body", "pool-timeout", "slow-head:99", "drip:99"])
async def test_cancelled(world: World, word: str) -> None:
    """A wait can be cancelled; the response inside is closed."""
    inner = Scripted(200)
    transport = world.FaultTransport(inner, {word: 1})
    await world.cancelled(lambda: sent(world, transport, extensions={}), lambda: transport.injected)
    assert [body.closed for body in inner.bodies] == [1] * (word != "pool-timeout")


@only("asyncio", "trio")
@pytest.mark.parametrize("word", ["hang", "pool-timeout", "slow-head:99"])
async def test_cancelled_below_a_stack(world: World, word: str) -> None:
    """The same below the layers of RateWise."""
    inner = Scripted(200)
    wire = world.FaultTransport(inner, {word: 1})
    stack = world.RateWiseTransport(wire)
    await world.cancelled(lambda: sent(world, stack, extensions={}), lambda: wire.injected)
    assert [body.closed for body in inner.bodies] == [1] * (word != "pool-timeout")


@only("sync")
def test_clocks(world: World, clock: FakeClock) -> None:
    """It waits on its own clock, or on that of the last stack around it, which a fault transport inside gets too."""
    own, other = FakeClock(auto=True), FakeClock(auto=True)
    inside = world.FaultTransport(Scripted(200, 200))
    transport = world.FaultTransport(inside, {"slow-head:5": 1})
    transport._own_clock.adopt(other)
    transport._own_clock.adopt(clock)
    given = world.FaultTransport(Scripted(200), {"slow-head:5": 1}, clock=own)
    given._own_clock.adopt(clock)
    inside.faults = {"slow-head:3": 1}
    for each in (transport, given):
        world.Client(transport=each).get("https://api.example.com/", timeout=None)
    assert (clock.sleeps, own.sleeps, other.sleeps) == ([3.0, 5.0], [5.0], [])


# -- where


async def test_below_a_stack(world: World, clock: FakeClock) -> None:
    """RateWise retries the faults as it does real ones: a POST only if it was not sent."""
    inner = Scripted(*[200] * 5)
    wire = world.FaultTransport(inner, clock=clock)
    stack = world.RateWiseTransport(wire, retry_config=RetryConfig(3, budget=False, decide=lambda *_: calm(wire)), clock=clock)
    async with world.within(stack):
        for method, word, attempts in (("POST", "refuse", 2), ("POST", "refused-stream", 2), ("GET", "reset", 2)):
            wire.faults = {word: 1}
            answer = await world.send(stack, method)
            assert (answer.status_code, exchange_of(answer).attempts) == (200, attempts)
        wire.faults = {"reset": 1}
        with pytest.raises(world.httpx.ReadError) as raised:
            await world.send(stack, "POST")
        assert exchange_of(raised.value).attempts == 1
    assert inner.events == ["entered", "exited"]


def calm(wire: Any) -> None:
    wire.faults = ()


async def test_a_deadline_ends_a_hang(world: World) -> None:
    """`total_timeout` ends what hangs, on the real clock."""
    stack = world.RateWiseTransport(world.FaultTransport(Scripted(200), {"hang": 1}), total_timeout=0.1)
    with pytest.raises(world.ratewise.DeadlineExceeded):
        await world.send(stack)


async def test_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Each fault is logged at INFO without the secrets of its URL, with the id of its call; the newest 1000 are listed."""
    caplog.set_level(logging.INFO, "ratewise")
    transport = world.FaultTransport(Scripted(), {"503:2": 1})
    stack = world.RateWiseTransport(transport, max_retries=0)
    answer = await world.send(stack, url="https://joe:hunter2@api.example.com/?api_key=hunter2")
    (record,) = [record for record in caplog.records if record.message.startswith("Fault")]
    shown = "https://REDACTED@api.example.com/?api_key=REDACTED"
    assert record.message == f"Fault injected: 503:2 for GET {shown}"
    assert (record.levelname, record.call_id) == ("INFO", exchange_of(answer).id)  # type: ignore[attr-defined]
    assert transport.injected == [("503:2", "GET", shown)]
    caplog.set_level(logging.CRITICAL, "ratewise")
    await sent(world, transport, times=1100)
    assert len(transport.injected) == 1000


async def test_entering_and_closing(world: World) -> None:
    """Entering and closing it do the same to the transport inside, by default one of the library's own."""
    inner = Scripted()
    async with world.within(world.FaultTransport(inner)):
        pass
    await world.close(world.FaultTransport(inner))
    assert inner.events == ["entered", "exited", "closed"]
    own = world.FaultTransport()
    assert type(own._given) is world.HTTPTransport
    await world.close(own)

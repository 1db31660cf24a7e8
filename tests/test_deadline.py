"""total_timeout, on a clock that the tests control. Real connections that hang are in test_hostile.py."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import RetryConfig, exchange_of
from ratewise.testing import FakeClock
from tests.kit.wire import Body, Scripted, response
from tests.kit.world import World, only

CONFIG = RetryConfig(jitter=False, budget=False)


def client(world: World, clock: FakeClock, *steps: Any, **settings: Any) -> tuple[Any, Scripted]:
    wire = Scripted(*steps)
    settings = {"retry_config": CONFIG, "total_timeout": 10.0, "timeout": world.httpx.Timeout(30, connect=5), **settings}
    return world.RateWiseClient("https://api.example.com", transport=wire, clock=clock, **settings), wire


def taking(clock: FakeClock, seconds: float, answer: Any) -> Any:
    """A step of the wire that takes some seconds."""

    def step(request: Any) -> Any:
        clock.advance(seconds)
        return answer

    return step


async def test_time_outs_are_shortened_to_what_is_left(world: World, clock: FakeClock) -> None:
    """Each attempt's httpx time-outs end no later than the exchange; shorter ones stay; the caller's request keeps its own."""
    subject, wire = client(world, clock, taking(clock, 4, response(503)), 503, 200)
    result = await world(subject.get, "/")
    timeouts = [sent.request.extensions["timeout"] for sent in wire.sent]
    assert timeouts == [
        {"connect": 5, "read": 10, "write": 10, "pool": 10},
        {"connect": 5, "read": 5, "write": 5, "pool": 5},
        {"connect": 3, "read": 3, "write": 3, "pool": 3},
    ]
    assert result.request.extensions["timeout"]["read"] == 30
    assert result.content == b"ok"


async def test_no_time_out_means_what_is_left(world: World, clock: FakeClock) -> None:
    """timeout=None: the deadline is the only limit."""
    subject, wire = client(world, clock, 200, timeout=None, connect_timeout=None)
    await world(subject.get, "/")
    assert wire.sent[0].request.extensions["timeout"] == {"connect": 10, "read": 10, "write": 10, "pool": 10}


async def test_a_wait_that_does_not_fit_is_not_begun(world: World, clock: FakeClock) -> None:
    """The outcome is returned at once: a response with its retry_after, an error unchanged."""
    subject, _ = client(world, clock, response(503, {"Retry-After": "11"}, b"later"), world.httpx.ConnectError("no"))
    result = await world(subject.get, "/")
    assert (result.status_code, result.text, clock.sleeps) == (503, "later", [])
    assert exchange_of(result).retry_after == 11
    assert "with 10 s left of total_timeout" in exchange_of(result).history[0].reason
    subject, _ = client(world, clock, taking(clock, 9.5, world.httpx.ConnectError("no")))
    with pytest.raises(world.httpx.ConnectError):
        await world(subject.get, "/")
    assert clock.sleeps == []


async def test_redirects_share_the_deadline(world: World, clock: FakeClock) -> None:
    """The time of the whole exchange counts, not that of each redirect."""

    def hop(request: Any) -> Any:
        clock.advance(4)
        return world.httpx.Response(302, headers={"Location": "/next"}, stream=Body(b"moved"))

    subject, wire = client(world, clock, hop, hop, hop, hop, follow_redirects=True)
    with pytest.raises(world.ratewise.DeadlineExceeded, match=r"3 attempts") as raised:
        await world(subject.get, "/")
    assert len(wire.sent) == 3
    assert raised.value.attempts == 3
    assert [sent.request.extensions["timeout"]["read"] for sent in wire.sent] == [10, 6, 2]
    assert all(body.closed for body in wire.bodies)
    subject, _ = client(world, clock, 200)
    assert (await world(subject.get, "/")).status_code == 200


async def test_an_attempt_never_begins_late(world: World, clock: FakeClock) -> None:
    """After a wait that lasted longer than planned, the next attempt is not sent."""

    class Slow(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds + 20)

        async def asleep(self, seconds: float) -> None:
            await super().asleep(seconds + 20)

    slow = Slow(auto=True)
    subject, wire = client(world, slow, 503, 200)
    with pytest.raises(world.ratewise.DeadlineExceeded):
        await world(subject.get, "/")
    assert len(wire.sent) == 1


async def test_what_failed_at_the_deadline_failed_by_it(world: World, clock: FakeClock) -> None:
    """A time-out of httpx that was shortened raises DeadlineExceeded; an earlier failure is raised unchanged."""
    late = world.httpx.ReadTimeout("late")
    subject, _ = client(world, clock, taking(clock, 10, late))
    with pytest.raises(world.ratewise.DeadlineExceeded) as raised:
        await world(subject.post, "/")
    assert raised.value.__cause__ is late
    assert "attempt 1: ReadTimeout, no retry" in str(raised.value)
    early = world.httpx.ReadError("gone")
    subject, _ = client(world, clock, taking(clock, 9, early))
    with pytest.raises(world.httpx.ReadError) as other:
        await world(subject.post, "/")
    assert other.value is early
    assert early.__cause__ is None


async def test_streams_have_the_deadline_too(world: World, clock: FakeClock) -> None:
    """Between chunks and in a chunk, a failure after the deadline is DeadlineExceeded; others are raised unchanged."""

    class Slow(Body):
        def __iter__(self) -> Any:
            for chunk in super().__iter__():
                yield chunk
                clock.advance(6)

    for body, error in (
        (Slow(b"a", b"b", b"c"), world.ratewise.DeadlineExceeded),
        (Slow(b"a", b"b", error=world.httpx.ReadTimeout("late")), world.ratewise.DeadlineExceeded),
        (Slow(b"a", error=world.httpx.ReadError("gone")), world.httpx.ReadError),
    ):
        subject, _ = client(world, clock, response(200, body=body))
        async with world.within(subject.stream("GET", "/")) as result:
            with pytest.raises(error):
                await world.read(result)
        assert body.closed == 1
    subject, _ = client(world, clock, response(200, body=Slow(b"a")))
    async with world.within(subject.stream("GET", "/")) as result:
        assert await world.read(result) == b"a"


async def test_a_request_without_a_deadline(world: World, clock: FakeClock) -> None:
    """A request that a layer made itself belongs to no exchange, and passes."""
    from ratewise._deadline import WireDeadlineLayer

    transport = world.LayerTransport(Scripted(200), WireDeadlineLayer(), clock=clock)
    assert (await world.send(transport)).status_code == 200


async def test_upgrades_pass(world: World, clock: FakeClock) -> None:
    """A 101 is returned unchanged: its connection belongs to the caller."""
    subject, wire = client(world, clock, response(101, body=Body(error=AssertionError("read"))))
    async with world.within(subject.stream("GET", "/")) as result:
        assert result is wire.answers[0]


async def test_a_bare_stack_has_one_too(world: World, clock: FakeClock) -> None:
    """RateWiseTransport(total_timeout=...) applies to each request of a plain client."""
    wire = Scripted(taking(clock, 10, world.httpx.ReadTimeout("late")), 200)
    async with world.within(world.Client(transport=world.RateWiseTransport(wire, total_timeout=10, clock=clock))) as plain:
        with pytest.raises(world.ratewise.DeadlineExceeded):
            await world(plain.get, "https://api.example.com/")
        assert (await world(plain.get, "https://api.example.com/")).status_code == 200


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (True, TypeError),
        ("5", TypeError),
    ],
)
async def test_bad_values(world: World, value: Any, error: type[Exception]) -> None:
    """An invalid setting is refused at construction; the error has name, value and what is allowed."""
    with pytest.raises(error, match="total_timeout must be a finite number of seconds above 0, not"):
        world.RateWiseClient("https://api.example.com", total_timeout=value)


@only("sync")
async def test_the_wire_is_made_punctual_once(world: World) -> None:
    """A stack around a stack does not wrap the backend of the same wire twice."""
    inner = world.RateWiseTransport(total_timeout=10)
    backend = inner._wire._pool._network_backend
    world.LayerTransport(inner)
    assert inner._wire._pool._network_backend is backend
    assert type(backend).__module__ == "ratewise._adapter.socket_deadline"
    await world.close(inner)

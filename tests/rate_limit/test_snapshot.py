"""Snapshots: what was discovered is read back unchanged, and malformed ones are refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise import RateLimiter
from ratewise._http.rate_limit_headers import NO_FIELDS
from ratewise.rate_limit.gate import Gate, Signal
from ratewise.rate_limit.snapshot import ALL_ROUTES, digest, name_of, read, written
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, Timed, response
from tests.kit.world import World
from tests.rate_limit.limiters import URL, limited

ALL = {"a": {"0123abcd": {"rate": 20.0}, "fe": {"in_flight": 8.0}}, "b": {ALL_ROUTES: {"rate": 0.05}}, "c": {}}


def test_names() -> None:
    """A name has the origin, the last bytes of the credential's hash, and four bytes of a hash of a custom key."""
    assert name_of((("https", "api.example.com", None), ""), False) == "https://api.example.com"
    assert name_of((("http", "localhost", 8000), "0123456789abcdef"), False) == "http://localhost:8000 cdef"
    for key in ("alice", ("a", "b"), (("a", "b", "c"), "secret"), ((1, 2, 3), 7), None):
        assert name_of(key, True) == digest(key)
        assert int(digest(key), 16) < 1 << 32
    assert name_of("alice", True) != name_of("bob", True)


def test_read_back() -> None:
    """What was written is read back."""
    text = written(ALL)
    assert read(text) == ALL


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rate", "in_flight", "limits", "*"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def survives(text: str) -> None:
    """Check that the snapshot is refused with `ValueError`, or read as limits that eventually let a request go."""
    try:
        limits = read(text)
    except ValueError:
        return
    for kept in limits.values():
        for route in (*kept, "other"):
            gate = Gate(opening=False)
            gate.restore(kept, str)
            lane, now = gate.lane(route), 1000.0
            assert 0 <= gate.opens(lane, now, 0)[0] < math.inf  # type: ignore[arg-type]
            for _ in range(2):
                now += lane.next_available(now)
                assert lane.available(now) > 0
                lane.acquire(Anyone(), now)  # type: ignore[arg-type]


class Anyone:
    """In place of a ticket; it is gone at once, and with it what it holds."""


@given(JSON)
def test_any_json_for_a_snapshot(garbage: Any) -> None:
    """Arbitrary JSON raises `ValueError`, or restores limits that work."""
    for limits in (garbage, {"a": garbage}, {"a": {"x": garbage}}, {"a": {ALL_ROUTES: {"rate": garbage}}}):
        survives(json.dumps({"ratewise": 2, "limits": limits}))
    survives(json.dumps(garbage))


@given(st.integers(0, 400), st.integers(0, 20), st.text(max_size=5))
def test_any_change_to_the_text(at: int, length: int, instead: str) -> None:
    """The same for any change to the text."""
    text = written(ALL)
    survives(text[:at] + instead + text[at + length :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"ratewise": 1, "limits": {}}',
        '{"ratewise": 2, "more": 1}',
        '{"ratewise": 2, "limits": []}',
        '{"ratewise": 2, "limits": {"a": null}}',
        '{"ratewise": 2, "limits": {"a": {"x": []}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"kind": "rate"}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"burst": 5}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"rate": true}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"rate": "1"}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"rate": NaN}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"rate": 0.016}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"rate": 1000001}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"in_flight": 0.5}}}}',
        '{"ratewise": 2, "limits": {"a": {"x": {"rate": 1' + "0" * 400 + "}}}}",
        "[" * 100_000,
    ],
    ids=lambda text: text[-60:],
)
def test_no_snapshot(text: str) -> None:
    """A text that is not a snapshot raises a `ValueError` that says so."""
    with pytest.raises(ValueError, match=r"not a snapshot of a RateLimiter "):
        read(text)


@pytest.mark.parametrize(
    ("snapshot", "error", "message"),
    [
        (None, TypeError, "snapshot must be the text that snapshot() returned, not None"),
        ("", ValueError, "not a snapshot of a RateLimiter"),
        ('{"ratewise": 1, "limits": {}}', ValueError, "unsupported version"),
    ],
)
def test_what_is_no_snapshot(snapshot: Any, error: type[Exception], message: str) -> None:
    """Anything but a snapshot is refused at once, with a message that says so."""
    with pytest.raises(error) as raised:
        RateLimiter().restore(snapshot)
    assert message in str(raised.value)


# -- through a transport


HUNTER = {"Authorization": "Bearer hunter2"}


async def learnt(world: World, clock: FakeClock, **settings: Any) -> RateLimiter:
    """A limiter that has discovered that a route is filled by one a second."""
    limiter = RateLimiter(**settings)
    tokens, at = 20.0, clock.monotonic()

    def bucket(request: Any) -> Any:
        nonlocal tokens, at
        tokens, at = min(tokens + clock.monotonic() - at, 20), clock.monotonic()
        accepted = tokens >= 1
        tokens -= accepted
        return response(200 if accepted else 429)(request)

    transport = limited(world, Scripted(*[bucket] * 60), limiter, clock)
    for _ in range(60):
        await world.send(transport, headers=HUNTER)
    return limiter


async def test_snapshot_and_restore(world: World, clock: FakeClock) -> None:
    """A snapshot is JSON; a limiter that restores it continues for the same origin, credential and route, and for no others."""
    text = (await learnt(world, clock)).snapshot()
    ((name, kept),) = json.loads(text)["limits"].items()
    assert name.startswith("https://api.example.com ")
    assert kept == {digest("/"): {"rate": pytest.approx(1, rel=0.4)}}
    limiter = RateLimiter()
    limiter.restore(text)
    wire = Timed(clock, *[200] * 10)
    transport = limited(world, wire, limiter, clock)
    other = {"url": "https://other.example/", "headers": HUNTER}, {"url": URL}, {"url": URL + "other", "headers": HUNTER}
    for request in (*other, *other):
        await world.send(transport, **request)
    assert wire.times == [0] * 6
    assert json.loads(limiter.snapshot())["limits"] == {name: kept}
    for _ in range(3):
        await world.send(transport, headers=HUNTER)
    assert wire.times[-1] - wire.times[-2] == pytest.approx(1 / kept[digest("/")]["rate"], rel=0.1)


async def test_keys_that_were_not_met(world: World, clock: FakeClock) -> None:
    """What a snapshot knows of other keys is in the next one too."""
    text = (await learnt(world, clock)).snapshot()
    limiter = RateLimiter()
    limiter.restore(text)
    again = json.loads(limiter.snapshot())
    assert again == json.loads(text)


async def test_snapshots_tell_no_secret(world: World, clock: FakeClock) -> None:
    """A snapshot has neither credentials nor routes nor the results of `key`; a few bytes of a hash distinguish them."""
    named = await learnt(world, clock, route=lambda request: "tenant")
    keyed = await learnt(world, clock, key=lambda request: (("a", "b", "tenant"), request.headers["Authorization"]))
    for limiter in (named, keyed):
        text = limiter.snapshot()
        assert len(json.loads(text)["limits"]) == 1
        assert "hunter2" not in text
        assert "tenant" not in text
    restored = RateLimiter(key=keyed.key)
    restored.restore(keyed.snapshot())
    await world.send(limited(world, Scripted(200), restored, clock), headers=HUNTER)
    ((lane,),) = [gate.lanes.values() for gate in restored._gates.values()]
    assert lane.meter.known


async def test_restore_where_something_is_known(world: World, clock: FakeClock) -> None:
    """What a limiter has discovered itself wins over a snapshot; a key that it has seen without a result is restored at once."""
    limiter = await learnt(world, clock)
    transport = limited(world, Scripted(200, 200), limiter, clock)
    await world.send(transport)
    ((known, kept),) = json.loads(limiter.snapshot())["limits"].items()
    restored = {digest("/"): {"rate": 7.0}}
    limiter.restore(written({known: restored, URL.rstrip("/"): restored}))
    assert json.loads(limiter.snapshot())["limits"] == {known: kept, URL.rstrip("/"): restored}
    wire = Timed(clock, *[200] * 4)
    transport = limited(world, wire, limiter, clock)
    for _ in range(4):
        await world.send(transport)
    assert wire.times[-1] - wire.times[-2] == pytest.approx(1 / 7, rel=0.1)


def test_a_limit_of_all_routes() -> None:
    """What holds all routes back together does so when it is restored, in all routes, met or not."""
    gate = Gate(opening=False)
    gate.restore({ALL_ROUTES: {"in_flight": 3.0}}, digest)
    for number in range(3):
        assert gate.free(0.1) == 3 - number
        gate.send(gate.lane(f"/{number}"), 0.1, number)  # type: ignore[arg-type]
    assert (gate.kept(digest), gate.quiet) == ({ALL_ROUTES: {"in_flight": 3.0}}, False)


def test_pauses_are_not_kept() -> None:
    """A pause is not in a snapshot: it may be over when that is restored."""
    gate = Gate(opening=False)
    lane: Any = gate.lane("/")
    for number in range(8):
        sent = gate.send(lane, float(number), number)
        gate.gone(lane, sent)
        signal = Signal.ACCEPTED if number < 4 else Signal.REFUSED
        gate.answered(lane, signal, NO_FIELDS, sent, number + 0.1)
    assert lane.meter.pause is not None
    assert gate.kept(digest) == {}

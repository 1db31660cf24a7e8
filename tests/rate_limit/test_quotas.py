"""Which of the limits that a server tells binds which route."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise import RateLimiter
from ratewise._http.rate_limit_headers import NO_FIELDS, Quota, RateLimitFields
from ratewise.rate_limit.gate import Gate, Lane, Signal
from ratewise.rate_limit.quotas import MOST_QUOTAS
from ratewise.rate_limit.sliding_window import SlidingWindow
from ratewise.testing import FakeClock
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only
from tests.rate_limit.limiters import limited

REQUESTS = Quota("", 100, 99, 30, 1.0, None, "requests", "window")

SPENT = REQUESTS._replace(remaining=0)


class Key:
    """The gate of a key, without transports and queues."""

    def __init__(self, pace: bool = False) -> None:
        self.gate = Gate(pace=pace, opening=False)
        self._tokens = iter(range(10**6))

    def __getitem__(self, route: str) -> Lane:
        lane = self.gate.lane(route)
        assert isinstance(lane, Lane)
        return lane

    def send(self, route: str, now: float) -> Any:
        return self.gate.send(self[route], now, next(self._tokens))

    def told(self, route: str, now: float, *quotas: Quota, bucket: str | None = None, refused: bool = False) -> None:
        """A request of the route comes and is answered, 20 ms later."""
        sent = self.send(route, now)
        self.answered(route, sent, now + 0.02, RateLimitFields(quotas, None, bucket, False), refused)

    def answered(self, route: str, sent: Any, now: float, told: RateLimitFields = NO_FIELDS, refused: bool = False) -> None:
        self.gate.gone(self[route], sent)
        self.gate.answered(self[route], Signal.REFUSED if refused else Signal.ACCEPTED, told, sent, now)

    def free(self, now: float, *routes: str) -> list[int]:
        return [self[route].available(now) for route in routes]


# -- whom they bind


def test_one_limit_for_all_routes() -> None:
    """A limit of the same name and size that turns at the same time is the same one: it is used up for all routes."""
    key = Key()
    key.told("/a", 0.0, REQUESTS)
    key.told("/b", 1.0, REQUESTS._replace(remaining=98, reset=29))
    key.told("/a", 2.0, REQUESTS._replace(remaining=0, reset=28))
    assert key.free(3.0, "/a", "/b") == [0, 0]
    assert key["/a"].quotas == key["/b"].quotas


@pytest.mark.parametrize("other", [{"limit": 15}, {"reset": 50}, {"name": "search"}, {"kind": "bucket"}], ids=str)
def test_limits_of_their_own(other: Any) -> None:
    """Another size, turn, name or kind is another limit: it holds back the routes whose answers tell of it, and no others."""
    key = Key()
    key.told("/a", 0.0, REQUESTS)
    key.told("/b", 0.1, SPENT._replace(**other))
    assert key.free(0.2, "/a", "/b") == [99, 0]
    key.told("/a", 0.3, SPENT)
    assert key.free(0.4, "/a", "/b") == [0, 0]


def test_limits_of_fixed_length() -> None:
    """Windows of which only the length is told are the same if it is the same."""
    key = Key()
    only_length = REQUESTS._replace(reset=None, window=10.0)
    key.told("/a", 0.0, only_length)
    key.told("/b", 0.1, only_length._replace(window=60.0, remaining=0))
    assert key.free(0.2, "/a", "/b") == [99, 0]
    key.told("/c", 0.3, only_length._replace(remaining=0))
    assert key.free(0.4, "/a", "/c") == [0, 0]


def test_limits_that_the_server_names() -> None:
    """Of the same bucket (Discord) or resource (GitHub), whatever else is told; of different ones, though all else is alike."""
    key = Key()
    key.told("/a", 0.0, REQUESTS, bucket="core")
    key.told("/b", 0.1, SPENT, bucket="search")
    key.told("/c", 0.2, SPENT._replace(limit=60, reset=50), bucket="core")
    assert key.free(0.3, "/a", "/b", "/c") == [0, 0, 0]
    key.told("/b", 31.0, REQUESTS, bucket="search")
    assert key.free(31.1, "/a", "/b", "/c") == [0, 99, 0]


def test_the_tightest_of_several() -> None:
    """Of several limits of a route the tightest one applies, and is named in the reason."""
    key = Key()
    minute = REQUESTS._replace(name="minute", limit=60, remaining=30, reset=50)
    day = REQUESTS._replace(name="day", limit=1000, remaining=7, reset=30_000, window=86_400)
    key.told("/a", 0.0, minute, day)
    assert key.free(0.3, "/a") == [7]
    key.told("/a", 0.3, minute, day._replace(remaining=0))
    wait, reason = key.gate.opens(key["/a"], 0.4, 0)
    assert 29_990 < wait <= 30_002
    assert reason == "limit 'day' of the server is used up"


def test_a_limit_that_changes() -> None:
    """The only route of a limit may be told another size of it; a route that shares it has another limit from then on."""
    key = Key()
    key.told("/a", 0.0, REQUESTS)
    key.told("/a", 0.1, REQUESTS._replace(limit=50, remaining=10))
    assert key.free(0.2, "/a") == [10]
    key.told("/b", 0.3, REQUESTS._replace(limit=50, remaining=9))
    key.told("/a", 0.4, REQUESTS._replace(limit=15, remaining=0))
    assert key.free(0.5, "/a", "/b") == [0, 9]


def test_a_route_not_seen_yet() -> None:
    """While what all other routes share is used up, one request of a new route finds out whether it is bound by it too."""
    key = Key()
    key.told("/a", 0.0, REQUESTS)
    key.told("/b", 0.1, SPENT)
    assert key.free(0.2, "/b", "/new") == [0, 1]
    sent = key.send("/new", 0.2)
    assert key.free(0.3, "/new") == [0]
    key.answered("/new", sent, 0.4, RateLimitFields((REQUESTS._replace(name="own", limit=5, remaining=4),), None, None, False))
    assert key.free(0.5, "/new") == [4]


def test_a_refusal_without_fields_tells_nothing_of_the_binding() -> None:
    """Another request of the new route may ask; an accepted one without fields shows that the route is bound by nothing."""
    key = Key()
    key.told("/a", 0.0, SPENT)
    key.answered("/new", key.send("/new", 0.2), 0.22, refused=True)
    assert key.free(0.4, "/new") == [1]
    key.answered("/new", key.send("/new", 0.4), 0.42)
    assert key.free(0.5, "/new") == [100]


def test_a_sliding_window_is_one_for_all_routes() -> None:
    """What turns out to be a sliding window is replaced for all its routes."""
    key = Key()
    for second in range(4):
        for route in ("/a", "/b"):
            at = second + (0.5 if route == "/b" else 0.0)
            key.told(route, at, REQUESTS._replace(limit=8, remaining=7 - int(at * 2), reset=10.0, resolution=0.0))
    (limit,) = key["/a"].quotas
    assert key["/b"].quotas == (limit,)
    assert isinstance(limit, SlidingWindow)
    assert [key.free(now, "/a", "/b") for now in (9.9, 10.6, 11.1, 13.6)] == [[0, 0], [1, 1], [2, 2], [7, 7]]


# -- what ends them


def test_limits_that_are_not_told_any_longer() -> None:
    """An answer without fields ends a limit that has turned, or that should have refused it; not one that was spent meanwhile."""
    key = Key()
    key.told("/a", 0.0, SPENT._replace(reset=5), refused=True)
    key.answered("/a", key.gate.passes(-1.0), 1.0)  # it was sent before
    assert key.free(1.0, "/a") == [0]
    key.answered("/a", key.send("/a", 6.1), 6.12)
    assert (key.free(6.2, "/a"), key.gate.quiet) == ([100], True)
    key.told("/a", 7.0, SPENT)
    key.answered("/a", key.send("/a", 8.0), 8.02)
    assert (key.free(8.1, "/a"), key.gate.quiet) == ([100], True)


def test_a_limit_for_longer_than_an_hour() -> None:
    """After each full hour one request asks whether a limit that is used up for longer still holds."""
    key = Key()
    key.told("/a", 0.0, SPENT._replace(reset=30 * 86_400))
    assert [key.free(now, "/a") for now in (3599.0, 3601.0)] == [[0], [1]]
    key.told("/a", 3601.0, SPENT._replace(reset=30 * 86_400 - 3601), refused=True)
    assert [key.free(now, "/a") for now in (7200.0, 7202.0)] == [[0], [1]]
    key.told("/a", 7202.0, REQUESTS)
    assert key.free(7236.0, "/a") == [100]


def test_many_names() -> None:
    """At most 64 limits of a key are remembered; those that bind no route are forgotten first."""
    key = Key()
    key.told("/kept", 0.0, SPENT._replace(name="kept", reset=5000))
    for number in range(100):
        assert key.gate.quotas.full == (number > MOST_QUOTAS - 1)
        key.told("/many", float(number), REQUESTS._replace(name=f"{number}"))
    key.told("/another", 101.0, REQUESTS._replace(name="kept", reset=4899))
    assert key.free(102.0, "/another") == key.free(102.0, "/kept") == [0]


@only("sync")
async def test_many_names_are_logged_once(world: World, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """That not all limits are remembered is logged once."""
    told = [{"RateLimit": f'"{number}";r=9;t=9'} for number in range(100)]
    transport = limited(world, Scripted(*[response(200, each) for each in told]), RateLimiter(), clock)
    with caplog.at_level(logging.WARNING, "ratewise"):
        for _ in told:
            await world.send(transport)
    assert caplog.messages == [
        "Rate limit: https://api.example.com names more than 64 limits; the oldest are forgotten",
    ]


# -- requests on their way


def test_long_polls() -> None:
    """A long poll was counted before any request sent long after it: it no longer takes room from what remains."""
    key = Key()
    polls = [key.send("/poll", 0.0) for _ in range(5)]
    for now, free in ((0.5, 3), (2.0, 8)):
        key.told("/a", now, REQUESTS._replace(limit=9, remaining=8))
        assert key.free(now + 0.02, "/a") == [free]
    for poll in polls:
        key.answered("/poll", poll, 60.0)
    assert key["/poll"].recent == {}


def test_requests_of_other_routes_count() -> None:
    """What is on its way on another route takes room from a limit that both share, and from no other one."""
    key = Key()
    key.told("/a", 0.0, REQUESTS)
    key.told("/b", 0.1, REQUESTS._replace(remaining=98))
    key.told("/c", 0.2, REQUESTS._replace(name="own"))
    for _ in range(3):
        key.send("/b", 0.3)
    assert key.free(0.4, "/a", "/b", "/c") == [95, 95, 99]


def test_requests_that_overtake_each_other() -> None:
    """An answer that knows of less than another, though its request was sent later, does not refill a bucket."""
    key = Key()
    bucket = REQUESTS._replace(limit=20, resolution=0.001, kind="bucket")
    key.told("/a", 0.0, bucket._replace(remaining=19, reset=0.05))
    batch = [key.send("/a", 0.03) for _ in range(18)]
    for number, left in ((2, 4), (17, 14)):
        told = RateLimitFields((bucket._replace(remaining=left, reset=(20 - left) / 20),), None, None, False)
        key.answered("/a", batch[number], 0.05, told)
    assert key.free(0.06, "/a") == [0]


NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 5.0, 1e9, 1e15]), st.floats(0, 1e6))

ANSWER = st.fixed_dictionaries(
    {
        "limit": NUMBERS,
        "remaining": NUMBERS,
        "reset": NUMBERS,
        "window": NUMBERS,
        "kind": st.sampled_from(["window", "bucket", "effective"]),
        "unit": st.sampled_from(["requests", "tokens"]),
    }
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/a", "/b"]),
            ANSWER,
            st.floats(0.1, 1e5) | st.none(),
            st.sampled_from([None, "one", "two"]),
            st.floats(0, 100),
            st.floats(0, 5),
            st.sampled_from([Signal.ACCEPTED, Signal.REFUSED]),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_whatever_is_told(answers: list[Any], pace: bool) -> None:
    """Whatever fields come, no call fails, the wait is finite, and once it is over a request is available."""
    key, now = Key(pace), 1000.0
    for route, fields, pause, bucket, wait, trip, signal in answers:
        lane = key[route]
        for _ in range(50):
            if lane.available(now):
                break
            wait_for, reason = key.gate.opens(lane, now, 0)
            assert 0 <= wait_for < math.inf
            assert reason
            assert 0 < lane.next_available(now) <= 60
            now += max(wait_for, 0.001)
        assert lane.available(now) > 0
        sent = key.send(route, now)
        key.gate.gone(lane, sent)
        told = RateLimitFields((REQUESTS._replace(**fields),), pause, bucket, False)
        key.gate.answered(lane, signal, told, sent, now + trip)
        now += trip + wait
    assert (key.gate.flying, [lane.recent for lane in key.gate.lanes.values()]) == (0, [{}] * len(key.gate.lanes))

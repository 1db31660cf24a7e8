"""The small inputs that went wrong, one by one, each with its kind."""

from __future__ import annotations

import itertools
import json
import logging
import math
from typing import Any

import httpx
import pytest

from ratewise import RateLimiter
from ratewise.exceptions import RateLimitExceeded, WaitTooLong
from tests.zoo import ALL, laws, some
from tests.zoo.named import CASES
from tests.zoo.servers import Outage, Rule, Spec
from tests.zoo.traffic import HOST, CallRecord, Run, Traffic, run

pytestmark = pytest.mark.timeout(300)

FOREVER = 1e6


def plan(*calls: tuple[float, str], seconds: float = 0.0) -> Traffic:
    return Traffic("plan", plan=calls, seconds=seconds or calls[-1][0] + 1)


def statuses(of: Run, route: str = "") -> list[int]:
    return [call.status for call in of.calls if route in ("", call.route)]


def keeps(mine: Run, bare: Run, *wanted: Any) -> None:
    """Check some laws, or all."""
    verdicts = [law(mine, bare) for law in wanted or laws.LAWS]
    assert all(verdict.holds is not False for verdict in verdicts), laws.report(mine, bare, verdicts)


# -- 1: two quotas of one key


@pytest.mark.parametrize("tells", ["x-ratelimit", "x-ratelimit-delta", "x", "ietf-06"])
@pytest.mark.parametrize("sync", [False, True])
def test_1_a_used_up_quota_of_another_route(tells: str, sync: bool) -> None:
    """15 of /search are used up for 850 s; the 900 of /lookup are another quota."""
    rules = Rule("window", 15, 850, tells, routes=("/search",), spent=14), Rule("window", 900, 900, tells, routes=("/lookup",))
    if sync:
        traffic = Traffic("serial", n=7, routes=("/search", *["/lookup"] * 6), sync=True)
    else:
        traffic = plan((0, "/search"), *((1 + number / 10, "/lookup") for number in range(6)))
    mine = run(Spec("two quotas", rules), traffic)
    assert statuses(mine) == [200] * 7, mine.calls
    assert max(call.duration for call in mine.calls) <= 1, [str(call) for call in mine.calls]


def test_1_the_used_up_route_itself_is_held() -> None:
    rules = (
        Rule("window", 15, 850, "x-ratelimit", routes=("/search",), spent=14),
        Rule("window", 900, 900, "x-ratelimit", routes=("/lookup",)),
    )
    calls = [(0.0, "/search"), (1.0, "/lookup"), (2.0, "/search"), (3.0, "/lookup")]
    mine = run(Spec("two quotas", rules), plan(*calls))
    assert statuses(mine) == [200, 200, 0, 200]
    assert isinstance(mine.calls[2].error, WaitTooLong)
    assert mine.refused == 0
    assert mine.calls[2].duration < 0.01


def test_1_one_quota_over_routes_is_one() -> None:
    """GitHub's core limit looks the same on every route, and so is one."""
    mine = run(
        Spec("core", (Rule("window", 60, 10, "github"),)), Traffic("closed", 20, n=200, routes=("/a", "/b", "/c"), seconds=100)
    )
    assert mine.refused <= 1, mine
    assert mine.failed == 0


# -- 2: a bare 429 of another route


@pytest.mark.parametrize("latency", [0.005, 0.5])
@pytest.mark.parametrize("sync", [False, True])
def test_2_a_bare_429_binds_its_route(latency: float, sync: bool) -> None:
    """/a is refused, again and again; five ask /b, which keeps 0.9 of its rate, in each 2 s from the second after on."""
    spec = Spec("one route", (Rule("window", 1, FOREVER, routes=("/a",), spent=1),), latency=latency)
    traffic = Traffic(
        "closed",
        6,
        think=0.058,
        seconds=6 if not sync else 4,
        routes=("/a", *["/b"] * 5),
        sticky=True,
        begins=(("/a", 1.0),),
        sync=sync,
    )
    mine, bare = run(spec, traffic, RateLimiter(max_wait=10)), run(spec, traffic, None)
    mine.max_wait = 10
    keeps(mine, bare, laws.law_3, laws.law_4, laws.law_7)
    for start in (1, 2, 3):
        got, would = (
            sum(call.route == "/b" and call.succeeded and start <= call.ended < start + 2 for call in one.calls)
            for one in (mine, bare)
        )
        assert got >= 0.9 * would - 5, f"{got} of {would} from {start} s on"


# -- 3: a pause told by one route


@pytest.mark.parametrize(("status", "pause"), [(503, 120), (429, 900), (403, 60)])
@pytest.mark.parametrize("many", [False, True])
def test_3_a_told_pause_binds_its_route(status: int, pause: int, many: bool) -> None:
    spec = Spec("one route pauses", (Rule("window", 1, pause, "retry-after", status, routes=("/reports",), spent=1),))
    users = [(0.1 + number / 5, "/users") for number in range(20)]
    reports = [(number / 100, "/reports") for number in range(5 if many else 1)]
    mine = run(spec, plan(*reports, *users))
    assert statuses(mine, "/users") == [200] * 20, mine
    assert max(call.duration for call in mine.calls if call.route == "/users") <= 1.1
    bare = run(spec, plan(*reports, *users), None)
    keeps(mine, bare, laws.law_11, laws.law_4, laws.law_1_errors)


# -- 4: an outage


@pytest.mark.parametrize("how", ["503", "refused", "reset"])
@pytest.mark.parametrize("sync", [False, True])
def test_4_a_server_that_is_down(how: str, sync: bool) -> None:
    spec = Spec("down", outages=(Outage(0, FOREVER, how),))
    mine = run(spec, Traffic("burst", n=20, seconds=1, sync=sync))
    assert all(call.attempts for call in mine.calls), [str(call) for call in mine.calls]
    for call in mine.calls:
        if how == "503":
            assert call.status == 503, call
        else:
            assert type(call.error) is {"refused": httpx.ConnectError, "reset": httpx.ReadError}[how], call
        assert call.waited <= 7 + 1e-6, call


# -- 5: refused for ever


@pytest.mark.parametrize("max_wait", [90, 10])
@pytest.mark.parametrize("tells", [None, "retry-after"])
def test_5_one_call_one_max_wait(max_wait: int, tells: str | None) -> None:
    spec = Spec("never", (Rule("bucket", 1, FOREVER if tells is None else 30, tells, spent=1, penalty=True),))
    mine = run(spec, Traffic("burst", n=20, seconds=1), max_wait=max_wait)
    keeps(mine, mine, laws.law_4, laws.law_7)
    for call in mine.calls:
        if call.status == 0:
            assert isinstance(call.error, RateLimitExceeded), call
            assert call.error.response is not None or call.attempts == [] or tells, f"without the last refusal: {call}"


# -- 6: recovery after a long refusal


@pytest.mark.parametrize("minutes", [15, 4])
@pytest.mark.parametrize("think", [0.2, 2.0])
def test_6_recovery(minutes: int, think: float) -> None:
    """6 answers, bare 429s until 0.9 s, one answer, bare 429s for minutes, then answers for ever."""
    until = minutes * 60.0
    rules = Rule("window", 6, 0.9, until=0.9), Rule("window", 1, until, since=0.9, until=0.9 + until)
    spec = Spec("shut for minutes", rules)
    traffic = Traffic("serial", think=think, seconds=until + 60)
    mine = run(spec, traffic)
    # the oracle is not needed: a serial client without limits has its ideal rate
    keeps(mine, mine, laws.law_2_recovery, laws.law_4, laws.law_7)


# -- 7: numbers


def test_7_a_pace_without_a_ceiling() -> None:
    """A key with a size of one that grows for some 20,000 requests (5,000 are enough for what grows now)."""
    spec = Spec("one at a time", (Rule("window", 1, 0.05, until=2),), latency=0.001)
    mine = run(spec, Traffic("serial", n=20_000 if ALL else 5_000, seconds=FOREVER))
    keeps(mine, mine, laws.law_7)
    assert mine.failed == 0
    json.loads(mine.snapshot, parse_constant=lambda name: pytest.fail(f"{name} in the snapshot"))


# -- 8: a server that comes back


SETTINGS: dict[str, dict[str, Any]] = {"503": {}, "reset": {}, "hang": {"timeout": 0.5}}


BACK = [(how, pool) for how in SETTINGS for pool in (1000, 100)]


@pytest.mark.parametrize(("how", "pool"), some(BACK, ("503", 1000), ("reset", 100), ("hang", 100)))
def test_8_back_with_a_queue(how: str, pool: int) -> None:
    """Away for 5 s, then 200 a second, half a second of queue, 503 beyond; 100 a second keep coming.

    Of hangs the time-out is shorter than the outage: nobody can know of them before the first one.
    """
    spec = Spec("back", outages=(Outage(10, 15, how),), capacity=200)
    mine = run(spec, Traffic("open", rate=100, seconds=30), pool=pool, width=pool, **SETTINGS[how])
    attempts = sum(10 <= seen.sent < 15 for seen in mine.seen)
    late = [call for call in mine.calls if call.began >= 18 and not call.duration <= 1]
    assert mine.failed == 0, mine
    assert attempts <= 0.2 * 500, attempts
    assert len(late) <= 0.05 * 1200, f"{len(late)} of 1200 take more than 1 s"
    assert mine.cpu < 40


def test_8_back_in_a_closed_loop() -> None:
    """500 that ask, think for 5 s, and ask again."""
    spec = Spec("back", outages=(Outage(10, 15, "503"),), capacity=200)
    mine = run(spec, Traffic("closed", 500, think=5, seconds=30), pool=100, width=100)
    late = [call for call in mine.calls if call.began >= 18 and not call.duration <= 1]
    offered = sum(10 <= call.began < 15 for call in mine.calls)
    attempts = sum(10 <= seen.sent < 15 for seen in mine.seen)
    assert mine.failed == 0, mine
    assert attempts <= 0.2 * offered, f"{attempts} of {offered}"
    assert len(late) <= 0.05 * sum(call.began >= 18 for call in mine.calls), len(late)


# -- 9, 10: slots whose refusals take time, and a bucket in whole seconds


@pytest.mark.parametrize("name", ["slots slow refusals", "bucket seconds", "bucket seconds halved"])
def test_9_and_10(name: str) -> None:
    case = CASES[name]
    mine = run(case.spec, case.traffic)
    assert case.used is not None
    assert case.refused is not None
    assert mine.used >= case.used, mine
    assert mine.per_success <= case.refused, mine
    assert mine.failed == 0, mine


# -- 11: shedding


TRAFFIC = {"closed": Traffic("closed", 10, think=0.1, seconds=40), "open": Traffic("open", rate=50, seconds=40)}
SHEDS = list(itertools.product(TRAFFIC, [0.002, 0.01, 0.02, 0.05], [None, 1]))
TYPICAL = ("closed", 0.002, None), ("closed", 0.05, None), ("closed", 0.05, 1), ("open", 0.01, 1), ("open", 0.02, None)


@pytest.mark.parametrize(("kind", "sheds", "after"), some(SHEDS, *TYPICAL))
def test_11_shedding_is_no_limit(kind: str, sheds: float, after: int | None) -> None:
    spec, traffic = Spec("sheds", sheds=sheds, shed_after=after), TRAFFIC[kind]
    keeps(run(spec, traffic), run(spec, traffic, None), laws.law_2_shedding, laws.law_1_errors, laws.law_4)


@pytest.mark.parametrize("after", [None, 1])
def test_11_shedding_in_bursts_is_no_limit(after: int | None) -> None:
    spec, traffic = Spec("sheds in bursts", shed_burst=(0.2, 10), shed_after=after), Traffic("closed", 10, think=0.1, seconds=60)
    keeps(run(spec, traffic), run(spec, traffic, None), laws.law_2_shedding, laws.law_1_errors, laws.law_4)


# -- 12: one server's names


def test_12_buckets_of_one_server_leave_room_for_others(caplog: pytest.LogCaptureFixture) -> None:
    """After 1,200 answers with 1,000 names, the limit that a new origin tells is kept, and the user's own."""
    bad, good = Spec("names", buckets=1000), Spec("told", (Rule("window", 50, 5, "x-ratelimit"),))
    traffic = Traffic("closed", 20, n=1500, seconds=600)

    def host(number: int) -> str:
        return "names.example.com" if number < 1200 else HOST

    with caplog.at_level(logging.WARNING, "ratewise"):
        mine = run(good, traffic, others={"names.example.com": bad}, hosts=host)
    assert mine.failed == 0, mine
    assert mine.refused <= 1, mine
    assert len([record for record in caplog.records if "names.example.com" in record.getMessage()]) == 1

    mine = run(Spec("no limit"), traffic, RateLimiter(rate=20, burst=5), others={"names.example.com": bad}, hosts=host)
    sent = sorted(seen.sent for seen in mine.servers[HOST].seen)
    assert all(sum(start <= one < start + 1 for one in sent) <= 25 for start in sent)


# -- 13: absurd pauses


@pytest.mark.parametrize("status", [503, 429, 403, 200])
@pytest.mark.parametrize("seconds", [20_000, 3_000_000, 10_000_000])
def test_13_an_absurd_pause(status: int, seconds: int) -> None:
    """It is believed, but each hour one request asks; after that everything is sent. What is too absurd may be ignored."""
    spec = Spec("absurd", absurd=((5, status, str(seconds)),))
    calls = [(float(at), "/a") for at in itertools.chain(range(6), range(10, 3605, 60), range(3606, 3700))]
    mine = run(spec, plan(*calls, seconds=3700))
    held = [call for call in mine.calls if 6 <= call.began < 3604]
    if seconds < 10_000_000 or not held[0].succeeded:
        assert all(isinstance(call.error, WaitTooLong) and call.duration < 0.01 and not call.attempts for call in held), str(
            held[0]
        )
    later = [call for call in mine.calls if call.began >= 3606]
    assert all(call.succeeded and call.duration < 1.1 for call in later), str(later[0])


def test_13_each_hour_one_asks() -> None:
    """Where the pause still holds, one request an hour is refused."""
    spec = Spec("shut", (Rule("window", 1, 100_000, "retry-after", spent=1),))
    mine = run(spec, plan(*((float(at), "/a") for at in range(0, 3 * 3600 + 120, 60))))
    hours = [math.floor(seen.sent / 3600) for seen in mine.seen]
    assert hours[:1] == [0]
    assert sorted(set(hours)) == [0, 1, 2, 3], hours
    assert len(hours) <= 6, hours


# -- 14: the first answer


@pytest.mark.parametrize("takes", [0.5, 3.0])
def test_14_calls_wait_for_the_first_answer_once(takes: float) -> None:
    spec = Spec("no limit", latency=takes)
    mine = run(spec, Traffic("burst", n=20, every=10, seconds=11))
    first, second = mine.calls[:20], mine.calls[20:]
    assert max(call.duration for call in first) <= min(takes, 1.0) + takes + 0.05, max(map(_length, first))
    assert max(call.duration for call in second) <= takes + 0.05, max(map(_length, second))


def test_14_threads() -> None:
    mine = run(Spec("no limit", latency=0.5), Traffic("burst", n=20, seconds=1, sync=True))
    assert max(map(_length, mine.calls)) <= 1.05


def test_14_without_an_opening() -> None:
    opened: Any = RateLimiter
    mine = run(Spec("no limit", latency=0.5), Traffic("burst", n=20, seconds=1), opened(opening=False))
    assert max(map(_length, mine.calls)) <= 0.53


@pytest.mark.parametrize("width", [None, 20])
def test_14_the_opening_is_no_flood(width: int | None) -> None:
    spec, traffic = Spec("no limit", latency=0.5), Traffic("burst", n=300, seconds=1)
    mine = run(spec, traffic, width=width)
    # all began in one instant, and all but one were held: what is let go then is the limiter's
    at_once = max(sum(one.sent == seen.sent for one in mine.seen) for seen in mine.seen)
    assert at_once <= (width or 100), at_once
    assert mine.failed == 0


def _length(call: CallRecord) -> float:
    return call.duration

"""The circuit breaker's rules, without HTTP: what opens and closes a circuit, and which requests it admits."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest

from ratewise import CircuitBreaker, Clock
from ratewise._util.bounded_table import Table
from ratewise.circuit_breaker import breaker as module
from ratewise.circuit_breaker.circuit import MAX_NOTED, Permit
from ratewise.circuit_breaker.window import BUCKETS
from tests.kit.patience import PATIENCE

TOKEN = "aB3dEfGhIjKlMnOp"
WALL = 1e9


class Watch(Clock):
    """A clock that stands still, at `now` and at WALL."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def time(self) -> float:
        return WALL + self.now

    def monotonic(self) -> float:
        return self.now


def new(failures: int = 5, successes: int = 2, recovery: float = 10, **settings: Any) -> CircuitBreaker:
    return CircuitBreaker(failures, successes, recovery, **{"jitter": 0, "clock": Watch(), **settings})


def knock(breaker: CircuitBreaker, now: float, key: Any = "a") -> Permit:
    """Admit a request, which the breaker must not refuse, and hold its permit as long as the breaker exists."""
    permit = breaker._admit(key, now)
    assert isinstance(permit, Permit)
    vars(breaker).setdefault("held", []).append(permit)
    return permit


def calls(breaker: CircuitBreaker, script: str, now: float = 0, key: Any = "a", asked: float | None = None) -> str:
    """Make requests in a row (`.` succeeds, `x` fails, `s` is slow, `c` is cancelled); return the state after them."""
    for outcome in script:
        permit = knock(breaker, now, key)
        if outcome == "c":
            breaker._withdraw(permit)
        else:
            breaker._report(key, permit, failed=outcome == "x", slow=outcome == "s", now=now, asked=asked)
    return told(breaker, now, key)[0]


def told(breaker: CircuitBreaker, now: float, key: Any = "a") -> tuple[Any, ...]:
    """State, failures, successes, seconds since it opened, seconds until the next probe, refusals."""
    state = breaker.get_state(key, now=now)
    if state["opened_at"] is not None:
        state["opened_at"] = round(WALL - state["opened_at"])
    return tuple(state.values())


def opened(**settings: Any) -> CircuitBreaker:
    """A breaker with a circuit that one failure opened at time 0."""
    breaker = new(1, **settings)
    assert calls(breaker, "x") == "open"
    return breaker


# What opens a circuit


@pytest.mark.parametrize(
    ("threshold", "script", "after"),
    [
        (1, "x", "open"),
        (5, "xxxx", "closed"),
        (5, "xxxxx", "open"),
        (5, "xxxx.xxxx", "closed"),
        (5, "xxxx.xxxxx", "open"),
        (5, "xxxxcx", "open"),
        (5, "xxxxsx", "closed"),
    ],
)
def test_failures_in_a_row(threshold: int, script: str, after: str) -> None:
    """A number of failures in a row opens it; a success, slow or not, resets the count; a cancelled request does not count."""
    assert calls(new(threshold), script) == after


def test_life_of_a_circuit() -> None:
    """Closed, open, half open, open again, half open, closed: `get_state` is correct at each step."""
    breaker = new(3)
    assert told(breaker, 0) == ("closed", 0, 0, None, 0, 0)
    calls(breaker, "..xx")
    assert told(breaker, 0) == ("closed", 2, 0, None, 0, 0)
    calls(breaker, "x")
    assert told(breaker, 4) == ("open", 3, 0, 4, 6, 0)
    assert breaker._admit("a", 9.5) == module.Refusal("a", "open", 3, 0.5)
    assert told(breaker, 99) == ("open", 3, 0, 99, 0, 1)
    assert calls(breaker, ".", 10) == "half_open"
    probe = knock(breaker, 11)
    assert breaker._admit("a", 12) == module.Refusal("a", "half_open", 3, 29)
    assert told(breaker, 50) == ("half_open", 0, 1, 50, 0, 2)
    breaker._report("a", probe, failed=True, now=14)
    assert told(breaker, 15)[3:] == (1, 19, 2)
    assert (breaker.get_state("a")["state"], breaker.get_state("a")["failure_count"]) == ("open", 1)
    assert calls(breaker, ".", 34) == "half_open"
    assert told(breaker, 35) == ("half_open", 0, 1, 21, 0, 2)
    assert calls(breaker, ".", 36) == "closed"
    assert told(breaker, 37) == ("closed", 0, 0, None, 0, 2)
    assert breaker._trips == 2


def test_the_worst_of_several() -> None:
    """get_state() without a key: open before half open before closed, then most failures; closed if there is no circuit."""
    breaker = new(3)
    assert repr(breaker) == "<CircuitBreaker closed, circuits=0>"
    for script, key, now, worst in (("x", "a", 0, "a"), ("xx", "b", 0, "b"), (".", "c", 0, "b"), ("xxx", "d", 0, "d")):
        calls(breaker, script, now, key)
        assert told(breaker, now, None) == told(breaker, now, worst)
    knock(breaker, 10, "d")
    assert told(breaker, 10, None) == told(breaker, 10, "d") == ("half_open", 0, 0, 10, 30, 0)
    calls(breaker, "xx", 10, "a")
    assert told(breaker, 10, None)[0] == "open"
    assert repr(breaker) == "<CircuitBreaker open, circuits=4>"


@pytest.mark.parametrize(
    ("settings", "script", "after"),
    [
        ({"failure_rate": 0.5}, "xxx", "closed"),
        ({"failure_rate": 0.5}, "xxx.", "open"),
        ({"failure_rate": 0.5}, "x...xx", "open"),
        ({"failure_rate": 0.5}, "x....x", "closed"),
        ({"failure_rate": 0.5}, "xccccc", "closed"),
        ({"failure_rate": 0.5, "failures": 1}, "xxx", "closed"),
        ({"failure_rate": 1, "minimum_calls": 1}, ".xxx", "closed"),
        ({"failure_rate": 0.07, "minimum_calls": 100}, "x" * 7 + "." * 93, "open"),
        ({"failure_rate": 0.07, "minimum_calls": 100}, "x" * 6 + "." * 94, "closed"),
        ({"failure_rate": 0.5}, "ssss", "closed"),
        ({"slow_call_duration": 1}, "sss", "closed"),
        ({"slow_call_duration": 1}, "ssss", "open"),
        ({"slow_call_duration": 1}, "sss.", "closed"),
        ({"slow_call_duration": 1, "slow_call_rate": 0.5}, "ss..", "open"),
        ({"slow_call_duration": 1, "slow_call_rate": 0.07, "minimum_calls": 100}, "s" * 7 + "." * 93, "open"),
        ({"slow_call_duration": 1, "failures": 3}, "xxx", "open"),
        ({"slow_call_duration": 1, "failure_rate": 0.5}, "xx..", "open"),
        ({"slow_call_duration": 1, "failure_rate": 0.5}, "sssx", "closed"),
    ],
)
def test_rates(settings: dict[str, Any], script: str, after: str) -> None:
    """A circuit opens at exactly the given rate of failed or slow calls, and not before `minimum_calls`."""
    assert calls(new(**{"minimum_calls": 4, **settings}), script) == after


@pytest.mark.parametrize(
    ("later", "count", "after"),
    [(9.9, 4, "open"), (10, 3, "closed"), (11, 2, "closed"), (12, 1, "closed"), (500, 1, "closed")],
)
def test_old_calls_are_forgotten(later: float, count: int, after: str) -> None:
    """Only calls in the window, counted in tenths of it, contribute to the rate and to `get_state`."""
    breaker = new(failure_rate=1, window=10, minimum_calls=4)
    for now in (0.5, 1.5, 2.5):
        calls(breaker, "x", now)
    assert told(breaker, later)[:2] == ("closed", count - 1)
    assert calls(breaker, "x", later) == after
    assert told(breaker, later)[1] == count


@pytest.mark.parametrize(("script", "failures", "slow"), [("x.s.", 25, 25), (".", 0, 0)])
def test_a_window_is_small(script: str, failures: int, slow: int) -> None:
    """100,000 calls over 1,000 windows leave ten buckets, which hold the counts of the last window."""
    breaker = new(failure_rate=1, slow_call_duration=1, window=10)
    permit = knock(breaker, 0)
    for number, outcome in zip(range(100_000), itertools.cycle(script)):
        breaker._report("a", permit, failed=outcome == "x", slow=outcome == "s", now=number / 10)
    window = permit.circuit.window
    assert [len(bucket) for bucket in window._buckets] == [3] * BUCKETS
    assert len(window.good) <= MAX_NOTED
    assert told(breaker, 9_999.9)[:3] == ("closed", failures, 100 - failures)
    assert (window.calls, window.failures, window.slow) == (100, failures, slow)


# How long a circuit stays open


def waits(breaker: CircuitBreaker, count: int, now: float = 0, asked: float | None = None) -> list[float]:
    """Seconds for which the circuit stays open after each of `count` failures, each made at the earliest possible time."""
    found = []
    for _ in range(count):
        calls(breaker, "x", now, asked=asked)
        found.append(told(breaker, now)[4])
        assert not isinstance(breaker._admit("a", now + found[-1] - 0.001), Permit)
        now += found[-1]
    return found


@pytest.mark.parametrize(
    ("settings", "asked", "expected"),
    [
        ({}, None, [10, 20, 40, 80, *[100] * 3000]),
        ({"max_recovery_timeout": 25}, None, [10, 20, 25, 25]),
        ({"max_recovery_timeout": 10}, None, [10, 10]),
        ({}, 3, [3, 3, 3]),
        ({}, 101, [100, 100]),
        ({}, 0, [10, 20]),
        ({"jitter": 0.5}, None, [12.5, 25, 50, 100, 125]),
        ({"jitter": 1}, 200, [150]),
    ],
)
def test_recovery_time(settings: Any, asked: Any, expected: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The time doubles with each failed recovery up to its maximum; the server's wait replaces it; jitter is added."""
    monkeypatch.setattr(module.random, "random", lambda: 0.5)
    assert waits(new(1, **settings), len(expected), asked=asked) == pytest.approx(expected)


def test_recovery_time_begins_anew() -> None:
    """After the circuit has closed, the recovery time starts again at its first value."""
    breaker = new(1)
    assert waits(breaker, 3) == [10, 20, 40]
    assert calls(breaker, "..", 70) == "closed"
    assert waits(breaker, 2, 70) == [10, 20]
    assert breaker._trips == 5


# Half open


@pytest.mark.parametrize("most", [1, 3])
def test_probes_at_a_time(most: int) -> None:
    """No more probes than permitted are in flight; a probe that succeeds or is cancelled makes room for another."""
    breaker = opened(half_open_max_calls=most, successes=3)
    probes = [knock(breaker, 10 + number) for number in range(most)]
    assert breaker._admit("a", 15).retry_after == 25
    breaker._withdraw(probes.pop())
    assert told(breaker, 10)[4] == 0
    probes.append(knock(breaker, 10))
    breaker._report("a", probes[0], failed=False, now=10)
    knock(breaker, 10)
    assert not isinstance(breaker._admit("a", 10), Permit)
    assert told(breaker, 10)[:3] == ("half_open", 0, 1)
    assert told(breaker, 10)[5] == 2


@pytest.mark.parametrize("script", ["x", ".x", ".s"])
def test_a_failed_probe(script: str) -> None:
    """A probe that fails or is slow opens the circuit again, whatever earlier probes did."""
    assert calls(opened(), script, 10) == "open"


@pytest.mark.parametrize("failed", [False, True])
def test_late_answers(failed: bool) -> None:
    """A report with a permit of an earlier state, or a second report of a probe, is ignored."""
    breaker = new(2, half_open_max_calls=2)
    late = knock(breaker, 0)
    calls(breaker, "xx")
    breaker._report("a", late, failed=failed, now=1, asked=99)
    assert told(breaker, 1) == ("open", 2, 0, 1, 9, 0)
    first, second = knock(breaker, 10), knock(breaker, 10)
    for permit in (late, late, first):
        breaker._report("a", permit, failed=permit is late and failed, now=10)
    breaker._withdraw(late)
    breaker._report("a", first, failed=failed, now=10)
    assert told(breaker, 10)[:3] == ("half_open", 0, 1)
    breaker._report("a", second, failed=False, now=10)
    for permit in (late, first, second):
        breaker._report("a", permit, failed=True, now=10)
        breaker._withdraw(permit)
    assert told(breaker, 10)[:2] == ("closed", 0)
    assert breaker._trips == 1


def test_overdue_probes() -> None:
    """A probe that does not report within half_open_timeout is dropped without a verdict; its late report is ignored."""
    breaker = opened(half_open_timeout=5, successes=1)
    late = knock(breaker, 10)
    assert breaker._admit("a", 14.5).retry_after == 0.5
    probe = knock(breaker, 15)
    breaker._report("a", late, failed=True, now=16)
    assert told(breaker, 16) == ("half_open", 0, 0, 16, 4, 1)
    breaker._report("a", probe, failed=False, now=16)
    assert told(breaker, 16)[0] == "closed"


@pytest.mark.parametrize(("successes", "after"), [(1, "closed"), (2, "closed"), (3, "half_open")])
def test_overdue_streams(successes: int, after: str) -> None:
    """A probe whose body still arrives after half_open_timeout counts as a success; the end of its body is ignored."""
    breaker = opened(half_open_timeout=5, half_open_max_calls=2, successes=successes)
    probes = [knock(breaker, 10), knock(breaker, 10)]
    for probe in probes:
        probe.answered = True
    knock(breaker, 15)
    for probe in probes:
        breaker._report("a", probe, failed=True, now=16)
    assert (told(breaker, 16)[0], breaker._trips) == (after, 1)


@pytest.fixture
def restless() -> Iterator[None]:
    """Make threads switch as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("most", [1, 7])
def test_threads_get_no_probe_too_many(most: int) -> None:
    """64 threads ask each of 20 circuits at once: each admits the permitted probes and reports one change of state."""
    changes: list[Any] = []
    breaker = new(1, half_open_max_calls=most, on_state_change=lambda *change: changes.append(change))
    keys = range(20)
    for key in keys:
        calls(breaker, "x", key=key)
    barrier, got = threading.Barrier(64), []

    def thread() -> None:
        for key in keys:
            barrier.wait(PATIENCE)
            got.append((key, breaker._admit(key, 10)))

    threads = [threading.Thread(target=thread) for _ in range(64)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
    probes = {(key, id(one)) for key, one in got if isinstance(one, Permit)}
    assert (len(got), sorted(key for key, _ in probes)) == (64 * 20, sorted([*keys] * most))
    assert [told(breaker, 10, key)[5] for key in keys] == [64 - most] * 20
    assert sorted(changes[20:]) == [(key, "open", "half_open") for key in keys]


# Forced states

one_or_all = pytest.mark.parametrize("key", ["a", None])


@one_or_all
def test_forced_open(key: Any) -> None:
    """force_open refuses every request at any time; without a key also for other circuits, existing and new."""
    breaker = opened()
    breaker.force_open(key)
    assert breaker._admit("a", 1e9) == module.Refusal("a", "open", 1, None)
    assert isinstance(breaker._admit("later", 0), Permit) is (key is not None)
    assert breaker._trips == 1


@one_or_all
def test_forced_closed(key: Any) -> None:
    """Failures do not open a circuit that is forced closed; without a key this applies to other circuits, existing and new."""
    breaker = opened(failure_rate=1, minimum_calls=1)
    probe = knock(breaker, 10)
    breaker.force_closed(key)
    breaker._report("a", probe, failed=True, now=10)
    assert calls(breaker, "xxx", 10) == "closed"
    assert told(breaker, 10) == ("closed", 0, 0, None, 0, 0)
    assert calls(breaker, "x", 10, "later") == ("closed" if key is None else "open")


@one_or_all
@pytest.mark.parametrize("force", ["force_open", "force_closed", "reset"])
def test_reset(key: Any, force: str) -> None:
    """reset discards counts and forced states; requests that were admitted before it are ignored."""
    breaker = new(1)
    waits(breaker, 3)
    getattr(breaker, force)(key)
    breaker.reset(key)
    early = knock(breaker, 0)
    breaker.reset(key)
    breaker._report("a", early, failed=True, now=0)
    assert told(breaker, 0) == ("closed", 0, 0, None, 0, 0)
    assert waits(breaker, 2) == [10, 20]
    assert calls(breaker, "x", key="later") == "open"


@pytest.mark.parametrize("key", ["a", "later", None])
def test_since_when_it_is_forced_open(key: Any) -> None:
    """`opened_at` is the time of force_open(), also for a circuit that is created later, and without a circuit."""
    clock = Watch(100.0)
    breaker = new(clock=clock)
    if key == "a":
        knock(breaker, 0)
    breaker.force_open()
    clock.now = 150.0
    assert breaker.get_state(key)["opened_at"] == WALL + 100


@pytest.mark.parametrize("most", [1, 2])
def test_force_open_overlooks_nothing(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """force_open() also applies to a circuit that another thread creates, or moves in the table, at the same time."""
    monkeypatch.setattr(module, "MAX_CIRCUITS", most)
    breaker = new()
    breaker.force_closed("a")
    other, step = threading.Thread(target=breaker.force_open, daemon=True), {1: "move_to_end", 2: "__setitem__"}[most]

    def meanwhile(*args: Any) -> None:
        if other.ident is None:
            other.start()
            other.join(0.1)
        getattr(OrderedDict, step)(*args)

    monkeypatch.setattr(Table, step, meanwhile, raising=False)
    breaker._admit("b", 0)
    other.join(PATIENCE)
    assert [breaker.get_state(key)["state"] for key in "ab"] == ["open", "open"]


def test_dry_run(caplog: pytest.LogCaptureFixture) -> None:
    """dry_run counts, logs and probes as usual but admits every request; those it would have refused do not count."""
    changes: list[Any] = []
    breaker = opened(dry_run=True, on_state_change=lambda *change: changes.append(change))
    with caplog.at_level(logging.INFO, "ratewise"):
        assert calls(breaker, "x.c", 5) == "open"
    assert caplog.messages[1:] == ["Circuit breaker: request to a would have been refused (dry run)"] * 3
    assert calls(breaker, "..", 10) == "closed"
    assert (told(breaker, 10)[5], breaker._trips) == (3, 1)
    assert changes == [("a", "closed", "open"), ("a", "open", "half_open"), ("a", "half_open", "closed")]
    breaker.force_open()
    assert calls(breaker, "x", 10) == "open"


# Callbacks and logs


def test_changes_are_told_outside_the_lock(caplog: pytest.LogCaptureFixture) -> None:
    """`on_state_change` may call get_state and reset; every change is logged, opening as a warning."""
    changes: list[Any] = []

    def change(key: Any, old: str, new: str) -> None:
        changes.append((key, old, new, breaker.get_state(key)["state"]))
        if new == "half_open":
            breaker.reset()

    def scenario() -> None:
        calls(breaker, "x")
        knock(breaker, 10)
        breaker.force_open("a")
        breaker.force_open("a")

    breaker = new(1, on_state_change=change)
    thread = threading.Thread(target=scenario, daemon=True)
    with caplog.at_level(logging.INFO, "ratewise"):
        thread.start()
        thread.join(PATIENCE)
    steps = [("closed", "open"), ("open", "half_open"), ("half_open", "closed"), ("closed", "open")]
    assert changes == [("a", old, new, new) for old, new in steps]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING" if new == "open" else "INFO", f"Circuit breaker: circuit of a changed from {old} to {new}")
        for old, new in steps
    ]


def test_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Keys are redacted in logs, also when `on_state_change` raises; its error is not raised to the caller. A repr has no key."""

    def fails(key: str, old: str, new: str) -> None:
        raise ValueError(key)

    breaker = new(1, dry_run=True, on_state_change=fails, key=str)
    with caplog.at_level(logging.INFO, "ratewise"):
        assert calls(breaker, "xx", key=f"https://user:{TOKEN}@example.com/?token={TOKEN}") == "open"
    shown = "https://REDACTED@example.com/?token=REDACTED"
    for line in (
        f"circuit of {shown} changed from closed to open",
        f"request to {shown} would",
        "on_state_change raised",
        "ValueError",
    ):
        assert line in caplog.text
    assert TOKEN not in caplog.text + repr(breaker)


# The table of circuits


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used circuit is dropped for a new one."""
    monkeypatch.setattr(module, "MAX_CIRCUITS", 3)
    breaker = new()
    for key, after in (("a", "a"), ("b", "ab"), ("c", "abc"), ("d", "bcd"), ("b", "bcd"), ("e", "bde"), ("f", "def")):
        calls(breaker, "x", key=key)
        assert "".join(key for key in "abcdef" if told(breaker, 0, key)[1]) == after
    assert repr(breaker) == "<CircuitBreaker closed, circuits=3>"


@pytest.mark.parametrize("kind", ["open", "half_open", "force_open", "force_closed"])
def test_what_is_never_forgotten(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Circuits that are not closed, or forced, are kept; if all are, a new one is not stored. After reset they may be dropped."""
    monkeypatch.setattr(module, "MAX_CIRCUITS", 3)
    breaker = new(1, clock=Watch(10 + 99))
    for key in "abc":
        if kind.startswith("force"):
            getattr(breaker, kind)(key)
        else:
            calls(breaker, "x", key=key)
            if kind == "half_open":
                knock(breaker, 10, key)
    for key in "defdef":
        assert calls(breaker, "x", key=key) == "closed"
    assert {told(breaker, 0, key)[0] for key in "abc"} == {kind.replace("force_", "")}
    breaker.reset("b")
    assert calls(breaker, "x", key="d") == "open"
    assert repr(breaker).endswith("circuits=3>")


@pytest.mark.parametrize(("now", "state"), [(10 + 99, "closed"), (10 + 100, "open")])
def test_what_is_open_for_no_one_is_forgotten(now: float, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open circuit that nobody has used since long after its recovery time is dropped for a new one."""
    monkeypatch.setattr(module, "MAX_CIRCUITS", 1)
    breaker = new(1, clock=Watch(now))
    calls(breaker, "x", key="dead")
    assert calls(breaker, "x", key="b") == state  # stored, or not


@pytest.mark.parametrize("url", ["https://api.example.com", "https://API.example.com:443/users?page=2"])
def test_origins_by_their_url(url: str) -> None:
    """An origin may be given as a URL to force_open and get_state."""
    breaker = new()
    breaker.force_open(url)
    assert [*breaker._circuits] == [("https", "api.example.com", None)]
    assert breaker.get_state(url)["state"] == "open"
    assert breaker.get_state("https://api.example.com:8443")["state"] == "closed"


def test_what_is_forced_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A circuit can be forced by its key even if the table is full of circuits that must be kept."""
    monkeypatch.setattr(module, "MAX_CIRCUITS", 1)
    breaker = opened()
    breaker.force_open("b")
    assert breaker.get_state("b")["state"] == "open"


def test_threads_make_one_entry() -> None:
    """If threads miss the same key at once, the first creates the entry and the others get it."""
    table = Table(lambda _: knock(new(), 0).circuit, 3)
    assert table["a"] is table.__missing__("a") is table["a"]


# Settings


async def coroutine(*_: object) -> None: ...


nan, inf = math.nan, math.inf
seconds = "recovery_timeout window half_open_timeout slow_call_duration"
functions = {"failure_on": "response and exception", "key": "the request", "on_state_change": "key, old and new state"}
counts = "failure_threshold success_threshold minimum_calls half_open_max_calls"
BAD: list[tuple[str, str, tuple[Any, ...], tuple[Any, ...]]] = [
    (counts, "a whole number of at least 1", (0, -1), (1.5, nan, inf, True, "1", None)),
    (seconds, "a finite number of seconds above 0", (0, -1, nan, inf, 10**400), (True, "1")),
    ("recovery_timeout window half_open_timeout", "a finite number of seconds above 0", (), (None,)),
    ("failure_rate slow_call_rate", "a number above 0 and of at most 1", (0, -1, nan, inf, 1.5), (True, "1")),
    ("jitter", "a number from 0 to 1", (-0.1, nan, inf, 1.5), (True, "1", None)),
    ("max_recovery_timeout", "a finite number of seconds of at least 0", (-1, nan, inf), (True, "1")),
    ("max_recovery_timeout", "at least recovery_timeout (60 s)", (0, 59.9), ()),
    ("dry_run", "True or False", (), (0, 1, None, "yes")),
]
BAD += [
    (name, f"a plain function of {of}, also in async code", (), (coroutine, functools.partial(coroutine), 5))
    for name, of in functions.items()
]


@pytest.mark.parametrize(
    ("setting", "value", "error", "allowed"),
    [
        (setting, value, error, allowed)
        for names, allowed, values, types in BAD
        for setting, (error, bad) in itertools.product(names.split(), ((ValueError, values), (TypeError, types)))
        for value in bad
    ],
)
def test_bad_settings(setting: str, value: Any, error: type[Exception], allowed: str) -> None:
    """An invalid setting is refused at construction; the message has its name, its value and the allowed range."""
    with pytest.raises(error) as caught:
        CircuitBreaker(**{"slow_call_duration": 1, setting: value})
    assert str(caught.value) == f"{setting} must be {allowed}, not {value!r}"


def test_settings_that_go_together() -> None:
    """slow_call_rate needs slow_call_duration; the defaults are as documented; all bounds are allowed."""
    with pytest.raises(TypeError, match="slow_call_rate was given without slow_call_duration"):
        CircuitBreaker(slow_call_rate=0.5)
    assert tuple(CircuitBreaker()._rules) == (5, 2, 60, 600, 0.1, None, None, 30, 10, 1, 30)
    assert tuple(new(1, 1, 7, slow_call_duration=2)._rules) == (1, 1, 7, 70, 0, None, 1, 30, 10, 1, 30)
    most = {"max_recovery_timeout": 7, "jitter": 1, "failure_rate": 1, "slow_call_duration": 1, "slow_call_rate": 1}
    rules = new(1, 1, 7, minimum_calls=1, half_open_max_calls=1, failure_on=print, key=str, **most)._rules
    assert tuple(rules) == (1, 1, 7, 7, 1, 1, 1, 30, 1, 1, 30)

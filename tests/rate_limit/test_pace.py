"""The pace of requests, step by step: time is an argument."""

from __future__ import annotations

import math

import pytest

from ratewise.rate_limit.pace import BURST_TIME, ROUNDING_ERROR, Pace


def pace(rate: float, level: float | None = None, now: float = 0.0) -> Pace:
    """A pace that has this rate since some time, and lets so many go at once."""
    made = Pace()
    made.change(rate, now)
    if level is not None:
        made.start(level, now)
    return made


def test_constants() -> None:
    assert (BURST_TIME, ROUNDING_ERROR) == (0.1, 1e-9)


def test_without_a_rate() -> None:
    """No limit, whatever is sent; what was sent then is not owed later."""
    free = Pace()
    assert free.rate == math.inf
    for _ in range(100):
        free.send(1.0)
    assert free.free(1.0) == math.inf
    assert free.opens(1.0, 1000) == 0.0
    free.change(2.0, 1.0)
    assert free.rate == 2.0
    assert free.free(1.0) == 1
    free.send(1.0)
    assert free.opens(1.0, 0) == 0.5


@pytest.mark.parametrize(
    ("rate", "level", "after", "free"),
    [
        (5.0, 0.0, 0.1, 0),
        (5.0, 0.0, 0.2, 1),
        (5.0, 0.0, 1000.0, 1),  # never less than one at once
        (10.0, 0.0, 1000.0, 1),
        (25.0, 0.0, 1000.0, 2),  # else what it allows in a tenth of a second
        (100.0, 0.0, 0.05, 5),
        (100.0, 0.0, 1000.0, 10),
        (100.0, 9.0, 0.005, 9),
        (100.0, 30.0, 0.0, 30),  # what may go at once is kept, and does not grow
        (100.0, 30.0, 5.0, 30),
        (1.0, 1 - 0.9e-9, 0.0, 1),  # rounding
        (1.0, 1 - 1.9e-9, 0.0, 0),
    ],
)
def test_free(rate: float, level: float, after: float, free: int) -> None:
    assert pace(rate, level).free(after) == free


@pytest.mark.parametrize(
    ("rate", "level", "ahead", "opens"),
    [
        (5.0, 0.0, 0, 0.2),
        (5.0, 0.0, 3, 0.8),
        (5.0, 0.5, 0, 0.1),
        (5.0, 1.0, 0, 0.0),
        (5.0, 1.0, 1, 0.2),
        (100.0, 7.0, 6, 0.0),
        (100.0, 7.0, 7, 0.01),
        (5.0, 1 - 0.9e-9, 0, 0.0),  # rounding
        (0.5, 1 - 1.9e-9, 0, 3.8e-9),
    ],
)
def test_opens(rate: float, level: float, ahead: int, opens: float) -> None:
    assert pace(rate, level).opens(0.0, ahead) == pytest.approx(opens, rel=1e-6)


def test_the_time_that_is_forecast_comes_true() -> None:
    waiting = pace(7.0, 0.0)
    at = waiting.opens(0.0, 0)
    assert waiting.free(at - 1e-6) == 0
    assert waiting.free(at) == 1


def test_what_is_sent_is_taken() -> None:
    """A burst, then the rate: after 30 s no more than that has gone."""
    sending = pace(20.0, 5.0)
    sent = []
    for now in (number / 100 for number in range(3001)):
        while sending.free(now) >= 1:
            sending.send(now)
            sent.append(now)
    assert sent[:6] == [0.0] * 5 + [0.05]
    assert len(sent) == 5 + 20 * 30


def test_more_than_is_free_is_owed() -> None:
    sending = pace(10.0, 0.0)
    sending.send(0.0)
    assert sending.free(0.1) == 0
    assert sending.opens(0.1, 0) == pytest.approx(0.1)


def test_a_change_keeps_what_was_saved_up() -> None:
    """At the rate before, until now; from now on at the new one."""
    changed = pace(10.0, 0.0)
    changed.change(1.0, 0.05)
    assert changed.opens(0.05, 0) == pytest.approx(0.5)
    changed.change(100.0, 0.05)
    assert changed.opens(0.05, 0) == pytest.approx(0.005)


def test_a_limit_begins_with_all_that_may_go_at_once() -> None:
    assert pace(5.0, now=3.0).free(3.0) == 1
    assert pace(5.0, now=3.0).opens(3.0, 1) == pytest.approx(0.2)
    assert pace(100.0, now=3.0).free(3.0) == 10


def test_a_start_is_now() -> None:
    """What may go at once then is all: nothing has come in before."""
    started = pace(10.0)
    started.start(0.0, 5.0)
    assert started.free(5.0) == 0
    assert started.opens(5.0, 0) == pytest.approx(0.1)

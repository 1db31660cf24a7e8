"""How long a retry waits when the server names no wait."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise import ExponentialBackoff

JITTERS = [True, False, "full", "equal", "decorrelated"]


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({}, [1, 2, 4, 8, 16, 32, 60, 60]),
        ({"initial_delay": 0.5, "max_delay": 3}, [0.5, 1, 2, 3, 3]),
        ({"multiplier": 1}, [1, 1, 1]),
        ({"initial_delay": 2, "multiplier": 3, "max_delay": 10**6}, [2, 6, 18, 54]),
        ({"multiplier": 1.5}, [1, 1.5, 2.25, 3.375]),
        ({"initial_delay": 0}, [0, 0, 0]),
        ({"max_delay": 0}, [0, 0, 0]),
        ({"initial_delay": 90}, [60, 60]),
    ],
)
def test_growth(settings: dict[str, Any], waits: list[float]) -> None:
    """Without jitter the wait grows by the multiplier up to the cap, whatever the random number."""
    backoff = ExponentialBackoff(jitter=False, **settings)
    for uniform in (0.0, 0.5, 1.0):
        assert [backoff.delay(attempt, uniform=uniform) for attempt in range(1, len(waits) + 1)] == waits


@pytest.mark.parametrize(
    ("jitter", "low", "middle", "high"),
    [(False, 8, 8, 8), ("full", 0, 4, 8), ("equal", 4, 6, 8), (True, 6, 8, 10)],
)
@pytest.mark.parametrize(("attempt", "cap"), [(4, 60), (9, 8)], ids=["growing", "capped"])
def test_jitter(jitter: Any, low: float, middle: float, high: float, attempt: int, cap: float) -> None:
    """Each jitter spreads the wait over its own range, also around the cap: the cap is applied first."""
    backoff = ExponentialBackoff(max_delay=cap, jitter=jitter, jitter_ratio=0.25)
    assert [backoff.delay(attempt, uniform=uniform) for uniform in (0.0, 0.5, 1.0)] == [low, middle, high]


@pytest.mark.parametrize(
    ("previous", "low", "middle", "high"),
    [(0.0, 1, 2, 3), (0.5, 1, 2, 3), (1.0, 1, 2, 3), (3.0, 1, 5, 9), (10.0, 1, 10.5, 20), (500.0, 1, 10.5, 20)],
)
def test_decorrelated(previous: float, low: float, middle: float, high: float) -> None:
    """Decorrelated jitter: from the initial delay to three times the previous wait, up to the cap, for any attempt number."""
    backoff = ExponentialBackoff(max_delay=20, jitter="decorrelated")
    for attempt in (1, 50):
        waits = [backoff.delay(attempt, previous=previous, uniform=uniform) for uniform in (0.0, 0.5, 1.0)]
        assert waits == [low, middle, high]
    assert ExponentialBackoff(30, 20, jitter="decorrelated").delay(1, previous=previous, uniform=0.9) == 20


def test_defaults() -> None:
    """The default is full jitter over 1 second, doubling up to 60; equal settings compare equal; the object is immutable."""
    backoff = ExponentialBackoff()
    assert backoff == ExponentialBackoff(1.0, 60.0, 2.0, "full", 0.1) != ExponentialBackoff(2.0)
    with pytest.raises(FrozenInstanceError):
        backoff.max_delay = 5.0  # type: ignore[misc]


delays = st.integers(0, 2**53) | st.floats(0, 1e300)
growths = st.integers(1, 10**300) | st.floats(1, 1e300)
units = st.floats(0, 1)


@given(delays, delays, growths, st.sampled_from(JITTERS), units, st.integers(1, 10**9), delays, units)
def test_bounds(
    initial: float, cap: float, growth: float, jitter: Any, ratio: float, attempt: int, previous: float, uniform: float
) -> None:
    """For any legal settings, attempt and random number the wait is from 0 to the cap, plus the ratio if jitter is True."""
    backoff = ExponentialBackoff(initial, cap, growth, jitter, ratio)
    delay = backoff.delay(attempt, previous=previous, uniform=uniform)
    assert math.isfinite(delay)
    assert 0 <= delay <= (cap * (1 + ratio) if jitter is True else cap)


@pytest.mark.parametrize("multiplier", [1, 2, 3, 2.0, 1e308])
@pytest.mark.parametrize("attempt", [1024, 1025, 10_000, 10**9])
def test_late_attempts(multiplier: float, attempt: int) -> None:
    """A late attempt waits the cap, without an overflow and without a slow computation; with a delay of 0 the wait is 0."""
    assert ExponentialBackoff(multiplier=multiplier, jitter=False).delay(attempt) == (60 if multiplier > 1 else 1)
    assert ExponentialBackoff(0, multiplier=multiplier, jitter=False).delay(attempt) == 0


@pytest.mark.parametrize("jitter", ["equal", "full", False, "decorrelated"])
def test_the_largest_cap(jitter: Any) -> None:
    """The largest floats do not overflow to infinity."""
    assert ExponentialBackoff(1.7e308, 1.7e308, jitter=jitter).delay(2, previous=1.7e308, uniform=1.0) == 1.7e308


SECONDS = "a finite number of seconds of at least 0"


@pytest.mark.parametrize(
    ("setting", "value", "error", "allowed"),
    [
        *((name, True, TypeError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, None, TypeError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, "1", TypeError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, 1j, TypeError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, -1, ValueError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, -1e-9, ValueError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, math.nan, ValueError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, math.inf, ValueError, SECONDS) for name in ("initial_delay", "max_delay")),
        *((name, 10**400, ValueError, SECONDS) for name in ("initial_delay", "max_delay")),
        ("multiplier", True, TypeError, "a finite number of at least 1"),
        ("multiplier", "2", TypeError, "a finite number of at least 1"),
        ("multiplier", 0.99, ValueError, "a finite number of at least 1"),
        ("multiplier", -2, ValueError, "a finite number of at least 1"),
        ("multiplier", math.inf, ValueError, "a finite number of at least 1"),
        ("multiplier", math.nan, ValueError, "a finite number of at least 1"),
        ("jitter_ratio", False, TypeError, "a number from 0 to 1"),
        ("jitter_ratio", -0.1, ValueError, "a number from 0 to 1"),
        ("jitter_ratio", 1.1, ValueError, "a number from 0 to 1"),
        ("jitter_ratio", math.nan, ValueError, "a number from 0 to 1"),
        ("jitter", "banana", ValueError, 'one of True, False, "full", "equal" and "decorrelated"'),
        ("jitter", "Full", ValueError, 'one of True, False, "full", "equal" and "decorrelated"'),
        ("jitter", 1, TypeError, 'one of True, False, "full", "equal" and "decorrelated"'),
        ("jitter", 0.0, TypeError, 'one of True, False, "full", "equal" and "decorrelated"'),
        ("jitter", None, TypeError, 'one of True, False, "full", "equal" and "decorrelated"'),
        ("jitter", ["full"], TypeError, 'one of True, False, "full", "equal" and "decorrelated"'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_settings(setting: str, value: Any, error: type[Exception], allowed: str) -> None:
    """An invalid setting is refused at construction; the message has its name, its value and the allowed range."""
    with pytest.raises(error) as caught:
        ExponentialBackoff(**{setting: value})
    assert str(caught.value) == f"{setting} must be {allowed}, not {value!r}"

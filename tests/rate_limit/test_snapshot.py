"""Snapshots: what is known is read back unchanged, and malformed ones are refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratewise.rate_limit.snapshot import name_of, phase_of, read, written
from ratewise.testing import ConcurrencyLimit, FixedWindow, Limit, TokenBucket
from tests.kit.styles import Served
from tests.rate_limit.found.senders import Crowd, opening
from tests.rate_limit.known import ALL, CONCURRENCY, RATE, WINDOW, number


def test_names() -> None:
    """A name has the origin, the last bytes of the credential's hash, and two bytes of a hash of a custom key."""
    assert name_of((("https", "api.example.com", None), ""), False) == "https://api.example.com"
    assert name_of((("http", "localhost", 8000), "0123456789abcdef"), False) == "http://localhost:8000 cdef"
    for key in ("alice", ("a", "b"), (("a", "b", "c"), "secret"), ((1, 2, 3), 7), None):
        assert len(name_of(key, True)) == 4
        assert int(name_of(key, True), 16) >= 0
    assert name_of("alice", True) != name_of("bob", True)


def test_read_back() -> None:
    """A limit is read back with the elapsed time applied: more remains of a rate, and a window is closer to its end."""
    text = written(ALL, 1000.0)
    assert read(text, 1000.0) == read(text, 900.0) == ALL
    older = read(text, 1010.0)
    assert older == {"a": {**RATE, "left": 30.0}, "b": {**WINDOW, "age": 22.0}, "c": CONCURRENCY}


@pytest.mark.parametrize("kept", ALL.values(), ids=str)
def test_the_same_phase(kept: Any) -> None:
    """A phase restored from its snapshot writes the same snapshot."""
    assert phase_of(kept, 77.0).kept(77.0) == kept


def test_not_everything_goes_at_once() -> None:
    """A restored limit allows no more than its capacity at once, and 80 % of it where an excess request shuts the client out."""
    assert phase_of({**RATE, "left": 500.0}, 1.0).free(1.0, 0) == 24
    assert phase_of({**RATE, "left": 500.0, "shuts": 0.0}, 1.0).free(1.0, 0) == 30


@pytest.mark.parametrize(
    "limit",
    [TokenBucket(20, 1), FixedWindow(20, 1), ConcurrencyLimit(8, 0.2)],
    ids=repr,
)
def test_it_can_be_read_at_any_time(limit: Limit) -> None:
    """A snapshot can be taken in any state of a limit, read back, and the restored limit works."""
    crowd, known = Crowd(Served(limit)), 0
    while crowd.now < 12:
        phase = crowd.until(crowd.now + 0.01)
        kept = phase and phase.kept(crowd.now)
        if kept:
            known += 1
            again = phase_of(read(written({"a": kept}, 5.0), 5.0)["a"], crowd.now)
            assert type(again).__name__ == {"rate": "Filling", "window": "Turning", "concurrency": "Ceiling"}[kept["kind"]]
    assert known > 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "rate", "limits", "at"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def survives(text: str) -> None:
    """Check that the snapshot is refused with `ValueError`, or read as limits that eventually let a request go."""
    try:
        limits = read(text, 2000.0)
    except ValueError:
        return
    for kept in limits.values():
        phase = phase_of(kept, 50.0)
        assert math.isfinite(phase.opens(50.0, 0, 3))
        assert opening(phase, 50.0) < math.inf


@given(JSON)
def test_any_json_for_a_snapshot(garbage: Any) -> None:
    """Arbitrary JSON raises `ValueError`."""
    for text in (json.dumps(garbage), json.dumps({"ratewise": 1, "at": 5.0, "limits": garbage})):
        survives(text)
    survives(json.dumps({"ratewise": 1, "at": 5.0, "limits": {"a": garbage}}))


@given(st.sampled_from(list(number(ALL))), JSON)
def test_any_number_in_a_snapshot(place: Any, garbage: Any) -> None:
    """With any number replaced by any value, reading raises `ValueError` or yields limits that work."""
    name, field, _ = place
    survives(json.dumps({"ratewise": 1, "at": 1990.0, "limits": {**ALL, name: {**ALL[name], field: garbage}}}))
    fewer = {each: value for each, value in ALL[name].items() if each != field}
    with pytest.raises(ValueError, match="not a snapshot"):
        read(written({name: fewer}, 5.0), 5.0)


@given(st.integers(0, 400), st.integers(0, 20), st.text(max_size=5))
def test_any_change_to_the_text(at: int, length: int, instead: str) -> None:
    """The same for any change to the text."""
    text = written(ALL, 1990.0)
    survives(text[:at] + instead + text[at + length :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"ratewise": 2, "at": 1, "limits": {}}',
        '{"ratewise": 1, "limits": {}}',
        '{"ratewise": 1, "at": true, "limits": {}}',
        '{"ratewise": 1, "at": NaN, "limits": {}}',
        '{"ratewise": 1, "at": "1", "limits": {}}',
        '{"ratewise": 1, "at": 1, "limits": []}',
        '{"ratewise": 1, "at": 1, "limits": {"a": null}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": []}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "cost"}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "concurrency", "requests": 0}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "concurrency", "requests": 0.5}}}',
        '{"ratewise": 1, "at": 1, "limits": {"a": {"kind": "window", "requests": 0.5, "seconds": 1, "least": 0, "age": 0}}}',
        '{"ratewise": 1, "at": 1' + "0" * 400 + ', "limits": {}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[-60:],
)
def test_no_snapshot(text: str) -> None:
    """A text that is not a snapshot raises a `ValueError` that says so."""
    with pytest.raises(ValueError, match=r"not a snapshot of a RateLimiter "):
        read(text, 2000.0)

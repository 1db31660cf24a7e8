"""The validation of settings: accepted values, and the messages for others."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import Bulkhead, CircuitBreaker, RateLimiter
from ratewise._validation import factor, flag, refusal, seconds, whole
from tests.kit.wire import Scripted
from tests.kit.world import World


@pytest.mark.parametrize("value", [0.5, 1, 1e300, 5e-324])
def test_good_numbers(value: float) -> None:
    """A valid value is returned unchanged."""
    assert seconds("wait", value) == seconds("wait", value, above_zero=True) == value
    assert factor("times", value, least=0) == value
    assert seconds("wait", 0) == factor("times", 0, least=0, most=0) == 0
    assert whole("tries", 1, least=1) == 1
    assert flag("on", True) is True
    assert flag("on", False) is False


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: seconds("wait", 0, above_zero=True), ValueError, "wait must be a finite number of seconds above 0, not 0"),
        (lambda: seconds("wait", -1, above_zero=True), ValueError, "wait must be a finite number of seconds above 0, not -1"),
        (lambda: factor("times", 3, least=0.5, most=2), ValueError, "times must be a number from 0.5 to 2, not 3"),
        (lambda: whole("tries", True, least=1), TypeError, "tries must be a whole number of at least 1, not True"),
        (lambda: whole("tries", 1.0, least=1), TypeError, "tries must be a whole number of at least 1, not 1.0"),
        (lambda: whole("tries", 0, least=1), ValueError, "tries must be a whole number of at least 1, not 0"),
        (lambda: flag("on", 1), TypeError, "on must be True or False, not 1"),
        (lambda: flag("on", None), TypeError, "on must be True or False, not None"),
    ],
)
def test_bad_values(check: Any, error: type[Exception], message: str) -> None:
    """Invalid values are refused with messages of the same form."""
    with pytest.raises(error) as caught:
        check()
    assert str(caught.value) == message
    assert refusal("x", "y", "z") == "x must be z, not 'y'"


@pytest.mark.parametrize(
    ("kind", "setting"), [(RateLimiter, "key"), (RateLimiter, "route"), (CircuitBreaker, "key"), (Bulkhead, "key")]
)
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["hunter2"], "a list (unhashable type: 'list')"),
        ({}, "a dict (unhashable type: 'dict')"),
        ((1, ["hunter2"]), "a tuple (unhashable type: 'list')"),
    ],
)
async def test_keys_that_are_not_hashable(world: World, kind: Any, setting: str, found: Any, said: str) -> None:
    """The error names the setting, its class, and what `key` or `route` may return; it does not show what it returned."""
    settings = {RateLimiter: "rate_limiter", CircuitBreaker: "circuit_breaker", Bulkhead: "bulkhead"}
    transport = world.RateWiseTransport(Scripted(200, 200), **{settings[kind]: kind(**{setting: lambda request: found})})
    with pytest.raises(TypeError) as raised:
        await world.send(transport)
    allowed = "something hashable, such as a string or a tuple of strings"
    assert str(raised.value) == f"{setting} of {kind.__name__} must return {allowed}, not {said}"
    transport = world.RateWiseTransport(Scripted(200), **{settings[kind]: kind(**{setting: lambda request: ("a", 1)})})
    assert (await world.send(transport)).status_code == 200


@pytest.mark.parametrize("setting", ["key", "route"])
def test_functions_of_requests(setting: str) -> None:
    """What cannot be called, or must be awaited, is refused; the error names the setting."""

    async def awaited(request: Any) -> str:
        return "a"

    for value in (5, awaited):
        with pytest.raises(TypeError, match=f"^{setting} must be "):
            RateLimiter(**{setting: value})

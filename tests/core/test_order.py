"""Stacks in an order that cannot work warn as they are built, at the line that builds them, and no others do."""

from __future__ import annotations

import warnings
from functools import reduce
from typing import Any

import httpx
import pytest

from ratewise import (
    BulkheadTransport,
    CacheTransport,
    CircuitBreakerTransport,
    LayerTransport,
    LoggingTransport,
    RateLimitTransport,
    RateWiseClient,
    RateWiseTransport,
    RetryConfig,
    RetryTransport,
)
from tests.kit.layers import Layer

INSIDE, TWICE, OUTSIDE = "has its cache inside", "retries twice", "has its rate limiter outside the retry"


def stack(*outside_in: Any) -> Any:
    return reduce(lambda inner, kind: kind(inner), reversed(outside_in), httpx.MockTransport(lambda request: httpx.Response(200)))


def mine(transport: httpx.BaseTransport) -> httpx.BaseTransport:
    return LayerTransport(transport, Layer(lambda request, call: call.send(request)))


def once(transport: httpx.BaseTransport) -> httpx.BaseTransport:
    return RetryTransport(transport, RetryConfig(max_attempts=1))


class Mine(RetryTransport):
    """Is not taken over, but nested: it may do more than its chain."""


@pytest.mark.parametrize(
    ("outside_in", "said"),
    [
        ([RetryTransport, CacheTransport], INSIDE),
        ([CircuitBreakerTransport, CacheTransport], INSIDE),
        ([RateLimitTransport, CacheTransport], INSIDE),
        ([BulkheadTransport, mine, CacheTransport], INSIDE),
        ([RetryTransport, mine, RetryTransport], TWICE),
        ([RetryTransport, RateWiseTransport], TWICE),
        ([RetryTransport, Mine], TWICE),
        ([Mine, CacheTransport], INSIDE),
        ([RateLimitTransport, RetryTransport], OUTSIDE),
        ([RateLimitTransport, CircuitBreakerTransport, RetryTransport], OUTSIDE),
        ([RateLimitTransport, RateWiseTransport], OUTSIDE),
    ],
)
def test_an_order_that_cannot_work(outside_in: Any, said: str) -> None:
    """One warning, with the reason, of the transport that completes it."""
    inner = stack(*outside_in[1:])
    with pytest.warns(UserWarning, match=f"^this stack {said}") as warned:
        outside_in[0](inner)
    assert [warning.filename for warning in warned] == [__file__]


@pytest.mark.parametrize(
    "outside_in",
    [
        [LoggingTransport, CacheTransport, RetryTransport, CircuitBreakerTransport, RateLimitTransport, BulkheadTransport],
        [CacheTransport, CacheTransport, RetryTransport],
        [RetryTransport, RateLimitTransport, RateLimitTransport],
        [RetryTransport, CircuitBreakerTransport, CircuitBreakerTransport],
        [CircuitBreakerTransport, RetryTransport, RateLimitTransport],
        [BulkheadTransport, RetryTransport, BulkheadTransport],
        [mine, CacheTransport, mine, RetryTransport, mine, RateLimitTransport, mine],
        [LoggingTransport, RateWiseTransport],
        [RetryTransport, once],
    ],
)
def test_an_order_that_works(outside_in: Any) -> None:
    """It builds in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack(*outside_in)


def test_it_is_told_once() -> None:
    """Not again by each transport that is put around what has been warned of."""
    with pytest.warns(UserWarning, match=TWICE) as warned:
        stack(LoggingTransport, mine, CircuitBreakerTransport, RetryTransport, RetryTransport)
    assert len(warned) == 1
    with pytest.warns(UserWarning, match=TWICE) as warned:
        RateWiseClient("https://api.example.com", transport=stack(RetryTransport)).close()
    assert len(warned) == 1  # its limiter is within its own retry


def test_a_layer_of_the_users_own() -> None:
    """What its attributes are called is its own affair."""

    class Own(Layer):
        kind = "retry"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LayerTransport(stack(RetryTransport), Own(lambda request, call: call.send(request)))

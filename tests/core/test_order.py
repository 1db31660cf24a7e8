"""A stack in an order that does not work warns when it is built, at the line that builds it; no other stack warns."""

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
    """A subclass stays a transport of its own: it may do more than its chain."""


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
    """There is one warning, with the reason, from the transport that completes the stack."""
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
    """A stack in a good order does not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stack(*outside_in)


def test_it_is_told_once() -> None:
    """A further transport around a stack does not repeat its warning."""
    with pytest.warns(UserWarning, match=TWICE) as warned:
        stack(LoggingTransport, mine, CircuitBreakerTransport, RetryTransport, RetryTransport)
    assert len(warned) == 1
    with pytest.warns(UserWarning, match=TWICE) as warned:
        RateWiseClient("https://api.example.com", transport=stack(RetryTransport)).close()
    assert len(warned) == 1  # its limiter is within its own retry


def test_a_layer_of_the_users_own() -> None:
    """A user's layer may have any attributes, also a `kind`."""

    class Own(Layer):
        kind = "retry"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LayerTransport(stack(RetryTransport), Own(lambda request, call: call.send(request)))

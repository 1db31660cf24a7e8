"""Refusals against which no waiting helps: the caller has no credit left."""

from __future__ import annotations

from .._util.lazy_regex import regex
from ..layer import Call, Q, R

_CODES = regex(rb'"(?:insufficient_quota|credit_balance_exhausted|enforced_spend_limit_reached|billing_hard_limit_reached)"')
"""As OpenAI, those who follow it, and Anthropic say it."""


async def spent(response: R, request: Q, call: Call[Q, R]) -> bool:
    """Whether the response to this request is a 429 that says so. See `Flavour.peek`."""
    return response.status_code == 429 and _CODES.search(await call.http.peek(response, request)) is not None

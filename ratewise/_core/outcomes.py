"""Classifies attempts, each once: the layer that asks first stores the outcome in the state of the call for the others."""

from __future__ import annotations

from typing import Any

from .._http.rate_limit_headers import silent
from .._http.throttling import Kind, Outcome, outcome_of_failure, outcome_of_response, outcome_of_status
from .._util.lazy_regex import regex
from ..layer import Call
from .call_state import CallState

_CODES = regex(rb'"(?:insufficient_quota|credit_balance_exhausted|enforced_spend_limit_reached|billing_hard_limit_reached)"')
"""Error codes of spent credit: those of OpenAI and its compatible servers, and of Anthropic. Waiting does not help."""


def outcome_of(result: Any, state: CallState, call: Call[Any, Any]) -> Outcome:
    """Classify a response by its head, or a `TransportError`."""
    if isinstance(result, Exception):
        return state.outcome_of(result) or state.keep_outcome(result, outcome_of_failure(call.http.failure(result)))
    status, fields = result.status_code, call.http.fields(result.headers)
    if status != 429 and silent(fields):  # cheaper than storing it
        return outcome_of_status(status)
    return state.outcome_of(result) or state.keep_outcome(result, outcome_of_response(status, fields, call.clock.time()))


async def read_outcome_of(response: Any, request: Any, state: CallState, call: Call[Any, Any]) -> Outcome:
    """Classify a response, a 429 by the beginning of its body too: see `Bodies.peek`."""
    outcome = outcome_of(response, state, call)
    if outcome.status != 429 or outcome.read:
        return outcome
    spent = _CODES.search(await call.http.peek(response, request)) is not None
    return state.keep_outcome(response, outcome._replace(kind=Kind.SPENT if spent else outcome.kind, read=True))

"""Retries: `rules.py` and `backoff.py` decide, `layer.py` does."""

from .backoff import Backoff, ExponentialBackoff
from .budget import RetryBudget
from .layer import RetryLayer
from .rules import Outcome, RetryConfig, RetryDecision, Verdict

__all__ = ["Backoff", "ExponentialBackoff", "Outcome", "RetryBudget", "RetryConfig", "RetryDecision", "RetryLayer", "Verdict"]

"""Retries: `config.py`, `backoff.py` and `budget.py` decide, `layer.py` does."""

from .backoff import Backoff, ExponentialBackoff
from .budget import RetryBudget
from .config import RetryConfig, RetryDecision, Verdict
from .layer import RetryLayer

__all__ = ["Backoff", "ExponentialBackoff", "RetryBudget", "RetryConfig", "RetryDecision", "RetryLayer", "Verdict"]

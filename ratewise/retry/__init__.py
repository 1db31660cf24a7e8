"""Retries: the rules in `config.py`, `backoff.py` and `budget.py`, and the layer that applies them."""

from .backoff import Backoff, ExponentialBackoff
from .budget import RetryBudget
from .config import RetryConfig, RetryDecision
from .layer import RetryLayer

__all__ = ["Backoff", "ExponentialBackoff", "RetryBudget", "RetryConfig", "RetryDecision", "RetryLayer"]

"""Retries without chance and without a budget."""

from __future__ import annotations

from ratewise import RetryConfig

PLAIN = RetryConfig(jitter=False, budget=False)

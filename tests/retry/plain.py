"""Retry settings without jitter and without a retry budget."""

from __future__ import annotations

from ratewise import RetryConfig

PLAIN = RetryConfig(jitter=False, budget=False)

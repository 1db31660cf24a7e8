"""Rate limits: the rules, and the layer that obeys them."""

from .layer import RateLimitLayer
from .limiter import RateLimiter

__all__ = ["RateLimitLayer", "RateLimiter"]

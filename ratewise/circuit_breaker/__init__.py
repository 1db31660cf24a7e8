"""The circuit breaker: its rules, and the layer that applies them."""

from .breaker import CircuitBreaker
from .circuit import CircuitState
from .layer import CircuitBreakerLayer, CircuitRecheckLayer

__all__ = ["CircuitBreaker", "CircuitBreakerLayer", "CircuitRecheckLayer", "CircuitState"]

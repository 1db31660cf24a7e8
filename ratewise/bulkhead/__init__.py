"""The bulkhead: how many requests may be in flight at once, and the layer that keeps to it."""

from .layer import BulkheadLayer
from .places import Bulkhead

__all__ = ["Bulkhead", "BulkheadLayer"]

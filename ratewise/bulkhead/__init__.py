"""The bulkhead: how many requests may be in flight at once, and the layer that keeps to it."""

from .bulkhead import Bulkhead
from .layer import BulkheadLayer

__all__ = ["Bulkhead", "BulkheadLayer"]

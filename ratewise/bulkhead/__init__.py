"""The bulkhead, which limits how many requests are in flight at once, and its layer."""

from .bulkhead import Bulkhead
from .layer import BulkheadLayer

__all__ = ["Bulkhead", "BulkheadLayer"]

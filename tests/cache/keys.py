"""Keys of one namespace, and a URL to make them from."""

from __future__ import annotations

from ratewise.cache.key import Keys

SECRET = b"s" * 32
KEYS = Keys(SECRET, "space", None)
URL = "https://api.example.com/a"

"""Masking of secrets in headers, URLs, bodies and text. No I/O."""

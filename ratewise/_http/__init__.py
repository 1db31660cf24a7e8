"""Parsing and classification of HTTP header fields and status codes, independent of any HTTP library."""

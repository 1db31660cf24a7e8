"""Logging without secrets: of requests and responses, and of what other loggers write."""

from .config import LogConfig
from .layer import LoggingLayer
from .others import RedactionFilter, RedactionProcessor, install_redaction
from .screen import setup_logging

__all__ = ["LogConfig", "LoggingLayer", "RedactionFilter", "RedactionProcessor", "install_redaction", "setup_logging"]

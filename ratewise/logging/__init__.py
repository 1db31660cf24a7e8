"""Logging of requests and responses without secrets, and redaction of what other loggers write."""

from .config import LogConfig
from .filters import RedactionFilter, RedactionProcessor, install_redaction
from .layer import LoggingLayer
from .redactor import Redactor
from .setup import setup_logging

__all__ = ["LogConfig", "LoggingLayer", "RedactionFilter", "RedactionProcessor", "Redactor", "install_redaction", "setup_logging"]

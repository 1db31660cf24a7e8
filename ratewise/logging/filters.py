"""Redaction of what other loggers write: filters for loggers and handlers, and a processor for structlog."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

from .._core.forks import at_fork
from .._keywords import explained
from .._redaction.masker import Masker
from .._redaction.text import lines, message
from .._redaction.values import value
from .._validation import refusal
from .redactor import DEFAULT_REDACTOR, Redactor

LIBRARY_LOGGERS = ("httpx", "httpx2", "httpcore", "httpcore2", "hpack")
"""Loggers that `install_redaction` redacts, with their children that exist by then."""

CHILD_LOGGERS = (
    *("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks"),
    *("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy", "httpcore2.socks"),
    *("hpack.hpack", "hpack.table", "http.cookiejar"),
)
"""Further loggers, redacted even if they do not exist yet. The last one is that of `http.cookiejar`, which httpx uses."""

DROPPED_LOGGER = "hpack"
"""A logger whose records, and its children's, are dropped: they contain every header field, in pieces."""

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""The attributes that every record has; all others are extra fields."""

_PLAIN_FORMATTER = logging.Formatter()
"""Formats tracebacks."""


def _redactor(redactor: Redactor | None) -> Redactor:
    if not isinstance(redactor, (Redactor, type(None))):
        raise TypeError(refusal("redactor", redactor, "a Redactor or None"))
    return redactor or DEFAULT_REDACTOR


def _in_text(args: object, text: str) -> bool:
    """Whether the text contains the arguments, so that they need no masking where the text needs none."""
    if not isinstance(args, tuple) or not args:
        return False
    return all(type(arg) in (int, float) or (type(arg) is str and arg in text) for arg in args)


@explained()
class RedactionFilter(logging.Filter):
    """Masks the secrets in the text, traceback and extra fields of log records: `handler.addFilter(RedactionFilter())`.

    The text becomes one line, with control characters escaped. As the filter of a logger it does not apply to the logger's
    children. The record itself is changed: later handlers get it masked, and its traceback as text only. Records of hpack, which
    contain header fields in pieces, are dropped.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self.redactor = _redactor(redactor)

    def __repr__(self) -> str:
        return f"RedactionFilter({self.redactor!r})"

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record; return False if it is to be dropped."""
        if str(record.name).partition(".")[0] == DROPPED_LOGGER:
            return False
        masker, fields = self.redactor._masker, record.__dict__
        fields.pop("message", None)  # set by the formatter of another handler
        if isinstance(record.msg, Mapping) and not record.args:  # an event of structlog, or the message of a JSON formatter
            record.msg = _event(masker, record.msg)
        else:
            self._mask_text(masker, record)
        if isinstance(record.exc_info, tuple) and not record.exc_text:
            record.exc_text = _PLAIN_FORMATTER.formatException(record.exc_info)
        record.exc_info = None  # some formatters would format it again
        for name in ("exc_text", "stack_info"):
            if fields.get(name):
                fields[name] = lines(masker, str(fields[name]))
        for name in fields.keys() - _OWN_FIELDS:
            fields[name] = value(masker, name, fields[name])
        return True

    def _mask_text(self, masker: Masker, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit the format: the logging module would show all of them
            said = record.msg if isinstance(record.msg, str) else f"<{type(record.msg).__name__}>"
            text = f"{said} (with arguments that do not fit the format)"
            record.args = ()
        shown = message(masker, text)
        if shown != text or not _in_text(record.args, text):
            record.msg, record.args = shown, ()


def _event(masker: Masker, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of structlog, masked, with its exception as text."""
    shown: dict[str, Any] = {}
    for name, thing in event.items():
        if name in ("exception", "stack") and isinstance(thing, str):
            shown[name] = lines(masker, thing)
        elif name == "exc_info":
            error = thing if isinstance(thing, BaseException) else thing[1] if isinstance(thing, tuple) else None
            error = sys.exc_info()[1] if thing is True else error
            if error is None:
                shown[name] = bool(thing)
            elif "exception" not in event:
                text = _PLAIN_FORMATTER.formatException((type(error), error, error.__traceback__))
                shown["exception"] = lines(masker, text)
        else:  # other processors need two items unchanged
            shown[name] = thing if name in ("_record", "_from_structlog") else value(masker, name, thing)
    return shown


@explained()
class RedactionProcessor:
    """A processor that masks the events of structlog. Place it before the renderer. Exceptions become text."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.redactor = _redactor(redactor)

    def __repr__(self) -> str:
        return f"RedactionProcessor({self.redactor!r})"

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Mask the event and return it."""
        shown = _event(self.redactor._masker, event)
        event.clear()
        event.update(shown)
        return event


class _Installed:
    """A filter, the loggers that have it, and the number of its users."""

    def __init__(self, redactor: Redactor) -> None:
        self.filter = RedactionFilter(redactor)
        self.loggers: list[logging.Logger] = []
        self.users = 0


# Reentrant: the garbage collector may undo one redaction while another one is being installed.
_lock = threading.RLock()
at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_installed: dict[Redactor, _Installed] = {}


@explained()
class install_redaction:  # noqa: N801  (called like a function)
    """Mask what the loggers of httpx, httpx2, httpcore and httpcore2 write, such as URLs and header fields; drop hpack's records.

    Call the returned object to undo this, or use it as a context manager. Installed several times, records are masked once, until
    each installation is undone. `redactor`: by what to mask; the built-in lists if None.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = redactor = _redactor(redactor)
        self._undone = False
        existing = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] in LIBRARY_LOGGERS]
        loggers = [logging.getLogger(name) for name in {*LIBRARY_LOGGERS, *CHILD_LOGGERS, *existing}]
        with _lock:
            installed = _installed.get(redactor)
            if installed is None:
                installed = _installed[redactor] = _Installed(redactor)
            installed.users += 1
            for logger in loggers:
                if installed.filter not in logger.filters:
                    logger.addFilter(installed.filter)
                    installed.loggers.append(logger)

    def undo(self) -> None:
        """Remove the filters, unless another installation needs them. A second call has no effect."""
        with _lock:
            if self._undone:
                return
            self._undone = True
            installed = _installed[self._redactor]
            installed.users -= 1
            if not installed.users:
                del _installed[self._redactor]
                for logger in installed.loggers:
                    logger.removeFilter(installed.filter)

    __call__ = undo

    def __repr__(self) -> str:
        return f"<install_redaction of {self._redactor!r}{', undone' if self._undone else ''}>"

    def __enter__(self) -> install_redaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.undo()

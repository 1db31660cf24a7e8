"""What other loggers write: filters for them and for handlers, and a processor for structlog."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

from .._core.forks import at_fork
from .._keywords import explained
from .._redaction.text import lines, message
from .._redaction.values import value
from .._validation import refusal
from .redactor import DEFAULT_REDACTOR, Redactor

LIBRARY_LOGGERS = ("httpx", "httpx2", "httpcore", "httpcore2", "hpack")
"""Whose loggers are redacted, with those of their children that exist when it begins."""

CHILD_LOGGERS = (
    *("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks"),
    *("httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy", "httpcore2.socks"),
    *("hpack.hpack", "hpack.table", "http.cookiejar"),
)
"""And these, that may not exist yet. The last is that of Python's cookie jars, which httpx's are made of."""

DROPPED_LOGGER = "hpack"
"""What this one and its children write is every header field, piece by piece."""

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN_FORMATTER = logging.Formatter()


def _redactor(redactor: Redactor | None) -> Redactor:
    if not isinstance(redactor, (Redactor, type(None))):
        raise TypeError(refusal("redactor", redactor, "a Redactor or None"))
    return redactor or DEFAULT_REDACTOR


def _in_text(args: object, text: str) -> bool:
    """The arguments say nothing that the text does not."""
    if not isinstance(args, tuple) or not args:
        return False
    return all(type(arg) in (int, float) or (type(arg) is str and arg in text) for arg in args)


@explained()
class RedactionFilter(logging.Filter):
    """Masks what log records say: their text, traceback and extra fields. For a handler: `handler.addFilter(RedactionFilter())`.

    A text comes out on one line, with its control characters escaped. It is a logger's own filter too, but not that of the
    logger's children. It changes the record itself: handlers after it see it masked, with its traceback as text alone. What hpack
    writes, header fields piece by piece, it drops.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self.redactor = _redactor(redactor)

    def __repr__(self) -> str:
        return f"RedactionFilter({self.redactor!r})"

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record. It is shown, unless it is one of hpack's."""
        if str(record.name).partition(".")[0] == DROPPED_LOGGER:
            return False
        redactor, fields = self.redactor, record.__dict__
        fields.pop("message", None)  # what another handler's formatter made of it
        if isinstance(record.msg, Mapping) and not record.args:  # an event of structlog, or what a JSON formatter takes
            record.msg = _event(redactor, record.msg)
        else:
            self._mask_text(record)
        if isinstance(record.exc_info, tuple) and not record.exc_text:
            record.exc_text = _PLAIN_FORMATTER.formatException(record.exc_info)
        record.exc_info = None  # some formatters would write it anew
        for name in ("exc_text", "stack_info"):
            if fields.get(name):
                fields[name] = lines(redactor, str(fields[name]))
        for name in fields.keys() - _OWN_FIELDS:
            fields[name] = value(redactor, name, fields[name])
        return True

    def _mask_text(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit: the logging module would show them all
            said = record.msg if isinstance(record.msg, str) else f"<{type(record.msg).__name__}>"
            text = f"{said} (with arguments that do not fit)"
            record.args = ()
        shown = message(self.redactor, text)
        if shown != text or not _in_text(record.args, text):
            record.msg, record.args = shown, ()


def _event(redactor: Redactor, event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of structlog, masked. Its exception becomes a text, if it is none yet."""
    shown: dict[str, Any] = {}
    for name, thing in event.items():
        if name in ("exception", "stack") and isinstance(thing, str):
            shown[name] = lines(redactor, thing)
        elif name == "exc_info":
            error = thing if isinstance(thing, BaseException) else thing[1] if isinstance(thing, tuple) else None
            error = sys.exc_info()[1] if thing is True else error
            if error is None:
                shown[name] = bool(thing)
            elif "exception" not in event:
                told = _PLAIN_FORMATTER.formatException((type(error), error, error.__traceback__))
                shown["exception"] = lines(redactor, told)
        else:  # two are what other processors need as it is
            shown[name] = thing if name in ("_record", "_from_structlog") else value(redactor, name, thing)
    return shown


@explained()
class RedactionProcessor:
    """Masks what structlog logs. Belongs before the renderer in its list of processors. Exceptions become texts."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.redactor = _redactor(redactor)

    def __repr__(self) -> str:
        return f"RedactionProcessor({self.redactor!r})"

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The event, masked."""
        shown = _event(self.redactor, event)
        event.clear()
        event.update(shown)
        return event


class _Installed:
    """One filter, where it is, and for how many."""

    def __init__(self, redactor: Redactor) -> None:
        self.filter = RedactionFilter(redactor)
        self.loggers: list[logging.Logger] = []
        self.users = 0


# Reentrant: the garbage collector may undo a redaction in the middle of another's beginning.
_lock = threading.RLock()
at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_installed: dict[Redactor, _Installed] = {}


@explained()
class install_redaction:  # noqa: N801  (called like a function)
    """Mask what httpx, httpcore and their twins write to their loggers: whole URLs, header fields and so on. hpack's is dropped.

    Gives the `undo`: call it, or use it with `with`. Installed several times, it does its work once, and until each is undone.
    `redactor`: what masks; the built-in lists if None.
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
        """Leave the loggers as they were, unless others have installed it too. To do it again changes nothing."""
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

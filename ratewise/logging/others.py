"""What other loggers write: filters for them and for handlers, a processor for structlog, and our own lines on the screen."""

from __future__ import annotations

import logging
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from ..redact import DEFAULT, Redactor
from ..validation import flag, refusal
from .config import level_of
from .masking import lines, message
from .values import value

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler  # generic from Python 3.11 on

LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "hpack")
"""Whose loggers are redacted, with those of their children that are known here or exist when it begins."""

CHILDREN = tuple(
    f"{library}.{child}"
    for library, children in (
        ("httpcore", "connection http11 http2 proxy socks"),
        ("httpcore2", "connection http11 http2 proxy socks"),
        ("hpack", "hpack table"),
    )
    for child in children.split()
)
"""Children that write: they may not exist yet."""

DUMPS = "hpack"
"""What this one and its children write is every header field, piece by piece."""

FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN_FORMATTER = logging.Formatter()


def _redactor(redactor: Redactor | None) -> Redactor:
    if not isinstance(redactor, (Redactor, type(None))):
        raise TypeError(refusal("redactor", redactor, "a Redactor or None"))
    return redactor or DEFAULT


def _told(args: object, text: str) -> bool:
    """The arguments say nothing that the text does not."""
    if not isinstance(args, tuple) or not args:
        return False
    return all(type(arg) in (int, float) or (type(arg) is str and arg in text) for arg in args)


class RedactionFilter(logging.Filter):
    """Masks what log records say: their text, traceback and extra fields. For a handler: `handler.addFilter(RedactionFilter())`.

    A text comes out on one line, with its control characters escaped. It is a logger's own filter too, but not that of the
    logger's children. It changes the record itself: handlers after it see it masked, with its traceback as text alone.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self.redactor = _redactor(redactor)

    def __repr__(self) -> str:
        return f"RedactionFilter({self.redactor!r})"

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record. It is shown, unless it is one of hpack's."""
        if str(record.name).partition(".")[0] == DUMPS:
            return False
        redactor = self.redactor
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit: the logging module would show them all
            said = record.msg if isinstance(record.msg, str) else f"<{type(record.msg).__name__}>"
            text = f"{said} (with arguments that do not fit)"
        shown = message(redactor, text)
        if shown != text or not _told(record.args, text):
            record.msg, record.args = shown, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _PLAIN_FORMATTER.formatException(record.exc_info)
        record.exc_info = None  # some formatters would write it anew
        if record.exc_text:
            record.exc_text = lines(redactor, record.exc_text)
        if record.stack_info:
            record.stack_info = lines(redactor, record.stack_info)
        fields = record.__dict__
        for name in fields.keys() - _OWN_FIELDS:
            fields[name] = value(redactor, name, fields[name])
        return True


class RedactionProcessor:
    """Masks what structlog logs. Belongs behind `format_exc_info` and before the renderer in its list of processors."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.redactor = _redactor(redactor)

    def __repr__(self) -> str:
        return f"RedactionProcessor({self.redactor!r})"

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The event, masked."""
        for name, thing in event.items():
            if name in ("exception", "stack") and isinstance(thing, str):
                event[name] = lines(self.redactor, thing)
            elif name != "exc_info":
                event[name] = value(self.redactor, name, thing)
        return event


# Reentrant: the garbage collector may undo a redaction in the middle of another's beginning.
_lock = threading.RLock()
_installed: dict[Redactor, tuple[RedactionFilter, list[logging.Logger], list[None]]] = {}
"""By its redactor: the filter, where it is, and one item for each time that it was installed."""


class install_redaction:  # noqa: N801  (called like a function)
    """Mask what httpx, httpx2, httpcore and hpack write to their loggers: httpx's whole URL, httpcore's header fields, and so on.

    Gives the `undo`: call it, or use it with `with`. Installed several times, it does its work once, and until each is undone.
    `redactor`: what masks; the built-in lists if None.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = redactor = _redactor(redactor)
        self._undone = False
        existing = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] in LIBRARIES]
        loggers = [logging.getLogger(name) for name in {*LIBRARIES, *CHILDREN, *existing}]
        with _lock:
            found = _installed.get(redactor)
            if found is None:
                found = _installed[redactor] = (RedactionFilter(redactor), [], [])
            found[2].append(None)
            for logger in loggers:
                if found[0] not in logger.filters:
                    logger.addFilter(found[0])
                    found[1].append(logger)

    def undo(self) -> None:
        """Leave the loggers as they were, unless others have installed it too. To do it again changes nothing."""
        with _lock:
            if self._undone:
                return
            self._undone = True
            redaction, loggers, users = _installed[self._redactor]
            users.pop()
            if not users:
                del _installed[self._redactor]
                for logger in loggers:
                    logger.removeFilter(redaction)

    __call__ = undo

    def __repr__(self) -> str:
        return f"<install_redaction of {self._redactor!r}{', undone' if self._undone else ''}>"

    def __enter__(self) -> install_redaction:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.undo()


class _Lines(logging.Formatter):
    """The lines of `setup_logging`."""

    def __init__(self, ids: bool) -> None:
        super().__init__(FORMAT, DATE_FORMAT)
        self._ids = ids

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        text = super().formatMessage(record)
        call, attempt = getattr(record, "call_id", None), getattr(record, "attempt", None)
        return text if call is None or not self._ids else f"{text} [{call} #{attempt}]"


class _Handler(_StreamHandler):
    """Ours, to know it by."""


def setup_logging(level: str | int = "DEBUG", stream: IO[str] | None = None, *, ids: bool = False) -> logging.Handler:
    """Show what the logger `ratewise` writes, on stderr or another stream, a line each. Called again, it begins anew.

    `level`: of the logger; what a `LogConfig` says counts beside it. `ids`: each line tells of which call and attempt it is.
    """
    logger = logging.getLogger("ratewise")
    number = level_of(level)
    handler = _Handler(stream)
    handler.setFormatter(_Lines(flag("ids", ids)))
    for other in [other for other in logger.handlers if isinstance(other, _Handler)]:
        logger.removeHandler(other)
    logger.addHandler(handler)
    logger.setLevel(number)
    return handler

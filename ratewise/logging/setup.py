"""Our own lines on the screen."""

from __future__ import annotations

import logging
from typing import IO, TYPE_CHECKING, Any

from .._keywords import explained
from .._validation import flag
from .config import level_of

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:
    _StreamHandler = logging.StreamHandler  # generic from Python 3.11 on

FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


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


@explained()
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

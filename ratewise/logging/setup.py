"""`setup_logging`, which writes the log lines of RateWise to a stream."""

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
"""The format of a log line."""

DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
"""The format of the time in it."""


class _Lines(logging.Formatter):
    """Formats the lines of `setup_logging`, with `ids` also the call and attempt of each."""

    def __init__(self, ids: bool) -> None:
        super().__init__(FORMAT, DATE_FORMAT)
        self._ids = ids

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        text = super().formatMessage(record)
        call, attempt = getattr(record, "call_id", None), getattr(record, "attempt", None)
        return text if call is None or not self._ids else f"{text} [{call} #{attempt}]"


class _Handler(_StreamHandler):
    """The handler of `setup_logging`, identified by its class."""


@explained()
def setup_logging(level: str | int = "DEBUG", stream: IO[str] | None = None, *, ids: bool = False) -> logging.Handler:
    """Write the records of the logger `ratewise` to stderr or another stream, one line each; return the handler.

    Called again, it replaces the handler. `level`: the level of the logger; that of a `LogConfig` applies as well. `ids`: append
    the id of the call and the number of the attempt to each line.
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

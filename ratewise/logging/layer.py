"""Logging as a layer around a transport."""

from __future__ import annotations

import json
import logging
from types import CoroutineType
from typing import Any

from .._core.call_state import CallState
from .._core.exchange import state_of
from .._redaction.bodies import body
from .._redaction.masker import MAX_TEXT_LENGTH
from .._util.escapes import escaped
from .._validation import refusal
from ..layer import Call, Q, R, Watcher
from .config import LogConfig

logger = logging.getLogger("ratewise")

MAX_KNOWN_FIELDS, MAX_KNOWN_FIELD_SIZE = 500, 200
"""Header fields without a secret whose text is kept, at most, and the bytes of one, at most."""


def _write(level: int, text: str, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """As `logger.log` with `extra=fields`, but without looking up the calling line, which would always be one of ours."""
    if not logger.isEnabledFor(level):  # the level may have changed meanwhile
        return
    record = logger.makeRecord(logger.name, level, __file__, 0, text, args, None, "handle")
    record.__dict__.update(fields)
    logger.handle(record)


class LoggingLayer:
    """The outermost layer: logs each request and its response, or the error in its place, with secrets masked.

    The masking of its `config` also applies to the exceptions and log lines of the layers within.
    """

    def __init__(self, config: LogConfig | None = None) -> None:
        if config is not None and not isinstance(config, LogConfig):
            raise TypeError(refusal("log_config", config, "a LogConfig"))
        self.config = config or LogConfig()
        self._masker = self.config.redactor._masker
        self._known_fields: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        self._logs = self.config._number <= logging.INFO

    def __repr__(self) -> str:
        return f"LoggingLayer({self.config!r})"

    def handle(self, request: Q, call: Call[Q, R]) -> CoroutineType[Any, Any, R]:
        """Send the request, and log it and its response."""
        state = state_of(request)
        state.redactor = self._masker
        on = self._logs and logger.isEnabledFor(logging.INFO)
        answer: Any = self._logged(request, state, call) if on else call.send(request)
        return answer  # type: ignore[no-any-return]  # the caller awaits it: one coroutine less

    async def _logged(self, request: Q, state: CallState, call: Call[Q, R]) -> R:
        config, clock = self.config, call.clock
        verbose = config._number <= logging.DEBUG and logger.isEnabledFor(logging.DEBUG)
        method, url = request.method, self._masker.url(request.url)
        if not (url.isprintable() and method.isprintable()):
            method, url = escaped(method), escaped(url)
        fields = {"call_id": state.id, "attempt": state.attempts + 1, "method": method, "url": url}
        _write(logging.INFO, "Request: %s %s", (method, url), fields)
        if verbose:
            _write(logging.DEBUG, "Headers: %s", (self._headers(request, call),), fields)
            if config.bodies:
                data = call.http.buffered_body(request)
                if data is None or data:
                    _write(logging.DEBUG, "Request body: %s", (self._request_body(request, data),), fields)
        began = clock.monotonic()
        try:
            response = await call.send(request)
        except BaseException as error:
            took, what = clock.monotonic() - began, type(error).__name__
            fields = {**fields, "attempt": state.attempts, "error": what, "elapsed": took}
            _write(logging.INFO, "Response: %s (%.2fs)", (what, took), fields)
            raise
        try:
            took, status = clock.monotonic() - began, response.status_code
            fields = {**fields, "attempt": state.attempts, "status": status, "elapsed": took}
            _write(logging.INFO, "Response: %d (%.2fs)", (status, took), fields)
            if verbose and config.response_headers:
                _write(logging.DEBUG, "Response headers: %s", (self._headers(response, call),), fields)
            if not (verbose and config.bodies):
                return response
            log = _BodyLogger(self, response, call, fields)
            buffered = call.http.buffered_body(response)
            if buffered is None:
                return call.tap(response, log)
            log.chunk(buffered)
            log.whole = True
            log.closed()
            return response
        except BaseException:  # raised by a filter of the user
            await call.close(response, request)
            raise

    def _headers(self, message: Any, call: Call[Any, Any]) -> str:
        """Return the header fields as JSON, in order, up to `MAX_TEXT_LENGTH` characters."""
        shown: dict[str, str] = {}
        left, known = MAX_TEXT_LENGTH, self._known_fields
        for raw, _, value in call.http.fields(message.headers):
            name, text = known.get((raw, value)) or self._field(raw, value)
            left -= len(name) + len(text)
            if left < 0:
                shown["..."] = "more"
                break
            shown[name] = f"{shown[name]}, {text}" if name in shown else text
        return "{" + ", ".join([f'"{name}": "{text}"' for name, text in shown.items()]) + "}"

    def _field(self, raw: bytes, value: bytes) -> tuple[str, str]:
        """Return name and value as in a string of JSON. Fields without a secret are kept, because most fields recur."""
        name, plain = raw.decode("latin-1"), value.decode("latin-1")
        text = self._masker.header(name, plain)
        field = (escaped(json.dumps(name)[1:-1]), escaped(json.dumps(text)[1:-1]))
        if text == plain and len(raw) + len(value) <= MAX_KNOWN_FIELD_SIZE and len(self._known_fields) < MAX_KNOWN_FIELDS:
            self._known_fields[raw, value] = field
        return field

    def _request_body(self, request: Any, data: bytes | None) -> str:
        if data is None:
            kind = self._masker.header("content-type", request.headers.get("content-type") or "")
            return f"a stream of {escaped(kind)}" if kind else "a stream"
        return body(self._masker, _kind(request), data, None if len(data) <= MAX_TEXT_LENGTH else len(data))


def _kind(message: Any, *, is_decoded: bool = False) -> str:
    """Return the Content-Encoding of a message if its body is encoded, else its Content-Type."""
    encoded: str = message.headers.get("content-encoding", "").strip().lower()
    kind: str = message.headers.get("content-type", "")
    return kind if is_decoded or encoded in ("", "identity") else encoded


class _BodyLogger(Watcher):
    """Logs the beginning of a response body when it is closed."""

    def __init__(self, layer: LoggingLayer, response: Any, call: Call[Any, Any], fields: dict[str, Any]) -> None:
        self._layer, self._response, self._call, self._log_fields = layer, response, call, fields
        self._beginning: list[bytes] = []
        self._left = MAX_TEXT_LENGTH
        self._size = 0
        self.whole = False
        """Whether the body was read to its end."""

    def chunk(self, data: bytes) -> None:
        self._size += len(data)
        if self._left > 0:
            self._beginning.append(data[: self._left])
            self._left -= len(data)

    async def complete(self) -> None:
        self.whole = True

    def closed(self) -> None:
        if not self._size or not logger.isEnabledFor(logging.DEBUG):
            return
        encoded = b"".join(self._beginning)
        data = self._call.http.decoded(self._response, encoded, MAX_TEXT_LENGTH + 1)
        whole = self.whole and self._left >= 0 and 0 < len(data) <= MAX_TEXT_LENGTH
        kind = _kind(self._response, is_decoded=data not in (encoded, b""))
        shown = body(self._layer._masker, kind, data, None if whole else self._size)
        _write(logging.DEBUG, "Response body: %s", (shown,), self._log_fields)

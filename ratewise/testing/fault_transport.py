"""What the fault transports of both HTTP libraries share: they damage what passes through them."""

from __future__ import annotations

import errno
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Callable, NamedTuple

from .._adapter.streams import close_iterator
from .._core.clock import Clock, Waiter
from .._core.exchange import state_of
from .._core.own_clock import OwnClock, own_clock_of
from .._core.step import step
from .._validation import clock as checked_clock
from ..layer import Call
from .faults import MALFORMED, Damage, Drawn, Fault, Piece, Word, broken_off, dripping, garbled

logger = logging.getLogger("ratewise")

KEPT = 1000
"""The injected faults that are listed, at most: the newest ones."""

ERRORS = {
    "refuse": ("ConnectError", f"[Errno {errno.ECONNREFUSED}] Connection refused"),
    "reset": ("ReadError", f"[Errno {errno.ECONNRESET}] Connection reset by peer"),
    "disconnect": ("RemoteProtocolError", "Server disconnected without sending a response."),
    "not-http": ("RemoteProtocolError", r"illegal status line: bytearray(b'\x00\xff this is not HTTP')"),
    "bad-header": ("RemoteProtocolError", "illegal header line: bytearray(b'this is no header')"),
    "giant-head": ("RemoteProtocolError", "Receive buffer too long"),
    "reset-body": ("ReadError", f"[Errno {errno.ECONNRESET}] Connection reset by peer"),
    "truncate": ("RemoteProtocolError", "peer closed connection without sending complete message body"),
    # httpcore uses h2's events as the text of its errors
    "refused-stream": ("RemoteProtocolError", "<StreamReset stream_id:1, error_code:7, remote_reset:True>"),
    "goaway": ("RemoteProtocolError", "<ConnectionTerminated error_code:0, last_stream_id:0, additional_data:None>"),
    "pool-timeout": ("PoolTimeout", ""),
}
"""The class and the text of the error that the HTTP libraries raise for a fault."""

READ_TIMEOUT = ("ReadTimeout", "timed out")
"""The same for a response that does not arrive in time."""

UNSENT = ("refuse", "refused-stream", "goaway", "pool-timeout")
"""The errors of requests that do not reach the transport below."""


class Injected(NamedTuple):
    """One fault that was injected."""

    fault: str
    """The word, as it was given."""
    method: str
    url: str
    """Without its secrets."""


class FaultInjector:
    """The state of a fault transport, and how it handles a request. Written once for sync and async code."""

    _Body: Any
    """`DamagedBody` as a stream of the HTTP library."""

    def _take(
        self,
        given: Any,
        faults: Mapping[str, float] | Iterable[Fault],
        seed: int | None,
        clock: Clock | None,
        module: Any,
        call: Callable[[Clock], Call[Any, Any]],
    ) -> None:
        within = own_clock_of(given)
        self._own_clock = within if within is not None and clock is None else OwnClock(checked_clock(clock))
        if within is not None and clock is not None:
            within.adopt(clock)
        self._given, self._module = given, module
        self._drawn = Drawn(faults, seed)
        self._injected: deque[Injected] = deque(maxlen=KEPT)
        self._call_with = call
        self._last_call = call(self._own_clock.clock)

    @property
    def _call(self) -> Call[Any, Any]:
        """What it acts by: with the clock that it has now."""
        if self._last_call.clock is not self._own_clock.clock:
            self._last_call = self._call_with(self._own_clock.clock)
        return self._last_call

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is injected. May be assigned, in any form that the constructor takes: `()` ends it."""
        return self._drawn.faults

    @faults.setter
    def faults(self, faults: Mapping[str, float] | Iterable[Fault]) -> None:
        self._drawn.assign(faults)

    @property
    def seed(self) -> int:
        """The seed of the draws. With the same seed and faults the n-th request is damaged in the same way again."""
        return self._drawn.seed

    @property
    def injected(self) -> list[Injected]:
        """The newest 1000 faults that were injected, oldest first: the word, the method and the URL without its secrets."""
        return list(self._injected)

    def __repr__(self) -> str:
        faults = ", ".join(f"{fault.word} {fault.rate:g}" for fault in self.faults)
        return f"<{type(self).__name__}: {faults or 'no faults'}; seed {self.seed}; {type(self._given).__name__}>"

    async def _handle(self, request: Any) -> Any:
        call, word = self._call, self._drawn.draw(request)
        if word is None:
            return await call.send(request)
        limits = request.extensions.get("timeout", {})
        if word.status is not None:
            self._note(word, request)
            return self._answer(word, word.status)
        if word.name in UNSENT:
            self._note(word, request)
            if word.name == "pool-timeout":
                await self._wait(math.inf, limits.get("pool"), ERRORS[word.name])
            raise self._error(*ERRORS[word.name])
        response = await call.send(request)
        try:
            return await self._damaged(word, request, response, limits.get("read"))
        except BaseException:
            await call.via(_close, _aclose, response)
            raise

    async def _damaged(self, word: Word, request: Any, response: Any, read_timeout: float | None) -> Any:
        """Return the response with this fault, or raise its error."""
        damage = self._damage_of_body(word, response)
        if damage is not None:
            if _has_no_body(request, response):
                return response
            self._note(word, request)
            headers = (("Content-Encoding", "gzip"),) if word.name == "garble" else ()
            return self._rebuilt(response, headers, self._Body(self, response, damage, read_timeout))
        self._note(word, request)
        if word.name == "malformed":
            return self._rebuilt(response, MALFORMED, response.stream)
        if word.name == "hang":
            await self._wait(math.inf, read_timeout, READ_TIMEOUT)
        if word.name == "slow-head":
            await self._wait(word.seconds, read_timeout, READ_TIMEOUT)
            return response
        raise self._error(*ERRORS[word.name])

    def _damage_of_body(self, word: Word, response: Any) -> Damage | None:
        """Return what a fault does to the body; None for a fault of the head."""
        length = response.headers.get("content-length", "")
        size = int(length) if length.isdecimal() else None
        if word.name in ("truncate", "reset-body"):
            return broken_off(self._error(*ERRORS[word.name]), size)
        if word.name == "hang-body":
            return broken_off(math.inf, size)
        if word.name == "garble":
            return garbled()
        return dripping(word.seconds) if word.name == "drip" else None

    def _answer(self, word: Word, status: int) -> Any:
        """Return a response of our own."""
        headers = [("Content-Type", "text/plain"), *(MALFORMED if word.name == "malformed" else ())]
        if word.retry_after is not None:
            headers.append(("Retry-After", word.retry_after))
        return self._module.Response(status, headers=_encoded(headers), content=f"{status} by {type(self).__name__}".encode())

    def _rebuilt(self, response: Any, headers: Iterable[tuple[str, str]], stream: Any) -> Any:
        """Return a new response with these header fields in place of its own: a mock may return the same response again."""
        replaced = {name.lower().encode() for name, _ in headers}
        kept = [field for field in response.headers.raw if field[0].lower() not in replaced]
        return self._module.Response(
            response.status_code, headers=[*kept, *_encoded(headers)], stream=stream, extensions=response.extensions
        )

    def _error(self, kind: str, text: str) -> Exception:
        error: Exception = getattr(self._module, kind)(text)
        return error

    async def _wait(self, seconds: float, limit: float | None, late: tuple[str, str]) -> None:
        """Wait for `seconds`, or raise the error `late` after `limit` seconds if that is shorter."""
        if limit is not None and limit < seconds:
            await self._call.sleep(limit)
            raise self._error(*late)
        while seconds == math.inf:
            await self._call.park(Waiter())
        await self._call.sleep(seconds)

    def _note(self, word: Word, request: Any) -> None:
        state = state_of(request)
        injected = Injected(word.text, request.method, state.redactor.url(request.url))
        self._injected.append(injected)
        logger.info("Fault injected: %s for %s %s", *injected, extra=state.log_fields)


class DamagedBody(Iterator[bytes], AsyncIterator[bytes]):
    """The body of a response, damaged chunk by chunk as it is read. Sync and async in one class."""

    def __init__(self, injector: FaultInjector, response: Any, damage: Damage, read_timeout: float | None) -> None:
        self._injector, self._response, self._damage, self._read_timeout = injector, response, damage, read_timeout
        self._chunks: Any = None
        self._pieces: Iterator[Piece] = iter(())
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        self._chunks = iter(self._response.stream)
        return self

    def __next__(self) -> bytes:
        piece = step(self._next())
        if piece is None:
            raise StopIteration
        return piece

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = self._response.stream.__aiter__()
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def _next(self) -> bytes | None:
        """Return the next bytes, or None at the end."""
        via = self._injector._call.via
        try:
            while True:
                for piece in self._pieces:
                    if isinstance(piece, Exception):
                        raise piece
                    if isinstance(piece, (int, float)):
                        await self._injector._wait(piece, self._read_timeout, READ_TIMEOUT)
                    elif piece:
                        return piece
                if self._ended:
                    return None
                chunk = await via(_chunk, _achunk, self._chunks)
                self._ended = chunk is None
                self._pieces = iter(self._damage(chunk))
        except BaseException:
            await via(_close, _aclose, self)
            raise

    def close(self) -> None:
        self._response.close()

    async def aclose(self) -> None:
        try:
            await close_iterator(self._chunks)
        finally:
            await self._response.aclose()


def _has_no_body(request: Any, response: Any) -> bool:
    """Whether there is no body that could be damaged."""
    status, length = response.status_code, response.headers.get("content-length")
    return request.method == "HEAD" or status in (204, 304) or status < 200 or length == "0"


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers]


def _close(thing: Any) -> None:
    thing.close()


async def _aclose(thing: Any) -> None:
    """Close a response or body although the task is being cancelled."""
    import anyio  # only async code loads it

    with anyio.CancelScope(shield=True):
        await thing.aclose()


def _chunk(chunks: Any) -> bytes | None:
    chunk: bytes | None = next(chunks, None)
    return chunk


async def _achunk(chunks: Any) -> bytes | None:
    try:
        chunk: bytes = await chunks.__anext__()
    except StopAsyncIteration:
        return None
    return chunk

"""Scripted inner transports, their responses and bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Callable, NamedTuple

import anyio
import httpx
import httpx2

from ratewise._adapter.runtime import AsyncRuntime, SyncRuntime
from ratewise._core.step import step
from ratewise.testing import FakeClock
from ratewise.testing.patterns import ANY
from ratewise.testing.script import Script


class Body(httpx.SyncByteStream, httpx.AsyncByteStream, httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body of given chunks that may end with an error, and records how much was read and how often it was closed."""

    def __init__(self, *chunks: bytes, error: Any = None, waits: bool = True) -> None:
        self.chunks, self.error, self.waits = chunks, error, waits
        self.read = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.read += len(chunk)
            yield chunk
        if self.error is not None:
            raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            if self.waits:
                await anyio.lowlevel.checkpoint()
            yield chunk

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):  # as httpcore does
            await anyio.lowlevel.checkpoint()
        self.close()


class Sent(NamedTuple):
    """One request as the transport received it."""

    request: httpx.Request
    body: bytes
    open: int
    """The number of earlier responses that were still open."""


class Scripted(Script, httpx.BaseTransport, httpx.AsyncBaseTransport, httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """The scripted transport of `ratewise.testing`, for both libraries, sync and async. A status code has the body "ok".

    Records how often it was entered and left, what it answered, and of each request how many bodies were open when it arrived.
    """

    _asynchronous = True

    def __init__(self, *steps: Any, otherwise: Any = None) -> None:
        super().__init__(httpx, (), None, None)
        self.steps, self._otherwise = list(steps), [] if otherwise is None else [(ANY, otherwise)]  # of either library
        self.sent: list[Sent] = []
        self.answers: list[Any] = []
        self.bodies: list[Body] = []
        self.events: list[str] = []

    def handle_request(self, request: Any) -> Any:
        return step(self._answer(request, SyncRuntime().via))

    async def handle_async_request(self, request: Any) -> Any:
        return await self._answer(request, AsyncRuntime().via)

    def _library_of(self, request: Any) -> Any:
        return library(request)

    def _received(self, module: Any, request: Any, content: bytes) -> Any:
        self.sent.append(Sent(request, content, sum(not body.closed for body in self.bodies)))
        return super()._received(module, request, content)

    async def _perform(self, module: Any, received: Any, step: Any, via: Any) -> Any:
        answer = await super()._perform(module, received, step, via)
        self.answers.append(answer)
        if isinstance(getattr(answer, "stream", None), Body):
            self.bodies.append(answer.stream)
        return answer

    def _response(self, module: Any, step: Any) -> Any:
        return module.Response(step, stream=Body(b"ok")) if isinstance(step, int) else super()._response(module, step)

    def close(self) -> None:
        self.events.append("closed")

    async def aclose(self) -> None:
        self.events.append("closed")

    def __enter__(self) -> Scripted:
        self.events.append("entered")
        return self

    def __exit__(self, *_: object) -> None:
        self.events.append("exited")

    async def __aenter__(self) -> Scripted:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


class Timed(Scripted):
    """A scripted transport that records when each request arrived, in seconds since the beginning."""

    def __init__(self, clock: FakeClock, *steps: Any) -> None:
        super().__init__(*steps)
        self.clock, self.began, self.times = clock, clock.monotonic(), list[float]()

    def _received(self, module: Any, request: Any, content: bytes) -> Any:
        self.times.append(round(self.clock.monotonic() - self.began, 3))
        return super()._received(module, request, content)


def library(request: Any) -> Any:
    """Return the HTTP library of a request."""
    return httpx2 if isinstance(request, httpx2.Request) else httpx


def response(status: int = 200, headers: Any = None, body: bytes | Body = b"ok") -> Callable[[Any], Any]:
    """A step: a response of the request's library, with its body not yet read."""

    def made(request: Any) -> Any:
        stream = body if isinstance(body, Body) else Body(body)
        if callable(stream.error):
            stream.error = stream.error(request)
        return library(request).Response(status, headers=headers, stream=stream)

    return made


def failing(name: str, message: str = "no") -> Callable[[Any], Any]:
    """A step: an error of the request's library, by its class name."""
    return lambda request: getattr(library(request), name)(message)

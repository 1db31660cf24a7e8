"""httpx as layers see it: its errors by their neutral names, its bodies, and how its two worlds wait."""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx

from ..background import Background
from ..exchange import Exchange
from ..failure import Failure, http2_refused
from ..layer import Pace, Watcher, step
from .bodies import Body, Buffer, end, in_memory, nothing, passing, rewinder, unreadable
from .errors import DeadlineExceeded, TooManyRequests
from .punctual import Timeout

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

_FAILURES = (
    (httpx.PoolTimeout, Failure.NO_FREE_CONNECTION),
    (httpx.ConnectTimeout, Failure.NOT_CONNECTED),
    (httpx.ConnectError, Failure.NOT_CONNECTED),
    (httpx.ProxyError, Failure.NOT_CONNECTED),
    (httpx.TimeoutException, Failure.TIMED_OUT),
    (httpx.UnsupportedProtocol, Failure.IMPOSSIBLE),
    (httpx.LocalProtocolError, Failure.IMPOSSIBLE),
)


def _distrusted(error: BaseException) -> bool:
    """A TLS certificate was refused: only the end of the chain of causes tells. httpcore breaks the explicit chain."""
    cause: BaseException | None = error
    for _ in range(100):  # a chain of the user's own making may be a ring
        if cause is None or isinstance(cause, ssl.SSLCertVerificationError):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(cause, ssl.SSLCertVerificationError)


DRAIN = 64 * 1024
"""Bytes of a discarded body that are read at most, so that its connection can be used again."""

DRAIN_WITHIN = 1.0
"""Seconds that this may take."""


def _too_long(response: httpx.Response) -> bool:
    length = response.headers.get("content-length", "")
    return length.isdecimal() and (len(length) > 15 or int(length) > DRAIN)


class _Flavour:
    """httpx for the layers: what is the same in both worlds."""

    TransportError: type[Exception] = httpx.TransportError

    def __init__(self) -> None:
        self.background = Background()

    def failure(self, error: Exception) -> Failure:
        for kind, failure in _FAILURES:
            if isinstance(error, kind):
                hopeless = kind is httpx.ConnectError and _distrusted(error)
                hopeless = hopeless or (kind is httpx.ProxyError and str(error).startswith("407"))
                return Failure.IMPOSSIBLE if hopeless else failure
        return Failure.UNPROCESSED if http2_refused(str(error)) else Failure.BROKEN

    def origin(self, request: httpx.Request) -> tuple[str, str, int | None]:
        parts: Any = request.url._uri_reference  # where the properties of a URL look, each of which is a call
        return parts.scheme, parts.host, parts.port

    def with_header(self, request: httpx.Request, name: str, value: str) -> httpx.Request:
        headers = [*request.headers.raw, (name.encode("ascii"), value.encode("ascii"))]
        return httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)

    def rewinder(self, request: httpx.Request) -> Callable[[], object] | None:
        return nothing if type(request.stream) is httpx.ByteStream else rewinder(request.stream)

    def with_timeout(self, request: httpx.Request, seconds: float) -> httpx.Request:
        given = request.extensions.get("timeout", {})
        timeout = {name: Timeout(given.get(name), seconds) for name in ("connect", "read", "write", "pool")}
        return httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "timeout": timeout},
        )

    def tap(self, response: httpx.Response, watcher: Watcher) -> httpx.Response:
        if unreadable(response):
            watcher.closed()
            return response
        response = passing(response)
        cast(Body, response.stream).watchers.append(watcher)
        return response

    def pace(self, response: httpx.Response, pace: Pace) -> httpx.Response:
        if not unreadable(response):
            response = passing(response)
            cast(Body, response.stream).pace = pace
        return response

    def deadline_exceeded(self, request: httpx.Request) -> Exception:
        return DeadlineExceeded(request, Exchange.of(request.extensions))


@contextmanager
def _hurried(request: httpx.Request | None) -> Iterator[float]:
    """Until when the rest of a body is read; meanwhile no step of it may take longer than that.

    httpcore reads the time-out of a body from the extensions when the body is first read. They are a dict of the call's own.
    """
    timeout = None if request is None else request.extensions.get("timeout")
    if request is not None and timeout is not None:
        request.extensions["timeout"] = {**timeout, "read": min(timeout.get("read") or DRAIN_WITHIN, DRAIN_WITHIN)}
    try:
        yield time.monotonic() + DRAIN_WITHIN
    finally:
        if request is not None and timeout is not None:
            request.extensions["timeout"] = timeout


def _bodiless(response: httpx.Response) -> httpx.Response:
    """The news is the 429, not that its body broke off."""
    return httpx.Response(
        response.status_code, headers=response.headers, extensions=response.extensions, history=response.history
    )


class SyncFlavour(_Flavour):
    async def via(self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return sync(*args, **kwargs)

    async def buffer(self, response: httpx.Response, *, tolerant: bool = False) -> None:
        if not in_memory(response):
            stream = cast(httpx.SyncByteStream, response.stream)
            try:
                data = b"".join(stream)
            except httpx.TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                stream.close()
            response.stream = Buffer(data)

    async def close(self, response: httpx.Response, request: httpx.Request | None = None) -> None:
        try:
            if not (response.is_closed or _too_long(response)):
                with _hurried(request) as until:
                    left = DRAIN
                    for data in cast(httpx.SyncByteStream, response.stream):
                        left -= len(data)
                        if left < 0 or time.monotonic() > until:
                            break
        except httpx.TransportError:
            pass  # it is thrown away anyway
        finally:
            response.close()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_thread(lambda: step(work()))

    async def rate_limit_exceeded(self, request: httpx.Request, response: httpx.Response) -> Exception:
        given = response
        try:
            response.read()
        except httpx.HTTPError:
            response = _bodiless(response)
        finally:
            given.close()
        return TooManyRequests(request, response, Exchange.of(request.extensions))


class AsyncFlavour(_Flavour):
    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        return asynchronous(*args, **kwargs)

    async def buffer(self, response: httpx.Response, *, tolerant: bool = False) -> None:
        if not in_memory(response):
            stream = cast(httpx.AsyncByteStream, response.stream)
            chunks = stream.__aiter__()
            try:
                data = b"".join([chunk async for chunk in chunks])
            except httpx.TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                try:
                    await end(chunks)
                finally:
                    await stream.aclose()
            response.stream = Buffer(data)

    async def close(self, response: httpx.Response, request: httpx.Request | None = None) -> None:
        import anyio

        try:
            if not (response.is_closed or _too_long(response)):
                left = DRAIN
                stream = cast(httpx.AsyncByteStream, response.stream).__aiter__()
                try:
                    with anyio.move_on_after(DRAIN_WITHIN) as scope:
                        async for data in stream:
                            left -= len(data)
                            if left < -DRAIN:
                                break  # it never waits: nothing can end it from within
                            if left < 0:
                                scope.cancel()  # ends httpcore's generators at their next step; `break` leaves them half read
                finally:
                    await end(stream)
        except httpx.TransportError:
            pass  # it is thrown away anyway
        finally:
            await response.aclose()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_task(work)

    async def rate_limit_exceeded(self, request: httpx.Request, response: httpx.Response) -> Exception:
        given = response
        try:
            await response.aread()
        except httpx.HTTPError:
            response = _bodiless(response)
        finally:
            await given.aclose()
        return TooManyRequests(request, response, Exchange.of(request.extensions))

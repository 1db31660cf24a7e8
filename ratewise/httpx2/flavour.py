"""httpx2 as layers see it: its errors by their neutral names, and its requests and responses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any, cast

import httpx2

from .._adapter.bodies import end, nothing, rewinder
from .._adapter.drain import abegin, adrain, begin, short
from .._adapter.socket_deadline import Timeout
from .._adapter.worlds import AsyncWorld, SyncWorld
from .._core.exchange import KEY, Exchange
from .._core.failure import Failure, distrusted, http2_refused
from ..layer import Pace, Watcher
from .bodies import Body, Buffer, beginning, decoded, held, in_memory, passing, unreadable, unseen
from .errors import BulkheadFull, CircuitBreakerOpen, DeadlineExceeded, TooManyRequests, WaitTooLong

_FAILURES = (
    (httpx2.PoolTimeout, Failure.NO_FREE_CONNECTION),
    (httpx2.ConnectTimeout, Failure.NOT_CONNECTED),
    (httpx2.ConnectError, Failure.NOT_CONNECTED),
    (httpx2.ProxyError, Failure.NOT_CONNECTED),
    (httpx2.TimeoutException, Failure.TIMED_OUT),
    (httpx2.UnsupportedProtocol, Failure.IMPOSSIBLE),
    (httpx2.LocalProtocolError, Failure.IMPOSSIBLE),
)


class _Flavour:
    """httpx2 for the layers: what is the same in both worlds."""

    TransportError: type[Exception] = httpx2.TransportError
    BulkheadFull = BulkheadFull
    CircuitBreakerOpen = CircuitBreakerOpen
    DeadlineExceeded = DeadlineExceeded
    WaitTooLong = WaitTooLong
    in_memory = staticmethod(in_memory)
    held = staticmethod(held)
    decoded = staticmethod(decoded)
    fields = staticmethod(attrgetter("_list"))  # `raw` builds a list each time

    def failure(self, error: Exception) -> Failure:
        for kind, failure in _FAILURES:
            if isinstance(error, kind):
                hopeless = kind is httpx2.ConnectError and distrusted(error)
                hopeless = hopeless or (kind is httpx2.ProxyError and str(error).startswith("407"))
                return Failure.IMPOSSIBLE if hopeless else failure
        return Failure.UNPROCESSED if http2_refused(str(error)) else Failure.BROKEN

    def origin(self, request: httpx2.Request) -> tuple[str, str, int | None]:
        parts: Any = request.url._uri_reference  # where the properties of a URL look, each of which is a call
        return parts.scheme, parts.host, parts.port

    def with_header(self, request: httpx2.Request, name: str, value: str) -> httpx2.Request:
        headers = [*request.headers.raw, (name.encode("ascii"), value.encode("ascii"))]
        return httpx2.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions)

    def with_headers(self, request: httpx2.Request, headers: Mapping[bytes, bytes]) -> httpx2.Request:
        given = request.headers.copy()
        given.update(headers)
        return httpx2.Request(request.method, request.url, headers=given, stream=request.stream, extensions=request.extensions)

    def apart(self, request: httpx2.Request, exchange: Exchange, without: Collection[bytes]) -> httpx2.Request:
        headers = [(name, value) for name, lower, value in self.fields(request.headers) if lower not in without]
        extensions = {**request.extensions, KEY: exchange}
        return httpx2.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=extensions)

    def target(self, request: httpx2.Request) -> str:
        return _target(request.url)

    def resolve(self, request: httpx2.Request, reference: str) -> str | None:
        try:
            url = request.url.join(reference)
        except httpx2.InvalidURL:
            return None
        ours = request.url
        return _target(url) if (url.scheme, url.host, url.port) == (ours.scheme, ours.host, ours.port) else None

    def respond(self, status: int, fields: list[tuple[bytes, bytes, bytes]], body: bytes) -> httpx2.Response:
        response = httpx2.Response(status, stream=httpx2.ByteStream(body))
        cast(Any, response.headers)._list = fields  # what they would make of `raw`, in a tenth of the time
        return response

    def with_field(self, response: httpx2.Response, field: tuple[bytes, bytes, bytes]) -> httpx2.Response:
        headers: Any = response.headers
        fields = headers._list
        if in_memory(response) and fields and _same(fields[-1], field):  # a mock may give the same one again
            fields = fields[:-1]
        headers._list = [*fields, field]
        return response

    def rewinder(self, request: httpx2.Request) -> Callable[[], object] | None:
        return nothing if type(request.stream) is httpx2.ByteStream else rewinder(request.stream, httpx2.__name__)

    def with_timeout(self, request: httpx2.Request, seconds: float) -> httpx2.Request:
        given = request.extensions.get("timeout", {})
        timeout = {name: Timeout(given.get(name), seconds) for name in ("connect", "read", "write", "pool")}
        return httpx2.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "timeout": timeout},
        )

    def tap(self, response: httpx2.Response, watcher: Watcher) -> httpx2.Response:
        if unreadable(response):
            watcher.closed()
            return response
        response = passing(response)
        cast(Body, response.stream).watchers.append(watcher)
        return response

    def pace(self, response: httpx2.Response, pace: Pace) -> httpx2.Response:
        if not unreadable(response):
            response = passing(response)
            cast(Body, response.stream).pace = pace
        return response


def _same(field: tuple[bytes, bytes, bytes], other: tuple[bytes, bytes, bytes]) -> bool:
    return field[1] == other[1] and field[2].partition(b";")[0] == other[2].partition(b";")[0]


def _target(url: httpx2.URL) -> str:
    parts: Any = url._uri_reference
    target = f"{parts.scheme}://{parts.host} {parts.port}{parts.path}"
    return target if parts.query is None else f"{target}?{parts.query}"


def _bodiless(response: httpx2.Response) -> httpx2.Response:
    """The news is the 429, not that its body broke off."""
    return httpx2.Response(
        response.status_code, headers=response.headers, extensions=response.extensions, history=response.history
    )


class SyncFlavour(_Flavour, SyncWorld):
    """httpx2 for the layers of a sync transport."""

    async def buffer(self, response: httpx2.Response, *, tolerant: bool = False) -> None:
        if not in_memory(response):
            stream = cast(httpx2.SyncByteStream, response.stream)
            try:
                data = b"".join(stream)
            except httpx2.TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                stream.close()
            response.stream = Buffer(data)

    async def peek(self, response: httpx2.Response, request: httpx2.Request) -> bytes:
        if unseen(response):
            stream = cast(httpx2.SyncByteStream, response.stream)
            read: list[bytes] = []
            rest = None
            try:
                rest = begin(stream, request, read)
            except httpx2.TransportError:
                pass  # what came of it is its body
            finally:
                ready = b"".join(read)
                response.stream = Buffer(ready) if rest is None else Body(stream, rest, ready)
                if rest is None:
                    stream.close()
        return beginning(response)

    async def close(self, response: httpx2.Response, request: httpx2.Request | None = None) -> None:
        try:
            if short(response):
                begin(cast(httpx2.SyncByteStream, response.stream), request, [])
        except httpx2.TransportError:
            pass  # it is thrown away anyway
        finally:
            response.close()

    async def rate_limit_exceeded(self, request: httpx2.Request, response: httpx2.Response) -> Exception:
        given = response
        try:
            response.read()
        except httpx2.HTTPError:
            response = _bodiless(response)
        finally:
            given.close()
        return TooManyRequests(request, response, Exchange.of(request.extensions))


class AsyncFlavour(_Flavour, AsyncWorld):
    """httpx2 for the layers of an async transport."""

    async def buffer(self, response: httpx2.Response, *, tolerant: bool = False) -> None:
        if not in_memory(response):
            stream = cast(httpx2.AsyncByteStream, response.stream)
            chunks = stream.__aiter__()
            try:
                data = b"".join([chunk async for chunk in chunks])
            except httpx2.TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                try:
                    await end(chunks)
                finally:
                    await stream.aclose()
            response.stream = Buffer(data)

    async def peek(self, response: httpx2.Response, request: httpx2.Request) -> bytes:
        if unseen(response):
            stream = cast(httpx2.AsyncByteStream, response.stream)
            read: list[bytes] = []
            rest = None
            try:
                rest = await abegin(stream, read)
            except httpx2.TransportError:
                pass  # what came of it is its body
            finally:
                ready = b"".join(read)
                response.stream = Buffer(ready) if rest is None else Body(stream, rest, ready)
                if rest is None:
                    await stream.aclose()
        return beginning(response)

    async def close(self, response: httpx2.Response, request: httpx2.Request | None = None) -> None:
        try:
            if short(response):
                await adrain(cast(httpx2.AsyncByteStream, response.stream))
        except httpx2.TransportError:
            pass  # it is thrown away anyway
        finally:
            await response.aclose()

    async def rate_limit_exceeded(self, request: httpx2.Request, response: httpx2.Response) -> Exception:
        given = response
        try:
            await response.aread()
        except httpx2.HTTPError:
            response = _bodiless(response)
        finally:
            await given.aclose()
        return TooManyRequests(request, response, Exchange.of(request.extensions))

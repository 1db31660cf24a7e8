"""An HTTP library as layers see it, which is `ratewise.layer.Flavour`: its errors, its requests and its responses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .._core.exchange import KEY, Exchange
from ..layer import Head, Pace, Watcher
from .bodies import end, nothing, rewinder
from .drain import abegin, adrain, begin, short
from .http_library import Library
from .socket_deadline import Timeout
from .worlds import AsyncWorld, SyncWorld


class _Flavour:
    """A library for the layers: what is the same in both worlds."""

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library, self._module = library, library.module
        self.TransportError = library.module.TransportError
        self.BulkheadFull = library.errors.BulkheadFull
        self.CircuitBreakerOpen = library.errors.CircuitBreakerOpen
        self.DeadlineExceeded = library.errors.DeadlineExceeded
        self.WaitTooLong = library.errors.WaitTooLong
        self.failure = library.failure
        self.in_memory = library.in_memory
        self.held = library.held
        self.decoded = library.decoded
        self.fields = library.fields
        self._headers, self._ByteStream = library.headers, library.module.ByteStream

    def origin(self, request: Any) -> tuple[str, str, int | None]:
        url = request.url
        try:
            host: str = url.host
        except UnicodeError:  # it decodes what looks like IDNA, and may be none
            host = url.raw_host.decode("ascii")
        return url.scheme, host if host.isascii() else url.raw_host.decode("ascii"), url.port

    def with_header(self, request: Any, name: str, value: str) -> Any:
        headers = [*request.headers.raw, (name.encode("ascii"), value.encode("ascii"))]
        return self._library.request(request, headers=headers)

    def with_headers(self, request: Any, headers: Mapping[bytes, bytes]) -> Any:
        given = request.headers.copy()
        given.update(headers)
        return self._library.request(request, headers=given)

    def apart(self, request: Any, exchange: Exchange, without: Collection[bytes]) -> Any:
        headers = [(name, value) for name, lower, value in self.fields(request.headers) if lower not in without]
        return self._library.request(request, headers=headers, extensions={**request.extensions, KEY: exchange})

    def target(self, url: Any) -> str:
        return f"{url.scheme}://{url.raw_host.decode('ascii')} {url.port}{url.raw_path.decode('ascii')}"

    def resolve(self, request: Any, reference: str) -> str | None:
        try:
            url = request.url.join(reference)
        except self._module.InvalidURL:
            return None
        ours = request.url
        same = (url.scheme, url.raw_host, url.port) == (ours.scheme, ours.raw_host, ours.port)
        return self.target(url) if same else None

    def respond(self, status: int, head: Head, body: bytes) -> Any:
        module = self._module
        return module.Response(status, headers=self._headers(head), stream=module.ByteStream(body))

    def with_member(self, response: Any, name: str, member: str) -> Any:
        headers, lower = response.headers, name.lower().encode("ascii")
        for field in self.fields(headers):
            if field[1] == lower:
                raw, own = headers.raw, (name.encode("ascii"), member.encode("ascii"))
                if self.in_memory(response) and raw[-1][0] == own[0] and _begin(raw[-1][1]) == _begin(own[1]):
                    raw.pop()  # a mock may give the same response again
                response.headers = self._module.Headers([*raw, own], encoding=headers.encoding)
                return response
        headers[name] = member
        return response

    def rewinder(self, request: Any) -> Callable[[], object] | None:
        stream = request.stream
        return nothing if type(stream) is self._ByteStream else rewinder(stream, self._module.__name__)

    def with_timeout(self, request: Any, seconds: float) -> Any:
        given = request.extensions.get("timeout", {})
        timeout = {name: Timeout(given.get(name), seconds) for name in ("connect", "read", "write", "pool")}
        return self._library.request(request, extensions={**request.extensions, "timeout": timeout})

    def tap(self, response: Any, watcher: Watcher) -> Any:
        if self._library.unreadable(response):
            watcher.closed()
            return response
        response = self._library.passing(response)
        response.stream.watchers.append(watcher)
        return response

    def pace(self, response: Any, pace: Pace) -> Any:
        if not self._library.unreadable(response):
            response = self._library.passing(response)
            response.stream.pace = pace
        return response

    def _too_many_requests(self, request: Any, response: Any) -> Exception:
        error: Exception = self._library.errors.TooManyRequests(request, response, Exchange.of(request.extensions))
        return error

    def _peeked(self, response: Any, stream: Any, read: list[bytes], rest: Any) -> None:
        """Hand on what was read of a body with what is left of it."""
        ready = b"".join(read)
        response.stream = self._library.Buffer(ready) if rest is None else self._library.Body(stream, rest, ready)


def _begin(member: bytes) -> bytes:
    return member.partition(b";")[0]


class SyncFlavour(_Flavour, SyncWorld):
    """A library for the layers of a sync transport."""

    async def buffer(self, response: Any, *, tolerant: bool = False) -> None:
        if not self.in_memory(response):
            stream = response.stream
            try:
                data = b"".join(stream)
            except self.TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                stream.close()
            response.stream = self._library.Buffer(data)

    async def peek(self, response: Any, request: Any) -> bytes:
        if self._library.unseen(response):
            stream = response.stream
            read: list[bytes] = []
            rest = None
            try:
                rest = begin(stream, request, read)
            except self.TransportError:
                pass  # what came of it is its body
            finally:
                self._peeked(response, stream, read, rest)
                if rest is None:
                    stream.close()
        return self._library.beginning(response)

    async def close(self, response: Any, request: Any = None) -> None:
        try:
            if short(response):
                begin(response.stream, request, [])
        except self.TransportError:
            pass  # it is thrown away anyway
        finally:
            response.close()

    async def rate_limit_exceeded(self, request: Any, response: Any) -> Exception:
        given = response
        try:
            response.read()
        except self._module.HTTPError:
            response = self._library.bodiless(response)
        finally:
            given.close()
        return self._too_many_requests(request, response)


class AsyncFlavour(_Flavour, AsyncWorld):
    """A library for the layers of an async transport."""

    async def buffer(self, response: Any, *, tolerant: bool = False) -> None:
        if not self.in_memory(response):
            stream = response.stream
            chunks = stream.__aiter__()
            try:
                data = b"".join([chunk async for chunk in chunks])
            except self.TransportError:
                if not tolerant:
                    raise
                data = b""
            finally:
                try:
                    await end(chunks)
                finally:
                    await stream.aclose()
            response.stream = self._library.Buffer(data)

    async def peek(self, response: Any, request: Any) -> bytes:
        if self._library.unseen(response):
            stream = response.stream
            read: list[bytes] = []
            rest = None
            try:
                rest = await abegin(stream, read)
            except self.TransportError:
                pass  # what came of it is its body
            finally:
                self._peeked(response, stream, read, rest)
                if rest is None:
                    await stream.aclose()
        return self._library.beginning(response)

    async def close(self, response: Any, request: Any = None) -> None:
        try:
            if short(response):
                await adrain(response.stream)
        except self.TransportError:
            pass  # it is thrown away anyway
        finally:
            await response.aclose()

    async def rate_limit_exceeded(self, request: Any, response: Any) -> Exception:
        given = response
        try:
            await response.aread()
        except self._module.HTTPError:
            response = self._library.bodiless(response)
        finally:
            await given.aclose()
        return self._too_many_requests(request, response)

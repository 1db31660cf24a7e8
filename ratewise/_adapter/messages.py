"""The requests and responses of an HTTP library, without their bodies: `ratewise.layer.Messages`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from .._core.call_state import KEY
from ..layer import Head
from .socket_deadline import timeouts

if TYPE_CHECKING:
    from .._core.exchange import Exchange


class Messages:
    """Reads and rebuilds messages. `copy.copy` of a request would lose its body and its extensions."""

    def __init__(self, library: Any) -> None:
        self._library, self._module = library, library.module
        self._headers, self._ByteStream = library.headers, library.module.ByteStream
        self.fields, self.Response = library.fields, library.module.Response

    def origin(self, request: Any) -> tuple[str, str, int | None]:
        url = request.url
        try:
            host: str = url.host
        except UnicodeError:  # it decodes hosts that look like IDNA but need not be
            host = url.raw_host.decode("ascii")
        return url.scheme, host if host.isascii() else url.raw_host.decode("ascii"), url.port

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

    def with_header(self, request: Any, name: str, value: str) -> Any:
        return self._rebuilt(request, headers=[*request.headers.raw, (name.encode("ascii"), value.encode("ascii"))])

    def with_headers(self, request: Any, headers: Mapping[bytes, bytes]) -> Any:
        given = request.headers.copy()
        given.update(headers)
        return self._rebuilt(request, headers=given)

    def with_timeout(self, request: Any, seconds: float) -> Any:
        given = request.extensions.get("timeout", {})
        return self._rebuilt(request, extensions={**request.extensions, "timeout": timeouts(given, seconds)})

    def detached(self, request: Any, exchange: Exchange, without: Collection[bytes]) -> Any:
        headers = [(name, value) for name, lower, value in self.fields(request.headers) if lower not in without]
        return self._rebuilt(request, headers=headers, extensions={**request.extensions, KEY: exchange})

    def respond(self, status: int, head: Head, body: bytes) -> Any:
        module = self._module
        return module.Response(status, headers=self._headers(head), stream=module.ByteStream(body))

    def with_member(self, response: Any, name: str, member: str) -> Any:
        headers, lower = response.headers, name.lower().encode("ascii")
        for field in self.fields(headers):
            if field[1] == lower:
                raw, own = headers.raw, (name.encode("ascii"), member.encode("ascii"))
                again = type(response.stream) is self._ByteStream or response.is_closed  # as a mock returns it
                if again and raw[-1][0] == own[0] and _begin(raw[-1][1]) == _begin(own[1]):
                    raw.pop()
                response.headers = self._module.Headers([*raw, own], encoding=headers.encoding)
                return response
        headers[name] = member
        return response

    def _rebuilt(self, given: Any, *, headers: Any = None, extensions: Any = None) -> Any:
        return self._module.Request(
            given.method,
            given.url,
            headers=given.headers if headers is None else headers,
            stream=given.stream,
            extensions=given.extensions if extensions is None else extensions,
        )


def _begin(member: bytes) -> bytes:
    return member.partition(b";")[0]

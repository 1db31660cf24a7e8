"""The seam: what a layer is, and what it may do to the world. Knows no HTTP library.

A layer is one coroutine, `handle(request, call)`. It serves sync, asyncio and trio: under a sync transport everything that
`call` gives it to await blocks inside and is done at once, so that one `send(None)` runs it to its end (`_core.step`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Hashable, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Generic,
    Protocol,
    TypeVar,
)

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from . import exceptions
    from ._core.clock import Clock, Waiter
    from ._core.exchange import Exchange
    from ._core.failure import Failure

    P = ParamSpec("P")

T = TypeVar("T")
RawHeaders = list[tuple[bytes, bytes]]


# What layers use of a library's objects. Properties, because a plain attribute would be invariant and match no library.
class HeadersLike(Protocol):
    @property
    def raw(self) -> RawHeaders: ...
    def __contains__(self, key: Any) -> bool: ...
    def __getitem__(self, key: str) -> str: ...
    def get(self, key: str, /) -> Any: ...


class UrlLike(Protocol):
    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def path(self) -> str: ...


class RequestLike(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> UrlLike: ...
    @property
    def headers(self) -> HeadersLike: ...
    @property
    def extensions(self) -> Mapping[str, Any]: ...


class ResponseLike(Protocol):
    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> HeadersLike: ...
    @property
    def extensions(self) -> Mapping[str, Any]: ...
    def close(self) -> None: ...
    async def aclose(self) -> None: ...


Q = TypeVar("Q", bound=RequestLike)
R = TypeVar("R", bound=ResponseLike)
Send = Callable[[Q], Awaitable[R]]


class Watcher(Protocol):
    """Who looks at a body that passes by: see `Call.tap`."""

    def chunk(self, data: bytes, /) -> None:
        """Some bytes of the body, as they came over the wire (not decoded)."""

    async def complete(self) -> None:
        """The body came to its end, and its connection is back in the pool. May do I/O through `call`."""

    def failed(self, error: BaseException, /) -> None:
        """Reading the body ended in this error: it broke off, its time was over, or the reader was cancelled."""

    def closed(self) -> None:
        """The body is done with: read, given up, broken off or cancelled. Called once, whatever happened."""


class Pace(Protocol):
    """Who waits for the chunks of a body: see `Flavour.pace`. Raises what the iterator raises, its end too."""

    def next(self, chunks: Iterator[bytes], /) -> bytes:
        """The next chunk, in the sync world."""
        ...

    async def anext(self, chunks: AsyncIterator[bytes], /) -> bytes:
        """The next chunk, in the async ones."""
        ...


class Head(Protocol):
    """The header of a response of our own making. Equal ones have the same fields."""

    def __hash__(self) -> int: ...

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes, bytes]]:
        """See `Flavour.fields`."""
        ...


class Flavour(Protocol[Q, R]):
    """One HTTP library in one world, sync or async: what layers need of it."""

    @property
    def TransportError(self) -> type[Exception]:  # noqa: N802  (a class)
        """What a transport of this library raises when it fails."""
        ...

    # What layers raise: ours, and this library's too.
    @property
    def BulkheadFull(self) -> type[exceptions.BulkheadFull]: ...  # noqa: N802
    @property
    def CircuitBreakerOpen(self) -> type[exceptions.CircuitBreakerOpen]: ...  # noqa: N802
    @property
    def DeadlineExceeded(self) -> type[exceptions.DeadlineExceeded]: ...  # noqa: N802
    @property
    def WaitTooLong(self) -> type[exceptions.WaitTooLong]: ...  # noqa: N802

    def failure(self, error: Exception) -> Failure:
        """What kind of failure a `TransportError` is."""
        ...

    def origin(self, request: Q) -> tuple[str, str, int | None]:
        """Scheme, host and port (None if it is the scheme's own) that the request goes to."""
        ...

    def fields(self, headers: HeadersLike, /) -> Sequence[tuple[bytes, bytes, bytes]]:
        """The name of each header field as it is written, in lower case, and its value."""
        ...

    def with_header(self, request: Q, name: str, value: str) -> Q:
        """The same request, built anew, with one header more."""
        ...

    def with_headers(self, request: Q, headers: Mapping[bytes, bytes]) -> Q:
        """The same request, built anew, with these headers in place of its own."""
        ...

    def apart(self, request: Q, exchange: Exchange, without: Collection[bytes]) -> Q:
        """The same request, built anew, as one of another call and without some headers."""
        ...

    def target(self, url: Any) -> str:
        """What a URL of the library's asks for, without userinfo and fragment, and with a blank between its host and its port."""
        ...

    def resolve(self, request: Q, reference: str) -> str | None:
        """The same of a URL that a response to the request refers to; None if it is of another origin, or none."""
        ...

    def held(self, message: Q | R, /) -> bytes | None:
        """The body of a request or response as it goes over the wire, if it is in memory."""
        ...

    def decoded(self, response: R, data: bytes, most: int, /) -> bytes:
        """What these bytes, with which its body begins, say without their Content-Encoding; `most` bytes of it."""
        ...

    def respond(self, status: int, head: Head, body: bytes) -> R:
        """A response of our own making. What equal heads say is built once."""
        ...

    def with_member(self, response: R, name: str, member: str) -> R:
        """A response to hand on instead, with one member more at the end of a header field that is a list.

        Of one in memory the last member goes, if it is of the same name.
        """
        ...

    def who(self) -> Hashable:
        """The thread or task that is running."""
        ...

    def with_timeout(self, request: Q, seconds: float) -> Q:
        """The same request, built anew, with none of its time-outs longer than `seconds`."""
        ...

    def rewinder(self, request: Q) -> Callable[[], object] | None:
        """What to call before the request is sent once more; None if its body can be sent only once.

        To be asked before the first sending.
        """
        ...

    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """See `Call.via`."""
        ...

    def in_memory(self, response: R) -> bool:
        """Its body is in memory, or no body to be read (101): it holds no connection of the pool."""
        ...

    def tap(self, response: R, watcher: Watcher) -> R:
        """See `Call.tap`."""
        ...

    def pace(self, response: R, pace: Pace) -> R:
        """A response to hand on instead, whose chunks `pace` waits for."""
        ...

    def buffer(self, response: R, *, tolerant: bool = False) -> Awaitable[None]:
        """Read the body into memory, and close its connection, before the response is handed on.

        Only where the caller reads the whole body anyway: see `Exchange.streamed`. `tolerant`: a body that breaks off is empty.
        """
        ...

    def peek(self, response: R, request: Q) -> Awaitable[bytes]:
        """The beginning of the body of the response to this request, decoded: 64 KiB at most, within about a second.

        The response is to be handed on as if nothing had been read, except that a body which breaks off, or has to be cancelled
        because it takes longer, ends with what came of it. A body that says to be longer than that is not looked at.
        """
        ...

    def close(self, response: R, request: Q | None = None) -> Awaitable[None]:
        """See `Call.close`."""
        ...

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """See `Call.spawn`."""
        ...

    def rate_limit_exceeded(self, request: Q, response: R) -> Awaitable[Exception]:
        """Read and close a 429, and make it this library's `RateLimitExceeded`."""
        ...


class Call(Generic[Q, R]):
    """What a layer may do to the world. Composed once, with the stack: holds nothing of a single request."""

    __slots__ = ("clock", "close", "http", "send", "spawn", "tap", "via")

    def __init__(self, send: Send[Q, R], http: Flavour[Q, R], clock: Clock) -> None:
        self.send = send
        """`await call.send(request)`: hand the request to the next layer, or to the wire."""
        self.http = http
        """The HTTP library: its errors by their neutral names, and how to build its objects."""
        self.clock = clock
        self.via = http.via
        """`await call.via(store.get, store.aget, key)`: the first of a pair in the sync world, the second in the async ones."""
        self.tap = http.tap
        """`call.tap(response, watcher)`: a response to hand on instead, whose body `watcher` sees pass by."""
        self.close = http.close
        """`await call.close(response, request)`: be rid of a response.

        A short rest of its body is read, so that its connection can be used again; with the request that it answers, a rest
        that takes long is not waited for.
        """
        self.spawn = http.spawn
        """`call.spawn(lambda: work())`: run a coroutine behind the request. Closing the transport ends it."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """`await call.sleep(seconds)`: wait."""
        return self.via(self.clock.sleep, self.clock.asleep, seconds)

    def park(self, waiter: Waiter, timeout: float | None = None) -> Awaitable[bool]:
        """`await call.park(waiter, seconds)`: wait until someone calls `waiter.wake()`, from any thread or event loop.

        True if woken, False if `timeout` was over first.
        """
        return self.via(self.clock.park, self.clock.apark, waiter, timeout)


class Layer(Protocol[Q, R]):
    """One capability around a transport. Write `handle` once and have it in sync, asyncio and trio.

    ```python
    class Signed:
        async def handle(self, request, call):
            return await call.send(call.http.with_header(request, "X-Signature", sign(request)))

    httpx.Client(transport=LayerTransport(httpx.HTTPTransport(), Signed()))
    ```

    `handle` may await only what `call` gives it. An instance serves many requests at once.
    """

    async def handle(self, request: Q, call: Call[Q, R], /) -> R:
        """Answer the request: by `call.send`, once, several times or never."""
        ...

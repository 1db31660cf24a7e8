"""The seam between layers and the world: what a layer is, and what it uses to act. Knows no HTTP library.

A layer is one coroutine, `handle(request, call)`. It serves sync, asyncio and trio: under a sync transport everything that
`call` provides to await blocks and finishes at once, so that one `send(None)` runs the coroutine to its end.
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
    from ._core.clock import CallTracker, Clock, Waiter
    from ._core.exchange import Exchange
    from ._core.failure import Failure

    P = ParamSpec("P")

T = TypeVar("T")
RawHeaders = list[tuple[bytes, bytes]]
Field = tuple[bytes, bytes, bytes]
"""Name, lower-case name and value of a header field."""


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
Q_contra = TypeVar("Q_contra", bound=RequestLike, contravariant=True)
Send = Callable[[Q], Awaitable[R]]


class Watcher:
    """Follows a body that its reader reads: `call.tap(response, watcher)`. Override what you need.

    `complete` may be a coroutine; the others are plain functions.
    """

    __slots__ = ()

    def chunk(self, data: bytes, /) -> None:
        """Bytes of the body have arrived, as they came over the wire (not decoded)."""

    async def complete(self) -> None:
        """The body has ended, and its connection is back in the pool. May do I/O through `call`."""

    def failed(self, error: BaseException, /) -> None:
        """Reading the body raised `error`: the connection broke, a time-out expired, or the reader was cancelled."""

    def closed(self) -> None:
        """The body was read to its end, closed early, broken off or cancelled. Called once in every case."""


class Pace(Protocol):
    """Waits for the chunks of a body: see `Bodies.pace`. Raises what the iterator raises, its end included."""

    def next(self, chunks: Iterator[bytes], /) -> bytes:
        """Return the next chunk, in sync code."""
        ...

    async def anext(self, chunks: AsyncIterator[bytes], /) -> bytes:
        """Return the next chunk, in async code."""
        ...


class Head(Protocol):
    """The header of a response that RateWise makes. Equal ones have the same fields."""

    def __hash__(self) -> int: ...

    @property
    def fields(self) -> Sequence[Field]:
        """Name, lower-case name and value of each field."""
        ...


class Runtime(Protocol):
    """Where a stack runs: in a thread, or in an event loop of asyncio or trio."""

    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Call `sync` under a sync transport and await `asynchronous` under an async one."""
        ...

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` in the background, in a daemon thread or a task, until it ends or the transport is closed."""
        ...

    def current_task(self) -> Hashable:
        """Identify the running thread or task."""
        ...


class Errors(Protocol):
    """The exceptions of an HTTP library, and those of RateWise that are exceptions of this library too."""

    @property
    def TransportError(self) -> type[Exception]:  # noqa: N802  (a class)
        """Base of what a transport of the library raises when it fails."""
        ...

    @property
    def PoolTimeout(self) -> Callable[..., Exception]:  # noqa: N802
        """The library's own, of a request that got no connection of the pool in time."""
        ...

    @property
    def BulkheadFull(self) -> type[exceptions.BulkheadFull]: ...  # noqa: N802
    @property
    def CircuitBreakerOpen(self) -> type[exceptions.CircuitBreakerOpen]: ...  # noqa: N802
    @property
    def DeadlineExceeded(self) -> type[exceptions.DeadlineExceeded]: ...  # noqa: N802
    @property
    def TooManyRequests(self) -> type[exceptions.TooManyRequests]: ...  # noqa: N802
    @property
    def WaitTooLong(self) -> type[exceptions.WaitTooLong]: ...  # noqa: N802

    def failure(self, error: Exception) -> Failure:
        """Classify a `TransportError`."""
        ...


class Messages(Protocol[Q, R]):
    """The requests and responses of an HTTP library, without their bodies."""

    @property
    def Response(self) -> type[R]:  # noqa: N802  (a class)
        """The class of its responses."""
        ...

    def origin(self, request: Q) -> tuple[str, str, int | None]:
        """Return scheme, host and port of a request; the port is None if it is the scheme's default."""
        ...

    def fields(self, headers: HeadersLike, /) -> Sequence[Field]:
        """Return name, lower-case name and value of each header field, in order."""
        ...

    def target(self, url: Any) -> str:
        """Return a URL without userinfo and fragment, with a blank between its host and its port."""
        ...

    def resolve(self, request: Q, reference: str) -> str | None:
        """Return the `target` of a reference in a response to `request`; None if it has another origin or is no URL."""
        ...

    def with_header(self, request: Q, name: str, value: str) -> Q:
        """Return a new request with one more header field."""
        ...

    def with_headers(self, request: Q, headers: Mapping[bytes, bytes]) -> Q:
        """Return a new request in which these header fields replace those of the same name."""
        ...

    def with_timeout(self, request: Q, seconds: float) -> Q:
        """Return a new request with none of its time-outs longer than `seconds`."""
        ...

    def detached(self, request: Q, exchange: Exchange, without: Collection[bytes]) -> Q:
        """Return a new request that belongs to another call, without the header fields `without` (in lower case)."""
        ...

    def respond(self, status: int, head: Head, body: bytes) -> R:
        """Return a new response. Headers are built once for equal heads."""
        ...

    def with_member(self, response: R, name: str, member: str) -> R:
        """Return the response with one more member at the end of a header field that is a list.

        In a response whose body is in memory it replaces the last member, if that begins with the same name.
        """
        ...


class Bodies(Protocol[Q_contra, R]):
    """The bodies of requests and responses."""

    def in_memory(self, response: R) -> bool:
        """Whether the body is in memory, or is none that can be read (101): it holds no connection of the pool."""
        ...

    def buffered_body(self, message: Q_contra | R, /) -> bytes | None:
        """Return the body of a request or response as it goes over the wire; None if it is not in memory."""
        ...

    def decoded(self, response: R, data: bytes, most: int, /) -> bytes:
        """Decode `data`, the beginning of the body, by its Content-Encoding; at most `most` bytes of the result."""
        ...

    def rewinder(self, request: Q_contra) -> Callable[[], object] | None:
        """Return what to call before the request is sent again; None if its body can be sent only once.

        To be asked before the first attempt.
        """
        ...

    def tap(self, response: R, watcher: Watcher) -> R:
        """Return the response with `watcher` following its body."""
        ...

    def watch(self, response: R, watcher: Watcher) -> bool:
        """Have `watcher` follow what came over a connection of a pool, a 101 too; return False if nothing did."""
        ...

    def pace(self, response: R, pace: Pace) -> R:
        """Return the response with `pace` waiting for the chunks of its body."""
        ...

    def buffer(self, response: R, *, tolerant: bool = False) -> Awaitable[None]:
        """Read the body into memory and close its connection, before the response is handed on.

        Only where the caller reads the whole body anyway: see `Exchange.streamed`. If the body breaks off, raise or, with
        `tolerant`, leave it empty.
        """
        ...

    def load(self, response: R) -> Awaitable[R]:
        """Read and close a response; if its body breaks off, return one without a body."""
        ...

    def peek(self, response: R, request: Q_contra) -> Awaitable[bytes]:
        """Return the beginning of the body of the response to `request`, decoded: up to 64 KiB, within about a second.

        The response can be handed on as if nothing had been read, except that a body that breaks off, or is cancelled because it
        takes longer, ends with what has arrived. A body with a larger Content-Length is not read.
        """
        ...

    def close(self, response: R, request: Q_contra | None = None) -> Awaitable[None]:
        """Discard a response, as `Call.close` does."""
        ...


class HTTPLibrary(Errors, Messages[Q, R], Bodies[Q, R], Protocol[Q, R]):
    """One HTTP library, sync or async."""


class Call(Generic[Q, R]):
    """What a layer uses to act. Built once, with the stack: holds nothing of a single request.

    - `await call.send(request)`: hand the request to the next layer, or to the wire.
    - `await call.sleep(seconds)`, `await call.park(waiter, seconds)`: wait.
    - `await call.via(store.get, store.aget, key)`: call the first in sync code, await the second in async code.
    - `call.tap(response, watcher)`: return the response to hand on, with `watcher` following its body.
    - `await call.close(response, request)`: discard a response. A short rest of its body is read, so that its connection can be
      used again. Give the request that it answers, and a rest that takes long is not waited for.
    - `call.spawn(lambda: work())`: run a coroutine in the background. Closing the transport ends it.
    - `call.current_task()`: identify the running thread or task.
    - `call.http`: the HTTP library: its errors, messages and bodies under names that are the same for all.
    - `call.clock`: the time. `call.runtime`: the thread or event loop that the stack runs in.
    """

    __slots__ = ("clock", "close", "current_task", "http", "runtime", "send", "tap", "via")

    def __init__(self, send: Send[Q, R], http: HTTPLibrary[Q, R], runtime: Runtime, clock: Clock) -> None:
        self.send = send
        self.http = http
        self.runtime = runtime
        self.clock = clock
        self.via = runtime.via
        self.tap = http.tap
        self.close = http.close
        self.current_task = runtime.current_task

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` in the background, in a daemon thread or a task, until it ends or the transport is closed."""
        tracker = self.clock._tracker
        self.runtime.spawn(work if tracker is None else lambda: self._at_work(work, tracker))

    async def _at_work(self, work: Callable[[], Coroutine[Any, Any, None]], tracker: CallTracker) -> None:
        tracker._begin(owner := self.current_task())
        try:
            await work()
        finally:
            tracker._end(owner)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """`await call.sleep(seconds)`: wait."""
        return self.via(self.clock.sleep, self.clock.asleep, seconds)

    def park(self, waiter: Waiter, timeout: float | None = None) -> Awaitable[bool]:
        """`await call.park(waiter, seconds)`: wait until `waiter.wake()` is called, from any thread or event loop.

        Return whether it was; False if `timeout` expired first.
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

    `handle` may await only what `call` provides. One instance serves many requests at once.
    """

    async def handle(self, request: Q, call: Call[Q, R], /) -> R:
        """Return a response to the request, after `call.send(request)` once, several times or never."""
        ...

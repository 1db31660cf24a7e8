"""Transports for tests of code that uses httpx: `ratewise.testing` is where they are documented and imported from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Union

import httpx

from .._adapter.chain import check_transport
from .._adapter.http_library import AsyncLibrary, SyncLibrary
from .._adapter.runtime import AsyncRuntime, SyncRuntime
from .._core.clock import Clock
from .._core.step import step
from .._keywords import explained
from ..layer import Call
from ..testing.fault_transport import DamagedBody, FaultInjector
from ..testing.faults import Fault
from ..testing.messages import Reply
from ..testing.script import Delayed, Script
from .base import LIBRARY

__all__ = ["AsyncFaultTransport", "AsyncScriptedTransport", "FaultTransport", "ScriptedTransport"]

if TYPE_CHECKING:
    from typing_extensions import Self

    Step = Union[int, Reply, httpx.Response, BaseException, type[BaseException], Delayed, Callable[[httpx.Request], Any]]
    """What answers one request."""

    Steps = Union[Step, Sequence[Step]]
    """What answers the requests that fit a rule."""


# -- scripts


class _ScriptedBody(httpx.ByteStream):
    """The body of a scripted response."""


class ScriptedTransport(Script, httpx.BaseTransport):
    """A transport that answers as a script says, and records the requests: `ScriptedTransport(503, httpx.ConnectError, 200)`.

    `script`: steps, one for each request, in order of arrival. A step is

    - a status code; an `httpx.Response`, which may be given to several requests, each of which gets a new one; or a `Reply`;
    - an exception, or the class of one: it is raised;
    - `delayed(seconds, step)`: waits first, at most for the read time-out of the request, then `ReadTimeout` is raised;
    - a function of the request that returns a step. The request's body has been read.

    Or rules, as a mapping before the steps, which are then for the requests that fit no rule:
    `ScriptedTransport({"GET /users": [503, 200], "/orders/*": 201, "https://other.example/*": 404, function: 500})`. The key is a
    pattern: method, path or URL, or method and path or URL, in which each `*` stands for any characters, and the query counts
    only if the pattern has one; or a function of the request that returns whether it fits. The value is a step for every such
    request, or a list or tuple of steps, used up in order. The first rule that fits and has a step left counts.

    `otherwise`: the step, or steps, for requests that none of these is left for. None: `AssertionError` is raised, which is not
    retried. `clock` is what delays wait on. None: that of the RateWise transport around this one, or the real time.

    Raises `TypeError` or `ValueError` for a step or a rule that is none.
    """

    requests: list[httpx.Request]
    _Body = _ScriptedBody

    def __init__(self, *script: Step | Mapping[Any, Steps], otherwise: Steps | None = None, clock: Clock | None = None) -> None:
        super().__init__(httpx, script, otherwise, clock)
        self._via = SyncRuntime().via

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = step(self._answer(request, self._via))
        return response

    def close(self) -> None:
        self.closed += 1


class AsyncScriptedTransport(Script, httpx.AsyncBaseTransport):
    """An async transport that answers as a script says, and records the requests: `AsyncScriptedTransport(503, 200)`.

    Its arguments are those of `ScriptedTransport`; a function of the request may be a coroutine function, except as a rule.
    """

    requests: list[httpx.Request]
    _asynchronous, _Body = True, _ScriptedBody

    def __init__(self, *script: Step | Mapping[Any, Steps], otherwise: Steps | None = None, clock: Clock | None = None) -> None:
        super().__init__(httpx, script, otherwise, clock)
        self._via = AsyncRuntime().via

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._answer(request, self._via)
        return response

    async def aclose(self) -> None:
        self.closed += 1


# -- faults


class _DamagedBody(DamagedBody, httpx.SyncByteStream, httpx.AsyncByteStream):
    """A damaged body that is a stream of httpx."""


@explained(transport=httpx.HTTPTransport, client=httpx.Client)
class FaultTransport(FaultInjector, httpx.BaseTransport):
    """Injects faults into what passes through it, in tests or in staging: `FaultTransport(faults={"refuse": 0.01, "503": 0.05})`.

    Goes around any transport (a new `httpx.HTTPTransport` if none is given), below the layers of RateWise or without them. The
    errors are those that httpx raises. The words are listed in `ratewise.testing.faults`.

    - `faults`: a mapping of words to rates, from 0 to 1 and together at most 1; or a list of `Fault`, of which each request
      gets at most one. May be assigned later; `()` injects nothing.
    - `seed`: an int; with the same seed and faults the n-th request that arrives gets the same fault. Where several threads or
      tasks send, it depends on them which request is the n-th. None: a random one, readable as `seed`.
    - `clock`: the time to wait on. None: the clock of the RateWise stack around it, or the real time.

    Requests that are refused, answered with a status, or find no free connection do not reach the transport inside; with the
    other faults they do, and their response is dropped or damaged as it is read. `hang` and `hang-body` end with `ReadTimeout`
    after the read time-out of the request, `pool-timeout` with `PoolTimeout` after its pool time-out, and without one never. A
    response without a body passes the faults of bodies unchanged.

    Each fault is logged at level INFO by the logger `ratewise`, and listed in `injected`. Closing it closes the transport inside.
    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    _Body = _DamagedBody

    def __init__(
        self,
        transport: httpx.BaseTransport | None = None,
        faults: Mapping[str, float] | Iterable[Fault] = (),
        *,
        seed: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        given = httpx.HTTPTransport() if transport is None else transport
        check_transport(given, httpx.BaseTransport, "handle_request")
        http, runtime = SyncLibrary(LIBRARY), SyncRuntime()

        async def send(request: httpx.Request) -> httpx.Response:
            return given.handle_request(request)

        self._take(given, faults, seed, clock, httpx, lambda clock: Call(send, http, runtime, clock))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = step(self._handle(request))
        return response

    def close(self) -> None:
        self._given.close()

    def __enter__(self) -> Self:
        self._given.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._given.__exit__(exc_type, exc_value, traceback)


@explained(transport=httpx.AsyncHTTPTransport, client=httpx.AsyncClient)
class AsyncFaultTransport(FaultInjector, httpx.AsyncBaseTransport):
    """Injects faults into what passes through it, under asyncio and trio, as `FaultTransport` does in sync code.

    Goes around any async transport, by default a new `httpx.AsyncHTTPTransport`. Waits can be cancelled.
    """

    _Body = _DamagedBody

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        faults: Mapping[str, float] | Iterable[Fault] = (),
        *,
        seed: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        given = httpx.AsyncHTTPTransport() if transport is None else transport
        check_transport(given, httpx.AsyncBaseTransport, "handle_async_request")
        http, runtime = AsyncLibrary(LIBRARY), AsyncRuntime()

        async def send(request: httpx.Request) -> httpx.Response:
            return await given.handle_async_request(request)

        self._take(given, faults, seed, clock, httpx, lambda clock: Call(send, http, runtime, clock))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._handle(request)
        return response

    async def aclose(self) -> None:
        await self._given.aclose()

    async def __aenter__(self) -> Self:
        await self._given.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._given.__aexit__(exc_type, exc_value, traceback)

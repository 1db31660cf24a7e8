# Generated from ratewise/_httpx by `nox -s twin`: change the files there.
"""Transports for tests of code that uses httpx2: `ratewise.testing` is where they are documented and imported from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Union

import httpx2

from .._adapter.runtime import AsyncRuntime, SyncRuntime
from .._core.clock import Clock
from .._core.step import step
from ..testing.script import Delayed, Script
from ..testing.server import Reply

__all__ = ["AsyncScriptedTransport", "ScriptedTransport"]

if TYPE_CHECKING:
    Step = Union[int, Reply, httpx2.Response, BaseException, type[BaseException], Delayed, Callable[[httpx2.Request], Any]]
    """What answers one request."""

    Steps = Union[Step, Sequence[Step]]
    """What answers the requests that fit a rule."""


class ScriptedTransport(Script, httpx2.BaseTransport):
    """A transport that answers as a script says, and records the requests: `ScriptedTransport(503, httpx2.ConnectError, 200)`.

    `script`: steps, one for each request, in order of arrival. A step is

    - a status code; an `httpx2.Response`, which may be given to several requests, each of which gets a new one; or a `Reply`;
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

    requests: list[httpx2.Request]

    def __init__(self, *script: Step | Mapping[Any, Steps], otherwise: Steps | None = None, clock: Clock | None = None) -> None:
        super().__init__(httpx2, script, otherwise, clock)
        self._via = SyncRuntime().via

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response: httpx2.Response = step(self._answer(request, self._via))
        return response

    def close(self) -> None:
        self.closed += 1


class AsyncScriptedTransport(Script, httpx2.AsyncBaseTransport):
    """An async transport that answers as a script says, and records the requests: `AsyncScriptedTransport(503, 200)`.

    Its arguments are those of `ScriptedTransport`; a function of the request may be a coroutine function, except as a rule.
    """

    requests: list[httpx2.Request]
    _asynchronous = True

    def __init__(self, *script: Step | Mapping[Any, Steps], otherwise: Steps | None = None, clock: Clock | None = None) -> None:
        super().__init__(httpx2, script, otherwise, clock)
        self._via = AsyncRuntime().via

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response: httpx2.Response = await self._answer(request, self._via)
        return response

    async def aclose(self) -> None:
        self.closed += 1

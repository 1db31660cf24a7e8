"""What the tests stand on: a clock they own, an inner transport that they script, and one world for everything there is."""

from __future__ import annotations

import contextlib
import inspect
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from importlib import import_module
from typing import Any, Callable, NamedTuple

import anyio
import httpx
import httpx2
import pytest
import trio

import ratewise
import ratewise.httpx2
from ratewise._adapter.flavour import AsyncFlavour, SyncFlavour
from ratewise._core.clock import Clock, Waiter
from ratewise._core.step import step

PATIENCE = 5.0
"""Seconds after which a test that waits for a real thread or task has failed."""


class FakeClock(Clock):
    """Time that passes only when someone waits. `sleeps` has the waits, in order."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        await anyio.lowlevel.checkpoint()

    def park(self, waiter: Waiter, timeout: float | None) -> bool:
        return super().park(waiter, self._wait(waiter, timeout))

    async def apark(self, waiter: Waiter, timeout: float | None) -> bool:
        return await super().apark(waiter, self._wait(waiter, timeout))

    def _wait(self, waiter: Waiter, timeout: float | None) -> float:
        if timeout is None:
            return PATIENCE
        if not waiter.woken:
            self.now += timeout
        return 0


class Body(httpx.SyncByteStream, httpx.AsyncByteStream, httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes in chunks, maybe breaks off, and knows whether it was read and closed."""

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
        await anyio.lowlevel.checkpoint()
        self.close()


class Sent(NamedTuple):
    """One request as it reached the wire."""

    request: httpx.Request
    body: bytes
    open: int
    """How many earlier responses had not been closed by then."""


class Scripted(httpx.BaseTransport, httpx.AsyncBaseTransport, httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """An inner transport, for either library, that does one step of its script per request.

    A step is a status code, a `Response`, an exception, or a function of the request that gives a step.
    """

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.sent: list[Sent] = []
        self.answers: list[Any] = []
        self.bodies: list[Body] = []
        self.events: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request, b"".join(request.stream))  # type: ignore[arg-type]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
        await anyio.lowlevel.checkpoint()
        return self._answer(request, body)

    def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        self.sent.append(Sent(request, body, sum(not body.closed for body in self.bodies)))
        assert self.steps, f"the script is over, and {request.method} {request.url} came"
        answer = self.steps.pop(0)
        while callable(answer) or isinstance(answer, int):
            answer = response(answer) if isinstance(answer, int) else answer(request)
        self.answers.append(answer)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer.stream, Body):
            self.bodies.append(answer.stream)
        return answer

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
    """Knows when, on a clock, each request came."""

    def __init__(self, clock: FakeClock, *steps: Any) -> None:
        super().__init__(*steps)
        self.clock, self.began, self.times = clock, clock.now, list[float]()

    def _answer(self, request: Any, body: bytes) -> Any:
        self.times.append(round(self.clock.now - self.began, 3))
        return super()._answer(request, body)


def library(request: Any) -> Any:
    """The HTTP library that a request is of."""
    return httpx2 if isinstance(request, httpx2.Request) else httpx


def response(status: int = 200, headers: Any = None, body: bytes | Body = b"ok") -> Callable[[Any], Any]:
    """A step: a response as a transport gives it, its body still to be read. Of the request's library."""

    def step(request: Any) -> Any:
        stream = body if isinstance(body, Body) else Body(body)
        if callable(stream.error):
            stream.error = stream.error(request)
        return library(request).Response(status, headers=headers, stream=stream)

    return step


def failing(name: str, message: str = "no") -> Callable[[Any], Any]:
    """A step: an error of the request's library, by its name."""
    return lambda request: getattr(library(request), name)(message)


# What is tested is how a child goes on with what its parent had open: where nothing forks there is no such child.
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

WORLDS = [f"{style}-{library}" for library in ("httpx", "httpx2") for style in ("sync", "asyncio", "trio")]


def only(*words: str) -> pytest.MarkDecorator:
    """For a test of those worlds alone that have one of the words in their names."""
    names = [name for name in WORLDS if set(words) & set(name.split("-"))]
    return pytest.mark.parametrize("world", names, indirect=True)


class World:
    """Sync, asyncio or trio, with httpx or httpx2.

    A scenario is a coroutine written once, whose every step goes through its world: `httpx` is its library, `ratewise` the
    flavour for it.
    """

    def __init__(self, name: str) -> None:
        self.style, library = name.split("-")
        self.is_sync = self.style == "sync"
        self.httpx: Any = {"httpx": httpx, "httpx2": httpx2}[library]
        self.ratewise: Any = {"httpx": ratewise, "httpx2": ratewise.httpx2}[library]
        prefix = "" if self.is_sync else "Async"
        for module, names in (
            (self.ratewise, ("LayerTransport", "RetryTransport", "RateWiseTransport", "RateWiseClient")),
            (self.httpx, ("Client", "HTTPTransport", "BaseTransport")),
        ):
            for public in names:
                setattr(self, public, getattr(module, prefix + public))

    def __getattr__(self, name: str) -> Any:  # the classes set above
        raise AttributeError(name)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self.is_sync:
            step(scenario())
        elif self.style == "asyncio":
            import asyncio

            asyncio.run(scenario())
        else:
            trio.run(scenario)

    def flavour(self) -> Any:
        """The library as layers see it."""
        base = import_module(f"{self.RetryTransport.__module__.rpartition('.')[0]}.base")
        return (SyncFlavour if self.is_sync else AsyncFlavour)(base.LIBRARY)

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of this world: a plain one or a coroutine function."""
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def send(self, transport: Any, method: str = "GET", url: str = "https://api.example.com/", **kwargs: Any) -> Any:
        """Hand a request to a bare transport."""
        request = kwargs.pop("request", None) or self.httpx.Request(method, url, **kwargs)
        return await self(transport.handle_request if self.is_sync else transport.handle_async_request, request)

    async def read(self, response: Any) -> bytes:
        return await self(response.read if self.is_sync else response.aread)

    async def close(self, thing: Any) -> None:
        await self(thing.close if self.is_sync else thing.aclose)

    @contextlib.asynccontextmanager
    async def within(self, thing: Any) -> AsyncIterator[Any]:
        """`with` or `async with`, as this world has it."""
        if self.is_sync:
            with thing as entered:
                yield entered
        else:
            async with thing as entered:
                yield entered

    async def gather(self, *functions: Callable[[], Awaitable[Any]]) -> list[Any]:
        """Run coroutine functions at the same time, in threads or tasks. Their results; the first error is raised."""
        results: list[Any] = [None] * len(functions)
        errors: list[BaseException] = []

        if self.is_sync:

            def thread(index: int) -> None:
                try:
                    results[index] = step(functions[index]())
                except BaseException as error:
                    errors.append(error)

            threads = [threading.Thread(target=thread, args=(index,), daemon=True) for index in range(len(functions))]
            for one in threads:
                one.start()
            for one in threads:
                one.join(PATIENCE * 2)
                assert not one.is_alive()
        else:

            async def task(index: int) -> None:
                try:
                    results[index] = await functions[index]()
                except Exception as error:
                    errors.append(error)

            with anyio.fail_after(PATIENCE * 2):
                async with anyio.create_task_group() as group:
                    for index in range(len(functions)):
                        group.start_soon(task, index)
        if errors:
            raise errors[0]
        return results


def limited(world: World, wire: Any, limiter: ratewise.RateLimiter | None, clock: FakeClock | None = None) -> Any:
    """A transport with a rate limiter, of this world."""
    kind = world.ratewise.RateLimitTransport if world.is_sync else world.ratewise.AsyncRateLimitTransport
    return kind(wire, limiter, clock=clock)


def growth(function: Callable[[Any], object], small: Any, large: Any) -> float:
    """How much longer the large value takes than the small one."""

    def least(value: Any) -> float:
        times = []
        for _ in range(3):
            start = time.thread_time()
            function(value)
            times.append(time.thread_time() - start)
        return min(times)

    return least(large) / max(least(small), time.get_clock_info("thread_time").resolution)

"""Six worlds for one scenario: sync, asyncio and trio, with httpx and httpx2."""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from importlib import import_module
from typing import Any, Callable

import anyio
import httpx
import httpx2
import pytest
import trio

import ratewise
import ratewise.httpx2.testing
import ratewise.testing
from ratewise._adapter.http_library import AsyncLibrary, SyncLibrary
from ratewise._adapter.runtime import AsyncRuntime, SyncRuntime
from ratewise._core.step import step
from ratewise.layer import Call
from tests.kit.patience import PATIENCE

WORLDS = [f"{style}-{library}" for library in ("httpx", "httpx2") for style in ("sync", "asyncio", "trio")]


def only(*words: str) -> pytest.MarkDecorator:
    """Run a test only in the worlds with one of these words in their name."""
    names = [name for name in WORLDS if set(words) & set(name.split("-"))]
    return pytest.mark.parametrize("world", names, indirect=True)


class World:
    """Sync, asyncio or trio, with httpx or httpx2.

    A scenario is a coroutine, written once, that does everything through its world: `httpx` is the HTTP library, `ratewise` the
    package with the classes for it, `testing` the module with the test kit's.
    """

    def __init__(self, name: str) -> None:
        self.style, library = name.split("-")
        self.is_sync = self.style == "sync"
        self.httpx: Any = {"httpx": httpx, "httpx2": httpx2}[library]
        self.ratewise: Any = {"httpx": ratewise, "httpx2": ratewise.httpx2}[library]
        self.testing: Any = {"httpx": ratewise.testing, "httpx2": ratewise.httpx2.testing}[library]
        prefix = "" if self.is_sync else "Async"
        for module, names in (
            (self.ratewise, ("LayerTransport", "RetryTransport", "RateWiseTransport", "RateWiseClient")),
            (self.testing, ("FaultTransport",)),
            (self.httpx, ("Client", "HTTPTransport", "BaseTransport")),
        ):
            for public in names:
                setattr(self, public, getattr(module, prefix + public))

    def __getattr__(self, name: str) -> Any:  # declares the attributes that __init__ sets
        raise AttributeError(name)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self.is_sync:
            step(scenario())
        elif self.style == "asyncio":
            import asyncio

            asyncio.run(scenario())
        else:
            trio.run(scenario)

    def http_library(self) -> Any:
        """Return the HTTP library in the form that layers get."""
        base = import_module(f"{self.RetryTransport.__module__.rpartition('.')[0]}.base")
        return (SyncLibrary if self.is_sync else AsyncLibrary)(base.LIBRARY)

    def call(self, send: Any, clock: Any) -> Call[Any, Any]:
        """Return a `Call`, as layers get it."""
        return Call(send, self.http_library(), SyncRuntime() if self.is_sync else AsyncRuntime(), clock)

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a plain function, or a coroutine function and await it."""
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def send(self, transport: Any, method: str = "GET", url: str = "https://api.example.com/", **kwargs: Any) -> Any:
        """Send a request through a bare transport."""
        request = kwargs.pop("request", None) or self.httpx.Request(method, url, **kwargs)
        return await self(transport.handle_request if self.is_sync else transport.handle_async_request, request)

    async def read(self, response: Any) -> bytes:
        return await self(response.read if self.is_sync else response.aread)

    async def close(self, thing: Any) -> None:
        await self(thing.close if self.is_sync else thing.aclose)

    @contextlib.asynccontextmanager
    async def within(self, thing: Any) -> AsyncIterator[Any]:
        """Enter with `with` in a sync world, with `async with` in the others."""
        if self.is_sync:
            with thing as entered:
                yield entered
        else:
            async with thing as entered:
                yield entered

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on other threads or tasks holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "they have not"
            await self(time.sleep if self.is_sync else anyio.sleep, 0.001)

    async def cancelled(self, function: Callable[[], Awaitable[Any]], when: Callable[[], object]) -> None:
        """Run a coroutine function (asyncio, trio) and cancel it once `when()` holds; fail if it ends before that."""
        ended = False
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await self.until(when)
                group.cancel_scope.cancel()

            group.start_soon(cancel)
            await function()
            ended = True
            group.cancel_scope.cancel()
        assert not ended

    async def gather(self, *functions: Callable[[], Awaitable[Any]]) -> list[Any]:
        """Run coroutine functions concurrently, in threads or tasks. Return their results, or raise the first error."""
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

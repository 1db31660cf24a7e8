"""`ratewise.layer.Runtime` for sync code, and for asyncio and trio."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from .._core.background import Background
from .._core.clock import current_task
from .._core.step import step

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")


class SyncRuntime:
    """A thread: everything that a layer awaits blocks it, and is done when it returns."""

    def __init__(self) -> None:
        self.background = Background()

    async def via(self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return sync(*args, **kwargs)

    def current_task(self) -> Hashable:
        return threading.get_ident()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_thread(lambda: step(work()))


class AsyncRuntime:
    """An event loop: everything that a layer awaits runs in it."""

    def __init__(self) -> None:
        self.background = Background()

    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        return asynchronous(*args, **kwargs)

    def current_task(self) -> Hashable:
        return current_task()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_task(work)

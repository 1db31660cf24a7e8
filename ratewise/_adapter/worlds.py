"""The two worlds that a flavour has: sync, and async under asyncio or trio."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from .._core.background import Background
from .._core.clock import running_task
from .._core.step import step

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")


class SyncWorld:
    """Everything that is awaited blocks inside, and is done at once."""

    def __init__(self) -> None:
        self.background = Background()

    async def via(self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return sync(*args, **kwargs)

    def who(self) -> Hashable:
        return threading.get_ident()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_thread(lambda: step(work()))


class AsyncWorld:
    """What is awaited runs in the event loop."""

    def __init__(self) -> None:
        self.background = Background()

    def via(
        self, sync: Callable[P, T], asynchronous: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        return asynchronous(*args, **kwargs)

    def who(self) -> Hashable:
        return running_task()

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.background.spawn_task(work)

"""Work that goes on behind a request: a daemon thread in the sync world, a task in the async ones."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Coroutine
from typing import Any, Callable, NamedTuple

from .clock import Waiter, running_trio

logger = logging.getLogger("ratewise")

Work = Callable[[], Coroutine[Any, Any, None]]

CLOSE_TIMEOUT = 5.0
"""Seconds that closing waits for what is still going on."""


class _Job(NamedTuple):
    cancel: Callable[[], object]
    finished: Waiter


class Background:
    """What one transport has going on. Work acquires what it needs by itself: it may be cancelled before it starts."""

    def __init__(self) -> None:
        self._jobs: set[_Job] = set()

    def spawn_thread(self, run: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                run()
            except Exception as error:
                _report(error)
            finally:
                ended()

        ended = self._begin(lambda: None)  # a thread cannot be cancelled
        threading.Thread(target=guarded, name="ratewise-background", daemon=True).start()

    def spawn_task(self, work: Work) -> None:
        trio = running_trio()
        if trio is None:
            self._spawn_in_asyncio(work)
        else:
            self._spawn_in_trio(trio, work)

    def _spawn_in_asyncio(self, work: Work) -> None:
        import asyncio

        async def guarded() -> None:
            try:
                await work()
            except Exception as error:
                _report(error)

        loop = asyncio.get_running_loop()
        task = loop.create_task(guarded())  # referenced by its job: asyncio itself keeps only weak references
        ended = self._begin(lambda: loop.call_soon_threadsafe(task.cancel))
        task.add_done_callback(lambda _: ended())

    def _spawn_in_trio(self, trio: Any, work: Work) -> None:
        scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

        async def guarded() -> None:  # an exception that leaves a system task ends the whole run
            try:
                with scope:
                    await work()
            except Exception as error:
                _report(error)
            finally:
                ended()

        ended = self._begin(lambda: token.run_sync_soon(scope.cancel))
        trio.lowlevel.spawn_system_task(guarded)

    def _begin(self, cancel: Callable[[], object]) -> Callable[[], None]:
        job = _Job(cancel, Waiter())
        self._jobs.add(job)

        def ended() -> None:
            self._jobs.discard(job)
            job.finished.wake()

        return ended

    def _cancel_all(self) -> list[Waiter]:
        """Who is still to be waited for."""
        waiters = []
        for job in list(self._jobs):
            try:
                job.cancel()
            except RuntimeError:  # its event loop is over, and it with it
                self._jobs.discard(job)
            else:
                waiters.append(job.finished)
        return waiters

    def close(self) -> None:
        """Wait for what is going on, for a bounded time. A thread that takes longer is left to itself."""
        end = time.monotonic() + CLOSE_TIMEOUT
        for finished in self._cancel_all():
            finished.wait(max(0.0, end - time.monotonic()))

    async def aclose(self) -> None:
        """Cancel what is going on and wait until it has ended, for a bounded time."""
        end = time.monotonic() + CLOSE_TIMEOUT
        for finished in self._cancel_all():
            await finished.await_(max(0.0, end - time.monotonic()))


def _report(error: Exception) -> None:
    """Nobody waits for the result: a log line is all that can be done. Its text might hold a secret, so only the kind is told."""
    logger.error("Background work failed: %s", type(error).__name__)

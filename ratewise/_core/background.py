"""Work in the background of a request: in a daemon thread under a sync transport, in a task under an async one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Coroutine
from typing import Any, Callable, NamedTuple

from .clock import Waiter, running_trio
from .forks import renew_after_fork

logger = logging.getLogger("ratewise")

Work = Callable[[], Coroutine[Any, Any, None]]

CLOSE_TIMEOUT = 5.0
"""Seconds for which closing waits for running work, at most."""


class _Job(NamedTuple):
    cancel: Callable[[], object]
    finished: Waiter


class Background:
    """The background work of one transport. Work must acquire what it needs itself: it may be cancelled before it starts."""

    def __init__(self) -> None:
        self._after_fork()
        renew_after_fork(self)

    def _after_fork(self) -> None:
        self._jobs: set[_Job] = set()  # in a child, the threads and event loops of the others do not exist

    def spawn_thread(self, run: Callable[[], None]) -> None:
        """Call `run()` in a daemon thread."""

        def guarded() -> None:
            try:
                run()
            except Exception as error:
                _report(error)
            finally:
                self._ended(job)

        job = _Job(lambda: None, Waiter())  # a thread cannot be cancelled
        threading.Thread(target=guarded, name="ratewise-background", daemon=True).start()
        self._add(job)

    def spawn_task(self, work: Work) -> None:
        """Await `work()` in a task of the running event loop, asyncio's or trio's."""
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
        task = loop.create_task(guarded())  # its job refers to it: asyncio itself keeps only weak references
        job = _Job(lambda: loop.call_soon_threadsafe(task.cancel), Waiter())
        task.add_done_callback(lambda _: self._ended(job))
        self._add(job)

    def _spawn_in_trio(self, trio: Any, work: Work) -> None:
        scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

        async def guarded() -> None:  # an exception that escapes from a system task ends the whole run
            try:
                with scope:
                    await work()
            except Exception as error:
                _report(error)
            finally:
                self._ended(job)

        job = _Job(lambda: token.run_sync_soon(scope.cancel), Waiter())
        trio.lowlevel.spawn_system_task(guarded)
        self._add(job)

    def _add(self, job: _Job) -> None:
        """Add work that has begun: what never begins, because an exception out of a signal handler came first, never ends."""
        self._jobs.add(job)
        if job.finished.woken:
            self._jobs.discard(job)

    def _ended(self, job: _Job) -> None:
        job.finished.wake()
        self._jobs.discard(job)

    def _cancel_all(self) -> list[Waiter]:
        """Cancel all work; return the waiters of what must still be waited for."""
        waiters = []
        for job in list(self._jobs):
            try:
                job.cancel()
            except RuntimeError:  # its event loop has ended, and it with the loop
                self._jobs.discard(job)
            else:
                waiters.append(job.finished)
        return waiters

    def close(self) -> None:
        """Wait for running threads, at most `CLOSE_TIMEOUT`. A thread that takes longer is abandoned."""
        end = time.monotonic() + CLOSE_TIMEOUT
        for finished in self._cancel_all():
            finished.wait(max(0.0, end - time.monotonic()))

    async def aclose(self) -> None:
        """Cancel running tasks and wait until they have ended, at most `CLOSE_TIMEOUT`."""
        end = time.monotonic() + CLOSE_TIMEOUT
        for finished in self._cancel_all():
            await finished.await_(max(0.0, end - time.monotonic()))


def _report(error: Exception) -> None:
    """Log an error of work whose result nobody awaits: its type alone, because its text may contain a secret."""
    logger.error("Background work failed: %s", type(error).__name__)

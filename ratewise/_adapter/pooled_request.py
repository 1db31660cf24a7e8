"""A request in the connection pool of a library's own transport: no connection is lost when it is interrupted.

httpcore takes locks as a request begins and ends. Under asyncio and trio taking one is a checkpoint: a cancellation that arrives
there leaves a connection in the pool that no request will ever use again, nor close. An exception that a signal handler raises
does the same in sync code.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .private import take_lost, unlock


class PooledRequest:
    """One request that was sent over a pool: what is left of it there is taken out, if it was interrupted."""

    __slots__ = ("_extensions", "_pool", "abandon")

    def __init__(self, pool: Any, extensions: object, abandoned: list[PooledRequest] | None = None) -> None:
        self._pool, self._extensions = pool, extensions
        self.abandon = None if abandoned is None else abandoned.append
        """What the garbage collector calls with this, if it finds the response: a pool must not be locked at any line."""

    def mend(self, *, interrupted: bool = True) -> None:
        """Free the pool of what an interrupted or abandoned sync request has left behind."""
        if interrupted:
            unlock(self._pool)
        for connection in take_lost(self._pool, self._extensions, idle=interrupted):
            with suppress(Exception):  # it is of no use anyway
                connection.close()

    async def amend(self) -> None:
        """Free the pool of what a cancelled request has left behind; done even if it is cancelled once more."""
        import anyio

        cancelled = None
        with anyio.CancelScope(shield=True):
            for connection in take_lost(self._pool, self._extensions, idle=False):
                try:
                    with suppress(Exception):  # it is of no use anyway
                        await connection.aclose()
                except BaseException as error:
                    cancelled = error
        if cancelled is not None:
            raise cancelled

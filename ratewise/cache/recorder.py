"""A body that is stored when it has been read."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Callable

from .._core.clock import Clock
from .flight import Flight, Flights, Outcome


class Recorder:
    """Collects a body as its caller reads it: see `Watcher`. What is cut short, left, or larger than `most` bytes is not kept."""

    def __init__(
        self, keep: Callable[[bytes], Awaitable[object]], most: int, flights: Flights, flight: Flight | None, clock: Clock
    ) -> None:
        self._keep, self._most = keep, most
        self._flights, self._flight, self._clock = flights, flight, clock
        self._chunks: list[bytes] | None = []
        self._size = 0

    def chunk(self, data: bytes) -> None:
        if self._flight is not None:
            self._flight.pieces += 1
        if self._chunks is not None:
            self._size += len(data)
            self._chunks.append(data)
            if self._size > self._most:
                self._chunks = None
                self._land(Outcome.UNSHARED)

    async def complete(self) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await self._keep(b"".join(chunks))

    def failed(self, error: BaseException) -> None:
        self.closed()

    def closed(self) -> None:
        self._chunks = None
        self._land(Outcome.FAILED)

    def _land(self, outcome: Outcome) -> None:
        if self._flight is not None:
            self._flights.land(self._flight, outcome, self._clock.monotonic())

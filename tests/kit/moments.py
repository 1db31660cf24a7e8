"""Moments in the life of a request that tests wait for or interrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, Callable

from ratewise._deadline import DeadlineLayer
from tests.kit.patience import wait_until
from tests.kit.world import World


class Trace:
    """The progress of a request on its real connection, from httpcore's `trace` extension."""

    def __init__(self) -> None:
        self._events: list[str] = []

    def of(self, world: World) -> Any:
        """Return the `trace` extension for a new request; the events of earlier requests are dropped."""
        self._events = events = []

        async def atrace(name: str, info: Any) -> None:
            events.append(name)

        return (lambda name, info: events.append(name)) if world.is_sync else atrace

    def seen(self, event: str) -> bool:
        return any(name.endswith(event) for name in self._events)

    def wait(self, event: str) -> None:
        """Block this thread, which is not the client's, until the event has happened."""
        wait_until(lambda: self.seen(event))


@contextlib.contextmanager
def interruption(when: Callable[[], object], pause: float = 0.02) -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread after `when()` holds and a pause in which the thread may begin to wait."""

    def interrupt() -> None:
        wait_until(when)
        if not over.wait(pause):
            signal.pthread_kill(main, signal.SIGUSR1)

    main, over = threading.main_thread().ident, threading.Event()
    assert main is not None
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def allow(client: Any, seconds: float) -> float:
    """Set the `total_timeout` of a client that has one, for its next calls; return the previous value."""
    (layer,) = [layer for layer in client._transport._layers if isinstance(layer, DeadlineLayer)]
    before, layer.total_timeout = layer.total_timeout, seconds
    return before

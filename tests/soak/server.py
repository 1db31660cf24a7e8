"""The server of a soak, in a process of its own: it fails as each request's path says, and counts how often each one arrives."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ratewise.testing import FaultServer
from ratewise.testing.faults import Word, read_word

REFUSALS = (429, 425)
"""The statuses after which any request may be sent again."""


class Served(NamedTuple):
    """What the server saw of one request: `/<words joined by +>/<lane>/<id>`."""

    path: str
    method: str
    keyed: bool
    arrivals: int

    @property
    def doubled(self) -> bool:
        """Whether it came again although the server may have acted on it (the table of the README)."""
        if self.keyed or self.method in ("GET", "PUT"):
            return False
        return any(not may_be_repeated(word_of(self.path, number)) for number in range(1, self.arrivals))


def word_of(path: str, number: int) -> Word:
    """Return the word by which the request of this path is answered as it arrives for the time of this number, from 1."""
    words = path.split("/")[1].split("+")
    return read_word(words[min(number, len(words)) - 1])


def may_be_repeated(word: Word) -> bool:
    """Whether a request of any method may be sent again after this answer: the server has done nothing."""
    return word.status in REFUSALS or (word.status == 503 and word.retry_after is not None)


class SoakServer(FaultServer):
    """A server whose paths are their own scripts."""

    def _word(self, path: str, number: int) -> Word:
        return word_of(path, number)

    def served(self) -> list[Served]:
        return [
            Served(path, received[0].method, received[0].header("idempotency-key") is not None, len(received))
            for path, received in self.requests.items()
        ]


def _run(ours: Any) -> None:
    with SoakServer() as server:
        ours.send(server.url)
        ours.recv()
        ours.send(server.served())


class Running:
    """A server in another process."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def end(self) -> list[Served]:
        """Stop it, and return what it saw."""
        self._pipe.send(None)
        return self._pipe.recv()  # type: ignore[no-any-return]


@contextmanager
def running() -> Iterator[Running]:
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe()
    process = context.Process(target=_run, args=(ours,), daemon=True)
    process.start()
    try:
        yield Running(theirs)
    finally:
        process.kill()
        process.join()
        theirs.close()
        ours.close()

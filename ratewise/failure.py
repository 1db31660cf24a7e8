"""What can go wrong with an attempt, in the words of no HTTP library."""

from __future__ import annotations

import enum


class Failure(enum.Enum):
    """Flavours turn their library's exceptions into one of these; rules see nothing else of an error."""

    NOT_CONNECTED = "no connection could be made"
    NO_FREE_CONNECTION = "no connection of the pool became free"
    TIMED_OUT = "no answer came in time"
    BROKEN = "the connection broke"
    IMPOSSIBLE = "the request cannot work as it is"
    """A bad URL or header, a certificate that is not trusted, a proxy that wants a password."""

    @property
    def never_sent(self) -> bool:
        """The server cannot have acted on the request: nothing of it left this machine."""
        return self is Failure.NOT_CONNECTED or self is Failure.NO_FREE_CONNECTION

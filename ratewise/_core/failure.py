"""What can go wrong with an attempt, in the words of no HTTP library."""

from __future__ import annotations

import enum
import ssl

from .._util.lazy_regex import regex

# How h2 writes the events that httpcore makes the text of its errors. The code is a number from Python 3.11 on.
_REFUSED_STREAM = regex(r"<StreamReset stream_id:\d+, error_code:(?:7|ErrorCodes\.REFUSED_STREAM), remote_reset:True>")
_GOAWAY = regex(r"<ConnectionTerminated error_code:[\w.]+, last_stream_id:0, ")


class Failure(enum.Enum):
    """Why an attempt failed. Adapters map their library's exceptions to these; rules see nothing else of an error."""

    NOT_CONNECTED = "no connection could be made"
    UNPROCESSED = "the server refused it unseen"
    NO_FREE_CONNECTION = "no connection of the pool became free"
    TIMED_OUT = "no answer came in time"
    BROKEN = "the connection broke"
    IMPOSSIBLE = "the request cannot work as it is"
    """A bad URL or header, a certificate that is not trusted, a proxy that wants a password."""

    @property
    def never_sent(self) -> bool:
        """The server cannot have acted on the request."""
        return self in (Failure.NOT_CONNECTED, Failure.UNPROCESSED, Failure.NO_FREE_CONNECTION)


def http2_refused(message: str) -> bool:
    """The text of an error tells of an HTTP/2 request that the server says it has not looked at (RFC 9113, 8.7).

    That is a stream reset with REFUSED_STREAM, or a GOAWAY whose last stream is 0. httpcore itself sends those again that
    are above another last stream. Other resets prove nothing.
    """
    return bool(_REFUSED_STREAM.match(message) or _GOAWAY.match(message))


def certificate_refused(error: BaseException) -> bool:
    """A TLS certificate was refused: only the end of the chain of causes tells. httpcore breaks the explicit chain."""
    cause: BaseException | None = error
    for _ in range(100):  # a chain of the user's own making may be a ring
        if cause is None or isinstance(cause, ssl.SSLCertVerificationError):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(cause, ssl.SSLCertVerificationError)

"""Why an attempt failed, in terms of no particular HTTP library."""

from __future__ import annotations

import enum
import ssl

from .._util.lazy_regex import regex

# httpcore uses h2's events as the text of its errors. From Python 3.11 on the error code is shown as a number.
_REFUSED_STREAM = regex(r"<StreamReset stream_id:\d+, error_code:(?:7|ErrorCodes\.REFUSED_STREAM), remote_reset:True>")
_GOAWAY = regex(r"<ConnectionTerminated error_code:[\w.]+, last_stream_id:0, ")


class Failure(enum.Enum):
    """Why an attempt failed. Adapters map their library's exceptions to these; rules see no other part of an error."""

    NOT_CONNECTED = "no connection could be made"
    UNPROCESSED = "the server did not process the request"
    NO_FREE_CONNECTION = "no connection of the pool became free"
    TIMED_OUT = "no response arrived in time"
    BROKEN = "the connection broke"
    IMPOSSIBLE = "the request cannot work as it is"
    """An invalid URL or header, an untrusted certificate, or a proxy that requires a password."""

    @property
    def never_sent(self) -> bool:
        """Whether the server cannot have processed the request."""
        return self in (Failure.NOT_CONNECTED, Failure.UNPROCESSED, Failure.NO_FREE_CONNECTION)


def http2_refused(message: str) -> bool:
    """Whether the text of an error says that the server has not processed an HTTP/2 request (RFC 9113, section 8.7).

    That is a stream reset with REFUSED_STREAM, or a GOAWAY whose last stream is 0. httpcore itself resends the streams above
    any other last stream. Other resets prove nothing.
    """
    return bool(_REFUSED_STREAM.match(message) or _GOAWAY.match(message))


def certificate_refused(error: BaseException) -> bool:
    """Whether the error was caused by an untrusted TLS certificate. httpcore breaks the chain of explicit causes."""
    cause: BaseException | None = error
    for _ in range(100):  # a chain that the user made may be circular
        if cause is None or isinstance(cause, ssl.SSLCertVerificationError):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(cause, ssl.SSLCertVerificationError)

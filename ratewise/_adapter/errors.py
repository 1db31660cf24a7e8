"""The exceptions of an HTTP library: `ratewise.layer.Errors`."""

from __future__ import annotations

from typing import Any

from .._core.failure import Failure, certificate_refused, http2_refused


class Errors:
    """The exceptions of the library, and those of RateWise for this library."""

    def __init__(self, library: Any) -> None:
        module, ours = library.module, library.errors
        self.TransportError, self.PoolTimeout = module.TransportError, module.PoolTimeout
        self.BulkheadFull = ours.BulkheadFull
        self.CircuitBreakerOpen = ours.CircuitBreakerOpen
        self.DeadlineExceeded = ours.DeadlineExceeded
        self.TooManyRequests = ours.TooManyRequests
        self.WaitTooLong = ours.WaitTooLong
        self._failures = (
            (module.PoolTimeout, Failure.NO_FREE_CONNECTION),
            (module.ConnectTimeout, Failure.NOT_CONNECTED),
            (module.ConnectError, Failure.NOT_CONNECTED),
            (module.ProxyError, Failure.NOT_CONNECTED),
            (module.TimeoutException, Failure.TIMED_OUT),
            (module.UnsupportedProtocol, Failure.IMPOSSIBLE),
            (module.LocalProtocolError, Failure.IMPOSSIBLE),
        )
        self._hopeless = (
            (module.ConnectError, certificate_refused),
            (module.ProxyError, lambda error: str(error).startswith("407")),
        )

    def failure(self, error: Exception) -> Failure:
        if any(isinstance(error, kind) and hopeless(error) for kind, hopeless in self._hopeless):
            return Failure.IMPOSSIBLE
        for kind, failure in self._failures:
            if isinstance(error, kind):
                return failure
        return Failure.UNPROCESSED if http2_refused(str(error)) else Failure.BROKEN

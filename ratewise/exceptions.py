"""What RateWise raises of its own.

The classes here know no HTTP library. Each flavour makes them errors of its library too, so that
`except ratewise.RateLimitExceeded` and `except httpx.HTTPError` both catch what `ratewise` raises.
"""

from __future__ import annotations

from typing import Any


class RateWiseError(Exception):
    """Base of everything that RateWise itself raises while a request is handled."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Arguments by keyword are lost on the way through pickle, and a process pool with them.
        return _restored, (type(self), self.args, self.__dict__)


class RateLimitExceeded(RateWiseError):  # noqa: N818  (named by what happened, as httpx names its own)
    """The limit is used up, and waiting for it was not possible or not allowed."""

    attempts: int
    """How many requests were sent for this call. 0 if it was refused before any was."""
    retry_after: float | None
    """Seconds that the server asked to wait, None if it did not say."""


class DeadlineExceeded(RateWiseError):  # noqa: N818  (as above)
    """The call was not done within its `total_timeout`."""

    attempts: int
    """How many requests were sent for this call."""


def _restored(kind: type[RateWiseError], args: tuple[Any, ...], state: dict[str, Any]) -> RateWiseError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error

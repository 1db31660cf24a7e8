"""The rate-limited servers that the limiter is measured with, of about 20 requests a second each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Callable, NamedTuple

from ratewise.testing.limits import ConcurrencyLimit, FixedWindow, Limit, TokenBucket
from ratewise.testing.responder import Answer, Responder

LATENCY = 0.02
"""Seconds from sending a request to receiving its answer, unless the limit itself takes time."""


class Served:
    """A limit and how it is told, with time as an argument. Other settings are those of a `Responder`."""

    def __init__(self, limit: Limit, tells: Any = None, **settings: Any) -> None:
        self.limit, self.tells = limit, tells
        self.responder = Responder(tells, **settings)

    @property
    def latency(self) -> float:
        return 0.0 if self.limit.takes else LATENCY

    def answer(self, now: float) -> Answer:
        """Answer a request at this second, which never decreases."""
        return self.responder.answer(self.limit, now)


class Style(NamedTuple):
    """How one of the servers limits, and what it says."""

    make: Callable[..., Limit]
    tells: Any = None
    refusal: int = 429


STYLES: Mapping[str, Style] = {
    "window": Style(partial(FixedWindow, 100, 5), "x-ratelimit"),
    "ietf": Style(partial(FixedWindow, 100, 5), "ietf"),
    "openai": Style(partial(TokenBucket, 20, 1), "openai"),
    "anthropic": Style(partial(TokenBucket, 50, 60), "anthropic"),
    "penalty": Style(partial(TokenBucket, 20, 1, penalty=True), "openai"),
    "halved": Style(partial(FixedWindow, 100, 5, changes=((10, 50), (20, 100))), "x-ratelimit"),
    "seconds": Style(partial(TokenBucket, 20, 1), "retry-after"),
    "bare": Style(partial(TokenBucket, 20, 1)),
    "bare-window": Style(partial(FixedWindow, 100, 5)),
    "bare-halved": Style(partial(TokenBucket, 20, 1, changes=((10, 10), (20, 20)))),
    "shuts": Style(partial(TokenBucket, 20, 1, shuts_out=5), "retry-after", 403),
    "slots": Style(partial(ConcurrencyLimit, 8, 0.2), None, 503),
}
"""The styles by name."""

AWAY: dict[str, Any] = {"limit": TokenBucket(200, 1), "tells": None, "outages": [(2, 7)]}
"""The settings of a server of 200 requests a second that is unavailable from second 2 to 7."""

UNLIMITED = FixedWindow(10**9, 1)
"""The limit of a server that accepts every request."""


def styled(style: str, **settings: Any) -> Served:
    """Return a server of this style, with these settings of its limit and of its `Responder`."""
    make, tells, refusal = STYLES[style]
    answers = {name: settings.pop(name) for name in ("date_skew", "sheds", "seed") if name in settings}
    return Served(make(**settings), tells, refusal=refusal, **answers)

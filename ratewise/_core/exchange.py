"""What belongs to one call of a client, or of a bare transport: its options, and what has happened to it so far."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .._redaction.masker import DEFAULT, Masker
from .._validation import flag, refusal, seconds, whole

KEY = "ratewise"
"""Where a request's `extensions` carry the `Options` that a caller gives, and then the `Exchange`."""


class Options(NamedTuple):
    """Settings of one request. Made by `options()`."""

    max_attempts: int | None = None
    idempotency_key: str | None = None
    cache: str | None = None
    cache_ttl: float | None = None


def options(
    *,
    retry: bool | None = None,
    max_attempts: int | None = None,
    idempotency_key: str | None = None,
    cache: str | None = None,
    cache_ttl: float | None = None,
) -> dict[str, Any]:
    """Settings for one request, as an httpx `extensions` dict: `client.get(url, extensions=ratewise.options(retry=False))`.

    - `retry`: False sends the request once, whatever its outcome.
    - `max_attempts`: how often it is sent at most, the first time included; at least 1.
    - `idempotency_key`: the value of its `Idempotency-Key` header, which makes a POST or PATCH safe to retry.
    - `cache`: "bypass" leaves the cache alone; "refresh" asks the server, and stores what it says.
    - `cache_ttl`: seconds of at least 0, instead of the `ttl` of the cache.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """
    if max_attempts is not None:
        whole("max_attempts", max_attempts, least=1)
    if retry is not None and not flag("retry", retry):
        if max_attempts not in (None, 1):
            raise ValueError(refusal("max_attempts", max_attempts, "1 or left out where retry=False is given"))
        max_attempts = 1
    if idempotency_key is not None:
        allowed = "a string of 1 to 255 printable ASCII characters, without blanks at its ends"
        if not isinstance(idempotency_key, str):
            raise TypeError(refusal("idempotency_key", idempotency_key, allowed))
        key = idempotency_key
        if not (0 < len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip()):
            raise ValueError(refusal("idempotency_key", idempotency_key, allowed))
    if cache not in (None, "bypass", "refresh"):
        raise ValueError(refusal("cache", cache, '"bypass", "refresh" or None'))
    if cache_ttl is not None:
        cache_ttl = seconds("cache_ttl", cache_ttl)
    return {KEY: Options(max_attempts, idempotency_key, cache, cache_ttl)}


NO_OPTIONS = Options()


class Attempt(NamedTuple):
    """One failed attempt, and what was done about it."""

    number: int
    """1 for the first."""
    outcome: str
    """The status code, or the name of the error."""
    wait: float | None
    """Seconds waited after it before the next one; None if there was no next one."""
    reason: str
    """Why so long, or why there was no next one."""

    def __str__(self) -> str:
        then = "no retry" if self.wait is None else f"waited {self.wait:.3g} s"
        return f"attempt {self.number}: {self.outcome}, {then} ({self.reason})"


class Turn(NamedTuple):
    """What a rate limiter does with a request that it has seen refused: it waits there and, but for `backoff`, nowhere else."""

    number: float
    """Its place in the line: before all who came later."""
    wait: float
    """Seconds until it may be sent again, for all that is known."""
    max_wait: float
    """Seconds that the limiter lets anyone wait."""
    backoff: bool = False
    """It waits by the backoff before: it failed, and nothing says when one may come again."""


class Exchange:
    """One call, with the redirects and authentication round trips that belong to it. See `exchange_of`.

    Holds no request and no response.
    """

    # Defaults of the class: most calls change none but the number of attempts, and an `__init__` would set them all.
    options = NO_OPTIONS
    streamed = True
    """The caller reads the body as it pleases (`client.stream()`, a bare transport), maybe never."""
    attempts = 0
    """How many requests were sent."""
    sent_at = 0.0
    """When the last of them was, by the wall clock."""
    history: Sequence[Attempt] = ()
    """The attempts that failed, in order."""
    retry_after: float | None = None
    """Seconds that the server asked to wait with the last failed attempt, None if it did not say."""
    idempotency_key: str | None = None
    deadline: float | None = None
    """When the call must be done, by the monotonic clock; None if it may take as long as it takes."""
    permit: Any = None
    """What a circuit breaker let the attempt through with, where that is looked at again after a wait."""
    queued_until = 0.0
    """When it last left a queue of ours, by the same clock: what came before says nothing about the server."""
    turn: Turn | None = None
    """Set when a rate limiter has seen the attempt refused."""
    redactor: Masker = DEFAULT
    """What masks the URLs in the exceptions and log lines of this call."""
    _id: str | None = None

    @property
    def id(self) -> str:
        """The same in all log lines of this call, and in those of no other."""
        if self._id is None:
            self._id = os.urandom(6).hex()
        return self._id

    @property
    def told(self) -> dict[str, Any]:
        """What a log record of this call says beside its text."""
        return {"call_id": self.id, "attempt": self.attempts}

    @property
    def waits(self) -> list[float]:
        """Seconds waited before each retry, in order."""
        return [attempt.wait for attempt in self.history if attempt.wait is not None]

    def record(self, attempt: Attempt) -> None:
        """Add to the history."""
        self.history = (*self.history, attempt)

    def __repr__(self) -> str:
        return f"<Exchange attempts={self.attempts} history={[str(attempt) for attempt in self.history]}>"

    @classmethod
    def begin(cls, extensions: Mapping[str, Any], streamed: bool) -> Exchange:
        """A new call, with the options that the caller gave. A request that is sent again starts anew."""
        exchange, given = cls(), extensions.get(KEY)
        exchange.streamed = streamed
        if given is not None:
            if not isinstance(given, (Options, Exchange)):
                raise TypeError(refusal(f'extensions["{KEY}"]', given, "made with ratewise.options(...)"))
            exchange.options = given if isinstance(given, Options) else given.options
            exchange.idempotency_key = exchange.options.idempotency_key
        return exchange

    @classmethod
    def of(cls, extensions: Mapping[str, Any]) -> Exchange:
        """The call that a request belongs to. Requests that a layer made by itself may belong to none: a new one."""
        given = extensions.get(KEY)
        return given if type(given) is Exchange else cls.begin(extensions, streamed=True)


def exchange_of(outcome: object) -> Exchange:
    """The call that a response, or an exception, came of. A response has it in `extensions["ratewise"]` too.

    Raises `LookupError` if none is known: the response came through no RateWise transport, or the exception out of the body of
    a stream.
    """
    source = getattr(outcome, "response", None) or outcome  # `raise_for_status()` has its response
    found = getattr(outcome, KEY, None) or getattr(source, "extensions", {}).get(KEY)
    if type(found) is not Exchange:
        raise LookupError(f"of this {type(outcome).__name__} no call through a RateWise transport is known")
    return found

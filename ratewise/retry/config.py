"""The retry rules: when to retry, and after how long. Time and chance are arguments."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, Optional, Union

from .._http.throttling import Kind, Outcome
from .._keywords import explained
from .._util.durations import in_seconds
from .._util.lazy_regex import regex
from .._validation import flag, function, refusal, seconds, whole
from .backoff import Backoff, ExponentialBackoff, Jitter
from .budget import RetryBudget

STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes that are retried by default."""

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""Methods that are retried by default: the idempotent ones (RFC 9110, 9.2.2; QUERY: draft-ietf-httpbis-safe-method-w-body)."""

_TOKEN = regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2

SPREAD = 0.1
"""Part of a wait that the server asked for by which it is lengthened, at most, so that clients do not all return together."""


@explained()
@dataclass(frozen=True)
class RetryDecision:
    """Whether to retry, and how.

    A `decide=` function may return one: with `delay` in seconds (at least 0), or None for the wait that the rules would have
    chosen. Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    should_retry: bool
    delay: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        flag("should_retry", self.should_retry)
        if self.delay is not None:
            seconds("delay", self.delay)


Decide = Callable[[Any, Optional[Exception], int], Union[RetryDecision, bool, None]]


class Verdict(NamedTuple):
    """The decision about one outcome."""

    wait: float | None
    """Seconds to wait before the next attempt; None if there is none."""
    reason: str
    """Where the wait comes from, or why there is no next attempt."""
    retry_after: float | None = None
    """Seconds that the server asked to wait; None if it did not say."""


@explained()
class RetryConfig:
    """The retry rules.

    - `max_attempts`: the number of attempts, the first included; at least 1.
    - `retry_on_status`: the status codes that are retried, 100 to 599. A 403 that refuses because of a limit (it says how long to
      wait, or that nothing remains) counts as a 429; a 429 whose body says that the credit is spent is never retried.
    - `methods`: the methods that are retried even if the server may have acted on the request. Other methods are retried only
      if it cannot have acted: the request was never sent, or the status is 425, 429, or 503 with a Retry-After.
    - `backoff`: an `ExponentialBackoff`, or an object with its `delay` method. `initial_delay`, `max_delay`, `multiplier`,
      `jitter` and `jitter_ratio` are shorthands for one.
    - `respect_retry_after`: wait as long as the server asks. If False, the retry layer waits by `backoff` alone; a rate limiter
      still obeys the server.
    - `max_retry_after`: seconds. If the server asks for a longer wait, the outcome is returned at once.
    - `budget`: bounds the retries per server: True for a new `RetryBudget`, one to share, False for none.
    - `idempotency_key`: send an `Idempotency-Key` with each POST and PATCH, the same on every attempt, and retry it like a PUT.
      Only for servers that support this header.
    - `decide`: `decide(response, exception, attempt)` is called after every attempt, successful ones too; either `response` or
      `exception` is None. It returns a `RetryDecision`, a bool, or None to apply the rules. The body of `response` has not been
      read. It cannot exceed `max_attempts` or `max_retry_after`, retry when the credit is spent, or send again a body that can
      be read only once.

    Raises `TypeError` or `ValueError` for a value that is not allowed.
    """

    def __init__(
        self,
        max_attempts: int = 4,
        *,
        retry_on_status: Collection[int] = STATUSES,
        methods: Collection[str] = METHODS,
        backoff: Backoff | None = None,
        initial_delay: float | None = None,
        max_delay: float | None = None,
        multiplier: float | None = None,
        jitter: Jitter | None = None,
        jitter_ratio: float | None = None,
        respect_retry_after: bool = True,
        max_retry_after: float = 300.0,
        budget: RetryBudget | bool = True,
        idempotency_key: bool = False,
        decide: Decide | None = None,
    ) -> None:
        shorthands: dict[str, Any] = {
            "initial_delay": initial_delay,
            "max_delay": max_delay,
            "multiplier": multiplier,
            "jitter": jitter,
            "jitter_ratio": jitter_ratio,
        }
        shorthands = {name: value for name, value in shorthands.items() if value is not None}
        if backoff is None:
            backoff = ExponentialBackoff(**shorthands)
        elif shorthands:
            raise TypeError(f"backoff and {', '.join(shorthands)} were both given: say it in one of the two ways")
        if not isinstance(budget, (RetryBudget, bool)):
            raise TypeError(refusal("budget", budget, "a RetryBudget, True or False"))
        self.max_attempts = whole("max_attempts", max_attempts, least=1)
        self.retry_on_status = frozenset(_status(status) for status in _several("retry_on_status", retry_on_status))
        self.methods = frozenset(_method(method) for method in _several("methods", methods))
        self.backoff = checked_backoff("backoff", backoff)
        self.respect_retry_after = flag("respect_retry_after", respect_retry_after)
        self.max_retry_after = seconds("max_retry_after", max_retry_after)
        self.budget = RetryBudget() if budget is True else budget or None
        self.idempotency_key = flag("idempotency_key", idempotency_key)
        self.decide = None if decide is None else function("decide", decide, "response, exception and attempt")

    def __repr__(self) -> str:
        return f"RetryConfig({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def _counted(self, outcome: Outcome) -> int | None:
        """Return the status code that decides: 429 for a 403 that is a refusal, if 429 is retried (GitHub)."""
        refused = outcome.status == 403 and outcome.kind is Kind.REFUSED and 429 in self.retry_on_status
        return 429 if refused else outcome.status

    def _with_backoff(self, backoff: Backoff) -> RetryConfig:
        """Return the same rules with another backoff."""
        config = copy.copy(self)
        config.backoff = backoff
        return config

    def _judge(
        self,
        outcome: Outcome,
        attempt: int,
        *,
        method: str,
        max_attempts: int | None = None,
        wish: RetryDecision | bool | None = None,
        keyed: bool = False,
        replayable: bool = True,
        previous: float = 0.0,
        uniform: float = 0.5,
        left: float = math.inf,
    ) -> Verdict:
        """Decide what to do after `attempt` (1 for the first) ended in `outcome`.

        `max_attempts`: in place of the config's. `wish`: what `decide` returned. `keyed`: the request has an `Idempotency-Key`.
        `replayable`: its body can be sent again. `previous`: the wait before this attempt, in seconds. `uniform`: a random
        number from 0 to 1. `left`: seconds until the call's deadline.
        """
        most = self.max_attempts if max_attempts is None else max_attempts
        if not (wish is None or isinstance(wish, (RetryDecision, bool))):
            raise TypeError(refusal("what decide returns", wish, "a RetryDecision, True, False or None"))
        wanted, delay = (wish.should_retry, wish.delay) if isinstance(wish, RetryDecision) else (wish, None)
        if attempt >= most:
            refused = f"max_attempts ({most}) reached"
        elif outcome.kind is Kind.SPENT:
            refused = Kind.SPENT.value
        elif wanted is False:
            refused = "decide forbids it"
        else:
            refused = "" if wanted else self._refusal(outcome, method, keyed)
        if not refused and not replayable:
            refused = "the request body can be sent only once"
        if refused:
            return Verdict(None, refused, outcome.wait)

        asked = outcome.wait if self.respect_retry_after else None
        if delay is not None:
            reason = "decide"
        elif asked is not None and not outcome.estimated:
            delay, reason = asked, outcome.source
        else:
            delay = self.backoff.delay(attempt, previous=previous, uniform=uniform)
            delay, reason = seconds("the delay of the backoff", delay), "backoff"
            if asked is not None and asked > delay:
                delay, reason = asked, outcome.source
        said = f"{reason} asks for {in_seconds(delay)}"
        if reason != "backoff" and delay > self.max_retry_after:
            return Verdict(None, f"{said}, more than max_retry_after ({self.max_retry_after:g} s)", outcome.wait)
        if reason == outcome.source:
            delay *= 1 + SPREAD * uniform
        if delay >= left:
            return Verdict(None, f"{said}, with {in_seconds(max(left, 0))} left of total_timeout", outcome.wait)
        return Verdict(delay, reason, outcome.wait)

    def _most_waited(self, max_attempts: int) -> float:
        """Return the seconds for which a call waits before its retries, at most, if the server fails; 0 for another's backoff.

        That of the user's own is not asked: it may count how often it is.
        """
        if 503 not in self.retry_on_status or not isinstance(self.backoff, ExponentialBackoff):
            return 0.0
        return self.backoff._most_waited(max_attempts)

    def _refusal(self, outcome: Outcome, method: str, keyed: bool) -> str:
        """Return why the rules do not retry this outcome; "" if they do."""
        status, failure = self._counted(outcome), outcome.failure
        if outcome.kind is Kind.IMPOSSIBLE:
            return Kind.IMPOSSIBLE.value
        if status is not None and status not in self.retry_on_status:
            return f"{status} is not in retry_on_status"
        if outcome.fields.forbidden:
            return "the server asks not to retry"
        if method in self.methods or keyed:
            return ""
        nothing_done = status in (425, 429) or (status == 503 and outcome.fields.source != "")
        if nothing_done or (failure is not None and failure.never_sent):
            return ""
        return f"{method} is not idempotent, and the server may have acted on it"


def checked_backoff(setting: str, backoff: Backoff) -> Backoff:
    """Return `backoff` if it has a `delay` method."""
    if isinstance(backoff, type) or not callable(getattr(backoff, "delay", None)):
        raise TypeError(refusal(setting, backoff, "an ExponentialBackoff or an object with its delay method"))
    return backoff


def _several(setting: str, values: Any) -> Collection[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Collection):
        raise TypeError(refusal(setting, values, "a set, list or tuple"))
    return values


def _status(status: Any) -> int:
    allowed = "status codes from 100 to 599"
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError(refusal("retry_on_status", status, allowed))
    if not 100 <= status <= 599:
        raise ValueError(refusal("retry_on_status", status, allowed))
    return int(status)


def _method(method: Any) -> str:
    if not isinstance(method, str):
        raise TypeError(refusal("methods", method, "names of HTTP methods"))
    if not _TOKEN.fullmatch(method):
        raise ValueError(refusal("methods", method, "names of HTTP methods"))
    return method.upper()

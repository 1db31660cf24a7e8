"""The retry loop."""

from __future__ import annotations

import logging
import math
import random
from typing import Any, Callable, ClassVar

from .._core.call_state import Attempt, CallState, Reservation
from .._core.exchange import state_of
from .._core.order import Ordered
from .._core.outcomes import outcome_of, read_outcome_of
from .._http.throttling import Kind, Outcome
from .._util.durations import in_seconds
from .._util.escapes import escaped
from .._validation import refusal
from ..exceptions import RateWiseError
from ..layer import Call, Q, R
from .config import RetryConfig, Verdict

logger = logging.getLogger("ratewise")

KEY_HEADER = "Idempotency-Key"
"""The header field by which a server recognizes a repeated request (draft-ietf-httpapi-idempotency-key-header)."""

KEYED_METHODS = ("POST", "PATCH")
"""Methods to which `RetryConfig(idempotency_key=True)` adds a key."""

NEVER_KEYED_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that never get a key: one of a POST would follow a redirect (RFC 9110, 15.4.4) to where it means nothing."""


class RetryLayer(Ordered):
    """Sends a request again as `config` says. A discarded response is closed before the wait.

    `uniform` gives the random numbers from 0 to 1 that spread the waits.
    """

    _off: ClassVar[bool] = False
    """Whether each request of this process is sent once: `ratewise.testing.retries_off`."""

    def __init__(self, config: RetryConfig | None = None, *, uniform: Callable[[], float] = random.random) -> None:
        if config is not None and not isinstance(config, RetryConfig):
            raise TypeError(refusal("config", config, "a RetryConfig"))
        self.config = config or RetryConfig()
        self._kind = "retry" if self.config.max_attempts > 1 else None
        self._uniform = uniform
        self._patience = self.config._most_waited(self.config.max_attempts)
        self._suspect = self.config.retry_on_status | {403}

    def __repr__(self) -> str:
        return f"RetryLayer({self.config!r})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request, and send it again as long as the rules say so."""
        config, http, state = self.config, call.http, state_of(request)
        if config.budget is not None:
            config.budget._accounts[state.origin(request, http)].requests += 1
        rewind = http.rewinder(request)
        if state.idempotency_key or config.idempotency_key:
            request = self._keyed(request, state, call)
        attempt, waited = 1, 0.0
        if rewind is not None and (request.method in config.methods or KEY_HEADER in request.headers):
            most = self._most_attempts(state)
            state.patience = self._patience if most == config.max_attempts else config._most_waited(most)
        else:
            state.patience = 0.0  # its failures are not retried
        while True:
            state.reservation = None  # of an attempt that another layer answered
            try:
                response = await call.send(request)
                status = response.status_code
                if status not in self._suspect or (status == 403 and self._is_plain_403(response, state, call)):
                    if not state.streamed:
                        await http.buffer(response)  # so that a body that breaks off is a failure of this attempt
                    if config.decide is None:
                        return response
            except RateWiseError:
                raise
            except http.TransportError as error:
                reservation, state.reservation = state.reservation, None
                verdict = await self._judge(request, None, error, attempt, waited, rewind, reservation, state, call)
                if verdict.wait is None:
                    _annotate(error, request, state)
                    raise
            else:
                reservation, state.reservation = state.reservation, None
                try:
                    verdict = await self._judge(request, response, None, attempt, waited, rewind, reservation, state, call)
                except BaseException:  # raised by `decide` or by the backoff
                    await call.close(response, request)
                    raise
                if verdict.wait is None:
                    if not state.streamed:  # a last 429 is returned even if its body breaks off
                        limited = config._counted(outcome_of(response, state, call)) == 429
                        await http.buffer(response, tolerant=limited)
                    return response
                await call.close(response, request)
            if reservation is None or reservation.backoff or verdict.reason == "decide":  # else the limiter makes it wait
                await call.sleep(verdict.wait)
                state.patience -= verdict.wait
            if reservation is not None:
                state.number = reservation.number
            attempt, waited = attempt + 1, verdict.wait

    def _keyed(self, request: Q, state: CallState, call: Call[Q, R]) -> Q:
        """Return the request with the idempotency key of the call, unless it has one or needs none."""
        if request.method not in KEYED_METHODS and state.options.idempotency_key is None:
            return request
        if request.method in NEVER_KEYED_METHODS or KEY_HEADER in request.headers:
            return request
        if state.idempotency_key is None:
            import uuid

            state.idempotency_key = str(uuid.uuid4())
        return call.http.with_header(request, KEY_HEADER, state.idempotency_key)

    def _most_attempts(self, state: CallState) -> int:
        return 1 if self._off else state.options.max_attempts or self.config.max_attempts

    def _is_plain_403(self, response: R, state: CallState, call: Call[Q, R]) -> bool:
        """Whether a 403 is not retried, as most are not."""
        return 403 not in self.config.retry_on_status and self.config._counted(outcome_of(response, state, call)) == 403

    async def _judge(
        self,
        request: Q,
        response: R | None,
        error: Exception | None,
        attempt: int,
        waited: float,
        rewind: Callable[[], object] | None,
        reservation: Reservation | None,
        state: CallState,
        call: Call[Q, R],
    ) -> Verdict:
        """Apply the rules and `decide`. Record the decision in the history and, if it is a retry, in the log.

        The body of a 429 is read only if it would be retried.
        """
        config = self.config
        max_attempts = self._most_attempts(state)
        result: Any = response if error is None else error
        outcome = outcome_of(result, state, call)
        told = str(outcome.status) if error is None else type(error).__name__
        left = math.inf if state.deadline is None else state.deadline - call.clock.monotonic()
        verdict = config._judge(
            outcome,
            attempt,
            method=request.method,
            max_attempts=max_attempts,
            wish=None if config.decide is None else config.decide(response, error, attempt),
            keyed=KEY_HEADER in request.headers,
            replayable=rewind is not None,
            previous=waited,
            uniform=self._uniform(),
            left=left,
        )
        if verdict.wait is not None and reservation is not None and reservation.over:
            verdict = Verdict(None, "the server is down", verdict.retry_after)
        elif verdict.wait is not None and reservation is not None and not reservation.backoff and verdict.reason != "decide":
            verdict = _paced(verdict, reservation, left)
        elif verdict.wait is not None and reservation is not None and verdict.reason == "backoff":
            verdict = verdict._replace(wait=min(verdict.wait, reservation.patience))
        if verdict.wait is not None and response is not None and not outcome.read:
            outcome = await read_outcome_of(response, request, state, call)
            if outcome.kind is Kind.SPENT:
                verdict = verdict._replace(wait=None, reason=Kind.SPENT.value)
        if verdict.wait is not None and reservation is None and not self._affordable(request, outcome, state, call):
            verdict = verdict._replace(wait=None, reason="retry budget exhausted")
        if verdict.wait is not None and rewind is not None:
            try:
                rewind()
            except (OSError, ValueError) as problem:
                why = state.redactor.line(str(problem))
                verdict = verdict._replace(wait=None, reason=f"the request body cannot be sent again: {why}")
        status = config._counted(outcome)
        if verdict.wait is not None or error is not None or status in config.retry_on_status:
            state.retry_after = verdict.retry_after
            state.record(Attempt(state.attempts, told, verdict.wait, verdict.reason))
        if verdict.wait is not None:
            logger.warning(
                "Retry: %s %s: attempt %d of %d failed (%s); next in %s (%s)",
                escaped(request.method),
                state.redactor.url(request.url),
                attempt,
                max_attempts,
                told,
                in_seconds(verdict.wait),
                verdict.reason,
                extra=state.log_fields,
            )
        return verdict

    def _affordable(self, request: Q, outcome: Outcome, state: CallState, call: Call[Q, R]) -> bool:
        """Withdraw the retry from the budget; return whether it allows it. An attempt that was never sent is free."""
        budget, failure = self.config.budget, outcome.failure
        if budget is None or (failure is not None and failure.never_sent):
            return True
        return budget._withdraw(state.origin(request, call.http), call.clock.monotonic())


def _paced(verdict: Verdict, reservation: Reservation, left: float) -> Verdict:
    """Return the decision about a retry for which the rate limiter waits. `left`: seconds until the deadline."""
    if reservation.wait > reservation.max_wait:
        then = f"the limit is used up for {in_seconds(reservation.wait)}, longer than max_wait ({reservation.max_wait:g} s)"
    elif reservation.wait >= left:
        then = f"the limit is used up for {in_seconds(reservation.wait)}, with {in_seconds(max(left, 0))} left of total_timeout"
    else:
        reason = "rate limit" if verdict.reason == "backoff" else verdict.reason
        return verdict._replace(wait=reservation.wait, reason=reason)
    return Verdict(None, then, max(verdict.retry_after or 0.0, reservation.wait))


def _annotate(error: Exception, request: Any, state: CallState) -> None:
    """Add the history to the traceback, if this Python has notes (3.11, PEP 678)."""
    add_note = getattr(error, "add_note", None)
    if add_note is not None:  # pragma: no branch
        history = "; ".join(map(str, state.history))
        add_note(f"RateWise: {escaped(request.method)} {state.redactor.url(request.url)}: {history}")

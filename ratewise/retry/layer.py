"""The retry loop."""

from __future__ import annotations

import logging
import math
import random
from typing import Any, Callable

from .._core.credit import spent
from .._core.exchange import KEY, Attempt, Exchange, Turn
from .._core.order import Ordered
from .._http.retry_advice import retry_advice
from .._util.escapes import escaped
from .._validation import refusal
from ..exceptions import RateWiseError
from ..layer import Call, Q, R
from .config import Outcome, RetryConfig, Verdict

logger = logging.getLogger("ratewise")

KEY_HEADER = "Idempotency-Key"
KEYED = ("POST", "PATCH")
"""Methods that get a key with `RetryConfig(idempotency_key=True)`."""
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that never get one, so that it does not follow a redirect (RFC 9110, 15.4.4) to where it means nothing."""


class RetryLayer(Ordered):
    """Sends a request again as its `config` says. What is discarded is closed before the wait.

    `uniform` gives the random numbers from 0 to 1 that spread the waits.
    """

    def __init__(self, config: RetryConfig | None = None, *, uniform: Callable[[], float] = random.random) -> None:
        if config is not None and not isinstance(config, RetryConfig):
            raise TypeError(refusal("config", config, "a RetryConfig"))
        self.config = config or RetryConfig()
        self.kind = "retry" if self.config.max_attempts > 1 else None
        self._uniform = uniform
        self._suspect = self.config.retry_on_status | {403}

    def __repr__(self) -> str:
        return f"RetryLayer({self.config!r})"

    async def handle(self, request: Q, call: Call[Q, R]) -> R:
        """Send the request, and send it again while the rules say so."""
        config = self.config
        http = call.http
        exchange = request.extensions.get(KEY)
        if type(exchange) is not Exchange:  # asked here first: most requests have one
            exchange = Exchange.of(request.extensions)
        budget = config.budget
        if budget is not None:
            budget.accounts[http.origin(request)].requests += 1
        rewind = http.rewinder(request)
        if exchange.idempotency_key or config.idempotency_key:
            request = self._keyed(request, exchange, call)
        attempt, waited, turn = 1, 0.0, None
        while True:
            try:
                response = await call.send(request)
                if response.status_code not in self._suspect or self._is_plain_403(response, call):
                    if not exchange.streamed:
                        await http.buffer(response)  # so that a body that breaks off is a failure of this attempt
                    if config.decide is None:
                        return response
            except RateWiseError:
                raise
            except call.http.TransportError as error:
                if exchange.turn is turn:  # of the attempt before: nobody has asked for it since
                    exchange.turn = None
                verdict = await self._judge(request, None, error, attempt, waited, rewind, exchange, call)
                if verdict.wait is None:
                    _annotate(error, request, exchange)
                    raise
            else:
                if exchange.turn is turn:
                    exchange.turn = None
                try:
                    verdict = await self._judge(request, response, None, attempt, waited, rewind, exchange, call)
                except BaseException:  # out of the user's own functions
                    await call.close(response, request)
                    raise
                if verdict.wait is None:
                    if not exchange.streamed:  # what a last 429 says matters less than that it came
                        limited = config.counted(response.status_code, verdict.retry_after) == 429
                        await http.buffer(response, tolerant=limited)
                    return response
                await call.close(response, request)
            if exchange.turn is None or exchange.turn.backoff or verdict.reason == "decide":  # else the limiter makes it wait
                await call.sleep(verdict.wait)
            attempt, waited, turn = attempt + 1, verdict.wait, exchange.turn

    def _keyed(self, request: Q, exchange: Exchange, call: Call[Q, R]) -> Q:
        """The request with the call's idempotency key, if it is to have one and has none."""
        if request.method not in KEYED and exchange.options.idempotency_key is None:
            return request
        if request.method in SAFE or KEY_HEADER in request.headers:
            return request
        if exchange.idempotency_key is None:
            import uuid

            exchange.idempotency_key = str(uuid.uuid4())
        return call.http.with_header(request, KEY_HEADER, exchange.idempotency_key)

    def _is_plain_403(self, response: R, call: Call[Q, R]) -> bool:
        """Whether it is a 403 that is not retried, as most are not."""
        if response.status_code != 403 or 403 in self.config.retry_on_status:
            return False
        return self.config.counted(403, retry_advice(response.headers.raw, call.clock.time()).wait) == 403

    async def _judge(
        self,
        request: Q,
        response: R | None,
        error: Exception | None,
        attempt: int,
        waited: float,
        rewind: Callable[[], object] | None,
        exchange: Exchange,
        call: Call[Q, R],
    ) -> Verdict:
        """What the rules, and the user's own, say; noted in the exchange and, if it is a retry, in the log.

        The body of a 429 is looked at only where it would be retried.
        """
        config = self.config
        max_attempts = exchange.options.max_attempts or config.max_attempts
        if error is not None:
            outcome, told = Outcome(failure=call.http.failure(error)), type(error).__name__
        else:
            assert response is not None
            outcome, told = Outcome(response.status_code, response.headers.raw), str(response.status_code)
        left = math.inf if exchange.deadline is None else exchange.deadline - call.clock.monotonic()
        verdict = config.judge(
            outcome,
            attempt,
            method=request.method,
            max_attempts=max_attempts,
            wish=None if config.decide is None else config.decide(response, error, attempt),
            keyed=KEY_HEADER in request.headers,
            replayable=rewind is not None,
            now=call.clock.time(),
            previous=waited,
            uniform=self._uniform(),
            left=left,
        )
        if verdict.wait is not None and exchange.turn is not None and not exchange.turn.backoff and verdict.reason != "decide":
            verdict = _paced(verdict, exchange.turn, left)
        if verdict.wait is not None and response is not None and await spent(response, request, call):
            verdict = verdict._replace(wait=None, reason="the caller's credit is spent: waiting does not help")
        if verdict.wait is not None and exchange.turn is None and not self._affordable(request, outcome, call):
            verdict = verdict._replace(wait=None, reason="so much fails there that the retry budget is used up")
        if verdict.wait is not None and rewind is not None:
            try:
                rewind()
            except (OSError, ValueError) as problem:
                why = exchange.redactor.line(str(problem))
                verdict = verdict._replace(wait=None, reason=f"its body cannot be sent again: {why}")
        exchange.retry_after = verdict.retry_after
        status = config.counted(outcome.status, verdict.retry_after)
        if verdict.wait is not None or error is not None or status in config.retry_on_status:
            exchange.record(Attempt(exchange.attempts, told, verdict.wait, verdict.reason))
        if verdict.wait is not None:
            logger.warning(
                "Retry: %s %s: attempt %d of %d got %s, the next in %.3g s (%s)",
                escaped(request.method),
                exchange.redactor.url(request.url),
                attempt,
                max_attempts,
                told,
                verdict.wait,
                verdict.reason,
                extra=exchange.told,
            )
        return verdict

    def _affordable(self, request: Q, outcome: Outcome, call: Call[Q, R]) -> bool:
        """Within the budget, and paid for. What was never sent is no load on the server, and free."""
        budget, failure = self.config.budget, outcome.failure
        if budget is None or (failure is not None and failure.never_sent):
            return True
        return budget.withdraw(call.http.origin(request), call.clock.monotonic())


def _paced(verdict: Verdict, turn: Turn, left: float) -> Verdict:
    """What becomes of a retry that a rate limiter makes wait. `left`: seconds until the deadline."""
    if turn.wait > turn.max_wait:
        then = f"its limit is used up for {turn.wait:.6g} s, longer than max_wait ({turn.max_wait:g} s)"
    elif turn.wait >= left:
        then = f"its limit is used up for {turn.wait:.6g} s, with {max(left, 0):.3g} s left of total_timeout"
    else:
        return verdict._replace(wait=turn.wait)
    return verdict._replace(wait=None, reason=then)


def _annotate(error: Exception, request: Any, exchange: Exchange) -> None:
    """Tell the history with the traceback, where this Python can (3.11, PEP 678)."""
    add_note = getattr(error, "add_note", None)
    if add_note is not None:  # pragma: no branch
        history = "; ".join(map(str, exchange.history))
        add_note(f"RateWise: {escaped(request.method)} {exchange.redactor.url(request.url)}: {history}")

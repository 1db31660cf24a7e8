"""The retry loop."""

from __future__ import annotations

import logging
import math
import random
from typing import Any, Callable

from ..exceptions import RateWiseError
from ..exchange import KEY, Attempt, Exchange
from ..layer import Call, Q, R
from ..redact import DEFAULT as REDACTOR
from ..validation import refusal
from .rules import Outcome, RetryConfig, Verdict

logger = logging.getLogger("ratewise")

KEY_HEADER = "Idempotency-Key"
KEYED = ("POST", "PATCH")
"""Methods that get a key with `RetryConfig(idempotency_key=True)`."""
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that never get one, so that it does not follow a redirect (RFC 9110, 15.4.4) to where it means nothing."""


class RetryLayer:
    """Sends a request again as its `config` says. What is discarded is closed before the wait.

    `uniform` gives the random numbers from 0 to 1 that spread the waits.
    """

    def __init__(self, config: RetryConfig | None = None, *, uniform: Callable[[], float] = random.random) -> None:
        if config is not None and not isinstance(config, RetryConfig):
            raise TypeError(refusal("config", config, "a RetryConfig"))
        self.config = config or RetryConfig()
        self._uniform = uniform

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
        attempt, waited = 1, 0.0
        while True:
            try:
                response = await call.send(request)
                if response.status_code not in config.statuses:
                    if not exchange.streamed:
                        await http.buffer(response)  # so that a body that breaks off is a failure of this attempt
                    if config.decide is None:
                        return response
            except RateWiseError:
                raise
            except call.http.TransportError as error:
                verdict = self._judge(request, None, error, attempt, waited, rewind, exchange, call)
                if verdict.wait is None:
                    _annotate(error, request, exchange)
                    raise
            else:
                try:
                    verdict = self._judge(request, response, None, attempt, waited, rewind, exchange, call)
                except BaseException:  # out of the user's own functions
                    await call.close(response, request)
                    raise
                if verdict.wait is None:
                    if not exchange.streamed:  # what a last 429 says matters less than that it came
                        await http.buffer(response, tolerant=response.status_code == 429)
                    return response
                await call.close(response, request)
            await call.sleep(verdict.wait)
            attempt, waited = attempt + 1, verdict.wait

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

    def _judge(
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
        """What the rules, and the user's own, say; noted in the exchange and, if it is a retry, in the log."""
        config = self.config
        max_attempts = exchange.options.max_attempts or config.max_attempts
        if error is not None:
            outcome, told = Outcome(failure=call.http.failure(error)), type(error).__name__
        else:
            assert response is not None
            outcome, told = Outcome(response.status_code, response.headers.raw), str(response.status_code)
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
            left=math.inf if exchange.deadline is None else exchange.deadline - call.clock.monotonic(),
        )
        if verdict.wait is not None and not self._affordable(request, outcome, call):
            verdict = verdict._replace(wait=None, reason="so much fails there that the retry budget is used up")
        if verdict.wait is not None and rewind is not None:
            try:
                rewind()
            except (OSError, ValueError) as problem:
                verdict = verdict._replace(wait=None, reason=f"its body cannot be sent again: {problem}")
        exchange.retry_after = verdict.retry_after
        if verdict.wait is not None or error is not None or outcome.status in config.statuses:
            exchange.record(Attempt(exchange.attempts, told, verdict.wait, verdict.reason))
        if verdict.wait is not None:
            logger.warning(
                "Retry: %s %s: attempt %d of %d got %s, the next in %.3g s (%s)",
                request.method,
                REDACTOR.url(request.url),
                attempt,
                max_attempts,
                told,
                verdict.wait,
                verdict.reason,
            )
        return verdict

    def _affordable(self, request: Q, outcome: Outcome, call: Call[Q, R]) -> bool:
        """Within the budget, and paid for. What was never sent is no load on the server, and free."""
        budget, failure = self.config.budget, outcome.failure
        if budget is None or (failure is not None and failure.never_sent):
            return True
        return budget.withdraw(call.http.origin(request), call.clock.monotonic())


def _annotate(error: Exception, request: Any, exchange: Exchange) -> None:
    """Tell the history with the traceback, where this Python can (3.11, PEP 678)."""
    add_note = getattr(error, "add_note", None)
    if add_note is not None:  # pragma: no branch
        history = "; ".join(map(str, exchange.history))
        add_note(f"RateWise: {request.method} {REDACTOR.url(request.url)}: {history}")

"""How a limited server answers: what its limit decides, told in a header family, unless it is failing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .. import _validation
from .._http.dates import http_date_of
from .families import FAMILIES, Headers, Tells, nothing
from .limits import SECOND, Limit, nanoseconds
from .server import Reply


class Answer(NamedTuple):
    """One answer of a limited server."""

    status: int
    headers: Headers
    body: bytes
    accepted: bool
    """Whether the request was within the limit, or under none."""
    seconds: float = 0.0
    """Seconds that the server works on the request."""


class Responder:
    """Answers requests as limits decide, with time as an argument.

    - `tells`: the name of a header family (`FAMILIES`), a function of a `Quota` that returns header fields or a `Reply`;
      None: nothing.
    - `refusal`: the status of a refusal; None: that of the family, which is 429 for most.
    - `sheds`: the fraction of requests, 0 to 1, that get a 503 at random and are not counted. `seed`: of these random choices.
    - `outages`: pairs of the second in which a period begins, and the second in which it ends, in which all get such a 503.
    - `date_skew`: seconds by which the server's wall clock is fast; negative: slow.

    `failed` counts the 503s.
    """

    def __init__(
        self,
        tells: str | Tells | None = None,
        *,
        refusal: int | None = None,
        sheds: float = 0.0,
        seed: int = 0,
        outages: Sequence[tuple[float, float]] = (),
        date_skew: float = 0.0,
    ) -> None:
        if isinstance(tells, str) and tells not in FAMILIES:
            raise ValueError(_validation.refusal("tells", tells, f"a function, None or one of {', '.join(FAMILIES)}"))
        found = FAMILIES[tells] if isinstance(tells, str) else tells
        self._tells: Tells = nothing if found is None else _validation.function("tells", found, "the quota")
        self._refusal = refusal if refusal is None else _validation.whole("refusal", refusal, least=400)
        self._sheds = _validation.factor("sheds", sheds, least=0, most=1)
        self._random = random.Random(seed)
        self.outages = [
            (_validation.seconds("outages", since), _validation.seconds("outages", until)) for since, until in outages
        ]
        self._skew = nanoseconds(_validation.factor("date_skew", date_skew, least=-1e9, most=1e9))
        self.failed = 0

    def answer(self, limit: Limit | None, now: float) -> Answer:
        """Answer a request under a limit, or under none, at second `now` of the server, which never decreases."""
        if any(since <= now < until for since, until in self.outages) or self._random.random() < self._sheds:
            self.failed += 1
            return Answer(503, [], b"unavailable", False)
        if limit is None:
            return Answer(200, [], b"ok", True)
        quota = limit.take(now)
        quota = quota._replace(wall=quota.wall + self._skew)
        told = self._tells(quota)
        if not isinstance(told, Reply):
            fields = tuple(told.items() if isinstance(told, Mapping) else told)
            told = Reply(200, fields) if quota.accepted else Reply(429, fields, b"rate limit exceeded")
        status = told.status if quota.accepted else self._refusal or told.status
        headers = [("Date", http_date_of(quota.wall // SECOND).decode()), *told.fields()]
        return Answer(status, headers, told.body, quota.accepted, limit.takes if quota.accepted else 0.0)

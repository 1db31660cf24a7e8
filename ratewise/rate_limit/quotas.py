"""The limits of a server of which responses tell, and which route is bound by which."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol, Union

from .quota_bucket import QuotaBucket
from .quota_window import QuotaWindow
from .server_limit import ServerLimit
from .sliding_window import SlidingWindow

if TYPE_CHECKING:
    from .._http.rate_limit_headers import Quota, RateLimitFields

LONGEST_WINDOW = 40 * 86_400.0
"""Seconds: the length of a window, at most. Longer ones are ignored."""


MOST_QUOTAS = 64
"""Quotas of one key that are remembered, at most."""

Kind = Union[type[QuotaBucket], type[QuotaWindow]]


class Bound(Protocol):
    """A route, as far as quotas bind it."""

    quotas: tuple[ServerLimit, ...]
    """Those that its latest answer told."""
    answered: bool
    """Whether an answer has shown by which quotas it is bound."""


def kind_of(quota: Quota) -> Kind | None:
    """What kind of limit that is; None if it tells too little, or nothing of a rate."""
    if quota.remaining is None or (quota.limit is not None and quota.limit < 1) or quota.unit == "concurrent-requests":
        return None  # Okta tells its limit on concurrency as 0
    if max(quota.reset or 0.0, quota.window or 0.0) > LONGEST_WINDOW:
        return None
    if quota.reset is None and quota.window is None:
        return None
    return QuotaBucket if quota.kind == "bucket" and quota.limit and quota.reset is not None else QuotaWindow


class Quotas:
    """The quotas that a server tells for one key, and which routes are bound by which."""

    def __init__(self, pace: bool) -> None:
        self._pace = pace
        self._known: list[ServerLimit] = []
        self.full = False
        """Whether some were forgotten because there were too many."""

    def told(
        self,
        lanes: Collection[Bound],
        lane: Bound,
        told: RateLimitFields,
        sent: float,
        now: float,
        others: int,
        refused: bool,
    ) -> None:
        """Bind a route by the quotas that the answer to one of its requests tells. `others`: as of `ServerLimit.told`."""
        bound: list[ServerLimit] = []
        for quota in told.quotas:
            kind = kind_of(quota)
            if kind is not None:
                limit = self._find(lanes, lane, told.bucket, quota, kind, sent, now)
                if isinstance(limit, QuotaWindow) and limit.slides(quota, sent, now):
                    limit = self._slide(lanes, limit, quota)
                limit.told(quota, sent, now, others, refused)
                limit.asked_at = now
                bound.append(limit)
        if bound or not refused:
            lane.quotas, lane.answered = tuple(bound), True

    def _find(
        self, lanes: Collection[Bound], lane: Bound, bucket: str | None, quota: Quota, kind: Kind, sent: float, now: float
    ) -> ServerLimit:
        """Return the limit of which an answer tells: that of its route before, one of another route, or a new one.

        Limits are the same if the server gives them the same bucket; else if their names, sizes and turns are the same.
        """

        def alike(limit: ServerLimit) -> bool:
            return (limit.bucket, limit.name) == (bucket, quota.name) and isinstance(limit, (kind, SlidingWindow))

        for limit in filter(alike, lane.quotas):
            shared = any(limit in each.quotas for each in lanes if each is not lane)
            if bucket is not None or quota.limit in (None, limit.limit) or not shared:
                return limit
        for limit in filter(alike, reversed(self._known)):
            if bucket is not None or (quota.limit in (None, limit.limit) and limit.agrees(quota, sent, now)):
                return limit
        if len(self._known) >= MOST_QUOTAS:
            unused = (at for at, each in enumerate(self._known) if not any(each in one.quotas for one in lanes))
            del self._known[next(unused, 0)]
            self.full = True
        new = kind(quota, self._pace)
        new.bucket = bucket
        self._known.append(new)
        return new

    def _slide(self, lanes: Collection[Bound], window: QuotaWindow, quota: Quota) -> SlidingWindow:
        """Put a sliding window in the place of one that turned out to be one."""
        new = SlidingWindow(quota, window.log)
        new.bucket = window.bucket
        self._known = [new if limit is window else limit for limit in self._known]
        for lane in lanes:
            lane.quotas = tuple(new if limit is window else limit for limit in lane.quotas)
        return new

    def idle(self, now: float) -> bool:
        """Return whether all can be forgotten without a loss."""
        return all(limit.idle(now) for limit in self._known)

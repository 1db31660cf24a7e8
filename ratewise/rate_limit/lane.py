"""One route of a key: its queue, and what holds it back. Times are arguments, in seconds, monotonic."""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from .._core.key_state import OFFER_TIMEOUT, KeyState, Ticket
from .meter import Meter
from .pause import HOUR
from .server_limit import ServerLimit

if TYPE_CHECKING:
    from .gate import Gate

AGAIN, LOOK = 0.001, 60.0
"""Seconds after which a queue asks again whether a request may be sent: at the earliest, and at the latest."""

UNLIMITED = 1_000_000
"""Requests: more than ever wait."""


class Signal(enum.Enum):
    """What a server made of a request, as far as limits go."""

    ACCEPTED = "accepted"
    REFUSED = "refused: it asks to come back later"
    OVERLOADED = "failed: it is too busy, and does not say for how long"
    FAILED = "failed: no connection, no answer in time, or an error of its own"


class Sent(NamedTuple):
    """What is noted when a request is sent."""

    at: float
    number: int
    """How many of its key were sent before it."""
    token: Hashable = None
    """Under which it is counted until it is answered or lost; None if it is not counted."""
    overtaken: int = 0
    """How many were sent before it that the server may have counted after it."""


class Lane(KeyState):
    """One route: its queue, the limit that was discovered for it, and the quotas of the server that bind it."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate, self.meter = gate, Meter(gate.cautious)
        self.quotas: tuple[ServerLimit, ...] = ()
        """Those that its latest answer told."""
        self.answered = False
        """Whether an answer has shown by which quotas it is bound."""
        self.unanswered: set[Hashable] = set()
        """The tokens of the requests that were sent and are not answered."""
        self.recent: dict[int, float] = {}
        """When those were sent, by number, that are not answered and may not be counted by the server yet."""
        self.accepted_at = self.refused_at = -math.inf
        """When a request was accepted last, and when one was refused."""
        self.refusal: Any = None
        """What is told of the latest refusal: status code and header."""
        self._between: tuple[float, float] | None = None
        """After an outage: the numbers between which the next request lines up."""

    def together(self) -> Sequence[KeyState]:
        lanes = self.gate.lanes
        return (self,) if len(lanes) == 1 else [lane for lane in lanes.values() if lane.queue or lane is self]

    def common(self, now: float) -> float:
        return self.gate.free(now)

    def own(self, now: float) -> float:
        meter, flying = self.meter, len(self.unanswered)
        free = UNLIMITED if meter.quiet else meter.free(now, flying)
        for quota in self.gate.quotas_of(self):
            left = quota.free(now, self.gate.recent(quota, now), len(self.queue))
            if left < 1 and (now >= quota.asked_at + HOUR or not (self.answered or flying)):
                left = 1  # one asks whether that still holds, or by which quotas its route is bound
            free = min(free, left)
        return free

    def available(self, now: float) -> int:
        return int(min(self.own(now), self.gate.free(now)))

    def next_available(self, now: float) -> float:
        opens = self.gate.opens(self, now, 0)[0]
        return min(max(opens, AGAIN), LOOK) if opens < math.inf else OFFER_TIMEOUT  # who holds the place may be gone

    def acquire(self, ticket: Ticket, now: float) -> Sent:
        return self.gate.send(self, now, ref(ticket, self.unanswered.discard))

    def in_use(self, now: float) -> bool:
        """Return whether something is known of this route that must be kept."""
        return bool(self.taken or self.unanswered or self.quotas or not self.meter.quiet)

    def queue_number(self, number: float) -> float:
        if self._between is None or not self.queue:
            self._between = None
            return number
        before, end = self._between
        before = max(before + 1, self.queue[0].number)
        self._between = (before, end) if before < end else None
        return before + 0.5 if before < end else number

    def reopen(self, number: float) -> None:
        """After an outage those who come line up between those who have waited longer, up to this number."""
        self._between = -math.inf, number

    @property
    def paused(self) -> Meter | None:
        """The meter whose pause holds this route back, if one does."""
        gate = self.gate
        return gate.meter if gate.wide and gate.meter.pause else self.meter if self.meter.pause else None

    @property
    def down(self) -> bool:
        """Whether the server has only failed since it last accepted something."""
        paused = self.paused
        return paused is not None and paused.pause is not None and paused.pause.down

    def before(self, sent: float) -> int:
        """Return how many that are not answered were sent before this."""
        return sum(at <= sent for at in self.recent.values())

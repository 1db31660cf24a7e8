"""The initial phase: nothing is known, and all requests may go at once."""

from __future__ import annotations

from ratewise.rate_limit.found import UNLIMITED, Burst
from tests.rate_limit.found.senders import Hand, answered


def test_when_it_came_there() -> None:
    """The server is assumed to see a request in the middle of its round trip."""
    assert answered(1.0, sent=0.5).there == 0.75


def test_a_burst() -> None:
    """All may go until the first answer; then none until half of them are answered, or for one second."""
    hand = Hand(Burst(1.0))
    assert (hand.phase.free(1.0, 0), hand.phase.opens(1.0, 0, 9)) == (UNLIMITED, 0.0)
    hand.go(1.0, 1.0, 1.0, 1.0)
    assert hand.accept(1.25, 0) is hand.phase
    assert [hand.phase.free(now, 3) for now in (1.25, 2.0, 2.25)] == [0, 0, UNLIMITED]
    assert [hand.phase.opens(now, 3, 0) for now in (1.25, 2.0, 2.25)] == [1.0, 0.25, 0.0]
    assert hand.phase.accepted_since == 2
    assert hand.accept(1.3, 1) is None


def test_a_burst_knows_nothing() -> None:
    """A refusal ends the phase, and there is nothing to keep in a snapshot."""
    burst = Burst(1.0)
    assert (burst.refused(answered(), None), burst.kept(1.0), burst.vague) == (None, None, True)  # type: ignore[func-returns-value]

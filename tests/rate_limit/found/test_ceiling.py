"""Concurrency limits: how many requests may be in flight at once."""

from __future__ import annotations

from ratewise.rate_limit.found import Ceiling
from tests.rate_limit.found.senders import answered


def test_a_ceiling() -> None:
    """At most this many are in flight, and only answers release slots; a snapshot keeps the limit."""
    ceiling = Ceiling(8)
    ceiling.come(0.0, 0)
    assert [ceiling.free(0.0, in_flight) for in_flight in (0, 5, 8, 9)] == [8, 3, 0, 0]
    assert (ceiling.opens(0.0, 8, 5), ceiling.vague) == (0.0, False)
    assert ceiling.kept(0.0) == {"kind": "concurrency", "requests": 8}


def test_a_ceiling_is_felt_for() -> None:
    """An unknown limit is probed from one upwards, by the root of the accepted requests, faster if these are slow."""
    quick, slow = Ceiling(None), Ceiling(None)
    for _ in range(8):
        assert quick.accepted(answered(sent=1.0)) is quick
        assert slow.accepted(answered(sent=0.88)) is slow
    assert (quick.most, slow.most, quick.vague, quick.kept(1.0)) == (3, 6, True, None)
    assert (quick.opened, quick.accepted_since) == (1.0, 8)


def test_no_ceiling() -> None:
    """If 64 concurrent requests are accepted, there is no concurrency limit."""
    ceiling, accepted = Ceiling(None), 0
    while ceiling.accepted(answered(sent=1.0)) is not None:
        accepted += 1
    assert accepted == 63**2 - 1


def test_one_more_now_and_then() -> None:
    """After five full rounds one more is tried; once two rounds of these are accepted, two more are tried after a round."""
    ceiling = Ceiling(2)
    for room, rounds, most in ((0, 20, 2), (1, 9, 2), (1, 1, 3), (2, 5, 3), (2, 1, 3), (2, 2, 3), (2, 1, 5)):
        for _ in range(rounds):
            assert ceiling.accepted(answered(others=room)) is ceiling
        assert ceiling.most == most


def test_one_too_many() -> None:
    """After each refused attempt to raise the limit the next one comes later, at most a hundred rounds."""
    ceiling, rounds, number = Ceiling(2), list[float](), 0
    for _ in range(10):
        start = number
        while ceiling.most == 2:
            number += 1
            ceiling.accepted(answered(number=number, others=1))
        rounds.append((number - start) / 2)
        assert ceiling.refused(answered(number=number, total=number, others=2), None) is ceiling
        assert ceiling.most == 2
    assert rounds[:3] == [5, 8, 13]
    assert rounds[-2:] == [100, 100]


def test_a_ceiling_falls() -> None:
    """A refusal lowers the limit to what else was in flight, once for all in flight then. A lone refusal means another kind."""
    ceiling = Ceiling(None, since=3)
    ceiling.most = 9
    assert ceiling.refused(answered(number=2, others=1), None) is ceiling
    assert (ceiling.most, ceiling.vague) == (9, True)
    assert ceiling.refused(answered(number=9, total=20, others=6), None) is ceiling
    assert (ceiling.most, ceiling.vague) == (6, False)
    ceiling.refused(answered(number=19, total=20, others=1), None)
    for _ in range(100):
        ceiling.accepted(answered(number=19, others=5))  # nor do they show that there is a free slot
    assert ceiling.most == 6
    assert ceiling.refused(answered(number=20, total=21, others=8), None) is ceiling
    assert ceiling.most == 6
    assert ceiling.refused(answered(number=21, total=22, others=0), None) is None

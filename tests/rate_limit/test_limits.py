"""The model of one limit: when a window turns, how fast a bucket fills, how much a request costs. One step at a time."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import pytest

from ratewise._http.rate_limit_headers import Quota, silent
from ratewise.rate_limit.quota_bucket import QuotaBucket
from ratewise.rate_limit.quota_window import QuotaWindow
from ratewise.rate_limit.quotas import kind_of
from ratewise.rate_limit.sliding_window import SlidingWindow

REQUESTS = Quota("", 100, 99, 5, 1.0, None, "requests", "window")


def window(**told: Any) -> QuotaWindow:
    """A window that knows one answer, to a request from second 0 to 0.02."""
    quota = REQUESTS._replace(**told)
    known = QuotaWindow(quota)
    known.told(quota, 0.0, 0.02, 0)
    return known


def bucket(**told: Any) -> QuotaBucket:
    """The same for a bucket of 20 that refills in one second."""
    quota = REQUESTS._replace(limit=20, remaining=19, reset=0.05, resolution=0.001, kind="bucket", **told)
    known = QuotaBucket(quota)
    known.told(quota, 0.0, 0.02, 0)
    return known


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({}, QuotaWindow),
        ({"kind": "effective"}, QuotaWindow),
        ({"kind": "bucket"}, QuotaBucket),
        ({"kind": "bucket", "limit": None}, QuotaWindow),
        ({"kind": "bucket", "reset": None, "window": 10}, QuotaWindow),
        ({"reset": None, "window": 10}, QuotaWindow),
        ({"limit": None}, QuotaWindow),
        ({"remaining": None}, None),
        ({"reset": None}, None),
        ({"limit": 0}, None),
        ({"limit": 0.5}, None),
        ({"unit": "concurrent-requests"}, None),
        ({"reset": 41 * 86_400}, None),
        ({"window": 1e15}, None),
    ],
    ids=str,
)
def test_kinds(told: Any, kind: Any) -> None:
    """A limit is built only from fields that are complete and plausible."""
    assert kind_of(REQUESTS._replace(**told)) is kind


# -- windows


def test_what_is_left_may_go() -> None:
    """The remaining count may be sent, less the requests in flight, which the server may not have counted yet."""
    known = window()
    assert [known.free(0.02, in_flight, 1) for in_flight in (0, 10, 99)] == [99, 89, 0]
    known.told(REQUESTS._replace(remaining=40), 0.03, 0.05, 0)
    known.told(REQUESTS._replace(remaining=70), 0.03, 0.06, 0)
    assert known.free(0.06, 30, 0) == 10


def test_a_few_are_kept() -> None:
    """Up to 8 (a tenth of the limit) are kept as probes: while others must wait anyway, or else for a quarter of a second."""
    known = window()
    assert [known.free(0.02, 0, waiting) for waiting in (91, 92, 100)] == [99, 91, 91]
    known.told(REQUESTS._replace(remaining=4), 0.03, 0.05, 0)
    assert known.free(0.05, 0, 0) == 0
    assert known.opens(0.05, 0, 1, 0) == pytest.approx(0.22)
    assert known.free(0.28, 0, 0) == 4
    assert known.free(0.29, 0, 6) == 0
    assert [window(limit=10, remaining=9).free(0.02, 0, waiting) for waiting in (8, 10)] == [9, 8]


def test_probes() -> None:
    """Kept probes are sent one at a time around the expected turn; with a round length, one at the very instant."""
    known = window()
    known.told(REQUESTS._replace(remaining=8), 0.1, 0.12, 0)
    now, sent = 1.0, []
    for _ in range(20):
        now += known.opens(now, 0, 20, 0)
        if known.free(now, 0, 20):
            known.come(now)
            sent.append(round(now, 3))
            left = 8 - len(sent)
            if now < 5.0:
                known.told(REQUESTS._replace(remaining=left, reset=math.ceil(5.0 - now)), now, now + 0.02, 0)
            else:
                known.told(REQUESTS, now, now + 0.02, 0)
                break
        now += 0.02
    assert sent[-8:] == [3.265, 3.515, 3.765, 4.015, 4.265, 4.515, 4.765, 5.015]
    assert known.free(now + 0.02, 0, 0) == 99


def test_a_probe_is_waited_for() -> None:
    """While a probe is in flight no other request is sent, for one second at most."""
    known = window(remaining=0, limit=None, kind="effective")
    known.come(5.1)
    assert (known.free(5.2, 1, 9), known.free(6.1, 1, 9)) == (0, 1)
    assert known.opens(5.2, 1, 1, 0) == pytest.approx(0.9)


def test_later_than_it_seemed() -> None:
    """If a probe still finds a window of guessed length, one more comes soon after; then its reset is believed."""
    known = window()
    known.come(5.02)
    known.told(REQUESTS._replace(remaining=0, reset=1), 5.02, 5.04, 0)
    assert 0.02 <= known.opens(5.04, 0, 1, 0) <= 0.05
    known.come(5.08)
    known.told(REQUESTS._replace(remaining=0, reset=1), 5.08, 5.1, 0)
    assert known.free(5.5, 0, 9) == 0
    assert 0.5 < known.opens(5.1, 0, 1, 0) <= 2.0
    again = 5.04 + known.opens(5.04, 0, 1, 0)
    known.come(again)
    known.told(REQUESTS._replace(remaining=0, reset=0), again, again + 0.02, 0)
    assert 0 < known.opens(again + 0.02, 0, 1, 0) <= 3


def test_answers_that_overtake_each_other() -> None:
    """Answers of a burst that arrive out of order are not taken for the turn of a window."""
    known = window(reset=1)
    for remaining, others in ((50, 49), (98, 48), (70, 47), (60, 46)):
        known.told(REQUESTS._replace(remaining=remaining, reset=1), 0.03, 0.05, others)
    assert known.free(0.05, 6, 0) == 44


def test_an_answer_from_before_the_turn() -> None:
    """An answer sent before the turn says nothing of the new window, but may have been counted in it."""
    known = window(remaining=10)
    known.told(REQUESTS, 6.0, 6.02, 0)
    known.told(REQUESTS._replace(remaining=3, reset=1), 4.9, 6.03, 0)
    assert known.free(6.03, 0, 0) == 98


def test_a_turn_after_which_as_much_is_left() -> None:
    """An unchanged remaining count means that the window has turned: within one window this request would have lowered it."""
    two = REQUESTS._replace(limit=2, remaining=1, reset=1)
    known = window(limit=2, remaining=1, reset=1)
    known.told(two, 1.1, 1.12, 0)
    known.told(two._replace(remaining=0), 1.2, 1.22, 0)
    assert known.opens(1.22, 0, 1, 0) <= 1.0


def test_a_length_that_is_stated() -> None:
    """A length stated by a policy or by a field's name is used, and combined with what the answers say of the turn."""
    known = window(kind="effective", window=5.0)
    known.told(REQUESTS._replace(kind="effective", window=5.0, remaining=0), 0.03, 0.05, 0)
    assert known.opens(0.05, 0, 1, 0) == pytest.approx(4.96)
    only = window(reset=None, window=10.0, remaining=0)
    assert only.opens(0.02, 0, 1, 0) == pytest.approx(9.99)
    assert [only.opens(0.02, 0, 1, ahead) for ahead in (99, 100, 250)] == pytest.approx([9.99, 19.99, 29.99])


def test_the_length_is_forgotten_when_it_is_wrong() -> None:
    """A stated length is dropped when answers contradict it: a window of 5 s becomes one of 60 s."""
    known = window(window=5.0)
    known.told(REQUESTS._replace(reset=60), 5.03, 5.05, 0)
    known.told(REQUESTS._replace(reset=55, remaining=0), 10.1, 10.12, 0)
    assert 50 <= known.opens(10.12, 0, 1, 0) <= 56


def test_windows_may_be_forgotten() -> None:
    """A window may be forgotten once it has turned, a bucket once it is full."""
    assert [window().idle(now) for now in (5.0, 6.5)] == [False, True]
    assert [bucket().idle(now) for now in (0.05, 0.08)] == [False, True]


def test_after_a_while() -> None:
    """Long after a turn the whole next window may be sent at once; if the last request was refused, only one probe."""
    known = window(remaining=3)
    assert [known.free(now, 0, 200) for now in (6.5, 7.1)] == [3, 100]
    known.told(REQUESTS._replace(remaining=0, reset=0), 7.1, 7.12, 0, True)
    assert known.free(20.0, 0, 200) == 1


def test_units() -> None:
    """A limit in tokens: the cost of a request is estimated from those before it, at most the whole limit."""
    tokens = REQUESTS._replace(unit="tokens", limit=10_000, window=5.0)
    known = QuotaWindow(tokens)
    free = []
    for number, remaining in enumerate((9999, 8999, 7599, 7599)):
        known.told(tokens._replace(remaining=remaining), number / 100, number / 100 + 0.01, 0)
        free.append([known.free(number / 100 + 0.01, in_flight, 1) for in_flight in (0, 5)])
    assert free == [[9999, 9994], [8, 3], [5, 0], [5, 0]]
    known.told(tokens._replace(remaining=1), 0.05, 0.06, 0)
    known.told(tokens._replace(limit=100, remaining=100), 6.0, 6.01, 0)
    known.told(tokens._replace(limit=100, remaining=0), 6.02, 6.03, 0)
    known.told(tokens._replace(limit=100, remaining=100), 12.0, 12.01, 0)
    assert known.free(12.01, 0, 1) == 1


def test_units_in_a_bucket() -> None:
    """The same estimate for a bucket."""
    tokens = REQUESTS._replace(limit=1000, resolution=0.001, kind="bucket", unit="tokens")
    known = QuotaBucket(tokens)
    known.told(tokens._replace(remaining=900, reset=0.1), 0.0, 0.02, 0)
    assert known.free(0.02, 0, 1) == 9
    known.told(tokens._replace(remaining=500, reset=0.5), 0.03, 0.05, 0)
    assert known.free(0.05, 0, 1) == 1


# -- buckets


def test_a_bucket_fills() -> None:
    """Available is the remaining count of the most telling answer, less requests in flight, plus what has refilled since."""
    known = bucket()
    assert [known.free(0.02, in_flight, 0) for in_flight in (0, 9, 19, 30)] == [19, 10, 0, 0]
    known.told(REQUESTS._replace(limit=20, remaining=0, reset=1.0, resolution=0.001, kind="bucket"), 0.03, 0.05, 0)
    known.told(REQUESTS._replace(limit=20, remaining=9, reset=0.55, resolution=0.001, kind="bucket"), 0.03, 0.06, 19)
    assert [known.free(now, 0, 0) for now in (0.05, 0.1, 0.55, 9.0)] == [0, 1, 10, 20]
    assert [known.opens(0.05, 0, 1, ahead) for ahead in (0, 9)] == pytest.approx([0.05, 0.5])
    assert known.opens(9.0, 0, 1, 0) == 0


def test_a_bucket_that_changes() -> None:
    """A new size resets the bucket; a refill rate that contradicts the known one replaces it."""
    known = bucket()
    known.told(REQUESTS._replace(limit=10, remaining=0, reset=10.0, resolution=0.001, kind="bucket"), 0.1, 0.12, 0)
    assert known.opens(0.12, 0, 1, 0) == pytest.approx(1.0)
    known.told(REQUESTS._replace(limit=10, remaining=0, reset=60.0, resolution=0.001, kind="bucket"), 0.2, 0.22, 0)
    assert known.opens(0.22, 0, 1, 0) == pytest.approx(6.0)


def test_a_bucket_that_fills_in_no_time() -> None:
    """A bucket that refills in half a second keeps the measured rate, which is not rounded."""
    known = QuotaBucket(REQUESTS)
    known.told(REQUESTS._replace(limit=100, remaining=50, reset=0.25, resolution=0.001, kind="bucket"), 0.0, 0.02, 0)
    assert known.opens(0.02, 50, 1, 0) == pytest.approx(0.005, rel=0.02)


def test_an_odd_answer_of_a_bucket() -> None:
    """A single implausible answer does not spoil what later answers say."""
    known = bucket()
    known.told(REQUESTS._replace(limit=20, remaining=18, reset=6 * 3600.0, resolution=0.001, kind="bucket"), 0.03, 0.05, 0)
    known.told(REQUESTS._replace(limit=20, remaining=17, reset=0.15, resolution=0.001, kind="bucket"), 0.06, 0.08, 0)
    assert known.free(0.08, 0, 0) > 10


def test_a_bucket_that_refusals_drain() -> None:
    """Where refusals count too, more than the whole bucket may be missing: that is waited for, and fills as fast as ever."""
    known = bucket()
    owing = REQUESTS._replace(limit=20, remaining=0, reset=1.25, resolution=0.001, kind="bucket")
    known.told(owing, 0.1, 0.12, 0, refused=True)
    assert known.free(0.3, 0, 1) == 0
    assert known.opens(0.12, 0, 1, 0) == pytest.approx(0.3, abs=0.01)
    assert known.free(1.37, 0, 1) == pytest.approx(20, abs=1)


def test_a_full_bucket() -> None:
    """A bucket with as much as its size remaining, or more, holds back no request."""
    for remaining in (20, 25):
        known = QuotaBucket(REQUESTS)
        known.told(REQUESTS._replace(limit=20, remaining=remaining, reset=0.0, kind="bucket"), 0.0, 0.02, 0)
        assert known.free(0.02, 0, 0) == 20


# -- sliding windows


def sliding(*log: float, **told: Any) -> SlidingWindow:
    """A log of 10 in 5 seconds; these requests of it were sent here, and the latest one is answered."""
    quota = REQUESTS._replace(**{"limit": 10, "remaining": 10 - len(log), "reset": 5.0, "resolution": 0.0, **told})
    known = SlidingWindow(quota, deque(log))
    known.told(quota, log[-1], log[-1] + 0.02, 0)
    return known


def test_a_request_counts_for_a_fixed_time() -> None:
    """There is room for another request as soon as an older one no longer counts, one after the other."""
    known = sliding(*(number / 2 for number in range(10)))
    assert [known.free(now, 0, 1) for now in (4.52, 5.01, 5.03, 5.53, 9.51, 9.53, 60.0)] == [0, 0, 1, 2, 9, 10, 10]
    known = sliding(0.0, *[1.0] * 9)
    assert [known.free(now, 0, 1) for now in (1.02, 5.01, 5.03, 6.01, 6.03)] == [0, 0, 1, 1, 10]
    assert [known.opens(1.02, 0, 12, ahead) for ahead in (0, 1, 9, 10)] == pytest.approx([4.0, 5.0, 5.0, 9.0], abs=1e-5)
    assert [known.opens(5.03, 0, 2, ahead) for ahead in (0, 1)] == pytest.approx([0.0, 0.99], abs=1e-5)
    assert [known.spent(now, 0) for now in (5.01, 5.03)] == [True, False]


def test_what_is_sent_counts_at_once() -> None:
    """A request takes its place when it is sent, not when it is answered; old ones are dropped from the log."""
    known = sliding(0.0, *[1.0] * 8)
    for free in (1, 0):
        assert known.free(1.5, 0, 2) == free
        known.come(1.5)
    known.come(9.0)
    assert list(known._log) == [9.0]
    assert [known.idle(now) for now in (14.0, 14.1)] == [False, True]


def test_requests_of_others_count_too() -> None:
    """What the server has counted and this client did not send is kept free, until an answer says that it is less."""
    known = sliding(0.0, remaining=4)
    assert known.free(0.1, 0, 1) == 4
    known.come(0.2)
    known.told(REQUESTS._replace(limit=10, remaining=8, reset=5.0, resolution=0.0), 0.2, 0.22, 0)
    assert known.free(0.3, 0, 1) == 8


@pytest.mark.parametrize(("remaining", "refused", "free"), [(4, False, [4, 9]), (0, True, [0, 4])])
def test_a_length_that_was_rounded_up(remaining: int, refused: bool, free: list[int]) -> None:
    """Of a length in whole seconds one request finds out whether it was rounded up; the others wait for its answer."""
    known = sliding(*[0.0] * 5, *[3.0] * 5, resolution=1.0)
    assert [known.free(now, 0, 5) for now in (4.01, 4.03)] == [0, 1]  # four seconds or five
    assert known.opens(3.02, 0, 5, 0) == pytest.approx(1.0, abs=1e-5)
    known.come(4.5)
    assert (known.free(4.6, 1, 5), known.opens(4.6, 1, 5, 0)) == (0, pytest.approx(0.42, abs=1e-5))
    known.told(REQUESTS._replace(limit=10, remaining=remaining, reset=5.0), 4.5, 4.6, 0, refused)
    assert [known.free(now, 0, 5) for now in (4.7, 7.2)] == free


def test_a_probe_of_the_length_that_is_not_answered() -> None:
    """After a second another request asks."""
    known = sliding(0.0, 0.0, *[1.0] * 8, resolution=1.0)
    known.come(4.1)
    assert [known.free(now, 1, 5) for now in (4.2, 4.99, 5.11)] == [0, 0, 1]


def test_names_that_tell_nothing() -> None:
    """Field names that are not about rate limits are remembered, in bounded number and length; rate-limit fields never are."""
    for number in range(2500):
        assert silent([(b"", b"x-%d" % number, b"")])
    assert silent([(b"", b"x" * 500, b"")])
    assert not silent([(b"", b"x-1", b""), (b"", b"x-ratelimit-reset", b"")])
    assert not silent([(b"", b"retry-after-ms", b"")])


def test_a_length_that_stays_in_doubt() -> None:
    """If the answer to the request that asks shows as many as the longer length, the longer one holds, and is asked again."""
    known = SlidingWindow(REQUESTS._replace(limit=10, reset=6.0), deque(number / 10 for number in range(10)))
    known.come(5.3)
    known.told(REQUESTS._replace(limit=10, remaining=0, reset=6.0), 5.3, 5.32, 0)
    assert known._length == 6.0
    assert known._guess == 5.0


def test_a_reset_that_is_shorter_than_the_length() -> None:
    """A reset cannot be later than the length of the window: a shorter one while something counts is its length, at most."""
    known = SlidingWindow(REQUESTS._replace(limit=10, reset=6.0), deque([0.0]))
    known.told(REQUESTS._replace(limit=10, remaining=8, reset=4.0), 0.1, 0.12, 0)
    assert known._length == known._guess == 4.0


def test_what_another_route_tells_may_be_about_any_bucket() -> None:
    """A bucket has no turn by which two of the same size could be told apart."""
    told = Quota("requests", 20, 10, 0.5, 0.001, None, "requests", "bucket")
    assert QuotaBucket(told).agrees(told._replace(remaining=3, reset=0.85), 7.0, 7.1)

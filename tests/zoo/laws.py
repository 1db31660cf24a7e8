"""The laws of the limiter as functions of a run with it and a run of the same traffic with retries alone, the oracle.

Each returns a `Verdict`; `check` returns all that apply. Numbers are those of the laws. Where a law leaves open what is measured,
the choice is said here, and is the lenient one.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Callable, NamedTuple

import httpx

from ratewise.exceptions import RateLimitExceeded, RateWiseError
from tests.zoo.servers import TELLING, Seen, Spec
from tests.zoo.traffic import CallRecord, Run

SHARE, SLOW_SHARE, SLOW = 0.8, 0.75, 2.0
"""Law 1: of the successes with retries alone; where fewer than SLOW a second are allowed, or with an outsider."""
LEFT_SHARE = 0.9
"""Law 1: or, with an outsider on the same key, of what that leaves of the limit, if this is less. Retries alone win more only by
starving the outsider with many refusals."""
FIRST, SPAN, WINDOWS = 10.0, 30.0, 5
"""Law 1: what comes before does not count; the length of a span, and the least number of windows in one."""
RECOVERY, RECOVERED = 10.0, 0.9
"""Law 2: seconds after which so much of what is offered succeeds."""
PAUSES = 4.0
"""Law 2: or after so many times the longest told pause."""
SHED, SHED_SHARE = 0.05, 0.9
"""Law 2: up to so much shedding is no limit; of the throughput with retries alone."""
UNTOUCHED = 0.9
"""Law 3: of the rate of a route that no limit binds."""
PATIENCE = 7.0
"""Law 5: 1 + 2 + 4 seconds, what four attempts can sleep by their backoff."""
IN_SHORT, IN_LONG = 0.2, 1.05
"""Law 5: attempts for each offered call, in an outage up to PATIENCE, and in a longer one."""
TOLD, TOLD_SLIDING, TOLD_REFUSED = 0.96, 0.9, 0.005
"""Law 6: used, and refused for each accepted."""
LOADED = 0.85
"""Law 9: of the used share on an idle machine."""
FEW = 10
"""Law 10: "a few" that go at first after a pause or an outage. Not a number of the laws: twice the 4 of slow start, and slack."""
SHORT, IN_A_ROW = 5.0, 5
"""Law 11: a told pause shorter than SHORT binds the refused call alone, until so many in a row were refused: law 2 wants 0.9
of the throughput from a server that sheds 5 % with `Retry-After: 1`, which cannot be had if each of them holds the route back."""
HOUR = 3600.0
"""Law 11: a told pause is kept so long at most."""
EPSILON = 1e-6
"""Seconds within which two instants are the same."""


class Verdict(NamedTuple):
    law: str
    holds: bool | None
    """None: the law says nothing about this run."""
    text: str

    def __str__(self) -> str:
        return f"{'-' if self.holds is None else 'ok' if self.holds else 'BROKEN'} {self.law}: {self.text}"


def silent(law: str, why: str) -> Verdict:
    return Verdict(law, None, why)


def check(run: Run, bare: Run, *, without: Sequence[Callable[[Run, Run], Verdict]] = ()) -> list[Verdict]:
    """Return the verdicts of all laws that say something about this run."""
    verdicts = [law(run, bare) for law in LAWS if law not in without]
    return [verdict for verdict in verdicts if verdict.holds is not None]


def broken(run: Run, bare: Run) -> list[Verdict]:
    return [verdict for verdict in check(run, bare) if not verdict.holds]


def report(run: Run, bare: Run, verdicts: list[Verdict]) -> str:
    lines = [f"{run.spec}", f"{run.traffic}", f"with the limiter: {run}", f"retries alone:    {bare}", *map(str, verdicts)]
    return "\n".join(lines)


# -- 1


def law_1_throughput(run: Run, bare: Run) -> Verdict:
    """Over any 30 s after the first 10, at least 0.8 of the calls a second succeed that would with retries alone.

    Windows of servers are not in step in the two runs: the oracle's count is the least within half a window around. Nobody can
    answer what was not asked: where calls do not wait for others, the oracle's count is at most those in progress here. One call
    may be at an edge. Beside an outsider on the same key 0.9 of what it leaves of the limit is enough.
    """
    law = "1 throughput"
    spec, traffic = run.spec, run.traffic
    per = max((rule.per for rule in spec.rules if rule.kind != "slots"), default=0.0)
    shut = max((rule.shuts_out for rule in spec.rules), default=0.0)
    period = max(per, shut, spec.shed_burst[1] if spec.shed_burst else 0.0)
    span = max(SPAN, WINDOWS * period)
    if spec.absurd or (spec.shed_after and not spec.rules):
        return silent(law, "a pause was told that retries alone keep for one call only: laws 2 and 11")
    if traffic.seconds < FIRST + span or (traffic.every < math.inf and traffic.every > span):
        return silent(law, f"{traffic.seconds:g} s of traffic are too few for a span of {span:g} s")
    share = SLOW_SHARE if spec.outsider or any(rule.per_second < SLOW for rule in spec.rules) else SHARE
    mine, theirs = (sorted(call.ended for call in one.calls if call.succeeded) for one in (run, bare))
    began, ended = sorted(call.began for call in run.calls), sorted(call.ended for call in run.calls)
    left = _left_by_outsider(spec, traffic.routes) * span
    worst, text = math.inf, ""
    for start in range(int(FIRST), int(traffic.seconds - span) + 1):
        got = _within(mine, start, span)
        shifts = [period * part / 8 for part in range(-4, 5)] if period else [0.0]
        would = min(_within(theirs, start + shift, span) for shift in shifts)
        if traffic.kind not in ("serial", "closed") or began[-1] < start + span - traffic.think - 1:
            would = min(would, bisect_left(began, start + span) - bisect_left(ended, start))
        wanted = min(share * would, LEFT_SHARE * left)
        if wanted and (got + 1) / wanted < worst:
            worst, text = (got + 1) / wanted, f"{got} in {start} to {start + span:g} s, {wanted:.0f} wanted, {would} alone"
    return Verdict(law, worst >= 1, text or "nothing succeeds with retries alone")


def _left_by_outsider(spec: Spec, routes: Sequence[str]) -> float:
    """Return the requests a second that an outsider leaves of the limit; inf if there is none, or not all routes are bound."""
    if not spec.outsider or not all(any(rule.binds(route) for rule in spec.rules) for route in routes):
        return math.inf
    return min((rule.per_second - spec.outsider) * (len(routes) if rule.apart else 1) for rule in spec.rules)


def law_1_errors(run: Run, bare: Run) -> Verdict:
    """No call ends in an error of the limiter that retries alone would have got a success for, without reason.

    A reason: the server told the limit or a pause as long, or more than `max_wait` would have been waited; then, unless it was
    told, the error carries the last refusal. In a closed loop no two calls are the same: there the shares are compared.
    """
    law = "1 errors"
    limited = [call for call in run.calls if call.limited]
    if not limited:
        return Verdict(law, True, "no call was ended by the limiter")
    wrong = [call for call in limited if not _excused(run, call)]
    if run.traffic.kind in ("open", "burst"):
        wrong = [call for call in wrong if bare.calls[call.number].succeeded]
        holds = not wrong
    else:
        holds = len(wrong) / len(run.calls) <= bare.failed / max(1, len(bare.calls))
    return Verdict(law, holds, f"{len(wrong)} of {len(limited)} without reason" + (f": {wrong[0]}" if wrong else ""))


def _excused(run: Run, call: CallRecord) -> bool:
    error = call.error
    assert isinstance(error, RateLimitExceeded)
    longest = max((seen.told or 0.0 for seen in run.servers[call.host].seen if seen.at <= call.ended), default=0.0)
    bound = [rule for rule in run.spec.rules if not rule.routes or call.route in rule.routes]
    if any(rule.tells in TELLING for rule in bound) or longest > run.max_wait:
        return True
    too_long = call.waited + (error.retry_after or 0.0) >= run.max_wait - EPSILON
    return too_long and error.response is not None


# -- 2


def law_2_recovery(run: Run, bare: Run) -> Verdict:
    """Once the server accepts everything, 0.9 of what is offered succeeds: after 10 s, or 4 of the longest told pauses."""
    law = "2 recovery"
    spec, traffic = run.spec, run.traffic
    free = spec.free_from
    if not 0 < free < math.inf or spec.stall or spec.outsider:
        return silent(law, "the server never begins to accept everything")
    longest = max((seen.told or 0.0 for seen in run.seen if seen.at <= free), default=0.0)
    start = free + max(RECOVERY, PAUSES * min(longest, HOUR))
    if start + RECOVERY > traffic.seconds or traffic.kind == "burst":
        return silent(law, "the traffic ends too soon")
    answered = sorted(call.ended for call in run.calls if call.succeeded)
    length = max(RECOVERY, 10 / traffic.ideal(spec))
    worst, at = math.inf, start
    while start + length <= traffic.seconds:
        rate = (_within(answered, start, length) + 1) / length
        worst, at = min((worst, at), (rate, start))
        start += length / 2
    offered = traffic.ideal(spec)
    return Verdict(
        law, worst >= RECOVERED * offered, f"{worst:.2f} of {offered:.2f} a second from {at:g} s on, free at {free:g} s"
    )


def law_2_shedding(run: Run, bare: Run) -> Verdict:
    """Sporadic refusals are no limit: throughput stays above 0.9 of that with retries alone."""
    law = "2 shedding"
    spec, traffic = run.spec, run.traffic
    others = spec.rules or spec.outages or spec.capacity or spec.absurd
    burst = spec.shed_burst[0] / spec.shed_burst[1] if spec.shed_burst else 0.0
    if others or not 0 < spec.sheds + burst <= SHED:
        return silent(law, "the server does not only shed")
    mine, theirs = (sum(call.succeeded and call.ended <= traffic.seconds for call in one.calls) for one in (run, bare))
    return Verdict(law, mine + 1 >= SHED_SHARE * theirs, f"{mine} succeed, {theirs} with retries alone")


# -- 3


def law_3(run: Run, bare: Run) -> Verdict:
    """A route that no limit binds keeps 0.9 of its rate, while others are refused."""
    law = "3 other routes"
    spec, traffic = run.spec, run.traffic
    free = [route for route in traffic.routes if not any(not rule.routes or route in rule.routes for rule in spec.rules)]
    if not spec.rules or not free or spec.outages or spec.absurd:
        return silent(law, "all routes are bound, or none")
    if not (traffic.sticky or traffic.kind in ("open", "burst")):
        return silent(law, "a task that waits for one route does not ask the others")
    results = []
    for route in free:
        mine, theirs = (
            [call.duration for call in one.calls if call.route == route and call.succeeded and call.ended <= traffic.seconds + 1]
            for one in (run, bare)
        )
        p99 = sorted(mine)[int(0.99 * len(mine))] if mine else math.inf
        results.append((len(mine) + 1 >= UNTOUCHED * len(theirs), f"{route}: {len(mine)} of {len(theirs)}, p99 {p99:.3f} s"))
    return Verdict(law, all(good for good, _ in results), "; ".join(text for _, text in results))


# -- 4


def law_4(run: Run, bare: Run) -> Verdict:
    """The waits of one call in the limiter are at most `max_wait` together; with those before retries, 7 s more."""
    law = "4 max_wait"
    if not run.calls:
        return silent(law, "no call")
    # what goes on in the background of a call is not its own wait
    parked = max(run.calls, key=lambda call: min(call.parked, call.waited))
    waited = max(run.calls, key=lambda call: call.waited)
    longest = min(parked.parked, parked.waited)
    holds = longest <= run.max_wait + EPSILON and waited.waited <= run.max_wait + PATIENCE + EPSILON
    text = f"the longest wait in the limiter is {longest:.2f} s, {waited.waited:.2f} s with retries"
    return Verdict(law, holds, text if holds else f"{text}: {waited}")


# -- 5


def law_5(run: Run, bare: Run) -> Verdict:
    """An outage is not a limit: no error of the limiter, no wait above 7 s, each call is sent, and few attempts are made.

    Attempts: those in flight when it begins are unavoidable, and so are ten probes, and one a second.
    """
    law = "5 outage"
    spec = run.spec
    outages = [outage for outage in spec.outages if outage.how != "429"]
    if not outages:
        return silent(law, "the server is not away")
    alone = not (spec.rules or spec.sheds or spec.shed_burst or spec.capacity or spec.absurd)
    wrong = []
    for since, until, how in outages:
        # a call that began before, or ends after, may have other reasons, unless there are none
        inside = [call for call in run.calls if call.ended >= since and call.began < until]
        if not alone:
            inside = [call for call in inside if since <= call.began and call.ended <= until]
        wrong += [f"limiter's error: {call}" for call in inside if call.limited and (alone or not _excused(run, call))]
        if alone:
            wrong += [f"never sent: {call}" for call in inside if not call.attempts]
            untrue = [call for call in inside if call.error and not isinstance(call.error, httpx.TransportError)]
            wrong += [f"not truthful: {call}" for call in untrue]
        if alone and how != "hang":  # of a hang nobody knows before the first time-out
            wrong += [f"waits too long: {call}" for call in inside if call.waited > PATIENCE + EPSILON]
            attempts = sum(since <= seen.sent < until for seen in run.seen)
            offered = sum(since <= call.began < until for call in run.calls)
            flying = sum(seen.sent < since <= seen.ended for seen in run.seen) + sum(
                since <= seen.sent <= since + spec.latency + spec.jitter * 2 for seen in run.seen
            )
            waiting = sum(call.began < since <= call.ended for call in run.calls)
            short = until - since <= PATIENCE
            most = (IN_SHORT if short else IN_LONG) * (offered + waiting) + flying + 10 + (until - since)
            if attempts > most:
                wrong.append(f"{attempts} attempts in {since:g} to {until:g} s ({how}), {offered} offered, at most {most:.0f}")
    return Verdict(law, not wrong, f"{len(wrong)} times broken: {wrong[0]}" if wrong else f"{len(outages)} outages")


# -- 6


def law_6(run: Run, bare: Run) -> Verdict:
    """With usable fields nothing found out counts: a told limit is used to 0.96 (0.90 a sliding window), 0.5 % refused."""
    law = "6 told"
    spec = run.spec
    if not spec.told or len(spec.rules) != 1 or spec.rules[0].apart or spec.rules[0].routes or not _plain(spec):
        return silent(law, "more than a told limit")
    rule, traffic = spec.rules[0], run.traffic
    most = max([rule.limit, *(size for _, size in rule.changes)])
    saturates = traffic.kind != "serial" and traffic.ideal(spec) >= 1.5 * most / rule.per
    if not saturates or run.accepted < 4 * most or rule.per < 1 or spec.latency > 0.05 or rule.shuts_out or rule.kind == "slots":
        return silent(law, "the limit is not reached for long enough")
    wanted = TOLD_SLIDING if rule.kind == "sliding" else TOLD
    holds = run.used >= wanted and run.refused <= max(1, TOLD_REFUSED * run.accepted)
    return Verdict(law, holds, f"used {run.used:.3f}, {wanted:g} wanted; {run.refused} refused of {len(run.seen)}")


def _plain(spec: Spec) -> bool:
    """Whether it does nothing but limit."""
    return not (spec.sheds or spec.shed_burst or spec.outages or spec.absurd or spec.outsider or spec.capacity or spec.stall)


# -- 7


def law_7(run: Run, bare: Run) -> Verdict:
    """Numbers stay finite: no error of arithmetic, and no infinite number in the snapshot."""
    law = "7 finite"
    strange = [call for call in run.calls if call.error and not isinstance(call.error, (httpx.HTTPError, RateWiseError))]
    if strange:
        return Verdict(law, False, f"{len(strange)}, such as {strange[0]}")
    unended = sum(math.isinf(call.ended) for call in run.calls)
    infinite = [found for found in re.findall(r"NaN|-?Infinity|[\d.]+e\d\d+", run.snapshot) if found]
    if run.snapshot:
        json.loads(run.snapshot)
    return Verdict(law, not unended and not infinite, f"{unended} calls without an end, {infinite[:3]} in the snapshot")


# -- 8


def law_8(run: Run, bare: Run) -> Verdict:
    """Cheap: a call takes at most three times the processor time that it takes with retries alone, and 5 ms. (Ours, and wide.)"""
    mine, theirs = (1000 * one.cpu / max(1, len(one.calls)) for one in (run, bare))
    return Verdict("8 cheap", mine <= 3 * theirs + 5, f"{mine:.2f} ms a call, {theirs:.2f} ms with retries alone")


# -- 9


def law_9(run: Run, loaded: Run) -> Verdict:
    """Takes the same traffic on a loaded machine in place of the oracle: 0.85 of the used share."""
    return Verdict("9 robust", loaded.used >= LOADED * run.used, f"used {loaded.used:.3f} loaded, {run.used:.3f} idle")


# -- 10


def law_10(run: Run, bare: Run) -> Verdict:
    """What is let go at once is at most the width of the wire; after an outage, a few.

    At once: within a millisecond, calls that begin in it apart, since those the user lets go. After an outage: until the first
    accepted answer, and for one more round trip.
    """
    law = "10 flood"
    released = Counter(int(seen.sent * 1000 + EPSILON) for seen in run.seen)
    asked = Counter(int(call.began * 1000 + EPSILON) for call in run.calls)
    over = [at for at, count in released.items() if count > max(run.width, asked[at])]
    if over:
        return Verdict(law, False, f"{released[over[0]]} sent at {over[0] / 1000} s, the width is {run.width}")
    spec = run.spec
    if not (spec.rules or spec.sheds or spec.shed_burst or spec.absurd):
        for _, until, how in spec.outages:
            back = min((seen.ended for seen in run.seen if seen.accepted and seen.at >= until), default=math.inf)
            if math.isinf(back):
                continue
            end = back + spec.latency / 2
            sent = sum(until <= seen.sent < end for seen in run.seen)
            may_go = sum(_may_go(call, until, end) for call in run.calls)
            if how != "hang" and sent > FEW + may_go:
                return Verdict(law, False, f"{sent} sent from {until:g} to {end:g} s, as the server ({how}) comes back")
    return Verdict(law, True, f"at most {max(released.values(), default=0)} at once, {run.most} in flight")


def _may_go(call: CallRecord, start: float, end: float) -> bool:
    """Whether a call begins within a time, or ends its patience in it."""
    return start <= call.began < end or start <= call.began + PATIENCE < end + EPSILON


# -- 11


def law_11(run: Run, bare: Run) -> Verdict:
    """A told pause is kept on its route to the end, from the sending of what was refused on, up to an hour.

    A short one is kept by the refused call alone, as long as the refusal may be a single one. What was sent after the refused
    one, and is accepted, contradicts the pause. What is in flight when the refusal arrives is not counted.
    """
    law = "11 told pauses"
    pauses, wrong = 0, []
    for server in run.servers.values():
        by_route: dict[str, list[Seen]] = {}
        for seen in server.seen:
            by_route.setdefault(seen.route, []).append(seen)
        for there in by_route.values():
            there.sort(key=lambda seen: seen.sent)
            instants, row = [seen.sent for seen in there], 0
            for number, refused in enumerate(there):
                row = 0 if refused.accepted else row + 1
                if refused.accepted or not refused.told or refused.status not in (429, 503, 403):
                    continue
                pauses += 1
                end = refused.sent + min(refused.told, HOUR) - EPSILON
                first = bisect_left(instants, refused.ended + EPSILON)
                during = there[first : bisect_left(instants, end)]
                if refused.told < SHORT and row < IN_A_ROW:
                    during = [seen for seen in during if seen.call == refused.call]
                else:
                    answered = min((one.ended for one in there[number + 1 :] if one.accepted), default=math.inf)
                    during = [seen for seen in during if seen.sent < answered]
                wrong += [
                    f"call {one.call} sent at {one.sent:.3f} s, {refused.told:g} s told at {refused.at:.3f} s"
                    for one in during[:1]
                ]
    if not pauses:
        return silent(law, "no pause was told")
    return Verdict(law, not wrong, f"{len(wrong)} of {pauses} pauses broken" + (f": {wrong[0]}" if wrong else ""))


LAWS: tuple[Callable[[Run, Run], Verdict], ...] = (
    law_1_throughput,
    law_1_errors,
    law_2_recovery,
    law_2_shedding,
    law_3,
    law_4,
    law_5,
    law_6,
    law_7,
    law_8,
    law_10,
    law_11,
)
"""Those of a run and its oracle. Law 9 takes another second run; law 12 is about several servers, and in `test_small`."""


def _within(instants: list[float], start: float, span: float) -> int:
    return bisect_left(instants, start + span) - bisect_left(instants, start)

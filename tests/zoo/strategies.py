"""Random servers and traffic, for hypothesis. Small ones come first, and what fails shrinks to them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.zoo.servers import Outage, Rule, Spec
from tests.zoo.traffic import Traffic

ROUTES = ("/a", "/b", "/c", "/d", "/e")

MOST = 25.0
"""Calls a second, at most: a run of a minute is to take about a second."""

WINDOW_TELLS = [None, "retry-after", "x-ratelimit", "ietf", "x-ratelimit-delta", "ietf-06", "github", "gitlab", "reddit"]
BUCKET_TELLS = [None, "retry-after", "openai", "anthropic"]
SLIDING_TELLS = [None, "retry-after", "x-ratelimit"]


@st.composite
def rules(draw: Any, routes: tuple[str, ...]) -> Rule:
    kind = draw(st.sampled_from(["window", "bucket", "sliding", "slots"]))
    per_second = draw(st.sampled_from([10.0, 20.0, 5.0, 2.0, 1.0]))
    if kind == "slots":  # of one slot that is shorter than the way, a client that holds no more than one uses little
        takes = draw(st.sampled_from([0.2, 1.0]))
        rule = Rule("slots", max(2, round(per_second * takes)), takes, None, draw(st.sampled_from([503, 429])))
    else:
        per = draw(st.sampled_from([1.0, 5.0, 2.0, 10.0]))
        tells = draw(st.sampled_from({"window": WINDOW_TELLS, "bucket": BUCKET_TELLS, "sliding": SLIDING_TELLS}[kind]))
        refusal = draw(st.sampled_from([None, 503, 403])) if tells == "retry-after" else None
        shuts = draw(st.sampled_from([0.0, 0.0, 3.0])) if kind == "bucket" and tells == "retry-after" else 0.0
        rule = Rule(kind, max(1, round(per_second * per)), per, tells, refusal, shuts_out=shuts)
    change = draw(st.sampled_from([None, None, "halved", "doubled"]))
    changes: tuple[tuple[float, int], ...] = ()
    if change is not None and not rule.shuts_out:
        other = max(1, rule.limit // 2) if change == "halved" else rule.limit * 2
        changes = ((20.0, other), (40.0, rule.limit))
    bound = () if len(routes) == 1 else draw(st.sampled_from([(), (), routes[:1], routes[:2]]))
    apart = len(routes) > 1 and draw(st.booleans())
    return Rule(**{**rule.__dict__, "changes": changes, "routes": bound, "apart": apart})


@st.composite
def worlds(draw: Any, limited: bool = False) -> tuple[Spec, Traffic]:
    """Return a server, and traffic that suits it: from half of what it allows to three times that.

    `limited`: only what limits and tells.
    """
    routes = ROUTES[: draw(st.sampled_from([1, 1, 2, 3, 5]))]
    kinds = ["limit", "limit", "limit", "outage", "shed", "limit and outage", "absurd", "queue"]
    what = draw(st.sampled_from(["limit"] if limited else kinds))
    settings: dict[str, Any] = {"latency": draw(st.sampled_from([0.02, 0.005, 0.1, 0.2, 1.0] if not limited else [0.02, 0.1]))}
    settings["jitter"] = draw(st.sampled_from([0.0, 0.0, 0.25])) * settings["latency"]
    settings["skew"] = draw(st.sampled_from([0.0, -41.3, 7200.5]))
    settings["seed"] = draw(st.integers(0, 3))
    allowed = MOST / 2
    if "limit" in what:
        rule = draw(rules(routes))
        settings["rules"] = (rule,)
        if draw(st.integers(0, 4)) == 4 and not rule.apart:  # a second one over a longer time, which is reached now and then
            settings["rules"] += (Rule("window", round(rule.per_second * 24), 30, "retry-after", routes=rule.routes),)
        allowed = rule.per_second * (len(routes) if rule.apart else 1)
        if rule.kind == "slots":
            # with a way longer than the work, retries alone overcommit, and what holds no more than the slots uses less
            settings["latency"] = min(settings["latency"], rule.per / 2)
            settings["jitter"] = min(settings["jitter"], settings["latency"] / 4)
            settings["refusal_takes"] = draw(st.sampled_from([0.0, rule.per]))
        if not limited and what == "limit":
            settings["outsider"] = draw(st.sampled_from([0.0, 0.0, 0.0, 0.3])) * rule.per_second
    if "outage" in what:
        since, length = draw(st.sampled_from([15.0, 0.0, 20.5])), draw(st.sampled_from([5.0, 1.0, 12.0]))
        settings["outages"] = (Outage(since, since + length, draw(st.sampled_from(["503", "refused", "reset"]))),)
    if what == "absurd":
        pause = draw(st.sampled_from(["40", "600", "7200", "10000000"]))
        settings["absurd"] = ((20.0, draw(st.sampled_from([503, 429, 403])), pause),)
    if what == "queue":
        settings["capacity"] = allowed * 2
        settings["outages"] = (Outage(20.0, 25.0, "503"),)
    if what == "shed":
        settings["sheds"] = draw(st.sampled_from([0.01, 0.002, 0.05, 0.0]))
        settings["shed_status"] = draw(st.sampled_from([429, 503]))
        settings["shed_after"] = draw(st.sampled_from([None, 1]))
        if not settings["sheds"]:
            settings["shed_burst"] = (0.2, 10.0)
        if settings["shed_status"] == 503:
            settings["shed_after"] = 1  # a bare 503 is a failure, no refusal
    offered = min(MOST, allowed * draw(st.sampled_from([2.0, 1.2, 0.5, 3.0])))
    kind = draw(st.sampled_from(["closed", "open", "serial", "burst"]))
    spec = Spec("random", **settings)
    seconds = 75.0
    if kind == "open":
        return spec, Traffic("open", rate=offered, seconds=seconds, routes=routes)
    if kind == "burst":
        every = draw(st.sampled_from([5.0, 12.0]))
        return spec, Traffic("burst", n=max(1, round(offered * every)), every=every, seconds=seconds, routes=routes)
    tasks = 1 if kind == "serial" else draw(st.sampled_from([10, 30, 3]))
    think = max(0.0, tasks / offered - spec.latency - spec.jitter)
    sticky, sync = kind == "closed" and tasks >= len(routes), kind == "serial" and draw(st.booleans())
    return spec, Traffic(kind, tasks, think, seconds=seconds, routes=routes, sticky=sticky, sync=sync)

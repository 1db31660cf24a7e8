"""The servers by name: those of the promises, and those of the small inputs, with the traffic that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from tests.zoo.servers import Outage, Rule, Spec
from tests.zoo.traffic import Traffic

COLD = Traffic("closed", tasks=50, n=480, seconds=600)
"""480 requests, 50 tasks, nothing known: the traffic of the promises."""


SHEDDING = Traffic("closed", tasks=10, think=0.1, seconds=40)


class Case(NamedTuple):
    spec: Spec
    traffic: Traffic = COLD
    used: float | None = None
    """Wanted: at least."""
    refused: float | None = None
    """Wanted, for each accepted: at most. With `first`: after the first 10 s."""
    first: float | None = None
    """Wanted in the first 10 s: at most."""


BUCKET = Rule("bucket", 20, 1)
CHANGES = {"window": ((10.0, 50), (20.0, 100)), "bucket": ((10.0, 10), (20.0, 20))}
SECONDS = Rule("bucket", 20, 1, "retry-after")


def _cases() -> dict[str, Case]:
    told, silent = (0.96, 0.005, 0.005), (0.90, 0.12, 0.20)
    cases = {
        "window told": Case(Spec(rules=(Rule("window", 100, 5, "x-ratelimit"),)), COLD, *told),
        "window told halved": Case(Spec(rules=(Rule("window", 100, 5, "x-ratelimit", changes=CHANGES["window"]),)), COLD, *told),
        "window ietf": Case(Spec(rules=(Rule("window", 100, 5, "ietf"),)), COLD, *told),
        "window github": Case(Spec(rules=(Rule("window", 100, 5, "github"),)), COLD, *told),
        "window told skewed": Case(Spec(rules=(Rule("window", 100, 5, "x-ratelimit"),), skew=-37.4), COLD, *told),
        "bucket openai": Case(Spec(rules=(Rule("bucket", 20, 1, "openai"),)), COLD, *told),
        "bucket openai penalty": Case(Spec(rules=(Rule("bucket", 20, 1, "openai", penalty=True),)), COLD, *told),
        "sliding told": Case(Spec(rules=(Rule("sliding", 100, 5, "x-ratelimit"),)), COLD, 0.90, 0.005, 0.01),
        "window seconds": Case(Spec(rules=(Rule("window", 100, 5, "retry-after"),)), COLD, *silent),
        "sliding seconds": Case(Spec(rules=(Rule("sliding", 100, 5, "retry-after"),)), COLD, *silent),
        "bucket seconds": Case(Spec(rules=(SECONDS,)), COLD, *silent),
        "bucket seconds halved": Case(
            Spec(rules=(Rule("bucket", 20, 1, "retry-after", changes=CHANGES["bucket"]),)), COLD, *silent
        ),
        "window bare": Case(Spec(rules=(Rule("window", 100, 5),)), COLD, *silent),
        "sliding bare": Case(Spec(rules=(Rule("sliding", 100, 5),)), COLD, *silent),
        "bucket bare": Case(Spec(rules=(BUCKET,)), COLD, *silent),
        "bucket bare halved": Case(Spec(rules=(Rule("bucket", 20, 1, changes=CHANGES["bucket"]),)), COLD, *silent),
        "bucket bare 200 ms": Case(Spec(rules=(BUCKET,), latency=0.2), COLD, *silent),
        "bucket bare 200 ms jitter": Case(Spec(rules=(BUCKET,), latency=0.1, jitter=0.1), COLD, *silent),
        "bucket bare 2 s": Case(Spec(rules=(BUCKET,), latency=2), COLD, 0.70, 0.12),
        "slots": Case(Spec(rules=(Rule("slots", 8, 0.2, refusal=503),), latency=0), COLD, 0.85, 0.12),
        "slots jitter": Case(Spec(rules=(Rule("slots", 8, 0.2, refusal=503),), latency=0.01, jitter=0.01), COLD, 0.85, 0.12),
        "slots slow refusals": Case(
            Spec(rules=(Rule("slots", 8, 0.2, refusal=503),), latency=0, refusal_takes=0.2), COLD, 0.85, 0.12
        ),
        "shuts out": Case(Spec(rules=(Rule("bucket", 20, 1, "retry-after", 403, shuts_out=5),)), COLD, 0.62, 0.12),
        "no limit": Case(Spec(), Traffic("closed", 50, n=1000)),
        "sheds 0.2 %": Case(Spec(sheds=0.002), SHEDDING),
        "sheds 1 %": Case(Spec(sheds=0.01), SHEDDING),
        "sheds 2 %": Case(Spec(sheds=0.02), SHEDDING),
        "sheds 5 %": Case(Spec(sheds=0.05), SHEDDING),
        "sheds 2 % seconds": Case(Spec(sheds=0.02, shed_after=1), SHEDDING),
        "sheds 5 % seconds": Case(Spec(sheds=0.05, shed_after=1), SHEDDING),
        "sheds in bursts": Case(Spec(shed_burst=(0.2, 10)), SHEDDING),
        "sheds in bursts seconds": Case(Spec(shed_burst=(0.2, 10), shed_after=1), SHEDDING),
        "one route bare": Case(
            Spec(rules=(Rule("bucket", 5, 5, routes=("/a",)),)),
            Traffic("closed", 10, think=0.1, routes=("/a", "/b"), sticky=True),
        ),
        "one route told": Case(
            Spec(rules=(Rule("window", 15, 900, "x", routes=("/a",)), Rule("window", 9000, 900, "x", routes=("/b",)))),
            Traffic("closed", 10, think=0.2, routes=("/a", "/b"), sticky=True),
        ),
        "key bare, five routes": Case(
            Spec(rules=(BUCKET,)), Traffic("closed", 50, n=480, seconds=600, routes=("/a", "/b", "/c", "/d", "/e"), sticky=True)
        ),
        "outsider": Case(Spec(rules=(BUCKET,), outsider=10), Traffic("closed", 20, seconds=60)),
        "free after a minute": Case(Spec(rules=(Rule("bucket", 10, 1, until=60),)), Traffic("open", rate=20, seconds=90)),
    }
    for how in ("503", "refused", "reset"):
        cases[f"outage 5 s, {how}"] = Case(Spec(outages=(Outage(10, 15, how),)), Traffic("open", rate=100, seconds=40))
    cases["outage 60 s, 503"] = Case(Spec(outages=(Outage(10, 70, "503"),)), Traffic("open", rate=10, seconds=100))
    cases["never there"] = Case(Spec(outages=(Outage(0, 1000, "503"),)), Traffic("burst", n=20, seconds=1))
    return {name: Case(replace(case.spec, name=name), *case[1:]) for name, case in cases.items()}


CASES: Mapping[str, Case] = _cases()

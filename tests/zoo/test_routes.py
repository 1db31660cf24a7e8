"""Whom a limit binds: routes as path templates, keys as credentials, and what is no refusal."""

from __future__ import annotations

from typing import Any

import pytest

from ratewise import RateLimiter
from tests.zoo import laws
from tests.zoo.servers import Rule, Spec
from tests.zoo.traffic import Traffic, run

pytestmark = pytest.mark.timeout(300)

SAME = {
    "numbers": ("/users/17/orders", "/users/18/orders"),
    "uuids": ("/u/0b9e3c1e-7d1b-4a58-9f0f-0d6c7c3d5a11", "/u/5d1f9a4c-2c7e-4f0b-8a55-6f3de3a0b7c2"),
    "hashes": ("/commits/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commits/d670460b4b4aece5915caf5c68d12f560a9fe3e4"),
}


@pytest.mark.parametrize("paths", SAME.values(), ids=[*SAME])
def test_paths_that_differ_in_identifiers_are_one_route(paths: tuple[str, str]) -> None:
    """A told pause of one holds the other."""
    spec = Spec("template", (Rule("window", 1, 30, "retry-after", routes=paths, spent=1),))
    plan = ((0.0, paths[0]), (1.0, paths[1]), (2.0, paths[0]), (3.0, "/else"))
    mine = run(spec, Traffic("plan", plan=plan, seconds=4))
    early = [seen for seen in mine.seen if seen.route in paths and 0.5 < seen.sent < 30 - laws.EPSILON]
    assert not early, early
    assert mine.calls[3].succeeded
    assert mine.calls[3].duration < 1.1


def test_words_are_routes_of_their_own() -> None:
    spec = Spec("words", (Rule("window", 1, 60, "retry-after", routes=("/v1/models",), spent=1),))
    plan = ((0.0, "/v1/models"), (1.0, "/v1/users"), (1.5, "/v1"), (2.0, "/v1/users/models"))
    mine = run(spec, Traffic("plan", plan=plan, seconds=4))
    assert all(call.succeeded and call.duration < 1.1 for call in mine.calls[1:]), mine.calls


def area(request: Any) -> str:
    """The first segment of a path."""
    return str(request.url.path.split("/")[1])


@pytest.mark.parametrize(
    ("settings", "held"),
    [({}, ["/v1/a"]), ({"route": None}, ["/v1/a", "/v1/b", "/v2/a"]), ({"route": area}, ["/v1/a", "/v1/b"])],
    ids=["default", "none", "function"],
)
def test_the_user_says_what_a_route_is(settings: Any, held: list[str]) -> None:
    """A pause that one path is told holds the others of its route, and no others."""
    paths = ["/v1/a", "/v1/b", "/v2/a"]
    spec = Spec("own routes", (Rule("window", 1, 30, "retry-after", routes=("/v1/a",), spent=1),))
    plan = ((0.0, "/v1/a"), *((1.0 + number / 10, path) for number, path in enumerate(paths)))
    mine = run(spec, Traffic("plan", plan=plan, seconds=4), RateLimiter(**settings))
    assert [call.route for call in mine.calls[1:] if not call.duration < 1.1] == held
    assert [path for path in paths if not any(seen.route == path and 0.5 < seen.sent < 29.9 for seen in mine.seen)] == held
    assert all(call.succeeded for call in mine.calls)


def test_discovered_limits_of_own_routes() -> None:
    """Below `route=` a limit that nobody tells is one on all paths of a route, and none of another one."""
    paths = ("/v1/a", "/v1/b", "/v1/c", "/v2/a")
    spec = Spec("area", (Rule("bucket", 10, 1, routes=paths[:3]),))
    traffic = Traffic("closed", 16, think=0.05, seconds=30, routes=paths, sticky=True)
    mine = run(spec, traffic, RateLimiter(route=area))
    alone = run(Spec("no limit"), traffic, None)
    accepted = sum(seen.accepted for seen in mine.seen if seen.route in paths[:3] and 10 <= seen.at < 30)
    refused = sum(not seen.accepted for seen in mine.seen if 10 <= seen.at < 30)
    assert accepted >= 0.9 * 10 * 20, mine
    assert refused <= 0.12 * accepted, mine
    free, would = (sum(seen.route == "/v2/a" for seen in one.seen) for one in (mine, alone))
    assert free >= laws.UNTOUCHED * would, (free, would)


@pytest.mark.parametrize("tells", [None, "retry-after", "x-ratelimit"])
def test_credentials_are_keys(tells: str | None) -> None:
    """One key has used up its limit, and the other goes on at its full rate: nobody's refusal is another's."""
    spec = Spec("keys", (Rule("window", 20, 10, tells),))
    # the first key asks four times as often as the other one
    traffic = Traffic("open", rate=5, seconds=60, who=("one", "one", "one", "one", "two"))
    mine = run(spec, traffic)
    other = [call for call in mine.calls if call.number % 5 == 4]
    assert all(call.succeeded for call in other), mine
    slow = [call for call in other if call.duration > 1.1]
    assert not slow, slow[0]


@pytest.mark.parametrize("status", [413, 404, 200])
def test_a_retry_after_of_other_answers_is_no_refusal(status: int) -> None:
    spec = Spec("no refusal", absurd=((0.5, status, "600"),)) if status != 200 else Spec("no refusal")
    plan = tuple((number / 4, "/a") for number in range(12))
    mine = run(spec, Traffic("plan", plan=plan, seconds=4))
    assert [call.status for call in mine.calls].count(200) == (11 if status != 200 else 12)
    assert all(call.duration < 1.1 for call in mine.calls)


def test_a_key_wide_limit_is_learnt_once() -> None:
    """After it is known that refusals are about the key, a route that is new sends no more than one refused request."""
    routes = tuple(f"/{name}" for name in ("a", "b", "c", "d", "e", "f", "g", "h"))
    spec = Spec("key-wide", (Rule("bucket", 10, 1),))
    begins = tuple((route, 20.0 + number) for number, route in enumerate(routes[2:]))
    mine = run(spec, Traffic("closed", 24, seconds=45, routes=routes, sticky=True, begins=begins))
    for route in routes[2:]:
        refused = sum(not seen.accepted for seen in mine.seen if seen.route == route)
        accepted = sum(seen.accepted for seen in mine.seen if seen.route == route)
        assert refused <= 2 + 0.3 * accepted, f"{route}: {refused} refused, {accepted} accepted"
    assert mine.refused_share(20) <= 0.2, mine


def test_a_thousand_routes() -> None:
    """More routes than are kept apart: the rest share one, and all is well on a server without limits."""
    routes = tuple(f"/{first}{second}{third}" for first in "bcdfg" for second in "aeiou" for third in "klmnprst")
    spec, traffic = Spec("no limit"), Traffic("closed", 10, n=1000, seconds=600, routes=routes)
    mine, bare = run(spec, traffic), run(spec, traffic, None)
    assert mine.failed == 0
    assert mine.end <= bare.end + 1

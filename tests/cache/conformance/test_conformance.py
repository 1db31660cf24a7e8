"""Conversations with an origin through a cache, by the names and intentions of the suite at https://cache-tests.fyi."""

from __future__ import annotations

import pytest

from tests.cache.conformance.conditions import CONDITIONAL
from tests.cache.conformance.conversation import Case, Conversation
from tests.cache.conformance.directives import AUTH, CC_REQUEST, CC_RESPONSE, CDN, OTHER, PRAGMA
from tests.cache.conformance.fields import STORED_HEADERS, UPDATE_304, UPDATE_HEAD
from tests.cache.conformance.freshness import AGE_PARSE, CC_FRESHNESS, CC_PARSE, EXPIRES, HEURISTIC
from tests.cache.conformance.invalidation import INVALIDATION, METHOD, STATUS
from tests.cache.conformance.partial import PARTIAL
from tests.cache.conformance.stale import STALE
from tests.cache.conformance.vary import VARY
from tests.kit.world import World

CASES = [
    *CC_FRESHNESS,
    *CC_PARSE,
    *AGE_PARSE,
    *EXPIRES,
    *HEURISTIC,
    *CC_RESPONSE,
    *CC_REQUEST,
    *PRAGMA,
    *OTHER,
    *AUTH,
    *CDN,
    *CONDITIONAL,
    *STORED_HEADERS,
    *UPDATE_304,
    *UPDATE_HEAD,
    *INVALIDATION,
    *PARTIAL,
    *STATUS,
    *STALE,
    *VARY,
    *METHOD,
]

EVERYWHERE = frozenset(
    "freshness-max-age freshness-max-age-stale cc-resp-must-revalidate-stale ccreq-oic conditional-etag-precedence "
    "304-lm-use-stored-Test-Header head-200-update head-validates invalidate-POST invalidate-POST-location "
    "partial-store-complete-reuse-partial stale-sie-503 stale-sie-ConnectError vary-304-picks-one status-204-fresh".split()
)


@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
async def test_conformance(world: World, case: Case) -> None:
    """Each conversation has the expected outcome, and every connection is released."""
    await Conversation(world, **case.config).hold(*case.steps)


@pytest.mark.parametrize("case", [case for case in CASES if case.id in EVERYWHERE], ids=lambda case: case.id)
async def test_conformance_everywhere(world: World, case: Case) -> None:
    """The conversations that take different code paths have the same outcome in every world."""
    await Conversation(world, **case.config).hold(*case.steps)


def test_the_names_are_unique() -> None:
    """Case names are unique, and every name that is listed to run everywhere exists."""
    names = [case.id for case in CASES]
    assert len(names) == len(set(names))
    assert set(names) >= EVERYWHERE

"""No user gets another user's response, whatever the requests and responses look like."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.cache.stage import FRESH, STALE, Stage, tagged
from tests.kit.wire import Scripted, response
from tests.kit.world import World, only

USERS = (
    {},
    {"Authorization": "Bearer a"},
    {"Authorization": "Bearer b"},
    {"Authorization": "bearer a"},
    {"Authorization": 'Digest username="a", realm="r"'},
    {"Authorization": 'Digest username="b", realm="r"'},
    {"Cookie": "Bearer a"},
    {"Cookie": "s=1"},
    {"Cookie": "s=2"},
    {"X-API-Key": "a"},
    {"X-API-Key": "a", "Cookie": "s=1"},
    {"X-Auth-Token": "a"},
    {"Api-Key": "a"},
    {"PRIVATE-TOKEN": "a"},
    {"Host": "other.example.com"},
)


@only("sync")
async def test_no_user_sees_what_another_one_was_told(world: World) -> None:
    """However similar their credentials are, users get their own responses, also when a stale one is served."""
    stage = Stage(world, stale_if_error=600, stale_while_revalidate=0)
    for number, user in enumerate(USERS):
        stage.origin.steps = [response(200, STALE, b"%d" % number)]
        assert await stage.text(headers=user) == str(number)
    for number, user in enumerate(USERS):
        assert await stage.text(headers=user) == str(number)
    stage.clock.advance(3)
    for number, user in enumerate(USERS):
        stage.origin.steps = [503]
        assert await stage.text(headers=user) == str(number)
    stage.origin.steps = [503]
    assert (await stage(headers={"Authorization": "Bearer c"})).status_code == 503
    await stage.end()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('Token token="one"', 'Token token="other"'),
        ("ApiKey key=one", "ApiKey key=other"),
        ("GoogleLogin auth=one", "GoogleLogin auth=other"),
        ('MediaBrowser Client="c", Token="one"', 'MediaBrowser Client="c", Token="other"'),
        ('Token id="same", token="one"', 'Token id="same", token="other"'),
        ('Digest username="Doe, Jane", realm="r"', 'Digest username="Doe, John", realm="r"'),
        ('Digest username="corp/jane", realm="r"', 'Digest username="corp/john", realm="r"'),
        ('Digest username="a\\"b", realm="r"', 'Digest username="a\\"c", realm="r"'),
        ("Digest username*=UTF-8''J%C3%A4n, realm=r", "Digest username*=UTF-8''J%C3%B6n, realm=r"),
        ("Bearer one=", "Bearer other="),
        ("Bearer id=same, token=one", "Bearer id=same, token=other"),
        ("Basic b25lOjE=", "Basic b3RoZXI6MQ=="),
        ('Hawk id="one", nonce="n"', 'Hawk id="other", nonce="n"'),
        ('Signature keyId="one"', 'Signature keyId="other"'),
        ('OAuth oauth_consumer_key="k", oauth_token="one"', 'OAuth oauth_consumer_key="k", oauth_token="other"'),
        ("AWS4-HMAC-SHA256 Credential=ONE/1/s3, Signature=s", "AWS4-HMAC-SHA256 Credential=OTHER/1/s3, Signature=s"),
    ],
)
@pytest.mark.parametrize("world", ["sync-httpx"], indirect=True)
async def test_no_scheme_makes_two_users_one(world: World, one: str, other: str) -> None:
    """Different credentials are different users, whatever the scheme and the spelling."""
    stage = Stage(world, response(200, FRESH, b"one"), response(200, FRESH, b"other"))
    assert await stage.text(headers={"Authorization": one}) == "one"
    assert await stage.text(headers={"Authorization": other}) == "other"


@only("sync")
async def test_a_signature_that_is_new_each_time_is_the_same_user(world: World) -> None:
    """For a scheme that signs each request, the parts that change with each request are not part of the key."""
    stage = Stage(world, response(200, FRESH, b"one"))
    for number in range(2):
        digest = f'Digest username="one", realm="r", nonce="{number}", response="{number}"'
        assert await stage.text(headers={"Authorization": digest}) == "one"
    await stage.end()


@only("sync")
async def test_the_tags_of_another_user_are_not_asked_with(world: World) -> None:
    """Validation never sends the tags of responses that are stored for another user."""
    stage = Stage(world, tagged('"of-a"', b"a"), tagged('"of-b"', b"b"))
    await stage(headers={"Authorization": "Bearer a"})
    await stage(headers={"Authorization": "Bearer b"})
    assert "If-None-Match" not in stage.origin.sent[1].request.headers
    await stage.end()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(b"X-API-Key", b"a\0b")], [(b"X-API-Key", b"a"), (b"X-API-Key", b"b")]),
        ([(b"Cookie", b"a"), (b"X-API-Key", b"b")], [(b"Cookie", b"a\0x-api-key\0b")]),
        ([(b"Cookie", b"\1\2")], [(b"Cookie", b"\0")]),
        ([(b"Host", b"a\0cookie\0b")], [(b"Host", b"a"), (b"Cookie", b"b")]),
    ],
)
@only("sync")
async def test_no_two_requests_can_be_spelled_alike(world: World, one: Any, other: Any) -> None:
    """Separator bytes inside one part of a key cannot produce the key of another request."""
    wire = Scripted(response(200, FRESH, b"one"), response(200, FRESH, b"other"))
    transport = world.ratewise.CacheTransport(wire)
    for headers, body in ((one, b"one"), (other, b"other")):
        assert await world.read(await world.send(transport, headers=headers)) == body


@pytest.mark.parametrize(
    "fields",
    [
        {"Cache-Control": "no-store"},
        {"Cache-Control": "max-age=9, no-store"},
        {"Cache-Control": "max-age=9", "Vary": "*"},
        {"Cache-Control": "max-age=9", "Content-Length": "999"},
    ],
)
@only("sync")
async def test_what_must_not_be_stored_is_nowhere(world: World, fields: dict[str, str]) -> None:
    """A response that must not be stored is in no place of the store."""
    stage = Stage(world, response(200, fields, b"a secret"))
    await stage()
    gc.collect()
    assert stage.cache.get_stats().size == stage.cache._memory.bytes == 0
    await stage.end()


@only("sync")
async def test_set_cookie_is_not_stored_by_any_way(world: World) -> None:
    """Set-Cookie is stored neither from a response nor from a 304 or HEAD that updates one."""
    cookie = {"Set-Cookie": "session=secret", "ETag": '"a"', **STALE}
    stage = Stage(world, response(200, cookie, b"a"), response(304, cookie), response(200, cookie, b""))
    for method in ("GET", "GET", "HEAD"):
        await stage(method)
        stage.client.cookies.clear()
        stage.clock.advance(3)
    (entries,) = stage.cache._memory.entries.values()
    assert all(b"secret" not in entry.head for entry in entries)
    await stage.end()
